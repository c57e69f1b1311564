/* beamctl: what an operator sees and sets. This file: commands, options, dispatch. */
#include "beamctl.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keygen.h"

typedef struct command {
    const char *name;
    int (*run)(const beamctl_settings *s, int argc, char **argv);
    int least, most; /* words after the name */
} command;

static const command COMMANDS[] = {
    {"status", beamctl_status, 0, 1},
    {"clusters", beamctl_clusters, 0, 0},
    {"preference", beamctl_preference, 1, 3},
    {"front", beamctl_front, 1, 1},
    {"top", beamctl_top, 0, 0},
    {"watch", beamctl_watch, 0, 1024},
    {"model", beamctl_model, 0, 2},
    {"config", beamctl_config, 0, 2},
    {"log-level", beamctl_log_level, 1, 1},
    {"drain", beamctl_drain, 0, 0},
    {"doctor", beamctl_doctor, 0, 0},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

/* What --help shows of them: a line for each form. */
static const struct usage {
    const char *name, *words, *help;
} USAGES[] = {
    {"status", "[CLUSTER]", "the daemon and its clusters, or one of them"},
    {"clusters", "", "registered clusters and their sizes"},
    {"preference", "get [CLUSTER]", "the trade-off in use, of the daemon's default or a cluster"},
    {"preference", "set [CLUSTER] TAU", "TAU from 0, communication only, to 1, sensing only"},
    {"preference", "remove CLUSTER", "takes the named preference --name away"},
    {"front", "CLUSTER", "every trade-off of a cluster at once, drawn"},
    {"top", "", "rates, latencies, quality and backends, live"},
    {"watch", "[CLUSTER...]", "published solutions as they come, of all clusters by default"},
    {"model", "", "the network's model: sizes, checksum, training"},
    {"model", "reload [FILE]", "read FILE, or the configured model again, and use it"},
    {"config", "[get [KEY]]", "the settings as they hold now"},
    {"config", "check", "what a reload would change; changes nothing"},
    {"config", "reload", "read the configuration file again: all of it or nothing"},
    {"log-level", "LEVEL", "err, warning, notice, info or debug"},
    {"drain", "", "answer what was accepted, refuse the rest, end"},
    {"doctor", "", "what slows beamd down on this machine, and how to fix it"},
    {"keygen", "DIR [...]", "keys for encrypted connections; see beamctl keygen --help"},
};

typedef enum option_id {
    OPTION_JSON = 256,
    OPTION_RUNTIME_DIR,
    OPTION_CONTROL,
    OPTION_BEAMS,
    OPTION_TELEMETRY,
    OPTION_CURVE_SERVER,
    OPTION_CURVE_SECRET,
    OPTION_CURVE_PUBLIC,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_COUNT,
    OPTION_NAME,
    OPTION_POINTS,
    OPTION_SUBBAND,
    OPTION_SVG,
    OPTION_TABLE,
    OPTION_ONCE,
    OPTION_BATCH,
    OPTION_INTERVAL,
    OPTION_SORT,
    OPTION_ROOT,
    OPTION_REAL_TIME,
    OPTION_OFFLINE
} option_id;

static const struct option_row {
    const char *name, *word; /* word NULL: takes none */
    option_id id;
    const char *command; /* the one that takes it, NULL: all */
    const char *help;
} OPTIONS[] = {
    {"json", NULL, OPTION_JSON, NULL, "one JSON object per line"},
    {"runtime-dir", "DIR", OPTION_RUNTIME_DIR, NULL, "where the daemon's sockets are"},
    {"control", "ENDPOINT", OPTION_CONTROL, NULL, "ZeroMQ endpoint of the control socket"},
    {"beams", "ENDPOINT", OPTION_BEAMS, NULL, "ZeroMQ endpoint of the beams socket"},
    {"telemetry", "ENDPOINT", OPTION_TELEMETRY, NULL, "ZeroMQ endpoint of the telemetry socket"},
    {"curve-server-key", "KEY", OPTION_CURVE_SERVER, NULL,
     "the daemon's public key, or file:PATH of it, for tcp"},
    {"curve-secret-key", "file:PATH", OPTION_CURVE_SECRET, NULL, "this client's secret key"},
    {"curve-public-key", "KEY", OPTION_CURVE_PUBLIC, NULL,
     "this client's; made from the secret one by default"},
    {"timeout", "MS", OPTION_TIMEOUT, NULL, "longest wait for an answer, 2000; front: 30000"},
    {"help", NULL, OPTION_HELP, NULL, "this text; with a command, what belongs to it"},
    {"version", NULL, OPTION_VERSION, NULL, "the program's version"},
    {"name", "NAME", OPTION_NAME, "preference", "of a named preference of the cluster"},
    {"points", "K", OPTION_POINTS, "front", "points of the front, 2 to 65, default 33"},
    {"subband", "INDEX", OPTION_SUBBAND, "front", "of which subband, default 0"},
    {"svg", "FILE", OPTION_SVG, "front", "draw into FILE as well; - for standard output only"},
    {"table", NULL, OPTION_TABLE, "front", "print the points below the drawing"},
    {"once", NULL, OPTION_ONCE, "top", "one frame, then end"},
    {"batch", "N", OPTION_BATCH, "top", "N frames, one below the other, then end"},
    {"interval", "S", OPTION_INTERVAL, "top", "at least S seconds between two frames"},
    {"sort", "KEY", OPTION_SORT, "top", "clusters by id, rate, latency, missed, wsr, rms or age"},
    {"count", "N", OPTION_COUNT, "watch", "stop after N lines"},
    {"root", "DIR", OPTION_ROOT, "doctor", "look at the machine below DIR; asks no daemon"},
    {"real-time", NULL, OPTION_REAL_TIME, "doctor", "judge for real-time scheduling"},
    {"offline", NULL, OPTION_OFFLINE, "doctor", "ask no daemon"},
};
enum { OPTION_ROWS = sizeof OPTIONS / sizeof OPTIONS[0] };

static void on_signal(int number)
{
    (void)number;
    beamctl_stop = 1;
}

static void print_options(FILE *out, const char *of)
{
    for (int k = 0; k < OPTION_ROWS; k++) {
        const struct option_row *row = &OPTIONS[k];
        char left[64];
        if (of && row->command && strcmp(row->command, of) != 0) {
            continue;
        }
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->word ? " " : "",
                 row->word ? row->word : "");
        fprintf(out, "  %-28s  %s%s%s\n", left, !of && row->command ? row->command : "",
                !of && row->command ? ": " : "", row->help);
    }
}

/* of NULL: all commands. */
static void print_usage(FILE *out, const char *of)
{
    fprintf(out, "usage: beamctl [options] %s\n\ncommands\n", of ? of : "COMMAND");
    for (size_t k = 0; k < sizeof USAGES / sizeof USAGES[0]; k++) {
        char left[64];
        if (!of || strcmp(USAGES[k].name, of) == 0) {
            snprintf(left, sizeof left, "%s %s", USAGES[k].name, USAGES[k].words);
            fprintf(out, "  %-28s  %s\n", left, USAGES[k].help);
        }
    }
    fputs("\noptions\n", out);
    print_options(out, of);
    fputs(
        "\nSockets are looked for in $BEAMD_RUNTIME_DIR, /run/beamd (root), "
        "$XDG_RUNTIME_DIR/beamd, /tmp/beamd-UID.\n"
        "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon answered; doctor: 1 "
        "something\nis bad, 4 nothing is bad but there are warnings.\n",
        out);
}

static const command *command_find(const char *name)
{
    for (int k = 0; k < COMMAND_COUNT; k++) {
        if (strcmp(COMMANDS[k].name, name) == 0) {
            return &COMMANDS[k];
        }
    }
    return NULL;
}

static bool parse_count(const char *text, unsigned long least, unsigned long most,
                        unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return end != text && *end == 0 && text[0] != '-' && errno == 0 && *out >= least &&
           *out <= most;
}

static int take_number(beamctl_settings *s, option_id id, const char *text)
{
    unsigned long number = 0;
    char *end;
    switch (id) {
    case OPTION_TIMEOUT:
        if (!parse_count(text, 0, 3600000, &number)) {
            return beamctl_wrong_usage("--timeout takes milliseconds, at most one hour");
        }
        s->timeout_ms = (int)number;
        s->connection.send_timeout_ms = (int)number;
        s->has_timeout = true;
        return 0;
    case OPTION_COUNT:
        return parse_count(text, 0, 1000000000, &s->count)
                   ? 0
                   : beamctl_wrong_usage("--count takes a whole number");
    case OPTION_BATCH:
        return parse_count(text, 1, 1000000000, &s->batch)
                   ? 0
                   : beamctl_wrong_usage("--batch takes a whole number above 0");
    case OPTION_POINTS:
        if (!parse_count(text, 2, 65, &number)) {
            return beamctl_wrong_usage("--points takes a whole number from 2 to 65");
        }
        s->points = (unsigned)number;
        return 0;
    case OPTION_SUBBAND:
        if (!parse_count(text, 0, 274, &number)) {
            return beamctl_wrong_usage("--subband takes a whole number from 0 to 274");
        }
        s->subband = (unsigned)number;
        return 0;
    default: /* OPTION_INTERVAL */
        s->interval_s = strtod(text, &end);
        return end != text && *end == 0 && s->interval_s >= 0 && s->interval_s <= 3600
                   ? 0
                   : beamctl_wrong_usage("--interval takes seconds from 0 to 3600");
    }
}

static int take_option(beamctl_settings *s, option_id id, const char *text)
{
    switch (id) {
    case OPTION_JSON:
        s->json = true;
        return 0;
    case OPTION_RUNTIME_DIR:
        s->connection.runtime_dir = text;
        return 0;
    case OPTION_CONTROL:
        s->connection.control_endpoint = text;
        return 0;
    case OPTION_BEAMS:
        s->connection.beams_endpoint = text;
        return 0;
    case OPTION_TELEMETRY:
        s->connection.telemetry_endpoint = text;
        return 0;
    case OPTION_CURVE_SERVER:
        s->connection.curve_server_key = text;
        return 0;
    case OPTION_CURVE_SECRET:
        s->connection.curve_secret_key = text;
        return strncmp(text, "file:", 5) == 0
                   ? 0
                   : beamctl_wrong_usage("--curve-secret-key takes file:PATH: everybody sees the "
                                         "command lines of others");
    case OPTION_CURVE_PUBLIC:
        s->connection.curve_public_key = text;
        return 0;
    case OPTION_NAME:
        s->name = text;
        return 0;
    case OPTION_SVG:
        s->svg = text;
        return 0;
    case OPTION_TABLE:
        s->table = true;
        return 0;
    case OPTION_ONCE:
        s->batch = 1;
        return 0;
    case OPTION_SORT:
        s->sort = text;
        return 0;
    case OPTION_ROOT:
        s->root = text;
        return 0;
    case OPTION_REAL_TIME:
        s->real_time = true;
        return 0;
    case OPTION_OFFLINE:
        s->offline = true;
        return 0;
    default:
        return take_number(s, id, text);
    }
}

/* Options of other commands are refused: what is ignored misleads. */
static int check_belongs(const bool *given, const command *c)
{
    for (int k = 0; k < OPTION_ROWS; k++) {
        if (given[k] && OPTIONS[k].command && strcmp(OPTIONS[k].command, c->name) != 0) {
            return beamctl_wrong_usage("--%s belongs to %s", OPTIONS[k].name, OPTIONS[k].command);
        }
    }
    return 0;
}

static int dispatch(const beamctl_settings *s, const bool *given, bool help, int argc, char **argv)
{
    const command *c = argc > 0 ? command_find(argv[0]) : NULL;
    if (help) {
        print_usage(stdout, c ? c->name : NULL);
        return BEAMCTL_DONE;
    }
    if (argc == 0) {
        print_usage(stderr, NULL);
        return BEAMCTL_USAGE;
    }
    if (!c && strcmp(argv[0], "keygen") == 0) {
        return beamctl_wrong_usage("keygen comes first: its options are its own");
    }
    if (!c) {
        return beamctl_wrong_usage("unknown command %s", argv[0]);
    }
    if (argc - 1 < c->least || argc - 1 > c->most) {
        return beamctl_wrong_usage("%s with the wrong arguments", c->name);
    }
    const int wrong = check_belongs(given, c);
    return wrong ? wrong : c->run(s, argc, argv);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "keygen") == 0) { /* it has options of its own, and no daemon */
        return beamctl_keygen(argc - 1, argv + 1);
    }
    struct option options[OPTION_ROWS + 1] = {{NULL, 0, NULL, 0}};
    for (int k = 0; k < OPTION_ROWS; k++) {
        options[k] =
            (struct option){OPTIONS[k].name, OPTIONS[k].word ? required_argument : no_argument,
                            NULL, (int)OPTIONS[k].id};
    }
    beamctl_settings s = {.connection = beamc_options_default(), .timeout_ms = 2000};
    s.connection.send_timeout_ms = s.timeout_ms;
    bool given[OPTION_ROWS] = {false}, help = false;
    int option, row = 0;
    while ((option = getopt_long(argc, argv, "h", options, &row)) != -1) {
        if (option == OPTION_VERSION) {
            puts("beamctl " BEAMCTL_VERSION);
            return BEAMCTL_DONE;
        }
        if (option == '?') {
            return BEAMCTL_USAGE;
        }
        if (option == 'h' || option == OPTION_HELP) {
            help = true;
            continue;
        }
        given[row] = true;
        const int wrong = take_option(&s, (option_id)option, optarg);
        if (wrong) {
            return wrong;
        }
    }
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int status = dispatch(&s, given, help, argc - optind, argv + optind);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == BEAMCTL_DONE) {
        status = beamctl_failed("standard output: %s", strerror(errno));
    }
    return status;
}

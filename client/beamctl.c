/* beamctl: what an operator sees and sets. This file: the command line and dispatch. */
#include "beamctl.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beamctl_table.h"
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

static void on_signal(int number)
{
    (void)number;
    beamctl_stop = 1;
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

static int take_number(beamctl_settings *s, beamctl_option_id id, const char *text)
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

static int take_option(beamctl_settings *s, beamctl_option_id id, const char *text)
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
    for (int k = 0; k < BEAMCTL_OPTION_ROWS; k++) {
        if (given[k] && BEAMCTL_OPTIONS[k].command &&
            strcmp(BEAMCTL_OPTIONS[k].command, c->name) != 0) {
            return beamctl_wrong_usage("--%s belongs to %s", BEAMCTL_OPTIONS[k].name,
                                       BEAMCTL_OPTIONS[k].command);
        }
    }
    return 0;
}

static int dispatch(const beamctl_settings *s, const bool *given, bool help, int argc, char **argv)
{
    const command *c = argc > 0 ? command_find(argv[0]) : NULL;
    if (help) {
        beamctl_print_usage(stdout, c ? c->name : NULL);
        return BEAMCTL_DONE;
    }
    if (argc == 0) {
        beamctl_print_usage(stderr, NULL);
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
    struct option options[BEAMCTL_OPTION_ROWS + 1] = {{NULL, 0, NULL, 0}};
    for (int k = 0; k < BEAMCTL_OPTION_ROWS; k++) {
        options[k] = (struct option){BEAMCTL_OPTIONS[k].name,
                                     BEAMCTL_OPTIONS[k].word ? required_argument : no_argument,
                                     NULL, (int)BEAMCTL_OPTIONS[k].id};
    }
    beamctl_settings s = {.connection = beamc_options_default(), .timeout_ms = 2000};
    s.connection.send_timeout_ms = s.timeout_ms;
    bool given[BEAMCTL_OPTION_ROWS] = {false}, help = false;
    int option, row = 0;
    while ((option = getopt_long(argc, argv, "h", options, &row)) != -1) {
        if (option == OPTION_VERSION) {
            puts("beamctl " BEAMCTL_VERSION);
            return BEAMCTL_DONE;
        }
        if (option == OPTION_MAN) {
            beamctl_print_manual(stdout, BEAMCTL_VERSION);
            return fflush(stdout) != 0 ? beamctl_failed("standard output: %s", strerror(errno))
                                       : BEAMCTL_DONE;
        }
        if (option == '?') {
            return BEAMCTL_USAGE;
        }
        if (option == 'h' || option == OPTION_HELP) {
            help = true;
            continue;
        }
        given[row] = true;
        const int wrong = take_option(&s, (beamctl_option_id)option, optarg);
        if (wrong) {
            return wrong;
        }
    }
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGQUIT, &action, NULL); /* of a terminal that is to be restored */
    sigaction(SIGHUP, &action, NULL);
    int status = dispatch(&s, given, help, argc - optind, argv + optind);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == BEAMCTL_DONE) {
        status = beamctl_failed("standard output: %s", strerror(errno));
    }
    return status;
}

/* beamctl: what an operator sees and sets. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beamctl.h"

enum { EXIT_USAGE = 2 };

typedef struct beamctl_settings {
    beamc_options connection;
    int timeout_ms;
    unsigned long count; /* watch: stop after so many, 0: never */
    bool json;
} beamctl_settings;

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static const char USAGE[] =
    "usage: beamctl [options] COMMAND\n"
    "\n"
    "commands\n"
    "  status [CLUSTER]                the daemon and its clusters, or one of them\n"
    "  clusters                        registered clusters and their sizes\n"
    "  preference get CLUSTER          the trade-off in use\n"
    "  preference set CLUSTER TAU      TAU from 0, communication only, to 1, sensing only\n"
    "  model                           the network's model: sizes, checksum, training\n"
    "  model reload [FILE]             read FILE, or the configured model again, and use it\n"
    "  watch CLUSTER                   published solutions as they come\n"
    "\n"
    "options\n"
    "  --json                  one JSON object per line\n"
    "  --runtime-dir DIR       where the daemon's sockets are\n"
    "  --control ENDPOINT      ZeroMQ endpoint of the control socket\n"
    "  --beams ENDPOINT        ZeroMQ endpoint of the beams socket\n"
    "  --timeout MS            longest wait for an answer, default 2000\n"
    "  --count N               watch: stop after N solutions\n"
    "  --help, --version\n"
    "\n"
    "Sockets are looked for in $BEAMD_RUNTIME_DIR, /run/beamd (root), $XDG_RUNTIME_DIR/beamd, "
    "/tmp/beamd-UID.\n"
    "Exit status: 0 done, 1 the daemon refused or did not answer, 2 wrong usage.\n";

static int fail(const beamc_error *err)
{
    if (err->code == BEAMC_E_REFUSED) {
        fprintf(stderr, "beamctl: refused (%s): %s%s%s\n", beamc_refusal_text(err->refusal),
                err->field, err->field[0] ? ": " : "", err->text);
    } else {
        fprintf(stderr, "beamctl: %s: %s\n", beamc_code_text(err->code), err->text);
    }
    return err->code == BEAMC_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE;
}

static int wrong_usage(const char *sentence)
{
    fprintf(stderr, "beamctl: %s; see beamctl --help\n", sentence);
    return EXIT_USAGE;
}

static int run_status(beamc_client *client, const beamctl_settings *s, const char *cluster)
{
    beamc_status status;
    beamc_error err;
    if (beamc_status_get(client, cluster, s->timeout_ms, &status, &err)) {
        return fail(&err);
    }
    beamctl_print_status(&status, s->json);
    return EXIT_SUCCESS;
}

static int run_clusters(beamc_client *client, const beamctl_settings *s)
{
    beamc_status status;
    beamc_error err;
    if (beamc_cluster_list(client, s->timeout_ms, &status, &err)) {
        return fail(&err);
    }
    beamctl_print_clusters(&status, s->json);
    return EXIT_SUCCESS;
}

static int run_preference(beamc_client *client, const beamctl_settings *s, int argc, char **argv)
{
    beamc_preference preference;
    beamc_error err;
    if (argc == 3 && strcmp(argv[1], "get") == 0) {
        if (beamc_preference_get(client, argv[2], s->timeout_ms, &preference, &err)) {
            return fail(&err);
        }
    } else if (argc == 4 && strcmp(argv[1], "set") == 0) {
        char *end;
        const double tradeoff = strtod(argv[3], &end);
        if (end == argv[3] || *end || !(tradeoff >= 0 && tradeoff <= 1)) {
            return wrong_usage("TAU is a number from 0 to 1");
        }
        if (beamc_preference_set(client, argv[2], tradeoff, s->timeout_ms, &preference, &err)) {
            return fail(&err);
        }
    } else {
        return wrong_usage("preference takes 'get CLUSTER' or 'set CLUSTER TAU'");
    }
    beamctl_print_preference(argv[2], &preference, s->json);
    return EXIT_SUCCESS;
}

/* The daemon's directory is another: it gets a path that does not depend on it. */
static bool absolute_path(const char *file, char *out, size_t size)
{
    char here[4096];
    const int n = file[0] == '/'                      ? snprintf(out, size, "%s", file)
                  : getcwd(here, sizeof here) != NULL ? snprintf(out, size, "%s/%s", here, file)
                                                      : -1;
    return n > 0 && (size_t)n < size;
}

static int run_model(beamc_client *client, const beamctl_settings *s, int argc, char **argv)
{
    beamc_model_state state;
    beamc_error err;
    beamc_code code;
    if (argc == 1) {
        code = beamc_model_get(client, s->timeout_ms, &state, &err);
    } else if (argc <= 3 && strcmp(argv[1], "reload") == 0) {
        char path[512];
        if (argc == 3 && !absolute_path(argv[2], path, sizeof path)) {
            return wrong_usage("the path of FILE is longer than 511 bytes");
        }
        code = beamc_model_reload(client, argc == 3 ? path : NULL, s->timeout_ms, &state, &err);
    } else {
        return wrong_usage("model takes nothing, or 'reload [FILE]'");
    }
    if (code) {
        return fail(&err);
    }
    beamctl_print_model(&state, s->json);
    return EXIT_SUCCESS;
}

static int run_watch(beamc_client *client, const beamctl_settings *s, const char *cluster)
{
    beamc_error err;
    if (beamc_subscribe(client, cluster, &err)) {
        return fail(&err);
    }
    unsigned long lines = 0;
    int quiet = 0;
    while (!stop_asked && (s->count == 0 || lines < s->count)) {
        beamc_answer answer;
        const beamc_code code = beamc_receive(client, 500, &answer, &err);
        if (code == BEAMC_E_TIMEOUT) {
            if (lines == 0 &&
                ++quiet == 4) { /* a subscription cannot tell a silent cluster from none */
                fprintf(stderr,
                        "beamctl: no solution of %s yet; is it registered, is beamd running?\n",
                        cluster);
            }
            continue;
        }
        if (code) {
            return fail(&err);
        }
        if (answer.kind == BEAMC_ANSWER_PUBLISHED) {
            beamctl_print_solution(&answer, s->json, &lines);
        }
    }
    return EXIT_SUCCESS;
}

static int run(const beamctl_settings *s, int argc, char **argv)
{
    beamc_client *client;
    beamc_error err;
    if (beamc_connect(&client, &s->connection, &err)) {
        return fail(&err);
    }
    int status;
    if (strcmp(argv[0], "status") == 0 && argc <= 2) {
        status = run_status(client, s, argc == 2 ? argv[1] : NULL);
    } else if (strcmp(argv[0], "clusters") == 0 && argc == 1) {
        status = run_clusters(client, s);
    } else if (strcmp(argv[0], "preference") == 0) {
        status = run_preference(client, s, argc, argv);
    } else if (strcmp(argv[0], "model") == 0) {
        status = run_model(client, s, argc, argv);
    } else if (strcmp(argv[0], "watch") == 0 && argc == 2) {
        status = run_watch(client, s, argv[1]);
    } else {
        status = wrong_usage("unknown command, or one with the wrong arguments");
    }
    beamc_close(&client);
    return status;
}

static bool parse_count(const char *text, unsigned long max, unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return end != text && *end == 0 && text[0] != '-' && errno == 0 && *out <= max;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"runtime-dir", required_argument, NULL, 'r'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"beams", required_argument, NULL, 'b'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    beamctl_settings s = {.connection = beamc_options_default(), .timeout_ms = 2000};
    unsigned long number;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            s.json = true;
            break;
        case 'r':
            s.connection.runtime_dir = optarg;
            break;
        case 'c':
            s.connection.control_endpoint = optarg;
            break;
        case 'b':
            s.connection.beams_endpoint = optarg;
            break;
        case 't':
            if (!parse_count(optarg, 3600000, &number)) {
                return wrong_usage("--timeout takes milliseconds, at most one hour");
            }
            s.timeout_ms = (int)number;
            s.connection.send_timeout_ms = (int)number;
            break;
        case 'n':
            if (!parse_count(optarg, 1000000000, &s.count)) {
                return wrong_usage("--count takes a whole number");
            }
            break;
        case 'h':
            fputs(USAGE, stdout);
            return EXIT_SUCCESS;
        case 'V':
            puts("beamctl " BEAMCTL_VERSION);
            return EXIT_SUCCESS;
        default:
            return EXIT_USAGE;
        }
    }
    if (optind == argc) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return run(&s, argc - optind, argv + optind);
}

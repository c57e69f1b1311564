/* beamd: the order in which everything starts, and its exact reverse. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "float_mode.h"
#include "keys.h"
#include "service.h"

/* Started from top to bottom, stopped from bottom to top. */
static const beamd_step steps[] = {
    {"runtime directory", beamd_directory_start, beamd_directory_stop},
    {"service manager", beamd_notify_start, beamd_notify_stop},
    {"real time", beamd_realtime_begin, beamd_realtime_end},
    {"event loop", beamd_loop_start, beamd_loop_stop},
    {"GPUs", beamd_gpus_start, beamd_gpus_stop},
    {"core", beamd_core_start, beamd_core_stop},
    {"model", beamd_model_start, beamd_model_stop},
    {"state", beamd_service_state_start, beamd_service_state_stop},
    {"solver threads", beamd_pools_start, beamd_pools_stop},
    {"sockets", beamd_sockets_start, beamd_sockets_stop},
    {"metrics", beamd_metrics_start, beamd_metrics_stop},
    {"telemetry", beamd_service_telemetry_start, beamd_service_telemetry_stop},
    {"loop's thread", beamd_loop_thread_begin, beamd_loop_thread_end},
    {"signals and timers", beamd_events_start, beamd_events_stop}, /* says READY */
};

enum { STEPS = sizeof steps / sizeof steps[0], EXIT_USAGE = 2 };

static int serve(beamd_service *service)
{
    char why[512] = "";
    int status = EXIT_SUCCESS;
    int started = 0;
    while (started < STEPS && status == EXIT_SUCCESS) {
        if (!steps[started].start(service, why, sizeof why)) {
            BEAMD_LOG(BEAMD_LOG_ERR, "event=start_failed step=\"%s\" why=\"%s\"",
                      steps[started].name, why);
            status = EXIT_FAILURE;
        }
        started++;
    }
    if (status == EXIT_SUCCESS) {
        BEAMD_LOG(BEAMD_LOG_NOTICE,
                  "event=serving version=%s csi=%s beams=%s control=%s metrics=%s workers=%lld",
                  BEAMD_VERSION, service->config.csi_endpoint, service->config.beams_endpoint,
                  service->config.control_endpoint, service->config.metrics_endpoint,
                  service->config.workers);
        beamd_loop_run(service->loop);
    }
    while (started > 0) {
        steps[--started].stop(service);
    }
    if (status == EXIT_SUCCESS) {
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=stopped");
    }
    return status;
}

static const char usage[] =
    "usage: beamd [--config FILE] [--runtime-dir DIR] [--set KEY=VALUE]...\n"
    "       beamd --check-config FILE | --dump-config | --man | --version | --help\n"
    "Serves robust beamformers for streamed channel estimates and targets. Without a file the\n"
    "defaults of --dump-config hold. SIGTERM drains, SIGHUP reads the file again.\n";

/* The documented file, or the manual page beamd.conf(5). */
static int print_config(size_t (*write)(char *out, size_t size))
{
    static char text[65536];
    const size_t n = write(text, sizeof text);
    return n < sizeof text && fwrite(text, 1, n, stdout) == n ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* What the command line asks for. */
typedef struct command {
    const char *config_path;
    bool check_only;
    char settings[8192]; /* of --set and --runtime-dir: parsed like a file, after the file */
    size_t used;
} command;

/* -1: go on; else the exit status. */
static int read_command(command *self, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"runtime-dir", required_argument, NULL, 'r'},
                                            {"set", required_argument, NULL, 's'},
                                            {"check-config", required_argument, NULL, 'k'},
                                            {"dump-config", no_argument, NULL, 'd'},
                                            {"man", no_argument, NULL, 'm'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'k':
        case 'c':
            self->check_only = option == 'k';
            self->config_path = optarg;
            break;
        case 'r':
        case 's':
            self->used +=
                (size_t)snprintf(self->settings + self->used, sizeof self->settings - self->used,
                                 "%s%s\n", option == 'r' ? "runtime_dir = " : "", optarg);
            if (self->used >= sizeof self->settings) {
                fprintf(stderr, "beamd: too many settings on the command line\n");
                return EXIT_USAGE;
            }
            break;
        case 'd':
            return print_config(beamd_config_dump);
        case 'm':
            return print_config(beamd_config_manual);
        case 'v':
            puts("beamd " BEAMD_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return -1;
}

/* --check-config: what the configuration names must be good too. */
static int check_files(const beamd_config *config, const char *path)
{
    beamd_config_error err;
    beam_error model_err;
    char why[400];
    beamd_model *model =
        config->model_file[0] ? beamd_model_read(config->model_file, &model_err) : NULL;
    beamd_keys *keys =
        config->curve_dir[0] ? beamd_keys_read(config->curve_dir, why, sizeof why) : NULL;
    const bool bad_model = config->model_file[0] && !model;
    const bool bad_keys = config->curve_dir[0] && !keys;
    beamd_model_release(&model);
    beamd_keys_destroy(&keys);
    if (bad_model) {
        beamd_config_refuse(config, &err, "model_file", "%s: %s: %s", config->model_file,
                            model_err.field, model_err.text);
    } else if (bad_keys) {
        beamd_config_refuse(config, &err, "curve_dir", "%s", why);
    } else {
        printf("%s: good\n", path);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "beamd: %s\n", err.text);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static beamd_service service = {.lock_fd = -1, .notify = {.fd = -1}};
    static command line;
    const int status = read_command(&line, argc, argv);
    if (status >= 0) {
        return status;
    }
    beamd_config *config = &service.config;
    beamd_config_error err;
    beamd_config_default(config);
    if ((line.config_path && !beamd_config_read(config, line.config_path, &err)) ||
        !beamd_config_parse(config, "command line", line.settings, line.used, &err) ||
        !beamd_config_resolve(config, &err)) {
        fprintf(stderr, "beamd: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (line.check_only) {
        return check_files(config, line.config_path);
    }
    service.config_path = line.config_path;
    service.settings = line.settings;
    service.settings_bytes = line.used;
    beamd_log_setup(beamd_service_log_level(config), (unsigned)config->log_per_second);
    beamd_float_mode_set();
    return serve(&service);
}

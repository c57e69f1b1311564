/* beamd-gpu: started by beamd, not by hand. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "worker/worker.h"

#ifdef BEAMG_TEST
static const beamg_backend *const backends[] = {&beamg_backend_host, &beamg_backend_emulated,
                                                &beamg_backend_cuda};
#else
static const beamg_backend *const backends[] = {&beamg_backend_cuda};
#endif

static const char usage[] =
    "usage: beamd-gpu --memory-fd N --request-fd N --answer-fd N [--parent PID] [--cpus LIST]\n"
    "                 [--spin-us N] [--backend NAME]\n"
    "       beamd-gpu --probe\n"
    "The process of beamd that holds the GPU. beamd starts it; by hand only --probe is of use: one "
    "line\nwith the devices that there are, or why there are none and status 69.\n";

static bool number(const char *text, long low, long high, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return end != text && *end == 0 && errno == 0 && *out >= low && *out <= high;
}

static const beamg_backend *backend_named(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

static bool set_option(beamg_options *options, int key, const char *text)
{
    long value = 0;
    switch (key) {
    case 'm':
        return number(text, 0, 1 << 20, &value) && ((options->memory_fd = (int)value), true);
    case 'r':
        return number(text, 0, 1 << 20, &value) && ((options->request_fd = (int)value), true);
    case 'a':
        return number(text, 0, 1 << 20, &value) && ((options->answer_fd = (int)value), true);
    case 'p':
        return number(text, 1, 1 << 30, &value) && ((options->parent = (pid_t)value), true);
    case 's':
        return number(text, 0, 1000000, &options->spin_us);
    case 'c':
        options->cpus = text;
        return true;
    case 'b':
        options->backend = backend_named(text);
        return options->backend != NULL;
    case 'P':
        options->probe = true;
        return true;
    case 'f':
        options->fault = text;
        return beamg_fault_known(text);
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, beamg_options *options)
{
    static const struct option known[] = {
        {"memory-fd", required_argument, NULL, 'm'}, {"request-fd", required_argument, NULL, 'r'},
        {"answer-fd", required_argument, NULL, 'a'}, {"parent", required_argument, NULL, 'p'},
        {"cpus", required_argument, NULL, 'c'},      {"spin-us", required_argument, NULL, 's'},
        {"backend", required_argument, NULL, 'b'},   {"probe", no_argument, NULL, 'P'},
        {"fault", required_argument, NULL, 'f'},     {NULL, 0, NULL, 0}};
    int key;
    while ((key = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (!set_option(options, key, optarg)) {
            return false;
        }
    }
    return optind == argc &&
           (options->probe ||
            (options->memory_fd >= 0 && options->request_fd >= 0 && options->answer_fd >= 0));
}

int main(int argc, char **argv)
{
    static beamg_worker worker;
    beamg_options options = {
        .memory_fd = -1, .request_fd = -1, .answer_fd = -1, .backend = backends[0]};
    if (!parse(argc, argv, &options)) {
        (void)fputs(usage, stderr);
        return BEAMG_EXIT_USAGE;
    }
    if (options.probe) {
        char text[BEAMG_TEXT_BYTES];
        const int code = options.backend->probe(text, sizeof text);
        return puts(text) < 0 || fflush(stdout) != 0 ? BEAMG_EXIT_USAGE : code;
    }
    /* beamd may have ended before this took effect: then the parent is another already */
    if (options.parent != 0 &&
        (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != options.parent)) {
        return BEAMG_EXIT_USAGE;
    }
    const int code = beamg_worker_run(&worker, &options);
    /* beamd reads the reason in the shared memory and says it; without one it is said here */
    if (!worker.area.header) {
        (void)fprintf(stderr, "beamd-gpu: %s\n", worker.why);
    }
    _exit(code); /* the heart's thread and a broken driver are not waited for */
}

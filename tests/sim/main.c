/* sim [--hours H] [--seed N] [--scenario NAME] [--verbose] [--list] [--twice]: docs/simulator.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "sim/sim.h"

typedef struct options {
    double hours;
    uint64_t seed;
    const char *scenario;
    bool verbose, list, twice, log;
} options;

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--hours H] [--seed N] [--scenario NAME] [--verbose] [--list] [--twice] "
            "[--log]\n",
            program);
    return 2;
}

static bool parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            o->list = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            o->twice = true;
        } else if (strcmp(argv[i], "--log") == 0) {
            o->log = true;
        } else if (strcmp(argv[i], "--hours") == 0 && atof(value) > 0) {
            o->hours = atof(value);
            i++;
        } else if (strcmp(argv[i], "--seed") == 0 && value[0]) {
            o->seed = strtoull(value, NULL, 0);
            i++;
        } else if (strcmp(argv[i], "--scenario") == 0 && value[0]) {
            o->scenario = value;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

static double wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print_gpu(const sim_counts *n)
{
    printf("  %llu batches to GPUs, %llu answers; %llu requests in time after a loss, %llu answers "
           "too late, %llu refused; lost:",
           (unsigned long long)n->gpu_batches, (unsigned long long)n->gpu_problems,
           (unsigned long long)n->gpu_saved, (unsigned long long)n->gpu_late,
           (unsigned long long)n->gpu_gone);
    for (int k = 0; k < BEAMD_GPU_LOSSES; k++) {
        if (n->gpu_lost[k] + n->gpu_ended[k] > 0) {
            printf(" %s %llu (%llu workers)", beamd_gpu_loss_text((beamd_gpu_loss)k),
                   (unsigned long long)n->gpu_lost[k], (unsigned long long)n->gpu_ended[k]);
        }
    }
    printf("\n");
}

static void print(const sim_scenario *c, const sim_outcome *o, double took_s)
{
    const sim_counts *n = &o->counts;
    uint64_t hits, misses;
    sim_answers_counts(&hits, &misses);
    printf("%-22s %7.1f min %8llu req %7llu F %6llu R %6llu C %6llu H %6llu late %6llu sup "
           "%5llu busy %5llu pub %5.1f s %5llu made %016llx\n",
           c->name, o->simulated_s / 60, (unsigned long long)n->requests,
           (unsigned long long)n->service[0], (unsigned long long)n->service[1],
           (unsigned long long)n->service[2], (unsigned long long)n->service[3],
           (unsigned long long)n->late,
           (unsigned long long)n->code[BEAMD__ERROR_CODE__ERROR_SUPERSEDED],
           (unsigned long long)n->code[BEAMD__ERROR_CODE__ERROR_BUSY],
           (unsigned long long)n->unsolicited, took_s, (unsigned long long)misses,
           (unsigned long long)o->hash);
    if (c->gpu.devices > 0) {
        print_gpu(n);
    }
    fflush(stdout);
}

static bool run(const sim_scenario *c, const options *o, double simulated_s, double *total_s)
{
    const double begin_s = wall_s();
    const sim_outcome outcome = sim_run(c, o->seed, simulated_s, o->hours >= 24, o->verbose);
    print(c, &outcome, wall_s() - begin_s);
    *total_s += outcome.simulated_s;
    if (o->twice) {
        const sim_outcome again = sim_run(c, o->seed, simulated_s, false, false);
        const sim_outcome other = sim_run(c, o->seed + 1, simulated_s, false, false);
        if (again.hash != outcome.hash || other.hash == outcome.hash) {
            fprintf(stderr, "%s: the same seed gave %016llx and %016llx, another %016llx\n",
                    c->name, (unsigned long long)outcome.hash, (unsigned long long)again.hash,
                    (unsigned long long)other.hash);
            return false;
        }
    }
    return true;
}

/* NULL: beyond the last. */
static const sim_scenario *scenario_at(unsigned k)
{
    if (k < sim_scenarios_load_count) {
        return &sim_scenarios_load[k];
    }
    k -= sim_scenarios_load_count;
    if (k < sim_scenarios_fault_count) {
        return &sim_scenarios_fault[k];
    }
    k -= sim_scenarios_fault_count;
    return k < sim_scenarios_gpu_count ? &sim_scenarios_gpu[k] : NULL;
}

int main(int argc, char **argv)
{
    options o = {.hours = 24, .seed = 1};
    if (!parse(argc, argv, &o)) {
        return usage(argv[0]);
    }
    double shares = 0, total_s = 0;
    unsigned ran = 0;
    bool good = true;
    const sim_scenario *c;
    for (unsigned k = 0; (c = scenario_at(k)) != NULL; k++) {
        shares += c->share;
        if (o.list) {
            printf("%-22s %s\n", c->name, c->what);
        }
    }
    if (o.list) {
        return 0;
    }
    const double begin_s = wall_s();
    beamd_log_setup(o.log ? BEAMD_LOG_DEBUG : (beamd_log_level)0, o.log ? 10000 : 0);
    sim_scenes_make();
    for (unsigned k = 0; good && (c = scenario_at(k)) != NULL; k++) {
        if (!o.scenario || strcmp(o.scenario, c->name) == 0) {
            good = run(c, &o, 3600 * o.hours * c->share / shares, &total_s);
            ran++;
        }
    }
    sim_answers_clear();
    sim_scenes_free();
    if (ran == 0) {
        fprintf(stderr, "no scenario \"%s\"\n", o.scenario);
        return 2;
    }
    printf("%u scenarios, seed %llu, %.2f h simulated in %.1f s\n", ran, (unsigned long long)o.seed,
           total_s / 3600, wall_s() - begin_s);
    return good ? 0 : 1;
}

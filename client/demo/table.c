#include "demo/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool demo_latency_create(demo_latency *self)
{
    memset(self, 0, sizeof *self);
    bool made = true;
    for (int k = 0; k < STAGES; k++) {
        self->sample[k] = calloc(DEMO_SAMPLES, sizeof(float));
        made = made && self->sample[k];
    }
    self->sorted = calloc(DEMO_SAMPLES, sizeof(float));
    return made && self->sorted;
}

void demo_latency_destroy(demo_latency *self)
{
    for (int k = 0; k < STAGES; k++) {
        free(self->sample[k]);
    }
    free(self->sorted);
    memset(self, 0, sizeof *self);
}

void demo_latency_add(demo_latency *self, const beamc_latency *l)
{
    const uint64_t daemon_ns =
        l->received_to_queued_ns + l->queued_to_solve_ns + l->solve_ns + l->solve_to_sent_ns;
    const uint64_t ns[STAGES] = {l->received_to_queued_ns,
                                 l->queued_to_solve_ns,
                                 l->solve_ns,
                                 l->solve_to_sent_ns,
                                 daemon_ns,
                                 l->round_trip_ns};
    const size_t at = self->count++ % DEMO_SAMPLES;
    for (int k = 0; k < STAGES; k++) {
        self->sample[k][at] = (float)((double)ns[k] / 1e3);
    }
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double demo_latency_percentile(demo_latency *self, demo_stage stage, double share)
{
    const size_t n = self->count < DEMO_SAMPLES ? self->count : DEMO_SAMPLES;
    if (n == 0) {
        return 0.0;
    }
    memcpy(self->sorted, self->sample[stage], n * sizeof(float));
    qsort(self->sorted, n, sizeof(float), ascending);
    const size_t rank = (size_t)ceil(share * (double)n);
    return (double)self->sorted[rank > 0 ? rank - 1 : 0];
}

static int print_stations(const beamc_solution *s)
{
    printf("  station    power W   sensing W   peak antenna W   slack W\033[K\n");
    for (size_t l = 0; l < s->station_count; l++) {
        const beamc_station_answer *t = &s->stations[l];
        printf("  %7zu %10.4f %11.4f %16.4f %9.4f\033[K\n", l + 1, t->power_w, t->sensing_power_w,
               t->peak_antenna_power_w, t->power_slack_w);
    }
    return 1 + (int)s->station_count;
}

static int print_users(const beamc_solution *s)
{
    printf("  user  station    beam W   rate at estimate   worst-case rate  bit/s/Hz\033[K\n");
    for (size_t u = 0; u < s->user_count; u++) {
        const beamc_user_answer *a = &s->users[u];
        printf("  %4llu %8u %9.4f %18.4f %17.4f%s\033[K\n", (unsigned long long)a->id,
               a->station + 1, a->beam_power_w, a->rate_nominal_bps_hz, a->rate_worst_case_bps_hz,
               a->below_floor ? "  below its floor" : "");
    }
    return 1 + (int)s->user_count;
}

static int print_targets(const beamc_solution *s)
{
    printf("  target   rms bound m   echo SNR dB\033[K\n");
    for (size_t j = 0; j < s->target_count; j++) {
        const beamc_target_answer *t = &s->targets[j];
        if (t->state == BEAMC_TARGET_OK) {
            printf("  %6zu %13.4f %13.1f%s\033[K\n", j + 1, t->rms_bound_m, t->echo_snr_db,
                   t->low_echo_snr ? "  low: the bound is optimistic" : "");
        } else {
            printf("  %6zu  %s\033[K\n", j + 1, beamc_target_state_text(t->state));
        }
    }
    return 1 + (int)s->target_count;
}

static int print_latency(demo_latency *latency)
{
    static const char *const names[STAGES] = {"decode",  "wait",   "solve",
                                              "publish", "daemon", "round trip"};
    printf("  latency us ");
    for (int k = 0; k < STAGES; k++) {
        printf(" %10s", names[k]);
    }
    printf("\033[K\n");
    const double shares[2] = {0.5, 0.99};
    for (int row = 0; row < 2; row++) {
        printf("         %s ", row ? "p99" : "p50");
        for (int k = 0; k < STAGES; k++) {
            printf(" %10.0f", demo_latency_percentile(latency, (demo_stage)k, shares[row]));
        }
        printf("\033[K\n");
    }
    return 3;
}

int demo_table_print(const demo_scenario *scenario, const beamc_solution *s, const demo_counts *c,
                     demo_latency *latency, int redraw_lines)
{
    if (redraw_lines > 0) {
        printf("\033[%dA", redraw_lines);
    }
    int lines = 2;
    printf("%6.2f s   trade-off %.2f, %s   %lu sent, %lu answered, %lu superseded, %lu "
           "refused\033[K\n",
           scenario->time_s, s->preference.tradeoff, beamc_tradeoff_words(s->preference.tradeoff),
           c->sent, c->answered, c->superseded, c->refused);
    printf("  weighted sum rate %.4f at the estimate, %.4f at the worst error (ideal %.4f); by "
           "%s%s\033[K\n",
           s->wsr_nominal_bps_hz, s->wsr_worst_case_bps_hz, s->wsr_ideal_bps_hz,
           beamc_method_text(s->method), s->warm ? ", warm" : "");
    lines += print_stations(s);
    lines += print_users(s);
    lines += print_targets(s);
    lines += print_latency(latency);
    printf("  claims and the client's own numbers differ by at most %.1e\033[K\n", c->worst_claim);
    fflush(stdout);
    return lines + 1;
}

void demo_table_line(const demo_scenario *scenario, const beamc_solution *s, const demo_counts *c,
                     demo_latency *latency, bool heading)
{
    if (heading) {
        printf("%7s %5s %-20s %9s %9s %9s %9s %9s %9s %9s %9s  %s\n", "s", "tau", "", "nominal",
               "worst", "rms1 m", "rms2 m", "power W", "solve p50", "daemon 50", "daemon 99",
               "answered");
    }
    double power = 0.0, rms[2] = {0.0, 0.0};
    for (size_t l = 0; l < s->station_count; l++) {
        power += s->stations[l].power_w;
    }
    for (size_t j = 0; j < s->target_count && j < 2; j++) {
        rms[j] = s->targets[j].rms_bound_m;
    }
    printf("%7.2f %5.2f %-20s %9.4f %9.4f %9.4f %9.4f %9.3f %9.0f %9.0f %9.0f  %lu/%lu\n",
           scenario->time_s, s->preference.tradeoff, beamc_tradeoff_words(s->preference.tradeoff),
           s->wsr_nominal_bps_hz, s->wsr_worst_case_bps_hz, rms[0], rms[1], power,
           demo_latency_percentile(latency, STAGE_SOLVE, 0.5),
           demo_latency_percentile(latency, STAGE_DAEMON, 0.5),
           demo_latency_percentile(latency, STAGE_DAEMON, 0.99), c->answered, c->sent);
    fflush(stdout);
}

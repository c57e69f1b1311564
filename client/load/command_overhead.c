/* Ping and daemon in turn, so that both meet the same machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/commands.h"
#include "load/pings.h"
#include "load/report.h"
#include "load/session.h"

enum { PHASES = 3 }; /* ping with one thread, with two, daemon */

typedef struct overhead {
    load_session session;
    load_pings p;
    load_result *sum[PHASES], *one;
    /* of each round: (end to end p50 - solve p50) / ping p50 */
    double *ratio[2];
} overhead;

static double p50(const load_result *r, load_stage stage)
{
    return load_histogram_quantile_us(&r->stage[stage], 0.5);
}

/* from: LOAD_STAGE_END_TO_END, from the intended send, or LOAD_STAGE_ROUND_TRIP, from the actual
 * one, without the generator's own lateness on either side. */
static double ratio_of(const load_result *daemon, const load_result *ping, load_stage from)
{
    return (p50(daemon, from) - p50(daemon, LOAD_STAGE_SOLVE)) / p50(ping, from);
}

/* A short run of the daemon alone: warms it up, and tells how long its answers are. */
static int measure_answer(overhead *self, size_t *bytes, load_error *err)
{
    load_spec spec = load_spec_from(self->session.options);
    spec.seconds = 1;
    if (load_run(self->session.fleet, self->session.daemon, &spec, self->one, err) < 0) {
        return -1;
    }
    if (self->one->answers == 0) {
        return load_fail(err, "the daemon answers no CSI%s%s",
                         self->one->first_error[0] ? ": " : "", self->one->first_error);
    }
    *bytes = (size_t)(self->one->bytes_in / self->one->answers);
    return 0;
}

static int one_round(overhead *self, const load_spec *spec, long long round, load_error *err)
{
    double per_round[2];
    for (int phase = 0; phase < PHASES; phase++) {
        load_spec own = *spec;
        own.echo = phase < 2;
        own.traffic.seed += (uint64_t)(round * PHASES + phase);
        const int status =
            phase < 2 ? load_run(self->session.fleet, self->p.socket[phase], &own, self->one, err)
                      : load_session_run(&self->session, &own, self->one, err);
        if (status < 0 || load_stop_asked()) {
            return status < 0 ? -1 : load_fail(err, "interrupted");
        }
        load_result_merge(self->sum[phase], self->one);
        if (phase < 2) {
            per_round[phase] = p50(self->one, LOAD_STAGE_END_TO_END);
        }
    }
    const double own = p50(self->one, LOAD_STAGE_END_TO_END) - p50(self->one, LOAD_STAGE_SOLVE);
    for (int k = 0; k < 2; k++) {
        self->ratio[k][round] = own / per_round[k];
    }
    return 0;
}

static int measure(overhead *self, size_t *bytes, load_error *err)
{
    const load_options *o = self->session.options;
    load_spec spec = load_spec_from(o);
    spec.count = 0;
    spec.seconds = o->seconds / (double)o->rounds;
    spec.warmup_s = o->warmup_s < 0.2 ? o->warmup_s : 0.2;
    if (measure_answer(self, bytes, err) < 0 || load_pings_set_bytes(&self->p, *bytes, err) < 0) {
        return -1;
    }
    for (long long round = 0; round < o->rounds; round++) {
        if (one_round(self, &spec, round, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static json_t *ratio_json(const overhead *self, int k, long long rounds)
{
    return json_pack(
        "{s:f,s:f,s:f,s:f}", "ratio", ratio_of(self->sum[2], self->sum[k], LOAD_STAGE_END_TO_END),
        "ratio_round_trip", ratio_of(self->sum[2], self->sum[k], LOAD_STAGE_ROUND_TRIP),
        "least_of_rounds", self->ratio[k][0], "most_of_rounds", self->ratio[k][rounds - 1]);
}

static void overhead_print(const overhead *self, size_t bytes)
{
    const load_options *o = self->session.options;
    load_report_setup(o, self->session.fleet);
    printf("answers of %zu bytes; %lld rounds of ping, ping, daemon\n", bytes, o->rounds);
    printf("%-20s %10s %10s %10s %10s %10s\n", "microseconds", "p50", "p90", "p99", "p99.9", "max");
    for (int k = 0; k < 2; k++) {
        load_report_row(LOAD_PING_NAMES[k], &self->sum[k]->stage[LOAD_STAGE_END_TO_END]);
        printf("%s\n", k == 1 ? o->spin ? "  worker spins" : "  worker blocks" : "");
    }
    printf("\nbeamd\n");
    load_report_result(self->sum[2], o, false);
    printf("\noverhead: (end to end p50 - solve p50) / ping p50 = (%.1f - %.1f) us / ping\n",
           p50(self->sum[2], LOAD_STAGE_END_TO_END), p50(self->sum[2], LOAD_STAGE_SOLVE));
    for (int k = 1; k >= 0; k--) {
        printf("  over the %-18s %.2f  (rounds %.2f to %.2f); from the actual send %.2f\n",
               LOAD_PING_NAMES[k], ratio_of(self->sum[2], self->sum[k], LOAD_STAGE_END_TO_END),
               self->ratio[k][0], self->ratio[k][o->rounds - 1],
               ratio_of(self->sum[2], self->sum[k], LOAD_STAGE_ROUND_TRIP));
    }
    if (o->verify_share > 0) {
        load_report_verdict(&self->session.verdict);
    }
}

static int overhead_report(overhead *self, size_t bytes)
{
    const load_options *o = self->session.options;
    load_error err = {""};
    bool ok = load_session_verify(&self->session, &err) == 0;
    for (int k = 0; k < PHASES && ok; k++) {
        ok = load_result_whole(self->sum[k], &err);
    }
    for (int k = 0; k < 2; k++) {
        qsort(self->ratio[k], (size_t)o->rounds, sizeof(double), compare_doubles);
    }
    if (o->json) {
        json_t *out = json_object();
        json_object_set_new(out, "setup", load_report_setup_json(o, self->session.fleet));
        json_object_set_new(out, "answer_bytes", json_integer((json_int_t)bytes));
        json_object_set_new(out, "spin", json_boolean(o->spin));
        json_object_set_new(out, "ping_one_thread", load_report_result_json(self->sum[0], o));
        json_object_set_new(out, "ping_two_threads", load_report_result_json(self->sum[1], o));
        json_object_set_new(out, "daemon", load_report_result_json(self->sum[2], o));
        json_object_set_new(out, "over_one_thread", ratio_json(self, 0, o->rounds));
        json_object_set_new(out, "over_two_threads", ratio_json(self, 1, o->rounds));
        if (o->verify_share > 0) {
            json_object_set_new(out, "verify", load_report_verdict_json(&self->session.verdict));
        }
        load_report_print_json(out, ok, &err);
        return ok ? LOAD_EXIT_OK : load_command_fail(&err);
    }
    overhead_print(self, bytes);
    return ok ? LOAD_EXIT_OK : load_command_fail(&err);
}

static bool overhead_create(overhead *self, const load_options *o, load_error *err)
{
    memset(self, 0, sizeof *self);
    self->one = load_result_create(err);
    for (int k = 0; k < PHASES; k++) {
        self->sum[k] = load_result_create(err);
    }
    self->ratio[0] = calloc((size_t)o->rounds, sizeof(double));
    self->ratio[1] = calloc((size_t)o->rounds, sizeof(double));
    if (!self->one || !self->sum[0] || !self->sum[1] || !self->sum[2] || !self->ratio[0] ||
        !self->ratio[1]) {
        load_fail(err, "no memory for results");
        return false;
    }
    return true;
}

int load_command_overhead(const load_options *o)
{
    overhead self;
    load_error err;
    size_t bytes = 0;
    int status = LOAD_EXIT_BROKEN;
    if (overhead_create(&self, o, &err) && load_pings_start(&self.p, o, &err) == 0 &&
        load_session_open(&self.session, o, true, &err) == 0 &&
        load_pings_connect(&self.p, &err) == 0 && measure(&self, &bytes, &err) == 0) {
        status = overhead_report(&self, bytes);
    } else {
        load_command_fail(&err);
    }
    load_pings_close(&self.p);
    load_session_close(&self.session);
    free(self.one);
    for (int k = 0; k < PHASES; k++) {
        free(self.sum[k]);
    }
    free(self.ratio[0]);
    free(self.ratio[1]);
    return status;
}

/* The highest rate at which enough answers are on time: the rate is doubled until a step fails,
 * then bisected, then confirmed. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/commands.h"
#include "load/pings.h"
#include "load/report.h"
#include "load/session.h"

static const double FIRST_RATE_HZ = 100;
/* CONFIRMATIONS: further runs that the found rate must pass. LENGTHEN: a step may take this many
 * durations to have enough requests for its percentage. */
enum { CONFIRMATIONS = 2, LENGTHEN = 6, STEPS_MAX = 96 };

typedef struct search {
    load_session session;
    load_pings pings;
    load_result *one;
    json_t *steps;
    uint64_t seed;
    int count;
    size_t answer_bytes;
} search;

static double on_time_percent(const load_result *r, int service)
{
    return 100 * load_result_on_time(r, service);
}

/* Enough requests that one late one alone does not decide. */
static double step_seconds(const load_options *o, double rate_hz)
{
    const double wanted = 2 / fmax(1 - o->on_time_percent / 100, 1e-4) / rate_hz;
    return fmin(fmax(o->seconds, wanted), LENGTHEN * o->seconds);
}

static load_spec step_spec(search *self, double rate_hz)
{
    const load_options *o = self->session.options;
    load_spec spec = load_spec_from(o);
    spec.count = 0;
    spec.traffic.rate_hz = rate_hz / self->session.fleet->count;
    spec.traffic.seed += self->seed++;
    spec.seconds = step_seconds(o, rate_hz);
    return spec;
}

static void step_report(search *self, const char *what, double rate_hz, bool passed)
{
    const load_options *o = self->session.options;
    const load_result *r = self->one;
    const load_histogram *h = &r->stage[LOAD_STAGE_END_TO_END];
    const double share = on_time_percent(r, o->service);
    if (self->steps) {
        json_array_append_new(self->steps,
                              json_pack("{s:s,s:f,s:I,s:f,s:f,s:f,s:f,s:f,s:b}", "what", what,
                                        "rate_hz", rate_hz, "requests", (json_int_t)r->requests,
                                        "on_time_percent", share, "on_time_any_percent",
                                        on_time_percent(r, LOAD_SERVICES - 1), "p50_us",
                                        load_histogram_quantile_us(h, 0.5), "p99_us",
                                        load_histogram_quantile_us(h, 0.99), "max_us",
                                        (double)h->max_ns / 1e3, "passed", passed));
        return;
    }
    printf("%-8s %9.1f/s %8" PRIu64 " requests  on time %8.3f %%  (any service %8.3f %%)  p50 "
           "%8.0f  p99 %8.0f  max %8.0f us  %s\n",
           what, rate_hz, r->requests, share, on_time_percent(r, LOAD_SERVICES - 1),
           load_histogram_quantile_us(h, 0.5), load_histogram_quantile_us(h, 0.99),
           (double)h->max_ns / 1e3, passed ? "passes" : "fails");
}

/* One step of the daemon. -1: broken. */
static int step(search *self, const char *what, double rate_hz, bool *passed, load_error *err)
{
    const load_options *o = self->session.options;
    const load_spec spec = step_spec(self, rate_hz);
    if (++self->count > STEPS_MAX) {
        return load_fail(err, "no rate is held steadily within %d steps", STEPS_MAX);
    }
    if (load_session_run(&self->session, &spec, self->one, err) < 0 ||
        !load_result_whole(self->one, err)) {
        return -1;
    }
    if (load_stop_asked()) {
        return load_fail(err, "interrupted");
    }
    *passed =
        self->one->requests > 0 && on_time_percent(self->one, o->service) >= o->on_time_percent;
    if (self->one->answers > 0) {
        self->answer_bytes = (size_t)(self->one->bytes_in / self->one->answers);
    }
    step_report(self, what, rate_hz, *passed);
    return 0;
}

/* A step that fails gets a second run: one hiccup of the machine must not halve the answer. What
 * passes only now and then is found out by confirm(). */
static int attempt(search *self, const char *what, double rate_hz, bool *passed, load_error *err)
{
    if (step(self, what, rate_hz, passed, err) < 0) {
        return -1;
    }
    return *passed ? 0 : step(self, "again", rate_hz, passed, err);
}

/* *good: passed, 0 when even the first rate fails; *bad: failed, or above the limit. */
static int bracket(search *self, double *good, double *bad, load_error *err)
{
    const double limit = self->session.options->max_rate_hz;
    *good = 0;
    for (double rate = fmin(FIRST_RATE_HZ, limit);; rate = fmin(2 * rate, limit)) {
        bool passed;
        if (attempt(self, "double", rate, &passed, err) < 0) {
            return -1;
        }
        *bad = passed ? 2 * rate : rate;
        if (!passed) {
            return 0;
        }
        *good = rate;
        if (rate >= limit) {
            return 0;
        }
    }
}

static int bisect(search *self, double *good, double bad, load_error *err)
{
    const double step_ratio = 1 + self->session.options->precision_percent / 100;
    const double limit = self->session.options->max_rate_hz;
    /* Under the first rate: down to a hundredth of it. */
    double low = *good > 0 ? *good : FIRST_RATE_HZ / 100;
    while (bad / low > step_ratio && *good < limit) {
        const double rate = sqrt(low * bad);
        bool passed;
        if (attempt(self, "bisect", rate, &passed, err) < 0) {
            return -1;
        }
        if (passed) {
            low = *good = rate;
        } else {
            bad = rate;
        }
    }
    return 0;
}

/* Goes down until a rate passes CONFIRMATIONS times in a row; 0 when none does. */
static int confirm(search *self, double *good, load_error *err)
{
    const double step_ratio = 1 + self->session.options->precision_percent / 100;
    for (int passes = 0; passes<CONFIRMATIONS && * good> 0;) {
        bool passed;
        if (step(self, "confirm", *good, &passed, err) < 0) {
            return -1;
        }
        passes = passed ? passes + 1 : 0;
        if (!passed) {
            *good /= step_ratio;
            *good = *good < FIRST_RATE_HZ / 100 ? 0 : *good;
        }
    }
    return 0;
}

/* The ping with two threads at the same rate and deadline. */
static int bare(search *self, double rate_hz, double *percent, load_error *err)
{
    load_spec spec = step_spec(self, rate_hz);
    spec.echo = true;
    if (load_pings_set_bytes(&self->pings, self->answer_bytes, err) < 0 ||
        load_run(self->session.fleet, self->pings.socket[LOAD_PING_WORKER], &spec, self->one, err) <
            0 ||
        !load_result_whole(self->one, err)) {
        return -1;
    }
    *percent = on_time_percent(self->one, LOAD_SERVICES - 1);
    step_report(self, "ping", rate_hz, *percent >= self->session.options->on_time_percent);
    return 0;
}

static int conclude(search *self, double rate_hz, double ping_percent)
{
    const load_options *o = self->session.options;
    load_error err = {""};
    bool ok = load_session_verify(&self->session, &err) == 0;
    if (ok && rate_hz <= 0) {
        ok = load_fail(&err, "no rate has %g %% on time at %g ms", o->on_time_percent,
                       o->deadline_s * 1e3) == 0;
    }
    if (self->steps) {
        json_t *out = json_object();
        json_object_set_new(out, "setup", load_report_setup_json(o, self->session.fleet));
        json_object_set(out, "steps", self->steps);
        json_object_set_new(out, "capacity_hz", json_real(rate_hz));
        json_object_set_new(out, "on_time_percent", json_real(o->on_time_percent));
        json_object_set_new(out, "service", json_string(load_service_text(o->service)));
        json_object_set_new(out, "ping_on_time_percent", json_real(ping_percent));
        if (o->verify_share > 0) {
            json_object_set_new(out, "verify", load_report_verdict_json(&self->session.verdict));
        }
        load_report_print_json(out, ok, &err);
    } else if (ok) {
        printf("capacity %.1f/s at %g %% on time within %g ms (service %s or better); the ping's "
               "own on-time share at this rate %.3f %%%s\n",
               rate_hz, o->on_time_percent, o->deadline_s * 1e3, load_service_text(o->service),
               ping_percent,
               ping_percent < o->on_time_percent
                   ? ": the transport alone does not hold it on this machine"
                   : "");
        if (o->verify_share > 0) {
            load_report_verdict(&self->session.verdict);
        }
    }
    return ok ? LOAD_EXIT_OK : load_command_fail(&err);
}

static int search_all(search *self, double *rate_hz, double *ping_percent, load_error *err)
{
    double bad;
    *ping_percent = 0;
    if (!self->session.options->json) {
        load_report_setup(self->session.options, self->session.fleet);
    }
    if (bracket(self, rate_hz, &bad, err) < 0 || bisect(self, rate_hz, bad, err) < 0 ||
        confirm(self, rate_hz, err) < 0) {
        return -1;
    }
    return *rate_hz > 0 ? bare(self, *rate_hz, ping_percent, err) : 0;
}

int load_command_capacity(const load_options *o)
{
    search self;
    load_error err;
    double rate_hz = 0, ping_percent = 0;
    int status = LOAD_EXIT_BROKEN;
    memset(&self, 0, sizeof self);
    self.one = load_result_create(&err);
    self.steps = o->json ? json_array() : NULL;
    if (self.one && load_pings_start(&self.pings, o, &err) == 0 &&
        load_session_open(&self.session, o, true, &err) == 0 &&
        load_pings_connect(&self.pings, &err) == 0 &&
        search_all(&self, &rate_hz, &ping_percent, &err) == 0) {
        status = conclude(&self, rate_hz, ping_percent);
    } else {
        load_command_fail(&err);
    }
    load_pings_close(&self.pings);
    load_session_close(&self.session);
    json_decref(self.steps);
    free(self.one);
    return status;
}

#include "load/report.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const STAGE_NAMES[LOAD_STAGES] = {
    "end to end", "generator late", "transport",          "decode",    "queue", "solve", "check",
    "check+send", "daemon",         "end to end - solve", "round trip"};
static const char *const STAGE_KEYS[LOAD_STAGES] = {
    "end_to_end", "generator_late", "transport", "decode",   "queue",     "solve",
    "check",      "send",           "daemon",    "overhead", "round_trip"};
static const char *const SERVICE_NAMES[LOAD_SERVICES] = {"full", "reduced", "checked", "held"};
static const char *const METHOD_NAMES[LOAD_METHODS] = {"boblrbf", "warm", "classical", "paper",
                                                       "network"};
static const char *const BACKEND_NAMES[LOAD_BACKENDS] = {"none", "network", "solver", "check",
                                                         "gpu"};
static const char *const CODE_NAMES[LOAD_CODES] = {
    "unspecified", "malformed", "version",         "type",  "too_large",  "invalid",
    "unsupported", "limit",     "unknown_cluster", "stale", "superseded", "not_ready",
    "busy",        "numeric",   "draining"};
static const struct {
    const char *name;
    double part;
} QUANTILES[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
enum { QUANTILE_COUNT = sizeof QUANTILES / sizeof QUANTILES[0] };

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *load_report_setup_json(const load_options *o, const load_fleet *fleet)
{
    json_t *out = json_object(), *shapes = json_array();
    for (int k = 0; k < o->shape_count; k++) {
        const load_shape *s = &o->shapes[k];
        json_array_append_new(shapes,
                              json_pack("{s:i,s:i,s:i,s:i,s:i,s:f}", "stations", s->stations,
                                        "antennas", s->antennas, "users", s->users, "targets",
                                        s->targets, "subbands", s->subbands, "share", s->share));
    }
    json_object_set_new(out, "sizes", shapes);
    json_object_set_new(out, "clusters", json_integer(o->clusters));
    json_object_set_new(out, "rate_hz", json_real(o->rate_hz));
    json_object_set_new(out, "target_rate_hz", json_real(o->target_rate_hz));
    json_object_set_new(out, "arrivals", json_integer(o->arrivals));
    json_object_set_new(out, "deadline_us", json_real(o->deadline_s * 1e6));
    json_object_set_new(out, "preferences", json_integer(o->preference_count));
    json_object_set_new(out, "seed", json_integer(o->seed));
    json_object_set_new(out, "request_bytes_mean",
                        json_real((double)fleet->request_bytes / fleet->count));
    return out;
}

void load_report_setup(const load_options *o, const load_fleet *fleet)
{
    static const char *const arrivals[] = {"periodic", "poisson", "in bursts"};
    printf("%lld cluster%s", o->clusters, o->clusters == 1 ? "" : "s");
    for (int k = 0; k < o->shape_count; k++) {
        const load_shape *s = &o->shapes[k];
        printf("%s %d stations x %d antennas, %d users, %d targets, %d subband%s", k ? ";" : " of",
               s->stations, s->antennas, s->users, s->targets, s->subbands,
               s->subbands == 1 ? "" : "s");
        if (o->shape_count > 1) {
            printf(" (share %g)", s->share);
        }
    }
    printf("\nrequests of %.0f bytes (mean), deadline %g ms, arrivals %s, targets at %g Hz, users "
           "at %.0f km/h, seed %lld\n",
           (double)fleet->request_bytes / fleet->count, o->deadline_s * 1e3, arrivals[o->arrivals],
           o->target_rate_hz, o->speed_m_s * 3.6, o->seed);
}

json_t *load_report_histogram_json(const load_histogram *h)
{
    json_t *out = json_object();
    json_object_set_new(out, "count", number(h->count));
    for (int q = 0; q < QUANTILE_COUNT; q++) {
        char key[16];
        snprintf(key, sizeof key, "%s_us", q == 3 ? "p999" : QUANTILES[q].name);
        json_object_set_new(out, key, json_real(load_histogram_quantile_us(h, QUANTILES[q].part)));
    }
    json_object_set_new(out, "max_us", json_real((double)h->max_ns / 1e3));
    json_object_set_new(out, "mean_us",
                        json_real(h->count ? (double)h->sum_ns / (double)h->count / 1e3 : 0));
    return out;
}

void load_report_row(const char *name, const load_histogram *h)
{
    printf("%-20s", name);
    for (int q = 0; q < QUANTILE_COUNT; q++) {
        printf(" %10.1f", load_histogram_quantile_us(h, QUANTILES[q].part));
    }
    printf(" %10.1f", (double)h->max_ns / 1e3);
}

/* Only what is not 0, by name. */
static json_t *counts_json(const uint64_t *counts, const char *const *names, int count)
{
    json_t *out = json_object();
    for (int k = 0; k < count; k++) {
        if (counts[k]) {
            json_object_set_new(out, names[k], number(counts[k]));
        }
    }
    return out;
}

static void print_counts(const char *title, const uint64_t *counts, const char *const *names,
                         int count)
{
    bool any = false;
    for (int k = 0; k < count; k++) {
        if (counts[k]) {
            printf("%s%s %" PRIu64, any ? ", " : title, names[k], counts[k]);
            any = true;
        }
    }
    if (any) {
        printf("\n");
    }
}

/* Percent by which the most is above the first. */
static double resident_growth(const load_result *r)
{
    return r->resident_first_kib
               ? 100 * ((double)r->resident_most_kib / (double)r->resident_first_kib - 1)
               : 0;
}

/* Superseded and refused requests left out: of the work that the daemon took on. */
static double on_time_of_answers(const load_result *r)
{
    return r->answers ? 100 * load_result_on_time(r, LOAD_SERVICES - 1) * (double)r->requests /
                            (double)r->answers
                      : 0;
}

json_t *load_report_result_json(const load_result *r, const load_options *o)
{
    json_t *out = json_object(), *stages = json_object(), *on_time = json_object();
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {{"requests", r->requests},
                  {"answers", r->answers},
                  {"solutions", r->solutions},
                  {"warm", r->warm},
                  {"marked_late", r->marked_late},
                  {"late_without_mark", r->unmarked_late},
                  {"sent", r->sent},
                  {"target_updates", r->target_updates},
                  {"target_errors", r->target_errors},
                  {"unanswered", r->unanswered},
                  {"duplicates", r->duplicates},
                  {"unexpected", r->unexpected},
                  {"unreadable", r->unreadable},
                  {"send_waited", r->send_waited},
                  {"request_bytes", r->bytes_out},
                  {"answer_bytes", r->bytes_in},
                  {"resident_first_kib", r->resident_first_kib},
                  {"resident_least_kib", r->resident_least_kib},
                  {"resident_most_kib", r->resident_most_kib},
                  {"resident_last_kib", r->resident_last_kib}};
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        json_object_set_new(out, counts[k].key, number(counts[k].value));
    }
    json_object_set_new(out, "resident_growth_percent", json_real(resident_growth(r)));
    json_object_set_new(out, "seconds", json_real(r->seconds));
    json_object_set_new(out, "rate_hz",
                        json_real(r->seconds > 0 ? (double)r->requests / r->seconds : 0));
    json_object_set_new(out, "deadline_us", json_real(o->deadline_s * 1e6));
    for (int s = 0; s < LOAD_SERVICES; s++) {
        json_object_set_new(on_time, SERVICE_NAMES[s], json_real(100 * load_result_on_time(r, s)));
    }
    json_object_set_new(out, "on_time_percent_at_least", on_time);
    json_object_set_new(out, "on_time_percent_of_answers", json_real(on_time_of_answers(r)));
    json_object_set_new(out, "service", counts_json(r->service, SERVICE_NAMES, LOAD_SERVICES));
    json_object_set_new(out, "errors", counts_json(r->errors, CODE_NAMES, LOAD_CODES));
    json_object_set_new(out, "method", counts_json(r->method, METHOD_NAMES, LOAD_METHODS));
    json_object_set_new(out, "backend", counts_json(r->backend, BACKEND_NAMES, LOAD_BACKENDS));
    for (int s = 0; s < LOAD_STAGES; s++) {
        if (r->stage[s].count) {
            json_object_set_new(stages, STAGE_KEYS[s], load_report_histogram_json(&r->stage[s]));
        }
    }
    json_object_set_new(out, "stages", stages);
    return out;
}

static void print_outcomes(const load_result *r)
{
    print_counts("service             ", r->service, SERVICE_NAMES, LOAD_SERVICES);
    print_counts("errors              ", r->errors, CODE_NAMES, LOAD_CODES);
    print_counts("method              ", r->method, METHOD_NAMES, LOAD_METHODS);
    print_counts("backend             ", r->backend, BACKEND_NAMES, LOAD_BACKENDS);
    printf("warm %" PRIu64 " of %" PRIu64 " solutions; marked late %" PRIu64
           ", late without the mark %" PRIu64 "\n",
           r->warm, r->solutions, r->marked_late, r->unmarked_late);
    if (r->resident_first_kib) {
        printf("resident memory of the watched process: first %" PRIu64 " KiB, least %" PRIu64
               ", most %" PRIu64 ", last %" PRIu64 "; grown by %.2f %%\n",
               r->resident_first_kib, r->resident_least_kib, r->resident_most_kib,
               r->resident_last_kib, resident_growth(r));
    }
}

void load_report_result(const load_result *r, const load_options *o, bool echo)
{
    printf("%" PRIu64 " requests in %.2f s (%.1f/s), %" PRIu64 " answered with beams, %" PRIu64
           " unanswered; %" PRIu64 " target updates\n",
           r->requests, r->seconds, r->seconds > 0 ? (double)r->requests / r->seconds : 0,
           r->answers, r->unanswered, r->target_updates);
    printf("on time at %g ms      %.3f %% of all", o->deadline_s * 1e3,
           100 * load_result_on_time(r, LOAD_SERVICES - 1));
    if (!echo) {
        printf(", with full service %.3f %%, at least reduced %.3f %%; %.3f %% of those answered "
               "with beams",
               100 * load_result_on_time(r, 0), 100 * load_result_on_time(r, 1),
               on_time_of_answers(r));
    }
    printf("\n");
    if (!echo) {
        print_outcomes(r);
    }
    printf("%-20s %10s %10s %10s %10s %10s\n", "microseconds", "p50", "p90", "p99", "p99.9", "max");
    for (int s = 0; s < LOAD_STAGES; s++) {
        if (r->stage[s].count) {
            load_report_row(STAGE_NAMES[s], &r->stage[s]);
            printf("\n");
        }
    }
    if (r->send_waited) {
        printf("sends that found no room: %" PRIu64 "\n", r->send_waited);
    }
}

json_t *load_report_verdict_json(const load_verdict *v)
{
    json_t *out = json_object();
    json_object_set_new(out, "answers", number(v->answers));
    json_object_set_new(out, "solutions", number(v->solutions));
    json_object_set_new(out, "left_out", number(v->left_out));
    json_object_set_new(out, "wrong", number(v->wrong));
    json_object_set_new(out, "worst_difference", json_real(v->worst));
    json_object_set_new(out, "wsr_worst_case", json_real(v->wsr_worst_case));
    json_object_set_new(out, "wsr_nominal", json_real(v->wsr_nominal));
    json_object_set_new(out, "user_rate", json_real(v->user_rate));
    json_object_set_new(out, "crlb", json_real(v->crlb));
    json_object_set_new(out, "merit", json_real(v->merit));
    json_object_set_new(out, "power", json_real(v->power));
    json_object_set_new(out, "power_excess", json_real(v->power_excess));
    return out;
}

void load_report_verdict(const load_verdict *v)
{
    printf("recomputed %" PRIu64 " answers (%" PRIu64 " solutions%s): largest relative difference "
           "%.1e (worst-case rate %.1e, CRLB %.1e, power %.1e), largest power excess %.1e\n",
           v->answers, v->solutions, v->left_out ? ", not all that were drawn" : "", v->worst,
           v->wsr_worst_case, v->crlb, v->power, v->power_excess);
}

void load_report_print_json(json_t *object, bool ok, const load_error *err)
{
    json_object_set_new(object, "ok", json_boolean(ok));
    if (!ok) {
        json_object_set_new(object, "broken", json_string(err->text));
    }
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(object);
}

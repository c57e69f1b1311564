/* beamctl watch: published solutions, a line each. */
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beamctl.h"
#include "beamctl_json.h"

enum { WATCHED_MAX = 1024, TURN_MS = 500, LIST_TURNS = 4, HEAD_LINES = 20 };

typedef struct watch {
    beamc_client *client;
    const beamctl_settings *s;
    char (*ids)[64]; /* [WATCHED_MAX] subscribed to */
    size_t count;
    bool all;
    unsigned long lines;
    bool told; /* that nothing comes */
} watch;

static json_t *users_json(const beamc_solution *s)
{
    json_t *list = json_array();
    for (size_t k = 0; k < s->user_count; k++) {
        const beamc_user_answer *u = &s->users[k];
        json_array_append_new(
            list,
            json_pack("{s:o,s:i,s:o,s:o,s:o,s:b}", "user", beamctl_json_count(u->id), "station",
                      (int)u->station, "beam_power_w", beamctl_json_real(u->beam_power_w),
                      "rate_nominal_bps_hz", beamctl_json_real(u->rate_nominal_bps_hz),
                      "rate_worst_case_bps_hz", beamctl_json_real(u->rate_worst_case_bps_hz),
                      "below_floor", (int)u->below_floor));
    }
    return list;
}

static json_t *targets_json(const beamc_solution *s)
{
    json_t *list = json_array();
    for (size_t k = 0; k < s->target_count; k++) {
        const beamc_target_answer *t = &s->targets[k];
        json_array_append_new(
            list,
            json_pack("{s:s,s:o,s:o,s:b}", "state", beamc_target_state_text(t->state),
                      "rms_bound_m",
                      t->state == BEAMC_TARGET_OK ? beamctl_json_real(t->rms_bound_m) : json_null(),
                      "echo_snr_db", beamctl_json_real(t->echo_snr_db), "low_echo_snr",
                      (int)t->low_echo_snr));
    }
    return list;
}

static json_t *latency_json(const beamc_latency *l)
{
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o}", "received_to_queued",
        beamctl_json_count(l->received_to_queued_ns), "queued_to_solve",
        beamctl_json_count(l->queued_to_solve_ns), "solve", beamctl_json_count(l->solve_ns),
        "solve_to_checked", beamctl_json_count(l->solve_to_checked_ns), "solve_to_sent",
        beamctl_json_count(l->solve_to_sent_ns), "transit_estimate",
        l->has_sender_estimate ? beamctl_json_count(l->transit_estimate_ns) : json_null());
}

static void print_json(const beamc_answer *answer, const beamc_solution *s)
{
    json_t *o =
        json_pack("{s:o,s:o,s:o,s:b,s:i,s:o,s:o}", "cluster", beamctl_json_text(answer->cluster),
                  "csi_sequence", beamctl_json_count(s->csi_sequence), "target_sequence",
                  beamctl_json_count(s->target_sequence), "repeat", (int)s->repeat, "subband",
                  (int)s->subband, "preference_name", beamctl_json_text(s->preference_name),
                  "preference", beamctl_json_preference(&s->preference));
    json_object_set_new(o, "wsr_nominal_bps_hz", beamctl_json_real(s->wsr_nominal_bps_hz));
    json_object_set_new(o, "wsr_worst_case_bps_hz", beamctl_json_real(s->wsr_worst_case_bps_hz));
    json_object_set_new(o, "crlb_m2", s->crlb_valid ? beamctl_json_real(s->crlb_m2) : json_null());
    json_object_set_new(o, "wsr_ideal_bps_hz", beamctl_json_real(s->wsr_ideal_bps_hz));
    json_object_set_new(o, "crlb_min_m2", beamctl_json_real(s->crlb_min_m2));
    json_object_set_new(o, "ideal_stale", json_boolean(s->ideal_stale));
    json_object_set_new(o, "merit", beamctl_json_real(s->merit));
    json_object_set_new(o, "classical_merit", beamctl_json_real(s->classical_merit));
    json_object_set_new(o, "method", json_string(beamc_method_text(s->method)));
    json_object_set_new(o, "status", json_string(beamc_solve_status_text(s->status)));
    json_object_set_new(o, "service", json_string(beamc_service_text(s->service)));
    json_object_set_new(o, "backend", json_string(beamc_backend_text(s->backend)));
    json_object_set_new(o, "late", json_boolean(s->late));
    json_object_set_new(o, "warm", json_boolean(s->warm));
    json_object_set_new(o, "iterations", beamctl_json_count(s->iterations));
    json_object_set_new(o, "csi_age_us", beamctl_json_count(s->csi_age_us));
    json_object_set_new(o, "csi_stale", json_boolean(s->csi_stale));
    json_object_set_new(o, "error_growth", beamctl_json_real(s->error_growth));
    json_object_set_new(o, "users_below_floor", beamctl_json_count(s->users_below_floor));
    json_object_set_new(o, "shortfall_bps_hz", beamctl_json_real(s->shortfall_bps_hz));
    json_object_set_new(o, "users", users_json(s));
    json_object_set_new(o, "targets", targets_json(s));
    json_object_set_new(o, "latency_ns", latency_json(&s->latency));
    beamctl_json_print(o);
}

static void print_head(void)
{
    printf("%-12s %18s %4s %-9s %6s %-20s %9s %9s %10s %5s %10s  %s\n", "cluster", "csi sequence",
           "sub", "name", "tau", "", "worst WSR", "nominal", "rms m", "floor", "latency us",
           "answer");
}

static void print_line(const beamc_answer *answer, const beamc_solution *s)
{
    char rms[24] = "not ident.";
    const beamc_latency *l = &s->latency;
    const uint64_t latency_ns =
        l->received_to_queued_ns + l->queued_to_solve_ns + l->solve_ns + l->solve_to_sent_ns;
    if (s->crlb_valid) {
        snprintf(rms, sizeof rms, "%.4f", sqrt(s->crlb_m2));
    }
    printf("%-12s %18" PRIu64 " %4u %-9s %6.3f %-20s %9.4f %9.4f %10s %5u %10.0f  %s, %s%s%s%s%s\n",
           answer->cluster, s->csi_sequence, s->subband,
           s->preference_name && s->preference_name[0] ? s->preference_name : "-",
           s->preference.tradeoff, beamc_tradeoff_words(s->preference.tradeoff),
           s->wsr_worst_case_bps_hz, s->wsr_nominal_bps_hz, rms, s->users_below_floor,
           (double)latency_ns / 1e3, beamc_method_text(s->method), beamc_service_text(s->service),
           s->warm ? ", warm" : "", s->late ? ", LATE" : "", s->csi_stale ? ", stale CSI" : "",
           s->repeat ? ", repeat" : "");
    fflush(stdout);
}

static bool enough(const watch *w)
{
    /* a reader that has enough, a full disk: main tells of it */
    return beamctl_stop || ferror(stdout) || (w->s->count > 0 && w->lines >= w->s->count);
}

static void print_answer(watch *w, const beamc_answer *answer)
{
    for (size_t k = 0; k < answer->solution_count && !enough(w); k++) {
        if (w->s->json) {
            print_json(answer, &answer->solutions[k]);
        } else {
            if (w->lines % HEAD_LINES == 0) {
                print_head();
            }
            print_line(answer, &answer->solutions[k]);
        }
        w->lines++;
    }
}

static beamc_code add(watch *w, const char *id, beamc_error *err)
{
    for (size_t k = 0; k < w->count; k++) {
        if (strcmp(w->ids[k], id) == 0) {
            return BEAMC_OK;
        }
    }
    if (w->count == WATCHED_MAX) {
        return BEAMC_OK; /* as many as a daemon can have */
    }
    const beamc_code code = beamc_subscribe(w->client, id, err);
    if (!code) {
        snprintf(w->ids[w->count++], sizeof w->ids[0], "%s", id);
    }
    return code;
}

/* Clusters that were registered since. */
static beamc_code add_all(watch *w, beamc_error *err)
{
    beamc_status status;
    beamc_code code = beamc_cluster_list(w->client, w->s->timeout_ms, &status, err);
    char(*ids)[64] = code ? NULL : calloc(status.cluster_count + 1, sizeof *ids);
    const size_t count = ids ? status.cluster_count : 0;
    for (size_t k = 0; k < count; k++) { /* the status lives until the next call only */
        memcpy(ids[k], status.clusters[k].id, sizeof ids[k]);
    }
    for (size_t k = 0; k < count && !code; k++) {
        code = add(w, ids[k], err);
    }
    free(ids);
    return code;
}

/* A subscription cannot tell a silent cluster from none. */
static void tell_silence(watch *w)
{
    if (w->lines == 0 && !w->told) {
        w->told = true;
        fprintf(stderr, "beamctl: no solution of %s yet; is it registered, is beamd running?\n",
                w->all || w->count > 1 ? "any cluster" : w->ids[0]);
    }
}

/* A client that subscribed to nothing has nothing to wait for: clusters may still come. */
static beamc_code receive(watch *w, beamc_answer *answer, beamc_error *err)
{
    if (w->count > 0) {
        return beamc_receive(w->client, TURN_MS, answer, err);
    }
    poll(NULL, 0, TURN_MS);
    return BEAMC_E_TIMEOUT;
}

static beamc_code run(watch *w, beamc_error *err)
{
    unsigned quiet = 0, turns = 0;
    while (!enough(w)) {
        beamc_answer answer;
        const beamc_code code = receive(w, &answer, err);
        if (code == BEAMC_E_TIMEOUT) {
            if (++quiet == LIST_TURNS) {
                tell_silence(w);
            }
            if (w->all && ++turns % LIST_TURNS == 0) {
                const beamc_code listed = add_all(w, err);
                if (listed) {
                    return listed;
                }
            }
            continue;
        }
        if (code) {
            return beamctl_stop ? BEAMC_OK : code;
        }
        if (answer.kind == BEAMC_ANSWER_PUBLISHED) {
            print_answer(w, &answer);
        }
    }
    return BEAMC_OK;
}

int beamctl_watch(const beamctl_settings *s, int argc, char **argv)
{
    beamc_error err;
    watch w = {.s = s, .all = argc == 1, .ids = calloc(WATCHED_MAX, sizeof *w.ids)};
    if (!w.ids) {
        return beamctl_failed("no memory");
    }
    beamc_code code = beamc_connect(&w.client, &s->connection, &err);
    for (int k = 1; k < argc && !code; k++) {
        code = add(&w, argv[k], &err);
    }
    if (!code && w.all) {
        code = add_all(&w, &err);
    }
    if (!code) {
        code = run(&w, &err);
    }
    beamc_close(&w.client);
    free(w.ids);
    return code ? beamctl_fail(&err) : BEAMCTL_DONE;
}

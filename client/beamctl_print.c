#include "beamctl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jansson.h>

static void print_json(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
    puts(text ? text : "{\"error\":\"no memory\"}");
    free(text);
    json_decref(object);
    fflush(stdout);
}

/* JSON integers of most readers are signed: a user id or sequence beyond them is written as text.
 */
static json_t *json_count(uint64_t value)
{
    if (value <= INT64_MAX) {
        return json_integer((json_int_t)value);
    }
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return json_string(text);
}

static json_t *preference_json(const beamc_preference *p)
{
    return json_pack("{s:f,s:s,s:f,s:f}", "tradeoff", p->tradeoff, "words",
                     beamc_tradeoff_words(p->tradeoff), "u1", p->u1, "u2", p->u2);
}

static json_t *cluster_json(const beamc_cluster_status *c)
{
    json_t *o = json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:o}", "cluster", c->id, "stations",
                          (int)c->stations, "antennas", (int)c->antennas, "users", (int)c->users,
                          "max_users", (int)c->max_users, "targets", (int)c->targets, "preference",
                          preference_json(&c->preference));
    if (!o) {
        return json_null();
    }
    json_object_set_new(o, "csi_sequence", json_count(c->csi_sequence));
    json_object_set_new(o, "target_sequence", json_count(c->target_sequence));
    json_object_set_new(o, "csi_received", json_count(c->csi_received));
    json_object_set_new(o, "solutions", json_count(c->solutions));
    json_object_set_new(o, "superseded", json_count(c->superseded));
    json_object_set_new(o, "refused", json_count(c->refused));
    json_object_set_new(o, "deadlines_missed", json_count(c->deadlines_missed));
    json_object_set_new(o, "latency_p50_us", json_real(c->latency_p50_us));
    json_object_set_new(o, "latency_p99_us", json_real(c->latency_p99_us));
    if (c->solved) {
        json_object_set_new(o, "wsr_worst_case_bps_hz", json_real(c->wsr_worst_case_bps_hz));
        json_object_set_new(o, "crlb_m2", c->crlb_valid ? json_real(c->crlb_m2) : json_null());
        json_object_set_new(o, "method", json_string(beamc_method_text(c->method)));
        json_object_set_new(o, "age_s", json_real(c->age_s));
    }
    return o;
}

static json_t *clusters_json(const beamc_status *status)
{
    json_t *list = json_array();
    for (size_t k = 0; k < status->cluster_count; k++) {
        json_array_append_new(list, cluster_json(&status->clusters[k]));
    }
    return list;
}

static void print_cluster(const beamc_cluster_status *c)
{
    printf("cluster %s: %u stations x %u antennas, %u of %u users, %u targets\n", c->id,
           c->stations, c->antennas, c->users, c->max_users, c->targets);
    printf("  trade-off     tau %.3f, %s  (u = %.3f, %.3f)\n", c->preference.tradeoff,
           beamc_tradeoff_words(c->preference.tradeoff), c->preference.u1, c->preference.u2);
    printf("  CSI           %" PRIu64 " received, last sequence %" PRIu64
           "; targets sequence %" PRIu64 "\n",
           c->csi_received, c->csi_sequence, c->target_sequence);
    printf("  answers       %" PRIu64 " solutions, %" PRIu64 " superseded, %" PRIu64
           " refused, %" PRIu64 " deadlines missed\n",
           c->solutions, c->superseded, c->refused, c->deadlines_missed);
    printf("  latency       p50 %.0f us, p99 %.0f us, received to sent\n", c->latency_p50_us,
           c->latency_p99_us);
    if (!c->solved) {
        printf("  last answer   none yet\n");
    } else if (c->crlb_valid) {
        printf("  last answer   worst-case WSR %.4f bit/s/Hz, CRLB %.4g m2 (rms %.3g m), %s, %.1f "
               "s ago\n",
               c->wsr_worst_case_bps_hz, c->crlb_m2, sqrt(c->crlb_m2), beamc_method_text(c->method),
               c->age_s);
    } else {
        printf("  last answer   worst-case WSR %.4f bit/s/Hz, some target cannot be located, %s, "
               "%.1f s ago\n",
               c->wsr_worst_case_bps_hz, beamc_method_text(c->method), c->age_s);
    }
}

static void print_method(const beamc_status *s)
{
    if (!s->model_name[0]) {
        printf("solves by %s; no model of the network is loaded\n",
               beamc_method_text(BEAMC_METHOD_BOBLRBF));
    } else {
        printf("solves by %s; model \"%s\", sha256 %.16s...\n", beamc_method_text(s->method),
               s->model_name, s->model_sha256);
    }
}

void beamctl_print_status(const beamc_status *s, bool json)
{
    if (json) {
        json_t *o = json_pack("{s:s,s:b,s:f,s:i,s:i}", "version", s->version, "draining",
                              (int)s->draining, "uptime_s", s->uptime_s, "solver_threads",
                              (int)s->solver_threads, "max_clusters", (int)s->max_clusters);
        json_object_set_new(o, "messages_received", json_count(s->messages_received));
        json_object_set_new(o, "solutions_sent", json_count(s->solutions_sent));
        json_object_set_new(o, "errors_sent", json_count(s->errors_sent));
        json_object_set_new(o, "method", json_string(beamc_method_text(s->method)));
        if (s->model_name[0]) {
            json_object_set_new(
                o, "model",
                json_pack("{s:s,s:s}", "name", s->model_name, "sha256", s->model_sha256));
        } else {
            json_object_set_new(o, "model", json_null());
        }
        json_object_set_new(o, "clusters", clusters_json(s));
        print_json(o);
        return;
    }
    printf("beamd %s, %s, up %.0f s, %u solver threads\n", s->version,
           s->draining ? "draining" : "serving", s->uptime_s, s->solver_threads);
    printf("%" PRIu64 " messages received, %" PRIu64 " solutions and %" PRIu64
           " errors sent, %zu of %u clusters\n",
           s->messages_received, s->solutions_sent, s->errors_sent, s->cluster_count,
           s->max_clusters);
    print_method(s);
    for (size_t k = 0; k < s->cluster_count; k++) {
        print_cluster(&s->clusters[k]);
    }
}

void beamctl_print_clusters(const beamc_status *s, bool json)
{
    if (json) {
        print_json(json_pack("{s:o}", "clusters", clusters_json(s)));
        return;
    }
    printf("%-24s %8s %8s %9s %7s  %s\n", "cluster", "stations", "antennas", "users", "targets",
           "trade-off");
    for (size_t k = 0; k < s->cluster_count; k++) {
        const beamc_cluster_status *c = &s->clusters[k];
        printf("%-24s %8u %8u %4u/%-4u %7u  %.3f %s\n", c->id, c->stations, c->antennas, c->users,
               c->max_users, c->targets, c->preference.tradeoff,
               beamc_tradeoff_words(c->preference.tradeoff));
    }
}

void beamctl_print_preference(const char *cluster, const beamc_preference *p, bool json)
{
    if (json) {
        print_json(json_pack("{s:s,s:o}", "cluster", cluster, "preference", preference_json(p)));
        return;
    }
    printf("%s: tau %.3f, %s  (u = %.4f, %.4f)\n", cluster, p->tradeoff,
           beamc_tradeoff_words(p->tradeoff), p->u1, p->u2);
}

static json_t *solution_users(const beamc_solution *s)
{
    json_t *list = json_array();
    for (size_t k = 0; k < s->user_count; k++) {
        const beamc_user_answer *u = &s->users[k];
        json_array_append_new(
            list, json_pack("{s:o,s:i,s:f,s:f,s:f,s:b}", "user", json_count(u->id), "station",
                            (int)u->station, "beam_power_w", u->beam_power_w, "rate_nominal_bps_hz",
                            u->rate_nominal_bps_hz, "rate_worst_case_bps_hz",
                            u->rate_worst_case_bps_hz, "below_floor", (int)u->below_floor));
    }
    return list;
}

static json_t *solution_targets(const beamc_solution *s)
{
    json_t *list = json_array();
    for (size_t k = 0; k < s->target_count; k++) {
        const beamc_target_answer *t = &s->targets[k];
        json_array_append_new(
            list, json_pack("{s:s,s:o,s:f,s:b}", "state", beamc_target_state_text(t->state),
                            "rms_bound_m",
                            t->state == BEAMC_TARGET_OK ? json_real(t->rms_bound_m) : json_null(),
                            "echo_snr_db", t->echo_snr_db, "low_echo_snr", (int)t->low_echo_snr));
    }
    return list;
}

static uint64_t latency_ns(const beamc_latency *l)
{
    return l->received_to_queued_ns + l->queued_to_solve_ns + l->solve_ns + l->solve_to_sent_ns;
}

static void solution_json(const beamc_answer *answer)
{
    const beamc_solution *s = answer->solution;
    const beamc_latency *l = &s->latency;
    json_t *o =
        json_pack("{s:s,s:o,s:o,s:b,s:o,s:f,s:f,s:o,s:f,s:f,s:s,s:s,s:b,s:i}", "cluster",
                  answer->cluster, "csi_sequence", json_count(s->csi_sequence), "target_sequence",
                  json_count(s->target_sequence), "repeat", (int)s->repeat, "preference",
                  preference_json(&s->preference), "wsr_nominal_bps_hz", s->wsr_nominal_bps_hz,
                  "wsr_worst_case_bps_hz", s->wsr_worst_case_bps_hz, "crlb_m2",
                  s->crlb_valid ? json_real(s->crlb_m2) : json_null(), "wsr_ideal_bps_hz",
                  s->wsr_ideal_bps_hz, "crlb_min_m2", s->crlb_min_m2, "method",
                  beamc_method_text(s->method), "status", beamc_solve_status_text(s->status),
                  "warm", (int)s->warm, "iterations", (int)s->iterations);
    json_object_set_new(o, "users_below_floor", json_count(s->users_below_floor));
    json_object_set_new(o, "users", solution_users(s));
    json_object_set_new(o, "targets", solution_targets(s));
    json_object_set_new(
        o, "latency_ns",
        json_pack("{s:I,s:I,s:I,s:I}", "received_to_queued", (json_int_t)l->received_to_queued_ns,
                  "queued_to_solve", (json_int_t)l->queued_to_solve_ns, "solve",
                  (json_int_t)l->solve_ns, "solve_to_sent", (json_int_t)l->solve_to_sent_ns));
    print_json(o);
}

void beamctl_print_solution(const beamc_answer *answer, bool json, unsigned long *lines)
{
    const beamc_solution *s = answer->solution;
    if (json) {
        solution_json(answer);
        ++*lines;
        return;
    }
    if (*lines % 20 == 0) {
        printf("%18s %6s %-20s %9s %9s %9s %6s %10s %-10s\n", "csi sequence", "tau", "",
               "worst WSR", "nominal", "rms m", "floor", "latency us", "method");
    }
    char rms[24] = "not ident.";
    if (s->crlb_valid) {
        snprintf(rms, sizeof rms, "%.4f", sqrt(s->crlb_m2));
    }
    printf("%18" PRIu64 " %6.3f %-20s %9.4f %9.4f %9s %6u %10.0f %s%s%s\n", s->csi_sequence,
           s->preference.tradeoff, beamc_tradeoff_words(s->preference.tradeoff),
           s->wsr_worst_case_bps_hz, s->wsr_nominal_bps_hz, rms, s->users_below_floor,
           (double)latency_ns(&s->latency) / 1e3, beamc_method_text(s->method),
           s->warm ? ", warm" : "", s->repeat ? ", repeat" : "");
    fflush(stdout);
    ++*lines;
}

static void model_json(const beamc_model_state *state)
{
    const beamc_model *m = &state->model;
    json_t *o = json_pack("{s:b,s:s,s:o,s:o}", "loaded", (int)state->loaded, "method",
                          beamc_method_text(state->method), "loads", json_count(state->loads),
                          "refused", json_count(state->refused));
    if (state->loaded) {
        json_t *size = json_null();
        if (m->stations > 0) {
            size = json_pack("{s:i,s:i,s:i,s:i,s:i}", "stations", (int)m->stations, "antennas",
                             (int)m->antennas, "users", (int)m->users, "targets", (int)m->targets,
                             "sensing_rows", (int)m->sensing_rows);
        }
        json_t *training = json_pack(
            "{s:s,s:s,s:s,s:o,s:o,s:o,s:I}", "creator", m->creator, "command", m->command, "data",
            m->families, "seed", json_count(m->data_seed), "steps", json_count(m->steps), "samples",
            json_count(m->samples), "created_unix_s", (json_int_t)m->created_unix_s);
        json_t *held_out = json_null();
        if (m->held_out_scenes > 0) {
            held_out = json_pack("{s:o,s:f,s:f,s:f}", "scenes", json_count(m->held_out_scenes),
                                 "loss", m->held_out_loss, "ratio_median", m->held_out_ratio_median,
                                 "ratio_p5", m->held_out_ratio_p5);
        }
        json_object_set_new(o, "model",
                            json_pack("{s:s,s:s,s:i,s:i,s:o,s:o,s:s,s:s,s:o,s:o}", "name", m->name,
                                      "kind", m->kind, "layers", (int)m->layers, "width",
                                      (int)m->width, "parameters", json_count(m->parameters),
                                      "size", size, "sha256", m->sha256, "source", m->source,
                                      "training", training, "held_out", held_out));
    }
    print_json(o);
}

static void print_training(const beamc_model *m)
{
    char date[32] = "not recorded";
    const time_t created = (time_t)m->created_unix_s;
    struct tm utc;
    if (m->created_unix_s != 0 && gmtime_r(&created, &utc)) {
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    printf("  created       %s, %s\n", date, m->creator[0] ? m->creator : "by an unnamed program");
    printf("  command       %s\n", m->command[0] ? m->command : "not recorded");
    printf("  data          %s, seed %" PRIu64 "\n", m->families[0] ? m->families : "not recorded",
           m->data_seed);
    printf("  training      %" PRIu64 " steps, %" PRIu64 " samples\n", m->steps, m->samples);
    if (m->held_out_scenes > 0) {
        printf("  held out      %" PRIu64 " scenes: loss %.6g, hypervolume ratio median %.4f, 5th "
               "percentile %.4f\n",
               m->held_out_scenes, m->held_out_loss, m->held_out_ratio_median,
               m->held_out_ratio_p5);
    }
}

void beamctl_print_model(const beamc_model_state *state, bool json)
{
    const beamc_model *m = &state->model;
    if (json) {
        model_json(state);
        return;
    }
    if (!state->loaded) {
        printf("no model is loaded: beamd solves by %s\n", beamc_method_text(BEAMC_METHOD_BOBLRBF));
        return;
    }
    printf("model \"%s\", %s, %u layers of width %u, %" PRIu64 " parameters\n", m->name, m->kind,
           m->layers, m->width, m->parameters);
    if (m->stations > 0) {
        printf(
            "  size          %u stations x %u antennas, %u users, %u targets, %u sensing rows; no "
            "other\n",
            m->stations, m->antennas, m->users, m->targets, m->sensing_rows);
    }
    printf("  sha256        %s\n", m->sha256);
    printf("  source        %s\n", m->source[0] ? m->source : "built in");
    print_training(m);
    printf("  in use        beamd solves by %s; %" PRIu64 " models taken, %" PRIu64
           " refused since its start\n",
           beamc_method_text(state->method), state->loads, state->refused);
}

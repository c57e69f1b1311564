/* beamctl status, beamctl clusters. */
#include "beamctl_status.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "beamctl.h"

json_t *beamctl_json_named(const beamc_named_preference *named, size_t count)
{
    json_t *list = json_array();
    for (size_t k = 0; k < count; k++) {
        json_array_append_new(list,
                              json_pack("{s:o,s:o,s:s}", "name", beamctl_json_text(named[k].name),
                                        "tradeoff", beamctl_json_real(named[k].tradeoff), "words",
                                        beamc_tradeoff_words(named[k].tradeoff)));
    }
    return list;
}

static void add_answers(json_t *o, const beamc_cluster_status *c)
{
    json_object_set_new(o, "csi_sequence", beamctl_json_count(c->csi_sequence));
    json_object_set_new(o, "target_sequence", beamctl_json_count(c->target_sequence));
    json_object_set_new(o, "csi_received", beamctl_json_count(c->csi_received));
    json_object_set_new(o, "solutions", beamctl_json_count(c->solutions));
    json_object_set_new(o, "reduced", beamctl_json_count(c->reduced));
    json_object_set_new(o, "checked", beamctl_json_count(c->checked));
    json_object_set_new(o, "held", beamctl_json_count(c->held));
    json_object_set_new(o, "superseded", beamctl_json_count(c->superseded));
    json_object_set_new(o, "refused", beamctl_json_count(c->refused));
    json_object_set_new(o, "deadlines_missed", beamctl_json_count(c->deadlines_missed));
    json_object_set_new(o, "latency_p50_us", beamctl_json_real(c->latency_p50_us));
    json_object_set_new(o, "latency_p99_us", beamctl_json_real(c->latency_p99_us));
}

json_t *beamctl_json_cluster(const beamc_cluster_status *c)
{
    json_t *o = json_pack(
        "{s:o,s:i,s:i,s:i,s:i,s:i,s:i,s:o,s:o}", "cluster", beamctl_json_text(c->id), "stations",
        (int)c->stations, "antennas", (int)c->antennas, "users", (int)c->users, "max_users",
        (int)c->max_users, "targets", (int)c->targets, "subbands",
        (int)(c->subbands ? c->subbands : 1), "preference", beamctl_json_preference(&c->preference),
        "preferences", beamctl_json_named(c->preferences, c->preference_count));
    if (!o) {
        return json_null();
    }
    add_answers(o, c);
    if (c->solved) {
        json_object_set_new(o, "wsr_worst_case_bps_hz",
                            beamctl_json_real(c->wsr_worst_case_bps_hz));
        json_object_set_new(o, "crlb_m2",
                            c->crlb_valid ? beamctl_json_real(c->crlb_m2) : json_null());
        json_object_set_new(o, "method", json_string(beamc_method_text(c->method)));
        json_object_set_new(o, "age_s", beamctl_json_real(c->age_s));
    }
    return o;
}

static json_t *clusters_json(const beamc_status *status)
{
    json_t *list = json_array();
    for (size_t k = 0; k < status->cluster_count; k++) {
        json_array_append_new(list, beamctl_json_cluster(&status->clusters[k]));
    }
    return list;
}

static void print_tradeoffs(const beamc_cluster_status *c)
{
    printf("  trade-off     tau %.3f, %s  (u = %.3f, %.3f)%s\n", c->preference.tradeoff,
           beamc_tradeoff_words(c->preference.tradeoff), c->preference.u1, c->preference.u2,
           c->preference_count ? "; not in use beside the named ones" : "");
    for (size_t k = 0; k < c->preference_count; k++) {
        printf("                %s: tau %.3f, %s\n", c->preferences[k].name,
               c->preferences[k].tradeoff, beamc_tradeoff_words(c->preferences[k].tradeoff));
    }
}

static void print_cluster(const beamc_cluster_status *c)
{
    printf("cluster %s: %u stations x %u antennas, %u of %u users, %u targets", c->id, c->stations,
           c->antennas, c->users, c->max_users, c->targets);
    if (c->subbands > 1) {
        printf(", %u subbands", c->subbands);
    }
    putchar('\n');
    print_tradeoffs(c);
    printf("  CSI           %" PRIu64 " received, last sequence %" PRIu64
           "; targets sequence %" PRIu64 "\n",
           c->csi_received, c->csi_sequence, c->target_sequence);
    printf("  answers       %" PRIu64 " solutions (%" PRIu64 " reduced, %" PRIu64
           " checked, %" PRIu64 " held), %" PRIu64 " superseded, %" PRIu64 " refused, %" PRIu64
           " deadlines missed\n",
           c->solutions, c->reduced, c->checked, c->held, c->superseded, c->refused,
           c->deadlines_missed);
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

static void print_status_json(const beamc_status *s)
{
    json_t *o =
        json_pack("{s:o,s:b,s:o,s:i,s:i}", "version", beamctl_json_text(s->version), "draining",
                  (int)s->draining, "uptime_s", beamctl_json_real(s->uptime_s), "solver_threads",
                  (int)s->solver_threads, "max_clusters", (int)s->max_clusters);
    json_object_set_new(o, "messages_received", beamctl_json_count(s->messages_received));
    json_object_set_new(o, "solutions_sent", beamctl_json_count(s->solutions_sent));
    json_object_set_new(o, "errors_sent", beamctl_json_count(s->errors_sent));
    json_object_set_new(o, "method", json_string(beamc_method_text(s->method)));
    json_object_set_new(o, "model",
                        s->model_name[0]
                            ? json_pack("{s:o,s:o}", "name", beamctl_json_text(s->model_name),
                                        "sha256", beamctl_json_text(s->model_sha256))
                            : json_null());
    json_object_set_new(o, "clusters", clusters_json(s));
    beamctl_json_print(o);
}

int beamctl_status(const beamctl_settings *s, int argc, char **argv)
{
    beamc_client *client;
    beamc_status status;
    beamc_error err;
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = beamc_status_get(client, argc == 2 ? argv[1] : NULL, s->timeout_ms, &status, &err);
    }
    if (!code && s->json) {
        print_status_json(&status);
    } else if (!code) {
        printf("beamd %s, %s, up %.0f s, %u solver threads\n", status.version,
               status.draining ? "draining" : "serving", status.uptime_s, status.solver_threads);
        printf("%" PRIu64 " messages received, %" PRIu64 " solutions and %" PRIu64
               " errors sent, %zu of %u clusters\n",
               status.messages_received, status.solutions_sent, status.errors_sent,
               status.cluster_count, status.max_clusters);
        print_method(&status);
        for (size_t k = 0; k < status.cluster_count; k++) {
            print_cluster(&status.clusters[k]);
        }
    }
    beamc_close(&client);
    return code ? beamctl_fail(&err) : BEAMCTL_DONE;
}

int beamctl_clusters(const beamctl_settings *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    beamc_client *client;
    beamc_status status;
    beamc_error err;
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = beamc_cluster_list(client, s->timeout_ms, &status, &err);
    }
    if (!code && s->json) {
        beamctl_json_print(json_pack("{s:o}", "clusters", clusters_json(&status)));
    } else if (!code) {
        printf("%-24s %8s %8s %9s %7s %8s  %s\n", "cluster", "stations", "antennas", "users",
               "targets", "subbands", "trade-off");
        for (size_t k = 0; k < status.cluster_count; k++) {
            const beamc_cluster_status *c = &status.clusters[k];
            printf("%-24s %8u %8u %4u/%-4u %7u %8u  %.3f %s\n", c->id, c->stations, c->antennas,
                   c->users, c->max_users, c->targets, c->subbands ? c->subbands : 1,
                   c->preference.tradeoff, beamc_tradeoff_words(c->preference.tradeoff));
        }
    }
    beamc_close(&client);
    return code ? beamctl_fail(&err) : BEAMCTL_DONE;
}

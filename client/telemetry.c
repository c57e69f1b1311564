/* What the daemon says of itself: clusters, telemetry. */
#include "client.h"

#include <stdio.h>

static beamc_code no_room(beamc_error *err)
{
    return beamc_fail(err, BEAMC_E_PROTOCOL,
                      "the answer needs more memory than is set aside for one");
}

beamc_code beamc_decode_named(beamc_client *client, Beamd__NamedPreference *const *list,
                              size_t count, const beamc_named_preference **out, beamc_error *err)
{
    beamc_named_preference *named = BEAMC_TAKE(&client->in, beamc_named_preference, count);
    if (!named) {
        return no_room(err);
    }
    for (size_t k = 0; k < count; k++) {
        named[k].name = list[k]->name;
        named[k].tradeoff = beamc_decode_preference(list[k]->preference).tradeoff;
    }
    *out = count > 0 ? named : NULL;
    return BEAMC_OK;
}

static beamc_code decode_cluster(beamc_client *client, const Beamd__ClusterStatus *m,
                                 beamc_cluster_status *c, beamc_error *err)
{
    *c = (beamc_cluster_status){
        .stations = m->stations,
        .antennas = m->antennas,
        .users = m->users,
        .max_users = m->max_users,
        .targets = m->targets,
        .subbands = m->subbands > 0 ? m->subbands : 1,
        .preference = beamc_decode_preference(m->preference),
        .preference_count = m->n_preferences,
        .csi_sequence = m->csi_sequence,
        .target_sequence = m->target_sequence,
        .csi_received = m->csi_received,
        .solutions = m->solutions,
        .superseded = m->superseded,
        .refused = m->refused,
        .deadlines_missed = m->deadlines_missed,
        .reduced = m->reduced,
        .checked = m->checked,
        .held = m->held,
        .latency_p50_us = m->latency_p50_us,
        .latency_p99_us = m->latency_p99_us,
        .solved = m->solved != 0,
        .wsr_worst_case_bps_hz = m->wsr_worst_case_bps_hz,
        .crlb_valid = m->crlb_valid != 0,
        .crlb_m2 = m->crlb_m2,
        .method = (beamc_method)m->method,
        .age_s = m->age_s,
    };
    snprintf(c->id, sizeof c->id, "%s", m->cluster);
    return beamc_decode_named(client, m->preferences, m->n_preferences, &c->preferences, err);
}

beamc_code beamc_decode_clusters(beamc_client *client, Beamd__ClusterStatus *const *list,
                                 size_t count, const beamc_cluster_status **out, beamc_error *err)
{
    beamc_cluster_status *clusters = BEAMC_TAKE(&client->in, beamc_cluster_status, count);
    if (!clusters) {
        return no_room(err);
    }
    for (size_t k = 0; k < count; k++) {
        const beamc_code code = decode_cluster(client, list[k], &clusters[k], err);
        if (code) {
            return code;
        }
    }
    *out = clusters;
    return BEAMC_OK;
}

static beamc_code decode_stages(beamc_client *client, const Beamd__Telemetry *m, beamc_telemetry *t,
                                beamc_error *err)
{
    beamc_distribution *stages = BEAMC_TAKE(&client->in, beamc_distribution, m->n_stages);
    beamc_backend_status *backends = BEAMC_TAKE(&client->in, beamc_backend_status, m->n_backends);
    if (!stages || !backends) {
        return no_room(err);
    }
    for (size_t k = 0; k < m->n_stages; k++) {
        const Beamd__Distribution *d = m->stages[k];
        stages[k] = (beamc_distribution){.stage = d->stage,
                                         .count = d->count,
                                         .p50_us = d->p50_us,
                                         .p99_us = d->p99_us,
                                         .p999_us = d->p999_us,
                                         .max_us = d->max_us};
    }
    for (size_t k = 0; k < m->n_backends; k++) {
        const Beamd__BackendStatus *b = m->backends[k];
        backends[k] = (beamc_backend_status){.backend = (beamc_backend)b->backend,
                                             .health = b->health,
                                             .batches = b->batches,
                                             .problems = b->problems,
                                             .failures = b->failures,
                                             .service_us = b->service_us,
                                             .retry_s = b->retry_s};
    }
    t->stages = stages;
    t->stage_count = m->n_stages;
    t->backends = backends;
    t->backend_count = m->n_backends;
    return BEAMC_OK;
}

beamc_code beamc_decode_telemetry(beamc_client *client, const Beamd__Telemetry *m,
                                  const beamc_telemetry **out, beamc_error *err)
{
    beamc_telemetry *t = BEAMC_TAKE(&client->in, beamc_telemetry, 1);
    if (!t) {
        return no_room(err);
    }
    *t = (beamc_telemetry){
        .monotonic_ns = m->monotonic_ns,
        .unix_ns = m->unix_ns,
        .interval_s = m->interval_s,
        .uptime_s = m->uptime_s,
        .sequence = m->sequence,
        .queue_depth = m->queue_depth,
        .solving = m->solving,
        .workers = m->workers,
        .csi_received = m->csi_received,
        .solutions = m->solutions,
        .reduced = m->reduced,
        .checked = m->checked,
        .held = m->held,
        .late = m->late,
        .superseded = m->superseded,
        .errors = m->errors,
        .draining = m->draining != 0,
        .cluster_count = m->n_clusters,
    };
    beamc_code code = decode_stages(client, m, t, err);
    if (!code) {
        code = beamc_decode_clusters(client, m->clusters, m->n_clusters, &t->clusters, err);
    }
    *out = t;
    return code;
}

/* Which effort a request gets, from measured service times and from the health of the backends. */
#include <math.h>
#include <string.h>

#include "core_internal.h"

/* A new measurement counts for one in eight; twice the mean deviation is allowed for. */
static const double weight = 0.125, deviations = 2;
/* What was not chosen for its time is taken for this much faster at the next look: after 22 looks
 * an outlier of a factor of ten is forgotten. */
static const double forget = 0.9;

double beamd_core_expect_ns(const beamd_cluster *c, beamd_effort effort, double problems)
{
    if (effort >= BEAMD_EFFORT_NONE) {
        return 0;
    }
    const beamd_service_time *t = &c->service[effort];
    if (effort == BEAMD_EFFORT_GPU) {
        problems = 1; /* what many take side by side one takes too */
    }
    return problems * (t->mean_ns + deviations * t->deviation_ns);
}

void beamd_core_measured(beamd_cluster *c, beamd_effort effort, double each_ns)
{
    beamd_service_time *t = &c->service[effort];
    const beamd_service_time *network = &c->service[BEAMD_EFFORT_NETWORK];
    if (effort == BEAMD_EFFORT_FULL && network->mean_ns > each_ns) {
        beamd_core_measured(c, BEAMD_EFFORT_NETWORK, each_ns); /* is a part of it */
    }
    if (t->mean_ns <= 0) {
        t->mean_ns = each_ns;
        t->deviation_ns = 0;
        return;
    }
    t->deviation_ns += weight * (fabs(each_ns - t->mean_ns) - t->deviation_ns);
    t->mean_ns += weight * (each_ns - t->mean_ns);
}

void beamd_core_relax(const beamd_core *self, beamd_cluster *c)
{
    const uint64_t stop_ns = beamd_core_stop_at_ns(self, c);
    const double all_ns =
        stop_ns > c->active.received_ns ? (double)(stop_ns - c->active.received_ns) : 0;
    const double problems =
        beamd_bands_count(&c->active.bands) * (c->named_count > 0 ? c->named_count : 1);
    for (int k = 0; k < BEAMD_EFFORT_GPU; k++) {
        /* as core_schedule.c asks for it: all problems at once, on as many threads as the cluster
         * has tasks for; full effort also by pressure */
        const long long workers = self->config->workers;
        const double threads = (double)(c->tasks < workers ? c->tasks : workers);
        const double each = problems > threads ? threads / problems : 1;
        const double share = k == BEAMD_EFFORT_FULL ? 0.5 * each : each;
        const double most_ns = share * all_ns;
        if (beamd_core_expect_ns(c, (beamd_effort)k, 1) > most_ns) {
            c->service[k].mean_ns *= forget;
            c->service[k].deviation_ns *= forget;
        }
    }
}

void beamd_core_relax_gpu(beamd_cluster *c)
{
    c->service[BEAMD_EFFORT_GPU].mean_ns *= forget;
    c->service[BEAMD_EFFORT_GPU].deviation_ns *= forget;
}

Beamd__Backend beamd_core_backend_of(beamd_effort effort)
{
    switch (effort) {
    case BEAMD_EFFORT_FULL:
    case BEAMD_EFFORT_NETWORK:
        return BEAMD__BACKEND__BACKEND_NETWORK;
    case BEAMD_EFFORT_SOLVER:
        return BEAMD__BACKEND__BACKEND_SOLVER;
    case BEAMD_EFFORT_CHECK:
        return BEAMD__BACKEND__BACKEND_CHECK;
    case BEAMD_EFFORT_GPU:
        return BEAMD__BACKEND__BACKEND_GPU;
    case BEAMD_EFFORT_NONE:
        break;
    }
    return BEAMD__BACKEND__BACKEND_NONE;
}

/* What the network is not made for is known before it is asked. */
beamd_fallback beamd_core_excluded(const beamd_core *self, const beamd_cluster *c)
{
    const beam_scene *scene = &c->live.scene;
    if (!beamd_core_uses_network(self)) {
        return BEAMD_FALLBACK_NONE;
    }
    if (!self->model) {
        return BEAMD_FALLBACK_NO_MODEL;
    }
    if (scene->sensing != BEAM_SENSING_RESOLVED) {
        return BEAMD_FALLBACK_SENSING;
    }
    for (int u = 0; u < scene->dims.users; u++) {
        if (scene->user_min_rate_bps_hz[u] > 0) {
            return BEAMD_FALLBACK_MIN_RATES;
        }
    }
    if (c->without_room) {
        return BEAMD_FALLBACK_MEMORY;
    }
    return beamd_health_usable(&self->backend[BEAMD__BACKEND__BACKEND_NETWORK], self->now_ns)
               ? BEAMD_FALLBACK_NONE
               : BEAMD_FALLBACK_HEALTH;
}

/* The iterations of refinement and solver end when they are told to, so that only what comes before
 * them must fit. */
beamd_effort beamd_core_choose(const beamd_core *self, const beamd_cluster *c, uint64_t left_ns,
                               bool pressed)
{
    const double left = (double)left_ns;
    const double check = beamd_core_expect_ns(c, BEAMD_EFFORT_CHECK, 1);
    const bool network =
        beamd_core_uses_network(self) && beamd_core_excluded(self, c) == BEAMD_FALLBACK_NONE;
    if (network && left_ns > 0 && beamd_core_expect_ns(c, BEAMD_EFFORT_NETWORK, 1) <= left) {
        return pressed || self->config->refine_iterations == 0 ? BEAMD_EFFORT_NETWORK
                                                               : BEAMD_EFFORT_FULL;
    }
    const bool solver =
        beamd_health_usable(&self->backend[BEAMD__BACKEND__BACKEND_SOLVER], self->now_ns);
    if (!network && solver && !pressed && left_ns > 0 && 2 * check <= left) {
        return BEAMD_EFFORT_SOLVER;
    }
    if (left_ns > 0 && check <= left) {
        return BEAMD_EFFORT_CHECK;
    }
    return BEAMD_EFFORT_NONE;
}

/* The state that survives a restart, between the core, its threads and the loop. */
#include "state.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "core_internal.h"
#include "service.h"

/* TURN_MS: between two looks at what changed. LOAD_MS: of the start; a controller waits for it.
 * FLUSH_MS: of the end. */
enum { TURN_MS = 20, LOAD_MS = 2000, FLUSH_MS = 2000 };

static uint64_t clock_ns(void *arg)
{
    (void)arg;
    return beamd_clock_ns();
}

static beamd_cluster *cluster_at(void *arg, unsigned i)
{
    const beamd_service *self = arg;
    return beamd_core_cluster_at(self->core, i);
}

static beamd_cluster *find(void *arg, const char *id)
{
    const beamd_service *self = arg;
    return beamd_core_find(self->core, id);
}

static bool preference(void *arg, double *tradeoff)
{
    const beamd_service *self = arg;
    *tradeoff = self->core->default_tradeoff;
    return self->core->has_default_tradeoff;
}

static bool submit(void *arg, beamd_job *job)
{
    return beamd_service_free_threads(arg, BEAMD_CREW_READ) > 0 &&
           beamd_service_submit(arg, BEAMD_CREW_READ, job);
}

static void limits(void *arg, beamd_cluster_limits *out)
{
    const beamd_service *self = arg;
    *out = beamd_core_limits(self->core, 0);
}

static bool restore(void *arg, beamd_cluster *cluster)
{
    const beamd_service *self = arg;
    return beamd_core_restore(self->core, cluster);
}

static void set_preference(void *arg, double tradeoff)
{
    const beamd_service *self = arg;
    self->core->has_default_tradeoff = true;
    self->core->default_tradeoff = tradeoff;
}

static uint64_t every_ns(const beamd_service *self)
{
    return (uint64_t)self->config.state_ms * 1000000u;
}

static void count(beamd_service *self)
{
    const beamd_state_counters *from = beamd_state_counters_of(self->state);
    beamd_metrics *to = beamd_core_metrics(self->core);
    to->state_restored = from->restored;
    to->state_damaged = from->damaged;
    to->state_written = from->written;
    to->state_write_failures = from->failed;
}

static void turn(void *arg)
{
    beamd_service *self = arg;
    const uint64_t now_ns = beamd_clock_ns();
    const bool more = beamd_state_tick(self->state, now_ns, every_ns(self));
    count(self);
    (void)beamd_watch_arm(self->state_turn, more ? now_ns : now_ns + TURN_MS * UINT64_C(1000000));
}

bool beamd_service_state_done(beamd_service *self, const beamd_job *job)
{
    const uint64_t now_ns = beamd_clock_ns();
    if (!self->state || !beamd_state_done(self->state, job, now_ns, every_ns(self))) {
        return false;
    }
    if (self->state_turn) {
        (void)beamd_watch_arm(self->state_turn, now_ns); /* the next one may be due */
    }
    return true;
}

bool beamd_service_state_start(beamd_service *self, char *why, size_t size)
{
    const beamd_config *config = &self->config;
    const beamd_state_world world = {.arg = self,
                                     .clock_ns = clock_ns,
                                     .at = cluster_at,
                                     .find = find,
                                     .preference = preference,
                                     .submit = submit,
                                     .limits = limits,
                                     .restore = restore,
                                     .set_preference = set_preference};
    if (strcmp(config->state_dir, "off") == 0) {
        const unsigned given_back = beamd_state_give_back(&self->notify);
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=state_off given_back=%u", given_back);
        return true;
    }
    self->state = beamd_state_open(config->state_dir, (unsigned)config->clusters_max,
                                   (size_t)config->cluster_memory_mib << 20, &self->notify, &world,
                                   why, size);
    if (!self->state) {
        return false;
    }
    beamd_state_load(self->state, LOAD_MS * UINT64_C(1000000));
    count(self);
    self->state_turn = beamd_watch_deadline(self->loop, turn, self);
    if (!self->state_turn || !beamd_watch_arm(self->state_turn, beamd_clock_ns())) {
        snprintf(why, size, "a timer is refused");
        return false;
    }
    return true;
}

/* The threads are joined and what they finished was taken back. */
void beamd_service_state_stop(beamd_service *self)
{
    beamd_watch_destroy(&self->state_turn);
    if (self->state) {
        beamd_state_flush(self->state, FLUSH_MS * UINT64_C(1000000));
        count(self);
    }
    beamd_state_close(&self->state);
}

double beamd_service_state_age_s(const beamd_service *self, size_t *bytes)
{
    const beamd_state_counters *counters =
        self->state ? beamd_state_counters_of(self->state) : NULL;
    *bytes = counters ? counters->record_bytes : 0;
    return counters && counters->written_at_ns > 0
               ? 1e-9 * (double)(beamd_clock_ns() - counters->written_at_ns)
               : -1;
}

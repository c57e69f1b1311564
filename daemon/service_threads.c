/* The threads, by their work, and how the core reaches them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "service.h"

enum { BACKGROUND_NICENESS = 15, READERS = 2, JOIN_MS = 2000 };

static void reap(beamd_service *self, beamd_pool *pool)
{
    beamd_job *job;
    beamd_pool_acknowledge(pool);
    while ((job = beamd_pool_reap(pool)) != NULL) {
        const beamd_event event = {.kind = BEAMD_EVENT_DONE, .job = job};
        if (!beamd_service_state_done(self, job)) {
            beamd_service_step(self, &event);
        }
    }
}

/* An io callback has no room for which pool it is about: one look at all of them. */
static void jobs_event(void *arg, int events)
{
    beamd_service *self = arg;
    (void)events;
    for (int crew = 0; crew < BEAMD_CREWS; crew++) {
        if (self->pool[crew]) {
            reap(self, self->pool[crew]);
        }
    }
}

static bool start_pool(beamd_service *self, beamd_crew crew, beamd_pool_options options, char *why,
                       size_t size)
{
    beamd_realtime_place(&self->realtime,
                         crew == BEAMD_CREW_SOLVE    ? BEAMD_CREW_KIND_SOLVER
                         : crew == BEAMD_CREW_GPU    ? BEAMD_CREW_KIND_SOLVER
                         : crew == BEAMD_CREW_RESCUE ? BEAMD_CREW_KIND_RESCUE
                                                     : BEAMD_CREW_KIND_BACKGROUND,
                         &options);
    self->pool[crew] = beamd_pool_create(&options, why, size);
    if (!self->pool[crew]) {
        return false;
    }
    self->done[crew] =
        beamd_watch_io(self->loop, beamd_pool_fd(self->pool[crew]), BEAMD_READ, jobs_event, self);
    if (!self->done[crew]) {
        snprintf(why, size, "out of memory");
    }
    return self->done[crew] != NULL;
}

bool beamd_pools_start(beamd_service *self, char *why, size_t size)
{
    const beamd_config *config = &self->config;
    const beamd_pool_options solve = {
        .name = "solve", .threads = (unsigned)config->workers, .spin_us = &config->spin_us};
    const beamd_pool_options rescue = {.name = "rescue", .threads = 1};
    const beamd_pool_options background = {
        .name = "refresh", .threads = 1, .niceness = BACKGROUND_NICENESS};
    const beamd_pool_options gpu = {
        .name = "gpu", .threads = (unsigned)config->gpu_threads, .spin_us = &config->spin_us};
    const beamd_pool_options read = {
        .name = "read", .threads = READERS, .niceness = BACKGROUND_NICENESS};
    return start_pool(self, BEAMD_CREW_SOLVE, solve, why, size) &&
           start_pool(self, BEAMD_CREW_RESCUE, rescue, why, size) &&
           start_pool(self, BEAMD_CREW_BACKGROUND, background, why, size) &&
           start_pool(self, BEAMD_CREW_READ, read, why, size) &&
           (self->gpus.count == 0 || start_pool(self, BEAMD_CREW_GPU, gpu, why, size));
}

/* Jobs under way work in the core's memory: they are told to end, waited for and taken back. One
 * that does not end keeps that memory, so nothing of it may be freed: the process ends here, after
 * the last word on the state, unless that is what the thread is stuck in. Sockets are closed by
 * now, and the kernel releases the lock. */
void beamd_pools_stop(beamd_service *self)
{
    const beamd_event abandon = {.kind = BEAMD_EVENT_ABANDON};
    bool stuck = false, writer_stuck = false;
    if (self->core) {
        beamd_service_step(self, &abandon);
    }
    for (int crew = 0; crew < BEAMD_CREWS; crew++) {
        beamd_watch_destroy(&self->done[crew]);
        if (!self->pool[crew]) {
            continue;
        }
        if (beamd_pool_join(self->pool[crew], JOIN_MS) > 0) {
            BEAMD_LOG(BEAMD_LOG_ERR, "event=thread_stuck crew=%d limit_ms=%d", crew, JOIN_MS);
            stuck = true;
            writer_stuck |= crew == BEAMD_CREW_READ;
        }
        reap(self, self->pool[crew]);
    }
    if (stuck) {
        if (!writer_stuck) {
            beamd_service_state_stop(self);
        }
        _exit(EXIT_FAILURE);
    }
    for (int crew = 0; crew < BEAMD_CREWS; crew++) {
        beamd_pool_destroy(&self->pool[crew]);
    }
}

unsigned beamd_service_free_threads(void *arg, beamd_crew crew)
{
    const beamd_service *self = arg;
    const beamd_pool *pool = self->pool[crew];
    return pool ? beamd_pool_workers(pool) - beamd_pool_busy(pool) : 0;
}

bool beamd_service_submit(void *arg, beamd_crew crew, beamd_job *job)
{
    beamd_service *self = arg;
    return beamd_pool_submit(self->pool[crew], job);
}

bool beamd_service_replace_thread(void *arg, beamd_crew crew, const beamd_job *job)
{
    beamd_service *self = arg;
    return beamd_pool_replace(self->pool[crew], job);
}

/* Signals, timers, the watchdog, and how the daemon ends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "service.h"

enum { TICK_MS = 20, ABANDON_MS = 2000 };

/* What came before the end gets its refusal, unless more comes for longer than drain_ms. */
static bool all_answered(beamd_service *self)
{
    return beamd_core_idle(self->core) && !beamd_zsock_waiting(self->csi) &&
           !beamd_zsock_waiting(self->control);
}

static void end_if_idle(beamd_service *self)
{
    if (!self->draining) {
        return;
    }
    if (self->abandoned ? beamd_core_jobs(self->core) == 0 : all_answered(self)) {
        beamd_loop_break(self->loop);
    }
}

static void drain_over(void *arg)
{
    beamd_service *self = arg;
    beamd_watch_destroy(&self->drain_limit);
    if (self->abandoned) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=drain_stuck jobs=%u", beamd_core_jobs(self->core));
        const beamd_event refuse = {.kind = BEAMD_EVENT_ABANDON};
        beamd_service_step(self, &refuse);
        beamd_loop_break(self->loop);
        return;
    }
    BEAMD_LOG(BEAMD_LOG_WARNING, "event=drain_limit jobs=%u ready=%u", beamd_core_jobs(self->core),
              beamd_core_waiting(self->core));
    self->abandoned = true;
    const beamd_event abandon = {.kind = BEAMD_EVENT_ABANDON};
    beamd_service_step(self, &abandon);
    self->drain_limit = beamd_watch_timer(self->loop, ABANDON_MS, 0, drain_over, self);
}

static void drain(beamd_service *self)
{
    const beamd_event event = {.kind = BEAMD_EVENT_DRAIN};
    self->draining = true;
    BEAMD_LOG(BEAMD_LOG_NOTICE, "event=draining jobs=%u ready=%u", beamd_core_jobs(self->core),
              beamd_core_waiting(self->core));
    beamd_service_step(self, &event);
    /* said when it is so: no request that is sent from now on is taken */
    beamd_notify_send(&self->notify, "STOPPING=1\nSTATUS=Draining");
    self->drain_limit =
        beamd_watch_timer(self->loop, (unsigned)self->config.drain_ms, 0, drain_over, self);
    end_if_idle(self);
}

static void stop_signal(void *arg)
{
    beamd_service *self = arg;
    if (!self->draining) {
        drain(self);
    }
}

void beamd_service_drain(void *arg)
{
    beamd_service *self = arg;
    self->drain_wanted = true; /* not from within the step that the message came through */
    if (self->wake) {
        (void)beamd_watch_arm(self->wake, 0);
    }
}

static void reload(void *arg)
{
    beamd_service_reload(arg);
}

/* The time that the core wanted. */
static void wake(void *arg)
{
    beamd_service *self = arg;
    const beamd_event model = {.kind = BEAMD_EVENT_CONFIG};
    const beamd_event event = {.kind = BEAMD_EVENT_TIME};
    if (self->drain_wanted) {
        self->drain_wanted = false;
        stop_signal(self);
    }
    if (self->reread_wanted) {
        self->reread_wanted = false;
        beamd_service_step(self, &model);
    }
    beamd_service_step(self, &event);
    end_if_idle(self);
}

static void tick(void *arg)
{
    beamd_service *self = arg;
    wake(self);
}

static void feed_watchdog(void *arg)
{
    beamd_service *self = arg;
    const uint64_t now_ns = beamd_clock_ns(), stall_ns = (uint64_t)self->config.stall_ms * 1000000u;
    if (!beamd_pool_alive(self->pool[BEAMD_CREW_SOLVE], now_ns, stall_ns) ||
        !beamd_pool_alive(self->pool[BEAMD_CREW_BACKGROUND], now_ns, stall_ns)) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=solver_stalled limit_ms=%lld", self->config.stall_ms);
        return;
    }
    beamd_gauges g;
    beamd_core_gauges(self->core, now_ns, &g);
    beamd_notify_send(&self->notify, "WATCHDOG=1\nSTATUS=%s, %u clusters, %u waiting",
                      self->draining ? "Draining" : "Serving", g.clusters, g.ready);
}

bool beamd_events_start(beamd_service *self, char *why, size_t size)
{
    self->on_term = beamd_watch_signal(self->loop, SIGTERM, stop_signal, self);
    self->on_int = beamd_watch_signal(self->loop, SIGINT, stop_signal, self);
    self->on_hup = beamd_watch_signal(self->loop, SIGHUP, reload, self);
    self->tick = beamd_watch_timer(self->loop, TICK_MS, TICK_MS, tick, self);
    self->wake = beamd_watch_deadline(self->loop, wake, self);
    bool good = self->wake && self->on_term && self->on_int && self->on_hup && self->tick;
    if (good && self->notify.watchdog_us > 0) {
        const uint64_t half_ms = self->notify.watchdog_us / 2000u;
        const unsigned every_ms = half_ms < 1 ? 1 : half_ms > 60000 ? 60000 : (unsigned)half_ms;
        self->watchdog = beamd_watch_timer(self->loop, every_ms, every_ms, feed_watchdog, self);
        good = self->watchdog != NULL;
    }
    if (!good) {
        snprintf(why, size, "out of memory");
        return false;
    }
    if (!beamd_notify_send(&self->notify, "READY=1\nSTATUS=Serving, 0 clusters, 0 waiting")) {
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=notify_failed why=\"%s\"", strerror(errno));
    }
    return true;
}

void beamd_events_stop(beamd_service *self)
{
    beamd_watch_destroy(&self->drain_limit);
    beamd_watch_destroy(&self->watchdog);
    beamd_watch_destroy(&self->tick);
    beamd_watch_destroy(&self->wake);
    beamd_watch_destroy(&self->on_hup);
    beamd_watch_destroy(&self->on_int);
    beamd_watch_destroy(&self->on_term);
}

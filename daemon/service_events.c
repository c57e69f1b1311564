/* Signals, timers, the watchdog, and how the daemon ends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "service.h"

enum { TICK_MS = 20, ABANDON_MS = 2000 };

static void end_if_idle(beamd_service *self)
{
    const bool done =
        self->abandoned ? beamd_core_jobs(self->core) == 0 : beamd_core_idle(self->core);
    if (self->draining && done) {
        beamd_loop_break(self->loop);
    }
}

static void drain_over(void *arg)
{
    beamd_service *self = arg;
    beamd_watch_destroy(&self->drain_limit);
    if (self->abandoned) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=drain_stuck jobs=%u", beamd_core_jobs(self->core));
        beamd_loop_break(self->loop);
        return;
    }
    BEAMD_LOG(BEAMD_LOG_WARNING, "event=drain_limit jobs=%u ready=%u", beamd_core_jobs(self->core),
              beamd_core_ready(self->core));
    self->abandoned = true;
    beamd_core_abandon(self->core, beamd_clock_ns());
    self->drain_limit = beamd_watch_timer(self->loop, ABANDON_MS, 0, drain_over, self);
}

static void begin_drain(void *arg)
{
    beamd_service *self = arg;
    if (self->draining) {
        return;
    }
    self->draining = true;
    BEAMD_LOG(BEAMD_LOG_NOTICE, "event=draining jobs=%u ready=%u", beamd_core_jobs(self->core),
              beamd_core_ready(self->core));
    beamd_notify_send(&self->notify, "STOPPING=1\nSTATUS=Draining");
    beamd_core_drain(self->core);
    self->drain_limit =
        beamd_watch_timer(self->loop, (unsigned)self->config.drain_ms, 0, drain_over, self);
}

static void log_change(void *arg, const char *name, const char *old_value, const char *new_value,
                       bool reloadable)
{
    (void)arg;
    BEAMD_LOG(BEAMD_LOG_NOTICE, "event=setting key=%s old=\"%s\" new=\"%s\" takes_effect=%s", name,
              old_value, new_value, reloadable ? "now" : "restart");
}

static bool reload_keys(beamd_service *self, const char *curve_dir)
{
    char why[512];
    const bool good = beamd_zap_reload(self->zap, curve_dir, why, sizeof why);
    if (!good) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=reload_refused why=\"%s\"", why);
    }
    return good;
}

static void reload(void *arg)
{
    beamd_service *self = arg;
    beamd_config_error err;
    beamd_config fresh;
    if (!self->config_path) {
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=reload_skipped why=\"started without a file\"");
        reload_keys(self, self->config.curve_dir);
        beamd_core_reread_model(self->core);
        return;
    }
    beamd_config_default(&fresh);
    if (!beamd_config_read(&fresh, self->config_path, &err) ||
        !beamd_config_parse(&fresh, "command line", self->settings, self->settings_bytes, &err) ||
        !beamd_config_resolve(&fresh, &err)) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=reload_refused why=\"%s\"", err.text);
        return;
    }
    if (!reload_keys(self, fresh.curve_dir)) {
        return;
    }
    beamd_config_changes(&self->config, &fresh, log_change, self);
    const char *first = "";
    const int fixed = beamd_config_reload(&self->config, &fresh, &first);
    beamd_log_setup(beamd_service_log_level(&self->config), (unsigned)self->config.log_per_second);
    BEAMD_LOG(BEAMD_LOG_NOTICE, "event=reloaded need_restart=%d first=%s", fixed, first);
    beamd_core_reread_model(self->core);
}

static void tick(void *arg)
{
    beamd_service *self = arg;
    beamd_core_tick(self->core, beamd_clock_ns());
    end_if_idle(self);
}

static void feed_watchdog(void *arg)
{
    beamd_service *self = arg;
    const uint64_t now_ns = beamd_clock_ns(), stall_ns = (uint64_t)self->config.stall_ms * 1000000u;
    if (!beamd_pool_alive(self->solvers, now_ns, stall_ns) ||
        !beamd_pool_alive(self->background, now_ns, stall_ns)) {
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
    self->on_term = beamd_watch_signal(self->loop, SIGTERM, begin_drain, self);
    self->on_int = beamd_watch_signal(self->loop, SIGINT, begin_drain, self);
    self->on_hup = beamd_watch_signal(self->loop, SIGHUP, reload, self);
    self->tick = beamd_watch_timer(self->loop, TICK_MS, TICK_MS, tick, self);
    bool good = self->on_term && self->on_int && self->on_hup && self->tick;
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
    beamd_watch_destroy(&self->on_hup);
    beamd_watch_destroy(&self->on_int);
    beamd_watch_destroy(&self->on_term);
}

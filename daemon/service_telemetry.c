/* Telemetry for live tools, and the steps of real time. */
#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "service.h"

bool beamd_realtime_begin(beamd_service *self, char *why, size_t size)
{
    return beamd_realtime_start(&self->realtime, &self->config, why, size);
}

void beamd_realtime_end(beamd_service *self)
{
    beamd_realtime_stop(&self->realtime);
}

bool beamd_loop_thread_begin(beamd_service *self, char *why, size_t size)
{
    return beamd_realtime_enter(&self->realtime, why, size);
}

void beamd_loop_thread_end(beamd_service *self)
{
    beamd_realtime_leave(&self->realtime);
}

static uint64_t unix_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void publish(void *arg)
{
    beamd_service *self = arg;
    beamd_metrics *metrics = beamd_core_metrics(self->core);
    beamd_gauges gauges;
    beam_wire_error err;
    const unsigned char *frame;
    size_t bytes;
    const uint64_t now_ns = beamd_clock_ns();
    beamd_service_gauges(self, now_ns, &gauges);
    beamd_telemetry_facts facts = {
        .now_ns = now_ns, .unix_ns = unix_ns(), .metrics = metrics, .gauges = &gauges};
    facts.clusters = beamd_core_cluster_status(
        self->core, now_ns, (size_t)self->config.metrics_clusters, &facts.cluster_count);
    if (beamd_telemetry_pack(self->telemetry, &facts, &frame, &bytes, &err) < 0) {
        metrics->telemetry_dropped++;
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=telemetry_dropped why=\"%s\"", err.text);
    } else {
        const beamd_frame frames[] = {
            {BEAM_WIRE_TELEMETRY_TOPIC, sizeof BEAM_WIRE_TELEMETRY_TOPIC - 1}, {frame, bytes}};
        const bool sent = beamd_zsock_send(self->telemetry_socket, frames, 2);
        metrics->telemetry_sent += sent;
        metrics->telemetry_dropped += !sent;
    }
    /* a reload may have changed the interval */
    beamd_watch_destroy(&self->telemetry_timer);
    self->telemetry_timer =
        beamd_watch_timer(self->loop, (unsigned)self->config.telemetry_ms, 0, publish, self);
}

bool beamd_service_telemetry_start(beamd_service *self, char *why, size_t size)
{
    if (!self->telemetry_socket) {
        return true; /* off */
    }
    self->telemetry =
        beamd_telemetry_create((size_t)self->config.metrics_clusters, beamd_clock_ns());
    self->telemetry_timer =
        beamd_watch_timer(self->loop, (unsigned)self->config.telemetry_ms, 0, publish, self);
    if (!self->telemetry || !self->telemetry_timer) {
        snprintf(why, size, "out of memory");
        return false;
    }
    return true;
}

void beamd_service_telemetry_stop(beamd_service *self)
{
    beamd_watch_destroy(&self->telemetry_timer);
    beamd_telemetry_destroy(&self->telemetry);
}

/* The worker's life: started, watched, killed, started again. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "gpu_link_internal.h"

/* A worker that is killed and does not end after this long is worth a line. */
#define STOP_NS UINT64_C(5000000000)

static void set_text(beamd_gpu_link *self, const char *text)
{
    snprintf(self->status.text, sizeof self->status.text, "%s", text);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* --- After an end --- */

static void become_absent(beamd_gpu_link *self, uint64_t now_ns)
{
    beamd_gpu_status *status = &self->status;
    status->counts.absent++;
    beamd_gpu_enter(self, BEAMD_GPU_ABSENT, now_ns);
    status->retry_at_ns =
        self->options.absent_retry_ns > 0 ? sum(now_ns, self->options.absent_retry_ns) : UINT64_MAX;
    if (strcmp(self->said_absent, status->text) != 0) {
        beamd_gpu_say(self, false, "gpu: %s; the CPU serves", status->text);
        memcpy(self->said_absent, status->text, sizeof self->said_absent);
    }
}

static void back_off(beamd_gpu_link *self, uint64_t now_ns)
{
    beamd_gpu_status *status = &self->status;
    status->failures_in_row++;
    if (self->options.failures_max > 0 && status->failures_in_row >= self->options.failures_max) {
        beamd_gpu_enter(self, BEAMD_GPU_FAILED, now_ns);
        status->retry_at_ns = UINT64_MAX;
        beamd_gpu_say(self, true, "gpu: %s; given up after %u failures in a row, the CPU serves",
                      status->text, status->failures_in_row);
        return;
    }
    uint64_t wait_ns = self->options.backoff_ns;
    for (unsigned i = 1; i < status->failures_in_row && wait_ns < self->options.backoff_max_ns;
         i++) {
        wait_ns =
            wait_ns > self->options.backoff_max_ns / 2 ? self->options.backoff_max_ns : wait_ns * 2;
    }
    beamd_gpu_enter(self, BEAMD_GPU_BACKING_OFF, now_ns);
    status->retry_at_ns = sum(now_ns, wait_ns);
}

/* The process is gone: its slots can be used again. */
static void see_end(beamd_gpu_link *self, uint64_t now_ns)
{
    for (unsigned i = 0; i < self->area.slots; i++) {
        self->slot[i].held = false;
    }
    if (self->absent) {
        become_absent(self, now_ns);
    } else {
        back_off(self, now_ns);
    }
}

static void stop(beamd_gpu_link *self, beamd_gpu_loss loss, uint64_t now_ns, const char *why)
{
    const unsigned lost = beamd_gpu_lose_all(self, loss);
    self->status.counts.ended[loss]++;
    if (self->status.state == BEAMD_GPU_READY) {
        self->lost_ns = now_ns;
    }
    set_text(self, why);
    self->stop_said = false;
    self->status.device[0] = 0;
    beamd_gpu_enter(self, BEAMD_GPU_STOPPING, now_ns);
    if (!self->absent) {
        beamd_gpu_say(self, true, "gpu: worker %d lost (%s): %s; batches that the CPU takes: %u",
                      (int)self->process.pid, beamd_gpu_loss_text(loss), why, lost);
    }
}

void beamd_gpu_end_worker(beamd_gpu_link *self, beamd_gpu_loss loss, uint64_t now_ns,
                          const char *why)
{
    beamd_gpu_process_kill(&self->process);
    stop(self, loss, now_ns, why);
}

/* --- Start --- */

/* What an earlier worker left in the descriptors. */
static void drain(int fd)
{
    eventfd_t count;
    (void)eventfd_read(fd, &count);
}

static void start(beamd_gpu_link *self, uint64_t now_ns)
{
    char why[BEAMG_TEXT_BYTES];
    beamg_area_reset(&self->area, &self->setup, self->options.heartbeat_ns);
    self->request = (beamg_end){.ring = &self->area.header->request};
    self->answer = (beamg_end){.ring = &self->area.header->answer};
    self->generation_sent = self->setup.generation;
    self->heartbeat = self->silent_ns = 0;
    self->watched_ns = now_ns;
    self->idle_wakes = 0;
    self->absent = false;
    drain(self->request_fd);
    drain(self->answer_fd);
    const int fds[3] = {self->area.fd, self->request_fd, self->answer_fd};
    const int error = beamd_gpu_process_start(&self->process, self->options.program,
                                              self->options.arguments, fds, why, sizeof why);
    if (error == 0) {
        self->status.counts.starts++;
        struct epoll_event event = {.events = EPOLLIN};
        (void)epoll_ctl(self->watch_fd, EPOLL_CTL_ADD, self->process.fd, &event);
        beamd_gpu_enter(self, BEAMD_GPU_STARTING, now_ns);
        return;
    }
    set_text(self, why);
    if (error == ENOENT || error == EACCES || error == ENOTDIR || error == ENOEXEC) {
        become_absent(self, now_ns);
        return;
    }
    self->status.counts.ended[BEAMD_GPU_LOSS_START]++;
    beamd_gpu_say(self, true, "gpu: worker not started: %s", why);
    back_off(self, now_ns);
}

static void become_ready(beamd_gpu_link *self, uint64_t now_ns)
{
    beamd_gpu_status *status = &self->status;
    status->start_ns = now_ns - status->since_ns;
    status->respawn_ns = self->lost_ns > 0 ? now_ns - self->lost_ns : status->respawn_ns;
    self->lost_ns = 0;
    status->generation = self->generation_sent;
    status->counts.ready++;
    self->last_answer_ns = now_ns;
    self->said_absent[0] = 0;
    set_text(self, "");
    beamg_text_copy(status->device, sizeof status->device, self->area.header->device,
                    BEAMG_TEXT_BYTES);
    beamd_gpu_enter(self, BEAMD_GPU_READY, now_ns);
    beamd_gpu_say(self, false, "gpu: worker %d ready after %.0f ms on %s", (int)self->process.pid,
                  (double)status->start_ns * 1e-6, status->device);
}

/* --- Watching --- */

/* What the worker says of itself. True: it goes on. */
static bool read_state(beamd_gpu_link *self, uint64_t now_ns)
{
    beamg_header *h = self->area.header;
    const uint32_t state = atomic_load_explicit(&h->state, memory_order_acquire);
    char why[BEAMG_TEXT_BYTES];
    beamg_text_copy(why, sizeof why, h->text, BEAMG_TEXT_BYTES);
    const bool starting = self->status.state == BEAMD_GPU_STARTING;
    if (state == BEAMG_STARTING && starting) {
        return true;
    }
    if (state == BEAMG_READY) {
        if (starting) {
            become_ready(self, now_ns);
        }
        return true;
    }
    if (state == BEAMG_FAILED || (state == BEAMG_ABSENT && starting)) {
        self->absent = state == BEAMG_ABSENT;
        beamd_gpu_end_worker(self, starting ? BEAMD_GPU_LOSS_START : BEAMD_GPU_LOSS_DEVICE, now_ns,
                             why);
    } else {
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_GARBAGE, now_ns, "its state is none");
    }
    return false;
}

/* Time in which this loop itself stood still does not count: then the beats were not looked at. */
static bool heart_beats(beamd_gpu_link *self, uint64_t now_ns)
{
    const uint64_t beat = atomic_load_explicit(&self->area.header->heartbeat, memory_order_relaxed);
    const uint64_t passed = now_ns > self->watched_ns ? now_ns - self->watched_ns : 0;
    const uint64_t most = self->options.heartbeat_limit_ns / 4;
    self->watched_ns = now_ns;
    if (beat != self->heartbeat || beat == 0) {
        self->heartbeat = beat; /* before the first one start_limit_ns holds */
        self->silent_ns = 0;
        return true;
    }
    self->silent_ns += passed < most ? passed : most;
    return self->silent_ns < self->options.heartbeat_limit_ns;
}

/* The time from which the oldest batch's counts: batches wait for each other. UINT64_MAX: none. */
static uint64_t hang_at(const beamd_gpu_link *self)
{
    uint64_t first = UINT64_MAX, limit_ns = self->options.hang_ns;
    for (unsigned i = 0; i < self->area.slots; i++) {
        const link_slot *s = &self->slot[i];
        if (s->held) {
            first = s->sent_ns < first ? s->sent_ns : first;
            if (s->setup && limit_ns < self->options.start_limit_ns) {
                limit_ns = self->options.start_limit_ns;
            }
        }
    }
    if (first == UINT64_MAX) {
        return UINT64_MAX;
    }
    return sum(first > self->last_answer_ns ? first : self->last_answer_ns, limit_ns);
}

static void watch_running(beamd_gpu_link *self, uint64_t now_ns)
{
    if (!beamd_gpu_take_answers(self, now_ns)) {
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_GARBAGE, now_ns,
                             "what it wrote into the shared memory makes no sense");
        return;
    }
    if (!read_state(self, now_ns)) {
        return;
    }
    const bool ready = self->status.state == BEAMD_GPU_READY;
    if (!heart_beats(self, now_ns)) {
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_HEART, now_ns, "no sign of life");
    } else if (ready && now_ns >= hang_at(self)) {
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_HANG, now_ns, "a batch does not come back");
    } else if (!ready && now_ns - self->status.since_ns >= self->options.start_limit_ns) {
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_START, now_ns, "not ready in time");
    } else if (ready && self->generation_sent != self->setup.generation) {
        beamd_gpu_send_setup(self, now_ns);
    }
    if (self->status.state == BEAMD_GPU_READY &&
        now_ns - self->status.since_ns >= self->options.stable_ns) {
        self->status.failures_in_row = 0;
    }
}

static void watch_end(beamd_gpu_link *self, uint64_t now_ns)
{
    char how[64];
    const bool running = self->status.state != BEAMD_GPU_STOPPING;
    const pid_t pid = self->process.pid;
    if (!beamd_gpu_process_ended(&self->process, 0, how, sizeof how)) {
        if (!running && !self->stop_said && now_ns - self->status.since_ns >= STOP_NS) {
            self->stop_said = true;
            beamd_gpu_say(self, true, "gpu: worker %d is killed and does not end; the CPU serves",
                          (int)pid);
        }
        return;
    }
    if (running) {
        stop(self,
             self->status.state == BEAMD_GPU_STARTING ? BEAMD_GPU_LOSS_START : BEAMD_GPU_LOSS_DEATH,
             now_ns, how);
    }
    see_end(self, now_ns);
}

void beamd_gpu_supervise(beamd_gpu_link *self, uint64_t now_ns)
{
    /* answers that were sent before an end still count, so they come first */
    if (self->status.state == BEAMD_GPU_STARTING || self->status.state == BEAMD_GPU_READY) {
        watch_running(self, now_ns);
    } else {
        drain(self->answer_fd);
    }
    if (self->process.fd >= 0) {
        watch_end(self, now_ns);
    }
    const beamd_gpu_state state = self->status.state;
    if ((state == BEAMD_GPU_BACKING_OFF || state == BEAMD_GPU_ABSENT) &&
        now_ns >= self->status.retry_at_ns) {
        start(self, now_ns);
    }
}

/* --- When next --- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t beamd_gpu_next_ns(const beamd_gpu_link *self)
{
    const beamd_gpu_status *status = &self->status;
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < self->area.slots; i++) {
        if (self->slot[i].state == SLOT_ANSWERED || self->slot[i].state == SLOT_LOST) {
            next = self->step_ns; /* nobody has reaped */
        } else if (self->slot[i].state == SLOT_SENT) {
            next = least(next, self->slot[i].lost_at_ns);
        }
    }
    switch (status->state) {
    case BEAMD_GPU_STARTING:
        next = least(next, sum(status->since_ns, self->options.start_limit_ns));
        return least(next, sum(self->step_ns, self->options.heartbeat_limit_ns / 4));
    case BEAMD_GPU_READY:
        next = least(next, hang_at(self));
        return least(next, sum(self->step_ns, self->options.heartbeat_limit_ns / 4));
    case BEAMD_GPU_STOPPING:
        return self->stop_said ? next : least(next, sum(status->since_ns, STOP_NS));
    default:
        return least(next, status->retry_at_ns);
    }
}

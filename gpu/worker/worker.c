#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- What beamd sees of it --- */

static void say(beamg_worker *self, beamg_state state)
{
    beamg_header *h = self->area.header;
    memcpy(h->text, self->why, sizeof h->text);
    atomic_store_explicit(&h->state, (uint32_t)state, memory_order_release);
    (void)eventfd_write(self->options.answer_fd, 1);
}

/* A thread of its own: beats tell that the process runs, the time of a batch that the device does.
 */
static void *beat(void *arg)
{
    beamg_worker *self = arg;
    beamg_header *h = self->area.header;
    const uint64_t period_ns = h->heartbeat_ns;
    const struct timespec period = {.tv_sec = (time_t)(period_ns / 1000000000u),
                                    .tv_nsec = (long)(period_ns % 1000000000u)};
    for (;;) {
        if (!atomic_load(&self->mute)) {
            atomic_fetch_add_explicit(&h->heartbeat, 1, memory_order_relaxed);
        }
        if (self->options.parent != 0 && getppid() != self->options.parent) {
            _exit(0); /* beamd is gone, whatever became of the death signal */
        }
        nanosleep(&period, NULL);
    }
    return NULL;
}

static int start_heart(beamg_worker *self)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int error = pthread_create(&self->heart, NULL, beat, self);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error != 0) {
        return beamg_refuse(BEAMG_EXIT_DEVICE, self->why, sizeof self->why, "no thread: %s",
                            strerror(error));
    }
    return 0;
}

/* beamd's loop may run on a processor of its own: this process must not stay there. */
static int choose_cpus(beamg_worker *self)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    const char *text = self->options.cpus;
    for (size_t i = 0; !text && i < CPU_SETSIZE; i++) {
        CPU_SET(i, &set); /* those that are not there do not count */
    }
    while (text && *text) {
        char *end;
        const long cpu = strtol(text, &end, 10);
        if (end == text || cpu < 0 || cpu >= CPU_SETSIZE || (*end && *end != ',')) {
            return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why, "--cpus %s",
                                self->options.cpus);
        }
        CPU_SET((size_t)cpu, &set);
        text = *end ? end + 1 : end;
    }
    if (sched_setaffinity(0, sizeof set, &set) != 0 && self->options.cpus) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why, "--cpus %s: %s",
                            self->options.cpus, strerror(errno));
    }
    return 0;
}

/* --- Work --- */

static beamg_status run_batch(beamg_worker *self, const beamg_descriptor *d)
{
    const uint64_t start_ns = now_ns();
    beamg_request request;
    beam_error err;
    if (beamg_request_open(&request, beamg_area_request(&self->area, d->slot), (size_t)d->bytes,
                           self->area.answer_bytes, &err) != BEAM_OK) {
        beamg_refuse(0, self->why, sizeof self->why, "%s %s", err.field, err.text);
        return BEAMG_REFUSED;
    }
    if (!beamg_fault_batch(self)) {
        return BEAMG_BROKEN;
    }
    beamg_answer_out out;
    beamg_answer_begin(&out, &request, beamg_area_answer(&self->area, d->slot));
    const beamg_status status =
        self->options.backend->run(self->backend, &request, &out, self->why, sizeof self->why);
    if (status == BEAMG_OK) {
        beamg_answer_end(&out, d->ticket, self->setup.generation, start_ns, now_ns());
    }
    return status;
}

static beamg_status run_setup(beamg_worker *self, const beamg_descriptor *d)
{
    beamg_setup setup;
    if (d->bytes != sizeof setup) {
        return BEAMG_REFUSED;
    }
    memcpy(&setup, beamg_area_request(&self->area, d->slot), sizeof setup);
    const int code =
        self->options.backend->setup(self->backend, &setup, self->why, sizeof self->why);
    if (code == 0) {
        self->setup = setup;
        return BEAMG_OK;
    }
    return code == BEAMG_EXIT_CONFIG ? BEAMG_UNPREPARED : BEAMG_BROKEN;
}

/* 0, or the code to end with. */
static int serve_one(beamg_worker *self, const beamg_descriptor *d)
{
    if (d->slot >= self->area.slots || d->bytes > self->area.request_bytes) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why,
                            "a request of slot %u and %llu bytes", d->slot,
                            (unsigned long long)d->bytes);
    }
    self->batches++;
    const beamg_status status = d->kind == BEAMG_BATCH   ? run_batch(self, d)
                                : d->kind == BEAMG_SETUP ? run_setup(self, d)
                                                         : BEAMG_REFUSED;
    beamg_descriptor answer = {.ticket = d->ticket,
                               .slot = d->slot,
                               .kind = d->kind,
                               .status = (uint32_t)status,
                               .bytes = self->area.answer_bytes};
    if (status != BEAMG_OK) {
        memcpy(self->area.header->text, self->why, sizeof self->why);
    }
    beamg_fault_answer(self, &answer);
    if (status == BEAMG_BROKEN) {
        say(self, BEAMG_FAILED); /* before the answer, so that the reason is there with it */
    }
    if (beamg_push(&self->answer, &answer) != BEAMG_RING_DONE) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why, "no turn for an answer");
    }
    (void)eventfd_write(self->options.answer_fd, 1);
    return status == BEAMG_BROKEN ? BEAMG_EXIT_DEVICE : 0;
}

/* Looks for spin_us, then sleeps. A wake-up before the sleep stays in the descriptor. */
static beamg_ring_code next_request(beamg_worker *self, beamg_descriptor *d)
{
    const uint64_t until_ns = now_ns() + (uint64_t)self->options.spin_us * 1000u;
    for (;;) {
        const beamg_ring_code code = beamg_pop(&self->request, d);
        if (code != BEAMG_RING_NONE) {
            return code;
        }
        if (now_ns() < until_ns) {
            continue;
        }
        struct pollfd wait = {.fd = self->options.request_fd, .events = POLLIN};
        eventfd_t count;
        if (poll(&wait, 1, -1) > 0) {
            (void)eventfd_read(self->options.request_fd, &count);
        }
    }
}

static int serve(beamg_worker *self)
{
    for (;;) {
        beamg_descriptor d;
        if (next_request(self, &d) == BEAMG_RING_BAD) {
            return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why,
                                "the ring of requests is damaged");
        }
        const int code = serve_one(self, &d);
        if (code != 0) {
            return code;
        }
    }
}

static int start(beamg_worker *self)
{
    char device[BEAMG_TEXT_BYTES] = "";
    const beamg_backend *backend = self->options.backend;
    int code = choose_cpus(self);
    code = code ? code : start_heart(self);
    code = code ? code : beamg_fault_start(self);
    code = code ? code
                : backend->open(&self->backend, &self->setup, device, self->why, sizeof self->why);
    if (code == 0) {
        code = backend->setup(self->backend, &self->setup, self->why, sizeof self->why);
    }
    if (code == 0) {
        memcpy(self->area.header->device, device, sizeof device);
        say(self, BEAMG_READY);
    }
    return code;
}

int beamg_worker_run(beamg_worker *self, const beamg_options *options)
{
    memset(self, 0, sizeof *self);
    self->options = *options;
    if (beamg_area_open(&self->area, options->memory_fd, self->why, sizeof self->why) != 0) {
        return BEAMG_EXIT_USAGE;
    }
    self->setup = self->area.header->setup;
    self->request.ring = &self->area.header->request;
    self->answer.ring = &self->area.header->answer;
    int code = start(self);
    if (code == 0) {
        code = serve(self);
    }
    say(self, code == BEAMG_EXIT_ABSENT ? BEAMG_ABSENT : BEAMG_FAILED);
    return code;
}

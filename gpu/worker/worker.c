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

enum { LOOK_MS = 2 };

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

/* 0, or the code to end with. */
static int send_answer(beamg_worker *self, const beamg_descriptor *d, uint64_t number)
{
    beamg_descriptor answer = *d;
    answer.bytes = self->area.answer_bytes;
    if (d->status != BEAMG_OK) {
        memcpy(self->area.header->text, self->why, sizeof self->why);
    }
    beamg_fault_answer(self, number, &answer);
    if (d->status == BEAMG_BROKEN) {
        say(self, BEAMG_FAILED); /* before the answer, so that the reason is there with it */
    }
    if (beamg_push(&self->answer, &answer) != BEAMG_RING_DONE) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why, "no turn for an answer");
    }
    (void)eventfd_write(self->options.answer_fd, 1);
    return d->status == BEAMG_BROKEN ? BEAMG_EXIT_DEVICE : 0;
}

static int finish_batch(beamg_worker *self, beamg_job *job)
{
    const beamg_descriptor d = {.ticket = job->ticket,
                                .slot = job->slot,
                                .kind = BEAMG_BATCH,
                                .status = (uint32_t)job->status};
    job->busy = false;
    if (job->status == BEAMG_OK) {
        beamg_answer_end(&job->answer, job->ticket, job->generation, job->start_ns, now_ns());
    } else {
        memcpy(self->why, job->why, sizeof self->why);
    }
    return send_answer(self, &d, job->number);
}

static int start_batch(beamg_worker *self, const beamg_descriptor *d)
{
    beamg_job *job = &self->job[d->slot];
    if (job->busy) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why,
                            "slot %u is in use already", d->slot);
    }
    *job = (beamg_job){.ticket = d->ticket,
                       .slot = d->slot,
                       .number = self->batches,
                       .start_ns = now_ns(),
                       .generation = self->setup.generation,
                       .busy = true};
    beam_error err;
    if (beamg_request_open(&job->request, beamg_area_request(&self->area, d->slot),
                           (size_t)d->bytes, self->area.answer_bytes, &err) != BEAM_OK) {
        job->status = BEAMG_REFUSED;
        beamg_refuse(0, job->why, sizeof job->why, "%s %s", err.field, err.text);
        return finish_batch(self, job);
    }
    if (!beamg_fault_batch(self, job->number)) {
        job->status = BEAMG_BROKEN;
        memcpy(job->why, self->why, sizeof job->why);
        return finish_batch(self, job);
    }
    const uint64_t deadline_ns = job->request.head.deadline_ns;
    if (deadline_ns != 0 && job->start_ns >= deadline_ns) { /* beamd counts it as lost already */
        job->status = BEAMG_REFUSED;
        beamg_refuse(0, job->why, sizeof job->why, "its deadline has passed");
        return finish_batch(self, job);
    }
    beamg_answer_begin(&job->answer, &job->request, beamg_area_answer(&self->area, d->slot));
    self->options.backend->submit(self->backend, job);
    return 0;
}

/* --- Setups: prepared in a thread, so that batches are served meanwhile --- */

static void *build(void *arg)
{
    beamg_worker *self = arg;
    self->builder_code =
        self->options.backend->prepare(self->backend, &self->change[0].setup, &self->prepared,
                                       self->builder_why, sizeof self->builder_why);
    (void)eventfd_write(self->builder_fd, 1);
    return NULL;
}

static int finish_change(beamg_worker *self, int code);

static int begin_change(beamg_worker *self)
{
    self->prepared = NULL;
    const int error = pthread_create(&self->builder, NULL, build, self);
    if (error == 0) {
        return 0;
    }
    beamg_refuse(0, self->why, sizeof self->why, "no thread: %s", strerror(error));
    return finish_change(self, BEAMG_EXIT_CONFIG);
}

/* Answers the first setup and goes on with the next. */
static int finish_change(beamg_worker *self, int code)
{
    const beamg_change *change = &self->change[0];
    const beamg_descriptor d = {.ticket = change->ticket,
                                .slot = change->slot,
                                .kind = BEAMG_SETUP,
                                .status = code == 0                   ? BEAMG_OK
                                          : code == BEAMG_EXIT_CONFIG ? BEAMG_UNPREPARED
                                                                      : BEAMG_BROKEN};
    const uint64_t number = change->number;
    if (code == 0) {
        self->setup = change->setup;
    }
    self->changes--;
    memmove(self->change, self->change + 1, self->changes * sizeof *self->change);
    const int ended = send_answer(self, &d, number);
    return ended || self->changes == 0 ? ended : begin_change(self);
}

static int adopt_change(beamg_worker *self)
{
    (void)pthread_join(self->builder, NULL);
    int code = self->builder_code;
    if (code != 0) {
        memcpy(self->why, self->builder_why, sizeof self->why);
    } else {
        code = self->options.backend->adopt(self->backend, self->prepared, self->why,
                                            sizeof self->why);
    }
    return finish_change(self, code);
}

static int start_change(beamg_worker *self, const beamg_descriptor *d)
{
    if (d->bytes != sizeof(beamg_setup) || self->changes == BEAMG_SLOTS_MAX) {
        const beamg_descriptor answer = {
            .ticket = d->ticket, .slot = d->slot, .kind = d->kind, .status = BEAMG_REFUSED};
        beamg_refuse(0, self->why, sizeof self->why, "a setup of %llu bytes",
                     (unsigned long long)d->bytes);
        return send_answer(self, &answer, self->batches);
    }
    beamg_change *change = &self->change[self->changes];
    memcpy(&change->setup, beamg_area_request(&self->area, d->slot), sizeof change->setup);
    change->ticket = d->ticket;
    change->slot = d->slot;
    change->number = self->batches;
    return self->changes++ == 0 ? begin_change(self) : 0;
}

/* --- The loop --- */

/* 0, or the code to end with. */
static int start_one(beamg_worker *self, const beamg_descriptor *d)
{
    if (d->slot >= self->area.slots || d->bytes > self->area.request_bytes) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why,
                            "a request of slot %u and %llu bytes", d->slot,
                            (unsigned long long)d->bytes);
    }
    self->batches++;
    if (d->kind == BEAMG_BATCH) {
        return start_batch(self, d);
    }
    if (d->kind == BEAMG_SETUP) {
        return start_change(self, d);
    }
    const beamg_descriptor answer = {
        .ticket = d->ticket, .slot = d->slot, .kind = d->kind, .status = BEAMG_REFUSED};
    beamg_refuse(0, self->why, sizeof self->why, "a request of kind %u", d->kind);
    return send_answer(self, &answer, self->batches);
}

static void empty(int fd)
{
    eventfd_t count;
    (void)eventfd_read(fd, &count);
}

static bool batches_inside(const beamg_worker *self)
{
    bool any = false;
    for (int i = 0; i < BEAMG_SLOTS_MAX; i++) {
        any = any || self->job[i].busy;
    }
    return any;
}

/* Until something may have happened. A wake-up before it stays in its descriptor. A device that is
 * lost wakes nobody: with batches inside it is looked at by and by. */
static void wait_for_work(beamg_worker *self)
{
    struct pollfd wait[3] = {
        {.fd = self->options.request_fd, .events = POLLIN},
        {.fd = self->builder_fd, .events = POLLIN},
        {.fd = self->options.backend->done_fd(self->backend), .events = POLLIN}, /* -1: none */
    };
    if (poll(wait, 3, batches_inside(self) ? LOOK_MS : -1) > 0 && (wait[0].revents & POLLIN)) {
        empty(self->options.request_fd);
    }
}

/* One turn: what has come, what is done, a setup. *busy: there was any. */
static int turn(beamg_worker *self, bool *busy)
{
    beamg_descriptor d;
    int code = 0;
    const beamg_ring_code popped = beamg_pop(&self->request, &d);
    if (popped == BEAMG_RING_BAD) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why,
                            "the ring of requests is damaged");
    }
    *busy = popped == BEAMG_RING_DONE;
    if (popped == BEAMG_RING_DONE) {
        code = start_one(self, &d);
    }
    for (beamg_job *job; code == 0 && (job = self->options.backend->collect(self->backend));) {
        *busy = true;
        code = finish_batch(self, job);
    }
    eventfd_t count;
    if (code == 0 && self->changes > 0 && eventfd_read(self->builder_fd, &count) == 0) {
        *busy = true;
        code = adopt_change(self);
    }
    return code;
}

/* Looks for spin_us, then sleeps. */
static int serve(beamg_worker *self)
{
    const uint64_t spin_ns = (uint64_t)self->options.spin_us * 1000u;
    uint64_t until_ns = now_ns() + spin_ns;
    for (;;) {
        bool busy;
        const int code = turn(self, &busy);
        if (code != 0) {
            return code;
        }
        const uint64_t at_ns = now_ns();
        if (busy) {
            until_ns = at_ns + spin_ns;
        } else if (at_ns >= until_ns) {
            wait_for_work(self);
            until_ns = now_ns() + spin_ns;
        }
    }
}

static int start(beamg_worker *self)
{
    char device[BEAMG_TEXT_BYTES] = "";
    const beamg_backend *backend = self->options.backend;
    int code = choose_cpus(self);
    self->builder_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (code == 0 && self->builder_fd < 0) {
        code = beamg_refuse(BEAMG_EXIT_DEVICE, self->why, sizeof self->why, "no descriptor: %s",
                            strerror(errno));
    }
    code = code ? code : start_heart(self);
    code = code ? code : beamg_fault_start(self);
    code = code ? code
                : backend->open(&self->backend, &self->setup, device, self->why, sizeof self->why);
    if (code == 0) {
        code =
            beamg_backend_setup(backend, self->backend, &self->setup, self->why, sizeof self->why);
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

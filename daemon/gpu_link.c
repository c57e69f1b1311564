#include "gpu_link_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { IDLE_WAKES_MAX = 10000, DESTROY_WAIT_MS = 2000 };
#define MS UINT64_C(1000000)

beamd_gpu_options beamd_gpu_options_default(void)
{
    return (beamd_gpu_options){.slots = 4,
                               .request_bytes = (size_t)32 << 20,
                               .answer_bytes = (size_t)16 << 20,
                               .heartbeat_ns = 20 * MS,
                               .heartbeat_limit_ns = 500 * MS,
                               .hang_ns = 200 * MS,
                               .start_limit_ns = 60000 * MS,
                               .backoff_ns = 100 * MS,
                               .backoff_max_ns = 30000 * MS,
                               .stable_ns = 10000 * MS,
                               .failures_max = 20,
                               .absent_retry_ns = 300000 * MS};
}

const char *beamd_gpu_state_text(beamd_gpu_state state)
{
    static const char *const text[BEAMD_GPU_STATES] = {"absent",   "starting",    "ready",
                                                       "stopping", "backing-off", "failed"};
    return state < BEAMD_GPU_STATES ? text[state] : "unknown";
}

const char *beamd_gpu_loss_text(beamd_gpu_loss loss)
{
    static const char *const text[BEAMD_GPU_LOSSES] = {
        "deadline", "unprepared", "refused", "device", "death",
        "hang",     "heart",      "garbage", "start",  "stopped"};
    return loss < BEAMD_GPU_LOSSES ? text[loss] : "unknown";
}

void beamd_gpu_say(const beamd_gpu_link *self, bool warning, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (self->options.say) {
        self->options.say(self->options.say_arg, warning, text);
    }
}

/* --- The link --- */

static bool options_good(const beamd_gpu_options *o, char *why, size_t size)
{
    const char *field = !o->program || !o->program[0]                 ? "program"
                        : o->heartbeat_ns < MS                        ? "heartbeat_ns"
                        : o->heartbeat_limit_ns < 4 * o->heartbeat_ns ? "heartbeat_limit_ns"
                        : o->hang_ns == 0                             ? "hang_ns"
                        : o->start_limit_ns == 0                      ? "start_limit_ns"
                        : o->backoff_ns == 0                          ? "backoff_ns"
                        : o->backoff_max_ns < o->backoff_ns           ? "backoff_max_ns"
                                                                      : NULL;
    if (field) {
        snprintf(why, size, "%s is outside its range", field);
    }
    return field == NULL;
}

static bool watch(const beamd_gpu_link *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(self->watch_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_fds(beamd_gpu_link *self, char *why, size_t size)
{
    self->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->request_fd < 0 || self->answer_fd < 0 || self->watch_fd < 0 ||
        !beamd_gpu_fd_raise(&self->area.fd) || !beamd_gpu_fd_raise(&self->request_fd) ||
        !beamd_gpu_fd_raise(&self->answer_fd) || !watch(self, self->answer_fd)) {
        snprintf(why, size, "descriptors: %s", strerror(errno));
        return false;
    }
    return true;
}

beamd_gpu_link *beamd_gpu_link_create(const beamd_gpu_options *options, const beamg_setup *setup,
                                      char *why, size_t size)
{
    if (!options_good(options, why, size)) {
        return NULL;
    }
    beamd_gpu_link *self = calloc(1, sizeof *self);
    if (!self) {
        snprintf(why, size, "no memory");
        return NULL;
    }
    self->options = *options;
    self->setup = *setup;
    self->setup.generation = self->status.wanted = 1;
    self->request_fd = self->answer_fd = self->watch_fd = self->area.fd = -1;
    self->process.fd = -1;
    self->status.state = BEAMD_GPU_BACKING_OFF; /* until the first step, at once */
    if (beamg_area_create(&self->area, options->slots, options->request_bytes,
                          options->answer_bytes, why, size) != 0 ||
        !open_fds(self, why, size)) {
        beamd_gpu_link_destroy(&self);
    }
    return self;
}

void beamd_gpu_link_destroy(beamd_gpu_link **self)
{
    beamd_gpu_link *link = *self;
    if (!link) {
        return;
    }
    char how[64];
    beamd_gpu_process_kill(&link->process);
    if (!beamd_gpu_process_ended(&link->process, DESTROY_WAIT_MS, how, sizeof how) &&
        link->process.fd >= 0) {
        close(link->process.fd); /* a driver holds it: it is killed, and takes its mapping along */
    }
    beamg_area_close(&link->area);
    const int fds[] = {link->request_fd, link->answer_fd, link->watch_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    free(link);
    *self = NULL;
}

int beamd_gpu_link_fd(const beamd_gpu_link *self)
{
    return self->watch_fd;
}

void beamd_gpu_enter(beamd_gpu_link *self, beamd_gpu_state state, uint64_t now_ns)
{
    self->status.state = state;
    self->status.since_ns = now_ns;
}

beamd_gpu_state beamd_gpu_link_state(const beamd_gpu_link *self)
{
    return self->status.state;
}

void beamd_gpu_link_status(const beamd_gpu_link *self, beamd_gpu_status *out)
{
    *out = self->status;
    out->pid = self->process.pid;
    out->in_flight = 0;
    for (unsigned i = 0; i < self->area.slots; i++) {
        const link_slot *s = &self->slot[i];
        out->in_flight += !s->setup && (s->state == SLOT_SENT || s->state == SLOT_ANSWERED ||
                                        s->state == SLOT_LOST);
    }
}

/* --- Slots --- */

static int free_slot(const beamd_gpu_link *self)
{
    for (unsigned i = 0; i < self->area.slots; i++) {
        if (self->slot[i].state == SLOT_FREE && !self->slot[i].held) {
            return (int)i;
        }
    }
    return -1;
}

unsigned beamd_gpu_link_room(const beamd_gpu_link *self)
{
    unsigned room = 0;
    const bool ready = self->status.state == BEAMD_GPU_READY;
    for (unsigned i = 0; ready && i < self->area.slots; i++) {
        room += self->slot[i].state == SLOT_FREE && !self->slot[i].held;
    }
    return room;
}

bool beamd_gpu_link_current(const beamd_gpu_link *self)
{
    return self->status.state == BEAMD_GPU_READY &&
           self->status.generation == self->setup.generation;
}

int beamd_gpu_claim(beamd_gpu_link *self)
{
    if (self->status.state != BEAMD_GPU_READY) {
        return -1;
    }
    const int slot = free_slot(self);
    if (slot < 0) {
        self->status.counts.no_slot++;
        return -1;
    }
    self->slot[slot] = (link_slot){.state = SLOT_CLAIMED};
    return slot;
}

void *beamd_gpu_request_memory(const beamd_gpu_link *self, unsigned slot)
{
    return beamg_area_request(&self->area, slot);
}

const void *beamd_gpu_answer_memory(const beamd_gpu_link *self, unsigned slot)
{
    return beamg_area_answer(&self->area, slot);
}

size_t beamd_gpu_request_bytes(const beamd_gpu_link *self)
{
    return self->area.request_bytes;
}

size_t beamd_gpu_answer_bytes(const beamd_gpu_link *self)
{
    return self->area.answer_bytes;
}

/* False: the worker's index is none. */
static bool hand_over(beamd_gpu_link *self, unsigned slot, beamg_kind kind, uint64_t bytes,
                      uint64_t now_ns)
{
    link_slot *s = &self->slot[slot];
    s->ticket = ++self->tickets;
    s->sent_ns = now_ns;
    s->held = true;
    s->state = SLOT_SENT;
    const beamg_descriptor d = {
        .ticket = s->ticket, .bytes = bytes, .slot = slot, .kind = (uint32_t)kind};
    const bool sent = beamg_push(&self->request, &d) == BEAMG_RING_DONE;
    (void)eventfd_write(self->request_fd, 1); /* full: it is awake */
    return sent;
}

uint64_t beamd_gpu_submit(beamd_gpu_link *self, unsigned slot, uint64_t bytes, uint64_t lost_at_ns,
                          uint64_t now_ns, void *arg)
{
    if (slot >= self->area.slots || self->slot[slot].state != SLOT_CLAIMED) {
        return 0;
    }
    if (self->status.state != BEAMD_GPU_READY || bytes == 0 || bytes > self->area.request_bytes) {
        beamd_gpu_release(self, slot);
        return 0;
    }
    self->slot[slot].lost_at_ns = lost_at_ns;
    self->slot[slot].arg = arg;
    self->status.counts.batches++;
    if (!hand_over(self, slot, BEAMG_BATCH, bytes, now_ns)) {
        /* this one is lost with the others */
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_GARBAGE, now_ns, "the ring is damaged");
    }
    return self->slot[slot].ticket;
}

void beamd_gpu_release(beamd_gpu_link *self, unsigned slot)
{
    if (slot < self->area.slots &&
        (self->slot[slot].state == SLOT_CLAIMED || self->slot[slot].state == SLOT_LEASED)) {
        self->slot[slot].state = SLOT_FREE;
    }
}

void beamd_gpu_distrust(beamd_gpu_link *self, uint64_t now_ns)
{
    if (self->status.state == BEAMD_GPU_READY) {
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_GARBAGE, now_ns, "an answer makes no sense");
    }
}

static void lose(beamd_gpu_link *self, link_slot *slot, beamd_gpu_loss loss)
{
    if (slot->setup) {
        slot->state = SLOT_FREE; /* nobody waits; `held` says when it can be used again */
        return;
    }
    slot->state = SLOT_LOST;
    slot->loss = loss;
    self->status.counts.lost[loss]++;
}

unsigned beamd_gpu_lose_all(beamd_gpu_link *self, beamd_gpu_loss loss)
{
    unsigned lost = 0;
    for (unsigned i = 0; i < self->area.slots; i++) {
        if (self->slot[i].state == SLOT_SENT) {
            lost += !self->slot[i].setup;
            lose(self, &self->slot[i], loss);
        }
    }
    return lost;
}

bool beamd_gpu_reap(beamd_gpu_link *self, beamd_gpu_outcome *out)
{
    for (unsigned i = 0; i < self->area.slots; i++) {
        link_slot *s = &self->slot[i];
        if (s->state != SLOT_ANSWERED && s->state != SLOT_LOST) {
            continue;
        }
        const bool answered = s->state == SLOT_ANSWERED;
        *out = (beamd_gpu_outcome){.fate = answered ? BEAMD_GPU_ANSWERED : BEAMD_GPU_LOST,
                                   .loss = s->loss,
                                   .ticket = s->ticket,
                                   .arg = s->arg,
                                   .slot = i,
                                   .sent_ns = s->sent_ns};
        s->state = answered ? SLOT_LEASED : SLOT_FREE;
        return true;
    }
    return false;
}

/* --- Answers --- */

static void take_setup(beamd_gpu_link *self, link_slot *slot, uint32_t status)
{
    slot->state = SLOT_FREE;
    if (status == BEAMG_OK) {
        self->status.generation = self->generation_sent;
        return;
    }
    char why[BEAMG_TEXT_BYTES];
    beamg_text_copy(why, sizeof why, self->area.header->text, BEAMG_TEXT_BYTES);
    beamd_gpu_say(self, true, "gpu: the worker keeps its sizes and model: %s", why);
}

/* False: it cannot be meant. */
static bool take_answer(beamd_gpu_link *self, const beamg_descriptor *d, uint64_t now_ns)
{
    if (d->slot >= self->area.slots || d->status > BEAMG_BROKEN) {
        return false;
    }
    link_slot *slot = &self->slot[d->slot];
    if (!slot->held || slot->ticket != d->ticket ||
        d->kind != (uint32_t)(slot->setup ? BEAMG_SETUP : BEAMG_BATCH)) {
        return false;
    }
    if (d->status == BEAMG_BROKEN) {
        return true; /* all is lost: with the worker, whose state says so */
    }
    slot->held = false;
    self->last_answer_ns = now_ns;
    if (slot->setup) {
        if (slot->state == SLOT_SENT) {
            take_setup(self, slot, d->status);
        }
    } else if (slot->state != SLOT_SENT) {
        self->status.counts.late++;
    } else if (d->status != BEAMG_OK) {
        lose(self, slot,
             d->status == BEAMG_REFUSED ? BEAMD_GPU_LOSS_REFUSED : BEAMD_GPU_LOSS_UNPREPARED);
    } else {
        slot->state = SLOT_ANSWERED;
        self->status.counts.answered++;
    }
    return true;
}

bool beamd_gpu_take_answers(beamd_gpu_link *self, uint64_t now_ns)
{
    eventfd_t count = 0;
    const bool woken = eventfd_read(self->answer_fd, &count) == 0;
    unsigned taken = 0;
    /* a worker that fills the ring as fast as it is read must not keep the loop */
    for (; taken < BEAMG_RING_ENTRIES; taken++) {
        beamg_descriptor d;
        const beamg_ring_code code = beamg_pop(&self->answer, &d);
        if (code == BEAMG_RING_NONE) {
            break;
        }
        if (code == BEAMG_RING_BAD || !take_answer(self, &d, now_ns)) {
            return false;
        }
    }
    self->idle_wakes = taken > 0 || !woken ? 0 : self->idle_wakes + 1;
    return self->idle_wakes < IDLE_WAKES_MAX;
}

/* --- The setup --- */

void beamd_gpu_send_setup(beamd_gpu_link *self, uint64_t now_ns)
{
    const int slot = free_slot(self);
    if (slot < 0) {
        return;
    }
    self->slot[slot] = (link_slot){.setup = true, .lost_at_ns = UINT64_MAX};
    memcpy(beamg_area_request(&self->area, (unsigned)slot), &self->setup, sizeof self->setup);
    self->generation_sent = self->setup.generation;
    if (!hand_over(self, (unsigned)slot, BEAMG_SETUP, sizeof self->setup, now_ns)) {
        beamd_gpu_end_worker(self, BEAMD_GPU_LOSS_GARBAGE, now_ns, "the ring is damaged");
    }
}

void beamd_gpu_link_configure(beamd_gpu_link *self, const beamg_setup *setup, uint64_t now_ns)
{
    const uint32_t generation = self->setup.generation + 1;
    self->setup = *setup;
    self->setup.generation = self->status.wanted = generation;
    if (self->status.state == BEAMD_GPU_READY) {
        beamd_gpu_send_setup(self, now_ns); /* or at a later step, when a slot is free */
    }
}

void beamd_gpu_link_reset(beamd_gpu_link *self, uint64_t now_ns)
{
    const beamd_gpu_state state = self->status.state;
    self->status.failures_in_row = 0;
    if (state == BEAMD_GPU_FAILED || state == BEAMD_GPU_ABSENT || state == BEAMD_GPU_BACKING_OFF) {
        beamd_gpu_enter(self, BEAMD_GPU_BACKING_OFF, now_ns);
        self->status.retry_at_ns = now_ns;
        self->said_absent[0] = 0;
    }
}

uint64_t beamd_gpu_link_step(beamd_gpu_link *self, uint64_t now_ns)
{
    beamd_gpu_supervise(self, now_ns);
    for (unsigned i = 0; i < self->area.slots; i++) {
        link_slot *s = &self->slot[i];
        if (s->state == SLOT_SENT && now_ns >= s->lost_at_ns) {
            lose(self, s, BEAMD_GPU_LOSS_DEADLINE);
        }
    }
    self->step_ns = now_ns;
    return beamd_gpu_next_ns(self);
}

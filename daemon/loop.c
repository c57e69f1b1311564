#include "loop.h"

#include <ev.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"

struct beamd_loop {
    struct ev_loop *ev;
};

typedef enum watch_kind {
    WATCH_IO,
    WATCH_TIMER,
    WATCH_SIGNAL,
    WATCH_SOURCE,
    WATCH_DEADLINE
} watch_kind;

struct beamd_watch {
    struct ev_loop *ev;
    watch_kind kind;
    ev_io io;
    ev_timer timer;
    ev_signal signal;
    ev_prepare prepare;
    ev_check check;
    ev_idle idle;
    beamd_io_callback *on_io;
    beamd_callback *on_event;
    bool (*ready)(void *arg);
    void *arg;
    /* WATCH_DEADLINE: the time asked for, and what the timer is set to, which is no later */
    uint64_t wanted_ns, set_ns;
};

static void ignore_io(struct ev_loop *ev, ev_io *io, int revents)
{
    (void)ev;
    (void)io;
    (void)revents;
}

static void ignore_idle(struct ev_loop *ev, ev_idle *idle, int revents)
{
    (void)ev;
    (void)idle;
    (void)revents;
}

/* libev's lists grow when more happens in one turn than ever before: by a reallocation in the
 * middle of the work. Here they are grown once, by watchers that are stopped again before the
 * kernel hears of them. */
static void grow_lists(struct ev_loop *ev)
{
    enum { EVENTS_PER_TURN = 128 };
    ev_io io[EVENTS_PER_TURN];
    ev_idle idle[EVENTS_PER_TURN];
    for (int fd = 0; fd < EVENTS_PER_TURN; fd++) {
        ev_io_init(&io[fd], ignore_io, fd, EV_READ);
        ev_io_start(ev, &io[fd]);
        ev_feed_event(ev, &io[fd], EV_READ);
        ev_idle_init(&idle[fd], ignore_idle);
        ev_idle_start(ev, &idle[fd]);
    }
    for (int fd = 0; fd < EVENTS_PER_TURN; fd++) {
        ev_io_stop(ev, &io[fd]);
        ev_idle_stop(ev, &idle[fd]);
    }
}

beamd_loop *beamd_loop_create(void)
{
    beamd_loop *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->ev = ev_default_loop(EVFLAG_AUTO);
    if (!self->ev) {
        free(self);
        return NULL;
    }
    grow_lists(self->ev);
    return self;
}

void beamd_loop_destroy(beamd_loop **self)
{
    if (*self) {
        ev_loop_destroy((*self)->ev);
        free(*self);
        *self = NULL;
    }
}

void beamd_loop_run(beamd_loop *self)
{
    ev_run(self->ev, 0);
}

void beamd_loop_break(beamd_loop *self)
{
    ev_break(self->ev, EVBREAK_ALL);
}

static beamd_watch *watch_create(beamd_loop *loop, watch_kind kind, void *arg)
{
    beamd_watch *self = calloc(1, sizeof *self);
    if (self) {
        self->ev = loop->ev;
        self->kind = kind;
        self->arg = arg;
    }
    return self;
}

static void io_event(struct ev_loop *ev, ev_io *io, int revents)
{
    (void)ev;
    beamd_watch *self = io->data;
    self->on_io(self->arg,
                (revents & EV_READ ? BEAMD_READ : 0) | (revents & EV_WRITE ? BEAMD_WRITE : 0));
}

static int io_mask(int events)
{
    return (events & BEAMD_READ ? EV_READ : 0) | (events & BEAMD_WRITE ? EV_WRITE : 0);
}

beamd_watch *beamd_watch_io(beamd_loop *loop, int fd, int events, beamd_io_callback *callback,
                            void *arg)
{
    beamd_watch *self = watch_create(loop, WATCH_IO, arg);
    if (self) {
        self->on_io = callback;
        ev_io_init(&self->io, io_event, fd, io_mask(events));
        self->io.data = self;
        ev_io_start(self->ev, &self->io);
    }
    return self;
}

void beamd_watch_io_events(beamd_watch *self, int events)
{
    const int fd = self->io.fd;
    ev_io_stop(self->ev, &self->io);
    ev_io_set(&self->io, fd, io_mask(events));
    ev_io_start(self->ev, &self->io);
}

static void timer_event(struct ev_loop *ev, ev_timer *timer, int revents)
{
    (void)ev;
    (void)revents;
    beamd_watch *self = timer->data;
    self->on_event(self->arg);
}

beamd_watch *beamd_watch_timer(beamd_loop *loop, unsigned after_ms, unsigned repeat_ms,
                               beamd_callback *callback, void *arg)
{
    beamd_watch *self = watch_create(loop, WATCH_TIMER, arg);
    if (self) {
        self->on_event = callback;
        ev_timer_init(&self->timer, timer_event, after_ms * 1e-3, repeat_ms * 1e-3);
        self->timer.data = self;
        ev_now_update(self->ev); /* the loop's idea of now may be old by the time set-up took */
        ev_timer_start(self->ev, &self->timer);
    }
    return self;
}

static bool set_timer(beamd_watch *self, uint64_t deadline_ns)
{
    const uint64_t at_ns = deadline_ns > 0 ? deadline_ns : 1; /* 0 would disarm it */
    const struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000u),
                                                 .tv_nsec = (long)(at_ns % 1000000000u)}};
    if (timerfd_settime(self->io.fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
        return false;
    }
    self->set_ns = deadline_ns;
    return true;
}

static void deadline_event(struct ev_loop *ev, ev_io *io, int revents)
{
    (void)ev;
    (void)revents;
    beamd_watch *self = io->data;
    uint64_t count;
    if (read(io->fd, &count, sizeof count) < 0) {
        return; /* set again since the loop saw it */
    }
    self->set_ns = UINT64_MAX;
    if (self->wanted_ns == UINT64_MAX) {
        return;
    }
    if (beamd_clock_ns() < self->wanted_ns && set_timer(self, self->wanted_ns)) {
        return; /* it was put off meanwhile */
    }
    self->wanted_ns = UINT64_MAX;
    self->on_event(self->arg);
}

beamd_watch *beamd_watch_deadline(beamd_loop *loop, beamd_callback *callback, void *arg)
{
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    beamd_watch *self = fd < 0 ? NULL : watch_create(loop, WATCH_DEADLINE, arg);
    if (!self) {
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    self->on_event = callback;
    self->wanted_ns = self->set_ns = UINT64_MAX;
    ev_io_init(&self->io, deadline_event, fd, EV_READ);
    self->io.data = self;
    ev_io_start(self->ev, &self->io);
    return self;
}

bool beamd_watch_arm(beamd_watch *self, uint64_t deadline_ns)
{
    self->wanted_ns = deadline_ns;
    return deadline_ns >= self->set_ns || set_timer(self, deadline_ns);
}

static void signal_event(struct ev_loop *ev, ev_signal *signal, int revents)
{
    (void)ev;
    (void)revents;
    beamd_watch *self = signal->data;
    self->on_event(self->arg);
}

beamd_watch *beamd_watch_signal(beamd_loop *loop, int signal, beamd_callback *callback, void *arg)
{
    beamd_watch *self = watch_create(loop, WATCH_SIGNAL, arg);
    if (self) {
        self->on_event = callback;
        ev_signal_init(&self->signal, signal_event, signal);
        self->signal.data = self;
        ev_signal_start(self->ev, &self->signal);
    }
    return self;
}

/* Before sleeping: with something to do, an idle watcher keeps epoll from blocking. */
static void source_prepare(struct ev_loop *ev, ev_prepare *prepare, int revents)
{
    (void)revents;
    beamd_watch *self = prepare->data;
    if (self->ready(self->arg)) {
        ev_idle_start(ev, &self->idle);
    } else {
        ev_io_start(ev, &self->io);
    }
}

static void source_check(struct ev_loop *ev, ev_check *check, int revents)
{
    (void)revents;
    beamd_watch *self = check->data;
    ev_io_stop(ev, &self->io);
    ev_idle_stop(ev, &self->idle);
    if (self->ready(self->arg)) {
        self->on_event(self->arg);
    }
}

static void source_idle(struct ev_loop *ev, ev_idle *idle, int revents)
{
    (void)ev;
    (void)idle;
    (void)revents; /* exists to keep the loop awake; the check watcher does the work */
}

static void source_io(struct ev_loop *ev, ev_io *io, int revents)
{
    (void)ev;
    (void)io;
    (void)revents; /* exists to wake the loop */
}

beamd_watch *beamd_watch_source(beamd_loop *loop, int fd, bool (*ready)(void *arg),
                                beamd_callback *dispatch, void *arg)
{
    beamd_watch *self = watch_create(loop, WATCH_SOURCE, arg);
    if (self) {
        self->ready = ready;
        self->on_event = dispatch;
        ev_io_init(&self->io, source_io, fd, EV_READ);
        ev_prepare_init(&self->prepare, source_prepare);
        ev_check_init(&self->check, source_check);
        ev_idle_init(&self->idle, source_idle);
        self->io.data = self->prepare.data = self->check.data = self->idle.data = self;
        ev_prepare_start(self->ev, &self->prepare);
        ev_check_start(self->ev, &self->check);
    }
    return self;
}

void beamd_watch_destroy(beamd_watch **watch)
{
    beamd_watch *self = *watch;
    if (!self) {
        return;
    }
    switch (self->kind) {
    case WATCH_IO:
        ev_io_stop(self->ev, &self->io);
        break;
    case WATCH_TIMER:
        ev_timer_stop(self->ev, &self->timer);
        break;
    case WATCH_DEADLINE:
        ev_io_stop(self->ev, &self->io);
        close(self->io.fd);
        break;
    case WATCH_SIGNAL:
        ev_signal_stop(self->ev, &self->signal);
        break;
    case WATCH_SOURCE:
        ev_io_stop(self->ev, &self->io);
        ev_idle_stop(self->ev, &self->idle);
        ev_prepare_stop(self->ev, &self->prepare);
        ev_check_stop(self->ev, &self->check);
        break;
    }
    free(self);
    *watch = NULL;
}

/* The event loop. loop.c is the one file that includes libev's header; the rest of the daemon sees
 * these few watchers. One thread. */
#ifndef BEAMD_LOOP_H
#define BEAMD_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct beamd_loop beamd_loop;
typedef struct beamd_watch beamd_watch;

enum { BEAMD_READ = 1, BEAMD_WRITE = 2 };

typedef void beamd_io_callback(void *arg, int events);
typedef void beamd_callback(void *arg);

beamd_loop *beamd_loop_create(void);
void beamd_loop_destroy(beamd_loop **self);
void beamd_loop_run(beamd_loop *self);
void beamd_loop_break(beamd_loop *self);

/* Every constructor returns NULL without memory. A watch is stopped and freed by
 * beamd_watch_destroy, which nulls the pointer and accepts NULL; it may be called from within its
 * own callback. */
beamd_watch *beamd_watch_io(beamd_loop *loop, int fd, int events, beamd_io_callback *callback,
                            void *arg);
/* Changes what an io watch waits for. */
void beamd_watch_io_events(beamd_watch *self, int events);
/* repeat_ms 0: once. epoll waits whole milliseconds: nothing here needs a cadence under 20 ms. */
beamd_watch *beamd_watch_timer(beamd_loop *loop, unsigned after_ms, unsigned repeat_ms,
                               beamd_callback *callback, void *arg);
/* One time on the daemon's clock (beamd_clock_ns), kept to microseconds by a timerfd. Calls back
 * once when it has come, never before; not armed at first. */
beamd_watch *beamd_watch_deadline(beamd_loop *loop, beamd_callback *callback, void *arg);
/* UINT64_MAX: not at all. A time in the past comes in the next turn. Cheap to call after every
 * event: only a time earlier than what the timer is set to costs a system call; a later one is
 * looked at when the timer fires. False: the timer refused, with errno. */
bool beamd_watch_arm(beamd_watch *self, uint64_t deadline_ns);
beamd_watch *beamd_watch_signal(beamd_loop *loop, int signal, beamd_callback *callback, void *arg);

/* The special problem of ZeroMQ's descriptor: it is edge-triggered and says only "something may
 * have changed"; an ordinary io watch loses messages (1 of 100 arrived). A source asks `ready`
 * before the loop sleeps and, if there is something, keeps the loop from sleeping and calls
 * `dispatch` in the same turn. The descriptor only wakes the loop. `dispatch` takes a bounded
 * number of messages; what is left is found by the next turn. */
beamd_watch *beamd_watch_source(beamd_loop *loop, int fd, bool (*ready)(void *arg),
                                beamd_callback *dispatch, void *arg);
void beamd_watch_destroy(beamd_watch **self);

#endif

/* The daemon's side of one device: a process beamd-gpu, the memory shared with it, and the batches
 * that it has. No CUDA, no libev, no clock: time (CLOCK_MONOTONIC, ns) is an argument and one
 * descriptor says when to call. Several devices are several links.
 *
 * Life of a batch: beamd_gpu_claim a slot -> fill beamd_gpu_request_memory (any thread) ->
 * beamd_gpu_submit -> beamd_gpu_reap: ANSWERED or LOST, exactly once, and LOST no later than the
 * step at lost_at_ns or the step that sees the worker fail -> ANSWERED only: read
 * beamd_gpu_answer_memory (any thread), beamd_gpu_release. What a worker wrote is to be believed
 * only as far as beamg_answer_open and beamg_answer_take do (gpu/ring/pack.h).
 *
 * All calls in one thread, that which made the link: with its end the worker ends. */
#ifndef BEAMD_GPU_LINK_H
#define BEAMD_GPU_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring/message.h"

typedef enum beamd_gpu_state {
    BEAMD_GPU_ABSENT = 0,   /* no program, no driver or no device */
    BEAMD_GPU_STARTING = 1, /* the worker runs and is not ready yet */
    BEAMD_GPU_READY = 2,
    BEAMD_GPU_STOPPING = 3,    /* killed, and not gone yet: a driver may hold it */
    BEAMD_GPU_BACKING_OFF = 4, /* the next one is started later */
    BEAMD_GPU_FAILED = 5,      /* too many failures in a row: beamd_gpu_link_reset tries again */
    BEAMD_GPU_STATES = 6
} beamd_gpu_state;
const char *beamd_gpu_state_text(beamd_gpu_state state); /* "absent", "starting", ... */

/* Why a batch is lost, and why a worker ended. */
typedef enum beamd_gpu_loss {
    BEAMD_GPU_LOSS_DEADLINE = 0,   /* no answer until lost_at_ns; the worker goes on */
    BEAMD_GPU_LOSS_UNPREPARED = 1, /* sizes or a model that the worker is not ready for; likewise */
    BEAMD_GPU_LOSS_REFUSED = 2,    /* the worker did not understand the batch; likewise */
    BEAMD_GPU_LOSS_DEVICE = 3,     /* an error of the device */
    BEAMD_GPU_LOSS_DEATH = 4,      /* the process ended */
    BEAMD_GPU_LOSS_HANG = 5,       /* a batch took longer than hang_ns */
    BEAMD_GPU_LOSS_HEART = 6,      /* no beat for heartbeat_limit_ns */
    BEAMD_GPU_LOSS_GARBAGE = 7,    /* what it wrote cannot be meant */
    BEAMD_GPU_LOSS_START = 8,      /* not ready within start_limit_ns, or could not be started */
    BEAMD_GPU_LOSS_STOPPED = 9,    /* by the daemon */
    BEAMD_GPU_LOSSES = 10
} beamd_gpu_loss;
const char *beamd_gpu_loss_text(beamd_gpu_loss loss); /* "deadline", "unprepared", ... */

typedef struct beamd_gpu_options {
    const char *program;          /* path; kept by the caller, as is everything pointed to here */
    const char *const *arguments; /* NULL-ended, for the program; NULL: none */
    unsigned slots;               /* 1 .. BEAMG_SLOTS_MAX: batches between the two */
    size_t request_bytes, answer_bytes;  /* of one batch, at most */
    uint64_t heartbeat_ns;               /* between two beats of the worker */
    uint64_t heartbeat_limit_ns;         /* without one it is killed */
    uint64_t hang_ns;                    /* of a batch, then it is killed */
    uint64_t start_limit_ns;             /* until ready; also of another setup */
    uint64_t backoff_ns, backoff_max_ns; /* after a failure; doubles with each in a row */
    uint64_t stable_ns;                  /* ready for so long: failures are forgotten */
    unsigned failures_max;               /* in a row, then FAILED; 0: no limit */
    uint64_t absent_retry_ns;            /* 0: never */
    /* A line for the log, one per event. warning: something was lost. NULL: none. */
    void (*say)(void *arg, bool warning, const char *text);
    void *say_arg;
} beamd_gpu_options;
beamd_gpu_options beamd_gpu_options_default(void);

typedef struct beamd_gpu_counts {
    uint64_t starts, ready;           /* processes started; that became ready */
    uint64_t ended[BEAMD_GPU_LOSSES]; /* workers, by reason */
    uint64_t absent;                  /* starts without a device */
    uint64_t batches, answered;
    uint64_t lost[BEAMD_GPU_LOSSES]; /* batches, by reason */
    uint64_t late;                   /* answers of batches that were lost already */
    uint64_t no_slot;                /* claims without a free slot */
} beamd_gpu_counts;

typedef struct beamd_gpu_status {
    beamd_gpu_state state;
    pid_t pid;          /* 0: none */
    unsigned in_flight; /* batches submitted and not reaped */
    unsigned failures_in_row;
    uint64_t since_ns;             /* of the state */
    uint64_t retry_at_ns;          /* ABSENT, BACKING_OFF; UINT64_MAX: not by itself */
    uint64_t start_ns;             /* that the last start took until ready; 0: none was */
    uint64_t respawn_ns;           /* from the last loss of a worker to the next one ready; 0 */
    uint32_t generation, wanted;   /* of the setup: in force, asked for */
    char text[BEAMG_TEXT_BYTES];   /* why it is in this state; READY: "" */
    char device[BEAMG_TEXT_BYTES]; /* READY */
    beamd_gpu_counts counts;
} beamd_gpu_status;

typedef enum beamd_gpu_fate { BEAMD_GPU_ANSWERED = 0, BEAMD_GPU_LOST = 1 } beamd_gpu_fate;

typedef struct beamd_gpu_outcome {
    beamd_gpu_fate fate;
    beamd_gpu_loss loss; /* LOST */
    uint64_t ticket;
    void *arg;        /* of the submit */
    unsigned slot;    /* ANSWERED: to be released */
    uint64_t sent_ns; /* when it was submitted */
} beamd_gpu_outcome;

typedef struct beamd_gpu_link beamd_gpu_link;

/* Starts nothing yet: that does the first step. setup: sizes and model that workers are to be ready
 * for (its generation is set here). NULL: `why` says what was refused. */
beamd_gpu_link *beamd_gpu_link_create(const beamd_gpu_options *options, const beamg_setup *setup,
                                      char *why, size_t size);
/* Kills the worker and waits a little for its end. No answer memory may be in use any more. */
void beamd_gpu_link_destroy(beamd_gpu_link **self);

/* Readable when a step is wanted: an answer, an end, a state. The same for the life of the link. */
int beamd_gpu_link_fd(const beamd_gpu_link *self);
/* Takes answers, sees to the worker, starts another. Returns when the next one is wanted at the
 * latest; UINT64_MAX: not at all. */
uint64_t beamd_gpu_link_step(beamd_gpu_link *self, uint64_t now_ns);

/* Other sizes or another model, for this worker beside its batches and for all that follow. */
void beamd_gpu_link_configure(beamd_gpu_link *self, const beamg_setup *setup, uint64_t now_ns);
/* After FAILED, ABSENT or during a back-off: the next step starts a worker. */
void beamd_gpu_link_reset(beamd_gpu_link *self, uint64_t now_ns);

/* Slots that are free, of a worker that is ready; else 0. */
unsigned beamd_gpu_link_room(const beamd_gpu_link *self);
/* The worker is ready with the last setup; with an earlier one it serves meanwhile. */
bool beamd_gpu_link_current(const beamd_gpu_link *self);
/* A slot to fill, -1: none, or the worker is not ready. */
int beamd_gpu_claim(beamd_gpu_link *self);
void *beamd_gpu_request_memory(const beamd_gpu_link *self, unsigned slot);      /* request_bytes */
const void *beamd_gpu_answer_memory(const beamd_gpu_link *self, unsigned slot); /* answer_bytes */
size_t beamd_gpu_request_bytes(const beamd_gpu_link *self);
size_t beamd_gpu_answer_bytes(const beamd_gpu_link *self);
/* A claimed slot with a batch of `bytes`. lost_at_ns: then it is LOST unless it is answered. The
 * ticket; 0: the worker is not ready any more, the slot is released and nothing will be reaped. */
uint64_t beamd_gpu_submit(beamd_gpu_link *self, unsigned slot, uint64_t bytes, uint64_t lost_at_ns,
                          uint64_t now_ns, void *arg);
/* The next batch that is answered or lost; false: none. After every step, until there is none. */
bool beamd_gpu_reap(beamd_gpu_link *self, beamd_gpu_outcome *out);
/* A slot that was claimed and not submitted, or that was ANSWERED. */
void beamd_gpu_release(beamd_gpu_link *self, unsigned slot);
/* The answer of a batch could not be believed: the worker is killed. */
void beamd_gpu_distrust(beamd_gpu_link *self, uint64_t now_ns);

void beamd_gpu_link_status(const beamd_gpu_link *self, beamd_gpu_status *out);
beamd_gpu_state beamd_gpu_link_state(const beamd_gpu_link *self);

#endif

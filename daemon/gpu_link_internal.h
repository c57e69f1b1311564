/* Inside of gpu_link.c (slots and batches) and gpu_supervise.c (the worker's life). */
#ifndef BEAMD_GPU_LINK_INTERNAL_H
#define BEAMD_GPU_LINK_INTERNAL_H

#include "gpu_link.h"
#include "gpu_process.h"
#include "ring/ring.h"

typedef enum slot_state {
    SLOT_FREE = 0,
    SLOT_CLAIMED = 1,  /* the caller fills it */
    SLOT_SENT = 2,     /* under way */
    SLOT_ANSWERED = 3, /* to be reaped */
    SLOT_LOST = 4,     /* to be reaped */
    SLOT_LEASED = 5    /* reaped, the caller reads the answer */
} slot_state;

typedef struct link_slot {
    slot_state state;
    bool held;  /* a worker may still write to it: not to be given away */
    bool setup; /* the link's own: a beamg_setup */
    uint64_t ticket, sent_ns, lost_at_ns;
    void *arg;
    beamd_gpu_loss loss;
} link_slot;

struct beamd_gpu_link {
    beamd_gpu_options options;
    beamg_setup setup; /* wanted */
    beamg_area area;
    int request_fd, answer_fd, watch_fd; /* wakes the worker; wakes us; what the caller watches */
    beamg_end request, answer;
    link_slot slot[BEAMG_SLOTS_MAX];
    uint64_t tickets;
    beamd_gpu_process process;
    beamd_gpu_status status;
    uint32_t generation_sent; /* of the setup that this worker has or will have */
    uint64_t last_answer_ns;  /* or ready */
    uint64_t heartbeat, watched_ns, silent_ns;
    uint64_t lost_ns;    /* when the last worker was lost that had been ready; 0 */
    uint64_t step_ns;    /* of the last step */
    unsigned idle_wakes; /* without anything new, in a row */
    bool stop_said;      /* that it does not end */
    bool absent;         /* this worker has no device */
    char said_absent[BEAMG_TEXT_BYTES];
};

__attribute__((format(printf, 3, 4))) void beamd_gpu_say(const beamd_gpu_link *self, bool warning,
                                                         const char *format, ...);
void beamd_gpu_enter(beamd_gpu_link *self, beamd_gpu_state state, uint64_t now_ns);
/* Slots: every batch under way becomes LOST. */
unsigned beamd_gpu_lose_all(beamd_gpu_link *self, beamd_gpu_loss loss);
/* Kills the worker of a READY or STARTING link; its batches are lost now. */
void beamd_gpu_end_worker(beamd_gpu_link *self, beamd_gpu_loss loss, uint64_t now_ns,
                          const char *why);
/* Takes what the worker has answered. False: it wrote garbage. */
bool beamd_gpu_take_answers(beamd_gpu_link *self, uint64_t now_ns);
/* A setup that the worker has not got yet, if there is a slot. */
void beamd_gpu_send_setup(beamd_gpu_link *self, uint64_t now_ns);
/* The worker's life at now_ns. */
void beamd_gpu_supervise(beamd_gpu_link *self, uint64_t now_ns);
uint64_t beamd_gpu_next_ns(const beamd_gpu_link *self);

#endif

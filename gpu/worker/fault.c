/* Faults on purpose, in the tests' program. KIND[@N]:
 *
 *   error@N    batch N (1: the first, the default) ends with an error of the device
 *   hang@N     batch N is never answered, while the heart beats on
 *   mute@N     from batch N on the heart is still and nothing is answered
 *   crash@N    the process is killed by a signal in the middle of batch N
 *   garbage@N  batch N: random bytes over the answer, the rings and the header
 *   nonsense@N batch N: an answer of a ticket that nobody asked for
 *   spoilt@N   from batch N on (one may be too late to be read): random bytes over the answers only
 *   slow@N     every batch takes N ms longer
 *   illegal@N  at batch N the device is lost by an illegal access (of a kernel where nvcc built
 * one; as if, with the backend `emulated`) absent     no device broken     ends at the start with
 * an error of the device never      is never ready, while the heart beats */
#include "worker/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "emulate/emulate.h"

#ifdef BEAMG_ILLEGAL
int beamg_fault_illegal(int device); /* fault_illegal.cu */
#endif

static const char *const kinds[] = {"error",  "hang", "mute",   "crash",  "garbage", "nonsense",
                                    "spoilt", "slow", "absent", "broken", "never",   "illegal"};

/* NULL: none of this kind. Otherwise its N, 1 where none is given. */
static bool is_fault(const char *text, const char *kind, unsigned long *number)
{
    const size_t length = strlen(kind);
    *number = 1;
    if (!text || strncmp(text, kind, length) != 0) {
        return false;
    }
    if (text[length] == '@') {
        char *end;
        *number = strtoul(text + length + 1, &end, 10);
        return end != text + length + 1 && *end == 0;
    }
    return text[length] == 0;
}

bool beamg_fault_known(const char *text)
{
    unsigned long number;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (is_fault(text, kinds[i], &number)) {
            return true;
        }
    }
    return false;
}

/* Whether it is time for `kind`. */
static bool now(const beamg_worker *self, const char *kind, uint64_t batch)
{
    unsigned long number;
    return is_fault(self->options.fault, kind, &number) && batch == number;
}

static void pause_for_ever(void)
{
    for (;;) {
        pause();
    }
}

static bool emulated(const beamg_worker *self)
{
    return strcmp(self->options.backend->name, "emulated") == 0;
}

int beamg_fault_start(beamg_worker *self)
{
    unsigned long number;
    if (is_fault(self->options.fault, "absent", &number)) {
        return beamg_refuse(BEAMG_EXIT_ABSENT, self->why, sizeof self->why,
                            "no device: made to have none");
    }
    if (is_fault(self->options.fault, "broken", &number)) {
        return beamg_refuse(BEAMG_EXIT_DEVICE, self->why, sizeof self->why, "made to fail");
    }
    if (is_fault(self->options.fault, "never", &number)) {
        pause_for_ever();
    }
#ifndef BEAMG_ILLEGAL
    if (is_fault(self->options.fault, "illegal", &number) && !emulated(self)) {
        return beamg_refuse(BEAMG_EXIT_USAGE, self->why, sizeof self->why,
                            "--fault illegal: built without nvcc, there is no kernel for it");
    }
#endif
    return 0;
}

/* The batch itself goes on: what loses it is the backend's own next look at the device. */
static void lose_device(const beamg_worker *self)
{
    if (emulated(self)) {
        beam_gpu_emulate_break();
        return;
    }
#ifdef BEAMG_ILLEGAL
    (void)beamg_fault_illegal(self->setup.device);
#endif
}

bool beamg_fault_batch(beamg_worker *self, uint64_t batch)
{
    unsigned long number;
    if (now(self, "hang", batch)) {
        pause_for_ever();
    }
    if (now(self, "mute", batch)) {
        atomic_store(&self->mute, 1);
        pause_for_ever();
    }
    if (now(self, "crash", batch)) {
        (void)raise(SIGKILL);
    }
    if (is_fault(self->options.fault, "slow", &number)) {
        const struct timespec extra = {.tv_sec = (time_t)(number / 1000),
                                       .tv_nsec = (long)(number % 1000) * 1000000};
        nanosleep(&extra, NULL);
    }
    if (now(self, "illegal", batch)) {
        lose_device(self);
    }
    if (now(self, "error", batch)) {
        beamg_refuse(0, self->why, sizeof self->why, "made to fail");
        return false;
    }
    return true;
}

/* The beginning, where everything is: megabytes would take longer than anybody waits. */
/* A race with the heart, as meant. */
__attribute__((no_sanitize_thread)) static void scribble(void *to, size_t bytes, uint64_t seed)
{
    unsigned char *at = to;
    bytes = bytes < 65536 ? bytes : 65536;
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        at[i] = (unsigned char)(seed >> 56);
    }
}

void beamg_fault_answer(beamg_worker *self, uint64_t batch, beamg_descriptor *answer)
{
    const uint64_t seed = (uint64_t)getpid();
    if (now(self, "nonsense", batch)) {
        answer->ticket += 1000;
        answer->slot = 77;
    }
    unsigned long from;
    const bool spoilt = is_fault(self->options.fault, "spoilt", &from) && batch >= from;
    if (spoilt || now(self, "garbage", batch)) {
        scribble(beamg_area_answer(&self->area, answer->slot), self->area.answer_bytes, seed);
    }
    if (now(self, "garbage", batch)) {
        scribble(self->area.header, sizeof *self->area.header, seed + 1);
        (void)eventfd_write(self->options.answer_fd, 1);
        pause_for_ever();
    }
}

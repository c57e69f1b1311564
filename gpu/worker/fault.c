/* Faults on purpose, in the tests' program. KIND[@N]:
 *
 *   error@N    batch N (1: the first, the default) ends with an error of the device
 *   hang@N     batch N is never answered, while the heart beats on
 *   mute@N     from batch N on the heart is still and nothing is answered
 *   crash@N    the process is killed by a signal in the middle of batch N
 *   garbage@N  batch N: random bytes over the answer, the rings and the header
 *   nonsense@N batch N: an answer of a ticket that nobody asked for
 *   spoilt@N   batch N: random bytes over the answer only
 *   slow@N     every batch takes N ms longer
 *   absent     no device
 *   broken     ends at the start with an error of the device
 *   never      is never ready, while the heart beats */
#include "worker/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static const char *const kinds[] = {"error",  "hang", "mute",   "crash",  "garbage", "nonsense",
                                    "spoilt", "slow", "absent", "broken", "never"};

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
static bool now(const beamg_worker *self, const char *kind)
{
    unsigned long number;
    return is_fault(self->options.fault, kind, &number) && self->batches == number;
}

static void pause_for_ever(void)
{
    for (;;) {
        pause();
    }
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
    return 0;
}

bool beamg_fault_batch(beamg_worker *self)
{
    unsigned long number;
    if (now(self, "hang")) {
        pause_for_ever();
    }
    if (now(self, "mute")) {
        atomic_store(&self->mute, 1);
        pause_for_ever();
    }
    if (now(self, "crash")) {
        (void)raise(SIGKILL);
    }
    if (is_fault(self->options.fault, "slow", &number)) {
        const struct timespec extra = {.tv_sec = (time_t)(number / 1000),
                                       .tv_nsec = (long)(number % 1000) * 1000000};
        nanosleep(&extra, NULL);
    }
    if (now(self, "error")) {
        beamg_refuse(0, self->why, sizeof self->why, "made to fail");
        return false;
    }
    return true;
}

static void scribble(void *to, size_t bytes, uint64_t seed)
{
    unsigned char *at = to;
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        at[i] = (unsigned char)(seed >> 56);
    }
}

void beamg_fault_answer(beamg_worker *self, beamg_descriptor *answer)
{
    const uint64_t seed = (uint64_t)getpid();
    if (now(self, "nonsense")) {
        answer->ticket += 1000;
        answer->slot = 77;
    }
    if (now(self, "spoilt") || now(self, "garbage")) {
        scribble(beamg_area_answer(&self->area, answer->slot), self->area.answer_bytes, seed);
    }
    if (now(self, "garbage")) {
        scribble(self->area.header, sizeof *self->area.header, seed + 1);
        (void)eventfd_write(self->options.answer_fd, 1);
        pause_for_ever();
    }
}

#include "lab/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static clockid_t clock_id = CLOCK_MONOTONIC; /* set before threads start */

void lab_clock_use_cpu(void)
{
    clock_id = CLOCK_PROCESS_CPUTIME_ID;
}

int64_t lab_clock_ns(void)
{
    struct timespec now;
    clock_gettime(clock_id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t period_ns(const lab_progress *self)
{
    return self->terminal ? 100000000 : 10000000000;
}

void lab_progress_start(lab_progress *self, const char *label, int total)
{
    self->label = label;
    self->total = total;
    self->start_ns = lab_clock_ns();
    self->terminal = isatty(STDERR_FILENO);
    atomic_store(&self->done, 0);
    atomic_store(&self->next_ns, self->start_ns + period_ns(self));
}

static void show(lab_progress *self, int done)
{
    const int64_t now = lab_clock_ns();
    int64_t next = atomic_load(&self->next_ns);
    /* whoever moves the time of the next line prints this one */
    if (now < next ||
        !atomic_compare_exchange_strong(&self->next_ns, &next, now + period_ns(self))) {
        return;
    }
    fprintf(stderr, "%sbeamlab: %s %d/%d, %.0f s%s", self->terminal ? "\r" : "", self->label, done,
            self->total, (double)(now - self->start_ns) * 1e-9, self->terminal ? " " : "\n");
}

void lab_progress_step(lab_progress *self)
{
    show(self, atomic_fetch_add(&self->done, 1) + 1);
}

void lab_progress_set(lab_progress *self, int done)
{
    atomic_store(&self->done, done);
    show(self, done);
}

void lab_progress_end(lab_progress *self)
{
    const bool shown = atomic_load(&self->next_ns) != self->start_ns + period_ns(self);
    if (self->terminal && shown) {
        fputs("\r\033[K", stderr);
    }
}

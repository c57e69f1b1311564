#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "float_mode.h"
#include "ring.h"

typedef struct worker {
    beamd_ring in, out;
    int wake_fd;
    int done_fd; /* the pool's */
    int niceness;
    atomic_bool stop;
    _Atomic uint64_t busy_since_ns; /* 0: idle */
    bool started;
    bool assigned; /* loop side: has a job */
    pthread_t thread;
} worker;

struct beamd_pool {
    worker *workers;
    unsigned count, busy;
    unsigned next; /* where reaping goes on, so that no thread is favoured */
    int done_fd;
};

static void signal_fd(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void set_up_thread(const worker *self)
{
    beamd_float_mode_set();
    if (self->niceness > 0) {
        /* on Linux of one thread */
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), self->niceness);
    }
}

static void *worker_main(void *arg)
{
    worker *self = arg;
    set_up_thread(self);
    while (!atomic_load_explicit(&self->stop, memory_order_acquire)) {
        beamd_job *job = beamd_ring_pop(&self->in);
        if (!job) {
            uint64_t count;
            while (read(self->wake_fd, &count, sizeof count) < 0 && errno == EINTR) {
            }
            continue;
        }
        atomic_store_explicit(&self->busy_since_ns, beamd_clock_ns(), memory_order_relaxed);
        job->run(job);
        atomic_store_explicit(&self->busy_since_ns, 0, memory_order_relaxed);
        /* never full: one job per thread is under way, and the ring holds eight */
        (void)beamd_ring_push(&self->out, job);
        signal_fd(self->done_fd);
    }
    return NULL;
}

static bool worker_start(worker *self, beamd_pool *pool, int niceness, const char *name,
                         unsigned index)
{
    self->done_fd = pool->done_fd;
    self->niceness = niceness;
    self->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (self->wake_fd < 0) {
        return false;
    }
    self->started = pthread_create(&self->thread, NULL, worker_main, self) == 0;
    if (self->started) {
        char label[16];
        snprintf(label, sizeof label, "%.10s-%u", name, index % 1000);
        pthread_setname_np(self->thread, label);
    }
    return self->started;
}

beamd_pool *beamd_pool_create(unsigned workers, int niceness, const char *name)
{
    beamd_pool *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const size_t bytes = workers * sizeof *self->workers;
    self->workers = aligned_alloc(64, (bytes + 63u) & ~(size_t)63u);
    if (!self->workers || self->done_fd < 0) {
        beamd_pool_destroy(&self);
        return NULL;
    }
    memset(self->workers, 0, bytes);
    for (unsigned w = 0; w < workers; w++) {
        self->workers[w].wake_fd = -1;
    }
    self->count = workers;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the loop's thread */
    bool good = true;
    for (unsigned w = 0; good && w < workers; w++) {
        good = worker_start(&self->workers[w], self, niceness, name, w);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!good) {
        beamd_pool_destroy(&self);
    }
    return self;
}

void beamd_pool_join(beamd_pool *self)
{
    for (unsigned w = 0; w < self->count; w++) {
        worker *it = &self->workers[w];
        if (it->started) {
            atomic_store_explicit(&it->stop, true, memory_order_release);
            signal_fd(it->wake_fd);
            pthread_join(it->thread, NULL);
            it->started = false;
        }
    }
}

void beamd_pool_destroy(beamd_pool **pool)
{
    beamd_pool *self = *pool;
    if (!self) {
        return;
    }
    beamd_pool_join(self);
    for (unsigned w = 0; w < self->count; w++) {
        if (self->workers[w].wake_fd >= 0) {
            close(self->workers[w].wake_fd);
        }
    }
    if (self->done_fd >= 0) {
        close(self->done_fd);
    }
    free(self->workers);
    free(self);
    *pool = NULL;
}

unsigned beamd_pool_workers(const beamd_pool *self)
{
    return self->count;
}

unsigned beamd_pool_busy(const beamd_pool *self)
{
    return self->busy;
}

int beamd_pool_fd(const beamd_pool *self)
{
    return self->done_fd;
}

bool beamd_pool_submit(beamd_pool *self, beamd_job *job)
{
    for (unsigned w = 0; w < self->count; w++) {
        worker *it = &self->workers[w];
        if (it->assigned) {
            continue;
        }
        job->worker = w; /* before the push, which gives the job away */
        if (!beamd_ring_push(&it->in, job)) {
            continue;
        }
        it->assigned = true;
        self->busy++;
        signal_fd(it->wake_fd);
        return true;
    }
    return false;
}

void beamd_pool_acknowledge(beamd_pool *self)
{
    uint64_t count;
    while (read(self->done_fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

beamd_job *beamd_pool_reap(beamd_pool *self)
{
    for (unsigned n = 0; n < self->count; n++) {
        worker *it = &self->workers[self->next];
        self->next = (self->next + 1) % self->count;
        beamd_job *job = beamd_ring_pop(&it->out);
        if (job) {
            it->assigned = false;
            self->busy--;
            return job;
        }
    }
    return NULL;
}

bool beamd_pool_alive(const beamd_pool *self, uint64_t now_ns, uint64_t stall_ns)
{
    for (unsigned w = 0; w < self->count; w++) {
        const uint64_t since =
            atomic_load_explicit(&self->workers[w].busy_since_ns, memory_order_relaxed);
        if (since != 0 && now_ns > since && now_ns - since > stall_ns) {
            return false;
        }
    }
    return true;
}

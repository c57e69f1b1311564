#include "pool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
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

/* Waking a thread without a system call while it is awake, and never missing a job:
 *
 * Every access to `asleep` is a read-modify-write with acquire and release, so all of them stand in
 * one order, each reads the value that the one before it left, and each synchronises with those
 * before it (a sequence of read-modify-writes continues the release of its head; there are no plain
 * stores). The thread, before it blocks: exchange(asleep, 1), then it looks into the ring once
 * more. The loop: pushes, then exchange(asleep, 0). Either the loop's exchange is later than the
 * thread's: it reads 1 and writes to the eventfd, which keeps the wake-up if the thread does not
 * block yet. Or it is earlier: then the thread's exchange has seen it, and with it the push before
 * it, so the second look finds the job. The order can be no third one. A wake-up too many (both
 * happen) costs one turn through an empty ring.
 *
 * The other direction, telling the loop, is the same with `told`: the thread pushes the job, then
 * exchange(told, 1), and writes only if it read 0. The loop reads the descriptor first, then
 * exchange(told, 0), then reaps until nothing is left. A thread that read 1 was before the loop's
 * exchange, whose reap sees its job; one that read 0 has written, after the loop's read or before
 * it. Were the read to come after the exchange, it could eat a wake-up whose flag stays up. */

typedef struct worker {
    beamd_ring in, out;
    alignas(64) atomic_uint asleep;
    atomic_bool stop;
    _Atomic uint64_t busy_since_ns; /* 0: idle */
    /* set before the thread starts */
    struct beamd_pool *pool;
    int wake_fd;
    int niceness;
    size_t prefault_bytes;
    /* the loop's */
    bool started;
    bool assigned; /* has a job */
    const beamd_job *job;
    pthread_t thread;
} worker;

struct beamd_pool {
    worker *workers[BEAMD_POOL_THREADS_MAX];
    worker *lost[BEAMD_POOL_LOST_MAX]; /* NULL: free */
    unsigned count, busy;
    uint64_t replaced;
    unsigned next; /* where reaping goes on, so that no thread is favoured */
    int done_fd;
    int priority, niceness;
    size_t stack_bytes, prefault_bytes;
    char name[11];
    cpu_set_t cpus[BEAMD_POOL_THREADS_MAX]; /* of each place */
    const long long *spin_us;
    alignas(64) atomic_uint told;
    _Atomic uint64_t spin_ns;
};

__attribute__((format(printf, 3, 4))) static bool refuse(char *why, size_t size, const char *format,
                                                         ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return false;
}

static void signal_fd(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void drain_fd(int fd)
{
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

/* Touches the stack below the caller's frame, so that no job meets a page for the first time. */
__attribute__((noinline)) static void prefault_stack(size_t bytes)
{
    enum { STEP = 4096 };
    volatile char page[STEP];
    page[0] = 0;
    if (bytes > STEP) {
        prefault_stack(bytes - STEP);
    }
    page[STEP - 1] = page[0]; /* after the call: no tail call, which would reuse the frame */
}

static void set_up_thread(const worker *self)
{
    beamd_float_mode_set();
    if (self->niceness > 0) {
        /* on Linux of one thread */
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), self->niceness);
    }
    if (self->prefault_bytes > 0) {
        prefault_stack(self->prefault_bytes);
    }
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool ended(worker *self)
{
    return atomic_load_explicit(&self->stop, memory_order_acquire);
}

/* Looks for work for spin_us. */
static beamd_job *spin(worker *self)
{
    enum { LOOKS = 64 }; /* between two readings of the clock, which cost as much as a few looks */
    const uint64_t spin_ns = atomic_load_explicit(&self->pool->spin_ns, memory_order_relaxed);
    if (spin_ns == 0) {
        return NULL;
    }
    const uint64_t until_ns = beamd_clock_ns() + spin_ns;
    do {
        for (int n = 0; n < LOOKS; n++) {
            beamd_job *job = beamd_ring_pop(&self->in);
            if (job) {
                return job;
            }
            pause_briefly();
        }
    } while (!ended(self) && beamd_clock_ns() < until_ns);
    return NULL;
}

/* NULL: told to end, and nothing is left to do. */
static beamd_job *await_job(worker *self)
{
    for (;;) {
        beamd_job *job = beamd_ring_pop(&self->in);
        if (!job) {
            job = spin(self);
        }
        if (job) {
            return job;
        }
        atomic_exchange_explicit(&self->asleep, 1, memory_order_acq_rel);
        if (!beamd_ring_filled(&self->in)) {
            if (ended(self)) { /* the loop pushes nothing after it said so */
                return beamd_ring_pop(&self->in);
            }
            drain_fd(self->wake_fd);
        }
        atomic_exchange_explicit(&self->asleep, 0, memory_order_acq_rel);
    }
}

static void *worker_main(void *arg)
{
    worker *self = arg;
    beamd_pool *pool = self->pool;
    set_up_thread(self);
    beamd_job *job;
    while ((job = await_job(self)) != NULL) {
        atomic_store_explicit(&self->busy_since_ns, beamd_clock_ns(), memory_order_relaxed);
        job->run(job);
        atomic_store_explicit(&self->busy_since_ns, 0, memory_order_relaxed);
        /* never full: one job per thread is under way, and the ring holds eight */
        (void)beamd_ring_push(&self->out, job);
        if (atomic_exchange_explicit(&pool->told, 1, memory_order_acq_rel) == 0) {
            signal_fd(pool->done_fd);
        }
    }
    return NULL;
}

/* All that pthread_create is to refuse here, in the caller, and not later on the thread. */
static int set_attributes(pthread_attr_t *attr, const beamd_pool *pool, const cpu_set_t *cpus)
{
    const struct sched_param param = {.sched_priority = pool->priority};
    int code = pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
    if (code == 0) {
        code = pthread_attr_setschedpolicy(attr, pool->priority > 0 ? SCHED_FIFO : SCHED_OTHER);
    }
    if (code == 0) {
        code = pthread_attr_setschedparam(attr, &param);
    }
    if (code == 0) {
        code = pthread_attr_setaffinity_np(attr, sizeof *cpus, cpus);
    }
    if (code == 0 && pool->stack_bytes > 0) {
        code = pthread_attr_setstacksize(attr, pool->stack_bytes);
    }
    return code;
}

/* 0 or an error number. */
static int start_thread(worker *self, unsigned place)
{
    const beamd_pool *pool = self->pool;
    pthread_attr_t attr;
    int code = pthread_attr_init(&attr);
    if (code != 0) {
        return code;
    }
    code = set_attributes(&attr, pool, &pool->cpus[place]);
    if (code == 0) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the loop's thread */
        code = pthread_create(&self->thread, &attr, worker_main, self);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attr);
    if (code == 0) {
        self->started = true;
        char label[16];
        snprintf(label, sizeof label, "%s-%u", pool->name, place % 1000);
        pthread_setname_np(self->thread, label);
    }
    return code;
}

static void worker_free(worker *self)
{
    if (self) {
        if (self->wake_fd >= 0) {
            close(self->wake_fd);
        }
        free(self);
    }
}

/* NULL: *code says why. */
static worker *worker_start(beamd_pool *pool, unsigned place, int *code)
{
    worker *self = aligned_alloc(alignof(worker), sizeof(worker));
    if (!self) {
        *code = ENOMEM;
        return NULL;
    }
    memset(self, 0, sizeof *self);
    self->pool = pool;
    self->niceness = pool->priority > 0 ? 0 : pool->niceness;
    self->prefault_bytes = pool->prefault_bytes;
    self->wake_fd = eventfd(0, EFD_CLOEXEC);
    *code = self->wake_fd < 0 ? errno : start_thread(self, place);
    if (*code != 0) {
        worker_free(self);
        return NULL;
    }
    return self;
}

static bool stack_fits(const beamd_pool_options *options, char *why, size_t size)
{
    pthread_attr_t attr;
    size_t stack = options->stack_bytes;
    if (stack == 0 && pthread_attr_init(&attr) == 0) {
        pthread_attr_getstacksize(&attr, &stack);
        pthread_attr_destroy(&attr);
    }
    return options->prefault_bytes <= stack / 2 ||
           refuse(why, size,
                  "threads \"%s\": %zu bytes of a stack of %zu are to be touched, more "
                  "than half of it",
                  options->name, options->prefault_bytes, stack);
}

/* Where each place's thread may run. */
static bool place_threads(beamd_pool *self, const beamd_pool_options *options, char *why,
                          size_t size)
{
    cpu_set_t anywhere;
    CPU_ZERO(&anywhere);
    if (options->cpu_count == 0 && sched_getaffinity(0, sizeof anywhere, &anywhere) < 0) {
        return refuse(why, size, "threads \"%s\": sched_getaffinity: %s", options->name,
                      strerror(errno));
    }
    for (unsigned c = 0; c < options->cpu_count; c++) {
        if (options->cpus[c] < 0 || options->cpus[c] >= CPU_SETSIZE) {
            return refuse(why, size, "threads \"%s\": no core %d", options->name, options->cpus[c]);
        }
        CPU_SET((size_t)options->cpus[c], &anywhere);
    }
    for (unsigned w = 0; w < options->threads; w++) {
        self->cpus[w] = anywhere;
        if (options->cpu_count > 0 && !options->cpus_shared) {
            CPU_ZERO(&self->cpus[w]);
            CPU_SET((size_t)options->cpus[w % options->cpu_count], &self->cpus[w]);
        }
    }
    return true;
}

static void read_spin(beamd_pool *self)
{
    const long long us = self->spin_us ? *self->spin_us : 0;
    atomic_store_explicit(&self->spin_ns, us > 0 ? (uint64_t)us * 1000u : 0, memory_order_relaxed);
}

static void copy_options(beamd_pool *self, const beamd_pool_options *options)
{
    self->priority = options->priority;
    self->niceness = options->niceness;
    self->stack_bytes = options->stack_bytes;
    self->prefault_bytes = options->prefault_bytes;
    self->spin_us = options->spin_us;
    snprintf(self->name, sizeof self->name, "%s", options->name);
    read_spin(self);
}

beamd_pool *beamd_pool_create(const beamd_pool_options *options, char *why, size_t size)
{
    if (options->threads < 1 || options->threads > BEAMD_POOL_THREADS_MAX) {
        refuse(why, size, "threads \"%s\": %u are not 1 to %d", options->name, options->threads,
               BEAMD_POOL_THREADS_MAX);
        return NULL;
    }
    const size_t bytes = (sizeof(beamd_pool) + 63u) & ~(size_t)63u;
    beamd_pool *self = aligned_alloc(64, bytes);
    if (!self) {
        refuse(why, size, "threads \"%s\": out of memory", options->name);
        return NULL;
    }
    memset(self, 0, bytes);
    copy_options(self, options);
    self->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool good = self->done_fd >= 0 ||
                refuse(why, size, "threads \"%s\": eventfd: %s", options->name, strerror(errno));
    good = good && stack_fits(options, why, size) && place_threads(self, options, why, size);
    while (good && self->count < options->threads) {
        int code;
        worker *it = worker_start(self, self->count, &code);
        if (it) {
            self->workers[self->count++] = it;
        } else {
            good = refuse(why, size, "thread %u of \"%s\"%s%s: %s", self->count, options->name,
                          options->priority > 0 ? " under SCHED_FIFO" : "",
                          options->cpu_count > 0 ? " on its core" : "", strerror(code));
        }
    }
    if (!good) {
        beamd_pool_destroy(&self);
    }
    return self;
}

/* pthread_timedjoin_np counts on the clock that can be set; the thread's end is polled instead. */
static bool join_now(worker *self)
{
    if (self->started && pthread_tryjoin_np(self->thread, NULL) == 0) {
        self->started = false;
    }
    return !self->started;
}

/* A lost thread that has ended is forgotten. Its job has been reaped: it gave it back before. */
static void forget_ended(beamd_pool *self)
{
    for (unsigned n = 0; n < BEAMD_POOL_LOST_MAX; n++) {
        worker *it = self->lost[n];
        if (it && !it->assigned && join_now(it)) {
            worker_free(it);
            self->lost[n] = NULL;
        }
    }
}

static void tell_to_end(worker *self)
{
    atomic_store_explicit(&self->stop, true, memory_order_release);
    signal_fd(self->wake_fd);
}

/* What was demoted is waited for now. Without the right to rise it ends when the machine is idle.
 */
static void promote(pthread_t thread)
{
    const struct sched_param none = {.sched_priority = 0};
    (void)pthread_setschedparam(thread, SCHED_OTHER, &none);
}

unsigned beamd_pool_join(beamd_pool *self, unsigned limit_ms)
{
    const uint64_t until_ns = beamd_clock_ns() + (uint64_t)limit_ms * 1000000u;
    for (unsigned w = 0; w < self->count; w++) {
        tell_to_end(self->workers[w]);
    }
    for (unsigned n = 0; n < BEAMD_POOL_LOST_MAX; n++) {
        if (self->lost[n] && self->lost[n]->started) {
            promote(self->lost[n]->thread);
        }
    }
    for (;;) {
        unsigned left = 0;
        for (unsigned w = 0; w < self->count; w++) {
            left += !join_now(self->workers[w]);
        }
        for (unsigned n = 0; n < BEAMD_POOL_LOST_MAX; n++) {
            left += self->lost[n] && !join_now(self->lost[n]);
        }
        if (left == 0 || beamd_clock_ns() >= until_ns) {
            return left;
        }
        poll(NULL, 0, 1);
    }
}

void beamd_pool_destroy(beamd_pool **pool)
{
    beamd_pool *self = *pool;
    *pool = NULL;
    if (!self || beamd_pool_join(self, BEAMD_POOL_DESTROY_MS) > 0) {
        return;
    }
    for (unsigned w = 0; w < self->count; w++) {
        worker_free(self->workers[w]);
    }
    for (unsigned n = 0; n < BEAMD_POOL_LOST_MAX; n++) {
        worker_free(self->lost[n]);
    }
    if (self->done_fd >= 0) {
        close(self->done_fd);
    }
    free(self);
}

unsigned beamd_pool_workers(const beamd_pool *self)
{
    return self->count;
}

unsigned beamd_pool_busy(const beamd_pool *self)
{
    return self->busy;
}

unsigned beamd_pool_lost(const beamd_pool *self)
{
    unsigned count = 0;
    for (unsigned n = 0; n < BEAMD_POOL_LOST_MAX; n++) {
        count += self->lost[n] != NULL;
    }
    return count;
}

uint64_t beamd_pool_replaced(const beamd_pool *self)
{
    return self->replaced;
}

int beamd_pool_fd(const beamd_pool *self)
{
    return self->done_fd;
}

bool beamd_pool_submit(beamd_pool *self, beamd_job *job)
{
    for (unsigned w = 0; w < self->count; w++) {
        worker *it = self->workers[w];
        if (it->assigned) {
            continue;
        }
        job->worker = w; /* before the push, which gives the job away */
        job->lost = false;
        read_spin(self);
        if (!beamd_ring_push(&it->in, job)) {
            continue;
        }
        it->assigned = true;
        it->job = job;
        self->busy++;
        if (atomic_exchange_explicit(&it->asleep, 0, memory_order_acq_rel) != 0) {
            signal_fd(it->wake_fd);
        }
        return true;
    }
    return false;
}

void beamd_pool_acknowledge(beamd_pool *self)
{
    drain_fd(self->done_fd); /* first, then the flag: see above */
    atomic_exchange_explicit(&self->told, 0, memory_order_acq_rel);
}

static beamd_job *take_back(worker *it)
{
    beamd_job *job = beamd_ring_pop(&it->out);
    if (job) {
        it->assigned = false;
        it->job = NULL;
    }
    return job;
}

beamd_job *beamd_pool_reap(beamd_pool *self)
{
    for (unsigned n = 0; n < self->count; n++) {
        worker *it = self->workers[self->next];
        self->next = (self->next + 1) % self->count;
        beamd_job *job = take_back(it);
        if (job) {
            self->busy--;
            return job;
        }
    }
    for (unsigned n = 0; n < BEAMD_POOL_LOST_MAX; n++) {
        beamd_job *job = self->lost[n] ? take_back(self->lost[n]) : NULL;
        if (job) {
            job->lost = true;
            return job;
        }
    }
    forget_ended(self);
    return NULL;
}

/* A lost thread under SCHED_FIFO would keep its successor from the core that they share; under the
 * ordinary scheduler it would take half. */
static void demote(pthread_t thread)
{
    const struct sched_param none = {.sched_priority = 0};
    (void)pthread_setschedparam(thread, SCHED_IDLE, &none); /* less is always allowed */
}

bool beamd_pool_replace(beamd_pool *self, const beamd_job *job)
{
    forget_ended(self);
    unsigned w = 0, free_place = 0;
    while (w < self->count && self->workers[w]->job != job) {
        w++;
    }
    while (free_place < BEAMD_POOL_LOST_MAX && self->lost[free_place]) {
        free_place++;
    }
    if (!job || w == self->count) {
        return false;
    }
    if (beamd_ring_filled(&self->workers[w]->out)) {
        return true;
    }
    int code;
    worker *fresh = free_place < BEAMD_POOL_LOST_MAX ? worker_start(self, w, &code) : NULL;
    if (!fresh) {
        return false;
    }
    worker *gone = self->workers[w];
    self->lost[free_place] = gone;
    self->workers[w] = fresh;
    self->busy--;
    self->replaced++;
    demote(gone->thread); /* while it certainly exists: it ends only when told */
    tell_to_end(gone);
    return true;
}

bool beamd_pool_alive(const beamd_pool *self, uint64_t now_ns, uint64_t stall_ns)
{
    for (unsigned w = 0; w < self->count; w++) {
        const uint64_t since =
            atomic_load_explicit(&self->workers[w]->busy_since_ns, memory_order_relaxed);
        if (since != 0 && now_ns > since && now_ns - since > stall_ns) {
            return false;
        }
    }
    return true;
}

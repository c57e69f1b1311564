/* The threads: every job comes back once, no wake-up is lost, a thread that hangs is replaced, and
 * the end does not wait for ever. Run under ThreadSanitizer as well. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "pool.h"
#include "ring.h"

enum { PATIENCE_MS = 30000 }; /* a lost wake-up waits for ever; a loaded machine does not */

static beamd_pool *pool_of(unsigned threads, const long long *spin_us)
{
    char why[256] = "";
    const beamd_pool_options options = {.name = "test", .threads = threads, .spin_us = spin_us};
    beamd_pool *pool = beamd_pool_create(&options, why, sizeof why);
    if (!pool) {
        fail_msg("%s", why);
    }
    return pool;
}

/* The next finished job, as the loop gets it. */
static beamd_job *await(beamd_pool *pool)
{
    beamd_job *job = beamd_pool_reap(pool);
    while (!job) {
        struct pollfd p = {.fd = beamd_pool_fd(pool), .events = POLLIN};
        if (poll(&p, 1, PATIENCE_MS) <= 0) {
            fail_msg("no job came back: a wake-up was lost");
        }
        beamd_pool_acknowledge(pool);
        job = beamd_pool_reap(pool);
    }
    return job;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void busy_ns(uint64_t ns)
{
    const uint64_t until_ns = beamd_clock_ns() + ns;
    while (beamd_clock_ns() < until_ns) {
    }
}

/* A job that takes a while, and one that waits to be let go. */
typedef struct task {
    beamd_job job; /* first */
    uint64_t ns;
    atomic_bool *gate; /* NULL: none */
    int runs;
    int place;
    bool under_way; /* the loop's */
} task;

static void run_task(beamd_job *job)
{
    task *self = (task *)job;
    while (self->gate && !atomic_load(self->gate)) {
        poll(NULL, 0, 1);
    }
    busy_ns(self->ns);
    self->runs++;
    self->place = (int)job->worker;
}

static void every_job_comes_back_once(void **state)
{
    (void)state;
    enum { JOBS = 20000, THREADS = 4 };
    static task jobs[JOBS];
    uint64_t random = 88172645463325252u;
    beamd_pool *pool = pool_of(THREADS, NULL);
    int sent = 0, back = 0;
    while (back < JOBS) {
        while (sent < JOBS) {
            jobs[sent].job.run = run_task;
            jobs[sent].ns = next_random(&random) % 4000;
            if (!beamd_pool_submit(pool, &jobs[sent].job)) {
                assert_int_equal(beamd_pool_busy(pool), THREADS);
                break;
            }
            sent++;
        }
        task *it = (task *)await(pool);
        assert_int_equal(it->runs, 1);
        assert_int_equal(it->place, it->job.worker);
        assert_false(it->job.lost);
        it->runs = -1; /* a second return would be seen */
        back++;
    }
    assert_int_equal(beamd_pool_busy(pool), 0);
    assert_null(beamd_pool_reap(pool));
    assert_true(beamd_pool_alive(pool, UINT64_MAX, 1));
    beamd_pool_destroy(&pool);
    assert_null(pool);
}

/* Jobs are submitted just when the thread falls asleep: after about its spinning time. */
static void no_wake_up_is_lost(void **state)
{
    (void)state;
    enum { ROUNDS = 30000 };
    static const long long spins[] = {0, 1, 3, 20};
    long long spin_us = 0;
    uint64_t random = 1234567u;
    beamd_pool *pool = pool_of(1, &spin_us);
    task job = {.job.run = run_task};
    const uint64_t limit_ns = beamd_clock_ns() + UINT64_C(20000000000);
    int round = 0;
    for (; round < ROUNDS && beamd_clock_ns() < limit_ns; round++) {
        if (round % 500 == 0) {
            spin_us = spins[next_random(&random) % 4];
        }
        assert_true(beamd_pool_submit(pool, &job.job));
        assert_ptr_equal(await(pool), &job.job);
        busy_ns(next_random(&random) % (uint64_t)(2 * spin_us * 1000 + 6000));
    }
    assert_int_equal(job.runs, round);
    assert_true(round > 1000);
    beamd_pool_destroy(&pool);
}

static void a_lost_thread_gives_its_job_back_and_ends(void **state)
{
    (void)state;
    atomic_bool gate = false;
    task hung = {.job.run = run_task, .gate = &gate}, other = {.job.run = run_task};
    beamd_pool *pool = pool_of(1, NULL);
    assert_true(beamd_pool_submit(pool, &hung.job));
    assert_false(beamd_pool_submit(pool, &other.job));
    assert_false(beamd_pool_replace(pool, &other.job)); /* not under way */
    assert_false(beamd_pool_replace(pool, NULL));
    while (beamd_pool_alive(pool, UINT64_MAX, 1)) {
        poll(NULL, 0, 1); /* until it runs */
    }
    assert_true(beamd_pool_replace(pool, &hung.job));
    assert_false(beamd_pool_replace(pool, &hung.job)); /* lost already */
    assert_true(beamd_pool_alive(pool, UINT64_MAX, 1));
    assert_int_equal(beamd_pool_busy(pool), 0);
    assert_int_equal(beamd_pool_lost(pool), 1);
    assert_true(beamd_pool_submit(pool, &other.job));
    assert_ptr_equal(await(pool), &other.job);
    assert_false(other.job.lost);
    atomic_store(&gate, true);
    assert_ptr_equal(await(pool), &hung.job);
    assert_true(hung.job.lost);
    assert_int_equal(hung.runs, 1);
    const uint64_t limit_ns = beamd_clock_ns() + (uint64_t)PATIENCE_MS * 1000000u;
    while (beamd_pool_lost(pool) > 0 && beamd_clock_ns() < limit_ns) {
        assert_null(beamd_pool_reap(pool));
        poll(NULL, 0, 1);
    }
    assert_int_equal(beamd_pool_lost(pool), 0);
    assert_true(beamd_pool_submit(pool, &hung.job)); /* as good as any other again */
    assert_ptr_equal(await(pool), &hung.job);
    assert_false(hung.job.lost);
    beamd_pool_destroy(&pool);
}

/* A thread that had no turn yet is lost too: its job is not. */
static void a_job_that_did_not_begin_is_run_by_its_lost_thread(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        task job = {.job.run = run_task};
        beamd_pool *pool = pool_of(1, NULL);
        assert_true(beamd_pool_submit(pool, &job.job));
        assert_true(beamd_pool_replace(pool, &job.job)); /* or it is finished */
        assert_ptr_equal(await(pool), &job.job);
        assert_int_equal(job.runs, 1);
        beamd_pool_destroy(&pool);
    }
}

static void lost_threads_are_bounded(void **state)
{
    (void)state;
    atomic_bool gate = false;
    static task job[BEAMD_POOL_LOST_MAX + 1];
    beamd_pool *pool = pool_of(1, NULL);
    for (int n = 0; n <= BEAMD_POOL_LOST_MAX; n++) {
        job[n] = (task){.job.run = run_task, .gate = &gate};
        assert_true(beamd_pool_submit(pool, &job[n].job));
        assert_true(beamd_pool_replace(pool, &job[n].job) == (n < BEAMD_POOL_LOST_MAX));
    }
    assert_int_equal(beamd_pool_lost(pool), BEAMD_POOL_LOST_MAX);
    assert_int_equal(beamd_pool_busy(pool), 1);
    assert_int_equal(beamd_pool_join(pool, 20), BEAMD_POOL_LOST_MAX + 1); /* and does not hang */
    atomic_store(&gate, true);
    assert_int_equal(beamd_pool_join(pool, PATIENCE_MS), 0);
    int lost = 0;
    for (int n = 0; n <= BEAMD_POOL_LOST_MAX; n++) {
        lost += await(pool)->lost;
        assert_int_equal(job[n].runs, 1);
    }
    assert_int_equal(lost, BEAMD_POOL_LOST_MAX);
    beamd_pool_destroy(&pool);
}

/* Random durations, four threads, and threads given up in the middle. */
static void replacement_under_load_loses_nothing(void **state)
{
    (void)state;
    enum { JOBS = 64, ROUNDS = 20000, THREADS = 4 };
    static task jobs[JOBS];
    static int submitted[JOBS];
    long long spin_us = 5;
    uint64_t random = 42;
    beamd_pool *pool = pool_of(THREADS, &spin_us);
    int back = 0, sent = 0;
    uint64_t lost_back = 0;
    const uint64_t limit_ns = beamd_clock_ns() + UINT64_C(30000000000);
    while (back < sent || (sent < ROUNDS && beamd_clock_ns() < limit_ns)) {
        const bool more = sent < ROUNDS && beamd_clock_ns() < limit_ns;
        const unsigned j = (unsigned)(next_random(&random) % JOBS);
        if (more && !jobs[j].under_way) {
            jobs[j].job.run = run_task;
            jobs[j].ns = next_random(&random) % 100 == 0 ? 400000 : next_random(&random) % 20000;
            if (beamd_pool_submit(pool, &jobs[j].job)) {
                jobs[j].under_way = true;
                submitted[j]++;
                sent++;
            }
        }
        if (jobs[j].under_way && next_random(&random) % 50 == 0) {
            beamd_pool_replace(pool, &jobs[j].job); /* false: 8 are lost, or this one is */
        }
        if (beamd_pool_busy(pool) == THREADS || !more) {
            task *it = (task *)await(pool);
            assert_true(it->under_way);
            it->under_way = false;
            lost_back += it->job.lost;
            back++;
        } else {
            beamd_pool_acknowledge(pool);
            for (beamd_job *job; (job = beamd_pool_reap(pool)) != NULL; back++) {
                ((task *)job)->under_way = false;
                lost_back += job->lost;
            }
        }
    }
    for (int j = 0; j < JOBS; j++) {
        assert_int_equal(jobs[j].runs, submitted[j]);
    }
    assert_int_equal(lost_back, beamd_pool_replaced(pool));
    assert_true(lost_back > 0);
    print_message("%d jobs, %llu threads replaced\n", back, (unsigned long long)lost_back);
    beamd_pool_destroy(&pool);
}

/* In a process of its own, as it leaves a thread behind. */
static void the_end_does_not_wait_for_a_hung_thread(void **state)
{
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static atomic_bool gate;
        static task hung = {.job.run = run_task, .gate = &gate};
        char why[256];
        const beamd_pool_options options = {.name = "test", .threads = 2};
        beamd_pool *pool = beamd_pool_create(&options, why, sizeof why);
        const bool good = pool && beamd_pool_submit(pool, &hung.job);
        beamd_pool_destroy(&pool);
        _exit(good && !pool ? 7 : 1);
    }
    const uint64_t limit_ns = beamd_clock_ns() + (uint64_t)PATIENCE_MS * 1000000u;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        assert_true(beamd_clock_ns() < limit_ns);
        poll(NULL, 0, 5);
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

typedef struct look {
    beamd_job job; /* first */
    cpu_set_t cpus;
    int policy, priority;
} look;

static void run_look(beamd_job *job)
{
    look *self = (look *)job;
    struct sched_param param;
    sched_getaffinity(0, sizeof self->cpus, &self->cpus);
    self->policy = sched_getscheduler(0);
    sched_getparam(0, &param);
    self->priority = param.sched_priority;
}

static void threads_run_where_they_are_told(void **state)
{
    (void)state;
    cpu_set_t all;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    int cpus[CPU_SETSIZE];
    unsigned count = 0;
    for (int c = 0; c < CPU_SETSIZE; c++) {
        if (CPU_ISSET((size_t)c, &all)) {
            cpus[count++] = c;
        }
    }
    for (int shared = 0; shared < 2; shared++) {
        char why[256];
        const beamd_pool_options options = {.name = "test",
                                            .threads = 3,
                                            .cpus = cpus,
                                            .cpu_count = count,
                                            .cpus_shared = shared,
                                            .prefault_bytes = 100000};
        beamd_pool *pool = beamd_pool_create(&options, why, sizeof why);
        assert_non_null(pool);
        look looks[3] = {{.job.run = run_look}, {.job.run = run_look}, {.job.run = run_look}};
        for (int n = 0; n < 3; n++) {
            assert_true(beamd_pool_submit(pool, &looks[n].job));
        }
        for (int n = 0; n < 3; n++) {
            const look *it = (look *)await(pool);
            assert_int_equal(CPU_COUNT(&it->cpus), shared ? count : 1);
            assert_true(CPU_ISSET((size_t)cpus[it->job.worker % count], &it->cpus));
            assert_int_equal(it->policy, SCHED_OTHER);
        }
        beamd_pool_destroy(&pool);
    }
}

static void what_is_not_possible_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const int none[] = {CPU_SETSIZE - 1}, wrong[] = {-1};
    const beamd_pool_options cases[] = {
        {.name = "test", .threads = 0},
        {.name = "test", .threads = BEAMD_POOL_THREADS_MAX + 1},
        {.name = "test", .threads = 1, .cpus = none, .cpu_count = 1},
        {.name = "test", .threads = 1, .cpus = wrong, .cpu_count = 1},
        {.name = "test", .threads = 1, .priority = 100},
        {.name = "test", .threads = 1, .stack_bytes = 1 << 20, .prefault_bytes = 1 << 20},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char why[256] = "";
        assert_null(beamd_pool_create(&cases[k], why, sizeof why));
        assert_non_null(strstr(why, "\"test\""));
    }
}

/* SCHED_FIFO: given and used, or refused with the reason; never left out. */
static void a_priority_is_given_or_refused(void **state)
{
    (void)state;
    char why[256] = "";
    const beamd_pool_options options = {.name = "test", .threads = 1, .priority = 5};
    beamd_pool *pool = beamd_pool_create(&options, why, sizeof why);
    if (!pool) {
        assert_string_equal(why, "thread 0 of \"test\" under SCHED_FIFO: Operation not permitted");
        return;
    }
    look it = {.job.run = run_look};
    assert_true(beamd_pool_submit(pool, &it.job));
    assert_ptr_equal(await(pool), &it.job);
    assert_int_equal(it.policy, SCHED_FIFO);
    assert_int_equal(it.priority, 5);
    beamd_pool_destroy(&pool);
}

static void a_full_ring_refuses(void **state)
{
    (void)state;
    static beamd_ring ring;
    int item[BEAMD_RING_SLOTS + 1];
    for (int round = 0; round < 5; round++) {
        for (int k = 0; k < BEAMD_RING_SLOTS; k++) {
            assert_true(beamd_ring_push(&ring, &item[k]));
            assert_true(beamd_ring_filled(&ring));
        }
        assert_false(beamd_ring_push(&ring, &item[BEAMD_RING_SLOTS]));
        for (int k = 0; k < BEAMD_RING_SLOTS; k++) {
            assert_ptr_equal(beamd_ring_pop(&ring), &item[k]);
        }
        assert_null(beamd_ring_pop(&ring));
        assert_false(beamd_ring_filled(&ring));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_does_not_wait_for_a_hung_thread), /* first: it forks */
        cmocka_unit_test(a_full_ring_refuses),
        cmocka_unit_test(every_job_comes_back_once),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(a_lost_thread_gives_its_job_back_and_ends),
        cmocka_unit_test(a_job_that_did_not_begin_is_run_by_its_lost_thread),
        cmocka_unit_test(lost_threads_are_bounded),
        cmocka_unit_test(replacement_under_load_loses_nothing),
        cmocka_unit_test(threads_run_where_they_are_told),
        cmocka_unit_test(what_is_not_possible_is_refused_with_a_reason),
        cmocka_unit_test(a_priority_is_given_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

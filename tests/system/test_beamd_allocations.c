/* From CSI to answer the daemon allocates nothing in steady state; what ZeroMQ allocates for the
 * same messages is counted apart and bounded. A preloaded allocator counts (count_allocations.c);
 * that it counts at all is shown first, by what a registration takes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/golden.h"
#include "system/count_allocations.h"
#include "system/daemon.h"

enum {
    WARM_UP =
        100, /* answers before counting: ZeroMQ's queues and the last answers take their memory */
    ANSWERS = 1000,
    ZMQ_PER_ANSWER = 4 /* per request and its answer: the buffer it was read into, and one message
                          each that is answered and published; and room for one more */
};

static test_daemon daemon_;
static count_page *page;
static char page_path[64];

static int set_up(void **state)
{
    (void)state;
    /* state and telemetry have their own clocks and are no part of an answer */
    static const char *const settings[] = {"state_dir = off", "telemetry_endpoint = off",
                                           "deadline_us = 10000000", "workers = 2", NULL};
    snprintf(page_path, sizeof page_path, "/tmp/beam-allocations-XXXXXX");
    const int fd = mkstemp(page_path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof *page), 0);
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(page != MAP_FAILED);
    close(fd);
    assert_int_equal(setenv(COUNT_ALLOCATIONS_ENV, page_path, 1), 0);
    assert_int_equal(setenv("LD_PRELOAD", COUNT_ALLOCATIONS_LIBRARY, 1), 0);
    test_daemon_start(&daemon_, settings, 0);
    unsetenv("LD_PRELOAD");
    unsetenv(COUNT_ALLOCATIONS_ENV);
    return atomic_load(&page->ready) ? 0 : -1; /* else nothing would be counted */
}

static int tear_down(void **state)
{
    (void)state;
    const int status = test_daemon_stop(&daemon_);
    munmap(page, sizeof *page);
    unlink(page_path);
    return status == 0 ? 0 : -1;
}

static void clear_counts(void)
{
    for (int t = 0; t < COUNT_THREADS; t++) {
        for (int o = 0; o < COUNT_OWNERS; o++) {
            atomic_store(&page->thread[t].allocations[o], 0);
            atomic_store(&page->thread[t].frees[o], 0);
            atomic_store(&page->thread[t].bytes[o], 0);
        }
    }
    for (int c = 0; c < COUNT_CALLERS; c++) {
        atomic_store(&page->caller[c].calls, 0);
    }
}

static uint64_t allocations_of(count_owner owner)
{
    uint64_t sum = 0;
    for (int t = 0; t < COUNT_THREADS; t++) {
        sum += atomic_load(&page->thread[t].allocations[owner]);
    }
    return sum;
}

static void print_counts(const char *what, int answers)
{
    static const char *const owners[] = {"ours", "ZeroMQ"};
    for (int t = 0; t < COUNT_THREADS; t++) {
        const count_thread *it = &page->thread[t];
        for (int o = 0; o < COUNT_OWNERS; o++) {
            const uint64_t allocations = atomic_load(&it->allocations[o]);
            const uint64_t frees = atomic_load(&it->frees[o]);
            if (allocations + frees > 0) {
                print_message("%s: %-15s %-6s %6.3f allocations, %6.3f frees, %8.0f bytes per "
                              "answer\n",
                              what, it->name, owners[o], (double)allocations / answers,
                              (double)frees / answers,
                              (double)atomic_load(&it->bytes[o]) / answers);
            }
        }
    }
    for (int c = 0; c < COUNT_CALLERS; c++) {
        const count_caller *it = &page->caller[c];
        if (atomic_load(&it->calls) > 0) {
            print_message("%s: %llu from %s+0x%llx (addr2line -fe)\n", what,
                          (unsigned long long)atomic_load(&it->calls), it->object,
                          (unsigned long long)atomic_load(&it->address));
        }
    }
}

static void wobble(beam_scene *scene, int step)
{
    const size_t n =
        (size_t)scene->dims.stations * (size_t)scene->dims.users * (size_t)scene->dims.antennas;
    for (size_t k = 0; k < n; k++) {
        scene->channel[k].re *= 1 + 0.001 * sin((double)k + step);
        scene->channel[k].im *= 1 + 0.001 * cos(2.0 * (double)k + step);
    }
}

/* A counter that sees nothing would let everything pass. */
static void the_counter_sees_a_registration(void **state)
{
    (void)state;
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *client = test_client(&daemon_);
    test_register(client, "before", scene, 0.5);
    atomic_store(&page->counting, true);
    test_register(client, "counted", scene, 0.5);
    atomic_store(&page->counting, false);
    print_counts("registration", 1);
    assert_true(allocations_of(COUNT_OURS) > 0);
    assert_true(allocations_of(COUNT_ZMQ) > 0);
    clear_counts();
    beamc_close(&client);
    test_scene_free(scene);
}

static void stream(const char *what, const char *scene_name)
{
    beam_scene *scene = test_golden_scene(scene_name);
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, what, scene, 0.5);
    for (int k = 0; k < WARM_UP; k++) {
        test_solve(client, what, scene);
        wobble(scene, k);
    }
    clear_counts();
    atomic_store(&page->counting, true);
    for (int k = 0; k < ANSWERS; k++) {
        test_solve(client, what, scene);
        wobble(scene, WARM_UP + k);
    }
    atomic_store(&page->counting, false);
    print_counts(what, ANSWERS);
    assert_int_equal(atomic_load(&page->threads_beyond), 0);
    assert_int_equal(allocations_of(COUNT_OURS), 0);
    assert_true(allocations_of(COUNT_ZMQ) > 0); /* the messages were counted */
    assert_true(allocations_of(COUNT_ZMQ) <= (uint64_t)ANSWERS * ZMQ_PER_ANSWER);
    clear_counts();
    beamc_close(&client);
    test_scene_free(scene);
}

static void an_answer_allocates_nothing_of_ours(void **state)
{
    (void)state;
    stream("paper", "paper_eps010");
}

static void nor_does_one_of_several_stations(void **state)
{
    (void)state;
    stream("multi", "multi_n8");
}

/* Superseded, and late: what is refused or degraded takes no memory either. */
static void a_burst_allocates_nothing_of_ours(void **state)
{
    (void)state;
    enum { BURST = 20, BURSTS = 50 };
    beam_scene *scene = test_golden_scene("multi_n8");
    beamc_client *client = test_client(&daemon_);
    test_set_up(client, "burst", scene, 0.5);
    for (int b = 0; b < BURSTS; b++) {
        if (b == BURSTS / 5) {
            clear_counts();
            atomic_store(&page->counting, true);
        }
        for (int k = 0; k < BURST; k++) {
            test_send_csi(client, "burst", scene, k % 3 == 0 ? 1 : 1000000);
        }
        for (int k = 0; k < BURST; k++) {
            beamc_answer answer;
            beamc_error err;
            assert_int_equal(beamc_receive(client, 60000, &answer, &err), BEAMC_OK);
        }
        wobble(scene, b);
    }
    atomic_store(&page->counting, false);
    const int answers = BURST * (BURSTS - BURSTS / 5);
    print_counts("burst", answers);
    assert_int_equal(allocations_of(COUNT_OURS), 0);
    assert_true(allocations_of(COUNT_ZMQ) <= (uint64_t)answers * ZMQ_PER_ANSWER);
    beamc_close(&client);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_sees_a_registration),
        cmocka_unit_test(an_answer_allocates_nothing_of_ours),
        cmocka_unit_test(nor_does_one_of_several_stations),
        cmocka_unit_test(a_burst_allocates_nothing_of_ours),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

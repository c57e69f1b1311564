/* The deadline watch: called back once, never before its time, wherever it was moved meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "clock.h"
#include "loop.h"

enum { MS = 1000000 };

typedef struct world {
    beamd_loop *loop;
    beamd_watch *deadline, *other;
    uint64_t called_ns; /* the last time */
    int calls, others;
    uint64_t next_ns; /* armed by the callback; 0: none */
    int breaks_after;
} world;

static void came(void *arg)
{
    world *self = arg;
    self->called_ns = beamd_clock_ns();
    self->calls++;
    if (self->next_ns) {
        assert_true(beamd_watch_arm(self->deadline, self->next_ns));
        self->next_ns = 0;
    }
    if (self->calls >= self->breaks_after) {
        beamd_loop_break(self->loop);
    }
}

static void over(void *arg)
{
    world *self = arg;
    beamd_loop_break(self->loop);
}

static void set_up(world *self, int breaks_after)
{
    *self = (world){.breaks_after = breaks_after};
    self->loop = beamd_loop_create();
    assert_non_null(self->loop);
    self->deadline = beamd_watch_deadline(self->loop, came, self);
    assert_non_null(self->deadline);
}

static void run_for(world *self, unsigned ms)
{
    beamd_watch *end = beamd_watch_timer(self->loop, ms, 0, over, self);
    assert_non_null(end);
    beamd_loop_run(self->loop);
    beamd_watch_destroy(&end);
}

static void tear_down(world *self)
{
    beamd_watch_destroy(&self->deadline);
    assert_null(self->deadline);
    beamd_loop_destroy(&self->loop);
}

static void it_comes_once_and_never_early(void **state)
{
    (void)state;
    world w;
    set_up(&w, 1);
    for (int round = 0; round < 20; round++) {
        const uint64_t at_ns = beamd_clock_ns() + (uint64_t)round * MS / 4;
        w.calls = 0;
        assert_true(beamd_watch_arm(w.deadline, at_ns));
        assert_true(beamd_watch_arm(w.deadline, at_ns));
        run_for(&w, 30000);
        assert_int_equal(w.calls, 1);
        assert_true(w.called_ns >= at_ns);
    }
    w.calls = 0;
    run_for(&w, 20);
    assert_int_equal(w.calls, 0);
    tear_down(&w);
}

static void the_past_comes_at_once(void **state)
{
    (void)state;
    static const uint64_t past[] = {0, 1, 1000};
    world w;
    set_up(&w, 1);
    for (int n = 0; n < 3; n++) {
        w.calls = 0;
        assert_true(beamd_watch_arm(w.deadline, past[n]));
        run_for(&w, 30000);
        assert_int_equal(w.calls, 1);
    }
    tear_down(&w);
}

static void it_can_be_moved_both_ways_and_taken_back(void **state)
{
    (void)state;
    world w;
    set_up(&w, 1);
    uint64_t now_ns = beamd_clock_ns();
    assert_true(beamd_watch_arm(w.deadline, now_ns + 5 * MS));
    assert_true(beamd_watch_arm(w.deadline, now_ns + 40 * MS)); /* later */
    run_for(&w, 30000);
    assert_int_equal(w.calls, 1);
    assert_true(w.called_ns >= now_ns + 40 * MS);

    now_ns = beamd_clock_ns();
    assert_true(beamd_watch_arm(w.deadline, now_ns + UINT64_C(3600000) * MS));
    assert_true(beamd_watch_arm(w.deadline, now_ns + 5 * MS)); /* earlier */
    w.calls = 0;
    run_for(&w, 30000);
    assert_int_equal(w.calls, 1);

    now_ns = beamd_clock_ns();
    assert_true(beamd_watch_arm(w.deadline, now_ns + 5 * MS));
    assert_true(beamd_watch_arm(w.deadline, UINT64_MAX)); /* not at all */
    w.calls = 0;
    run_for(&w, 40);
    assert_int_equal(w.calls, 0);

    now_ns = beamd_clock_ns(); /* and again after it was taken back */
    assert_true(beamd_watch_arm(w.deadline, now_ns + 5 * MS));
    run_for(&w, 30000);
    assert_int_equal(w.calls, 1);
    assert_true(w.called_ns >= now_ns + 5 * MS);
    tear_down(&w);
}

static void the_callback_may_set_the_next_one(void **state)
{
    (void)state;
    world w;
    set_up(&w, 2);
    const uint64_t now_ns = beamd_clock_ns();
    w.next_ns = now_ns + 12 * MS;
    assert_true(beamd_watch_arm(w.deadline, now_ns + 3 * MS));
    run_for(&w, 30000);
    assert_int_equal(w.calls, 2);
    assert_true(w.called_ns >= now_ns + 12 * MS);
    tear_down(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_once_and_never_early),
        cmocka_unit_test(the_past_comes_at_once),
        cmocka_unit_test(it_can_be_moved_both_ways_and_taken_back),
        cmocka_unit_test(the_callback_may_set_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

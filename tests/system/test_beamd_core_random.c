/* The core in a simulated world, at random: messages, preferences, clusters and threads in any
 * order, with a seed that is said. Every request has exactly one answer, whatever crosses it, and
 * nothing is left over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core_internal.h"
#include "system/core_world.h"

enum { CLUSTERS = 4, BANDS_MAX = 20, REQUESTS_MAX = 65536, THREADS = 3 };

typedef struct chaos {
    world *w;
    const beam_scene *scene;
    uint64_t random;
    uint64_t sequence; /* of everything: no two requests share one */
    uint32_t bands[CLUSTERS];
    unsigned char answers[REQUESTS_MAX]; /* by sequence, to CSI */
    bool asked[REQUESTS_MAX];
    unsigned solved, refused, held;
} chaos;

static uint32_t draw(chaos *self, uint32_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (uint32_t)((self->random >> 33) % below);
}

static const char *id_of(uint32_t k)
{
    static const char *const ids[CLUSTERS] = {"c0", "c1", "c2", "c3"};
    return ids[k];
}

/* What went out since the last look. */
static void take_log(chaos *self)
{
    for (unsigned k = 0; k < self->w->count; k++) {
        const sent *s = &self->w->log[k];
        if (s->published || s->peer != 'x' || s->sequence >= REQUESTS_MAX) {
            continue;
        }
        self->answers[s->sequence]++;
        if (s->type == BEAM_WIRE_ERROR) {
            self->refused++;
        } else {
            self->solved++;
            self->held += s->service == BEAMD__SERVICE__SERVICE_HELD;
            assert_true(s->csi_sequence <= s->sequence || s->type == BEAM_WIRE_SOLUTION);
        }
        assert_true(self->answers[s->sequence] == 1);
    }
    self->w->count = 0;
}

static void do_register(chaos *self, uint32_t k)
{
    static const uint32_t sizes[] = {1, 1, 9, BANDS_MAX};
    self->bands[k] = sizes[draw(self, 4)];
    deliver_wide_registration(self->w, id_of(k), self->scene, self->bands[k]);
    deliver_targets(self->w, id_of(k), self->scene, ++self->sequence);
}

static void do_csi(chaos *self, uint32_t k)
{
    static const uint32_t deadlines_us[] = {1, 700, 3000, 10000, 50000};
    const uint32_t first = draw(self, self->bands[k]);
    const uint32_t all = draw(self, 3) == 0;
    const uint64_t sequence = ++self->sequence;
    self->asked[sequence] = true;
    deliver_wide_csi(self->w, 'x', id_of(k), self->scene, sequence, deadlines_us[draw(self, 5)],
                     all ? 0 : first, all ? self->bands[k] : 1);
}

static void do_leave(chaos *self, uint32_t k)
{
    Beamd__UsersLeave m = BEAMD__USERS_LEAVE__INIT;
    uint64_t nobody[] = {99};
    m.user_ids = nobody;
    m.n_user_ids = draw(self, 2);
    self->asked[++self->sequence] = true;
    deliver(self->w, 'x', BEAM_WIRE_USERS_LEAVE, id_of(k), self->sequence, &m.base);
}

static void do_preference(chaos *self, uint32_t k)
{
    static const char *const names[] = {"", "balanced", "locate", "rate"};
    Beamd__PreferenceSet set = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    set.name = (char *)(uintptr_t)names[draw(self, 4)];
    u.u1 = 1 + draw(self, 10);
    u.u2 = draw(self, 10);
    set.preference = &u;
    if (draw(self, 2)) {
        set.remove = 1;
        set.preference = NULL;
    }
    deliver(self->w, 'o', BEAM_WIRE_PREFERENCE_SET, id_of(k), ++self->sequence, &set.base);
}

static void do_other(chaos *self, uint32_t k)
{
    Beamd__UnregisterCluster gone = BEAMD__UNREGISTER_CLUSTER__INIT;
    Beamd__StatusRequest status = BEAMD__STATUS_REQUEST__INIT;
    switch (draw(self, 6)) {
    case 0:
        deliver(self->w, 'r', BEAM_WIRE_UNREGISTER_CLUSTER, id_of(k), ++self->sequence, &gone.base);
        break;
    case 1:
        do_register(self, k);
        break;
    case 2:
        deliver(self->w, 'o', BEAM_WIRE_STATUS_REQUEST, "", ++self->sequence, &status.base);
        break;
    case 3:
        deliver_targets(self->w, id_of(k), self->scene, ++self->sequence);
        break;
    case 4:
        subscribe(self->w, "", 0);
        break;
    default:
        do_leave(self, k);
        break;
    }
}

/* A thread comes back: any one, also one that was given up. */
static void do_job(chaos *self)
{
    world *w = self->w;
    const uint32_t what = draw(self, 8);
    if (what < 5 && w->jobs > 0) {
        const uint32_t k = draw(self, w->jobs);
        beamd_job *first = w->under_way[0];
        w->under_way[0] = w->under_way[k];
        w->under_way[k] = first;
        finish_one(w);
    } else if (what == 5 && w->rescue) {
        finish_at(w, &w->rescue);
    } else if (what == 6 && w->refresh) {
        finish_at(w, &w->refresh);
    } else if (what == 7 && w->lost_count > 0) {
        finish_at(w, &w->lost[--w->lost_count]);
    }
}

static void do_time(chaos *self)
{
    world *w = self->w;
    static const uint64_t steps_us[] = {1, 50, 400, 3000, 12000, 60000};
    const uint64_t until_ns = w->now_ns + 1000u * steps_us[draw(self, 6)];
    unsigned turns = 0;
    while (w->wake_ns <= until_ns) {
        w->now_ns = w->wake_ns > w->now_ns ? w->wake_ns : w->now_ns;
        step(w, BEAMD_EVENT_TIME);
        assert_true(++turns < 2000); /* else the loop would spin */
    }
    w->now_ns = until_ns;
    step(w, BEAMD_EVENT_TIME);
}

static void do_something(chaos *self)
{
    const uint32_t k = draw(self, CLUSTERS), what = draw(self, 100);
    if (what < 40) {
        do_csi(self, k);
    } else if (what < 70) {
        do_job(self);
    } else if (what < 88) {
        do_time(self);
    } else if (what < 93) {
        do_preference(self, k);
    } else if (what < 99) {
        do_other(self, k);
    } else {
        step(self->w, BEAMD_EVENT_CONFIG);
    }
    take_log(self);
}

/* Everybody is answered when nothing more comes and threads stay away. */
static void settle(chaos *self)
{
    world *w = self->w;
    step(w, BEAMD_EVENT_DRAIN);
    for (int turn = 0; turn < 400 && !beamd_core_idle(w->core); turn++) {
        w->now_ns += UINT64_C(20000000);
        step(w, BEAMD_EVENT_TIME);
        take_log(self);
    }
    assert_true(beamd_core_idle(w->core));
    for (uint64_t s = 0; s <= self->sequence; s++) {
        if (self->asked[s] && self->answers[s] != 1) {
            fail_msg("request %llu has %u answers", (unsigned long long)s, self->answers[s]);
        }
    }
}

static void run(uint64_t seed, unsigned events)
{
    beam_scene *scene = test_golden_scene("paper_eps010");
    chaos *self = test_memory(sizeof *self);
    memset(self, 0, sizeof *self);
    self->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    self->scene = scene;
    self->w = world_new(THREADS);
    self->w->config.hang_ms = 30;
    self->w->config.batch_max = 16;
    self->w->config.batch_wait_us = seed % 2 ? 300 : 0;
    self->w->config.solver_iterations = 3;
    for (uint32_t k = 0; k < CLUSTERS; k++) {
        do_register(self, k);
    }
    for (unsigned k = 0; k < events; k++) {
        do_something(self);
    }
    settle(self);
    print_message("seed %llu: %u answered (%u held), %u refused\n", (unsigned long long)seed,
                  self->solved, self->held, self->refused);
    assert_true(self->solved > 0 && self->refused > 0);
    world_free(self->w);
    free(self);
    test_scene_free(scene);
}

static void anything_in_any_order(void **state)
{
    (void)state;
    const char *seed = getenv("BEAM_SEED"), *events = getenv("BEAM_EVENTS");
    const uint64_t first = seed ? strtoull(seed, NULL, 10) : 1, last = seed ? first : 6;
    for (uint64_t s = first; s <= last; s++) {
        run(s, events ? (unsigned)strtoul(events, NULL, 10) : 600);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(anything_in_any_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

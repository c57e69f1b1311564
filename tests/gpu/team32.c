#include "gpu/team32.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "common/owned.h"
#include "common/random.h"

enum { STACK_BYTES = 256 << 10 };

typedef struct emulation {
    beam_team_host host; /* first: sync gets it */
    ucontext_t main, lane[BEAM_TEAM_MAX];
    unsigned char *stack;
    beam_team team[BEAM_TEAM_MAX];
    bool ended[BEAM_TEAM_MAX];
    int now, lanes;
    test_team_work *work;
    void *arg;
} emulation;

static emulation *running; /* makecontext passes ints only */

static void wait_for_others(beam_team_host *host)
{
    emulation *e = (emulation *)(void *)host;
    (void)swapcontext(&e->lane[e->now], &e->main);
}

static void lane_main(void)
{
    emulation *e = running;
    const int lane = e->now;
    e->work(&e->team[lane], e->arg);
    e->ended[lane] = true;
}

static void order_lanes(int lanes, test_lane_order order, test_random *random, int *turn)
{
    for (int i = 0; i < lanes; i++) {
        turn[i] = order == TEST_LANES_DOWN ? lanes - 1 - i : i;
    }
    for (int i = lanes - 1; order == TEST_LANES_SHUFFLED && i > 0; i--) {
        const int k = test_random_int(random, 0, i), kept = turn[i];
        turn[i] = turn[k];
        turn[k] = kept;
    }
}

/* Every lane up to its next sync or its end; returns how many have ended. */
static int pass(emulation *e, const int *turn)
{
    int ended = 0;
    for (int i = 0; i < e->lanes; i++) {
        e->now = turn[i];
        if (!e->ended[e->now]) {
            (void)swapcontext(&e->main, &e->lane[e->now]);
        }
    }
    for (int i = 0; i < e->lanes; i++) {
        ended += e->ended[i];
    }
    return ended;
}

/* Apart from the loop below: getcontext returns twice as far as the compiler knows. */
static __attribute__((noinline)) void make_lane(emulation *e, int i)
{
    (void)getcontext(&e->lane[i]);
    e->lane[i].uc_stack.ss_sp = e->stack + (size_t)i * STACK_BYTES;
    e->lane[i].uc_stack.ss_size = STACK_BYTES;
    e->lane[i].uc_link = &e->main;
    makecontext(&e->lane[i], lane_main, 0);
}

void test_team_run(int lanes, test_lane_order order, test_team_work *work, void *arg)
{
    emulation *e = test_memory(sizeof *e);
    test_random random = test_random_new(7);
    int turn[BEAM_TEAM_MAX], ended = 0;
    memset(e, 0, sizeof *e);
    e->host.sync = wait_for_others;
    e->lanes = lanes;
    e->work = work;
    e->arg = arg;
    e->stack = test_memory((size_t)lanes * STACK_BYTES);
    running = e;
    for (int i = 0; i < lanes; i++) {
        e->team[i] = (beam_team){.lane = i, .lanes = lanes, .shared = &e->host};
        make_lane(e, i);
    }
    while (ended == 0) {
        order_lanes(lanes, order, &random, turn);
        ended = pass(e, turn);
        if (ended != 0 && ended != lanes) {
            fprintf(stderr, "%d of %d lanes ended while others wait\n", ended, lanes);
            exit(2);
        }
    }
    free(e->stack);
    free(e);
}

void test_team_single(test_team_work *work, void *arg)
{
    const beam_team team = {.lane = 0, .lanes = 1, .shared = NULL};
    work(&team, arg);
}

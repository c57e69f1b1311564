/* Teams on the host: 1 lane, or 32 emulated ones that take turns between syncs, in an order that
 * the test chooses: a lane that reads what another has yet to write gives another answer in another
 * order. */
#ifndef TEST_GPU_TEAM32_H
#define TEST_GPU_TEAM32_H

#include "device/team.cuh"

typedef enum test_lane_order {
    TEST_LANES_UP,
    TEST_LANES_DOWN,
    TEST_LANES_SHUFFLED
} test_lane_order;

typedef void test_team_work(const beam_team *team, void *arg);

/* Runs the work on a team of one. */
void test_team_single(test_team_work *work, void *arg);
/* On 32 lanes, or 64. Ends the program when lanes do not meet at the same number of syncs. */
void test_team_run(int lanes, test_lane_order order, test_team_work *work, void *arg);

#endif

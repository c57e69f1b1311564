/* Random scenes for the network's check, with every degeneracy that an operator may send: users of
 * no weight or that nobody hears, exact channels, hopeless errors, coupled sensing models, minimum
 * rates, one station with all users, powers over eight decades, targets that cannot be located. */
#ifndef TEST_NETWORK_CASE_H
#define TEST_NETWORK_CASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/owned.h"

typedef struct test_network_case {
    uint64_t seed;
    beam_scene *scene;
    beam_solver *solver;
    beam_evaluator *evaluator;
    beam_ideal ideal;
} test_network_case;

/* Loaded, with ideal values as a service would have them: about right, or stale. */
test_network_case test_network_case_new(uint64_t seed);
void test_network_case_free(test_network_case *c);

bool test_has_minima(const beam_scene *scene);

#endif

/* The client's own judgement: every number recomputed from the CSI and the beams alone, and nominal
 * designs beside the daemon's robust one. */
#ifndef BEAMDEMO_COMPARE_H
#define BEAMDEMO_COMPARE_H

#include <stdbool.h>

#include "beamc/beamc.h"
#include "demo/scenario.h"

typedef struct demo_judge demo_judge;

/* NULL: *reason says why. */
demo_judge *demo_judge_create(const demo_scenario *scenario, const char **reason);
void demo_judge_destroy(demo_judge **self);

/* Largest relative difference between the quality that the answer claims and the client's own
 * numbers; negative when the design cannot be evaluated. */
double demo_judge_claims(demo_judge *self, const demo_snapshot *snapshot,
                         const beamc_solution *solution);

/* Remembers an answer for the comparison at the end; the earliest are overwritten after DEMO_KEPT.
 */
enum { DEMO_KEPT = 12 };
void demo_judge_keep(demo_judge *self, const demo_snapshot *snapshot,
                     const beamc_solution *solution);

/* Prints the comparison. False when it cannot be made or the robust design is not the best under
 * the worst error. */
bool demo_judge_print(demo_judge *self);

#endif

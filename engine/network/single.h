/* The equivariant network on ONE problem of up to BEAM_LANES stations, forward only. Where a block
 * has a problem in each lane, here a lane is a station: what is done per station (products,
 * preconditioner, directions, norms, the step) is done once for all of them, and only what couples
 * stations sums over lanes (interference, Fisher information, f1). The mathematics and parameters
 * are those of the block, results equal up to rounding. Internal to libbeam.
 *
 * Rows: every station has beams for as many users as the one with most, then its sensing rows;
 * those of users that are not there, and lanes without a station, are zero and stay so. In the
 * perceptron a lane is an output, so that rows need no packing: its weights come transposed.
 *
 * Life: init -> { scene, preference, start -> forward -> point }*. */
#ifndef BEAM_NET_SINGLE_H
#define BEAM_NET_SINGLE_H

#include <stdbool.h>

#include "network/block.h"

typedef struct NET(single) NET(single);

/* An equivariant network and at most BEAM_LANES stations. */
bool NET(single_serves)(const beam_net_arch *arch, const beam_problem *p);

/* Memory for problems of up to these sizes; 0 for a network that is not equivariant. */
size_t NET(single_memsize)(const beam_net_arch *arch, const beam_dims *max);
NET(single) * NET(single_init)(const beam_net_arch *arch, const beam_dims *max, void *memory);

/* A network's parameters as `forward` reads them: reals needed (0: not equivariant), and made from
 * theta into `columns` (64-byte aligned). */
size_t NET(single_columns)(const beam_net_arch *arch);
void NET(single_transpose)(const beam_net_arch *arch, const beam_net_real *theta,
                           beam_net_real *columns);

/* As the block's. scene comes first: it also takes the shape. */
void NET(single_scene)(NET(single) * s, const beam_problem *p, const double *sensing,
                       const beam_ideal *ideal);
void NET(single_preference)(NET(single) * s, beam_preference u);
void NET(single_start)(NET(single) * s, const double *x);
/* Layers from..to-1, from the point of single_start. */
void NET(single_forward)(NET(single) * s, const beam_net_real *columns, int from, int to);
void NET(single_point)(const NET(single) * s, double *x);

#endif

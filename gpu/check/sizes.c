#include "check/check.h"

/* Operations: docs/gpu.md, "Operations and bytes per problem". */
const check_size check_sizes[] = {
    {.name = "paper",
     .dims = {3, 5, 3, 2},
     .users_per_station = 1,
     .small = true,
     .operations_float32 = 2.3e6,
     .operations_float64 = 0.14e6,
     .batches = {1, 64, 1024, 16384}},
    /* the paper's network through cuBLAS: 10 layers of width 128 */
    {.name = "paper-mlp",
     .dims = {3, 5, 3, 2},
     .users_per_station = 1,
     .small = true,
     .operations_float32 = 2.8e6,
     .operations_float64 = 0.14e6,
     .batches = {1, 64, 1024, 16384},
     .mlp_layers = 10,
     .mlp_width = 128},
    {.name = "4x16x8x3",
     .dims = {4, 16, 8, 3},
     .users_per_station = 2,
     .operations_float32 = 13.2e6,
     .operations_float64 = 1.1e6,
     .batches = {1, 137, 1024}},
    /* all subbands of a carrier at once: the budget that deployed stacks give zero-forcing */
    {.name = "3x64x24x4",
     .dims = {3, 64, 24, 4},
     .users_per_station = 8,
     .operations_float32 = 112e6,
     .operations_float64 = 17e6,
     .batches = {1, 137},
     .target_us = 500},
    {.name = "mixed", .dims = {3, 5, 6, 3}, .mixed = true, .hostile = true, .small = true},
    /* extremes: more users than antennas, many stations, one antenna, nobody to serve, one of all
     */
    {.name = "overload", .dims = {2, 4, 6, 1}, .hostile = true, .small = true},
    {.name = "stations", .dims = {7, 4, 7, 4}, .hostile = true},
    {.name = "single", .dims = {3, 1, 2, 1}, .hostile = true, .small = true},
    {.name = "sensing", .dims = {3, 5, 0, 2}, .hostile = true, .small = true},
    {.name = "least", .dims = {1, 1, 1, 1}, .hostile = true, .small = true},
};
const int check_size_count = sizeof check_sizes / sizeof check_sizes[0];

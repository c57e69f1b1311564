#include "check/check.h"

/* Operations: docs/gpu.md, "Operations and bytes per problem". */
const check_size check_sizes[] = {
    {"paper", {3, 5, 3, 2}, 1, false, false, true, 2.3e6, 0.14e6, {1, 64, 1024, 16384}, 0},
    /* the paper's network through cuBLAS: 10 layers of width 128 */
    {"paper-mlp",
     {3, 5, 3, 2},
     1,
     false,
     false,
     true,
     2.8e6,
     0.14e6,
     {1, 64, 1024, 16384},
     0,
     10,
     128},
    {"4x16x8x3", {4, 16, 8, 3}, 2, false, false, false, 13.2e6, 1.1e6, {1, 137, 1024}, 0},
    /* all subbands of a carrier at once: the budget that deployed stacks give zero-forcing */
    {"3x64x24x4", {3, 64, 24, 4}, 8, false, false, false, 112e6, 17e6, {1, 137}, 500},
    {"mixed", {3, 5, 6, 3}, 0, true, true, true, 0, 0, {0}, 0},
    /* extremes: more users than antennas, many stations, one antenna, nobody to serve, one of all
     */
    {"overload", {2, 4, 6, 1}, 0, false, true, true, 0, 0, {0}, 0},
    {"stations", {7, 4, 7, 4}, 0, false, true, false, 0, 0, {0}, 0},
    {"single", {3, 1, 2, 1}, 0, false, true, true, 0, 0, {0}, 0},
    {"sensing", {3, 5, 0, 2}, 0, false, true, true, 0, 0, {0}, 0},
    {"least", {1, 1, 1, 1}, 0, false, true, true, 0, 0, {0}, 0},
};
const int check_size_count = sizeof check_sizes / sizeof check_sizes[0];

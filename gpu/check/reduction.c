/* The reduction to the subspace in the kernel and by the libraries, one line of JSON. */
#include <stdio.h>

#include "check/check.h"
#include "check/reduce_bench.h"

enum { SUBBANDS = 137 };

#ifdef CHECK_REDUCTION

static void put_time(const char *name, const beam_gpu_reduction_time *t)
{
    if (t->ms >= 0) {
        printf(",\"%s_ms\":%.5f,\"%s_error\":%.2e", name, t->ms, name, t->error);
    }
}

void check_reduction(const check_size *size, const check_options *options)
{
    const int columns = size->dims.users + 2 * size->dims.targets;
    beam_gpu_reductions r;
    beam_gpu_error err = {0};
    if (columns >= size->dims.antennas) {
        return;
    }
    if (beam_gpu_bench_reduction(options->device, &size->dims, SUBBANDS, &r, &err)) {
        check_give_up("reduction", &err);
    }
    printf("{\"stage\":\"bench\",\"where\":\"reduction\",\"size\":\"%s\",\"problems\":%d,"
           "\"matrices\":%d,\"columns\":%d,\"vectors\":%d",
           size->name, (int)SUBBANDS, r.matrices, r.columns, r.vectors);
    put_time("fused", &r.fused);
    put_time("cholesky", &r.cholesky);
    put_time("qr", &r.qr);
    printf(",\"not_measured\":\"%s\"}\n", r.text);
    (void)fflush(stdout);
}

#else

void check_reduction(const check_size *size, const check_options *options)
{
    (void)size;
    (void)options;
}

#endif

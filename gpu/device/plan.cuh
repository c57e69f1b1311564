/* Sizes of a kind of problems and where everything of one lies. Made on the host (gpu/plan.c),
 * travels with the batch (batch.cuh). Byte offsets; those of the workspace count in `fast` memory
 * (shared) when they are not negative, else in `slow` memory (device) at ~offset. */
#ifndef BEAM_GPU_PLAN_CUH
#define BEAM_GPU_PLAN_CUH

#include "team.cuh"

enum { BEAM_GPU_STATIONS_MAX = 16, BEAM_GPU_USERS_MAX = 128, BEAM_GPU_TARGETS_MAX = 16 };

typedef struct beam_gpu_sizes {
    int L, N, U, J;
    int K_max;       /* most users of one station */
    int D, r;        /* dimension of the subspace (N: no reduction), sensing rows per station */
    int rows, n_max; /* U + L r; K_max + r */
    int Q;           /* vectors per station: U channels, a and D a of J targets, r sensing rows */
    int layers, width;
    int perceptron; /* how its products are made (layer.cuh) */
    /* for beam_gpu_over */
    unsigned by_N, by_D, by_U, by_J, by_Q, by_n_max;
} beam_gpu_sizes;

/* Of a cluster: what many problems share. Users are sorted by station. */
typedef struct beam_gpu_cluster_at {
    int order, own, row, K, first, user_first; /* int [U] [U] [U] [L] [L+1] [L+1] */
    int station;                               /* int [rows]: of a row */
    int geometry;                              /* int [J]: 1 where a waveform can locate it */
    int weight, min_rate;                      /* double [U] */
    int rzf_weight;                            /* double [U]: over the mean weight, at least 1e-3 */
    int root_power, scale;                     /* double [L], [L][U] sqrt(P_l)/sigma_u */
    int P0, P2;                                /* double [L][J][3]: xx xy yy */
    int tx;                                    /* c64 [L][2J][N] a, D a */
    int fixed; /* c32 [L][2J + r][N]: a and D a at norm 1 or about, least-CRLB rows of power 1 */
    int skip;  /* int: leave targets out that cannot be located */
    int bytes;
} beam_gpu_cluster_at;

/* Of a request, after its head. */
typedef struct beam_gpu_request_at {
    int channel, radius; /* c32 [L][U][N], double [L][U], order of the scene */
    int warm;            /* c32 [U + L r][N]: beams in the order of the scene, sensing rows */
    int bytes;
} beam_gpu_request_at;

typedef struct beam_gpu_request_head {
    double wsr_ideal_bps_hz, crlb_min_m2; /* as beam_ideal */
    double u1, u2;                        /* preference */
    double start_share;                   /* of the beams, where layers start cold */
    int cluster, warm;                    /* warm: beams are given */
    int from, to;                         /* layers to run */
    int candidates;                       /* 1 << of those to consider */
    int refine;                           /* iterations, 0: none */
} beam_gpu_request_head;

enum { BEAM_GPU_NETWORK = 0, BEAM_GPU_WARM = 1, BEAM_GPU_CLASSICAL = 2, BEAM_GPU_CANDIDATES = 3 };
/* Beside the bits of the candidates: the classical share is searched even where a bound rules it
 * out. */
enum { BEAM_GPU_SEARCH_ALL = 1 << BEAM_GPU_CANDIDATES };

/* Cuts of the bound on classical designs, and points of its curve. */
enum { BEAM_GPU_CUTS = 3, BEAM_GPU_BOUND_NODES = 32, BEAM_GPU_BOUND_NODE_BYTES = 48 };

typedef struct beam_gpu_answer_head {
    double wsr_bps_hz, crlb_m2, shortfall_bps_hz, merit; /* of the beams given, float64 */
    double candidate_merit[BEAM_GPU_CANDIDATES];         /* INFINITY: not finite or not given */
    double share, search_merit; /* of the classical candidate: its share, its float32 merit */
    int chosen;                 /* -1: no candidate is finite */
    int refined, evaluations;   /* iterations done, evaluations in them */
    int classical_is_bound;     /* its candidate_merit is a lower bound that rules it out */
    int classical_evaluations;  /* in the search of its share */
    int reserved;
} beam_gpu_answer_head;

typedef struct beam_gpu_answer_at {
    int rate;  /* double [U]: worst case, order of the scene, bit/s/Hz */
    int beams; /* c32 [U + L r][N] as warm beams */
    int bytes;
} beam_gpu_answer_at;

/* Parameters of a layer, floats, inputs first: [inputs][outputs]. */
typedef struct beam_gpu_layer_at {
    int scalars, w1, station1, b1, w2, station2, all2, b2, w3, b3, fragments, count;
} beam_gpu_layer_at;

typedef struct beam_gpu_work_at {
    /* whole run */
    int basis, share, vectors; /* c32 [L][D][N], [L][D], [L][Q][D] */
    int radius;                /* double [L][U], scaled, sorted */
    int unit;                  /* c32 [U][D] classical beams, together power 1 per station */
    int w;                     /* c32 [rows][D] */
    int candidate;             /* c32 [rows][N] at the antennas, sqrt(W), rows of the problem */
    /* start */
    int gram, column, bad; /* c64 [L][U][U], [U][U], int [L] */
    /* layers: float or c32 */
    int y, G, e, scaled, pair_weight, user, f, e_out, echo_B, sensing_out, information, inverse;
    int direction, gradient, factor, station, x, x_station, hidden1, hidden2, out, pool, term;
    /* check: sized for float64 */
    int vector, turn, rho, rank, g, cross, scratch, projection, sinr, rate;
    /* bound on the classical designs (bound.cuh) */
    int bound_y, bound_gram, bound_e, bound_z, bound_cross, bound_cut, bound_node;
    int fast_bytes, slow_bytes;
} beam_gpu_work_at;

typedef struct beam_gpu_plan {
    beam_gpu_sizes s;
    beam_gpu_cluster_at cluster;
    beam_gpu_request_at request;
    beam_gpu_answer_at answer;
    beam_gpu_layer_at layer;
    beam_gpu_work_at work;
} beam_gpu_plan;

/* One problem as the functions see it. */
typedef struct beam_gpu_problem {
    const beam_gpu_plan *plan;
    const unsigned char *cluster, *request;
    unsigned char *answer;
    unsigned char *fast, *slow; /* slow NULL: the plan has nothing there, as a kernel that is made
                                   for such plans says: its compiler then sees shared memory */
    const float *weights;       /* [layers][layer.count] */
    const beam_c32 *network;    /* beams in an answer's order instead of the layers'; NULL: none */
} beam_gpu_problem;

/* k over d, k d < 2^32, by a multiplication with beam_gpu_by(d): a division of integers is some
 * twenty instructions on the device. */
BEAM_HD unsigned beam_gpu_by(int d)
{
    return d > 1 ? 0xffffffffu / (unsigned)d + 1 : 0;
}
BEAM_HD int beam_gpu_over(int k, unsigned by)
{
#ifdef __CUDA_ARCH__
    return by ? (int)__umulhi((unsigned)k, by) : k;
#else
    return by ? (int)((unsigned long long)(unsigned)k * by >> 32) : k;
#endif
}

BEAM_HD void *beam_gpu_work(const beam_gpu_problem *p, int at)
{
#ifdef __CUDA_ARCH__
    return !p->slow || at >= 0 ? p->fast + at : p->slow + ~at;
#else
    return at >= 0 ? p->fast + at : p->slow + ~at;
#endif
}
#define BEAM_WORK(p, type, name) ((type *)beam_gpu_work(p, (p)->plan->work.name))
#define BEAM_CLUSTER(p, type, name)                                                                \
    ((const type *)(const void *)((p)->cluster + (p)->plan->cluster.name))

BEAM_HD int beam_gpu_row_station(const beam_gpu_problem *p, int row)
{
    return BEAM_CLUSTER(p, int, station)[row];
}
BEAM_HD const beam_gpu_request_head *beam_gpu_head(const beam_gpu_problem *p)
{
    return (const beam_gpu_request_head *)(const void *)p->request;
}
BEAM_HD const beam_c32 *beam_gpu_channel(const beam_gpu_problem *p, int l, int u)
{
    const beam_gpu_sizes *s = &p->plan->s;
    const int *order = BEAM_CLUSTER(p, int, order);
    return (const beam_c32 *)(const void *)(p->request + p->plan->request.channel) +
           (l * s->U + order[u]) * s->N;
}

#endif

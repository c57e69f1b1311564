/* Products of small matrices on tensor cores: mma.sync m16n8k16 of halves with float32 sums, by a
 * warp. Which lane holds what is stated once, here, by functions that the instruction's operands,
 * the packing of weights and the emulation on the host all go by.
 *
 * A float32 is a half and 2^-11 times another, 22 bits together. Three products of the parts give
 * float32's accuracy, one gives that of a half's 11 bits. A tf32 has these 11 bits as well, at half
 * the speed and twice the memory; what it has more, range, the layers do not need: their inputs
 * and weights are of the order of one. */
#ifndef BEAM_GPU_TENSOR_CUH
#define BEAM_GPU_TENSOR_CUH

#include <string.h>

#include "team.cuh"

#ifdef __CUDA_ARCH__ /* the host compiler of nvcc does not know it */
#define BEAM_UNROLL _Pragma("unroll")
#else
#define BEAM_UNROLL
#endif

/* The device has the instruction (sm_80), or the host emulates it. */
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define BEAM_GPU_HAS_MMA 1
#else
#define BEAM_GPU_HAS_MMA 0
#endif

enum { BEAM_GPU_MMA_LANES = 32, BEAM_GPU_MMA_M = 16, BEAM_GPU_MMA_N = 8, BEAM_GPU_MMA_K = 16 };
/* Second halves are kept at this scale: they would be subnormal. */
#define BEAM_GPU_REST_SCALE 2048.0f

/* --- Fragments (PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type") -----------
 * Elements i of a lane: A 8, B 4 (halves, two to a register, the even one in the lower bits), C 4.
 */

BEAM_HD int beam_gpu_a_row(int lane, int i)
{
    return lane / 4 + (i & 2 ? 8 : 0);
}
BEAM_HD int beam_gpu_a_column(int lane, int i)
{
    return lane % 4 * 2 + (i & 1) + (i & 4 ? 8 : 0);
}
BEAM_HD int beam_gpu_b_row(int lane, int i)
{
    return lane % 4 * 2 + (i & 1) + (i & 2 ? 8 : 0);
}
BEAM_HD int beam_gpu_b_column(int lane, int i)
{
    (void)i;
    return lane / 4;
}
BEAM_HD int beam_gpu_c_row(int lane, int i)
{
    return lane / 4 + (i & 2 ? 8 : 0);
}
BEAM_HD int beam_gpu_c_column(int lane, int i)
{
    return lane % 4 * 2 + (i & 1);
}

/* --- Halves --------------------------------------------------------------------------------------
 */

/* On the host: to nearest, ties to even; as cvt.rn.f16.f32. */
static inline unsigned beam_gpu_half_of(float x)
{
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    const unsigned sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) {
        return 0x7fffu; /* not a number */
    }
    if (size >= 0x477ff000u) { /* rounds beyond 65504 */
        return sign | 0x7c00u;
    }
    if (size < 0x38800000u) { /* subnormal: units of 2^-24, rounded by the addition */
        const float biased = fabsf(x) + 0.5f;
        memcpy(&bits, &biased, sizeof bits);
        return sign | (bits - 0x3f000000u);
    }
    return sign | ((size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13);
}
static inline float beam_gpu_float_of(unsigned half)
{
    const unsigned exponent = half >> 10 & 0x1fu, fraction = half & 0x3ffu;
    unsigned bits = (half & 0x8000u) << 16;
    float x;
    if (exponent == 0) {
        x = ldexpf((float)fraction, -24);
        return half & 0x8000u ? -x : x;
    }
    bits |= exponent == 31 ? 0x7f800000u | fraction << 13 : (exponent + 112) << 23 | fraction << 13;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Two halves in a register, and back. */
BEAM_HD unsigned beam_gpu_half_pair(float low, float high)
{
#ifdef __CUDA_ARCH__
    unsigned out;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
#else
    return beam_gpu_half_of(low) | beam_gpu_half_of(high) << 16;
#endif
}
BEAM_HD void beam_gpu_float_pair(unsigned pair, float *low, float *high)
{
#ifdef __CUDA_ARCH__
    asm("{.reg .f16 l, h;\n mov.b32 {l, h}, %2;\n cvt.f32.f16 %0, l;\n cvt.f32.f16 %1, h;}"
        : "=f"(*low), "=f"(*high)
        : "r"(pair));
#else
    *low = beam_gpu_float_of(pair & 0xffffu);
    *high = beam_gpu_float_of(pair >> 16);
#endif
}

/* --- The instruction -----------------------------------------------------------------------------
 */

/* C += A B. Every lane of the warp; on the host every lane of the team. */
BEAM_HD void beam_gpu_mma(const beam_team *t, float *c, const unsigned *a, const unsigned *b)
{
#ifdef __CUDA_ARCH__
    (void)t;
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    (void)a;
    (void)b;
    c[0] = c[1] = c[2] = c[3] = NAN; /* never called: beam_gpu_tensor_team */
#endif
#else
    beam_team_host *host = (beam_team_host *)t->shared;
    const int lane = t->lane % BEAM_GPU_MMA_LANES, first = t->lane - lane;
    double A[BEAM_GPU_MMA_M][BEAM_GPU_MMA_K], B[BEAM_GPU_MMA_K][BEAM_GPU_MMA_N];
    for (int r = 0; r < 6; r++) {
        host->word[t->lane][r] = r < 4 ? a[r] : b[r - 4];
    }
    host->sync(host);
    for (int k = 0; k < BEAM_GPU_MMA_LANES; k++) {
        const unsigned *word = host->word[first + k];
        for (int i = 0; i < 8; i++) {
            A[beam_gpu_a_row(k, i)][beam_gpu_a_column(k, i)] =
                (double)beam_gpu_float_of(word[i / 2] >> 16 * (i & 1) & 0xffffu);
        }
        for (int i = 0; i < 4; i++) {
            B[beam_gpu_b_row(k, i)][beam_gpu_b_column(k, i)] =
                (double)beam_gpu_float_of(word[4 + i / 2] >> 16 * (i & 1) & 0xffffu);
        }
    }
    for (int i = 0; i < 4; i++) {
        double sum = (double)c[i];
        for (int k = 0; k < BEAM_GPU_MMA_K; k++) {
            sum += A[beam_gpu_c_row(lane, i)][k] * B[k][beam_gpu_c_column(lane, i)];
        }
        c[i] = (float)sum;
    }
    host->sync(host);
#endif
}

/* The lanes of a warp wait for each other; on the host the team. */
BEAM_HD void beam_gpu_warp_sync(const beam_team *t)
{
#ifdef __CUDA_ARCH__
    (void)t;
    __syncwarp();
#else
    beam_team_sync(t);
#endif
}

/* Are the lanes of this team warps that have the instruction? One lane on the host is not. */
BEAM_HD int beam_gpu_tensor_team(const beam_team *t)
{
    return BEAM_GPU_HAS_MMA && (int)BEAM_TEAM_WARP == (int)BEAM_GPU_MMA_LANES &&
           t->lanes % BEAM_GPU_MMA_LANES == 0;
}

/* --- Products with split operands ----------------------------------------------------------------
 */

/* A fragment of A, and what rounding to halves left of it. */
typedef struct beam_gpu_a_fragment {
    unsigned half[4], rest[4];
} beam_gpu_a_fragment;

/* Elements 2 r and 2 r + 1 of it; rests only where three products are made of one. */
BEAM_HD void beam_gpu_a_set(beam_gpu_a_fragment *a, int r, float low, float high, int products)
{
    a->half[r] = beam_gpu_half_pair(low, high);
    if (products == 3) {
        float l, h;
        beam_gpu_float_pair(a->half[r], &l, &h);
        a->rest[r] =
            beam_gpu_half_pair((low - l) * BEAM_GPU_REST_SCALE, (high - h) * BEAM_GPU_REST_SCALE);
    }
}

/* B lies in memory as lanes read it: fragments (2 registers) of consecutive tiles in pairs, 16
 * bytes a lane. Words before fragment `at`'s pair, for this lane: */
enum { BEAM_GPU_PAIR_WORDS = 4 * BEAM_GPU_MMA_LANES };
BEAM_HD int beam_gpu_b_word(int lane, int at)
{
    return at / 2 * BEAM_GPU_PAIR_WORDS + lane * 4 + at % 2 * 2;
}

typedef struct beam_gpu_b_pair {
    unsigned word[4];
} beam_gpu_b_pair;

BEAM_HD beam_gpu_b_pair beam_gpu_b_load(const float *fragments, int lane, int at)
{
    beam_gpu_b_pair out;
    const float *from = fragments + beam_gpu_b_word(lane, at);
#ifdef __CUDA_ARCH__
    const uint4 words = __ldg((const uint4 *)(const void *)from);
    out.word[0] = words.x;
    out.word[1] = words.y;
    out.word[2] = words.z;
    out.word[3] = words.w;
#else
    memcpy(out.word, from, sizeof out.word);
#endif
    return out;
}

/* sum + rest / scale += A B for two fragments of B that lie side by side: two tiles of outputs.
 * rests: `words` behind the halves. */
BEAM_HD void beam_gpu_mma_pair(const beam_team *t, const beam_gpu_a_fragment *a,
                               const float *fragments, int at, int words, int products,
                               float (*sum)[4], float (*rest)[4])
{
    const int lane = t->lane % BEAM_GPU_MMA_LANES;
    const beam_gpu_b_pair b = beam_gpu_b_load(fragments, lane, at);
    beam_gpu_mma(t, sum[0], a->half, b.word);
    beam_gpu_mma(t, sum[1], a->half, b.word + 2);
    if (products == 3) {
        const beam_gpu_b_pair c = beam_gpu_b_load(fragments + words, lane, at);
        beam_gpu_mma(t, rest[0], a->rest, b.word);
        beam_gpu_mma(t, rest[1], a->rest, b.word + 2);
        beam_gpu_mma(t, rest[0], a->half, c.word);
        beam_gpu_mma(t, rest[1], a->half, c.word + 2);
    }
}

/* The same for one tile, fragment `at`. */
BEAM_HD void beam_gpu_mma_one(const beam_team *t, const beam_gpu_a_fragment *a,
                              const float *fragments, int at, int words, int products, float *sum,
                              float *rest)
{
    const int lane = t->lane % BEAM_GPU_MMA_LANES;
    const beam_gpu_b_pair b = beam_gpu_b_load(fragments, lane, at & ~1);
    const unsigned *half = b.word + at % 2 * 2;
    beam_gpu_mma(t, sum, a->half, half);
    if (products == 3) {
        const beam_gpu_b_pair c = beam_gpu_b_load(fragments + words, lane, at & ~1);
        beam_gpu_mma(t, rest, a->rest, half);
        beam_gpu_mma(t, rest, a->half, c.word + at % 2 * 2);
    }
}

/* --- Packing (host) ------------------------------------------------------------------------------
 */

/* A matrix of `inputs` x `outputs`, multiples of 16 and 8, element (k, o) at
 * from[o * output_stride + k]: fragment k-step * tiles + tile. Rests `words` behind. */
static inline void beam_gpu_pack_fragments(int inputs, int outputs, const float *from,
                                           int output_stride, int words, float *to)
{
    const int tiles = outputs / BEAM_GPU_MMA_N;
    for (int at = 0; at < inputs / BEAM_GPU_MMA_K * tiles; at++) {
        for (int lane = 0; lane < BEAM_GPU_MMA_LANES; lane++) {
            for (int r = 0; r < 2; r++) {
                float x[2], rest[2];
                for (int i = 0; i < 2; i++) {
                    const int k = at / tiles * BEAM_GPU_MMA_K + beam_gpu_b_row(lane, 2 * r + i);
                    const int o = at % tiles * BEAM_GPU_MMA_N + beam_gpu_b_column(lane, 2 * r + i);
                    x[i] = from[o * output_stride + k];
                    rest[i] =
                        (x[i] - beam_gpu_float_of(beam_gpu_half_of(x[i]))) * BEAM_GPU_REST_SCALE;
                }
                const unsigned half = beam_gpu_half_of(x[0]) | beam_gpu_half_of(x[1]) << 16;
                const unsigned left = beam_gpu_half_of(rest[0]) | beam_gpu_half_of(rest[1]) << 16;
                const int word = beam_gpu_b_word(lane, at) + r;
                memcpy(to + word, &half, sizeof half);
                memcpy(to + words + word, &left, sizeof left);
            }
        }
    }
}

#endif

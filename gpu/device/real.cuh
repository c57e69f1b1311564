/* Names and constants of one precision: set BEAM_GPU_BITS to 32 or 64 and include this, then the
 * files that are written for either (no include guards there). BG(name) carries the precision. */
#undef BG
#undef BEAM_REAL
#undef BEAM_CPLX
#undef BEAM_SQRT
#undef BEAM_LOG1P
#undef BEAM_FABS
#undef BEAM_ROUNDING
#undef BEAM_JACOBI_TOLERANCE
#undef BEAM_NEGLIGIBLE
#undef BEAM_RANK_CUT
#undef BEAM_TIE
#undef BEAM_LEAST_SHIFT
#undef BEAM_LEAST_SHIFT_SHARE
#undef BEAM_LEAST_GAP
#undef BEAM_SMALL_FALL
#undef BEAM_SAME_RATIO
#undef BEAM_SINGULAR
#if BEAM_GPU_BITS == 64
#define BG(name) beam_gpu64_##name
#define BEAM_REAL double
#define BEAM_CPLX beam_c64
#define BEAM_SQRT sqrt
#define BEAM_LOG1P log1p
#define BEAM_FABS fabs
#define BEAM_ROUNDING 1e-15          /* steps below this share of the value are rounding */
#define BEAM_JACOBI_TOLERANCE 1e-15  /* cosines below count as orthogonal */
#define BEAM_NEGLIGIBLE 1e-32        /* of the largest squared norm: rounding noise */
#define BEAM_RANK_CUT 1e-28          /* of the largest eigenvalue */
#define BEAM_TIE 1e-10               /* eigenvalues that count as one */
#define BEAM_LEAST_SHIFT 1e-100      /* cubes of its inverse stay finite */
#define BEAM_LEAST_SHIFT_SHARE 1e-60 /* of the least eigenvalue's size */
#define BEAM_LEAST_GAP 1e-280
#define BEAM_SMALL_FALL 1e-10
#define BEAM_SAME_RATIO 1e-12
#define BEAM_SINGULAR 1e-14 /* det under this share of the squared trace */
#else
#define BG(name) beam_gpu32_##name
#define BEAM_REAL float
#define BEAM_CPLX beam_c32
#define BEAM_SQRT sqrtf
#define BEAM_LOG1P log1pf
#define BEAM_FABS fabsf
#define BEAM_ROUNDING 1e-6f
#define BEAM_JACOBI_TOLERANCE 3e-7f
#define BEAM_NEGLIGIBLE 1e-14f
#define BEAM_RANK_CUT 1e-13f
#define BEAM_TIE 1e-5f
#define BEAM_LEAST_SHIFT 1e-12f
#define BEAM_LEAST_SHIFT_SHARE 1e-12f
#define BEAM_LEAST_GAP 1e-30f
#define BEAM_SMALL_FALL 1e-3f
#define BEAM_SAME_RATIO 1e-6f
#define BEAM_SINGULAR 1e-12f
#endif

/* Constants of the refinement in one precision: after real.cuh, no include guard. */
#undef BEAM_LEAST_RATIO
#undef BEAM_REFINE_ROUNDS
#undef BEAM_REFINE_SAME_RATIO
#undef BEAM_REFINE_ON_BALL
#undef BEAM_REFINE_NOISE
#undef BEAM_REFINE_LEAST_CURVATURE
#undef BEAM_REFINE_EXACT
#undef BEAM_REFINE_LEAST_TOLERANCE
#undef BEAM_REFINE_LEAST_SERVED
#undef BEAM_REFINE_ECHO
#if BEAM_GPU_BITS == 64
#define BEAM_LEAST_RATIO 1e-12          /* an SINR to start from */
#define BEAM_REFINE_ROUNDS 80           /* of the ratio and its multiplier */
#define BEAM_REFINE_SAME_RATIO 1e-11    /* relative, on the SINR */
#define BEAM_REFINE_ON_BALL 1e-9        /* relative, on the constraint's norm */
#define BEAM_REFINE_NOISE 0.0           /* of the objective: a rise that counts as none */
#define BEAM_REFINE_LEAST_CURVATURE 0.0 /* cosine between step and change of the gradient */
#define BEAM_REFINE_EXACT 0.0           /* radii under this share of the channel count as 0 */
#define BEAM_REFINE_LEAST_TOLERANCE 0.0 /* of the decrease per iteration */
#define BEAM_REFINE_LEAST_SERVED 0.0    /* SINRs below count as nobody served */
#define BEAM_REFINE_ECHO 0.0            /* delta of S: refine_objective.cuh */
#else
#define BEAM_REFINE_ECHO 1e-6f
#define BEAM_REFINE_LEAST_SERVED 1e-6f
#define BEAM_LEAST_RATIO 1e-12f
#define BEAM_REFINE_ROUNDS 40
#define BEAM_REFINE_SAME_RATIO 1e-6f
#define BEAM_REFINE_ON_BALL 1e-5f
#define BEAM_REFINE_NOISE 5e-7
#define BEAM_REFINE_LEAST_CURVATURE 1e-6
#define BEAM_REFINE_EXACT 1e-6f
#define BEAM_REFINE_LEAST_TOLERANCE 1e-7
#endif

/* Linear algebra of blocks with its adjoints: products of rows with vectors, and Hermitian solves.
 * Rows and vectors have D entries, one after the other. Internal to libbeam. */
#ifndef BEAM_NET_LINEAR_H
#define BEAM_NET_LINEAR_H

#include <stdbool.h>

#include "network/complex_lane.h"

/* out[i stride + k] (+)= c_k^H w_i for n rows w and q vectors c. */
void NET(project)(int n, int q, int stride, int D, const beam_lc *w, const beam_lc *c,
                  beam_lc *out);
void NET(project_add)(int n, int q, int stride, int D, const beam_lc *w, const beam_lc *c,
                      beam_lc *out);
/* out[i stride + k] = w_k^H w_i. */
void NET(gram)(int n, int stride, int D, const beam_lc *w, beam_lc *out);
/* g_i += sum_k e[i stride + k] c_k. It is also the adjoint of project towards w (e = out_bar), and
 * project_add is its adjoint towards e. */
void NET(combine)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *c, beam_lc *g);
/* The same without what g held. */
void NET(combine_set)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *c,
                      beam_lc *g);
/* g_k += sum_i conj(e[i stride + k]) w_i: the adjoint of both towards c. */
void NET(combine_adjoint)(int n, int q, int stride, int D, const beam_lc *e, const beam_lc *w,
                          beam_lc *g);

/* Lower triangle of the Hermitian positive definite D x D matrix `a` (row-major) into its Cholesky
 * factor; the diagonal holds 1/l_ii in re. Pivots are kept at or above `least`. */
void NET(cholesky)(int D, beam_lane least, beam_lc *a);
/* x <- A^-1 x for n rows. */
void NET(cholesky_solve)(int D, const beam_lc *factor, int n, beam_lc *x);

#endif

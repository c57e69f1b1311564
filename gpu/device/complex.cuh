/* Complex arithmetic and short rows of complex numbers, of one lane. For either precision. */

BEAM_HD BEAM_REAL BG(norm2)(BEAM_CPLX a)
{
    return a.re * a.re + a.im * a.im;
}
BEAM_HD BEAM_CPLX BG(scale)(BEAM_REAL s, BEAM_CPLX a)
{
    a.re *= s;
    a.im *= s;
    return a;
}
/* sum += a b */
BEAM_HD void BG(add_mul)(BEAM_CPLX *sum, BEAM_CPLX a, BEAM_CPLX b)
{
    sum->re += a.re * b.re - a.im * b.im;
    sum->im += a.re * b.im + a.im * b.re;
}
/* sum += conj(a) b */
BEAM_HD void BG(add_conj_mul)(BEAM_CPLX *sum, BEAM_CPLX a, BEAM_CPLX b)
{
    sum->re += a.re * b.re + a.im * b.im;
    sum->im += a.re * b.im - a.im * b.re;
}
/* sum += s a */
BEAM_HD void BG(add_scaled)(BEAM_CPLX *sum, BEAM_REAL s, BEAM_CPLX a)
{
    sum->re += s * a.re;
    sum->im += s * a.im;
}
/* a^H b of n entries */
BEAM_HD BEAM_CPLX BG(dot)(int n, const BEAM_CPLX *a, const BEAM_CPLX *b)
{
    BEAM_CPLX sum = {0, 0};
    for (int i = 0; i < n; i++) {
        BG(add_conj_mul)(&sum, a[i], b[i]);
    }
    return sum;
}
BEAM_HD BEAM_REAL BG(row_norm2)(int n, const BEAM_CPLX *a)
{
    BEAM_REAL sum = 0;
    for (int i = 0; i < n; i++) {
        sum += BG(norm2)(a[i]);
    }
    return sum;
}

/* What the layers of the equivariant network know of a problem, and where their quantities lie. */
#ifndef BEAM_GPU_NET_CUH
#define BEAM_GPU_NET_CUH

#include "layer.cuh"
#include "plan.cuh"

#define BEAM_GPU_TINY 1e-12f

/* What all lanes know of a problem while its layers run. */
typedef struct beam_gpu_net {
    const beam_gpu_problem *p;
    const beam_gpu_sizes *s;
    const int *first, *own, *row, *station;
    const float *layer; /* weights of this one */
    float unit_rate;    /* 1/(WSR_ideal/2 ln 2), 0 without */
    float w1, w2;       /* of the preference, sum 1 */
    int any;            /* a target counts */
    float f1, loss, balance, k1, k2;
} beam_gpu_net;

/* Roots of the layers, to two units in the last place on the device: the exact ones are ten
 * instructions and a branch. */
BEAM_HD float beam_gpu_root(float x)
{
#ifdef __CUDA_ARCH__
    float root;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(root) : "f"(x));
    return root;
#else
    return sqrtf(x);
#endif
}
BEAM_HD float beam_gpu_over_root(float x)
{
#ifdef __CUDA_ARCH__
    return rsqrtf(x);
#else
    return 1 / sqrtf(x);
#endif
}

#define BEAM_NET_WORK(net, type, name) BEAM_WORK((net)->p, type, name)

BEAM_HD int beam_gpu_station_of_row(const beam_gpu_net *net, int row)
{
    return net->station[row];
}
BEAM_HD float beam_gpu_eps2(const beam_gpu_net *net, int l, int u)
{
    const float eps = (float)BEAM_NET_WORK(net, double, radius)[l * net->s->U + u];
    return eps * eps;
}
BEAM_HD float *beam_gpu_user(const beam_gpu_net *net, int which)
{
    return BEAM_NET_WORK(net, float, user) + which * net->s->U;
}
BEAM_HD float *beam_gpu_station(const beam_gpu_net *net, int which)
{
    return BEAM_NET_WORK(net, float, station) + which * net->s->L;
}
BEAM_HD const beam_c32 *beam_gpu_vector(const beam_gpu_net *net, int l, int q)
{
    return BEAM_NET_WORK(net, beam_c32, vectors) + (l * net->s->Q + q) * net->s->D;
}
BEAM_HD beam_c32 *beam_gpu_direction(const beam_gpu_net *net, int which)
{
    return BEAM_NET_WORK(net, beam_c32, direction) + which * net->s->rows * net->s->D;
}
BEAM_HD float beam_gpu_beta(const beam_gpu_net *net, int u)
{
    return net->unit_rate * (float)BEAM_CLUSTER(net->p, double, weight)[u];
}

BEAM_HD beam_gpu_net beam_gpu_net_of(const beam_gpu_problem *p)
{
    const beam_gpu_request_head *head = beam_gpu_head(p);
    const int *geometry = BEAM_CLUSTER(p, int, geometry);
    const double least = 1e-3, w1 = 1 / (head->u1 > least ? head->u1 : least),
                 w2 = 1 / (head->u2 > least ? head->u2 : least);
    beam_gpu_net net;
    net.p = p;
    net.s = &p->plan->s;
    net.first = BEAM_CLUSTER(p, int, first);
    net.own = BEAM_CLUSTER(p, int, own);
    net.row = BEAM_CLUSTER(p, int, row);
    net.station = BEAM_CLUSTER(p, int, station);
    net.layer = p->weights;
    net.unit_rate = 0;
    if (head->wsr_ideal_bps_hz > 0) {
        net.unit_rate = (float)(1 / (0.5 * head->wsr_ideal_bps_hz * 0.69314718055994530942));
    }
    net.w1 = (float)(w1 / (w1 + w2));
    net.w2 = (float)(w2 / (w1 + w2));
    net.any = 0;
    for (int j = 0; j < net.s->J; j++) {
        net.any |= geometry[j] && head->crlb_min_m2 > 0;
    }
    net.f1 = net.loss = net.balance = net.k1 = net.k2 = 0;
    return net;
}

#endif

#include "mlp_plan.h"

#include <math.h>
#include <string.h>

#include "network/mlp.h"
#include "network/model.h"

static int pad(int count)
{
    return (count + BEAM_GPU_MLP_PAD - 1) / BEAM_GPU_MLP_PAD * BEAM_GPU_MLP_PAD;
}

static void place_column(beam_gpu_mlp_plan *plan, const beam_net_arch *arch)
{
    const beam_net_mlp_inputs at = beam_net_mlp_input_layout(arch);
    plan->rows = at.rows;
    plan->errors = at.errors;
    plan->states = at.states;
    plan->channel = at.channel;
    plan->norm = at.norm;
    plan->radius = at.radius;
    plan->steering = at.steering;
    plan->information = at.information;
    plan->counted = at.counted;
    plan->weight = at.weight;
    plan->ideal = at.ideal;
    plan->preference = at.preference;
    plan->count = at.count;
    plan->row_scale = NET(mlp_row_scale)(arch);
    plan->error_scale = NET(mlp_error_scale)(arch);
}

static void place_weights(beam_gpu_mlp_plan *plan)
{
    plan->inputs = pad(plan->count);
    plan->hidden = pad(plan->width);
    plan->outputs = pad(plan->states);
    plan->eta = 0;
    plan->w1 = BEAM_GPU_MLP_PAD;
    plan->b1 = plan->w1 + plan->hidden * plan->inputs;
    plan->w2 = plan->b1 + plan->hidden;
    plan->b2 = plan->w2 + plan->hidden * plan->hidden;
    plan->w3 = plan->b2 + plan->hidden;
    plan->b3 = plan->w3 + plan->outputs * plan->hidden;
    plan->layer = plan->b3 + plan->outputs;
}

beam_code beam_gpu_mlp_plan_make(beam_gpu_mlp_plan *plan, const beam_model_info *info,
                                 beam_error *err)
{
    const beam_net_arch arch = beam_model_arch(info);
    if (info->kind != BEAM_MODEL_MLP) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, "kind", "the model is not an mlp");
    }
    const size_t parameters = beam_net_parameters(&arch); /* within limits: nothing overflows */
    if (parameters == 0) {
        return beam_fail(err, BEAM_E_LIMIT, "sizes", "no mlp has these sizes");
    }
    if (info->parameters != parameters) {
        return beam_fail(err, BEAM_E_INVALID, "parameters", "%zu; these sizes have %zu",
                         info->parameters, parameters);
    }
    *plan = (beam_gpu_mlp_plan){.L = arch.stations,
                                .N = arch.antennas,
                                .U = arch.users,
                                .J = arch.targets,
                                .r = arch.sensing_rows,
                                .layers = arch.layers,
                                .width = arch.width};
    place_column(plan, &arch);
    place_weights(plan);
    return BEAM_OK;
}

beam_code beam_gpu_mlp_plan_check(const beam_gpu_mlp_plan *plan, const beam_gpu_sizes *s,
                                  beam_error *err)
{
    if (s->L != plan->L || s->N != plan->N || s->U != plan->U || s->J != plan->J ||
        s->r != plan->r) {
        return beam_fail(err, BEAM_E_LIMIT, "dims",
                         "the mlp is for %d stations, %d antennas, %d users, %d targets and %d "
                         "sensing rows, not for %d, %d, %d, %d and %d",
                         plan->L, plan->N, plan->U, plan->J, plan->r, s->L, s->N, s->U, s->J, s->r);
    }
    if (s->K_max != plan->U / plan->L) {
        return beam_fail(err, BEAM_E_LIMIT, "users_per_station",
                         "the mlp is for %d users at every station, not for up to %d",
                         plan->U / plan->L, s->K_max);
    }
    return BEAM_OK;
}

/* [rows][columns] into [.][stride], the rest zero already. */
static void put_matrix(int rows, int columns, int stride, const float *from, float *to)
{
    for (int i = 0; i < rows; i++) {
        memcpy(to + (size_t)i * (size_t)stride, from + (size_t)i * (size_t)columns,
               (size_t)columns * sizeof *to);
    }
}

void beam_gpu_mlp_pack(const beam_gpu_mlp_plan *plan, const float *theta, float *to)
{
    const beam_net_arch arch = {.kind = BEAM_NET_MLP,
                                .layers = plan->layers,
                                .width = plan->width,
                                .stations = plan->L,
                                .antennas = plan->N,
                                .users = plan->U,
                                .targets = plan->J,
                                .sensing_rows = plan->r};
    const beam_net_mlp_layout from = beam_net_mlp_layer_layout(&arch);
    const int W = plan->width;
    for (int y = 0; y < plan->layers; y++, theta += from.count, to += plan->layer) {
        memset(to, 0, (size_t)plan->layer * sizeof *to);
        to[plan->eta] = expf(fminf(fmaxf(theta[from.eta], -80), 80)); /* clamped as the engine's */
        put_matrix(W, plan->count, plan->inputs, theta + from.w1, to + plan->w1);
        put_matrix(1, W, plan->hidden, theta + from.b1, to + plan->b1);
        put_matrix(W, W, plan->hidden, theta + from.w2, to + plan->w2);
        put_matrix(1, W, plan->hidden, theta + from.b2, to + plan->b2);
        put_matrix(plan->states, W, plan->hidden, theta + from.w3, to + plan->w3);
        put_matrix(1, plan->states, plan->outputs, theta + from.b3, to + plan->b3);
    }
}

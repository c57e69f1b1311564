/* The paper's network for a size: nobody ships one, so its weights are random, which is all that
 * agreement and times need. */
#include <stdio.h>
#include <stdlib.h>

#include "check/check.h"
#include "network/block.h"
#include "network/model.h"
#include "solver/solver_internal.h"

static int sensing_rows(const check_size *size)
{
    test_random random = test_random_new(1);
    beam_error err = {0};
    beam_scene *scene = test_random_scene(&random, &size->dims, 0.1);
    beam_solver *solver = test_solver_new(&size->dims);
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    const int rows = solver->problem.r;
    test_solver_free(solver);
    test_scene_free(scene);
    return rows;
}

/* As training starts, and a little further: every layer takes a step that shows. */
static float *weights_of(const beam_model_info *info)
{
    const beam_net_arch arch = beam_model_arch(info);
    test_random random = test_random_new(2);
    float *theta = test_memory(info->parameters * sizeof *theta);
    NET(block_initialise)(&arch, 3, theta);
    for (size_t i = 0; i < info->parameters; i++) {
        theta[i] += (float)(0.02 * test_random_normal(&random));
    }
    return theta;
}

const beam_model *check_mlp_model(const check_size *size)
{
    beam_error err = {0};
    beam_model *model = NULL;
    beam_model_info info = {.kind = BEAM_MODEL_MLP,
                            .layers = size->mlp_layers,
                            .width = size->mlp_width,
                            .stations = size->dims.stations,
                            .antennas = size->dims.antennas,
                            .users = size->dims.users,
                            .targets = size->dims.targets,
                            .sensing_rows = sensing_rows(size),
                            .name = "random weights",
                            .creator = "beam_gpu_check"};
    const beam_net_arch arch = beam_model_arch(&info);
    info.parameters = beam_net_parameters(&arch);
    const size_t bytes = beam_model_write_size(&info), need = beam_model_memsize(&info);
    float *theta = weights_of(&info);
    void *file = test_memory(bytes);
    test_must(beam_model_write(&info, theta, file, bytes, &err), &err, "mlp");
    test_must(beam_model_load(&model, file, bytes, test_memory(need), need, &err), &err, "mlp");
    free(theta);
    free(file);
    return model;
}

bool check_mlp_available(const check_size *size, const check_options *options,
                         const beam_model *model)
{
    const beam_gpu_options one = {.clusters_max = 1, .slots = 1};
    beam_gpu_error err = {0};
    beam_gpu *gpu = NULL;
    const bool available = !beam_gpu_create(&gpu, options->device, &one, &err) &&
                           !beam_gpu_load_mlp(gpu, beam_model_info_of(model), model->theta, &err) &&
                           !beam_gpu_prepare(gpu, &size->dims, size->users_per_station, 1, &err);
    beam_gpu_destroy(gpu);
    if (!available && err.code != BEAM_GPU_E_INVALID) {
        check_give_up(size->name, &err);
    }
    if (!available) {
        printf("{\"stage\":\"not measured\",\"size\":\"%s\",\"why\":\"%s\"}\n", size->name,
               err.text);
    }
    return available;
}

/* A GPU's worker in the core's simulated world: slots with memory, and answers made of the beams
 * that it was given to start from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "system/core_world_gpu.h"

static bool covered(const world *w, const beam_dims *dims)
{
    for (unsigned r = 0; r < w->gpu.sizes.rooms; r++) {
        const beam_dims *room = &w->gpu.sizes.room[r];
        if (room->stations == dims->stations && room->antennas == dims->antennas &&
            room->users >= dims->users && room->targets >= dims->targets) {
            return true;
        }
    }
    return false;
}

static unsigned gpu_free(void *arg, const beam_dims *dims)
{
    const world *w = arg;
    unsigned room = 0;
    for (unsigned k = 0; k < w->gpu.slots; k++) {
        room += !w->gpu.claimed[k];
    }
    return room > 0 && covered(w, dims);
}

static bool gpu_claim(void *arg, const beam_dims *dims, beamd_gpu_slot *claim)
{
    world *w = arg;
    unsigned k = 0;
    if (gpu_free(w, dims) == 0) {
        return false;
    }
    while (w->gpu.claimed[k]) {
        k++;
    }
    w->gpu.claimed[k] = true;
    w->gpu.claims++;
    *claim = (beamd_gpu_slot){.slot = k,
                              .request = w->gpu.request[k],
                              .answer = w->gpu.answer[k],
                              .request_bytes = w->gpu.slot_bytes,
                              .answer_bytes = w->gpu.slot_bytes};
    return true;
}

static bool gpu_submit(void *arg, beamd_batch *batch, uint64_t lost_at_ns)
{
    world *w = arg;
    const unsigned slot = batch->gpu->claim.slot;
    assert_true(w->gpu.claimed[slot]);
    assert_true(batch->gpu->bytes > 0 && batch->gpu->bytes <= w->gpu.slot_bytes);
    assert_true(lost_at_ns > w->now_ns && lost_at_ns < batch->deadline_ns);
    if (w->gpu.gone) {
        w->gpu.gone = false;
        w->gpu.claimed[slot] = false;
        return false;
    }
    batch->gpu->ticket = ++w->gpu.ticket;
    w->gpu.lost_at_ns = lost_at_ns;
    w->gpu.flying[w->gpu.flights++] = batch;
    w->gpu.submits++;
    return true;
}

static void gpu_release(void *arg, const beamd_gpu_slot *claim, bool distrust)
{
    world *w = arg;
    assert_true(w->gpu.claimed[claim->slot]);
    for (unsigned k = 0; k < w->gpu.flights; k++) {
        assert_int_not_equal(w->gpu.flying[k]->gpu->claim.slot, claim->slot);
    }
    w->gpu.claimed[claim->slot] = false;
    w->gpu.releases++;
    w->gpu.distrusted += distrust;
}

static void gpu_sizes(void *arg, const beamd_gpu_sizes *sizes)
{
    world *w = arg;
    w->gpu.sizes = *sizes;
    w->gpu.sizes.model = NULL;
    w->gpu.told++;
}

world *world_new_gpu(unsigned threads, unsigned slots)
{
    const beamd_actions actions = {.gpu_free = gpu_free,
                                   .gpu_claim = gpu_claim,
                                   .gpu_submit = gpu_submit,
                                   .gpu_release = gpu_release,
                                   .gpu_sizes = gpu_sizes,
                                   .gpu_slots = slots};
    world *w = world_make(threads, &actions);
    beam_error err;
    w->config.batch_max = BEAMD_BATCH_PROBLEMS;
    w->gpu_threads = 1;
    w->gpu.slots = slots;
    w->gpu.slot_bytes = (size_t)1 << 20;
    for (unsigned k = 0; k < WORLD_SLOTS; k++) {
        w->gpu.request[k] = aligned_alloc(BEAMG_ALIGN, w->gpu.slot_bytes);
        w->gpu.answer[k] = aligned_alloc(BEAMG_ALIGN, w->gpu.slot_bytes);
        assert_true(w->gpu.request[k] && w->gpu.answer[k]);
        memset(w->gpu.answer[k], 0, w->gpu.slot_bytes);
    }
    beamd_model *model = beamd_model_read("", &err);
    assert_non_null(model);
    beamd_core_set_model(w->core, model);
    return w;
}

void finish_gpu(world *w)
{
    assert_true(w->gpu_jobs > 0);
    beamd_job *job = w->gpu_job[0];
    memmove(w->gpu_job, w->gpu_job + 1, --w->gpu_jobs * sizeof w->gpu_job[0]);
    job->run(job);
    give_back(w, job);
}

void end_batch(world *w, beamd_batch *batch, beamd_gpu_fate fate, beamd_gpu_loss loss)
{
    unsigned at = 0;
    while (at < w->gpu.flights && w->gpu.flying[at] != batch) {
        at++;
    }
    assert_true(at < w->gpu.flights);
    memmove(w->gpu.flying + at, w->gpu.flying + at + 1,
            (--w->gpu.flights - at) * sizeof w->gpu.flying[0]);
    if (fate == BEAMD_GPU_LOST) { /* and the slot with it */
        w->gpu.claimed[batch->gpu->claim.slot] = false;
    }
    const beamd_event event = {
        .kind = BEAMD_EVENT_GPU, .job = &batch->job, .fate = fate, .loss = loss};
    w->wake_ns = beamd_core_step(w->core, w->now_ns, &event);
}

void answer_batch(world *w, beamd_batch *batch)
{
    const beamd_gpu_flight *f = batch->gpu;
    const beam_result result = {.status = BEAM_STATUS_CONVERGED,
                                .method = BEAM_METHOD_NETWORK,
                                .warm = true,
                                .merit = 0.5,
                                .f1 = 0.5,
                                .f2 = 0.5,
                                .wsr_worst_case_bps_hz = 1,
                                .crlb_valid = true,
                                .crlb_m2 = 1,
                                .classical_merit = 1};
    beamg_request request;
    beamg_answer_out out;
    beam_error err;
    test_must(beamg_request_open(&request, f->claim.request, f->bytes, f->claim.answer_bytes, &err),
              &err, "request");
    beamg_answer_begin(&out, &request, w->gpu.answer[f->claim.slot]);
    for (uint32_t k = 0; k < request.head.problems; k++) {
        beam_design warm;
        assert_true(beamg_request_warm(&request, k, &warm));
        beamg_answer_put(&out, k, BEAM_OK, &warm, &result, 0.5);
    }
    beamg_answer_end(&out, f->ticket, 1, 10, 20);
    end_batch(w, batch, BEAMD_GPU_ANSWERED, BEAMD_GPU_LOSS_DEADLINE);
}

/* --- What tests do with it --- */

uint64_t ms(uint64_t n)
{
    return n * 1000000u;
}

beamd_cluster *cluster_of(world *w, const char *id)
{
    beamd_cluster *c = beamd_core_find(w->core, id);
    assert_non_null(c);
    return c;
}

beamd_backend_health *gpu_health(world *w)
{
    return &w->core->backend[BEAMD__BACKEND__BACKEND_GPU];
}

/* Measured times that do not hang on this machine; a GPU's is not known before its first answer. */
void set_times(beamd_cluster *c, double gpu_ns)
{
    c->service[BEAMD_EFFORT_FULL] = (beamd_service_time){.mean_ns = 2e6};
    c->service[BEAMD_EFFORT_NETWORK] = (beamd_service_time){.mean_ns = 1e6};
    c->service[BEAMD_EFFORT_CHECK] = (beamd_service_time){.mean_ns = 2e5};
    c->service[BEAMD_EFFORT_GPU] = (beamd_service_time){.mean_ns = gpu_ns};
}

/* CSI 1 is the CPU's: it finds the best rate of every subband, and the beams to start from. */
void warm_cluster(world *w, const char *id, const beam_scene *scene, unsigned bands)
{
    deliver_wide_registration(w, id, scene, bands);
    deliver_targets(w, id, scene, 1);
    deliver_wide_csi(w, 'a', id, scene, 1, 0, 0, bands);
    assert_int_equal(w->gpu_jobs, 0);
    while (w->jobs > 0) {
        finish_one(w);
    }
    if (w->refresh) {
        finish_at(w, &w->refresh);
    }
    set_times(cluster_of(w, id), 1e6);
    w->count = 0;
}

world *warm_world(unsigned slots, const beam_scene *scene)
{
    world *w = world_new_gpu(1, slots);
    warm_cluster(w, "c", scene, 1);
    return w;
}

/* Packed and with the worker: the batch. */
beamd_batch *fly(world *w)
{
    const unsigned before = w->gpu.flights;
    finish_gpu(w);
    assert_int_equal(w->gpu.flights, before + 1);
    return w->gpu.flying[before];
}

void lose(world *w, beamd_batch *batch, beamd_gpu_loss loss)
{
    end_batch(w, batch, BEAMD_GPU_LOST, loss);
}

/* The answer to CSI `sequence` to this peer went out, and is in time. */
const sent *answered(const world *w, char peer, uint64_t sequence)
{
    for (unsigned k = w->count; k-- > 0;) {
        const sent *s = &w->log[k];
        if (!s->published && s->peer == peer && s->sequence == sequence) {
            assert_int_equal(s->type, BEAM_WIRE_SOLUTION);
            assert_int_equal(s->csi_sequence, sequence);
            assert_false(s->late);
            return s;
        }
    }
    fail_msg("CSI %u has no answer", (unsigned)sequence);
    return NULL;
}

void no_slot_is_held(const world *w)
{
    for (unsigned k = 0; k < WORLD_SLOTS; k++) {
        assert_false(w->gpu.claimed[k]);
    }
    assert_int_equal(w->gpu.flights, 0);
}

void end(world *w, beam_scene *scene)
{
    world_free(w);
    test_scene_free(scene);
}

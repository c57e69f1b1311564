#include "gpu_batch.h"

#include <math.h>
#include <string.h>

static beamd_answer *answer_of(const beamd_task *task, int slot, int preference)
{
    return task->answer[slot * BEAM_WIRE_MAX_PREFERENCES + preference];
}

/* The worker has no part in finding the ideal values: the CPU makes them first. */
static bool may_ask(const beamd_task *task, int slot)
{
    return task->excluded == BEAMD_FALLBACK_NONE && !task->one_solver && !task->need_sensing_end &&
           !task->need_rate_end[slot];
}

static void count(const beamd_batch *batch, uint32_t *frames, uint32_t *scenes, uint32_t *problems)
{
    *frames = *scenes = *problems = 0;
    for (unsigned t = 0; t < batch->tasks; t++) {
        const beamd_task *task = batch->task[t];
        uint32_t of_task = 0;
        for (int i = 0; i < task->subbands; i++) {
            of_task += may_ask(task, i);
        }
        *frames += of_task > 0;
        *scenes += of_task;
        *problems += of_task * (uint32_t)task->preferences;
    }
}

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + BEAMG_ALIGN - 1) / BEAMG_ALIGN * BEAMG_ALIGN;
}

void beamd_gpu_batch_bytes(const beam_dims *dims, int sensing_max, unsigned problems,
                           size_t *request, size_t *answer)
{
    const uint64_t warm = beam_design_memsize(dims, sensing_max) + 2 * BEAMG_ALIGN;
    const uint64_t scene = beam_scene_memsize(dims) + 16 * BEAMG_ALIGN;
    const uint64_t each = scene + warm + beam_solver_sensing_bytes(dims) + sizeof(beamg_frame) +
                          sizeof(beamg_scene) + sizeof(beamg_problem);
    const uint64_t design = beam_design_memsize(dims, beam_design_sensing_max(dims));
    *request = (size_t)rounded(sizeof(beamg_request_head) + 4 * BEAMG_ALIGN + problems * each);
    *answer = (size_t)rounded(sizeof(beamg_answer_head) + 4 * BEAMG_ALIGN +
                              problems * (design + sizeof(beamg_result) + BEAMG_ALIGN));
}

unsigned beamd_gpu_batch_most(const beam_dims *dims, int sensing_max, size_t request, size_t answer)
{
    unsigned low = 0, high = BEAMD_BATCH_PROBLEMS;
    while (low < high) { /* `low` fit */
        const unsigned middle = low + (high - low + 1) / 2;
        size_t in, out;
        beamd_gpu_batch_bytes(dims, sensing_max, middle, &in, &out);
        if (in <= request && out <= answer) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static beam_code pack_slot(beamg_writer *writer, beamd_gpu_places *places, const beamd_batch *batch,
                           unsigned t, int slot, beam_error *err)
{
    const beamd_task *task = batch->task[t];
    const beamd_slot *s = &task->slot[slot];
    beam_code code =
        beamg_write_scene(writer, writer->frames - 1, &s->view.scene, &task->ideal[slot], err);
    for (int p = 0; code == BEAM_OK && p < task->preferences; p++) {
        const unsigned at = places->problems++;
        places->asked[at].task = (unsigned char)t;
        places->asked[at].slot = (unsigned char)slot;
        places->asked[at].preference = (unsigned char)p;
        code = beamg_write_problem(writer, writer->scenes - 1, answer_of(task, slot, p)->tradeoff,
                                   s->warm_given[p] ? &s->warm[p].design : NULL, 0, task->refine,
                                   &places->place[at], err);
    }
    return code;
}

/* The frame of a task is that of its first slot: its snapshot is of one moment. */
static beam_code pack_task(beamg_writer *writer, beamd_gpu_places *places, const beamd_batch *batch,
                           unsigned t, beam_error *err)
{
    const beamd_task *task = batch->task[t];
    beam_code code = BEAM_OK;
    bool framed = false;
    for (int i = 0; code == BEAM_OK && i < task->subbands; i++) {
        if (!may_ask(task, i)) {
            continue;
        }
        if (!framed) {
            code = beamg_write_frame(writer, &task->slot[i].view.scene, 0, task->sensing_rows,
                                     task->sensing_rows_moved, err);
            framed = true;
        }
        if (code == BEAM_OK) {
            code = pack_slot(writer, places, batch, t, i, err);
        }
    }
    return code;
}

beam_code beamd_gpu_batch_pack(const beamd_batch *batch, beamd_gpu_places *places, void *request,
                               size_t request_bytes, size_t answer_bytes, uint64_t *bytes,
                               beam_error *err)
{
    uint32_t frames, scenes, problems;
    count(batch, &frames, &scenes, &problems);
    *bytes = 0;
    places->problems = 0;
    if (problems == 0) {
        return BEAM_OK;
    }
    if (problems > BEAMD_BATCH_PROBLEMS) {
        return beam_fail(err, BEAM_E_LIMIT, "problems", "%u of a batch, at most %d", problems,
                         (int)BEAMD_BATCH_PROBLEMS);
    }
    beamg_writer writer;
    beam_code code = beamg_write_begin(&writer, request, request_bytes, answer_bytes, frames,
                                       scenes, problems, err);
    for (unsigned t = 0; code == BEAM_OK && t < batch->tasks; t++) {
        code = pack_task(&writer, places, batch, t, err);
    }
    *bytes = code == BEAM_OK ? beamg_write_end(&writer, batch->deadline_ns) : 0;
    return code;
}

static void leave(beamd_answer *answer)
{
    answer->code = BEAM_OK;
    answer->backend = BEAMD__BACKEND__BACKEND_NONE;
    answer->fallback = BEAMD_FALLBACK_NUMERIC;
}

static beam_code take(beamd_answer *answer, const beamd_task *task, const void *memory,
                      unsigned problem, const beamg_place *place)
{
    double network_merit;
    const beam_code code = beamg_answer_take(memory, problem, place, &answer->out.design,
                                             &answer->result, &network_merit, &answer->error);
    if (code != BEAM_OK || !isfinite(network_merit)) {
        leave(answer);
        return code;
    }
    answer->code = BEAM_OK;
    answer->backend = BEAMD__BACKEND__BACKEND_GPU;
    answer->service = task->reduced || answer->result.status == BEAM_STATUS_TIME_LIMIT
                          ? BEAMD__SERVICE__SERVICE_REDUCED
                          : BEAMD__SERVICE__SERVICE_FULL;
    return BEAM_OK;
}

unsigned beamd_gpu_batch_unpack(beamd_batch *batch, const beamd_gpu_places *places,
                                const void *answer, uint64_t ticket, beam_code *code)
{
    beamg_answer_head head;
    unsigned taken = 0;
    *code = beamg_answer_open(&head, answer, ticket, places->problems, NULL);
    for (unsigned k = 0; *code == BEAM_OK && k < places->problems; k++) {
        const beamd_task *task = batch->task[places->asked[k].task];
        const int slot = places->asked[k].slot;
        if (task->slot[slot].code != BEAM_OK) {
            continue; /* the scene itself was refused here */
        }
        beamd_answer *to = answer_of(task, slot, places->asked[k].preference);
        const beam_code one = take(to, task, answer, k, &places->place[k]);
        taken += to->backend == BEAMD__BACKEND__BACKEND_GPU;
        *code = one == BEAM_E_INVALID ? one : BEAM_OK;
    }
    for (unsigned k = 0; *code != BEAM_OK && k < places->problems; k++) {
        const beamd_task *task = batch->task[places->asked[k].task];
        if (task->slot[places->asked[k].slot].code == BEAM_OK) {
            leave(answer_of(task, places->asked[k].slot, places->asked[k].preference));
        }
    }
    return *code == BEAM_OK ? taken : 0;
}

#include "batch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/layer.cuh"
#include "plan_refine.h"

enum { ALIGNMENT = 16, EVERYTHING = (1 << BEAM_GPU_CANDIDATES) - 1 };
_Static_assert((int)BEAM_GPU_PLAIN == (int)BEAM_GPU_PERCEPTRON_PLAIN &&
                   (int)BEAM_GPU_HALVES == (int)BEAM_GPU_PERCEPTRON_HALF &&
                   (int)BEAM_GPU_SPLIT == (int)BEAM_GPU_PERCEPTRON_SPLIT,
               "as the device reads it");
_Static_assert((int)BEAM_GPU_SEARCH_ALL == (int)BEAM_GPU_SEARCH_CLASSICAL,
               "as the device reads it");

beam_gpu_code beam_gpu_fail(beam_gpu_error *err, beam_gpu_code code, const char *format, ...)
{
    if (err) {
        va_list args;
        err->code = code;
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

static size_t pad(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* --- Sizes -------------------------------------------------------------------------------------
 */

/* Plans there can be. */
static size_t plans(const beam_gpu_batches *b)
{
    return (size_t)(b->most.users + 1) * (size_t)b->most.targets *
           (size_t)(b->users_per_station + 1);
}

static beam_gpu_plan_note *plan_note(const beam_gpu_batches *b, const beam_gpu_cluster_note *c)
{
    const size_t targets = (size_t)b->most.targets, each = (size_t)(b->users_per_station + 1);
    return b->plan + ((size_t)c->users * targets + (size_t)(c->targets - 1)) * each +
           (size_t)c->users_per_station;
}

static beam_gpu_code make_plan(const beam_gpu_batches *b, const beam_gpu_cluster_note *c,
                               beam_gpu_plan *plan, beam_gpu_error *err)
{
    beam_error inner = {0};
    beam_dims dims = b->most;
    dims.users = c->users;
    dims.targets = c->targets;
    if (beam_gpu_plan_make(plan, &dims, c->users_per_station, b->layers, b->width, b->fast_bytes,
                           &inner)) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "%s: %s", inner.field, inner.text);
    }
    plan->s.perceptron = b->perceptron;
    return BEAM_GPU_OK;
}

/* What problems with so many users and targets need of a team, whatever their stations. */
static beam_gpu_code size_kind(beam_gpu_batches *b, beam_gpu_cluster_note *c, int *fast,
                               beam_gpu_error *err)
{
    const int most = c->users < b->users_per_station ? c->users : b->users_per_station;
    beam_gpu_plan plan;
    beam_gpu_code code = BEAM_GPU_OK;
    for (int each = most > 0; !code && each <= most; each++) {
        c->users_per_station = each;
        code = make_plan(b, c, &plan, err);
        const size_t slow = code ? 0 : pad((size_t)plan.work.slow_bytes);
        *fast = !code && plan.work.fast_bytes > *fast ? plan.work.fast_bytes : *fast;
        b->slow = b->slow || slow > 0;
        b->slow_bytes = slow > b->slow_bytes ? slow : b->slow_bytes;
    }
    if (!code) { /* the solver's steps have other arrays and less fast memory */
        const size_t steps = pad(beam_gpu_refine_slow_bytes(&plan));
        b->slow_bytes = steps > b->slow_bytes ? steps : b->slow_bytes;
    }
    return code;
}

/* What every size needs of a team. Not the largest one most of it: smaller ones may have a basis
 * that it has not, and arrays that share memory fit together otherwise. So all are tried. */
static beam_gpu_code size_memory(beam_gpu_batches *b, int fast_limit, beam_gpu_error *err)
{
    beam_gpu_cluster_note c = {.users = b->most.users,
                               .targets = b->most.targets,
                               .users_per_station = b->users_per_station};
    int fast = 0;
    b->fast_bytes = fast_limit;
    beam_gpu_code code = make_plan(b, &c, &b->largest, err);
    for (c.users = 0; !code && c.users <= b->most.users; c.users++) {
        for (c.targets = 1; !code && c.targets <= b->most.targets; c.targets++) {
            code = size_kind(b, &c, &fast, err);
        }
    }
    b->fast_bytes = b->slow ? fast_limit : fast;
    b->cluster_bytes = pad((size_t)b->largest.cluster.bytes);
    return code;
}

beam_gpu_code beam_gpu_batches_init(beam_gpu_batches *b, const beam_dims *most,
                                    int users_per_station, int layers, int width, int clusters_max,
                                    int max_batch, int fast_limit, beam_gpu_error *err)
{
    beam_error inner = {0};
    memset(b, 0, sizeof *b);
    if (beam_dims_check(most, &inner)) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "%s: %s", inner.field, inner.text);
    }
    b->most = *most;
    b->users_per_station =
        users_per_station > 0 && users_per_station < most->users ? users_per_station : most->users;
    b->layers = layers;
    b->width = width;
    b->clusters_max = clusters_max;
    b->max_batch = max_batch;
    const beam_gpu_code code = size_memory(b, fast_limit, err);
    if (code) {
        return code;
    }
    b->scratch_bytes = beam_gpu_pack_scratch(most);
    b->scratch = aligned_alloc(64, b->scratch_bytes);
    b->cluster = calloc((size_t)clusters_max, sizeof *b->cluster);
    b->plan = calloc(plans(b), sizeof *b->plan);
    if (!b->scratch || !b->cluster || !b->plan) {
        return beam_gpu_fail(err, BEAM_GPU_E_MEMORY, "no host memory");
    }
    return BEAM_GPU_OK;
}

void beam_gpu_batches_free(beam_gpu_batches *b)
{
    free(b->scratch);
    free(b->cluster);
    free(b->plan);
    memset(b, 0, sizeof *b);
}

size_t beam_gpu_batches_in_bytes(const beam_gpu_batches *b, int count)
{
    const size_t most = (size_t)count, kinds = plans(b) < most ? plans(b) : most;
    return sizeof(beam_gpu_batch_head) + kinds * pad(sizeof(beam_gpu_plan)) +
           most * (sizeof(beam_gpu_batch_entry) + pad((size_t)b->largest.request.bytes));
}

size_t beam_gpu_batches_out_bytes(const beam_gpu_batches *b, int count)
{
    return (size_t)count * pad((size_t)b->largest.answer.bytes);
}

/* --- Clusters ----------------------------------------------------------------------------------
 */

static int most_at_a_station(const beam_scene *scene)
{
    int at[BEAM_MAX_STATIONS] = {0}, most = 0;
    for (int u = 0; u < scene->dims.users; u++) {
        const int l = scene->user_station[u];
        if (l >= 0 && l < scene->dims.stations) { /* others are found when the scene is read */
            at[l]++;
            most = at[l] > most ? at[l] : most;
        }
    }
    return most;
}

beam_gpu_code beam_gpu_batches_pack_cluster(beam_gpu_batches *b, int index, const beam_scene *scene,
                                            const beam_design *sensing, void *to, size_t *bytes,
                                            beam_gpu_cluster_note *note, beam_gpu_error *err)
{
    const beam_dims *d = &scene->dims;
    beam_error inner = {0};
    beam_gpu_plan plan;
    if (index < 0 || index >= b->clusters_max) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "cluster %d of %d", index, b->clusters_max);
    }
    if (b->cluster[index].busy > 0) {
        return beam_gpu_fail(err, BEAM_GPU_E_BUSY, "cluster %d: a batch in flight uses it", index);
    }
    if (d->stations != b->most.stations || d->antennas != b->most.antennas || d->users < 0 ||
        d->users > b->most.users || d->targets < 1 || d->targets > b->most.targets) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT,
                             "%d stations of %d antennas, %d users, %d targets; prepared for %d of "
                             "%d, up to %d and %d",
                             d->stations, d->antennas, d->users, d->targets, b->most.stations,
                             b->most.antennas, b->most.users, b->most.targets);
    }
    *note = (beam_gpu_cluster_note){.known = true,
                                    .users = d->users,
                                    .targets = d->targets,
                                    .users_per_station = most_at_a_station(scene)};
    if (note->users_per_station > b->users_per_station) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "%d users at one station; prepared for %d",
                             note->users_per_station, b->users_per_station);
    }
    const beam_gpu_code code = make_plan(b, note, &plan, err);
    if (code) {
        return code;
    }
    if (beam_gpu_pack_cluster_in(&plan, scene, sensing, b->scratch, b->scratch_bytes, to, &inner)) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "%s: %s", inner.field, inner.text);
    }
    *bytes = (size_t)plan.cluster.bytes;
    return BEAM_GPU_OK;
}

void beam_gpu_batches_know(beam_gpu_batches *b, int index, const beam_gpu_cluster_note *note)
{
    b->cluster[index] = *note;
}

/* --- Batches -----------------------------------------------------------------------------------
 */

static bool has_sizes(const beam_gpu_batches *b, const beam_gpu_cluster_note *c, const beam_dims *d)
{
    return d->stations == b->most.stations && d->antennas == b->most.antennas &&
           d->users == c->users;
}

static beam_gpu_code check(const beam_gpu_batches *b, const beam_gpu_request *r, int i,
                           beam_gpu_error *err)
{
    if (r->cluster < 0 || r->cluster >= b->clusters_max || !b->cluster[r->cluster].known) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "requests[%d].cluster: %d was not set", i,
                             r->cluster);
    }
    const beam_gpu_cluster_note *c = &b->cluster[r->cluster];
    if (!has_sizes(b, c, &r->scene->dims) || r->scene->dims.targets != c->targets) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID,
                             "requests[%d].scene: sizes of another cluster", i);
    }
    if (r->warm && !has_sizes(b, c, &r->warm->dims)) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "requests[%d].warm: sizes of another cluster",
                             i);
    }
    if (!(r->tradeoff >= 0 && r->tradeoff <= 1)) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "requests[%d].tradeoff: outside [0, 1]", i);
    }
    if (r->layers < 0 || r->layers > b->layers) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "requests[%d].layers: %d of %d", i, r->layers,
                             b->layers);
    }
    if (r->candidates < 0 || r->candidates > (EVERYTHING | BEAM_GPU_SEARCH_ALL)) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "requests[%d].candidates: %d", i,
                             r->candidates);
    }
    if (r->refine < 0 || r->refine > BEAM_GPU_REFINE_MAX) {
        return beam_gpu_fail(err, BEAM_GPU_E_INVALID, "requests[%d].refine: %d iterations of %d", i,
                             r->refine, (int)BEAM_GPU_REFINE_MAX);
    }
    return BEAM_GPU_OK;
}

beam_gpu_code beam_gpu_batches_check(const beam_gpu_batches *b, int count,
                                     const beam_gpu_request *requests, beam_gpu_error *err)
{
    if (count < 1 || count > b->max_batch) {
        return beam_gpu_fail(err, BEAM_GPU_E_LIMIT, "%d requests; prepared for 1..%d", count,
                             b->max_batch);
    }
    for (int i = 0; i < count; i++) {
        const beam_gpu_code code = check(b, &requests[i], i, err);
        if (code) {
            return code;
        }
    }
    return BEAM_GPU_OK;
}

/* The plan of a cluster's problems in the batch being packed; made there at its first. */
static size_t place_plan(beam_gpu_batches *b, const beam_gpu_cluster_note *c, unsigned char *in,
                         size_t *used)
{
    beam_gpu_plan_note *note = plan_note(b, c);
    if (note->batch != b->batch) {
        note->batch = b->batch;
        note->at = *used;
        /* such a plan was made when the cluster was set */
        (void)make_plan(b, c, (beam_gpu_plan *)(void *)(in + note->at), NULL);
        *used += pad(sizeof(beam_gpu_plan));
    }
    return note->at;
}

static void pack_request(const beam_gpu_batches *b, const beam_gpu_plan *plan,
                         const beam_gpu_request *r, unsigned char *to)
{
    const int Y = b->layers, half = (Y + 1) / 2;
    const int layers = r->layers > 0 ? r->layers : r->warm ? half : Y;
    const int from = r->warm ? Y - layers : 0;
    const int all = r->candidates & EVERYTHING ? 0 : EVERYTHING;
    beam_gpu_pack_request(plan, r->cluster, r->scene, &r->ideal, r->tradeoff, r->warm, from,
                          from + layers, r->candidates | all, to);
    ((beam_gpu_request_head *)(void *)to)->refine = r->refine;
}

beam_gpu_batch_size beam_gpu_batches_pack(beam_gpu_batches *b, int count, int model,
                                          const beam_gpu_request *requests, unsigned char *in)
{
    beam_gpu_batch_head *head = (beam_gpu_batch_head *)(void *)in;
    beam_gpu_batch_entry *entry = (beam_gpu_batch_entry *)(void *)(head + 1);
    beam_gpu_batch_size size = {.count = count};
    b->batch++;
    size.in_bytes = sizeof *head + (size_t)count * sizeof *entry;
    for (int i = 0; i < count; i++) {
        const beam_gpu_request *r = &requests[i];
        beam_gpu_cluster_note *c = &b->cluster[r->cluster];
        const size_t at = place_plan(b, c, in, &size.in_bytes);
        const beam_gpu_plan *plan = (const beam_gpu_plan *)(const void *)(in + at);
        entry[i] = (beam_gpu_batch_entry){
            .plan = at, .request = size.in_bytes, .answer = size.out_bytes, .cluster = r->cluster};
        pack_request(b, plan, r, in + size.in_bytes);
        size.in_bytes += pad((size_t)plan->request.bytes);
        size.out_bytes += pad((size_t)plan->answer.bytes);
        const int fast = plan->work.slow_bytes > 0 ? b->fast_bytes : plan->work.fast_bytes;
        size.fast_bytes = fast > size.fast_bytes ? fast : size.fast_bytes;
        size.refine = r->refine > size.refine ? r->refine : size.refine;
        c->busy++;
    }
    *head = (beam_gpu_batch_head){.count = count, .model = model, .refine = size.refine};
    return size;
}

static void unpack(const beam_gpu_plan *plan, const unsigned char *from, beam_gpu_answer *to)
{
    beam_gpu_answer_head head;
    memcpy(&head, from, sizeof head);
    to->choice = (beam_gpu_choice)head.chosen;
    to->wsr_worst_case_bps_hz = head.wsr_bps_hz;
    to->shortfall_bps_hz = head.shortfall_bps_hz;
    to->crlb_m2 = head.crlb_m2;
    to->merit = head.merit;
    to->network_merit = head.candidate_merit[BEAM_GPU_NETWORK];
    to->warm_merit = head.candidate_merit[BEAM_GPU_WARM];
    to->classical_merit = head.candidate_merit[BEAM_GPU_CLASSICAL];
    to->classical_share = head.share;
    to->search_merit = head.search_merit;
    to->classical_is_bound = head.classical_is_bound;
    to->classical_evaluations = head.classical_evaluations;
    to->refined = head.refined;
    to->evaluations = head.evaluations;
    if (to->out && head.chosen >= 0) {
        beam_gpu_unpack_design(plan, from, to->out);
    }
}

void beam_gpu_batches_unpack(const unsigned char *in, const unsigned char *out,
                             beam_gpu_answer *answers)
{
    const beam_gpu_batch_head *head = (const beam_gpu_batch_head *)(const void *)in;
    const beam_gpu_batch_entry *entry = (const beam_gpu_batch_entry *)(const void *)(head + 1);
    for (int i = 0; i < head->count; i++) {
        const void *plan = in + entry[i].plan;
        unpack((const beam_gpu_plan *)plan, out + entry[i].answer, &answers[i]);
    }
}

void beam_gpu_batches_end(beam_gpu_batches *b, const unsigned char *in)
{
    const beam_gpu_batch_head *head = (const beam_gpu_batch_head *)(const void *)in;
    const beam_gpu_batch_entry *entry = (const beam_gpu_batch_entry *)(const void *)(head + 1);
    for (int i = 0; i < head->count; i++) {
        b->cluster[entry[i].cluster].busy--;
    }
}

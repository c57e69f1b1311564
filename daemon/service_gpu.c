/* The GPUs' workers: which there are, what wakes the loop for them, and how the core reaches them.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "service.h"

_Static_assert((int)BEAMD_GPUS_MAX == (int)BEAMD_GPU_GAUGES_MAX, "a GPU without a gauge");
#define MS UINT64_C(1000000)

/* --- Which --- */

/* Devices as the driver shows them; it numbers them from 0. */
static unsigned devices_here(void)
{
    glob_t found;
    unsigned count = 0;
    if (glob("/dev/nvidia[0-9]*", 0, NULL, &found) == 0) {
        count = (unsigned)found.gl_pathc;
        globfree(&found);
    }
    return count < BEAMD_GPUS_MAX ? count : BEAMD_GPUS_MAX;
}

static void choose_devices(beamd_service *self)
{
    beamd_gpus *gpus = &self->gpus;
    const char *text = self->config.gpu_devices;
    static beamd_cpu_list list; /* numbers as those of cores are written; large */
    const char *why;
    if (strcmp(text, "none") == 0) {
        return;
    }
    if (!text[0] || strcmp(text, "auto") == 0) {
        gpus->count = devices_here();
        for (unsigned k = 0; k < gpus->count; k++) {
            gpus->of[k].device = k;
        }
        if (gpus->count > 0) {
            BEAMD_LOG(BEAMD_LOG_NOTICE, "event=gpu devices=%u", gpus->count);
        } else {
            BEAMD_LOG(BEAMD_LOG_NOTICE,
                      "event=gpu devices=0 why=\"no NVIDIA device here\" answers_by=cpu");
        }
    } else if (beamd_cpus_parse(text, &list, &why)) {
        for (unsigned k = 0; k < list.count && k < BEAMD_GPUS_MAX; k++) {
            gpus->of[gpus->count++].device = (unsigned)list.cpu[k];
        }
    }
}

/* Words of gpu_arguments, then what the settings say. */
static bool fill_arguments(beamd_service *self, char *why, size_t size)
{
    beamd_gpus *gpus = &self->gpus;
    const beamd_config *config = &self->config;
    unsigned n = 0;
    snprintf(gpus->program, sizeof gpus->program, "%s",
             config->gpu_program[0] ? config->gpu_program : BEAMD_GPU_PROGRAM);
    snprintf(gpus->words, sizeof gpus->words, "%s", config->gpu_arguments);
    char *rest = NULL;
    for (char *word = strtok_r(gpus->words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (n + 4 >= BEAMD_GPU_ARGUMENTS_MAX) {
            snprintf(why, size, "gpu_arguments: more than %d words", BEAMD_GPU_ARGUMENTS_MAX - 5);
            return false;
        }
        gpus->argument[n++] = word;
    }
    if (config->gpu_cpus[0]) {
        gpus->argument[n++] = "--cpus";
        gpus->argument[n++] = config->gpu_cpus;
    }
    if (config->gpu_spin_us > 0) {
        snprintf(gpus->spin, sizeof gpus->spin, "%lld", config->gpu_spin_us);
        gpus->argument[n++] = "--spin-us";
        gpus->argument[n++] = gpus->spin;
    }
    gpus->argument[n] = NULL;
    return true;
}

/* --- Turns --- */

static void say(void *arg, bool warning, const char *text)
{
    const beamd_gpu *gpu = arg;
    if (warning) {
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=gpu device=%u why=\"%s\"", gpu->device, text);
    } else {
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=gpu device=%u state=\"%s\"", gpu->device, text);
    }
}

static void arm(beamd_gpus *gpus, uint64_t at_ns)
{
    gpus->next_ns = at_ns;
    if (gpus->timer) {
        (void)beamd_watch_arm(gpus->timer, at_ns);
    }
}

static void reap(beamd_service *self, beamd_gpu *gpu)
{
    beamd_gpu_outcome outcome;
    while (beamd_gpu_reap(gpu->link, &outcome)) {
        beamd_batch *batch = outcome.arg;
        if (outcome.fate == BEAMD_GPU_LOST) {
            BEAMD_LOG(BEAMD_LOG_WARNING, "event=gpu_batch_lost device=%u why=%s problems=%u",
                      gpu->device, beamd_gpu_loss_text(outcome.loss), batch->problems);
        }
        const beamd_event event = {.kind = BEAMD_EVENT_GPU,
                                   .job = &batch->job,
                                   .fate = outcome.fate,
                                   .loss = outcome.loss};
        beamd_service_step(self, &event);
    }
}

/* One that has just become ready, or has a slot free again, is asked for in the same turn. */
static void turn(beamd_service *self)
{
    beamd_gpus *gpus = &self->gpus;
    const uint64_t now_ns = beamd_clock_ns();
    uint64_t next_ns = UINT64_MAX;
    bool changed = false;
    if (!gpus->wanted || !self->core) {
        return;
    }
    for (unsigned k = 0; k < gpus->count; k++) {
        beamd_gpu *gpu = &gpus->of[k];
        const uint64_t at_ns = beamd_gpu_link_step(gpu->link, now_ns);
        const beamd_gpu_state state = beamd_gpu_link_state(gpu->link);
        next_ns = at_ns < next_ns ? at_ns : next_ns;
        const bool news = beamd_gpu_link_current(gpu->link) && gpu->told != gpus->told;
        if (news) {
            gpu->sizes = gpus->sizes;
            gpu->told = gpus->told;
        }
        changed = changed || news || state != gpu->seen;
        gpu->seen = state;
    }
    arm(gpus, next_ns); /* before the core: what it submits may want it earlier */
    for (unsigned k = 0; k < gpus->count; k++) {
        reap(self, &gpus->of[k]);
    }
    if (changed) {
        const beamd_event time = {.kind = BEAMD_EVENT_TIME};
        beamd_service_step(self, &time);
    }
}

static void on_answer(void *arg, int events)
{
    (void)events;
    turn(arg);
}

static void on_time(void *arg)
{
    turn(arg);
}

/* --- Start and end --- */

static beamd_gpu_options options_of(const beamd_service *self, beamd_gpu *gpu)
{
    const beamd_config *config = &self->config;
    beamd_gpu_options options = beamd_gpu_options_default();
    options.program = self->gpus.program;
    options.arguments = self->gpus.argument;
    options.slots = (unsigned)config->gpu_slots;
    options.request_bytes = options.answer_bytes = (size_t)config->gpu_slot_mib << 20;
    options.hang_ns = (uint64_t)config->gpu_hang_ms * MS;
    options.start_limit_ns = (uint64_t)config->gpu_start_ms * MS;
    options.backoff_ns = (uint64_t)config->gpu_retry_ms * MS;
    options.backoff_max_ns = (uint64_t)config->gpu_retry_max_ms * MS;
    options.failures_max = (unsigned)config->gpu_failures_max;
    options.absent_retry_ns = (uint64_t)config->gpu_absent_s * 1000 * MS;
    options.say = say;
    options.say_arg = gpu;
    return options;
}

bool beamd_gpus_start(beamd_service *self, char *why, size_t size)
{
    beamd_gpus *gpus = &self->gpus;
    choose_devices(self);
    if (gpus->count == 0) {
        return true;
    }
    if (!fill_arguments(self, why, size)) {
        return false;
    }
    gpus->timer = beamd_watch_deadline(self->loop, on_time, self);
    for (unsigned k = 0; k < gpus->count; k++) {
        beamd_gpu *gpu = &gpus->of[k];
        const beamd_gpu_options options = options_of(self, gpu);
        const beamg_setup setup = {.device = (int32_t)gpu->device};
        gpu->link = beamd_gpu_link_create(&options, &setup, why, size);
        if (!gpu->link) {
            return false;
        }
        gpu->io =
            beamd_watch_io(self->loop, beamd_gpu_link_fd(gpu->link), BEAMD_READ, on_answer, self);
        if (!gpu->io || !gpus->timer) {
            snprintf(why, size, "out of memory");
            return false;
        }
    }
    return true;
}

void beamd_gpus_stop(beamd_service *self)
{
    beamd_gpus *gpus = &self->gpus;
    beamd_watch_destroy(&gpus->timer);
    for (unsigned k = 0; k < gpus->count; k++) {
        beamd_watch_destroy(&gpus->of[k].io);
        beamd_gpu_link_destroy(&gpus->of[k].link);
    }
    gpus->count = 0;
}

/* Devices that were looked for and not found are tried again, workers given up started again. */
void beamd_gpus_reset(beamd_service *self)
{
    const uint64_t now_ns = beamd_clock_ns();
    for (unsigned k = 0; k < self->gpus.count; k++) {
        beamd_gpu_link_reset(self->gpus.of[k].link, now_ns);
    }
    arm(&self->gpus, now_ns);
}

/* --- For the core --- */

static bool covers(const beamd_gpu_sizes *sizes, const beam_dims *dims)
{
    for (unsigned r = 0; r < sizes->rooms; r++) {
        const beam_dims *room = &sizes->room[r];
        if (room->stations == dims->stations && room->antennas == dims->antennas &&
            room->users >= dims->users && room->targets >= dims->targets) {
            return true;
        }
    }
    return false;
}

/* Slots that a batch of these sizes could have. A setup that is on its way changes nothing yet. */
static unsigned room_on(const beamd_gpu *gpu, const beam_dims *dims)
{
    return covers(&gpu->sizes, dims) ? beamd_gpu_link_room(gpu->link) : 0;
}

static unsigned gpu_free(void *arg, const beam_dims *dims)
{
    const beamd_service *self = arg;
    unsigned count = 0;
    for (unsigned k = 0; k < self->gpus.count; k++) {
        count += room_on(&self->gpus.of[k], dims) > 0;
    }
    return count;
}

/* Of the device that has most room, which is the one with least to do; of several, in turn. */
static bool gpu_claim(void *arg, const beam_dims *dims, beamd_gpu_slot *claim)
{
    beamd_service *self = arg;
    beamd_gpu *best = NULL;
    unsigned most = 0;
    for (unsigned k = 0; k < self->gpus.count; k++) {
        beamd_gpu *gpu = &self->gpus.of[(self->gpus.turn + k) % self->gpus.count];
        const unsigned room = room_on(gpu, dims);
        if (room > most) {
            most = room;
            best = gpu;
        }
    }
    const int slot = best ? beamd_gpu_claim(best->link) : -1;
    if (slot < 0) {
        return false;
    }
    self->gpus.turn = (unsigned)(best - self->gpus.of) + 1;
    *claim = (beamd_gpu_slot){.device = (unsigned)(best - self->gpus.of),
                              .slot = (unsigned)slot,
                              .request = beamd_gpu_request_memory(best->link, (unsigned)slot),
                              .answer = beamd_gpu_answer_memory(best->link, (unsigned)slot),
                              .request_bytes = beamd_gpu_request_bytes(best->link),
                              .answer_bytes = beamd_gpu_answer_bytes(best->link)};
    return true;
}

static bool gpu_submit(void *arg, beamd_batch *batch, uint64_t lost_at_ns)
{
    beamd_service *self = arg;
    beamd_gpu_flight *flight = batch->gpu;
    beamd_gpu *gpu = &self->gpus.of[flight->claim.device];
    const uint64_t now_ns = beamd_clock_ns();
    flight->ticket =
        beamd_gpu_submit(gpu->link, flight->claim.slot, flight->bytes, lost_at_ns, now_ns, batch);
    const uint64_t hang_ns = now_ns + (uint64_t)self->config.gpu_hang_ms * MS;
    const uint64_t at_ns = lost_at_ns < hang_ns ? lost_at_ns : hang_ns;
    if (flight->ticket != 0 && at_ns < self->gpus.next_ns) {
        arm(&self->gpus, at_ns);
    }
    return flight->ticket != 0;
}

static void gpu_release(void *arg, const beamd_gpu_slot *claim, bool distrust)
{
    beamd_service *self = arg;
    beamd_gpu *gpu = &self->gpus.of[claim->device];
    beamd_gpu_release(gpu->link, claim->slot);
    if (distrust) {
        const uint64_t now_ns = beamd_clock_ns();
        beamd_gpu_distrust(gpu->link, now_ns);
        arm(&self->gpus, now_ns);
    }
}

static void gpu_sizes(void *arg, const beamd_gpu_sizes *sizes)
{
    beamd_service *self = arg;
    beamd_gpus *gpus = &self->gpus;
    const uint64_t now_ns = beamd_clock_ns();
    beamg_setup setup = {.rooms = sizes->rooms};
    if (!sizes->model) {
        return; /* as long as there is none nothing is asked of a GPU */
    }
    gpus->sizes = *sizes;
    gpus->sizes.model = NULL;
    gpus->told++;
    for (unsigned r = 0; r < sizes->rooms; r++) {
        const beam_dims *d = &sizes->room[r];
        setup.room[r] = (beamg_room){.dims = {d->stations, d->antennas, d->users, d->targets},
                                     .problems = (uint32_t)self->config.gpu_batch_max,
                                     .sensing_max = (uint32_t)beam_design_sensing_max(d)};
    }
    snprintf(setup.model_file, sizeof setup.model_file, "%s", sizes->model->file);
    snprintf(setup.model_checksum, sizeof setup.model_checksum, "%s", sizes->model->info->checksum);
    for (unsigned k = 0; k < gpus->count; k++) {
        setup.device = (int32_t)gpus->of[k].device;
        beamd_gpu_link_configure(gpus->of[k].link, &setup, now_ns);
    }
    gpus->wanted = true;
    arm(gpus, now_ns);
}

void beamd_gpus_act(beamd_service *self, beamd_actions *actions)
{
    if (self->gpus.count > 0) {
        actions->gpu_free = gpu_free;
        actions->gpu_claim = gpu_claim;
        actions->gpu_submit = gpu_submit;
        actions->gpu_release = gpu_release;
        actions->gpu_sizes = gpu_sizes;
        actions->gpu_slots = self->gpus.count * (unsigned)self->config.gpu_slots;
    }
}

void beamd_gpus_gauges(const beamd_service *self, uint64_t now_ns, beamd_gauges *gauges)
{
    gauges->gpus = self->gpus.count;
    for (unsigned k = 0; k < self->gpus.count; k++) {
        beamd_gpu_status status;
        beamd_gpu_link_status(self->gpus.of[k].link, &status);
        const bool due = status.retry_at_ns != UINT64_MAX && status.retry_at_ns > now_ns;
        gauges->gpu[k] =
            (beamd_gpu_gauge){.device = self->gpus.of[k].device,
                              .in_flight = status.in_flight,
                              .start_s = 1e-9 * (double)status.start_ns,
                              .respawn_s = 1e-9 * (double)status.respawn_ns,
                              .retry_s = due ? 1e-9 * (double)(status.retry_at_ns - now_ns) : 0,
                              .state = status.state,
                              .counts = status.counts};
    }
}

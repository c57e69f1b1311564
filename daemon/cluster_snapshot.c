/* What solver threads get of a cluster, and what they bring back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

static double norm_of(const beam_complex *h, int antennas)
{
    double sum = 0;
    for (int n = 0; n < antennas; n++) {
        sum += h[n].re * h[n].re + h[n].im * h[n].im;
    }
    return sqrt(sum);
}

static uint64_t age_of(const beamd_band *band, uint64_t now_ns)
{
    return now_ns > band->measured_ns ? now_ns - band->measured_ns : 0;
}

/* radius^2 + (growth |h| age)^2 in place of radius^2. */
static double age_radii(beam_scene *scene, double growth)
{
    const size_t links = (size_t)scene->dims.stations * (size_t)scene->dims.users;
    double largest = 1;
    for (size_t k = 0; growth > 0 && k < links; k++) {
        const beam_complex *h = scene->channel + k * (size_t)scene->dims.antennas;
        const double before = scene->error_radius[k];
        const double after = hypot(before, growth * norm_of(h, scene->dims.antennas));
        scene->error_radius[k] = after;
        if (before > 0 && after / before > largest) {
            largest = after / before;
        }
    }
    return largest;
}

double beamd_view_copy_band(const beamd_cluster *cluster, beamd_view *to, int band, uint64_t now_ns)
{
    const beamd_view *live = &cluster->live;
    const beamd_band *from = &cluster->band[band];
    const beam_dims *dims = &live->scene.dims;
    const size_t links = (size_t)dims->stations * (size_t)dims->users;
    (void)beamd_view_lay(to, dims, NULL); /* sizes fit by construction */
    beamd_view_copy_frame(to, live);
    memcpy(to->scene.channel, from->channel, links * (size_t)dims->antennas * sizeof(beam_complex));
    memcpy(to->scene.error_radius, from->error_radius, links * sizeof(double));
    const double age_s = (double)age_of(from, now_ns) * 1e-9;
    return age_radii(&to->scene, cluster->error_growth_per_s * age_s);
}

/* The last beams by user. A user without one would start at zero, where its rate has no slope: then
 * the start is cold. */
static bool map_last(const beamd_answer *last, const beamd_view *view, int sensing_max,
                     beamd_held_design *warm)
{
    const beam_design *from = &last->out.design;
    const int users = view->scene.dims.users;
    const size_t row = (size_t)view->scene.dims.antennas;
    beamd_design_lay(warm, &view->scene.dims, sensing_max);
    for (int u = 0; u < users; u++) {
        /* users mostly keep their order */
        int found = u < last->users && last->user_id[u] == view->user_id[u] ? u : -1;
        for (int v = 0; v < last->users && found < 0; v++) {
            found = last->user_id[v] == view->user_id[u] ? v : -1;
        }
        if (found < 0) {
            return false;
        }
        memcpy(warm->design.beams + (size_t)u * row, from->beams + (size_t)found * row,
               row * sizeof(beam_complex));
    }
    const size_t stations = (size_t)view->scene.dims.stations;
    memcpy(warm->design.sensing_count, from->sensing_count, stations * sizeof(int));
    memcpy(warm->design.sensing, from->sensing,
           stations * (size_t)sensing_max * row * sizeof(beam_complex));
    return true;
}

/* The last answer of this preference; of one that is new, or renamed, that of its place. */
static const beamd_answer *last_of(const beamd_cluster *self, int band, const beamd_answer *answer,
                                   int place)
{
    beamd_answer *const *row = &self->last[beamd_problem_index(band, 0)];
    for (int p = 0; p < self->preferences_room; p++) {
        if (row[p]->present && strcmp(row[p]->preference_name, answer->preference_name) == 0) {
            return row[p];
        }
    }
    for (int p = 0; p < self->preferences_room; p++) {
        const beamd_answer *any = row[(place + p) % self->preferences_room];
        if (any->present) {
            return any;
        }
    }
    return NULL;
}

static void fill_scene(beamd_answer *answer, const beamd_view *view)
{
    const beam_scene *scene = &view->scene;
    const size_t users = (size_t)scene->dims.users;
    answer->stations = scene->dims.stations;
    answer->antennas = scene->dims.antennas;
    answer->users = scene->dims.users;
    answer->targets = scene->dims.targets;
    memcpy(answer->user_id, view->user_id, users * sizeof *answer->user_id);
    memcpy(answer->user_station, scene->user_station, users * sizeof *answer->user_station);
    memcpy(answer->user_min_rate_bps_hz, scene->user_min_rate_bps_hz,
           users * sizeof *answer->user_min_rate_bps_hz);
    memcpy(answer->station_power_w, scene->station_power_w,
           (size_t)scene->dims.stations * sizeof *answer->station_power_w);
}

static void fill_answer(const beamd_cluster *self, const beamd_task *task, int i,
                        const beamd_named *named, beamd_answer *answer)
{
    const beamd_band *band = &self->band[task->subband[i]];
    const beamd_view *view = &task->slot[i].view;
    answer->present = false;
    answer->service = BEAMD__SERVICE__SERVICE_FULL;
    answer->backend = BEAMD__BACKEND__BACKEND_NONE;
    answer->code = BEAM_OK;
    answer->error = (beam_error){.code = BEAM_OK};
    answer->ticket = task->ticket;
    answer->subband = task->subband[i];
    memcpy(answer->preference_name, named->name, sizeof named->name);
    answer->tradeoff = named->tradeoff;
    answer->csi_sequence = band->csi_sequence;
    answer->target_sequence = self->target_sequence;
    answer->target_time_ns = self->target_time_ns;
    answer->users_generation = self->users_generation;
    answer->band_generation = band->generation;
    answer->target_generation = self->target_generation;
    answer->csi_age_ns = age_of(band, task->now_ns);
    answer->csi_measured_ns = band->measured_ns;
    answer->csi_stale = false;
    answer->ideal_stale = task->sensing_rows_moved ||
                          (!task->need_rate_end[i] && band->ideal_generation != band->generation);
    answer->fallback = BEAMD_FALLBACK_NONE;
    answer->below_classical = false;
    beamd_design_lay(&answer->out, &view->scene.dims, self->sensing_max);
    fill_scene(answer, view);
}

/* With the rows of earlier targets where computing the present ones takes long: that is done beside
 * the answers. */
static void give_rows(const beamd_cluster *self, beamd_task *task)
{
    const bool moved = self->sensing_generation != self->target_generation;
    task->need_sensing_end = moved;
    task->sensing_rows_moved = false;
    task->sensing_rows = NULL;
    if (self->has_sensing_rows && (!moved || beamd_cluster_wants_sensing(self))) {
        memcpy(task->rows, self->sensing_rows, beam_solver_sensing_bytes(&self->max));
        task->sensing_rows = task->rows;
        task->sensing_rows_moved = moved;
    }
}

void beamd_cluster_snapshot(beamd_cluster *self, beamd_task *task, uint64_t now_ns,
                            double default_tradeoff)
{
    beamd_named named[BEAM_WIRE_MAX_PREFERENCES];
    task->preferences = beamd_cluster_preferences(self, default_tradeoff, named);
    task->now_ns = now_ns;
    task->format = self->format;
    task->users_generation = self->users_generation;
    task->target_generation = self->target_generation;
    task->has_sensing_rows_out = false;
    task->sensing_ns = 0;
    give_rows(self, task);
    for (int p = 0; p < task->preferences; p++) {
        task->tradeoff[p] = named[p].tradeoff;
    }
    for (int i = 0; i < task->subbands; i++) {
        const beamd_band *band = &self->band[task->subband[i]];
        beamd_slot *slot = &task->slot[i];
        const double growth = beamd_view_copy_band(self, &slot->view, task->subband[i], now_ns);
        task->band_generation[i] = band->generation;
        task->ideal[i] = (beam_ideal){band->wsr_ideal_bps_hz, self->crlb_min_m2};
        task->need_rate_end[i] =
            !band->has_ideal || band->ideal_users_generation != self->users_generation;
        task->ideal_known[i] = task->rate_end_cut[i] = false;
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *answer = task->answer[i * BEAM_WIRE_MAX_PREFERENCES + p];
            fill_answer(self, task, i, &named[p], answer);
            answer->error_growth = growth;
            const beamd_answer *last = last_of(self, task->subband[i], answer, p);
            slot->warm_given[p] =
                last && map_last(last, &slot->view, self->sensing_max, &slot->warm[p]);
        }
    }
}

void beamd_cluster_take(beamd_cluster *self, beamd_task *task, beamd_answer **into)
{
    beamd_named named[BEAM_WIRE_MAX_PREFERENCES];
    const int count = beamd_cluster_preferences(self, 0, named);
    for (int i = 0; i < task->subbands; i++) {
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer **answer = &task->answer[i * BEAM_WIRE_MAX_PREFERENCES + p];
            for (int q = 0; q < count && (*answer)->present; q++) {
                if (strcmp(named[q].name, (*answer)->preference_name) == 0) {
                    beamd_answer **place = &into[beamd_problem_index(task->subband[i], q)];
                    beamd_answer *old = *place;
                    if (!old->present || old->ticket <= (*answer)->ticket) {
                        *place = *answer;
                        *answer = old;
                    }
                    break;
                }
            }
        }
    }
}

/* The best worst-case rate of the answers of band i; below 0: none is usable. */
static double best_rate(const beamd_task *task, int i)
{
    double best = -1;
    for (int p = 0; p < task->preferences; p++) {
        const beamd_answer *answer = task->answer[i * BEAM_WIRE_MAX_PREFERENCES + p];
        if (answer->present && answer->backend != BEAMD__BACKEND__BACKEND_NONE) {
            best = fmax(best, answer->quality.wsr_worst_case_bps_hz);
        }
    }
    return best;
}

static void take_sensing(beamd_cluster *self, const double *rows, double crlb_min_m2,
                         uint64_t generation, uint64_t took_ns)
{
    memcpy(self->sensing_rows, rows, beam_solver_sensing_bytes(&self->max));
    self->has_sensing_rows = true;
    self->sensing_ns = took_ns > 0 ? took_ns : self->sensing_ns; /* 0: the solver knew them */
    self->crlb_min_m2 = crlb_min_m2;
    self->sensing_generation = generation;
}

static void take_band_ideal(beamd_cluster *self, const beamd_task *task, int i, uint64_t now_ns)
{
    beamd_band *band = &self->band[task->subband[i]];
    if (task->need_rate_end[i] && task->ideal_known[i]) {
        band->wsr_ideal_bps_hz = task->ideal_found[i].wsr_ideal_bps_hz;
        band->ideal_users_generation = task->users_generation;
        band->ideal_generation = task->band_generation[i]; /* newer CSI may have come since */
        band->ideal_at_ns = now_ns;
        band->has_ideal = true;
        if (task->rate_end_cut[i]) { /* the background makes it a good one soon */
            band->ideal_at_ns = 0;
            band->ideal_generation = 0;
        }
    }
    if (band->has_ideal && band->ideal_users_generation == task->users_generation) {
        band->wsr_ideal_bps_hz = fmax(band->wsr_ideal_bps_hz, best_rate(task, i));
    }
}

void beamd_cluster_take_ideal(beamd_cluster *self, const beamd_task *task, uint64_t now_ns)
{
    if (task->users_generation == self->users_generation) {
        for (int i = 0; i < task->subbands; i++) {
            take_band_ideal(self, task, i, now_ns);
        }
    }
    if (task->has_sensing_rows_out && task->target_generation == self->target_generation &&
        self->sensing_generation != self->target_generation) {
        for (int i = 0; i < task->subbands; i++) {
            if (task->ideal_known[i]) {
                take_sensing(self, task->rows, task->ideal_found[i].crlb_min_m2,
                             task->target_generation, task->sensing_ns);
                break;
            }
        }
    }
}

void beamd_cluster_snapshot_refresh(beamd_cluster *self, int band, bool sensing_only,
                                    uint64_t now_ns)
{
    beamd_refresh_job *job = self->refresh;
    (void)beamd_view_copy_band(self, &job->view, band, now_ns);
    job->subband = band;
    job->sensing_only = sensing_only;
    job->users_generation = self->users_generation;
    job->band_generation = self->band[band].generation;
    job->target_generation = self->target_generation;
    job->ideal = (beam_ideal){self->band[band].wsr_ideal_bps_hz, self->crlb_min_m2};
    job->has_rows = self->has_sensing_rows && self->sensing_generation == self->target_generation;
    if (job->has_rows) {
        memcpy(job->rows, self->sensing_rows, beam_solver_sensing_bytes(&self->max));
    }
}

void beamd_cluster_take_refresh(beamd_cluster *self, uint64_t now_ns)
{
    const beamd_refresh_job *job = self->refresh;
    beamd_band *band = &self->band[job->subband];
    if (job->has_rows && job->target_generation == self->target_generation &&
        self->sensing_generation != self->target_generation) {
        take_sensing(self, job->rows, job->ideal.crlb_min_m2, job->target_generation,
                     job->sensing_ns);
    }
    if (job->sensing_only) {
        return;
    }
    band->ideal_at_ns = now_ns; /* also after a failure: it is not tried again at once */
    if (job->code == BEAM_OK && isfinite(job->ideal.wsr_ideal_bps_hz) &&
        job->users_generation == self->users_generation) {
        band->wsr_ideal_bps_hz = job->ideal.wsr_ideal_bps_hz;
        band->ideal_users_generation = job->users_generation;
        band->ideal_generation = job->band_generation;
        band->has_ideal = true;
    }
}

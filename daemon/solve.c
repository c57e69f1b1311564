/* The work of a solver thread: one job, one cluster, no lock, no allocation, no log. */
#include <math.h>
#include <stdatomic.h>

#include "clock.h"
#include "cluster.h"

/* Powers stay inside the budget by this factor before they are rounded toward zero. */
#define BUDGET_INSIDE (1 - 1e-12)
/* Rounding to float32 moves a merit by about 1e-6 at high SINR; beyond this the guard has failed.
 */
#define MERIT_SLACK 1e-4

static bool solve_expired(void *arg)
{
    const beamd_solve_job *self = arg;
    return atomic_load_explicit(self->abandon, memory_order_relaxed) ||
           beamd_clock_ns() >= self->stop_at_ns;
}

static bool refresh_expired(void *arg)
{
    const beamd_refresh_job *self = arg;
    return atomic_load_explicit(self->abandon, memory_order_relaxed) ||
           beamd_clock_ns() >= self->stop_at_ns;
}

static void set_options(beam_solver *solver, int iterations, double tolerance,
                        bool (*expired)(void *arg), void *arg)
{
    beam_solver_options options = beam_solver_options_default();
    if (iterations > 0) {
        options.max_iterations = iterations;
    }
    if (tolerance > 0) {
        options.tolerance = tolerance;
    }
    options.expired = expired;
    options.expired_arg = arg;
    beam_solver_set_options(solver, &options);
}

static beam_code lay_evaluator(beamd_solve_job *self)
{
    if (self->evaluator_users == self->view.scene.dims.users) {
        return BEAM_OK;
    }
    self->evaluator_users = -1;
    const beam_code code =
        beam_evaluator_init(&self->evaluator, &self->view.scene.dims, self->out.design.sensing_max,
                            self->evaluator_memory, self->evaluator_size, &self->error);
    if (code == BEAM_OK) {
        self->evaluator_users = self->view.scene.dims.users;
    }
    return code;
}

/* The best rate may take half of the time at most: an answer with a rough zero point is worth more
 * than none. The background job makes a cut one good soon. */
static beam_code find_rate_end(beamd_solve_job *self)
{
    const uint64_t stop_at_ns = self->stop_at_ns, now_ns = beamd_clock_ns();
    if (stop_at_ns > now_ns) {
        self->stop_at_ns = now_ns + (stop_at_ns - now_ns) / 2;
    }
    const beam_code code = beam_solver_compute_rate_end(self->solver, &self->error);
    self->rate_end_cut = solve_expired(self);
    self->stop_at_ns = stop_at_ns;
    return code;
}

/* What the network is not made for is known before it is asked. */
static beamd_fallback network_excluded(const beamd_solve_job *self)
{
    const beam_scene *scene = &self->view.scene;
    if (!self->model) {
        return BEAMD_FALLBACK_NO_MODEL;
    }
    if (scene->sensing != BEAM_SENSING_RESOLVED) {
        return BEAMD_FALLBACK_SENSING;
    }
    for (int u = 0; u < scene->dims.users; u++) {
        if (scene->user_min_rate_bps_hz[u] > 0) {
            return BEAMD_FALLBACK_MIN_RATES;
        }
    }
    return self->inference ? BEAMD_FALLBACK_NONE : BEAMD_FALLBACK_MEMORY;
}

static bool by_network(const beamd_solve_job *self)
{
    return self->use_network && self->fallback == BEAMD_FALLBACK_NONE;
}

static void network_failed(beamd_solve_job *self, beam_code code)
{
    self->fallback = code == BEAM_E_UNSUPPORTED ? BEAMD_FALLBACK_SIZE
                     : code == BEAM_E_LIMIT     ? BEAMD_FALLBACK_MEMORY
                                                : BEAMD_FALLBACK_NUMERIC;
    self->error = (beam_error){0};
}

/* The network's best rate takes the time of four answers, the solver's that of several; the
 * background job makes it a better one soon. */
static beam_code estimate_rate_end(beamd_solve_job *self)
{
    const beam_code code = beam_inference_compute_ideal(
        self->inference, self->model->model, self->solver, &self->out.design, &self->error);
    if (code == BEAM_OK) {
        self->rate_end_cut = true;
        return BEAM_OK;
    }
    network_failed(self, code);
    return find_rate_end(self);
}

static beam_code prepare_ideal(beamd_solve_job *self)
{
    beam_code code = BEAM_OK;
    self->rate_end_cut = false;
    if (!self->need_sensing_end || !self->need_rate_end) { /* something is known */
        code = beam_solver_set_ideal(self->solver, &self->ideal, &self->error);
    }
    if (code == BEAM_OK && self->need_sensing_end) {
        code = beam_solver_compute_sensing_end(self->solver, &self->error);
    }
    if (code == BEAM_OK && self->need_rate_end) {
        code = by_network(self) ? estimate_rate_end(self) : find_rate_end(self);
    }
    return code;
}

/* Encodes rows toward zero and reads them back, as the receiver will. False: a value is not finite.
 */
static bool round_rows(Beamd__ElementType element, beam_complex *rows, size_t count,
                       unsigned char *out, size_t *bytes)
{
    if (count == 0) {
        return true;
    }
    const size_t wrote =
        beam_wire_complex_encode(element, BEAM_WIRE_ROUND_TOWARD_ZERO, &rows[0].re, count, out,
                                 count * beam_wire_element_bytes(element));
    uint32_t shape = (uint32_t)count;
    Beamd__ComplexArray array = BEAMD__COMPLEX_ARRAY__INIT;
    array.element = element;
    array.order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    array.n_shape = 1;
    array.shape = &shape;
    array.data = (ProtobufCBinaryData){wrote, out};
    *bytes += wrote;
    return beam_wire_array_decode(&array, "beams", &shape, 1, &rows[0].re, NULL) == 0;
}

/* The bytes that leave, and `out` made equal to them, so that the numbers are those of what is
 * sent. */
static bool encode_design(beamd_solve_job *self)
{
    beam_design *d = &self->out.design;
    const size_t antennas = (size_t)d->dims.antennas;
    int columns = 0;
    for (int l = 0; l < d->dims.stations; l++) {
        columns = d->sensing_count[l] > columns ? d->sensing_count[l] : columns;
    }
    self->sensing_columns = columns;
    self->beam_size = 0;
    self->sensing_size = 0;
    bool finite = round_rows(self->element, d->beams, (size_t)d->dims.users * antennas,
                             self->beam_bytes, &self->beam_size);
    const size_t per_station = (size_t)columns * antennas;
    for (int l = 0; l < d->dims.stations; l++) {
        beam_complex *rows = d->sensing + (size_t)l * (size_t)d->sensing_max * antennas;
        for (size_t k = (size_t)d->sensing_count[l] * antennas; k < per_station; k++) {
            rows[k] = (beam_complex){0, 0};
        }
        finite &= round_rows(self->element, rows, per_station,
                             self->sensing_bytes + self->sensing_size, &self->sensing_size);
    }
    return finite;
}

static beam_code evaluate(beamd_solve_job *self)
{
    const beam_scene *scene = &self->view.scene;
    beam_design_fit_budget(&self->out.design, scene->user_station, scene->station_power_w,
                           BUDGET_INSIDE);
    if (!encode_design(self)) {
        return beam_fail(&self->error, BEAM_E_NUMERIC, NULL, "a beam is not finite");
    }
    const beam_code code =
        beam_evaluator_run(self->evaluator, &self->out.design, &self->quality, &self->error);
    if (code != BEAM_OK) {
        return code;
    }
    const beam_quality *q = &self->quality;
    const double f1 = beam_loss_rate(&self->ideal, q->wsr_worst_case_bps_hz);
    const double f2 = beam_loss_sensing(&self->ideal, q->crlb_valid, q->crlb_m2);
    self->merit = beam_merit(&self->ideal, beam_preference_from_tradeoff(self->tradeoff), f1, f2);
    if (!isfinite(q->wsr_worst_case_bps_hz) || !isfinite(q->crlb_m2) || isnan(self->merit)) {
        return beam_fail(&self->error, BEAM_E_NUMERIC, NULL,
                         "the beams have no finite rate or bound");
    }
    return BEAM_OK;
}

/* "No answer is worse than the classical one" is the solver's promise; here it is held even if that
 * fails. With minimum rates a larger merit is right when the classical design falls shorter of
 * them. */
static beam_code hold_promise(beamd_solve_job *self)
{
    const double classical = self->result.classical_merit;
    if (!(self->merit > classical + MERIT_SLACK * (1 + fabs(classical)))) {
        return BEAM_OK;
    }
    const double merit = self->merit, shortfall = self->quality.shortfall_bps_hz;
    beam_result result;
    beam_code code = beam_design_copy(&self->warm.design, &self->out.design, &self->error);
    if (code == BEAM_OK) {
        code = beam_solver_classical(self->solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                     self->tradeoff, &self->out.design, &result, &self->error);
    }
    if (code == BEAM_OK) {
        code = evaluate(self);
    }
    if (code != BEAM_OK) {
        return code;
    }
    self->below_classical =
        self->quality.shortfall_bps_hz <= shortfall * (1 + 1e-9) && self->merit < merit;
    if (self->below_classical) {
        self->result.method = BEAM_METHOD_CLASSICAL;
        return BEAM_OK;
    }
    code = beam_design_copy(&self->out.design, &self->warm.design, &self->error);
    return code == BEAM_OK ? evaluate(self) : code;
}

/* The network and the engine's check. False: it has no answer that is finite, and the solver is to
 * find one. */
static bool solve_by_network(beamd_solve_job *self)
{
    beam_inference_detail detail;
    const beam_network_request request = {.solver = self->solver,
                                          .tradeoff = self->tradeoff,
                                          .warm = self->warm_given ? &self->warm.design : NULL,
                                          .refine = self->refine,
                                          .out = &self->out.design,
                                          .result = &self->result,
                                          .detail = &detail};
    const beam_code code =
        beam_inference_run(self->inference, self->model->model, 1, &request, &self->error);
    if (code != BEAM_OK || !isfinite(detail.network_merit)) {
        network_failed(self, code);
        return false;
    }
    /* refined or not, it is the network's; result.iterations tells the difference */
    if (detail.chosen == BEAM_METHOD_NETWORK && self->result.method == BEAM_METHOD_BOBLRBF) {
        self->result.method = BEAM_METHOD_NETWORK;
    }
    return true;
}

static beam_code solve_design(beamd_solve_job *self)
{
    if (by_network(self) && solve_by_network(self)) {
        return BEAM_OK;
    }
    return beam_solver_solve(self->solver, self->tradeoff,
                             self->warm_given ? &self->warm.design : NULL, &self->out.design,
                             &self->result, &self->error);
}

static beam_code solve(beamd_solve_job *self)
{
    set_options(self->solver, self->iterations, self->tolerance, solve_expired, self);
    beam_code code = beam_solver_load(self->solver, &self->view.scene, &self->error);
    if (code == BEAM_OK) {
        code = lay_evaluator(self);
    }
    if (code == BEAM_OK) {
        code = beam_evaluator_load(self->evaluator, &self->view.scene, &self->error);
    }
    if (code == BEAM_OK) {
        code = prepare_ideal(self);
    }
    if (code != BEAM_OK) {
        return code;
    }
    self->ideal = beam_solver_ideal(self->solver);
    code = solve_design(self);
    if (code == BEAM_OK) {
        code = evaluate(self);
    }
    return code == BEAM_OK ? hold_promise(self) : code;
}

void beamd_solve_run(beamd_job *job)
{
    beamd_solve_job *self = (beamd_solve_job *)job;
    self->start_ns = beamd_clock_ns();
    self->error = (beam_error){0};
    self->below_classical = false;
    self->fallback = self->use_network ? network_excluded(self) : BEAMD_FALLBACK_NONE;
    self->code = solve(self);
    self->end_ns = beamd_clock_ns();
}

void beamd_refresh_run(beamd_job *job)
{
    beamd_refresh_job *self = (beamd_refresh_job *)job;
    self->start_ns = beamd_clock_ns();
    self->error = (beam_error){0};
    set_options(self->solver, self->iterations, self->tolerance, refresh_expired, self);
    self->code = beam_solver_load(self->solver, &self->view.scene, &self->error);
    if (self->code == BEAM_OK) {
        self->code = beam_solver_set_ideal(self->solver, &self->ideal, &self->error);
    }
    if (self->code == BEAM_OK) {
        self->code = beam_solver_compute_rate_end(self->solver, &self->error);
    }
    if (self->code == BEAM_OK) {
        self->ideal = beam_solver_ideal(self->solver);
    }
    self->end_ns = beamd_clock_ns();
}

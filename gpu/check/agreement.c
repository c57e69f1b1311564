/* Every way to ask the device, against the engine in float64: a table of ways, and a table of what
 * is measured with its bound. One line of JSON per size, way and measure. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/check.h"

/* --- What is asked ---------------------------------------------------------------------------- */

typedef enum warm_kind { COLD, WARM_ENGINE, WARM_RANDOM } warm_kind;

typedef struct way {
    const char *name;
    warm_kind warm;
    int candidates; /* of beam_gpu_request */
    int layers;     /* 0: the default; n: all layers over n */
    int refine;
    double tradeoff; /* < 0: spread */
} way;

enum {
    ALL = 0,
    NETWORK_ALONE = 1 << BEAM_GPU_CHOICE_NETWORK,
    WARM_ALONE = 1 << BEAM_GPU_CHOICE_WARM,
    CLASSICAL_ALONE = 1 << BEAM_GPU_CHOICE_CLASSICAL,
};

static const way ways[] = {
    {"cold", COLD, ALL, 0, 0, -1},
    {"warm", WARM_ENGINE, ALL, 0, 0, -1},
    {"few layers", COLD, NETWORK_ALONE, 4, 0, -1},
    {"classical", COLD, CLASSICAL_ALONE, 0, 0, -1},
    /* where a merit shows one number alone, to its last digit */
    {"classical, rate end", COLD, CLASSICAL_ALONE, 0, 0, 0},
    {"classical, sensing end", COLD, CLASSICAL_ALONE, 0, 0, 1},
    {"refined", COLD, ALL, 0, 10, -1},
    {"given beams", WARM_RANDOM, WARM_ALONE, 0, 0, -1},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* --- What is measured ------------------------------------------------------------------------- */

typedef enum measure {
    UNANSWERED, /* no beams, or a member that was not written */
    CERTIFICATE_RATE,
    CERTIFICATE_CRLB,
    CERTIFICATE_SHORTFALL,
    POWER,
    MERIT,       /* the device's merit from the exact numbers */
    CHOICE,      /* more than the least candidate merit */
    RATE_32,     /* float32 against the certificate, worst-case rate */
    CRLB_32,     /* likewise */
    SEARCH_32,   /* merit of the classical design found */
    CLASSICAL,   /* the classical design's merit above that of the engine's */
    NEVER_WORSE, /* the answer's merit above that of the engine's classical design */
    WARM_MERIT,  /* merit of the warm beams against the evaluator's */
    NETWORK,     /* |merit gap| to the engine's network, cases apart */
    NETWORK_GAP, /* its mean */
    REFINED,     /* merit above that of the same request without refinement */
    MEASURES
} measure;

typedef enum rule {
    MOST,
    MEAN,
    SHARE
} rule; /* of the cases: largest; mean; share beyond `apart` */

static const struct {
    const char *name;
    rule rule;
    double bound, apart;
} measures[MEASURES] = {
    [UNANSWERED] = {"unanswered or unwritten", MOST, 0, 0},
    [CERTIFICATE_RATE] = {"certificate, worst-case rate", MOST, 1e-9, 0},
    [CERTIFICATE_CRLB] = {"certificate, CRLB", MOST, 1e-8, 0},
    [CERTIFICATE_SHORTFALL] = {"certificate, missed minimum rates", MOST, 1e-9, 0},
    [POWER] = {"power above a budget", MOST, 0, 0},
    [MERIT] = {"merit", MOST, 1e-5, 0}, /* a thousand times a loss, at the ends */
    [CHOICE] = {"choice", MOST, 0, 0},
    [RATE_32] = {"float32, worst-case rate", MOST, 1e-4, 0},
    [CRLB_32] = {"float32, CRLB", MOST, 1e-4, 0},
    [SEARCH_32] = {"float32, merit", MOST, 1e-4, 0},
    [CLASSICAL] = {"classical design, above the engine's", SHARE, 0.01, 1e-3},
    [NEVER_WORSE] = {"answer, above the engine's classical design", SHARE, 0.01, 1e-3},
    [WARM_MERIT] = {"warm beams, merit", MOST, 1e-4, 0},
    [NETWORK] = {"network, apart from the engine's", SHARE, 0.05, 0.01},
    [NETWORK_GAP] = {"network, mean merit above the engine's", MEAN, 0.01, 0},
    [REFINED] = {"refined, above the start", MOST, 0, 0},
};

enum { FEW = 500 };

typedef struct tally {
    int cases;
    double most, sum, apart;
} tally;

typedef struct agreement {
    check_work *work;
    const way *way;
    int cases;
    beam_gpu_request *requests;
    beam_gpu_answer *answers;
    beam_design **warm;    /* [cases] or NULL */
    beam_design **scratch; /* [cases] */
    tally *tallies;        /* [threads][MEASURES] */
} agreement;

static void note(agreement *a, int thread, measure m, double value)
{
    tally *t = &a->tallies[thread * (int)MEASURES + (int)m];
    const double v =
        isnan(value) ? (double)INFINITY : value; /* what is no number agrees with none */
    t->cases++;
    t->most = fmax(t->most, v);
    t->sum += v;
    t->apart += v > measures[m].apart;
}

/* --- Poison ----------------------------------------------------------------------------------- */

static const double poison = -1.2345678901234567e123; /* no answer has it */

static void poison_design(beam_design *d)
{
    const int users = d->dims.users, stations = d->dims.stations, antennas = d->dims.antennas;
    for (int u = 0; u < users; u++) {
        for (int n = 0; n < antennas; n++) {
            test_beam(d, u)[n] = (beam_complex){poison, poison};
        }
    }
    for (int l = 0; l < stations; l++) {
        d->sensing_count[l] = d->sensing_max;
        for (int k = 0; k < d->sensing_max * antennas; k++) {
            test_sensing(d, l, 0)[k] = (beam_complex){poison, poison};
        }
    }
}

static void poison_answer(beam_gpu_answer *a)
{
    beam_design *out = a->out;
    *a = (beam_gpu_answer){.choice = (beam_gpu_choice)99,
                           .wsr_worst_case_bps_hz = poison,
                           .shortfall_bps_hz = poison,
                           .crlb_m2 = poison,
                           .merit = poison,
                           .network_merit = poison,
                           .warm_merit = poison,
                           .classical_merit = poison,
                           .classical_share = poison,
                           .search_merit = poison,
                           .refined = -1,
                           .evaluations = -1,
                           .out = out};
    poison_design(out);
}

static bool is_poison(double v)
{
    return v == poison; /* NOLINT: the very same bits */
}

static bool unwritten(const beam_gpu_answer *a)
{
    const double values[] = {
        a->wsr_worst_case_bps_hz, a->shortfall_bps_hz, a->crlb_m2,         a->merit,
        a->network_merit,         a->warm_merit,       a->classical_merit, a->classical_share,
        a->search_merit};
    bool left = (int)a->choice == 99 || a->refined < 0 || a->evaluations < 0;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        left = left || is_poison(values[i]);
    }
    const beam_design *d = a->out;
    for (int u = 0; !left && u < d->dims.users; u++) {
        for (int n = 0; n < d->dims.antennas; n++) {
            left = left || is_poison(test_beam(d, u)[n].re) || is_poison(test_beam(d, u)[n].im);
        }
    }
    for (int l = 0; !left && l < d->dims.stations; l++) {
        for (int k = 0; k < d->sensing_count[l] * d->dims.antennas; k++) {
            left = left || is_poison(test_sensing(d, l, 0)[k].re) ||
                   is_poison(test_sensing(d, l, 0)[k].im);
        }
    }
    return left;
}

/* Times the least CRLB: whether such a target counts as located depends on rounding. */
static const double barely_located = 1e9;

/* --- One case --------------------------------------------------------------------------------- */

static check_scene *scene_of(const agreement *a, int i)
{
    return &a->work->scene[i];
}

static double apart(double value, double reference, double least)
{
    if (isinf(value) && isinf(reference)) {
        return 0;
    }
    return fabs(value - reference) / fmax(fabs(reference), least);
}

/* MATH 5 with the cost of missed minimum rates, from exact numbers. */
static double merit_of(const check_scene *c, double tradeoff, const beam_quality *q)
{
    const double f1 = beam_loss_rate(&c->ideal, q->wsr_worst_case_bps_hz),
                 f2 = beam_loss_sensing(&c->ideal, q->crlb_valid, q->crlb_m2);
    const double cost = q->shortfall_bps_hz > 0 && c->ideal.wsr_ideal_bps_hz > 0
                            ? 1e6 * q->shortfall_bps_hz / c->ideal.wsr_ideal_bps_hz
                            : 0;
    return beam_merit(&c->ideal, beam_preference_from_tradeoff(tradeoff), f1, f2) + cost;
}

/* At the ends a merit is a thousand times a loss. */
static double unit_of(double tradeoff)
{
    return tradeoff <= 0 || tradeoff >= 1 ? 1e-3 : 1;
}

static void check_certificate(agreement *a, int thread, int i, const beam_quality *q)
{
    const beam_gpu_answer *got = &a->answers[i];
    const double crlb = q->crlb_valid ? q->crlb_m2 : (double)INFINITY;
    const check_scene *c = scene_of(a, i);
    note(a, thread, CERTIFICATE_RATE,
         apart(got->wsr_worst_case_bps_hz, q->wsr_worst_case_bps_hz, 1e-3));
    if (c->ideal.crlb_min_m2 > 0) {
        note(a, thread, CERTIFICATE_CRLB, apart(got->crlb_m2, crlb, 0));
    }
    note(a, thread, CERTIFICATE_SHORTFALL, fabs(got->shortfall_bps_hz - q->shortfall_bps_hz));
    note(a, thread, POWER, q->power_excess);
    if (crlb < barely_located * c->ideal.crlb_min_m2 || c->ideal.crlb_min_m2 <= 0) {
        note(a, thread, MERIT, apart(got->merit, merit_of(c, a->requests[i].tradeoff, q), 1));
    }
    if (a->requests[i].refine == 0) {
        note(a, thread, CHOICE,
             got->merit - fmin(got->network_merit, fmin(got->warm_merit, got->classical_merit)));
    }
}

/* Numbers in float32 as they show in the merit: at the ends it is a thousand times one loss. */
static void check_float32(agreement *a, int thread, int i)
{
    const beam_gpu_answer *got = &a->answers[i];
    const check_scene *c = scene_of(a, i);
    const double tradeoff = a->requests[i].tradeoff;
    const double difference = fabs(got->search_merit - got->classical_merit);
    note(a, thread, SEARCH_32,
         unit_of(tradeoff) * difference / (1 + unit_of(tradeoff) * fabs(got->classical_merit)));
    const bool floors = got->classical_merit > 1e4;
    if (tradeoff <= 0 && c->ideal.wsr_ideal_bps_hz > 0 && !floors) {
        note(a, thread, RATE_32,
             1e-3 * difference * 0.5 * c->ideal.wsr_ideal_bps_hz /
                 fmax(got->wsr_worst_case_bps_hz, 1));
    } else if (tradeoff >= 1 && c->ideal.crlb_min_m2 > 0 && !floors) {
        note(a, thread, CRLB_32, 1e-3 * difference * log(4.0));
    }
}

static void check_network(agreement *a, int thread, int i)
{
    const beam_gpu_answer *got = &a->answers[i];
    const beam_model_info *info = beam_model_info_of(a->work->model);
    beam_error err = {0};
    beam_result result;
    beam_inference_detail detail = {.network_merit = INFINITY};
    const beam_network_request r = {.solver = scene_of(a, i)->solver,
                                    .tradeoff = a->requests[i].tradeoff,
                                    .warm = a->requests[i].warm,
                                    .layers = a->way->layers ? info->layers / a->way->layers : 0,
                                    .out = a->scratch[i],
                                    .result = &result,
                                    .detail = &detail};
    const beam_code code =
        beam_inference_run(a->work->thread[thread].inference, a->work->model, 1, &r, &err);
    if (code != BEAM_E_NUMERIC) {
        test_must(code, &err, "inference");
    }
    if (!isfinite(detail.network_merit) && !isfinite(got->network_merit)) {
        return;
    }
    const double unit = unit_of(r.tradeoff);
    const double gap = unit * (got->network_merit - detail.network_merit) /
                       (1 + unit * fabs(detail.network_merit));
    note(a, thread, NETWORK, fabs(gap));
    note(a, thread, NETWORK_GAP, gap);
}

/* The device searches the share in float32 with the engine's number of evaluations: the same but
 * for rounding. Cases in which a bound rules the design out have none. */
static void check_classical(agreement *a, int thread, int i)
{
    const beam_gpu_answer *got = &a->answers[i];
    const check_scene *c = scene_of(a, i);
    beam_error err = {0};
    beam_result classical;
    beam_quality q;
    const double tradeoff = a->requests[i].tradeoff;
    test_must(beam_solver_classical(c->solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                    tradeoff, a->scratch[i], &classical, &err),
              &err, "classical");
    test_must(beam_evaluator_run(c->evaluator, a->scratch[i], &q, &err), &err, "classical");
    const double merit = merit_of(c, tradeoff, &q);
    if (!isfinite(merit)) {
        return;
    }
    note(a, thread, NEVER_WORSE, (got->merit - merit) / (1 + fabs(merit)));
    if (a->way->candidates == CLASSICAL_ALONE) {
        note(a, thread, CLASSICAL, (got->classical_merit - merit) / (1 + fabs(merit)));
        check_float32(a, thread, i);
    }
}

static bool considered(const agreement *a, beam_gpu_choice choice)
{
    return a->way->candidates == ALL || (a->way->candidates & (1 << choice)) != 0;
}

/* Beams are rounded to float32 on their way: merits agree to what that costs. */
static void check_warm(agreement *a, int thread, int i)
{
    beam_error err = {0};
    beam_quality q;
    test_must(beam_evaluator_run(scene_of(a, i)->evaluator, a->requests[i].warm, &q, &err), &err,
              "warm");
    const double merit = merit_of(scene_of(a, i), a->requests[i].tradeoff, &q);
    if (isfinite(merit)) {
        const double unit = unit_of(a->requests[i].tradeoff);
        note(a, thread, WARM_MERIT,
             unit * fabs(a->answers[i].warm_merit - merit) / (1 + unit * fabs(merit)));
    }
}

static void check_case(void *arg, int thread, int i)
{
    agreement *a = arg;
    const beam_gpu_answer *got = &a->answers[i];
    beam_error err = {0};
    beam_quality q;
    const bool answered = got->choice >= BEAM_GPU_CHOICE_NETWORK &&
                          got->choice <= BEAM_GPU_CHOICE_CLASSICAL && !unwritten(got) &&
                          !beam_evaluator_run(scene_of(a, i)->evaluator, got->out, &q, &err);
    note(a, thread, UNANSWERED, answered ? 0 : 1);
    if (!answered) {
        return;
    }
    check_certificate(a, thread, i, &q);
    if (considered(a, BEAM_GPU_CHOICE_CLASSICAL)) {
        check_classical(a, thread, i);
    }
    if (considered(a, BEAM_GPU_CHOICE_WARM) && a->requests[i].warm) {
        check_warm(a, thread, i);
    }
    if (considered(a, BEAM_GPU_CHOICE_NETWORK)) {
        check_network(a, thread, i);
    }
    if (a->way->refine > 0) {
        note(a, thread, REFINED,
             got->merit - fmin(got->network_merit, fmin(got->warm_merit, got->classical_merit)));
    }
}

/* --- One way ---------------------------------------------------------------------------------- */

static void make_warm(void *arg, int thread, int i)
{
    const agreement *a = arg;
    beam_error err = {0};
    beam_result result;
    /* the answer to another trade-off */
    const beam_network_request r = {.solver = scene_of(a, i)->solver,
                                    .tradeoff = check_tradeoff(i + 1),
                                    .out = a->warm[i],
                                    .result = &result};
    const beam_code code =
        beam_inference_run(a->work->thread[thread].inference, a->work->model, 1, &r, &err);
    if (code != BEAM_E_NUMERIC) {
        test_must(code, &err, "inference");
    }
}

static void open_cases(agreement *a)
{
    const beam_model_info *info = beam_model_info_of(a->work->model);
    for (int i = 0; i < a->cases; i++) {
        check_scene *c = scene_of(a, i);
        test_random random = test_random_new((uint64_t)(1000003 + i));
        a->scratch[i] = test_design_new(&c->scene->dims, -1);
        a->warm[i] = NULL;
        if (a->way->warm == WARM_RANDOM) {
            /* of as many columns as answers have: more of them would be folded into these */
            a->warm[i] = test_random_design(&random, c->scene, c->sensing->sensing_count[0]);
        } else if (a->way->warm == WARM_ENGINE) {
            a->warm[i] = test_design_new(&c->scene->dims, -1);
        }
        a->requests[i] = (beam_gpu_request){
            .cluster = i,
            .scene = c->scene,
            .ideal = c->ideal,
            .tradeoff = a->way->tradeoff < 0 ? check_tradeoff(i) : a->way->tradeoff,
            .warm = a->warm[i],
            .layers = a->way->layers ? info->layers / a->way->layers : 0,
            .candidates = a->way->candidates,
            .refine = a->way->refine};
        a->answers[i] = (beam_gpu_answer){.out = test_design_new(&c->scene->dims, -1)};
    }
    if (a->way->warm == WARM_ENGINE) {
        check_parallel(a->work->threads, a->cases, make_warm, a);
    }
}

static void run_cases(agreement *a)
{
    for (int i = 0; i < a->cases; i++) {
        poison_answer(&a->answers[i]);
    }
    for (int i = 0; i < a->cases; i += a->work->batch) {
        const int n = a->cases - i < a->work->batch ? a->cases - i : a->work->batch;
        check_run(a->work, n, a->requests + i, a->answers + i);
    }
}

/* Other requests first: what the device does not write would then be another problem's answer. */
static void dirty_device(agreement *a)
{
    const int n = a->cases < a->work->batch ? a->cases : a->work->batch;
    beam_gpu_request *turned = test_memory((size_t)n * sizeof *turned);
    beam_gpu_answer *ignored = test_memory((size_t)n * sizeof *ignored);
    for (int i = 0; i < n; i++) {
        turned[i] = a->requests[(i + 1) % n];
        turned[i].tradeoff = 1 - turned[i].tradeoff;
        ignored[i] = (beam_gpu_answer){.out = NULL};
    }
    check_run(a->work, n, turned, ignored);
    free(turned);
    free(ignored);
}

static bool same_design(const beam_design *a, const beam_design *b)
{
    const size_t n = (size_t)a->dims.antennas;
    bool same = true;
    for (int u = 0; u < a->dims.users; u++) {
        same = same && memcmp(test_beam(a, u), test_beam(b, u), n * sizeof(beam_complex)) == 0;
    }
    for (int l = 0; l < a->dims.stations; l++) {
        same = same && a->sensing_count[l] == b->sensing_count[l] &&
               memcmp(test_sensing(a, l, 0), test_sensing(b, l, 0),
                      (size_t)a->sensing_count[l] * n * sizeof(beam_complex)) == 0;
    }
    return same;
}

/* The first cases again in batches of 7, and of one: the same bits in any company. */
static int count_different(agreement *a)
{
    enum { AGAIN = 64 };
    static const int companies[] = {7, 1};
    const int n = a->cases < AGAIN ? a->cases : AGAIN;
    beam_gpu_answer *again = test_memory((size_t)n * sizeof *again);
    int different = 0;
    for (int i = 0; i < n; i++) {
        again[i] = (beam_gpu_answer){.out = a->scratch[i]};
    }
    for (size_t k = 0; k < sizeof companies / sizeof companies[0]; k++) {
        for (int i = 0; i < n; i += companies[k]) {
            check_run(a->work, n - i < companies[k] ? n - i : companies[k], a->requests + i,
                      again + i);
        }
        for (int i = 0; i < n; i++) {
            const beam_gpu_answer *x = &a->answers[i], *y = &again[i];
            different += x->choice != y->choice || memcmp(&x->merit, &y->merit, sizeof x->merit) ||
                         (x->choice >= 0 && !same_design(x->out, y->out));
        }
    }
    free(again);
    return different;
}

static bool put_measure(const agreement *a, measure m)
{
    tally all = {0};
    for (int t = 0; t < a->work->threads; t++) {
        const tally *one = &a->tallies[t * (int)MEASURES + (int)m];
        all.cases += one->cases;
        all.most = fmax(all.most, one->most);
        all.sum += one->sum;
        all.apart += one->apart;
    }
    if (all.cases == 0) {
        return true;
    }
    const double value = measures[m].rule == MOST   ? all.most
                         : measures[m].rule == MEAN ? all.sum / all.cases
                                                    : all.apart / all.cases;
    /* shares and means of a few cases scatter; with directions of (almost) no length, which layers
     * divide by, more answers part, and float32 hardly tells targets that are barely located */
    const double slack = measures[m].rule != MOST && all.cases < FEW ? 5 : 1;
    const double hostile = !a->work->size->hostile ? 1 : m == NETWORK ? 2 : m == CRLB_32 ? 10 : 1;
    const double bound = slack * hostile * measures[m].bound;
    const bool agreed = value <= bound;
    printf("{\"stage\":\"agreement\",\"size\":\"%s\",\"perceptron\":\"%s\",\"way\":\"%s\","
           "\"measure\":\"%s\","
           "\"cases\":%d,\"value\":%.3e,\"bound\":%.3e,\"agreed\":%s}\n",
           a->work->size->name, a->work->options->perceptron_name, a->way->name, measures[m].name,
           all.cases, isfinite(value) ? value : 1e300, bound, agreed ? "true" : "false");
    return agreed;
}

static bool put_way(agreement *a, int different)
{
    bool agreed = true;
    const int compared = a->cases < 64 ? 2 * a->cases : 128;
    /* cuBLAS has other kernels for other numbers of columns, which round differently */
    const bool rounds = a->work->size->mlp_layers > 0 && considered(a, BEAM_GPU_CHOICE_NETWORK);
    const int allowed = rounds ? compared : 0;
    for (int m = 0; m < MEASURES; m++) {
        agreed = put_measure(a, (measure)m) && agreed;
    }
    printf("{\"stage\":\"agreement\",\"size\":\"%s\",\"perceptron\":\"%s\",\"way\":\"%s\","
           "\"measure\":\"other bits in "
           "other batches\",\"cases\":%d,\"value\":%d,\"bound\":%d,\"agreed\":%s}\n",
           a->work->size->name, a->work->options->perceptron_name, a->way->name, compared,
           different, allowed, different <= allowed ? "true" : "false");
    (void)fflush(stdout);
    return agreed && different <= allowed;
}

static bool check_way(check_work *work, const way *asked, int cases)
{
    const size_t n = (size_t)cases;
    agreement a = {.work = work, .way = asked, .cases = cases};
    a.requests = test_memory(n * sizeof *a.requests);
    a.answers = test_memory(n * sizeof *a.answers);
    a.warm = test_memory(n * sizeof *a.warm);
    a.scratch = test_memory(n * sizeof *a.scratch);
    a.tallies = test_memory((size_t)work->threads * MEASURES * sizeof *a.tallies);
    memset(a.tallies, 0, (size_t)work->threads * MEASURES * sizeof *a.tallies);
    open_cases(&a);
    dirty_device(&a);
    run_cases(&a);
    const int different = count_different(&a);
    check_parallel(work->threads, cases, check_case, &a);
    const bool agreed = put_way(&a, different);
    for (int i = 0; i < cases; i++) {
        test_design_free(a.answers[i].out);
        test_design_free(a.warm[i]);
        test_design_free(a.scratch[i]);
    }
    free(a.requests);
    free(a.answers);
    free(a.warm);
    free(a.scratch);
    free(a.tallies);
    return agreed;
}

bool check_agreement(check_work *work)
{
    bool agreed = true;
    for (int w = 0; w < WAYS; w++) {
        agreed = check_way(work, &ways[w], work->scenes) && agreed;
    }
    return agreed;
}

#include "lab/train_run.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/output.h"
#include "lab/progress.h"
#include "lab/train_checkpoint.h"

static const double line_seconds = 10;
/* The first numbers come early. */
static const int64_t early_evaluations[] = {0, 100, 250, 500, 1000};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* Sums since some moment. */
typedef struct tally {
    double loss, f1, f2, gradient;
    int64_t steps, finite, samples, exact, dark, clipped, lost;
} tally;

typedef struct run {
    const lab_train_settings *settings;
    lab_train_state *state;
    const lab_train_run_options *options;
    lab_train_outcome *outcome;
    lab_scenes *scenes;
    lab_heldout *heldout; /* NULL: none */
    lab_train *train;
    FILE *curve;
    tally line, row; /* since the last line of progress, of the curve */
    int64_t start_ns, line_ns, checkpoint_ns;
    double seconds_before; /* of earlier runs */
} run;

static void tally_add(tally *t, const lab_train_report *r)
{
    t->steps++;
    t->samples += r->samples;
    t->loss += r->loss;
    t->f1 += r->f1;
    t->f2 += r->f2;
    t->exact += r->exact;
    t->dark += r->dark;
    t->clipped += r->clipped;
    t->lost += r->lost;
    if (isfinite(r->gradient)) {
        t->gradient += r->gradient;
        t->finite++;
    }
}

static double mean(double sum, int64_t steps)
{
    return steps > 0 ? sum / (double)steps : NAN;
}

static double seconds_since(int64_t start_ns)
{
    return (double)(lab_clock_ns() - start_ns) * 1e-9;
}

static double rate_now(const run *r)
{
    const lab_train_settings *s = r->settings;
    return beam_adam_rate(s->rate, s->last_rate, (long)s->warm_up, (long)s->steps,
                          (long)r->state->step);
}

/* --- The curve -------------------------------------------------------------------------------- */

static void put_head(const run *r)
{
    fputs("step,seconds,samples,rate,loss,f1,f2,gradient,exact,dark,clipped,lost", r->curve);
    for (int f = 0; f < r->outcome->families; f++) {
        const char *name = r->outcome->scores[f].family;
        fprintf(r->curve, ",%s_median,%s_least,%s_gap,%s_loss", name, name, name, name);
    }
    fputc('\n', r->curve);
}

static void put_row(run *r)
{
    const tally *t = &r->row;
    fprintf(r->curve, "%lld,%.1f,%lld,%.6g,%.8g,%.8g,%.8g,%.6g,%lld,%lld,%lld,%lld",
            (long long)r->state->step, r->state->seconds, (long long)r->state->samples, rate_now(r),
            mean(t->loss, t->steps), mean(t->f1, t->steps), mean(t->f2, t->steps),
            mean(t->gradient, t->finite), (long long)t->exact, (long long)t->dark,
            (long long)t->clipped, (long long)t->lost);
    for (int f = 0; f < r->outcome->families; f++) {
        const lab_heldout_score *s = &r->outcome->scores[f];
        fprintf(r->curve, ",%.6f,%.6f,%.8g,%.8g", s->median, s->least, s->gap, s->loss);
    }
    fputc('\n', r->curve);
    fflush(r->curve);
    r->row = (tally){.steps = 0};
}

/* A resumed training takes up its curve where the checkpoint was: later rows are dropped. */
static beam_code keep_rows(const char *path, int64_t step, beam_error *err)
{
    FILE *old = fopen(path, "r");
    if (!old) {
        return BEAM_OK;
    }
    lab_output out;
    beam_code code = lab_output_open(&out, path, err);
    char line[4096];
    while (!code && fgets(line, sizeof line, old)) {
        char *end;
        const long long at = strtoll(line, &end, 10);
        if (end == line || at <= step) { /* the head is no number */
            fputs(line, out.file);
        }
    }
    fclose(old);
    return code ? code : lab_output_commit(&out, err);
}

static beam_code open_curve(run *r, beam_error *err)
{
    const char *path = r->options->curve;
    const bool resumed = r->state->step > 0;
    if (!path) {
        return BEAM_OK;
    }
    if (resumed && keep_rows(path, r->state->step, err)) {
        return err->code;
    }
    r->curve = fopen(path, resumed ? "a" : "w");
    if (!r->curve) {
        return beam_fail(err, BEAM_E_INVALID, "curve", "%s: %s", path, strerror(errno));
    }
    if (fseek(r->curve, 0, SEEK_END) == 0 && ftell(r->curve) == 0) {
        put_head(r);
    }
    return BEAM_OK;
}

/* --- What happens between steps --------------------------------------------------------------- */

static bool evaluation_due(const run *r)
{
    const int64_t step = r->state->step;
    for (size_t i = 0; i < sizeof early_evaluations / sizeof *early_evaluations; i++) {
        if (step == early_evaluations[i]) {
            return true;
        }
    }
    return step % r->options->evaluate == 0 || step == r->settings->steps;
}

static void update_seconds(run *r)
{
    r->state->seconds = r->seconds_before + seconds_since(r->start_ns);
}

static beam_code evaluate(run *r, bool record, beam_error *err)
{
    update_seconds(r);
    if (r->heldout) {
        const beam_code code =
            lab_heldout_evaluate(r->heldout, r->state->mean, r->outcome->scores, err);
        if (code) {
            return code;
        }
    }
    if (r->curve && record) {
        put_row(r);
    }
    return BEAM_OK;
}

static void print_line(run *r)
{
    const tally *t = &r->line;
    const double seconds = seconds_since(r->line_ns);
    fprintf(stderr, "beamlab: step %lld/%lld, %.0f s, %.0f samples/s, loss %.5f, rate %.2e",
            (long long)r->state->step, (long long)r->settings->steps, r->state->seconds,
            (double)t->samples / seconds, mean(t->loss, t->steps), rate_now(r));
    if (t->exact + t->dark + t->lost > 0) {
        fprintf(stderr, ", exact %lld dark %lld lost %lld", (long long)t->exact, (long long)t->dark,
                (long long)t->lost);
    }
    for (int f = 0; r->heldout && f < r->outcome->families; f++) {
        const lab_heldout_score *s = &r->outcome->scores[f];
        fprintf(stderr, "; %s %.4f (least %.4f, gap %.4f)", s->family, s->median, s->least, s->gap);
    }
    fputc('\n', stderr);
    r->line = (tally){.steps = 0};
    r->line_ns = lab_clock_ns();
}

static beam_code checkpoint(run *r, beam_error *err)
{
    update_seconds(r);
    r->checkpoint_ns = lab_clock_ns();
    return r->options->checkpoint
               ? lab_checkpoint_write(r->options->checkpoint, r->settings, r->state, err)
               : BEAM_OK;
}

static bool time_is_up(const run *r)
{
    return interrupted ||
           (r->options->minutes > 0 && seconds_since(r->start_ns) > 60 * r->options->minutes);
}

static beam_code loop(run *r, beam_error *err)
{
    beam_code code = evaluate(r, r->state->step == 0, err);
    r->line_ns = lab_clock_ns();
    while (!code && r->state->step < r->settings->steps && !time_is_up(r)) {
        lab_train_report report;
        code = lab_train_step(r->train, &report, err);
        if (code) {
            break;
        }
        tally_add(&r->line, &report);
        tally_add(&r->row, &report);
        update_seconds(r);
        const bool due = evaluation_due(r);
        code = due ? evaluate(r, true, err) : BEAM_OK;
        if (seconds_since(r->line_ns) > line_seconds || r->state->step == r->settings->steps) {
            print_line(r);
        }
        if (!code && seconds_since(r->checkpoint_ns) > r->options->checkpoint_seconds) {
            code = checkpoint(r, err);
        }
    }
    r->outcome->finished = r->state->step >= r->settings->steps;
    if (!code && !r->outcome->finished && r->row.steps > 0) { /* the numbers of what is kept */
        code = evaluate(r, true, err);
        print_line(r);
    }
    return code ? code : checkpoint(r, err);
}

/* --- Set-up ----------------------------------------------------------------------------------- */

static beam_code create(run *r, beam_error *err)
{
    const lab_train_settings *s = r->settings;
    const lab_scenes_options options = {.seed = s->data_seed,
                                        .groups = s->groups,
                                        .families = s->families,
                                        .folder = s->folder[0] ? s->folder : NULL,
                                        .held_out = r->options->held_out > 0};
    r->scenes = lab_scenes_create(&options, err);
    if (!r->scenes) {
        return err->code;
    }
    if (r->options->held_out > 0) {
        r->heldout = lab_heldout_create(r->scenes, &s->arch, r->options->held_out,
                                        (r->options->held_out + 1) / 2, r->options->threads, err);
        if (!r->heldout) {
            return err->code;
        }
        r->outcome->families = lab_heldout_families(r->heldout);
        r->outcome->held_out_scenes = lab_heldout_scenes(r->heldout);
        for (int f = 0; f < r->outcome->families; f++) {
            r->outcome->scores[f].family = lab_scenes_family_name(r->scenes, f);
        }
    }
    r->train = lab_train_create(s, r->scenes, r->state, r->options->threads, err);
    return r->train ? open_curve(r, err) : err->code;
}

beam_code lab_train_run(const lab_train_settings *settings, lab_train_state *state,
                        const lab_train_run_options *options, lab_train_outcome *outcome,
                        beam_error *err)
{
    run r = {.settings = settings,
             .state = state,
             .options = options,
             .outcome = outcome,
             .seconds_before = state->seconds};
    *outcome = (lab_train_outcome){.finished = false};
    interrupted = 0;
    /* a second signal ends the program at once */
    const struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    struct sigaction old_int, old_term;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    r.start_ns = r.line_ns = r.checkpoint_ns = lab_clock_ns();
    beam_code code = create(&r, err);
    code = code ? code : loop(&r, err);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    if (r.curve && fclose(r.curve) != 0 && !code) {
        code = beam_fail(err, BEAM_E_INVALID, "curve", "%s: cannot be written", options->curve);
    }
    lab_train_destroy(&r.train);
    lab_heldout_destroy(&r.heldout);
    lab_scenes_destroy(&r.scenes);
    return code;
}

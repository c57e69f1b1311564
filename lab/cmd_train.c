/* beamlab train: the weights of the network. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lab/arguments.h"
#include "lab/commands.h"
#include "lab/model_file.h"
#include "lab/output.h"
#include "lab/train_checkpoint.h"
#include "lab/train_run.h"
#include "network/loss_paper.h"
#include "network/model.h"

/* What was given on the command line: NONE, NAN or NULL where nothing was. */
enum { NONE = -1 };
typedef struct given {
    int kind, layers, width, seed, data_seed, steps, batch, pool, warm_up, loss, lower_steps;
    double rate, last_rate, warm, early, temperature, tie, smoothing, penalty;
    const char *families, *folder;
    const char *out, *name, *from, *resume;
    lab_train_run_options run;
} given;

/* A setting that a checkpoint fixes. */
typedef struct setting {
    const char *name;
    enum { SET_INT, SET_INT32, SET_INT64, SET_UINT64, SET_DOUBLE, SET_TEXT } kind;
    const void *given;
    void *value;
    size_t size; /* of a text */
} setting;

static bool was_given(const setting *s)
{
    switch (s->kind) {
    case SET_DOUBLE:
        return !isnan(*(const double *)s->given);
    case SET_TEXT:
        return *(const char *const *)s->given != NULL;
    default:
        return *(const int *)s->given != NONE;
    }
}

static int take(const setting *s)
{
    const int integer = s->kind == SET_DOUBLE || s->kind == SET_TEXT ? 0 : *(const int *)s->given;
    switch (s->kind) {
    case SET_INT:
        *(int *)s->value = integer;
        break;
    case SET_INT32:
        *(int32_t *)s->value = integer;
        break;
    case SET_INT64:
        *(int64_t *)s->value = integer;
        break;
    case SET_UINT64:
        *(uint64_t *)s->value = (uint64_t)integer;
        break;
    case SET_DOUBLE:
        *(double *)s->value = *(const double *)s->given;
        break;
    case SET_TEXT:
        if (strlen(*(const char *const *)s->given) >= s->size) {
            return lab_complain("--%s: longer than %zu characters", s->name, s->size - 1);
        }
        memset(s->value, 0, s->size);
        strcpy(s->value, *(const char *const *)s->given);
    }
    return LAB_EXIT_OK;
}

/* Into `o` what was given; with `fixed` nothing may be: the checkpoint says it all. */
static int apply(const given *g, lab_train_settings *o, bool fixed)
{
    int kind = (int)o->arch.kind, loss = (int)o->loss.kind,
        groups = g->pool == NONE ? NONE : (g->pool + BEAM_LANES - 1) / BEAM_LANES;
    const setting settings[] = {
        {"kind", SET_INT, &g->kind, &kind, 0},
        {"layers", SET_INT, &g->layers, &o->arch.layers, 0},
        {"width", SET_INT, &g->width, &o->arch.width, 0},
        {"seed", SET_UINT64, &g->seed, &o->seed, 0},
        {"data-seed", SET_UINT64, &g->data_seed, &o->data_seed, 0},
        {"steps", SET_INT64, &g->steps, &o->steps, 0},
        {"batch", SET_INT32, &g->batch, &o->batch, 0},
        {"pool", SET_INT32, &groups, &o->groups, 0},
        {"warm-up", SET_INT64, &g->warm_up, &o->warm_up, 0},
        {"loss", SET_INT, &g->loss, &loss, 0},
        {"rate", SET_DOUBLE, &g->rate, &o->rate, 0},
        {"last-rate", SET_DOUBLE, &g->last_rate, &o->last_rate, 0},
        {"warm", SET_DOUBLE, &g->warm, &o->warm, 0},
        {"early", SET_DOUBLE, &g->early, &o->early, 0},
        {"temperature", SET_DOUBLE, &g->temperature, &o->loss.temperature, 0},
        {"tie", SET_DOUBLE, &g->tie, &o->loss.tie, 0},
        {"smoothing", SET_DOUBLE, &g->smoothing, &o->loss.smoothing, 0},
        {"penalty", SET_DOUBLE, &g->penalty, &o->power_penalty, 0},
        {"lower-steps", SET_INT, &g->lower_steps, &o->loss.lower_steps, 0},
        {"families", SET_TEXT, &g->families, o->families, sizeof o->families},
        {"scenes", SET_TEXT, &g->folder, o->folder, sizeof o->folder},
        {"from", SET_TEXT, &g->from, o->from, sizeof o->from},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (!was_given(&settings[i])) {
            continue;
        }
        const int rc = fixed ? lab_complain("--%s: the checkpoint of --resume has its own; leave "
                                            "this option out",
                                            settings[i].name)
                             : take(&settings[i]);
        if (rc) {
            return rc;
        }
    }
    o->arch.kind = (beam_net_kind)kind;
    o->loss.kind = (beam_net_loss_kind)loss;
    if (o->warm_up >= o->steps) { /* a short training warms up over its first tenth */
        o->warm_up = o->steps / 10 > 0 ? o->steps / 10 : 1;
    }
    return LAB_EXIT_OK;
}

/* --- Where the weights begin ------------------------------------------------------------------ */

/* The weights of a model of fewer layers: its last ones once more behind them, which is a good
 * place to go on training from. */
static void grow(const struct beam_model *model, int layers, size_t parameters, beam_net_real *to)
{
    const size_t layer = parameters / (size_t)layers, had = (size_t)model->arch.layers * layer;
    memcpy(to, model->theta, had * sizeof *to);
    memcpy(to + had, model->theta + (2 * had - parameters), (parameters - had) * sizeof *to);
}

static bool can_grow(const given *g, const beam_net_arch *arch)
{
    return arch->kind == BEAM_NET_EQUIVARIANT && g->layers >= arch->layers &&
           g->layers <= 2 * arch->layers;
}

static int start_from_model(const given *g, lab_train_settings *o, lab_train_state *state)
{
    beam_error err;
    lab_model *file = lab_model_read(g->from, &err);
    if (!file) {
        return lab_complain_file(g->from, &err);
    }
    const struct beam_model *model = file->model;
    int rc = LAB_EXIT_OK;
    o->arch = model->arch;
    if ((g->layers != NONE && g->layers != model->arch.layers && !can_grow(g, &model->arch)) ||
        (g->width != NONE && g->width != model->arch.width) ||
        (g->kind != NONE && g->kind != (int)model->arch.kind)) {
        rc =
            lab_complain("--from: %s: has %d layers of width %d; leave --kind and --width out, and "
                         "give --layers only to have up to twice as many",
                         g->from, model->arch.layers, model->arch.width);
    } else if (g->layers != NONE) {
        o->arch.layers = g->layers;
    }
    if (!rc && lab_train_state_create(state, &o->arch, &err)) {
        rc = lab_complain_file(g->from, &err);
    }
    if (!rc) {
        grow(model, o->arch.layers, state->parameters, state->theta);
        memcpy(state->mean, state->theta, state->parameters * sizeof *state->mean);
    }
    lab_model_destroy(&file);
    return rc;
}

/* The one size that an mlp is made for: that of the first group of its scenes. */
static int set_mlp_sizes(lab_train_settings *o)
{
    beam_error err;
    const lab_scenes_options options = {.seed = o->data_seed,
                                        .groups = 1,
                                        .families = o->families,
                                        .folder = o->folder[0] ? o->folder : NULL};
    lab_scenes *scenes = lab_scenes_create(&options, &err);
    const lab_group *group = scenes ? lab_scenes_group(scenes, 0, &err) : NULL;
    if (group) {
        o->arch.stations = group->shape.L;
        o->arch.antennas = group->samples[0].frames[0].problem.N;
        o->arch.users = group->shape.U;
        o->arch.targets = group->shape.J;
        o->arch.sensing_rows = group->shape.r;
    }
    lab_scenes_destroy(&scenes);
    return group ? LAB_EXIT_OK : lab_complain("--families: %s", err.text);
}

static int start_fresh(const given *g, lab_train_settings *o, lab_train_state *state)
{
    beam_error err;
    if (g->from) {
        return start_from_model(g, o, state);
    }
    const int rc = o->arch.kind == BEAM_NET_MLP ? set_mlp_sizes(o) : LAB_EXIT_OK;
    if (rc) {
        return rc;
    }
    if (lab_train_state_create(state, &o->arch, &err)) {
        return lab_complain("--layers, --width: %s", err.text);
    }
    lab_train_initialise(o, state);
    return LAB_EXIT_OK;
}

static int start(const given *g, lab_train_settings *o, lab_train_state *state)
{
    beam_error err;
    if (!g->resume) {
        *o = lab_train_settings_default();
        const int rc = apply(g, o, false);
        return rc ? rc : start_fresh(g, o, state);
    }
    if (lab_checkpoint_read(g->resume, o, state, &err)) {
        return lab_complain_file(g->resume, &err);
    }
    return apply(g, o, true);
}

/* --- The model -------------------------------------------------------------------------------- */

static void base_name(const char *path, char *to, size_t size)
{
    const char *slash = strrchr(path, '/');
    snprintf(to, size, "%.*s", (int)size - 1, slash ? slash + 1 : path);
    char *dot = strrchr(to, '.');
    if (dot && dot != to) {
        *dot = '\0';
    }
}

/* More words behind those of a text of `size` bytes; as many as fit. */
__attribute__((format(printf, 4, 5))) static void append(char *to, size_t size, size_t *used,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(to + *used, size - *used, format, arguments);
    va_end(arguments);
    *used += added > 0 ? (size_t)added : 0;
    *used = *used < size ? *used : size - 1;
}

/* Settings that seldom differ from the default are named where they do. */
static void describe_rest(const lab_train_settings *o, char *to, size_t size, size_t *used)
{
    const lab_train_settings usual = lab_train_settings_default();
    const struct {
        const char *name;
        double value, usual;
    } rest[] = {
        {"last-rate", o->last_rate, usual.last_rate},
        {"warm-up", (double)o->warm_up, (double)usual.warm_up},
        {"warm", o->warm, usual.warm},
        {"early", o->early, usual.early},
        {"temperature", o->loss.temperature, usual.loss.temperature},
        {"tie", o->loss.tie, usual.loss.tie},
        {"smoothing", o->loss.smoothing, usual.loss.smoothing},
        {"lower-steps", o->loss.lower_steps, usual.loss.lower_steps},
    };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
        if (rest[i].value != rest[i].usual) {
            append(to, size, used, " --%s %g", rest[i].name, rest[i].value);
        }
    }
}

static void describe_command(const lab_train_settings *o, char *to, size_t size)
{
    size_t used = 0;
    append(to, size, &used,
           "beamlab train --kind %s --layers %d --width %d --seed %llu --data-seed %llu "
           "--steps %lld --batch %d --pool %d --rate %g",
           o->arch.kind == BEAM_NET_MLP ? "mlp" : "equivariant", o->arch.layers, o->arch.width,
           (unsigned long long)o->seed, (unsigned long long)o->data_seed, (long long)o->steps,
           o->batch, o->groups * BEAM_LANES, o->rate);
    if (o->folder[0]) {
        append(to, size, &used, " --scenes DIR");
    } else {
        append(to, size, &used, " --families %s", o->families);
    }
    if (o->loss.kind == BEAM_NET_LOSS_PENALTY) {
        append(to, size, &used, " --loss penalty --penalty %g", o->power_penalty);
    }
    describe_rest(o, to, size, &used);
    if (o->from[0]) {
        append(to, size, &used, " --from MODEL");
    }
}

static beam_model_info describe_model(const given *g, const lab_train_settings *o,
                                      const lab_train_state *state,
                                      const lab_train_outcome *outcome)
{
    beam_model_info info;
    memset(&info, 0, sizeof info);
    info.kind = o->arch.kind == BEAM_NET_MLP ? BEAM_MODEL_MLP : BEAM_MODEL_EQUIVARIANT;
    info.layers = o->arch.layers;
    info.width = o->arch.width;
    info.stations = o->arch.stations;
    info.antennas = o->arch.antennas;
    info.users = o->arch.users;
    info.targets = o->arch.targets;
    info.sensing_rows = o->arch.sensing_rows;
    info.parameters = state->parameters;
    if (g->name) {
        snprintf(info.name, sizeof info.name, "%s", g->name);
    } else {
        base_name(g->out, info.name, sizeof info.name);
    }
    snprintf(info.creator, sizeof info.creator, "beamlab " BEAMLAB_VERSION);
    snprintf(info.families, sizeof info.families, "%s",
             o->folder[0] ? "recorded scenes" : o->families);
    describe_command(o, info.command, sizeof info.command);
    info.data_seed = o->data_seed;
    info.steps = (uint64_t)state->step;
    info.samples = (uint64_t)state->samples;
    info.created_unix_s = (int64_t)time(NULL);
    if (outcome->families > 0 && outcome->scores[0].scenes > 0) { /* of the first family */
        info.held_out_scenes = (uint64_t)outcome->scores[0].scenes;
        info.held_out_loss = outcome->scores[0].loss;
        info.held_out_ratio_median = outcome->scores[0].median;
        info.held_out_ratio_p5 = outcome->scores[0].p5;
    }
    return info;
}

/* A name that no file may hold or a place where none can be: better known before the training. */
static int check_out(const given *g, const lab_train_settings *o, const lab_train_state *state)
{
    const lab_train_outcome nothing = {.finished = false};
    beam_model_info info = describe_model(g, o, state, &nothing);
    const size_t size = beam_model_write_size(&info);
    void *bytes = malloc(size ? size : 1);
    beam_error err;
    lab_output output;
    beam_code code = bytes ? beam_model_write(&info, state->mean, bytes, size, &err)
                           : beam_fail(&err, BEAM_E_LIMIT, NULL, "out of memory");
    free(bytes);
    code = code ? code : lab_output_open(&output, g->out, &err);
    if (code) {
        return lab_complain_file(g->out, &err);
    }
    lab_output_abandon(&output);
    return LAB_EXIT_OK;
}

static int write_model(const given *g, const lab_train_settings *o, const lab_train_state *state,
                       const lab_train_outcome *outcome)
{
    beam_model_info info = describe_model(g, o, state, outcome);
    beam_error err;
    if (lab_model_write(g->out, &info, state->mean, &err)) {
        return lab_complain_file(g->out, &err);
    }
    printf("written: %s, %zu parameters, checksum %.16s\n", g->out, info.parameters, info.checksum);
    return LAB_EXIT_OK;
}

/* --- The command ------------------------------------------------------------------------------ */

static int run(const given *g)
{
    lab_train_settings settings;
    lab_train_state state = {.parameters = 0};
    lab_train_outcome outcome;
    beam_error err;
    int rc = start(g, &settings, &state);
    if (!rc && g->out) {
        rc = check_out(g, &settings, &state);
    }
    if (!rc && lab_train_run(&settings, &state, &g->run, &outcome, &err)) {
        lab_complain("train: %s%s%s", err.field, err.field[0] ? ": " : "", err.text);
        rc = LAB_EXIT_FAILED;
    }
    if (!rc) {
        printf("%s after step %lld of %lld, %lld samples, %.0f s\n",
               outcome.finished ? "finished" : "stopped", (long long)state.step,
               (long long)settings.steps, (long long)state.samples, state.seconds);
        for (int f = 0; f < outcome.families; f++) {
            const lab_heldout_score *s = &outcome.scores[f];
            printf("held-out %s, %d scenes: hypervolume ratio median %.4f, least %.4f, gap %.5f\n",
                   s->family, s->scenes, s->median, s->least, s->gap);
        }
        rc = g->out ? write_model(g, &settings, &state, &outcome) : LAB_EXIT_OK;
    }
    lab_train_state_clear(&state);
    return rc;
}

static given nothing_given(void)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (given){.kind = NONE,
                   .layers = NONE,
                   .width = NONE,
                   .seed = NONE,
                   .data_seed = NONE,
                   .steps = NONE,
                   .batch = NONE,
                   .pool = NONE,
                   .warm_up = NONE,
                   .loss = NONE,
                   .rate = NAN,
                   .last_rate = NAN,
                   .warm = NAN,
                   .early = NAN,
                   .temperature = NAN,
                   .tie = NAN,
                   .smoothing = NAN,
                   .penalty = NAN,
                   .lower_steps = NONE,
                   .run = {.checkpoint_seconds = 300,
                           .evaluate = 2000,
                           .held_out = 24,
                           .threads = cores > 0 && cores <= 256 ? (int)cores : 1}};
}

int lab_command_train(int argc, char **argv)
{
    given g = nothing_given();
    const lab_option options[] = {
        {"out", LAB_OPTION_TEXT, &g.out, 0, 0, NULL, "model file to write at the end"},
        {"name", LAB_OPTION_TEXT, &g.name, 0, 0, NULL, "in the model; default: that of --out"},
        {"steps", LAB_OPTION_INTEGER, &g.steps, 1, 2147483647, NULL, "default 20000"},
        {"kind", LAB_OPTION_CHOICE, &g.kind, 0, 0, "equivariant|mlp", "default equivariant"},
        {"layers", LAB_OPTION_INTEGER, &g.layers, 1, BEAM_NET_LAYERS_MAX, NULL, "default 10"},
        {"width", LAB_OPTION_INTEGER, &g.width, 1, BEAM_NET_WIDTH_MAX, NULL, "default 32"},
        {"seed", LAB_OPTION_INTEGER, &g.seed, 0, 2147483647, NULL, "weights, batches; default 1"},
        {"data-seed", LAB_OPTION_INTEGER, &g.data_seed, 0, 2147483647, NULL, "scenes; default 1"},
        {"families", LAB_OPTION_TEXT, &g.families, 0, 0, NULL, "default paper:60,sizes:40"},
        {"scenes", LAB_OPTION_TEXT, &g.folder, 0, 0, NULL, "recorded scene files (DIR/*.json)"},
        {"from", LAB_OPTION_TEXT, &g.from, 0, 0, NULL,
         "model whose weights to start from; --layers up to twice its number grow it"},
        {"pool", LAB_OPTION_INTEGER, &g.pool, 1, 1 << 24, NULL, "generated scenes; default 16384"},
        {"batch", LAB_OPTION_INTEGER, &g.batch, 1, 65536, NULL, "blocks of 8 samples; default 32"},
        {"rate", LAB_OPTION_NUMBER, &g.rate, 0, 1, NULL, "of Adam; default 2e-3"},
        {"last-rate", LAB_OPTION_NUMBER, &g.last_rate, 0, 1, NULL, "default 1e-5"},
        {"warm-up", LAB_OPTION_INTEGER, &g.warm_up, 1, 2147483647, NULL, "steps; default 500"},
        {"warm", LAB_OPTION_NUMBER, &g.warm, 0, 1, NULL, "share of warm starts; default 0.4"},
        {"early", LAB_OPTION_NUMBER, &g.early, 0, 1, NULL,
         "weight of an earlier layer; default 0.3"},
        {"loss", LAB_OPTION_CHOICE, &g.loss, 0, 0, "tchebycheff|penalty",
         "penalty: (27) as printed; default tchebycheff"},
        {"temperature", LAB_OPTION_NUMBER, &g.temperature, 1e-6, 10, NULL, "default 0.03"},
        {"tie", LAB_OPTION_NUMBER, &g.tie, 0, 1, NULL, "weight of f1 + f2; default 0.003"},
        {"smoothing", LAB_OPTION_NUMBER, &g.smoothing, 1e-6, 1, NULL,
         "of the worst case; default 0.03"},
        {"penalty", LAB_OPTION_NUMBER, &g.penalty, 0, 1e6, NULL,
         "sigma of --loss penalty at the end, grows from 1 % of it; default 0.3"},
        {"lower-steps", LAB_OPTION_INTEGER, &g.lower_steps, 1, BEAM_NET_LOWER_STEPS_MAX, NULL,
         "K_GD of --loss penalty of an mlp; default 20"},
        {"checkpoint", LAB_OPTION_TEXT, &g.run.checkpoint, 0, 0, NULL,
         "file written now and then and at the end"},
        {"checkpoint-seconds", LAB_OPTION_INTEGER, &g.run.checkpoint_seconds, 1, 86400, NULL,
         "default 300"},
        {"resume", LAB_OPTION_TEXT, &g.resume, 0, 0, NULL, "checkpoint to go on from, to the bit"},
        {"minutes", LAB_OPTION_NUMBER, &g.run.minutes, 0, 1e6, NULL,
         "stop then, after a checkpoint; the schedule stays that of --steps"},
        {"curve", LAB_OPTION_TEXT, &g.run.curve, 0, 0, NULL, "CSV file"},
        {"evaluate", LAB_OPTION_INTEGER, &g.run.evaluate, 1, 2147483647, NULL,
         "steps between held-out numbers; default 2000"},
        {"held-out", LAB_OPTION_INTEGER, &g.run.held_out, 0, 10000, NULL,
         "scenes of the first family, half of the others; default 24"},
        {"threads", LAB_OPTION_INTEGER, &g.run.threads, 1, 256, NULL, "default: all cores"},
    };
    const lab_command_line line = {
        .usage = "train --steps N --out MODEL [options] | train --resume CHECKPOINT --out MODEL",
        .about = "Trains the network; the result depends on the settings, not on threads or "
                 "interruptions. SIGINT and SIGTERM stop it cleanly.",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_words = 0,
        .most_words = 0};
    int words;
    const int rc = lab_arguments_parse(&line, argc, argv, NULL, &words);
    if (rc) {
        return rc;
    }
    if (!g.out && !g.run.checkpoint) {
        return lab_complain("train: --out or --checkpoint is needed, or the result is lost");
    }
    return run(&g);
}

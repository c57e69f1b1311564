#include "lab/method_options.h"

#include <string.h>

#include "lab/model_file.h"

enum { CHOICE_BOBLRBF, CHOICE_PAPER, CHOICE_CLASSICAL, CHOICE_NETWORK };

lab_method_choice lab_method_choice_default(void)
{
    const beam_paper_options paper = beam_paper_options_default();
    return (lab_method_choice){.method = CHOICE_BOBLRBF,
                               .classical = BEAM_CLASSICAL_RZF,
                               .sensing = BEAM_SENSING_LEAST_CRLB,
                               .threads = 1,
                               .paper_preferences = paper.preferences,
                               .paper_iterations = paper.max_iterations,
                               .paper_lower_steps = paper.lower_steps,
                               .seed = 1,
                               .repairs = "all"};
}

void lab_method_options(lab_option *options, lab_method_choice *choice)
{
    const lab_option list[LAB_METHOD_OPTION_COUNT] = {
        {"method", LAB_OPTION_CHOICE, &choice->method, 0, 0, "boblrbf|paper|classical|network",
         "default boblrbf"},
        {"threads", LAB_OPTION_INTEGER, &choice->threads, 1, 256, NULL,
         "independent work in parallel, default 1"},
        {"refine", LAB_OPTION_INTEGER, &choice->refine, 0, 1e6, NULL,
         "at most so many quasi-Newton iterations more per point"},
        {"max-iterations", LAB_OPTION_INTEGER, &choice->max_iterations, 1, 1e7, NULL,
         "of boblrbf, per point"},
        {"time-limit-ms", LAB_OPTION_NUMBER, &choice->time_limit_ms, 1e-3, 1e9, NULL,
         "per point; the best feasible design so far is returned"},
        {"classical", LAB_OPTION_CHOICE, &choice->classical, 0, 0, "mrt|zf|rzf|wmmse",
         "beams of method classical, default rzf"},
        {"sensing", LAB_OPTION_CHOICE, &choice->sensing, 0, 0, "isotropic|least-crlb",
         "sensing beams of method classical, default least-crlb"},
        {"model", LAB_OPTION_TEXT, &choice->model, 0, 0, NULL,
         "file of method network, default: the one built in"},
        {"repairs", LAB_OPTION_TEXT, &choice->repairs, 0, 0, NULL,
         "of method paper: all (default), none or a list"},
        {"preferences", LAB_OPTION_INTEGER, &choice->paper_preferences, 1, 10000, NULL,
         "K of method paper in solve, default 16"},
        {"paper-iterations", LAB_OPTION_INTEGER, &choice->paper_iterations, 1, 1e7, NULL,
         "at most, per subproblem of method paper"},
        {"lower-steps", LAB_OPTION_INTEGER, &choice->paper_lower_steps, 1, 1e6, NULL,
         "K_GD of method paper"},
        {"start-seed", LAB_OPTION_INTEGER, &choice->seed, 0, 2147483647, NULL,
         "of the random starts of method paper, default 1"},
    };
    memcpy(options, list, sizeof list);
}

/* Says at once what is wrong with the model, before anything is computed. */
static int try_model(const char *path)
{
    beam_error err;
    lab_model *model = lab_model_default(path, &err);
    if (!model && path) {
        return lab_complain_file(path, &err);
    }
    if (!model) {
        return lab_complain("--method network: %s", err.text);
    }
    lab_model_destroy(&model);
    return LAB_EXIT_OK;
}

int lab_method_resolve(const lab_method_choice *choice, lab_run_options *out)
{
    static const beam_method methods[] = {BEAM_METHOD_BOBLRBF, BEAM_METHOD_PAPER,
                                          BEAM_METHOD_CLASSICAL, BEAM_METHOD_NETWORK};
    if (choice->model && choice->method != CHOICE_NETWORK) {
        return lab_complain("--model: only method network has one");
    }
    if (choice->method == CHOICE_NETWORK && try_model(choice->model)) {
        return LAB_EXIT_USAGE;
    }
    *out = lab_run_options_default();
    out->method = methods[choice->method];
    out->classical = (beam_classical)choice->classical;
    out->sensing = (beam_sensing_design)choice->sensing;
    out->threads = choice->threads;
    out->refine = choice->refine;
    out->model_path = choice->model;
    out->max_iterations = choice->max_iterations;
    out->time_limit_us = choice->time_limit_ms * 1e3;
    out->paper.preferences = choice->paper_preferences;
    out->paper.max_iterations = choice->paper_iterations;
    out->paper.lower_steps = choice->paper_lower_steps;
    out->seed = (unsigned long long)choice->seed;
    out->progress = true;
    beam_error err;
    if (beam_repairs_parse(choice->repairs, &out->paper.repairs, &err)) {
        return lab_complain("--repairs: %s", err.text);
    }
    return LAB_EXIT_OK;
}

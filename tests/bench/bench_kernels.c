/* Time of the engine's kernels on the golden scenes, one core, medians and quartiles of many calls.
 * Not a test: a number depends on the machine. Run it as build/tests/bench_kernels [SCENE...]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/golden.h"
#include "common/reduced.h"

enum { CALLS = 400 };

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *scene, const char *what, double *us)
{
    qsort(us, CALLS, sizeof *us, compare);
    printf("%-14s %-52s %9.1f %9.1f %9.1f\n", scene, what, us[CALLS / 4], us[CALLS / 2],
           us[3 * CALLS / 4]);
}

static void bench_evaluator(const char *name, const beam_scene *scene, const beam_design *design)
{
    beam_error err = {0};
    double us[CALLS];
    beam_quality *quality = test_memory(sizeof *quality);
    beam_evaluator *evaluator = test_evaluator_new(&scene->dims, design->sensing_max);
    beam_design *wsr = test_design_new(&scene->dims, design->sensing_max);
    beam_design *crlb = test_design_new(&scene->dims, design->sensing_max);
    for (int i = 0; i < CALLS; i++) {
        const double start = now_us();
        test_must(beam_evaluator_load(evaluator, scene, &err), &err, "load");
        us[i] = now_us() - start;
    }
    print_times(name, "load a scene", us);
    for (int i = 0; i < CALLS; i++) {
        const double start = now_us();
        test_must(beam_evaluator_run(evaluator, design, quality, &err), &err, "run");
        us[i] = now_us() - start;
    }
    print_times(name, "every reported number, N antennas", us);
    for (int i = 0; i < CALLS; i++) {
        const double start = now_us();
        test_must(beam_evaluator_gradient(evaluator, design, wsr, crlb, &err), &err, "gradient");
        us[i] = now_us() - start;
    }
    print_times(name, "exact worst case, CRLB, both gradients, N antennas", us);
    free(quality);
    test_design_free(wsr);
    test_design_free(crlb);
    test_evaluator_free(evaluator);
}

static void bench_internal(const char *name, const beam_scene *scene, const beam_design *design)
{
    double us[CALLS], sum = 0;
    test_reduced *t = test_reduced_new(scene, design->sensing_max, true);
    beam_problem *p = &t->problem;
    const size_t bytes = (size_t)t->point * sizeof(double);
    beam_problem_import(p, design, t->x);
    for (int i = 0; i < CALLS; i++) {
        const double start = now_us();
        sum += beam_robust_exact(&t->robust, t->x);
        memset(t->grad_wsr, 0, bytes);
        beam_robust_exact_gradient(&t->robust, t->x, p->weight, t->grad_wsr);
        memset(t->grad_crlb, 0, bytes);
        beam_problem_sensing_gram(p, t->x, t->proj, t->gram);
        sum += beam_crlb_value(&p->crlb, t->gram, t->pull, NULL);
        beam_problem_sensing_pull(p, t->proj, t->pull, 1, t->grad_crlb);
        us[i] = now_us() - start;
    }
    print_times(name, "exact worst case, CRLB, both gradients, reduced", us);
    for (int i = 0; i < CALLS; i++) {
        const double start = now_us();
        sum += beam_robust_smooth(&t->robust, t->x, 0.1);
        memset(t->grad_wsr, 0, bytes);
        beam_robust_smooth_gradient(&t->robust, t->x, p->weight, t->grad_wsr);
        us[i] = now_us() - start;
    }
    print_times(name, "smoothed worst case and gradient, reduced", us);
    if (!(sum > 0)) {
        printf("%s: no numbers\n", name);
    }
    test_reduced_free(t);
}

static void bench_scene(const char *name)
{
    beam_scene *scene = test_golden_scene(name);
    test_golden_design golden[TEST_GOLDEN_DESIGNS_MAX];
    const int count = test_golden_values(name, scene, golden);
    for (int i = 0; i < count; i++) {
        if (strcmp(golden[i].name, "mid_front") == 0) {
            bench_evaluator(name, scene, golden[i].design);
            bench_internal(name, scene, golden[i].design);
        }
        test_golden_design_free(&golden[i]);
    }
    test_scene_free(scene);
}

int main(int argc, char **argv)
{
    printf("%-14s %-52s %9s %9s %9s\n", "scene", "kernel, us", "quartile", "median", "quartile");
    for (int i = 1; i < argc; i++) {
        bench_scene(argv[i]);
    }
    for (int i = 0; i < TEST_GOLDEN_SCENES && argc == 1; i++) {
        bench_scene(test_golden_names[i]);
    }
    return 0;
}

/* beam_gpu_check: the library of the device against the engine in float64, then times; lines of
 * JSON. Exit status: 0 agreed, 1 not, 2 a call failed, 77 no device (a skip in ctest).
 *
 * Built twice: with libbeamgpu, and (beam_gpu_check_emulated) with its emulation on the CPU, which
 * has the same API and runs the same device functions. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/check.h"

static const char usage[] =
    "usage: beam_gpu_check [--cases N] [--bench] [--cpu] [--size NAME] [--small] [--threads N]\n"
    "                      [--seconds S] [--batch-most N] [--device D] [--probe]\n"
    "                      [--perceptron plain|halves|split]\n"
    "Without --bench: every operation on N (1000) random problems of each size. --bench: times of\n"
    "batches, each for S (1) seconds; --cpu: the engine's on one thread and on all beside them.\n"
    "--small: only sizes for tools that slow everything down. --probe: only whether there is a\n"
    "device.\n";

static bool number(const char *text, double low, double high, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == 0 && *out >= low && *out <= high;
}

/* In the order of beam_gpu_precision. */
static bool set_perceptron(check_options *o, const char *text)
{
    static const char *const words[] = {"plain", "halves", "split"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, words[i]) == 0) {
            o->perceptron = (beam_gpu_precision)i;
            o->perceptron_name = words[i];
            return true;
        }
    }
    return false;
}

static bool set_option(check_options *o, int key, const char *text)
{
    double value = 0;
    switch (key) {
    case 'c':
        return number(text, 1, 1 << 16, &value) && ((o->cases = (int)value), true);
    case 't':
        return number(text, 1, 256, &value) && ((o->threads = (int)value), true);
    case 'd':
        return number(text, 0, 64, &value) && ((o->device = (int)value), true);
    case 'm':
        return number(text, 1, 1 << 20, &value) && ((o->batch_most = (int)value), true);
    case 's':
        return number(text, 0.001, 3600, &o->seconds);
    case 'n':
        o->size = text;
        return true;
    case 'e':
        return set_perceptron(o, text);
    case 'b':
        o->bench = true;
        return true;
    case 'p':
        o->cpu = true;
        return true;
    case 'l':
        o->small = true;
        return true;
    default:
        return key == 'q';
    }
}

static bool parse(int argc, char **argv, check_options *o, bool *probe)
{
    static const struct option known[] = {{"cases", required_argument, NULL, 'c'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"device", required_argument, NULL, 'd'},
                                          {"batch-most", required_argument, NULL, 'm'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"size", required_argument, NULL, 'n'},
                                          {"perceptron", required_argument, NULL, 'e'},
                                          {"bench", no_argument, NULL, 'b'},
                                          {"cpu", no_argument, NULL, 'p'},
                                          {"small", no_argument, NULL, 'l'},
                                          {"probe", no_argument, NULL, 'q'},
                                          {NULL, 0, NULL, 0}};
    int key;
    while ((key = getopt_long(argc, argv, "", known, NULL)) >= 0) {
        if (!set_option(o, key, optarg)) {
            return false;
        }
        *probe = *probe || key == 'q';
    }
    return optind == argc;
}

static bool wanted(const check_options *o, const check_size *size)
{
    return (!o->size || strcmp(o->size, size->name) == 0) && (!o->small || size->small) &&
           (!o->bench || size->batches[0] > 0);
}

/* Agreement: each case a scene of its own. Times: enough scenes for every thread of the CPU. */
static bool run_size(const check_size *size, const beam_model *model, const check_options *given)
{
    enum { BATCH = 1024, SLOTS_AGREEMENT = 1 };
    check_options o = *given;
    if (size->mlp_layers > 0) {
        model = check_mlp_model(size);
        if (!check_mlp_available(size, given, model)) {
            return true; /* and not claimed */
        }
    }
    int batch = o.cases < BATCH ? o.cases : BATCH;
    if (o.bench) {
        o.scenes = o.threads * CHECK_CPU_BATCH < BATCH ? o.threads * CHECK_CPU_BATCH : BATCH;
        batch = 1;
        for (int i = 0; i < CHECK_BATCHES; i++) {
            const int count = size->batches[i];
            batch = count > batch && count <= o.batch_most ? count : batch;
        }
    } else {
        o.scenes = o.cases;
    }
    check_work *work =
        check_work_new(size, &o, model, batch, o.bench ? BEAM_GPU_SLOTS_MAX : SLOTS_AGREEMENT);
    bool agreed = true;
    if (o.bench) {
        check_reduction(size, &o);
        check_bench(work);
    } else {
        agreed = check_agreement(work);
    }
    check_work_free(work);
    return agreed;
}

int main(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    check_options o = {.cases = 1000,
                       .seconds = 1,
                       .batch_most = 1 << 20,
                       .perceptron_name = "plain",
                       .threads = cores >= 1 && cores <= 256 ? (int)cores : 1};
    bool probe = false;
    beam_gpu_error err = {0};
    if (!parse(argc, argv, &o, &probe)) {
        fputs(usage, stderr);
        return CHECK_FAILED;
    }
    if (beam_gpu_devices(&err) == 0) {
        printf("skipped: %s\n", err.text);
        return CHECK_SKIPPED;
    }
    if (probe) {
        return CHECK_AGREED;
    }
    const beam_model *model = check_model();
    bool agreed = true, any = false;
    for (int i = 0; i < check_size_count; i++) {
        if (wanted(&o, &check_sizes[i])) {
            agreed = run_size(&check_sizes[i], model, &o) && agreed;
            any = true;
        }
        (void)fflush(stdout);
    }
    if (!any) {
        fprintf(stderr, "beam_gpu_check: no size %s\n", o.size ? o.size : "");
        return CHECK_FAILED;
    }
    return agreed ? CHECK_AGREED : CHECK_DISAGREED;
}

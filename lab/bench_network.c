/* Time of the network's answers, and of each stage. */
#include <math.h>
#include <stdio.h>

#include "lab/bench.h"
#include "lab/network_timing.h"

static beam_code report(lab_bench *self, lab_network_timing *t, double target, beam_error *err)
{
    char name[96];
    snprintf(name, sizeof name, "load + answer, batches of %d, %s", t->batch,
             t->warm ? "warm" : "cold");
    beam_code code =
        lab_bench_add(self, "network", name, "us", t->total_us, t->rounds, target, err);
    code = code ? code
                : lab_bench_value(self, "network", "  of these load", "us", t->load_us, NAN, err);
    for (int i = 0; !code && i < BEAM_STAGE_COUNT; i++) {
        if (t->stage_us[i] > 0) {
            snprintf(name, sizeof name, "  of these %s", lab_stage_text((beam_stage)i));
            code = lab_bench_value(self, "network", name, "us", t->stage_us[i], NAN, err);
        }
    }
    return code ? code
                : lab_bench_value(self, "network", "  classical design searched", "%",
                                  100 * t->measured_classical, NAN, err);
}

beam_code lab_bench_network(lab_bench *self, beam_error *err)
{
    static const int batches[] = {1, 8, 64, 256};
    static const double targets[] = {100, NAN, 50, NAN};
    if (!self->model && !beam_model_embedded(&(size_t){0})) {
        lab_bench_title(self, "network", "left out: no model is built into this program");
        return BEAM_OK;
    }
    lab_model *model = lab_model_default(self->model, err);
    if (!model) {
        return err->code;
    }
    beam_code code = BEAM_OK;
    lab_bench_title(self, "network", "one answer, paper's size, new CSI for each, one core");
    for (int i = 0; !code && i < 8; i++) {
        lab_network_timing timing;
        const int rounds = 20 + 4000 / batches[i / 2];
        code = lab_network_time(&timing, model, 0, self->first_seed, batches[i / 2], rounds,
                                i % 2 == 1, err);
        if (!code) {
            code = report(self, &timing, targets[i / 2], err);
            lab_network_timing_clear(&timing);
        }
    }
    lab_model_destroy(&model);
    return code;
}

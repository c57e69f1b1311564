/* GPUs and their workers as Prometheus text. */
#include <stdio.h>

#include "metrics_text.h"

/* The value of the label `device`. */
static const char *device_word(const beamd_gpu_gauge *gpu, char out[16])
{
    snprintf(out, 16, "%u", gpu->device);
    return out;
}

/* name{device="0" */
static void open_sample(beamd_text *t, const char *name, const beamd_gpu_gauge *gpu)
{
    char number[16];
    beamd_text_put(t, name);
    beamd_text_put(t, "{");
    beamd_text_label(t, "device", device_word(gpu, number));
}

static void put_reason(beamd_text *t, const char *name, const beamd_gpu_gauge *gpu,
                       const char *label, const char *word, uint64_t value)
{
    open_sample(t, name, gpu);
    beamd_text_label(t, label, word);
    beamd_text_put(t, "} ");
    beamd_text_put_count(t, value);
    beamd_text_put(t, "\n");
}

static void put_states(const beamd_gauges *g, beamd_text *t)
{
    static const char name[] = "beamd_gpu_state";
    beamd_text_head(t, name, "gauge", "1 for the state that the GPU's worker is in, else 0.");
    for (unsigned k = 0; k < g->gpus; k++) {
        for (int s = 0; s < BEAMD_GPU_STATES; s++) {
            put_reason(t, name, &g->gpu[k], ",state", beamd_gpu_state_text((beamd_gpu_state)s),
                       (int)g->gpu[k].state == s);
        }
    }
}

static void put_seconds(const beamd_gauges *g, beamd_text *t)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } gauges[] = {{"beamd_gpu_start_seconds",
                   "What the worker's last start took until it was ready; 0: none.",
                   offsetof(beamd_gpu_gauge, start_s)},
                  {"beamd_gpu_respawn_seconds",
                   "From the last loss of a worker to the next one ready; 0: there was none.",
                   offsetof(beamd_gpu_gauge, respawn_s)},
                  {"beamd_gpu_retry_seconds", "Until the next start of a worker; 0: none is due.",
                   offsetof(beamd_gpu_gauge, retry_s)}};
    for (size_t n = 0; n < sizeof gauges / sizeof gauges[0]; n++) {
        beamd_text_head(t, gauges[n].name, "gauge", gauges[n].help);
        for (unsigned k = 0; k < g->gpus; k++) {
            char number[16];
            const char *at = (const char *)&g->gpu[k] + gauges[n].offset;
            beamd_text_number(t, gauges[n].name, "device", device_word(&g->gpu[k], number),
                              *(const double *)(const void *)at);
        }
    }
}

static void put_counts(const beamd_gauges *g, beamd_text *t)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } counters[] = {
        {"beamd_gpu_starts_total", "Workers started.", offsetof(beamd_gpu_counts, starts)},
        {"beamd_gpu_ready_total", "Workers that became ready.", offsetof(beamd_gpu_counts, ready)},
        {"beamd_gpu_absent_total", "Starts that found no program, driver or device.",
         offsetof(beamd_gpu_counts, absent)},
        {"beamd_gpu_batches_total", "Batches given to the worker.",
         offsetof(beamd_gpu_counts, batches)},
        {"beamd_gpu_answered_total", "Batches that it answered in time.",
         offsetof(beamd_gpu_counts, answered)},
        {"beamd_gpu_late_total", "Batches answered after the CPU had been given them.",
         offsetof(beamd_gpu_counts, late)}};
    for (size_t n = 0; n < sizeof counters / sizeof counters[0]; n++) {
        beamd_text_head(t, counters[n].name, "counter", counters[n].help);
        for (unsigned k = 0; k < g->gpus; k++) {
            char number[16];
            const char *at = (const char *)&g->gpu[k].counts + counters[n].offset;
            beamd_text_count(t, counters[n].name, "device", device_word(&g->gpu[k], number),
                             *(const uint64_t *)(const void *)at);
        }
    }
}

static void put_losses(const beamd_gauges *g, beamd_text *t)
{
    static const char ended[] = "beamd_gpu_ended_total", lost[] = "beamd_gpu_lost_total";
    beamd_text_head(t, ended, "counter", "Workers that ended, by reason.");
    for (unsigned k = 0; k < g->gpus; k++) {
        for (int r = 0; r < BEAMD_GPU_LOSSES; r++) {
            put_reason(t, ended, &g->gpu[k], ",reason", beamd_gpu_loss_text((beamd_gpu_loss)r),
                       g->gpu[k].counts.ended[r]);
        }
    }
    beamd_text_head(t, lost, "counter", "Batches that the CPU was given instead, by reason.");
    for (unsigned k = 0; k < g->gpus; k++) {
        for (int r = 0; r < BEAMD_GPU_LOSSES; r++) {
            put_reason(t, lost, &g->gpu[k], ",reason", beamd_gpu_loss_text((beamd_gpu_loss)r),
                       g->gpu[k].counts.lost[r]);
        }
    }
}

static void put_gauge(const beamd_gauges *g, beamd_text *t)
{
    static const char name[] = "beamd_gpu_in_flight";
    beamd_text_head(t, name, "gauge", "Batches that the worker has.");
    for (unsigned k = 0; k < g->gpus; k++) {
        char number[16];
        beamd_text_count(t, name, "device", device_word(&g->gpu[k], number), g->gpu[k].in_flight);
    }
}

void beamd_text_gpus(const beamd_gauges *g, beamd_text *t)
{
    if (g->gpus > 0) {
        put_states(g, t);
        put_gauge(g, t);
        put_seconds(g, t);
        put_counts(g, t);
        put_losses(g, t);
    }
}

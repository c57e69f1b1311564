/* The clusters one by one, as Prometheus text. */
#include "metrics.h"

#include <stddef.h>

#include "beamd.pb-c.h"
#include "metrics_text.h"

#define FIELD(name) offsetof(beamd_cluster_gauge, name)

typedef enum value_kind { NUMBER, UNSIGNED, COUNT } value_kind;

/* Which clusters have the sample. */
typedef enum condition { ALWAYS, SOLVED, BOUNDED } condition;

static const struct {
    const char *name, *help;
    size_t offset;
    value_kind kind;
    condition condition;
} rows[] = {
    {"beamd_cluster_tradeoff", "Preference: 0 communication only, 1 sensing only.", FIELD(tradeoff),
     NUMBER, ALWAYS},
    {"beamd_cluster_users", "Users with channels.", FIELD(users), UNSIGNED, ALWAYS},
    {"beamd_cluster_subbands", "Subbands of the registration.", FIELD(subbands), UNSIGNED, ALWAYS},
    {"beamd_cluster_wsr_worst_case_bps_hz",
     "Exact worst-case weighted sum rate of the last answer, the least of its problems.",
     FIELD(wsr_worst_case_bps_hz), NUMBER, SOLVED},
    {"beamd_cluster_wsr_ideal_bps_hz", "Best rate known, the zero of the rate loss.",
     FIELD(wsr_ideal_bps_hz), NUMBER, SOLVED},
    {"beamd_cluster_crlb_m2", "Cramer-Rao bound of the last answer, the greatest of its problems.",
     FIELD(crlb_m2), NUMBER, BOUNDED},
    {"beamd_cluster_crlb_min_m2", "Least bound of these budgets and targets.", FIELD(crlb_min_m2),
     NUMBER, SOLVED},
    {"beamd_cluster_power_slack_watts", "Budget less power, of the station that has least.",
     FIELD(power_slack_w), NUMBER, SOLVED},
    {"beamd_cluster_users_below_floor", "Users whose worst-case rate is under their minimum.",
     FIELD(users_below_floor), UNSIGNED, SOLVED},
    {"beamd_cluster_shortfall_bps_hz", "What these users lack together.", FIELD(shortfall_bps_hz),
     NUMBER, SOLVED},
    {"beamd_cluster_age_seconds", "Time since the last answer.", FIELD(age_s), NUMBER, SOLVED},
    {"beamd_cluster_csi_age_seconds", "Age of the oldest channels in the last answer, when solved.",
     FIELD(csi_age_s), NUMBER, SOLVED},
    {"beamd_cluster_solutions_total", "Answers of the cluster.", FIELD(solutions), COUNT, ALWAYS},
    {"beamd_cluster_superseded_total", "CSI requests replaced before their solve.",
     FIELD(superseded), COUNT, ALWAYS},
    {"beamd_cluster_deadlines_missed_total", "Answers sent late.", FIELD(deadlines_missed), COUNT,
     ALWAYS},
};

static void put_value(beamd_text *t, const beamd_cluster_gauge *c, size_t offset, value_kind kind)
{
    const void *at = (const char *)c + offset;
    switch (kind) {
    case NUMBER:
        beamd_text_put_number(t, *(const double *)at);
        break;
    case UNSIGNED:
        beamd_text_put_count(t, *(const unsigned *)at);
        break;
    case COUNT:
        beamd_text_put_count(t, *(const uint64_t *)at);
        break;
    }
    beamd_text_put(t, "\n");
}

static void put_services(beamd_text *t, const beamd_cluster_gauge *clusters, size_t count)
{
    static const char name[] = "beamd_cluster_answers_total";
    beamd_text_head(t, name, "counter", "Answers of the cluster by the least service in them.");
    for (unsigned s = 0; s < BEAMD_SERVICE_KINDS; s++) {
        char word[BEAMD_WORD_BYTES];
        beamd_text_word(&beamd__service__descriptor, "SERVICE_", s, word);
        for (size_t k = 0; k < count; k++) {
            beamd_text_put(t, name);
            beamd_text_put(t, "{cluster=\"");
            beamd_text_put(t, clusters[k].cluster);
            beamd_text_put(t, "\",service=\"");
            beamd_text_put(t, word);
            beamd_text_put(t, "\"} ");
            beamd_text_put_count(t, clusters[k].by_service[s]);
            beamd_text_put(t, "\n");
        }
    }
}

void beamd_metrics_render_clusters(const beamd_cluster_gauge *clusters, size_t count, beamd_text *t)
{
    for (size_t r = 0; r < sizeof rows / sizeof rows[0] && count > 0; r++) {
        bool headed = false;
        for (size_t k = 0; k < count; k++) {
            const beamd_cluster_gauge *c = &clusters[k];
            if ((rows[r].condition != ALWAYS && !c->solved) ||
                (rows[r].condition == BOUNDED && !c->crlb_valid)) {
                continue;
            }
            if (!headed) {
                beamd_text_head(t, rows[r].name, rows[r].kind == COUNT ? "counter" : "gauge",
                                rows[r].help);
                headed = true;
            }
            /* admissible ids need no escaping in a label */
            beamd_text_put(t, rows[r].name);
            beamd_text_put(t, "{cluster=\"");
            beamd_text_put(t, c->cluster);
            beamd_text_put(t, "\"} ");
            put_value(t, c, rows[r].offset, rows[r].kind);
        }
    }
    if (count > 0) {
        put_services(t, clusters, count);
    }
}

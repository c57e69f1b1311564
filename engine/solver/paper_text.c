/* Names of the repairs and of the outcomes of mode paper. */
#include <string.h>

#include "beam/paper.h"

static const struct {
    beam_repair bit;
    const char *name;
} repair_names[] = {
    {BEAM_REPAIR_PSD, "psd"},
    {BEAM_REPAIR_UNITS, "units"},
    {BEAM_REPAIR_PHASE0, "phase0"},
    {BEAM_REPAIR_BUDGET, "budget"},
    {BEAM_REPAIR_BALL, "ball"},
    {BEAM_REPAIR_FRESH_CUTS, "fresh-cuts"},
    {BEAM_REPAIR_FEASIBLE_STEP, "feasible-step"},
    {BEAM_REPAIR_EXACT_REPORT, "exact-report"},
};

enum { REPAIR_COUNT = sizeof repair_names / sizeof repair_names[0] };

const char *beam_repair_name(beam_repair repair)
{
    for (int i = 0; i < REPAIR_COUNT; i++) {
        if (repair_names[i].bit == repair) {
            return repair_names[i].name;
        }
    }
    return NULL;
}

beam_code beam_repairs_parse(const char *text, unsigned *repairs, beam_error *err)
{
    if (!text || !repairs) {
        return beam_fail(err, BEAM_E_INVALID, "repairs", "no repairs given");
    }
    if (strcmp(text, "all") == 0 || strcmp(text, "none") == 0) {
        *repairs = text[0] == 'a' ? BEAM_REPAIR_ALL : 0u;
        return BEAM_OK;
    }
    unsigned bits = 0;
    for (const char *word = text;; word++) {
        const size_t length = strcspn(word, ",");
        int found = -1;
        for (int i = 0; i < REPAIR_COUNT; i++) {
            if (strlen(repair_names[i].name) == length &&
                strncmp(repair_names[i].name, word, length) == 0) {
                found = i;
            }
        }
        if (found < 0) {
            return beam_fail(err, BEAM_E_INVALID, "repairs",
                             "unknown repair \"%.*s\": all, none, or a comma list of psd, units, "
                             "phase0, budget, ball, "
                             "fresh-cuts, feasible-step, exact-report",
                             (int)(length < 40 ? length : 40), word);
        }
        bits |= (unsigned)repair_names[found].bit;
        word += length;
        if (!*word) {
            break;
        }
    }
    *repairs = bits;
    return BEAM_OK;
}

const char *beam_paper_status_text(beam_paper_status status)
{
    switch (status) {
    case BEAM_PAPER_CRITICAL:
        return "Pareto-critical";
    case BEAM_PAPER_ITERATION_LIMIT:
        return "iteration limit";
    case BEAM_PAPER_NO_STEP:
        return "no admissible step";
    case BEAM_PAPER_INDEFINITE:
        return "Q left the cone";
    case BEAM_PAPER_TIME_LIMIT:
        return "time limit";
    case BEAM_PAPER_NUMERIC:
        return "numeric";
    }
    return "unknown status";
}

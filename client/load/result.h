/* What a run counts and measures. Latencies are from the intended send time. */
#ifndef BEAMLOAD_RESULT_H
#define BEAMLOAD_RESULT_H

#include "load/histogram.h"
#include "load/load.h"

enum { LOAD_SERVICES = 4, LOAD_METHODS = 5, LOAD_BACKENDS = 5, LOAD_CODES = 15 };

typedef enum load_stage {
    LOAD_STAGE_END_TO_END = 0, /* intended send to answer read */
    LOAD_STAGE_GENERATOR = 1,  /* intended to actual send: the generator's own lateness */
    LOAD_STAGE_TRANSPORT = 2,  /* sent to read, less the daemon's total */
    LOAD_STAGE_DECODE = 3,     /* received to queued */
    LOAD_STAGE_QUEUE = 4,      /* queued to solve start */
    LOAD_STAGE_SOLVE = 5,
    LOAD_STAGE_CHECK = 6,       /* solve end to last exact number */
    LOAD_STAGE_SEND = 7,        /* solve end to sent, the check included */
    LOAD_STAGE_DAEMON = 8,      /* received to sent */
    LOAD_STAGE_OVERHEAD = 9,    /* end to end less solve, answer by answer */
    LOAD_STAGE_ROUND_TRIP = 10, /* actual send to answer read */
    LOAD_STAGES = 11
} load_stage;

typedef struct load_result {
    double seconds; /* measured, from the first intended send to the last */
    /* CSI requests with an intended time after the warm-up */
    uint64_t requests;
    uint64_t answers;                /* with beams */
    uint64_t service[LOAD_SERVICES]; /* of them; of a set the least */
    uint64_t on_time[LOAD_SERVICES]; /* within the deadline, by service */
    uint64_t marked_late;            /* `late` set */
    uint64_t unmarked_late;          /* the daemon's own total over the deadline, `late` not set */
    uint64_t method[LOAD_METHODS], backend[LOAD_BACKENDS]; /* of solutions */
    uint64_t solutions; /* more than answers where they come in sets */
    uint64_t warm;
    uint64_t errors[LOAD_CODES];  /* by code */
    uint64_t bytes_out, bytes_in; /* of CSI requests and their answers */
    /* everything, the warm-up included */
    uint64_t sent, target_updates, target_errors;
    uint64_t unanswered;  /* must be 0 */
    uint64_t duplicates;  /* second answers to one request; must be 0 */
    uint64_t unexpected;  /* answers to nothing that was asked; must be 0 */
    uint64_t unreadable;  /* must be 0 */
    uint64_t send_waited; /* sends that found no room in ZeroMQ */
    uint64_t resident_first_kib, resident_least_kib, resident_most_kib, resident_last_kib;
    char first_error[256]; /* of CSI or targets, other than superseded */
    load_histogram stage[LOAD_STAGES];
} load_result;

/* NULL: *err. free() it. */
load_result *load_result_create(load_error *err);
void load_result_clear(load_result *self);
/* Adds what another run of the same kind measured. */
void load_result_merge(load_result *self, const load_result *other);
/* Answers within the deadline of at least this service (Beamd__Service), as a share of all measured
 * requests. */
double load_result_on_time(const load_result *self, int least_service);
/* Every request has exactly one answer. False: *err says what is wrong. */
bool load_result_whole(const load_result *self, load_error *err);

#endif

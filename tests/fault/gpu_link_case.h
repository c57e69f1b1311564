/* A link to the tests' worker, batches of real scenes in it, and the record of what became of every
 * one: answered or lost, once. */
#ifndef TEST_GPU_LINK_CASE_H
#define TEST_GPU_LINK_CASE_H

#include "common/model.h"
#include "common/random.h"
#include "gpu_link_internal.h"
#include "ring/pack.h"

enum { CASE_SCENES = 2, CASE_PROBLEMS = 4, CASE_TICKETS = 4096, CASE_SAID = 64 };

typedef enum case_fate { CASE_NOT_YET = 0, CASE_ANSWERED = 1, CASE_LOST = 2 } case_fate;

typedef struct case_record {
    uint64_t ticket, lost_at_ns, reported_ns;
    case_fate fate;
    beamd_gpu_loss loss;
    bool good; /* the answer could be read */
} case_record;

/* Of the worker's program: "host" answers with the engine's bits, "emulated" with those of the
 * device functions, through everything that a device's batches go through. */
extern const char *case_backend;

typedef struct link_case {
    beamd_gpu_options options;
    beamg_setup setup;
    const char *arguments[8];
    beamd_gpu_link *link;
    test_model_file file[2];
    char path[2][64];
    beam_scene *scene[CASE_SCENES];
    beam_ideal ideal[CASE_SCENES];
    beamg_place place[CASE_PROBLEMS];
    case_record record[CASE_TICKETS];
    unsigned records;
    unsigned answered, lost, bad; /* bad: ANSWERED with what cannot be believed */
    bool distrust;                /* on a bad one */
    char said[CASE_SAID][256];
    unsigned lines, warnings;
    uint64_t wanted_ns; /* of the last step */
} link_case;

uint64_t case_now_ns(void);
/* fault: of the worker, NULL: none. Limits that suit a loaded machine. Not linked yet. */
link_case *link_case_new(const char *fault);
void link_case_fault(link_case *c, const char *fault); /* of the next worker */
void link_case_open(link_case *c);
/* Ends the test when a batch is without a fate, or the link knows of one. */
void link_case_free(link_case *c);

/* Waits for the descriptor or the time that the link asks for, at most limit_ns; steps; reaps. Ends
 * the test when a batch has no fate although its time is over. */
void case_turn(link_case *c, uint64_t limit_ns);
void case_turns(link_case *c, uint64_t for_ns);
/* Turns until the link is in this state; ends the test after 20 s. */
void case_until(link_case *c, beamd_gpu_state state);
/* Turns until every batch has a fate. */
void case_settle(link_case *c);

/* One batch of CASE_PROBLEMS; false: no slot or no worker. */
bool case_submit(link_case *c, uint64_t lost_after_ns);
/* An open loop: a batch every period_ns for for_ns, whatever becomes of them. */
void case_load(link_case *c, uint64_t period_ns, uint64_t lost_after_ns, uint64_t for_ns);

/* What the backend answers, in this process, to the problems of a batch with model `model`: merits
 * and beams. */
void case_reference(link_case *c, int model, double merit[CASE_PROBLEMS],
                    beam_design *design[CASE_PROBLEMS]);
/* Of one batch: its beams. Waits for a worker and a slot; ends the test unless it is answered. */
void case_ask(link_case *c, double merit[CASE_PROBLEMS], beam_design *design[CASE_PROBLEMS]);

#endif

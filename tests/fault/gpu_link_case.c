#include "fault/gpu_link_case.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "worker/backend.h"

#define MS UINT64_C(1000000)

const char *case_backend = "host";

uint64_t case_now_ns(void)
{
    return beamd_clock_ns();
}

static void say(void *arg, bool warning, const char *text)
{
    link_case *c = arg;
    snprintf(c->said[c->lines % CASE_SAID], sizeof c->said[0], "%s", text);
    c->lines++;
    c->warnings += warning;
    if (getenv("BEAM_TEST_VERBOSE")) {
        (void)fprintf(stderr, "%s\n", text);
    }
}

static void make_scenes(link_case *c)
{
    test_random random = test_random_new(8);
    const beam_dims dims = {.stations = 2, .antennas = 4, .users = 3, .targets = 2};
    beam_solver *solver = test_solver_new(&dims);
    for (int i = 0; i < CASE_SCENES; i++) {
        beam_error err;
        c->scene[i] = test_random_scene(&random, &dims, 0.1);
        test_must(beam_solver_load(solver, c->scene[i], &err), &err, "load");
        test_must(beam_solver_compute_sensing_end(solver, &err), &err, "sensing end");
        test_must(beam_solver_compute_rate_end(solver, &err), &err, "rate end");
        c->ideal[i] = beam_solver_ideal(solver);
    }
    test_solver_free(solver);
    c->setup = (beamg_setup){.rooms = 1};
    c->setup.room[0] = (beamg_room){.dims = {2, 4, 3, 2}, .problems = CASE_PROBLEMS};
}

link_case *link_case_new(const char *fault)
{
    link_case *c = test_memory(sizeof *c);
    memset(c, 0, sizeof *c);
    make_scenes(c);
    for (int i = 0; i < 2; i++) {
        c->file[i] = test_model_make_fresh(2, 6, "fresh", 20 + (uint64_t)i);
        snprintf(c->path[i], sizeof c->path[i], "/tmp/test_gpu_link.%d.%d.beamnet", (int)getpid(),
                 i);
        test_model_save(&c->file[i], c->path[i]);
    }
    snprintf(c->setup.model_file, sizeof c->setup.model_file, "%s", c->path[0]);
    c->options = beamd_gpu_options_default();
    c->options.program = BEAM_GPU_WORKER;
    c->options.arguments = c->arguments;
    c->options.request_bytes = c->options.answer_bytes = 1 << 16;
    c->options.heartbeat_ns = 5 * MS;
    c->options.heartbeat_limit_ns = 3000 * MS; /* other tests may have the processors */
    c->options.hang_ns = 3000 * MS;
    c->options.start_limit_ns = 20000 * MS;
    c->options.backoff_ns = 1 * MS;
    c->options.backoff_max_ns = 8 * MS;
    c->options.say = say;
    c->options.say_arg = c;
    link_case_fault(c, fault);
    return c;
}

void link_case_fault(link_case *c, const char *fault)
{
    c->arguments[0] = "--backend";
    c->arguments[1] = case_backend;
    c->arguments[2] = fault ? "--fault" : NULL;
    c->arguments[3] = fault;
}

void link_case_open(link_case *c)
{
    char why[256];
    c->link = beamd_gpu_link_create(&c->options, &c->setup, why, sizeof why);
    if (!c->link) {
        fail_msg("%s", why);
    }
}

void link_case_free(link_case *c)
{
    beamd_gpu_outcome outcome;
    beamd_gpu_status status;
    assert_false(beamd_gpu_reap(c->link, &outcome));
    beamd_gpu_link_status(c->link, &status);
    assert_int_equal(status.in_flight, 0);
    uint64_t lost = 0;
    for (int i = 0; i < BEAMD_GPU_LOSSES; i++) {
        lost += status.counts.lost[i];
    }
    for (unsigned i = 0; i < c->records; i++) {
        assert_int_not_equal(c->record[i].fate, CASE_NOT_YET);
    }
    assert_int_equal(c->answered + c->lost, c->records);
    assert_int_equal(status.counts.batches, c->records);
    assert_int_equal(status.counts.answered, c->answered);
    assert_int_equal(lost, c->lost);
    beamd_gpu_link_destroy(&c->link);
    assert_null(c->link);
    for (int i = 0; i < 2; i++) {
        unlink(c->path[i]);
        test_model_file_free(&c->file[i]);
    }
    for (int i = 0; i < CASE_SCENES; i++) {
        test_scene_free(c->scene[i]);
    }
    free(c);
}

/* --- Answers --- */

static bool read_answer(link_case *c, const beamd_gpu_outcome *o, double *merit,
                        beam_design *const *design)
{
    const void *memory = beamd_gpu_answer_memory(c->link, o->slot);
    beamg_answer_head head;
    beam_error err;
    bool good = beamg_answer_open(&head, memory, o->ticket, CASE_PROBLEMS, &err) == BEAM_OK;
    for (uint32_t p = 0; good && p < CASE_PROBLEMS; p++) {
        beam_design *out = design ? design[p] : test_design_new(&c->scene[0]->dims, -1);
        beam_result result;
        double network_merit;
        good = beamg_answer_take(memory, p, &c->place[p], out, &result, &network_merit, &err) ==
               BEAM_OK;
        if (good && merit) {
            merit[p] = result.merit;
        }
        if (!design) {
            test_design_free(out);
        }
    }
    return good;
}

static void note(link_case *c, const beamd_gpu_outcome *o, uint64_t now_ns)
{
    case_record *r = o->arg;
    assert_true(r >= c->record && r < c->record + c->records);
    assert_int_equal(r->ticket, o->ticket);
    assert_int_equal(r->fate, CASE_NOT_YET); /* exactly once */
    r->reported_ns = now_ns;
    r->loss = o->loss;
    if (o->fate == BEAMD_GPU_LOST) {
        r->fate = CASE_LOST;
        c->lost++;
        return;
    }
    r->fate = CASE_ANSWERED;
    c->answered++;
    r->good = read_answer(c, o, NULL, NULL);
    c->bad += !r->good;
    beamd_gpu_release(c->link, o->slot);
    if (!r->good && c->distrust) {
        beamd_gpu_distrust(c->link, now_ns);
    }
}

static void step(link_case *c)
{
    const uint64_t now_ns = case_now_ns();
    beamd_gpu_outcome outcome;
    c->wanted_ns = beamd_gpu_link_step(c->link, now_ns);
    while (beamd_gpu_reap(c->link, &outcome)) {
        note(c, &outcome, now_ns);
    }
    const unsigned first = c->records > BEAMG_SLOTS_MAX ? c->records - BEAMG_SLOTS_MAX : 0;
    for (unsigned i = first; i < c->records; i++) {
        assert_true(c->record[i].fate != CASE_NOT_YET || c->record[i].lost_at_ns > now_ns);
    }
}

void case_turn(link_case *c, uint64_t limit_ns)
{
    const uint64_t now_ns = case_now_ns();
    uint64_t wait_ns = c->wanted_ns > now_ns ? c->wanted_ns - now_ns : 0;
    wait_ns = wait_ns < limit_ns ? wait_ns : limit_ns;
    struct pollfd wait = {.fd = beamd_gpu_link_fd(c->link), .events = POLLIN};
    const struct timespec limit = {.tv_sec = (time_t)(wait_ns / (1000 * MS)),
                                   .tv_nsec = (long)(wait_ns % (1000 * MS))};
    (void)ppoll(&wait, 1, &limit, NULL);
    step(c);
}

void case_turns(link_case *c, uint64_t for_ns)
{
    const uint64_t end_ns = case_now_ns() + for_ns;
    for (uint64_t now_ns; (now_ns = case_now_ns()) < end_ns;) {
        case_turn(c, end_ns - now_ns);
    }
}

void case_until(link_case *c, beamd_gpu_state state)
{
    const uint64_t end_ns = case_now_ns() + 20000 * MS;
    while (beamd_gpu_link_state(c->link) != state) {
        if (case_now_ns() > end_ns) {
            beamd_gpu_status status;
            beamd_gpu_link_status(c->link, &status);
            fail_msg("%s, not %s: %s", beamd_gpu_state_text(status.state),
                     beamd_gpu_state_text(state), status.text);
        }
        case_turn(c, 100 * MS);
    }
}

void case_settle(link_case *c)
{
    while (c->answered + c->lost < c->records) {
        case_turn(c, 100 * MS);
    }
}

/* --- Batches --- */

static uint64_t fill(link_case *c, void *request, uint64_t deadline_ns)
{
    beamg_writer w;
    beam_error err;
    test_must(beamg_write_begin(&w, request, c->options.request_bytes, c->options.answer_bytes,
                                CASE_SCENES, CASE_SCENES, CASE_PROBLEMS, &err),
              &err, "begin");
    for (uint32_t i = 0; i < CASE_SCENES; i++) {
        test_must(beamg_write_frame(&w, c->scene[i], 0, NULL, false, &err), &err, "frame");
        test_must(beamg_write_scene(&w, i, c->scene[i], &c->ideal[i], &err), &err, "scene");
    }
    for (uint32_t p = 0; p < CASE_PROBLEMS; p++) {
        test_must(beamg_write_problem(&w, p / 2, p % 2 ? 0.3 : 0.7, NULL, 0, 0, &c->place[p], &err),
                  &err, "problem");
    }
    return beamg_write_end(&w, deadline_ns);
}

bool case_submit(link_case *c, uint64_t lost_after_ns)
{
    const int slot = beamd_gpu_claim(c->link);
    if (slot < 0) {
        return false;
    }
    if (c->records == CASE_TICKETS) {
        fail_msg("%u batches: %u answered (%u badly), %u lost", c->records, c->answered, c->bad,
                 c->lost);
    }
    const uint64_t now_ns = case_now_ns();
    const uint64_t bytes =
        fill(c, beamd_gpu_request_memory(c->link, (unsigned)slot), now_ns + lost_after_ns);
    case_record *r = &c->record[c->records++];
    *r = (case_record){.lost_at_ns = now_ns + lost_after_ns};
    r->ticket = beamd_gpu_submit(c->link, (unsigned)slot, bytes, r->lost_at_ns, now_ns, r);
    assert_true(r->ticket > 0);
    return true;
}

void case_load(link_case *c, uint64_t period_ns, uint64_t lost_after_ns, uint64_t for_ns)
{
    const uint64_t start_ns = case_now_ns();
    for (uint64_t next_ns = start_ns; next_ns < start_ns + for_ns; next_ns += period_ns) {
        for (uint64_t now_ns; (now_ns = case_now_ns()) < next_ns;) {
            case_turn(c, next_ns - now_ns);
        }
        (void)case_submit(c, lost_after_ns);
        step(c);
    }
}

/* The same in this process. */
static void emulated_reference(link_case *c, int model, double merit[CASE_PROBLEMS],
                               beam_design *design[CASE_PROBLEMS])
{
    const beamg_backend *b = &beamg_backend_emulated;
    void *self, *request = test_memory(c->options.request_bytes),
                *answer = test_memory(c->options.answer_bytes);
    char device[BEAMG_TEXT_BYTES], why[BEAMG_TEXT_BYTES];
    beamg_setup setup = c->setup;
    beam_error err;
    beamg_job job = {.ticket = 1};
    snprintf(setup.model_file, sizeof setup.model_file, "%s", c->path[model]);
    if (b->open(&self, &setup, device, why, sizeof why) != 0 ||
        beamg_backend_setup(b, self, &setup, why, sizeof why) != 0) {
        fail_msg("%s", why);
    }
    test_must(beamg_request_open(&job.request, request, fill(c, request, 0),
                                 c->options.answer_bytes, &err),
              &err, "request");
    beamg_answer_begin(&job.answer, &job.request, answer);
    b->submit(self, &job);
    while (!b->collect(self)) {
        usleep(100);
    }
    assert_int_equal(job.status, BEAMG_OK);
    beamg_answer_end(&job.answer, 1, 1, 1, 1);
    for (uint32_t p = 0; p < CASE_PROBLEMS; p++) {
        beam_result result;
        double network_merit;
        test_must(
            beamg_answer_take(answer, p, &c->place[p], design[p], &result, &network_merit, &err),
            &err, "answer");
        merit[p] = result.merit;
    }
    b->close(self);
    free(request);
    free(answer);
}

void case_reference(link_case *c, int model, double merit[CASE_PROBLEMS],
                    beam_design *design[CASE_PROBLEMS])
{
    if (strcmp(case_backend, "emulated") == 0) {
        emulated_reference(c, model, merit, design);
        return;
    }
    const test_model_file *file = &c->file[model];
    const beam_dims *dims = &c->scene[0]->dims;
    beam_error err;
    beam_model *loaded;
    beam_inference *inference;
    const size_t model_bytes = beam_model_memsize(&file->info);
    const size_t bytes = beam_inference_memsize(&file->info, dims, CASE_PROBLEMS);
    void *model_memory = test_memory(model_bytes), *memory = test_memory(bytes);
    beam_solver *solver = test_solver_new(dims);
    test_must(beam_model_load(&loaded, file->bytes, file->size, model_memory, model_bytes, &err),
              &err, "model");
    test_must(
        beam_inference_init(&inference, &file->info, dims, CASE_PROBLEMS, memory, bytes, &err),
        &err, "inference");
    for (int i = 0; i < CASE_SCENES; i++) {
        beam_result result[2];
        beam_network_request request[2];
        test_must(beam_solver_load(solver, c->scene[i], &err), &err, "load");
        test_must(beam_solver_set_ideal(solver, &c->ideal[i], &err), &err, "ideal");
        for (int p = 0; p < 2; p++) {
            request[p] = (beam_network_request){.solver = solver,
                                                .tradeoff = p % 2 ? 0.3 : 0.7,
                                                .out = design[2 * i + p],
                                                .result = &result[p]};
        }
        test_must(beam_inference_run(inference, loaded, 2, request, &err), &err, "run");
        merit[2 * i] = result[0].merit;
        merit[2 * i + 1] = result[1].merit;
    }
    test_solver_free(solver);
    free(memory);
    free(model_memory);
}

/* True: answered. False: lost, as on a machine that stands still for seconds. */
static bool ask_once(link_case *c, double merit[CASE_PROBLEMS], beam_design *design[CASE_PROBLEMS])
{
    do { /* slots of batches that were lost come back with their answers */
        case_until(c, BEAMD_GPU_READY);
        case_turn(c, MS);
    } while (!case_submit(c, 20000 * MS));
    case_record *r = &c->record[c->records - 1];
    beamd_gpu_outcome outcome;
    for (bool reaped = false; !reaped;) {
        struct pollfd wait = {.fd = beamd_gpu_link_fd(c->link), .events = POLLIN};
        (void)poll(&wait, 1, 50);
        (void)beamd_gpu_link_step(c->link, case_now_ns());
        reaped = beamd_gpu_reap(c->link, &outcome);
    }
    assert_ptr_equal(outcome.arg, r);
    r->loss = outcome.loss;
    if (outcome.fate == BEAMD_GPU_LOST) {
        r->fate = CASE_LOST;
        c->lost++;
        return false;
    }
    r->fate = CASE_ANSWERED;
    c->answered++;
    assert_true(read_answer(c, &outcome, merit, design));
    beamd_gpu_release(c->link, outcome.slot);
    return true;
}

void case_ask(link_case *c, double merit[CASE_PROBLEMS], beam_design *design[CASE_PROBLEMS])
{
    for (int tries = 0; tries < 5; tries++) {
        if (ask_once(c, merit, design)) {
            return;
        }
        assert_true(c->record[c->records - 1].loss >= BEAMD_GPU_LOSS_DEVICE);
    }
    fail_msg("five batches lost in a row");
}

/* The clock, the loop and the network of one scenario. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

void sim_fail(sim *s, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "\n%s, seed %llu, %.6f s: ", s->scenario->name, (unsigned long long)s->seed,
            1e-9 * (double)(s->now_ns - s->start_ns));
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nThe last of what happened:\n");
    const unsigned first = s->traced > SIM_TRACE ? s->traced - SIM_TRACE : 0;
    for (unsigned k = first; k < s->traced; k++) {
        fprintf(stderr, "  %s\n", s->trace[k % SIM_TRACE]);
    }
    exit(1);
}

void sim_note(sim *s, const char *format, ...)
{
    char *line = s->trace[s->traced++ % SIM_TRACE];
    const int n =
        snprintf(line, sizeof s->trace[0], "%.6f ", 1e-9 * (double)(s->now_ns - s->start_ns));
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line + n, sizeof s->trace[0] - (size_t)n, format, args);
    va_end(args);
    if (s->verbose) {
        printf("%s\n", line);
    }
}

void sim_mix(sim *s, const void *bytes, size_t count)
{
    s->hash = sim_answer_hash(s->hash ^ s->now_ns, bytes, count);
}

double sim_uniform(sim *s)
{
    return test_random_uniform(&s->random);
}

bool sim_chance(sim *s, double share)
{
    return share > 0 && sim_uniform(s) < share;
}

double sim_exponential(sim *s, double mean)
{
    return -mean * log(1 - sim_uniform(s));
}

bool sim_faults_now(const sim *s)
{
    return !s->ending && (s->stress || !s->scenario->faults_in_stress);
}

void sim_at(sim *s, uint64_t at_ns, sim_event_kind kind, unsigned index)
{
    sim_heap_push(&s->heap, (sim_event){.at_ns = at_ns, .kind = kind, .index = index});
}

void sim_send(sim *s, sim_parcel *parcel, uint64_t delay_ns)
{
    s->in_flight++;
    sim_heap_push(&s->heap, (sim_event){.at_ns = s->now_ns + delay_ns,
                                        .kind = SIM_DELIVER,
                                        .index = parcel->agent,
                                        .parcel = parcel});
}

/* --- What the core asks of the world --- */

/* Reading takes a little, and now and then much happened in between. */
static uint64_t read_clock(void *arg)
{
    sim *s = arg;
    s->now_ns += 100 + (uint64_t)test_random_int(&s->random, 0, 400);
    if (sim_chance(s, s->scenario->clocks.slow_reads)) {
        s->now_ns += 1000000;
    }
    return s->now_ns;
}

static int reload_config(void *arg, bool reload, bool check_only, Beamd__ConfigReply *reply,
                         beam_wire_error *err)
{
    sim *s = arg;
    const sim_control *c = &s->scenario->control;
    beamd_config_error wrong;
    (void)reply;
    unsigned texts = 0;
    while (texts < 4 && c->reload[texts]) {
        texts++;
    }
    if (reload && !check_only && texts > 0) {
        static beamd_config fresh;
        fresh = s->config;
        const char *text = c->reload[s->reloads++ % texts];
        if (!beamd_config_parse(&fresh, "reload", text, strlen(text), &wrong)) {
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, NULL, "%s", wrong.text);
        }
        (void)beamd_config_reload(&s->config, &fresh, NULL);
        const uint64_t hang_ns = (uint64_t)s->config.hang_ms * 1000000u;
        s->hang_max_ns = hang_ns > s->hang_max_ns ? hang_ns : s->hang_max_ns;
    }
    return 0;
}

static int set_level(void *arg, const char *level, beam_wire_error *err)
{
    (void)arg;
    (void)level;
    (void)err;
    return 0;
}

static void ask_drain(void *arg)
{
    sim *s = arg;
    sim_at(s, s->now_ns, SIM_DRAIN, 0);
}

/* --- The loop --- */

uint64_t sim_step(sim *s, const beamd_event *event)
{
    const uint64_t before_ns = s->now_ns;
    s->wake_ns = beamd_core_step(s->core, s->now_ns, event);
    s->now_ns += 1000; /* the loop's own turn */
    sim_judge_step(s, event->kind == BEAMD_EVENT_TIME, before_ns);
    return s->wake_ns;
}

static void plain_step(sim *s, beamd_event_kind kind)
{
    const beamd_event event = {.kind = kind};
    (void)sim_step(s, &event);
}

static void deliver(sim *s, sim_parcel *p)
{
    const unsigned char identity[4] = {p->channel == BEAMD_CHANNEL_CSI ? 'C' : 'O',
                                       (unsigned char)p->agent, (unsigned char)p->epoch,
                                       (unsigned char)(p->epoch >> 8)};
    const beamd_event event = {.kind = BEAMD_EVENT_MESSAGE,
                               .channel = p->channel,
                               .peer = {.identity = identity,
                                        .identity_bytes = sizeof identity,
                                        .roles = BEAMD_ROLE_ALL,
                                        .user = "sim"},
                               .frame = p->frame,
                               .bytes = p->bytes,
                               .frames = p->frames};
    sim_note(s, "deliver %s %llu of c%03u.%u%s", beam_wire_type_name(p->type),
             (unsigned long long)p->sequence, p->agent, p->epoch, p->hostile ? " (hostile)" : "");
    sim_mix(s, p->frame, p->bytes);
    s->in_flight--;
    sim_judge_delivery(s, p);
    (void)sim_step(s, &event);
    sim_judge_delivered(s, p);
    sim_parcel_free(p);
}

/* Stress is the last part of every period. */
static void change_phase(sim *s)
{
    const sim_scenario *c = s->scenario;
    if (s->ending) {
        return;
    }
    s->stress = !s->stress;
    if (!s->stress) {
        s->stress_ended_ns = s->now_ns;
    }
    sim_note(s, "stress %s", s->stress ? "begins" : "ends");
    sim_at(s, s->now_ns + sim_ns(s->stress ? c->stress_s : c->period_s - c->stress_s), SIM_PHASE,
           0);
    sim_agents_wake(s);
    sim_gpu_stress(s);
}

static void hold_up(sim *s)
{
    const sim_clocks *c = &s->scenario->clocks;
    const uint64_t ns = sim_ns(1e-3 * sim_exponential(s, c->hold_up_ms));
    if (s->ending) {
        return;
    }
    s->hold_up_max_ns = ns > s->hold_up_max_ns ? ns : s->hold_up_max_ns;
    s->now_ns += ns;
    sim_note(s, "the loop was held up for %.3f ms", 1e-6 * (double)ns);
    sim_at(s, s->now_ns + sim_ns(sim_exponential(s, 1 / c->hold_up_per_s)), SIM_LOOP, 0);
}

static void handle(sim *s, const sim_event *e)
{
    switch (e->kind) {
    case SIM_ACT:
        if (e->stamp == s->agent[e->index].turn) {
            sim_agent_act(s, e->index);
        }
        break;
    case SIM_DELIVER:
        deliver(s, e->parcel);
        break;
    case SIM_JOB:
        if (s->job[e->index].job && s->job[e->index].stamp == e->stamp) {
            sim_job_finish(s, e->index);
        }
        break;
    case SIM_CONTROL:
        sim_operator_act(s);
        break;
    case SIM_PHASE:
        change_phase(s);
        break;
    case SIM_LOOP:
        hold_up(s);
        break;
    case SIM_SUBSCRIBE:
        sim_subscribe_act(s);
        break;
    case SIM_GPU:
        sim_gpu_turn(s);
        break;
    case SIM_GPU_ENDS:
        sim_gpu_ends(s);
        break;
    case SIM_DRAIN:
        s->draining = true;
        plain_step(s, BEAMD_EVENT_DRAIN);
        break;
    }
}

/* The next thing that happens; false: nothing does before `until_ns`. */
static bool advance(sim *s, uint64_t until_ns)
{
    const bool any = s->heap.count > 0;
    const uint64_t event_ns = any ? s->heap.event[0].at_ns : UINT64_MAX;
    const uint64_t at_ns = event_ns <= s->wake_ns ? event_ns : s->wake_ns;
    if (at_ns > until_ns) {
        s->now_ns = until_ns > s->now_ns ? until_ns : s->now_ns;
        return false;
    }
    s->now_ns = at_ns > s->now_ns ? at_ns : s->now_ns;
    if (event_ns <= s->wake_ns) {
        const sim_event e = sim_heap_pop(&s->heap);
        handle(s, &e);
    } else {
        plain_step(s, BEAMD_EVENT_TIME);
    }
    return true;
}

static void run_until(sim *s, uint64_t until_ns)
{
    while (s->now_ns < until_ns && advance(s, until_ns)) {
    }
}

/* --- The end --- */

static void run_until_idle(sim *s)
{
    const uint64_t begin_ns = s->now_ns;
    const uint64_t most_ns = s->now_ns +
                             (1 + BEAMD_PENDING_MAX) * (s->deadline_max_ns + s->hang_max_ns) +
                             s->hold_up_max_ns + 60000000000u;
    while ((s->in_flight > 0 || s->judge.records > 0 || !beamd_core_idle(s->core)) &&
           s->now_ns < most_ns) {
        if (!advance(s, most_ns)) {
            break;
        }
    }
    if (s->judge.records > 0 || !beamd_core_idle(s->core)) {
        sim_fail(s, "not idle %.3g s after the last request, %u have no answer",
                 1e-9 * (double)(most_ns - begin_ns), s->judge.records);
    }
}

static void end(sim *s)
{
    const sim_scenario *c = s->scenario;
    if (s->stress) {
        s->stress_ended_ns = s->now_ns;
    }
    s->stress = false;
    if (c->end == SIM_END_DRAIN) { /* what comes now is refused, what was accepted is answered */
        sim_send(s, sim_frame_control(s, &s->agent[0], BEAM_WIRE_DRAIN), 0);
        run_until(s, s->now_ns + sim_ns(0.5));
    }
    s->ending = true;
    if (c->end == SIM_END_ABANDON) {
        plain_step(s, BEAMD_EVENT_DRAIN);
        s->draining = true;
        plain_step(s, BEAMD_EVENT_ABANDON);
        sim_jobs_hurry(s);
    }
    run_until_idle(s);
    if (c->end == SIM_END_CLEAN) {
        sim_agents_leave(s);
        run_until_idle(s);
    }
    while (sim_jobs_away(s) > 0 && s->heap.count > 0 && advance(s, UINT64_MAX - 1)) {
    }
    sim_jobs_return_all(s);
    sim_judge_end(s);
}

/* --- One scenario --- */

static void configure(sim *s)
{
    const char *const texts[] = {"workers = 2\nclusters_max = 96\n", s->scenario->config};
    beamd_config_error wrong;
    beamd_config_default(&s->config);
    for (size_t k = 0; k < 2 && texts[k]; k++) {
        if (!beamd_config_parse(&s->config, "scenario", texts[k], strlen(texts[k]), &wrong)) {
            sim_fail(s, "%s", wrong.text);
        }
    }
    s->hang_max_ns = (uint64_t)s->config.hang_ms * 1000000u;
}

static void begin(sim *s)
{
    const sim_scenario *c = s->scenario;
    beamd_actions actions = {.arg = s,
                             .clock_ns = read_clock,
                             .reply = sim_judge_reply,
                             .publish = sim_judge_publish,
                             .free_threads = sim_free_threads,
                             .submit = sim_submit,
                             .replace_thread = sim_replace_thread,
                             .config = reload_config,
                             .log_level = set_level,
                             .drain = ask_drain};
    beam_error err;
    configure(s);
    sim_judge_begin(s);
    s->start_ns = s->now_ns = 1000000000000u + s->seed % 1000 * 1000000007u;
    s->wake_ns = UINT64_MAX;
    sim_gpu_begin(s, &actions);
    s->core = beamd_core_create(&s->config, &actions, s->now_ns);
    s->model = beamd_model_read("", &err);
    if (!s->core || !s->model) {
        sim_fail(s, "no core or no model: %s", err.text);
    }
    beamd_core_set_model(s->core, beamd_model_hold(s->model));
    sim_agents_begin(s);
    const double control_hz = c->control.status + c->control.front + c->control.model +
                              c->control.refuse_model + c->control.config;
    if (control_hz > 0) {
        sim_at(s, s->now_ns + sim_ns(1 / control_hz), SIM_CONTROL, 0);
    }
    if (c->control.subscribe > 0) {
        sim_at(s, s->now_ns + sim_ns(1 / c->control.subscribe), SIM_SUBSCRIBE, 0);
    }
    if (c->period_s > 0) {
        sim_at(s, s->now_ns + sim_ns(c->period_s - c->stress_s), SIM_PHASE, 0);
    }
    if (c->clocks.hold_up_per_s > 0) {
        sim_at(s, s->now_ns + sim_ns(1 / c->clocks.hold_up_per_s), SIM_LOOP, 0);
    }
}

sim_outcome sim_run(const sim_scenario *scenario, uint64_t seed, double simulated_s, bool whole,
                    bool verbose)
{
    sim *s = test_memory(sizeof *s);
    memset(s, 0, sizeof *s);
    s->scenario = scenario;
    s->seed = seed;
    s->whole = whole;
    s->verbose = verbose;
    s->random = test_random_new(seed);
    sim_answers_clear();
    begin(s);
    s->end_ns = s->now_ns + sim_ns(simulated_s);
    run_until(s, s->end_ns);
    end(s);
    const sim_outcome outcome = {.counts = s->judge.counts,
                                 .seen = s->judge.seen,
                                 .hash = s->hash,
                                 .simulated_s = 1e-9 * (double)(s->now_ns - s->start_ns)};
    beamd_core_destroy(&s->core);
    beamd_model_release(&s->model);
    sim_heap_free(&s->heap);
    sim_judge_free(s);
    free(s);
    return outcome;
}

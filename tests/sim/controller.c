/* Controllers: what each does when its turn comes. What it believes may be wrong: frames are
 * reordered and repeated on their way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

static beamd_bands all_bands(const sim_agent *a)
{
    beamd_bands bands = {{0}};
    for (int b = 0; b < sim_kinds[a->kind].subbands; b++) {
        beamd_bands_add(&bands, b);
    }
    return bands;
}

static unsigned everybody(const sim_agent *a)
{
    return (1u << sim_kinds[a->kind].dims.users) - 1u;
}

/* Through the network: mostly at once. */
static void post(sim *s, sim_parcel *p)
{
    const sim_network *n = &s->scenario->network;
    uint64_t delay_ns = 0;
    if (sim_chance(s, n->reordered)) {
        delay_ns = sim_ns(1e-3 * sim_exponential(s, n->delay_ms));
    }
    if (sim_chance(s, n->repeated)) {
        sim_parcel *again = malloc(sizeof *again);
        unsigned char *frame = malloc(p->bytes ? p->bytes : 1);
        if (!again || !frame) {
            sim_fail(s, "the test has no memory");
        }
        *again = *p;
        again->frame = frame;
        memcpy(frame, p->frame, p->bytes);
        sim_send(s, again, delay_ns + sim_ns(1e-3 * sim_exponential(s, 1)));
    }
    sim_send(s, p, delay_ns);
}

static void enter(sim *s, sim_agent *a)
{
    a->registered = true;
    a->csi_sent = a->has_targets = false;
    a->csi_sequence = a->target_sequence = 0;
    a->mask = everybody(a);
    memset(a->named, 0, sizeof a->named);
    for (int n = 1; n <= sim_kinds[a->kind].names; n++) {
        a->named[n] = true;
    }
    post(s, sim_frame_register(s, a));
}

static void aim(sim *s, sim_agent *a)
{
    a->has_targets = true;
    a->place = test_random_int(&s->random, 0, SIM_PLACES - 1);
    post(s, sim_frame_targets(s, a));
}

static void measure(sim *s, sim_agent *a)
{
    beamd_bands bands = all_bands(a);
    a->variant = test_random_int(&s->random, 0, SIM_VARIANTS - 1);
    const int subbands = sim_kinds[a->kind].subbands;
    if (subbands > 1 && a->csi_sent && sim_chance(s, s->scenario->churn.partial)) {
        const beamd_bands none = {{0}};
        bands = none;
        const int first = test_random_int(&s->random, 0, subbands - 1);
        const int count = test_random_int(&s->random, 1, subbands);
        for (int k = 0; k < count; k++) {
            beamd_bands_add(&bands, (first + k) % subbands);
        }
    }
    if (sim_chance(s, s->scenario->churn.nobody)) {
        a->mask = 0;
    } else if (a->mask == 0) {
        a->mask = everybody(a);
        bands = all_bands(a);
    }
    a->csi_sent = true;
    post(s, sim_frame_csi(s, a, &bands, a->mask));
}

static void change_users(sim *s, sim_agent *a, bool join)
{
    const int users = sim_kinds[a->kind].dims.users;
    const unsigned one = 1u << test_random_int(&s->random, 0, users - 1);
    if (join && !(a->mask & one)) {
        post(s, sim_frame_join(s, a, one));
        a->mask |= one;
    } else if (!join && (a->mask & one)) {
        post(s, sim_frame_leave(s, a, one));
        a->mask &= ~one;
    } else {
        measure(s, a);
    }
}

static void change_named(sim *s, sim_agent *a)
{
    const int n = test_random_int(&s->random, 1, SIM_NAMES - 1);
    const bool removes = a->named[n];
    a->named[n] = !removes;
    sim_send(s, sim_frame_preference(s, a, n, removes, 0.25 * test_random_int(&s->random, 0, 4)),
             0);
}

static void step_clock(sim *s, sim_agent *a)
{
    if (sim_chance(s, s->scenario->clocks.sender_step)) {
        a->sender_offset_ns += (int64_t)(1e10 * (2 * sim_uniform(s) - 1));
    }
}

static void vanish(sim *s, sim_agent *a)
{
    if (a->peer_gone) {
        a->peer_gone = false;
        a->epoch++; /* a new connection has another identity */
    } else if (sim_chance(s, s->scenario->network.gone)) {
        a->peer_gone = true;
        s->judge.seen |= SEEN_GONE;
    }
}

/* Frames of an earlier registration may come after the new one: an error tells the sequence. */
static void catch_up(sim_agent *a)
{
    const sim_mirror *m = &a->mirror;
    a->csi_sequence = m->csi_sequence > a->csi_sequence ? m->csi_sequence : a->csi_sequence;
    a->target_sequence =
        m->target_sequence > a->target_sequence ? m->target_sequence : a->target_sequence;
    if (!m->registered) {
        a->registered = false; /* refused, or lost on its way */
    }
}

/* One turn of a controller that is registered and has targets. */
static void turn(sim *s, sim_agent *a)
{
    const sim_churn *c = &s->scenario->churn;
    double u = sim_uniform(s);
    catch_up(a);
    if ((u -= c->join) < 0) {
        change_users(s, a, true);
    } else if ((u -= c->leave) < 0) {
        change_users(s, a, false);
    } else if ((u -= c->targets) < 0) {
        aim(s, a);
    } else if ((u -= c->preference) < 0) {
        sim_send(s, sim_frame_preference(s, a, -1, false, 0.25 * test_random_int(&s->random, 0, 4)),
                 0);
    } else if ((u -= c->named) < 0) {
        change_named(s, a);
    } else if ((u -= c->again) < 0) {
        enter(s, a);
    } else if ((u -= c->away) < 0) {
        a->registered = false;
        post(s, sim_frame_unregister(s, a));
    } else if ((u -= c->hostile) < 0) {
        sim_send(s, sim_frame_hostile(s, a), 0);
    } else {
        measure(s, a);
    }
}

static double rate_hz(const sim *s)
{
    const sim_scenario *c = s->scenario;
    return s->stress && c->factor > 0 ? c->rate_hz * c->factor : c->rate_hz;
}

static double next_turn_s(sim *s, sim_agent *a)
{
    const double mean_s = 1 / rate_hz(s);
    switch (s->scenario->arrivals) {
    case SIM_PERIODIC:
        return mean_s;
    case SIM_BURSTS: /* of ten within a millisecond or so */
        if (a->burst_left > 0) {
            a->burst_left--;
            return sim_exponential(s, 1e-4);
        }
        a->burst_left = 9;
        return sim_exponential(s, 10 * mean_s);
    case SIM_POISSON:
        break;
    }
    return sim_exponential(s, mean_s);
}

static void plan(sim *s, sim_agent *a, double after_s)
{
    sim_heap_push(&s->heap, (sim_event){.at_ns = s->now_ns + sim_ns(after_s) + 1,
                                        .kind = SIM_ACT,
                                        .index = a->index,
                                        .stamp = ++a->turn});
}

void sim_agent_act(sim *s, unsigned index)
{
    sim_agent *a = &s->agent[index];
    if (s->ending) {
        return;
    }
    step_clock(s, a);
    vanish(s, a);
    if (a->peer_gone) {
        /* silent until it connects again */
    } else if (!a->registered) {
        enter(s, a);
        if (!sim_chance(s, 0.2)) {
            aim(s, a); /* else CSI comes first */
        }
    } else if (!a->has_targets && (a->csi_sent || sim_chance(s, 0.5))) {
        aim(s, a);
    } else if (!a->csi_sent) {
        measure(s, a);
    } else {
        turn(s, a);
    }
    plan(s, a, next_turn_s(s, a));
}

void sim_agents_wake(sim *s)
{
    for (unsigned i = 0; i < s->agents; i++) {
        plan(s, &s->agent[i], sim_exponential(s, 1 / rate_hz(s)));
    }
}

void sim_agents_begin(sim *s)
{
    s->agents = s->scenario->clusters;
    unsigned kind = 0;
    for (unsigned i = 0; i < s->agents; i++) {
        sim_agent *a = &s->agent[i];
        *a = (sim_agent){.index = i};
        while (!(s->scenario->kinds >> kind % SIM_KINDS & 1)) {
            kind++;
        }
        a->kind = (sim_kind)(kind++ % SIM_KINDS);
        (void)snprintf(a->id, sizeof a->id, "c%03u", i);
        plan(s, a, sim_uniform(s) * 0.05);
    }
}

void sim_agents_leave(sim *s)
{
    for (unsigned i = 0; i < s->agents; i++) {
        s->agent[i].peer_gone = false;
        if (s->agent[i].mirror.registered) {
            s->agent[i].registered = false;
            sim_send(s, sim_frame_unregister(s, &s->agent[i]), 0);
        }
    }
}

/* --- Operators and subscribers --- */

static double control_hz(const sim_control *c)
{
    return c->status + c->front + c->model + c->refuse_model + c->config;
}

void sim_operator_act(sim *s)
{
    const sim_control *c = &s->scenario->control;
    sim_agent *a = &s->agent[test_random_int(&s->random, 0, (int)s->agents - 1)];
    if (s->ending) {
        return;
    }
    double u = sim_uniform(s) * control_hz(c);
    if ((u -= c->status) < 0) {
        static const unsigned types[] = {BEAM_WIRE_STATUS_REQUEST, BEAM_WIRE_CLUSTER_LIST_REQUEST,
                                         BEAM_WIRE_MODEL_GET, BEAM_WIRE_PREFERENCE_GET};
        sim_send(s, sim_frame_control(s, a, types[test_random_int(&s->random, 0, 3)]), 0);
    } else if ((u -= c->front) < 0) {
        sim_send(s, sim_frame_control(s, a, BEAM_WIRE_FRONT_REQUEST), 0);
    } else if ((u -= c->model + c->refuse_model) < 0) {
        sim_send(s, sim_frame_control(s, a, BEAM_WIRE_MODEL_RELOAD), 0);
    } else {
        sim_send(s, sim_frame_control(s, a, BEAM_WIRE_CONFIG_RELOAD), 0);
    }
    sim_at(s, s->now_ns + sim_ns(sim_exponential(s, 1 / control_hz(c))) + 1, SIM_CONTROL, 0);
}

void sim_subscribe_act(sim *s)
{
    unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const unsigned i = (unsigned)test_random_int(&s->random, 0, (int)s->agents - 1);
    const size_t bytes = beam_wire_topic(s->agent[i].id, topic);
    const int how = test_random_int(&s->random, 0, 3);
    const beamd_event event = {.kind = BEAMD_EVENT_SUBSCRIBED,
                               .frame = how == 0 ? (const void *)"zzz" : topic,
                               .bytes = how == 0   ? 3
                                        : how == 1 ? 0
                                                   : bytes};
    if (s->ending) {
        return;
    }
    (void)sim_step(s, &event);
    sim_at(s, s->now_ns + sim_ns(sim_exponential(s, 1 / s->scenario->control.subscribe)) + 1,
           SIM_SUBSCRIBE, 0);
}

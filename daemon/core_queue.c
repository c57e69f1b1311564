/* Who waits, until when, and with what a request ends. A cluster has one active request, which
 * threads work on, and up to BEAMD_PENDING_MAX that wait behind it. The list `open` holds the
 * clusters with an active request, the earliest deadline first. */
#include <assert.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

static void list_insert(beamd_core *self, beamd_cluster *c)
{
    unsigned at = self->open_count;
    while (at > 0 && self->open[at - 1]->active.deadline_ns > c->active.deadline_ns) {
        self->open[at] = self->open[at - 1];
        self->open[at]->open_at = (int)at;
        at--;
    }
    self->open[at] = c;
    c->open_at = (int)at;
    self->open_count++;
}

static void list_erase(beamd_core *self, beamd_cluster *c)
{
    self->open_count--;
    for (unsigned at = (unsigned)c->open_at; at < self->open_count; at++) {
        self->open[at] = self->open[at + 1];
        self->open[at]->open_at = (int)at;
    }
    c->open_at = -1;
}

static bool all_present(const beamd_cluster *c, const beamd_bands *bands)
{
    for (int b = 0; b < c->subbands; b++) {
        if (c->band[b].present && !beamd_bands_has(bands, b)) {
            return false;
        }
    }
    return true;
}

static void activate(beamd_core *self, beamd_cluster *c, const beamd_request *request)
{
    const beamd_bands none = {{0}};
    c->active = *request;
    c->ticket = ++self->ticket;
    c->open = request->bands;
    c->done = none;
    c->checked = none;
    c->failed = none;
    c->hedged = false;
    c->start_ns = c->end_ns = c->checked_ns = 0;
    c->wait_until_ns = self->now_ns + (uint64_t)self->config->batch_wait_us * 1000u;
    if (all_present(c, &request->bands)) {
        c->resolve_due_ns = 0; /* it will use the latest of everything */
    }
    list_insert(self, c);
}

/* The active request goes, whatever was its end; what is under way for it comes too late. */
static void deactivate(beamd_core *self, beamd_cluster *c)
{
    list_erase(self, c);
    c->active.present = false;
    c->ticket = 0;
}

void beamd_core_restart(beamd_core *self, beamd_cluster *c)
{
    if (c->active.present) {
        const beamd_request request = c->active;
        deactivate(self, c);
        activate(self, c, &request);
    }
}

static void activate_next(beamd_core *self, beamd_cluster *c)
{
    if (c->pending_count > 0) {
        const beamd_request next = c->pending[0];
        c->pending_count--;
        memmove(c->pending, c->pending + 1, (size_t)c->pending_count * sizeof c->pending[0]);
        activate(self, c, &next);
    }
}

static void supersede(beamd_core *self, beamd_cluster *c, const beamd_request *old,
                      const beamd_request *by)
{
    if (old->identity_bytes > 0) {
        beam_wire_error err;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_SUPERSEDED, NULL,
                       "sequence %llu replaced this update before it was solved",
                       (unsigned long long)by->sequence);
        c->superseded++;
        self->metrics.superseded++;
        beamd_core_refuse_request(self, c, old, &err);
    }
}

/* Latest CSI wins: requests of which no part has been begun, and which the new one covers. */
static void supersede_covered(beamd_core *self, beamd_cluster *c, const beamd_request *request)
{
    int kept = 0;
    for (int k = 0; k < c->pending_count; k++) {
        if (beamd_bands_within(&c->pending[k].bands, &request->bands)) {
            supersede(self, c, &c->pending[k], request);
        } else {
            c->pending[kept++] = c->pending[k];
        }
    }
    c->pending_count = kept;
    const bool begun = memcmp(&c->open, &c->active.bands, sizeof c->open) != 0;
    if (c->active.present && !begun && beamd_bands_within(&c->active.bands, &request->bands)) {
        const beamd_request old = c->active;
        deactivate(self, c);
        supersede(self, c, &old, request);
    }
}

void beamd_core_enqueue(beamd_core *self, beamd_cluster *c, const beamd_request *request)
{
    supersede_covered(self, c, request);
    if (!c->active.present) {
        activate_next(self, c); /* in turn; it also leaves a place in the queue */
    }
    if (!c->active.present) {
        activate(self, c, request);
    } else if (c->pending_count < BEAMD_PENDING_MAX) {
        c->pending[c->pending_count++] = *request;
    } else {
        beam_wire_error err;
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_BUSY, "subbands",
                       "kept; %d updates of other subbands are waiting already", BEAMD_PENDING_MAX);
        beamd_core_refuse_request(self, c, request, &err);
    }
}

/* Nobody asked: the answer is published under the sequence of the CSI that it uses. */
static void enqueue_unsolicited(beamd_core *self, beamd_cluster *c)
{
    c->resolve_due_ns = 0;
    if (c->active.present || !c->has_csi || !c->has_targets || self->draining) {
        return;
    }
    beamd_request request = {.present = true,
                             .sequence = c->csi_sequence,
                             .received_ns = self->now_ns,
                             .queued_ns = self->now_ns,
                             .deadline_ns =
                                 self->now_ns + (uint64_t)self->config->deadline_us * 1000u};
    for (int b = 0; b < c->subbands; b++) {
        if (c->band[b].present) {
            beamd_bands_add(&request.bands, b);
        }
    }
    beamd_core_enqueue(self, c, &request);
}

void beamd_core_make_due(beamd_core *self, beamd_cluster *c, uint64_t now_ns)
{
    if (c->pending_count > 0 || !c->has_csi || !c->has_targets) {
        return;
    }
    if (c->solutions == 0 && !c->active.present) {
        enqueue_unsolicited(self, c); /* the first answer was waiting for this */
    } else if (self->config->resolve_after_ms > 0 && c->resolve_due_ns == 0) {
        c->resolve_due_ns = now_ns + (uint64_t)self->config->resolve_after_ms * 1000000u;
    }
}

void beamd_core_finish(beamd_core *self, beamd_cluster *c)
{
    if (!beamd_core_answer(self, c)) {
        beam_wire_error err;
        if (beamd_bands_empty(&c->failed)) {
            beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_BUSY, NULL,
                           "kept; no beams by the deadline, and none of before to hold");
        } else {
            beamd_engine_error(&err, &c->failure);
        }
        beamd_core_refuse_request(self, c, &c->active, &err);
    }
    deactivate(self, c);
    activate_next(self, c);
}

void beamd_core_refuse_waiting(beamd_core *self, beamd_cluster *c, const beam_wire_error *err)
{
    for (int k = 0; k < c->pending_count; k++) {
        beamd_core_refuse_request(self, c, &c->pending[k], err);
    }
    c->pending_count = 0;
    if (c->active.present && c->under_way == 0) {
        const beamd_request request = c->active;
        deactivate(self, c);
        beamd_core_refuse_request(self, c, &request, err);
    }
}

void beamd_core_refuse_all(beamd_core *self, beamd_cluster *c, const beam_wire_error *err)
{
    if (c->active.present) {
        const beamd_request request = c->active;
        deactivate(self, c);
        beamd_core_refuse_request(self, c, &request, err);
    }
    for (int k = 0; k < c->pending_count; k++) {
        beamd_core_refuse_request(self, c, &c->pending[k], err);
    }
    c->pending_count = 0;
}

void beamd_core_forget(beamd_core *self, beamd_cluster *c)
{
    if (c->gone && c->under_way == 0 && !c->refreshing) {
        self->bytes -= c->bytes;
        beamd_cluster_destroy(&c);
    }
}

void beamd_core_remove(beamd_core *self, beamd_cluster *c, const char *why)
{
    beam_wire_error err;
    beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_SUPERSEDED, NULL, "%s", why);
    beamd_core_refuse_all(self, c, &err);
    beamd_core_erase(self, c);
    c->gone = true;
    beamd_core_forget(self, c);
}

/* As configured, but never more than a quarter of a short deadline. */
static uint64_t margin_ns(const beamd_core *self, const beamd_request *r)
{
    const uint64_t configured_ns = (uint64_t)self->config->deadline_margin_us * 1000u;
    const uint64_t quarter_ns = beamd_core_less(r->deadline_ns, r->received_ns) / 4;
    return configured_ns < quarter_ns ? configured_ns : quarter_ns;
}

/* A quarter of the margin is enough to send what is there already, twice what it took lately where
 * that is more: hundreds of subbands take a millisecond. */
static uint64_t hold_at_ns(const beamd_core *self, const beamd_cluster *c, const beamd_request *r)
{
    const uint64_t quarter_ns = margin_ns(self, r) / 4;
    const uint64_t most_ns = beamd_core_less(r->deadline_ns, r->received_ns) / 4;
    const double send_ns = 2 * c->answer_ns;
    const uint64_t wide_ns = send_ns < (double)most_ns ? (uint64_t)send_ns : most_ns;
    return beamd_core_less(r->deadline_ns, wide_ns > quarter_ns ? wide_ns : quarter_ns);
}

uint64_t beamd_core_hold_at_ns(const beamd_core *self, const beamd_cluster *c)
{
    return hold_at_ns(self, c, &c->active);
}

/* The check of what may have to be rescued fits between this moment and the margin. */
uint64_t beamd_core_stop_at_ns(const beamd_core *self, const beamd_cluster *c)
{
    const uint64_t margin_at_ns =
        beamd_core_less(c->active.deadline_ns, margin_ns(self, &c->active));
    const uint64_t hold_ns = beamd_core_hold_at_ns(self, c);
    const uint64_t end_ns = margin_at_ns < hold_ns ? margin_at_ns : hold_ns;
    const uint64_t most_ns =
        beamd_core_less(end_ns, c->active.received_ns) / 4; /* the rest is for solving */
    const double check_ns = beamd_core_expect_ns(c, BEAMD_EFFORT_CHECK, 1);
    const uint64_t reserve_ns = check_ns < (double)most_ns ? (uint64_t)check_ns : most_ns;
    return beamd_core_less(end_ns, reserve_ns);
}

/* The first answer of a cluster is worth waiting for beyond its deadline: a late one says so, and
 * without it there is nothing to hold for the next. */
static uint64_t last_moment_ns(const beamd_core *self, const beamd_cluster *c)
{
    return beamd_core_has_answer(c)
               ? beamd_core_hold_at_ns(self, c)
               : c->active.deadline_ns + (uint64_t)self->config->hang_ms * 1000000u;
}

/* Deadlines are sorted, these moments are not: none of c and those behind it is before this. */
static uint64_t earliest_hold_ns(const beamd_core *self, const beamd_cluster *c)
{
    const uint64_t quarter_ns = (uint64_t)self->config->deadline_margin_us * 250u;
    return beamd_core_less(c->active.deadline_ns,
                           self->send_most_ns > quarter_ns ? self->send_most_ns : quarter_ns);
}

/* A waiting request whose own deadline comes before the active one is done gets what is held. */
static bool answer_pending(beamd_core *self, beamd_cluster *c, int k)
{
    const beamd_request active = c->active, pending = c->pending[k];
    const beamd_bands none = {{0}}, done = c->done, checked = c->checked, failed = c->failed;
    const uint64_t start_ns = c->start_ns, end_ns = c->end_ns, checked_ns = c->checked_ns;
    c->active = pending;
    c->done = c->checked = c->failed = none;
    c->start_ns = c->end_ns = c->checked_ns = 0;
    const bool answered = beamd_core_answer(self, c);
    c->active = active;
    c->done = done;
    c->checked = checked;
    c->failed = failed;
    c->start_ns = start_ns;
    c->end_ns = end_ns;
    c->checked_ns = checked_ns;
    if (answered) {
        c->pending_count--;
        memmove(c->pending + k, c->pending + k + 1,
                (size_t)(c->pending_count - k) * sizeof c->pending[0]);
    }
    return answered;
}

/* Without anything to hold they wait for their turn, which comes when the active one ends. */
static void answer_late_pending(beamd_core *self)
{
    for (unsigned k = 0; k < self->open_count; k++) {
        beamd_cluster *c = self->open[k];
        for (int p = 0; p < c->pending_count;) {
            const bool due = self->now_ns >= hold_at_ns(self, c, &c->pending[p]);
            p += !(due && answer_pending(self, c, p));
        }
    }
}

void beamd_core_queue_time(beamd_core *self)
{
    answer_late_pending(self);
    for (unsigned k = 0; k < self->open_count;) {
        beamd_cluster *c = self->open[k];
        if (self->now_ns < earliest_hold_ns(self, c)) {
            break;
        }
        if (self->now_ns >= beamd_core_hold_at_ns(self, c) &&
            self->now_ns >= last_moment_ns(self, c)) {
            beamd_core_finish(self, c); /* its next request, if any, is sorted in */
        }
        if (k < self->open_count && self->open[k] == c) {
            k++; /* already late too: at the next step, so that this one ends */
        }
    }
}

static uint64_t pending_next_ns(const beamd_core *self)
{
    uint64_t next_ns = UINT64_MAX;
    for (unsigned k = 0; k < self->open_count; k++) {
        const beamd_cluster *c = self->open[k];
        for (int p = 0; p < c->pending_count; p++) {
            const uint64_t at_ns = hold_at_ns(self, c, &c->pending[p]);
            next_ns = at_ns > self->now_ns && at_ns < next_ns ? at_ns : next_ns;
        }
    }
    return next_ns;
}

uint64_t beamd_core_queue_next_ns(const beamd_core *self)
{
    uint64_t next_ns = pending_next_ns(self);
    for (unsigned k = 0; k < self->open_count; k++) {
        const beamd_cluster *c = self->open[k];
        if (earliest_hold_ns(self, c) >= next_ns) {
            break;
        }
        const uint64_t hold_ns = beamd_core_hold_at_ns(self, c);
        const uint64_t at_ns = hold_ns > self->now_ns ? hold_ns : last_moment_ns(self, c);
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns;
}

void beamd_core_queue_due(beamd_core *self)
{
    double longest_ns = 0;
    for (unsigned i = 0; i < self->count; i++) {
        beamd_cluster *c = self->clusters[i];
        longest_ns = c->answer_ns > longest_ns ? c->answer_ns : longest_ns;
        if (c->resolve_due_ns != 0 && self->now_ns >= c->resolve_due_ns && !c->active.present) {
            enqueue_unsolicited(self, c);
        }
    }
    self->send_most_ns = (uint64_t)(2 * longest_ns);
}

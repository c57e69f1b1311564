/* Judges what leaves, from outside: it knows what was sent and what the daemon answered, and peeks
 * only at what is under way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

void sim_judge_begin(sim *s)
{
    const size_t arena_bytes = (size_t)8 << 20;
    s->judge.arena_memory = test_memory(arena_bytes);
    beam_wire_arena_init(&s->judge.arena, s->judge.arena_memory, arena_bytes);
    s->judge.numbers = test_memory(sizeof(double) * 65536);
}

void sim_judge_free(sim *s)
{
    free(s->judge.arena_memory);
    free(s->judge.numbers);
}

sim_agent *sim_agent_of(sim *s, const char *cluster)
{
    unsigned index;
    return sscanf(cluster, "c%3u", &index) == 1 && index < s->agents ? &s->agent[index] : NULL;
}

static bool is_csi(unsigned type)
{
    return type == BEAM_WIRE_CSI_UPDATE || type == BEAM_WIRE_USERS_JOIN ||
           type == BEAM_WIRE_USERS_LEAVE;
}

/* --- Requests --- */

void sim_judge_delivery(sim *s, const sim_parcel *p)
{
    sim_judge *j = &s->judge;
    const sim_agent *a = &s->agent[p->agent];
    if (j->records == SIM_RECORDS_MAX) {
        sim_fail(s, "%u requests without an answer", j->records);
    }
    j->current_type = p->type;
    j->current_agent = p->agent;
    for (unsigned k = 0; k < j->records && is_csi(p->type) && !p->hostile; k++) {
        j->record[k].newer |= j->record[k].agent == p->agent;
    }
    const uint64_t most_us = (uint64_t)s->config.deadline_max_ms * 1000u;
    uint64_t us = p->deadline_us ? p->deadline_us : (uint64_t)s->config.deadline_us;
    us = us < most_us ? us : most_us;
    s->deadline_max_ns = us * 1000u > s->deadline_max_ns ? us * 1000u : s->deadline_max_ns;
    j->record[j->records++] = (sim_record){.agent = p->agent,
                                           .epoch = p->epoch,
                                           .channel = p->channel,
                                           .type = p->type,
                                           .sequence = p->sequence,
                                           .sender_ns = p->sender_ns,
                                           .received_ns = s->now_ns,
                                           .deadline_ns = s->now_ns + us * 1000u,
                                           .incarnation = a->mirror.incarnation,
                                           .bands = p->bands,
                                           .mask = p->mask,
                                           .hostile = p->hostile,
                                           .unreadable = p->unreadable,
                                           .name = p->name,
                                           .removes = p->removes};
    j->counts.requests++;
}

/* Taken over by the daemon: it has not refused it. */
static void note_csi(sim *s, const sim_record *r)
{
    sim_mirror *m = &s->agent[r->agent].mirror;
    if (m->any_csi && r->sequence <= m->csi_sequence) {
        return;
    }
    m->csi_sequence = r->sequence;
    m->any_csi = true;
    m->any_users = m->any_users || r->type != BEAM_WIRE_USERS_LEAVE;
    m->ring[m->ring_count % SIM_RING].sequence = r->sequence;
    m->ring[m->ring_count++ % SIM_RING].mask = r->mask;
}

static unsigned waiting_of(const sim *s, unsigned agent)
{
    unsigned waiting = 0;
    for (unsigned k = 0; k < s->judge.records; k++) {
        const sim_record *r = &s->judge.record[k];
        waiting += r->agent == agent && is_csi(r->type);
    }
    return waiting;
}

void sim_judge_delivered(sim *s, const sim_parcel *p)
{
    sim_judge *j = &s->judge;
    j->current_type = BEAM_WIRE_NONE;
    j->current_agent = UINT32_MAX;
    for (unsigned k = 0; k < j->records; k++) {
        const sim_record *r = &j->record[k];
        const bool this_one = r->agent == p->agent && r->epoch == p->epoch && r->type == p->type &&
                              r->sequence == p->sequence && r->sender_ns == p->sender_ns;
        if (this_one && (r->hostile || !(is_csi(r->type) || r->type == BEAM_WIRE_FRONT_REQUEST ||
                                         r->type == BEAM_WIRE_MODEL_RELOAD))) {
            sim_fail(s, "%s of c%03u was not answered at once", beam_wire_type_name(p->type),
                     p->agent);
        }
        if (this_one && is_csi(r->type)) {
            note_csi(s, r);
        }
    }
    if (is_csi(p->type) && waiting_of(s, p->agent) > 1 + BEAMD_PENDING_MAX) {
        sim_fail(s, "c%03u has %u requests waiting", p->agent, waiting_of(s, p->agent));
    }
}

/* --- Replies --- */

/* Of a frame that came twice the second one is refused: errors are for the latest. */
static sim_record *find_record(sim *s, unsigned agent, unsigned epoch, unsigned type,
                               uint64_t sequence, uint64_t sender_ns, bool latest)
{
    sim_judge *j = &s->judge;
    sim_record *found = NULL;
    for (unsigned k = 0; k < j->records; k++) {
        sim_record *r = &j->record[k];
        const bool same_type = type == 0 ? is_csi(r->type) : r->type == type;
        if (r->agent == agent && r->epoch == epoch && same_type && r->sequence == sequence &&
            r->sender_ns == sender_ns &&
            (!found || (r->received_ns > found->received_ns) == latest)) {
            found = r;
        }
    }
    return found;
}

static sim_record *find_unreadable(sim *s, unsigned agent, unsigned epoch)
{
    sim_judge *j = &s->judge;
    for (unsigned k = 0; k < j->records; k++) {
        sim_record *r = &j->record[k];
        if (r->agent == agent && r->epoch == epoch && r->unreadable) {
            return r;
        }
    }
    return NULL;
}

/* An answer's request type and echo of the sender's time. */
static unsigned answered_type(unsigned type, const ProtobufCMessage *m, uint64_t *sender_ns,
                              uint64_t *sequence)
{
    switch (type) {
    case BEAM_WIRE_ERROR:
        *sender_ns = ((const Beamd__Error *)m)->sender_time_ns;
        *sequence = ((const Beamd__Error *)m)->request_sequence;
        return ((const Beamd__Error *)m)->request_type;
    case BEAM_WIRE_ACK:
        *sender_ns = ((const Beamd__Ack *)m)->sender_time_ns;
        return ((const Beamd__Ack *)m)->request_type;
    case BEAM_WIRE_SOLUTION:
        *sender_ns = ((const Beamd__Solution *)m)->sender_time_ns;
        return 0;
    case BEAM_WIRE_SOLUTION_SET:
        *sender_ns = ((const Beamd__SolutionSet *)m)->sender_time_ns;
        return 0;
    case BEAM_WIRE_PREFERENCE_REPLY:
        *sender_ns = ((const Beamd__PreferenceReply *)m)->sender_time_ns;
        return UINT16_MAX;
    case BEAM_WIRE_STATUS_REPLY:
        *sender_ns = ((const Beamd__StatusReply *)m)->sender_time_ns;
        return BEAM_WIRE_STATUS_REQUEST;
    case BEAM_WIRE_CLUSTER_LIST_REPLY:
        *sender_ns = ((const Beamd__ClusterListReply *)m)->sender_time_ns;
        return BEAM_WIRE_CLUSTER_LIST_REQUEST;
    case BEAM_WIRE_MODEL_REPLY:
        *sender_ns = ((const Beamd__ModelReply *)m)->sender_time_ns;
        return UINT16_MAX;
    case BEAM_WIRE_FRONT_REPLY:
        *sender_ns = ((const Beamd__FrontReply *)m)->sender_time_ns;
        return BEAM_WIRE_FRONT_REQUEST;
    case BEAM_WIRE_CONFIG_REPLY:
        *sender_ns = ((const Beamd__ConfigReply *)m)->sender_time_ns;
        return BEAM_WIRE_CONFIG_RELOAD;
    default:
        return UINT16_MAX;
    }
}

/* UINT16_MAX: one of several requests has this reply. */
static sim_record *match(sim *s, unsigned agent, unsigned epoch, unsigned type,
                         const beam_wire_header *header, const ProtobufCMessage *m)
{
    uint64_t sender_ns = 0, sequence = header->sequence;
    const unsigned asked = answered_type(type, m, &sender_ns, &sequence);
    sim_record *r = NULL;
    if (asked != UINT16_MAX) {
        r = find_record(s, agent, epoch, asked, sequence, sender_ns, type == BEAM_WIRE_ERROR);
    } else if (type == BEAM_WIRE_PREFERENCE_REPLY) {
        r = find_record(s, agent, epoch, BEAM_WIRE_PREFERENCE_SET, sequence, sender_ns, false);
        r = r ? r
              : find_record(s, agent, epoch, BEAM_WIRE_PREFERENCE_GET, sequence, sender_ns, false);
    } else if (type == BEAM_WIRE_MODEL_REPLY) {
        r = find_record(s, agent, epoch, BEAM_WIRE_MODEL_RELOAD, sequence, sender_ns, false);
        r = r ? r : find_record(s, agent, epoch, BEAM_WIRE_MODEL_GET, sequence, sender_ns, false);
    }
    return !r && type == BEAM_WIRE_ERROR ? find_unreadable(s, agent, epoch) : r;
}

/* 1: the active one is a solve that nobody asked for. */
static unsigned nobodys(const sim *s, const sim_agent *a)
{
    const beamd_cluster *c = beamd_core_find(s->core, a->id);
    return c && c->active.present && c->active.identity_bytes == 0;
}

static bool scrambled(const sim *s)
{
    return s->scenario->network.reordered > 0 || s->scenario->network.repeated > 0;
}

/* Which errors may be said of a sound request, and when. */
static void judge_error(sim *s, const sim_agent *a, const sim_record *r, const Beamd__Error *e)
{
    const sim_mirror *m = &a->mirror;
    const bool target = r->type == BEAM_WIRE_TARGET_UPDATE;
    bool right = true;
    switch (e->code) {
    case BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER:
        right = !m->registered;
        break;
    case BEAMD__ERROR_CODE__ERROR_STALE:
        right = target ? m->any_target && r->sequence <= m->target_sequence
                       : is_csi(r->type) && m->any_csi && r->sequence <= m->csi_sequence;
        s->judge.seen |= SEEN_STALE;
        break;
    case BEAMD__ERROR_CODE__ERROR_SUPERSEDED: /* by newer CSI, or the cluster goes in this step */
        right = is_csi(r->type) && (r->newer || (s->judge.current_agent == a->index &&
                                                 s->judge.current_type < BEAM_WIRE_CSI_UPDATE));
        s->judge.seen |= SEEN_SUPERSEDED;
        break;
    case BEAMD__ERROR_CODE__ERROR_NOT_READY:
        right = !m->has_targets || r->type == BEAM_WIRE_FRONT_REQUEST ||
                (r->type == BEAM_WIRE_USERS_LEAVE && !m->any_users);
        s->judge.seen |= SEEN_NOT_READY;
        break;
    case BEAMD__ERROR_CODE__ERROR_DRAINING:
        right = s->draining;
        s->judge.seen |= SEEN_DRAINING;
        break;
    case BEAMD__ERROR_CODE__ERROR_BUSY: /* the queue is full, or there is nothing by the end */
        right = !is_csi(r->type) || s->now_ns > r->deadline_ns ||
                waiting_of(s, a->index) + nobodys(s, a) > BEAMD_PENDING_MAX;
        s->judge.seen |= SEEN_BUSY;
        break;
    case BEAMD__ERROR_CODE__ERROR_LIMIT:
        s->judge.seen |= SEEN_LIMIT;
        break;
    case BEAMD__ERROR_CODE__ERROR_NUMERIC:
        right = s->scenario->spoilt.fails > 0 && is_csi(r->type);
        break;
    case BEAMD__ERROR_CODE__ERROR_INVALID:
        right = scrambled(s) || s->scenario->churn.hostile > 0 || s->scenario->network.gone > 0 ||
                r->type == BEAM_WIRE_PREFERENCE_SET || r->type == BEAM_WIRE_MODEL_RELOAD;
        break;
    default:
        right = false;
        break;
    }
    if (!right) {
        sim_fail(s, "%s %llu of %s was answered with error %d (%s: %s)",
                 beam_wire_type_name(r->type), (unsigned long long)r->sequence, a->id, (int)e->code,
                 e->field, e->text);
    }
}

static bool kept_by(Beamd__ErrorCode code)
{
    return code == BEAMD__ERROR_CODE__ERROR_BUSY || code == BEAMD__ERROR_CODE__ERROR_NOT_READY ||
           code == BEAMD__ERROR_CODE__ERROR_SUPERSEDED || code == BEAMD__ERROR_CODE__ERROR_NUMERIC;
}

static void no_requests_left(sim *s, const sim_agent *a)
{
    for (unsigned k = 0; k < s->judge.records; k++) {
        const sim_record *r = &s->judge.record[k];
        if (r->agent == a->index && is_csi(r->type)) {
            sim_fail(s, "%s is gone, and %s %llu has no answer", a->id,
                     beam_wire_type_name(r->type), (unsigned long long)r->sequence);
        }
    }
}

/* What the daemon has told of itself. */
static void learn(sim *s, sim_agent *a, const sim_record *r, unsigned type,
                  const ProtobufCMessage *message)
{
    sim_mirror *m = &a->mirror;
    if (type == BEAM_WIRE_ACK && r->type == BEAM_WIRE_REGISTER_CLUSTER) {
        const uint64_t incarnation = m->incarnation + 1;
        no_requests_left(s, a);
        bool named[SIM_NAMES] = {false};
        for (int n = 1; n <= sim_kinds[a->kind].names; n++) {
            named[n] = true;
        }
        if (m->registered && sim_kinds[a->kind].names == 0) { /* it keeps those it has */
            memcpy(named, m->named, sizeof named);
        }
        memset(m, 0, sizeof *m);
        memcpy(m->named, named, sizeof named);
        m->incarnation = incarnation;
        m->registered = true;
    } else if (type == BEAM_WIRE_ACK && r->type == BEAM_WIRE_UNREGISTER_CLUSTER) {
        no_requests_left(s, a);
        m->registered = false;
    } else if (type == BEAM_WIRE_ACK && r->type == BEAM_WIRE_TARGET_UPDATE) {
        m->has_targets = m->any_target = true;
        m->target_sequence = r->sequence;
    } else if (type == BEAM_WIRE_PREFERENCE_REPLY && r->type == BEAM_WIRE_PREFERENCE_SET) {
        const Beamd__PreferenceReply *reply = (const Beamd__PreferenceReply *)message;
        if (r->name > 0 && r->removes) {
            for (int b = 0; b < SIM_BANDS_MAX; b++) {
                m->solved[b][r->name] = 0;
            }
        }
        memset(m->checked_for, 0, sizeof m->checked_for); /* for those that there were */
        memset(m->named, 0, sizeof m->named);
        for (size_t k = 0; k < reply->n_named; k++) {
            for (int n = 1; n < SIM_NAMES; n++) {
                m->named[n] |= strcmp(reply->named[k]->name, sim_names[n]) == 0;
            }
        }
        for (int b = 0; b < SIM_BANDS_MAX && reply->n_named > 0; b++) {
            m->unsure[b] = true;
        }
    }
}

static const void *unpack(sim *s, const unsigned char *frame, size_t bytes,
                          beam_wire_header *header)
{
    ProtobufCMessage *message = NULL;
    beam_wire_error err;
    beam_wire_arena_reset(&s->judge.arena);
    if (beam_wire_unpack(header, &message, &s->judge.arena, frame, bytes, &err) < 0) {
        sim_fail(s, "the core sent nonsense: %s %s", err.field, err.text);
    }
    return message;
}

static void forget_record(sim *s, sim_record *r)
{
    *r = s->judge.record[--s->judge.records];
}

static void count_reply(sim *s, unsigned type, const ProtobufCMessage *m)
{
    sim_counts *c = &s->judge.counts;
    if (type == BEAM_WIRE_ERROR) {
        c->errors++;
        c->code[(unsigned)((const Beamd__Error *)m)->code % BEAMD_ERROR_CODES]++;
    } else if (type == BEAM_WIRE_SOLUTION || type == BEAM_WIRE_SOLUTION_SET) {
        c->solutions++;
    } else {
        c->acks++;
    }
}

bool sim_judge_reply(void *arg, beamd_channel channel, const void *identity, size_t bytes,
                     const unsigned char *frame, size_t frame_bytes)
{
    sim *s = arg;
    const unsigned char *id = identity;
    beam_wire_header header;
    if (bytes != 4 || id[1] >= s->agents) {
        sim_fail(s, "a reply to somebody unknown");
    }
    sim_agent *a = &s->agent[id[1]];
    const ProtobufCMessage *m = unpack(s, frame, frame_bytes, &header);
    sim_note(s, "reply %s %llu to c%03u.%u %s", beam_wire_type_name(header.type),
             (unsigned long long)header.sequence, a->index, id[2],
             header.type == BEAM_WIRE_ERROR ? ((const Beamd__Error *)m)->text : "");
    sim_mix(s, frame, frame_bytes);
    sim_record *found = match(s, id[1], id[2] | (unsigned)id[3] << 8, header.type, &header, m);
    if (!found) {
        sim_fail(s, "%s %llu to %s answers nothing that was asked",
                 beam_wire_type_name(header.type), (unsigned long long)header.sequence, a->id);
    }
    const sim_record r = *found;
    if (r.channel != channel) {
        sim_fail(s, "an answer through the other socket");
    }
    forget_record(s, found);
    count_reply(s, header.type, m);
    if (r.hostile && header.type != BEAM_WIRE_ERROR) {
        sim_fail(s, "a message that cannot be was answered with %s",
                 beam_wire_type_name(header.type));
    }
    if (is_csi(r.type) && !r.hostile &&
        (header.type != BEAM_WIRE_ERROR || kept_by(((const Beamd__Error *)m)->code))) {
        note_csi(s, &r);
    }
    if (header.type == BEAM_WIRE_ERROR && !r.hostile) {
        judge_error(s, a, &r, (const Beamd__Error *)m);
    } else if (header.type == BEAM_WIRE_SOLUTION || header.type == BEAM_WIRE_SOLUTION_SET) {
        sim_judge_answer(s, a, &r, header.type, m);
        a->mirror.replied_hash = sim_answer_hash(1, frame, frame_bytes) | 1;
    } else {
        learn(s, a, &r, header.type, m);
    }
    s->judge.seen |= header.type == BEAM_WIRE_FRONT_REPLY ? SEEN_FRONT : 0;
    if (a->peer_gone || id[2] != (a->epoch & 0xff)) {
        s->judge.counts.dropped++;
        return false;
    }
    return true;
}

/* --- Publications --- */

static void judge_repeat(sim *s, const sim_agent *a, const unsigned char *frame, size_t bytes)
{
    const sim_mirror *m = &a->mirror;
    unsigned char *copy = s->judge.copy;
    if (bytes != m->published_bytes + 2 || bytes > SIM_FRAME_BYTES) {
        sim_fail(s, "%s: what is repeated was never published", a->id);
    }
    memcpy(copy, frame, bytes - 2);
    const uint32_t payload = (uint32_t)(bytes - 2 - BEAM_WIRE_HEADER_BYTES);
    memcpy(copy + 16, &payload, sizeof payload);
    if (sim_answer_hash(1, copy, bytes - 2) != m->published_hash) {
        sim_fail(s, "%s: what is repeated was not published so", a->id);
    }
    s->judge.counts.repeats++;
    s->judge.seen |= SEEN_REPEAT;
}

bool sim_judge_publish(void *arg, const void *topic, size_t topic_bytes, const unsigned char *frame,
                       size_t bytes)
{
    sim *s = arg;
    beam_wire_header header;
    unsigned char wanted[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const ProtobufCMessage *m = unpack(s, frame, bytes, &header);
    sim_agent *a = sim_agent_of(s, header.cluster);
    if (!a || !a->mirror.registered) {
        sim_fail(s, "published for %s, which is not registered", header.cluster);
    }
    if (beam_wire_topic(header.cluster, wanted) != topic_bytes ||
        memcmp(wanted, topic, topic_bytes) != 0) {
        sim_fail(s, "published for %s under another topic", header.cluster);
    }
    const bool set = header.type == BEAM_WIRE_SOLUTION_SET;
    if (!set && header.type != BEAM_WIRE_SOLUTION) {
        sim_fail(s, "%s was published", beam_wire_type_name(header.type));
    }
    sim_mirror *mirror = &a->mirror;
    const bool repeat = set ? ((const Beamd__SolutionSet *)m)->repeat != 0
                            : ((const Beamd__Solution *)m)->repeat != 0;
    sim_note(s, "published %s %llu of %s%s", set ? "set" : "solution",
             (unsigned long long)header.sequence, a->id, repeat ? " again" : "");
    sim_mix(s, frame, bytes);
    if (repeat) {
        judge_repeat(s, a, frame, bytes);
        return true;
    }
    s->judge.counts.publications++;
    const uint64_t hash = sim_answer_hash(1, frame, bytes);
    if (mirror->replied_hash != 0) {
        if (mirror->replied_hash != (hash | 1)) {
            sim_fail(s, "%s: the publication is not the reply", a->id);
        }
        mirror->replied_hash = 0;
    } else {
        const sim_record nobody = {.agent = a->index,
                                   .sequence = header.sequence,
                                   .deadline_ns = 0,
                                   .incarnation = mirror->incarnation};
        s->judge.counts.unsolicited++;
        s->judge.seen |= SEEN_UNSOLICITED;
        sim_judge_answer(s, a, &nobody, header.type, m);
    }
    mirror->published_hash = hash;
    mirror->published_bytes = bytes;
    return true;
}

/* --- Jobs --- */

/* A task is with one batch at a time. */
static void judge_owners(sim *s, const beamd_batch *batch)
{
    for (unsigned k = 0; k < s->core->away_count; k++) {
        const beamd_batch *other = s->core->away[k];
        for (unsigned i = 0; i < other->tasks * batch->tasks; i++) {
            if (other->task[i / batch->tasks] == batch->task[i % batch->tasks]) {
                sim_fail(s, "a task is in two batches");
            }
        }
    }
}

void sim_judge_submit(sim *s, const beamd_batch *batch)
{
    const beamd_backend_health *h = &s->core->backend[batch->backend];
    const unsigned most =
        (unsigned)(batch->crew == BEAMD_CREW_GPU ? s->config.gpu_batch_max : s->config.batch_max);
    const bool last = batch->backend == BEAMD__BACKEND__BACKEND_CHECK; /* nothing is below it */
    const bool due = h->health == BEAMD_HEALTH_FAILING && s->core->now_ns >= h->retry_at_ns;
    if (!last && h->health != BEAMD_HEALTH_GOOD && !due) {
        sim_fail(s, "backend %d is %s and was given a batch", (int)batch->backend,
                 beamd_health_text(h->health));
    }
    if (batch->tasks == 0 || batch->problems == 0) {
        sim_fail(s, "an empty batch");
    }
    if (batch->tasks > 1 && batch->problems > most) {
        sim_fail(s, "%u problems in a batch of at most %u", batch->problems, most);
    }
    if ((batch->crew == BEAMD_CREW_GPU) != (batch->backend == BEAMD__BACKEND__BACKEND_GPU)) {
        sim_fail(s, "crew %d has a batch of backend %d", batch->crew, (int)batch->backend);
    }
    judge_owners(s, batch);
    s->judge.seen |= batch->tasks > 1 ? SEEN_BATCH : 0;
    s->judge.seen |= batch->crew == BEAMD_CREW_RESCUE ? SEEN_RESCUE : 0;
    s->judge.seen |= batch->backend == BEAMD__BACKEND__BACKEND_SOLVER ? SEEN_SOLVER : 0;
}

static int name_of(const char *name)
{
    int n = 0;
    while (n < SIM_NAMES && strcmp(name, sim_names[n]) != 0) {
        n++;
    }
    return n;
}

/* Where the answer will be found that can be held. */
static void judge_task(sim *s, const beamd_task *task)
{
    const beamd_cluster *c = task->cluster;
    if (!c || c->gone) {
        return;
    }
    sim_agent *a = sim_agent_of(s, c->id);
    sim_mirror *m = &a->mirror;
    const bool in_time = c->active.present && task->ticket == c->ticket;
    for (int i = 0; i < task->subbands; i++) {
        const int b = task->subband[i];
        bool all = true;
        for (int p = 0; p < task->preferences; p++) {
            const beamd_answer *answer = task->answer[beamd_problem_index(i, p)];
            const int n = name_of(answer->preference_name);
            const bool overtaken = !in_time && c->active.present && beamd_bands_has(&c->done, b);
            const bool wanted = !overtaken && (m->named[n] || (n == 0 && c->named_count == 0));
            all = all && answer->code == BEAM_OK;
            if (answer->csi_sequence > m->csi_sequence) {
                sim_fail(s, "%s: a task for CSI %llu, which was not sent", a->id,
                         (unsigned long long)answer->csi_sequence);
            }
            if (task == c->spare) {
                continue;
            }
            if (answer->code != BEAM_OK && in_time) {
                m->solved[b][n] = 0;
                m->failed_for[b] = c->active.sequence;
            } else if (answer->code == BEAM_OK && wanted &&
                       answer->csi_sequence >= m->solved[b][n]) {
                m->solved[b][n] = answer->csi_sequence;
                m->unsure[b] = m->unsure[b] && n > 0;
            }
        }
        if (task == c->spare && in_time && all) {
            m->checked_for[b] = c->active.sequence;
        }
    }
}

void sim_judge_job(sim *s, const beamd_job *job)
{
    if (job->run == beamd_batch_run || job->run == beamd_gpu_take_run) {
        const beamd_batch *batch = (const beamd_batch *)job;
        for (unsigned k = 0; k < batch->tasks; k++) {
            judge_task(s, batch->task[k]);
        }
    }
}

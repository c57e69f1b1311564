/* Judges the core's own state after each step, and what is left at the end. */
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

enum { SPINS_MAX = 300 /* timer steps in one simulated millisecond */ };

static void judge_health(sim *s)
{
    for (int k = 0; k < BEAMD_BACKENDS; k++) {
        const beamd_backend_health *now = &s->core->backend[k], *was = &s->judge.health[k];
        if (now->transitions == was->transitions && now->health != was->health) {
            sim_fail(s, "backend %d went from %s to %s uncounted", k,
                     beamd_health_text(was->health), beamd_health_text(now->health));
        }
        if (now->transitions == was->transitions + 1) {
            const bool failed =
                was->health != BEAMD_HEALTH_FAILING && now->health == BEAMD_HEALTH_FAILING;
            const bool probed = was->health == BEAMD_HEALTH_FAILING &&
                                now->health == BEAMD_HEALTH_PROBING &&
                                s->core->now_ns >= was->retry_at_ns;
            const bool recovered =
                was->health == BEAMD_HEALTH_PROBING && now->health == BEAMD_HEALTH_GOOD;
            if (!failed && !probed && !recovered) {
                sim_fail(s, "backend %d went from %s to %s", k, beamd_health_text(was->health),
                         beamd_health_text(now->health));
            }
            s->judge.seen |= recovered ? SEEN_RECOVERED : 0;
        }
        if (now->health == BEAMD_HEALTH_FAILING) {
            const uint64_t most_ns = (uint64_t)s->config.backend_retry_max_ms * 1000000u;
            s->judge.seen |= SEEN_FAILING;
            if (now->wait_ns > most_ns && now->transitions != was->transitions) {
                sim_fail(s, "backend %d is left alone for %.3g s", k, 1e-9 * (double)now->wait_ns);
            }
        }
        s->judge.health[k] = *now;
    }
}

static void judge_queues(sim *s)
{
    const beamd_core *core = s->core;
    if (core->open_count > core->count || core->away_count > BEAMD_BATCHES_MAX ||
        core->lost_count > BEAMD_LOST_MAX) {
        sim_fail(s, "%u clusters open of %u, %u batches away, %u lost", core->open_count,
                 core->count, core->away_count, core->lost_count);
    }
    if (core->jobs[BEAMD_CREW_SOLVE] + core->jobs[BEAMD_CREW_RESCUE] + core->jobs[BEAMD_CREW_GPU] !=
        core->away_count) {
        sim_fail(s, "%u, %u and %u jobs, %u batches away", core->jobs[BEAMD_CREW_SOLVE],
                 core->jobs[BEAMD_CREW_RESCUE], core->jobs[BEAMD_CREW_GPU], core->away_count);
    }
    if (beamd_core_jobs(core) != sim_jobs_away(s)) {
        sim_fail(s, "the core counts %u jobs, %u are away", beamd_core_jobs(core),
                 sim_jobs_away(s));
    }
    for (unsigned k = 0; k < core->open_count; k++) {
        const beamd_cluster *c = core->open[k];
        const bool sorted =
            k == 0 || core->open[k - 1]->active.deadline_ns <= c->active.deadline_ns;
        if (!c->active.present || c->open_at != (int)k || !sorted ||
            c->pending_count > BEAMD_PENDING_MAX) {
            sim_fail(s, "%s: its place in the queue is wrong", c->id);
        }
    }
}

/* A request that is over is over: what waits has a moment at which it is looked at again. */
static void judge_wake(sim *s)
{
    if (s->core->open_count > 0 && s->wake_ns == UINT64_MAX) {
        sim_fail(s, "%u clusters wait for nothing", s->core->open_count);
    }
}

void sim_judge_step(sim *s, bool timer, uint64_t before_ns)
{
    sim_judge *j = &s->judge;
    j->counts.steps++;
    j->counts.wakes += timer;
    if (before_ns - j->spin_from_ns > 1000000u) {
        j->spin_from_ns = before_ns;
        j->spins = 0;
    }
    j->spins += timer;
    if (j->spins > SPINS_MAX) {
        sim_fail(s, "the core was woken %u times within a millisecond", j->spins);
    }
    judge_health(s);
    judge_wake(s);
    for (unsigned i = 0; i < s->agents; i++) {
        if (s->agent[i].mirror.replied_hash != 0) {
            sim_fail(s, "%s: an answer was not published", s->agent[i].id);
        }
    }
    if (j->counts.steps % 8 == 0) {
        judge_queues(s);
    }
}

void sim_judge_end(sim *s)
{
    const sim_judge *j = &s->judge;
    beamd_gauges *gauges = test_memory(sizeof *gauges);
    memset(gauges, 0, sizeof *gauges);
    beamd_core_gauges(s->core, s->now_ns, gauges);
    if (j->records > 0) {
        const sim_record *r = &j->record[0];
        sim_fail(s, "%u requests have no answer, the first is %s %llu of c%03u", j->records,
                 beam_wire_type_name(r->type), (unsigned long long)r->sequence, r->agent);
    }
    if (!beamd_core_idle(s->core) || beamd_core_jobs(s->core) > 0 ||
        beamd_core_waiting(s->core) > 0) {
        sim_fail(s, "not idle at the end");
    }
    if (s->core->lost_count != 0 || gauges->lost != 0) {
        sim_fail(s, "%u threads are still lost", s->core->lost_count);
    }
    if (beamd_core_clusters(s->core) == 0 && gauges->cluster_bytes != 0) {
        sim_fail(s, "%zu bytes of no cluster", gauges->cluster_bytes);
    }
    if (s->scenario->end == SIM_END_CLEAN && beamd_core_clusters(s->core) != 0) {
        sim_fail(s, "%u clusters are still there", beamd_core_clusters(s->core));
    }
    sim_gpu_end(s);
    if (j->counts.gpu_saved_by_check > 2 + j->counts.gpu_saved / 20) { /* times are drawn */
        sim_fail(s, "%llu of %llu requests that a GPU lost in time are answered by the check",
                 (unsigned long long)j->counts.gpu_saved_by_check,
                 (unsigned long long)j->counts.gpu_saved);
    }
    const unsigned missing = s->whole ? s->scenario->must_see & ~j->seen : 0;
    if (missing) {
        sim_fail(s, "the scenario has not shown what it is for: %x of %x", missing,
                 s->scenario->must_see);
    }
    free(gauges);
}

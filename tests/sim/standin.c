/* In place of threads: a job is given back when its drawn time is over, with answers of the pool.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

static unsigned crew_size(const sim *s, beamd_crew crew)
{
    return crew == BEAMD_CREW_SOLVE ? (unsigned)s->config.workers
           : crew == BEAMD_CREW_GPU ? (unsigned)s->config.gpu_threads
                                    : 1;
}

static unsigned crew_busy(const sim *s, beamd_crew crew)
{
    unsigned busy = 0;
    for (unsigned k = 0; k < SIM_JOBS_MAX; k++) {
        busy += s->job[k].job && s->job[k].crew == crew && !s->job[k].lost;
    }
    return busy;
}

unsigned sim_free_threads(void *arg, beamd_crew crew)
{
    const sim *s = arg;
    return crew_size(s, crew) - crew_busy(s, crew);
}

unsigned sim_jobs_away(const sim *s)
{
    unsigned away = 0;
    for (unsigned k = 0; k < SIM_JOBS_MAX; k++) {
        away += s->job[k].job != NULL;
    }
    return away + sim_gpu_away(s);
}

uint64_t sim_given_hash(const beamd_batch *batch)
{
    uint64_t h = 1;
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_task *t = batch->task[k];
        h = sim_answer_hash(h, &t->ticket, sizeof t->ticket);
        h = sim_answer_hash(h, t->subband, (size_t)t->subbands * sizeof t->subband[0]);
        for (int i = 0; i < t->subbands; i++) {
            h ^= sim_scene_hash(&t->slot[i].view.scene) * (uint64_t)(i + 3);
        }
    }
    return h;
}

static double lognormal(sim *s, double median, double sigma)
{
    return median * exp(sigma * test_random_normal(&s->random));
}

/* Shares of the time of full effort. */
static double effort_share(beamd_effort effort)
{
    static const double shares[BEAMD_EFFORTS] = {1, 0.35, 1.5, 0.15};
    return effort < BEAMD_EFFORT_NONE ? shares[effort] : 0;
}

/* What goes wrong on a thread, in nanoseconds. */
static double trouble_ns(sim *s, sim_job *j)
{
    const sim_service *v = &s->scenario->service;
    double ns = 0;
    if (sim_faults_now(s) && sim_chance(s, v->stall_share)) {
        ns += 1e6 * sim_exponential(s, v->stall_ms);
    }
    if (sim_faults_now(s) && sim_chance(s, v->hang_share)) {
        j->never = v->hang_s <= 0;
        ns += 1e9 * v->hang_s + 1e6 * (double)s->config.hang_ms;
    }
    return ns;
}

/* How long, in nanoseconds; which tasks were cut short by their deadline. */
static uint64_t batch_time(sim *s, const beamd_batch *batch, sim_job *j)
{
    const sim_service *v = &s->scenario->service;
    const double one_ns = 1e3 * v->full_us;
    const double least = batch->effort == BEAMD_EFFORT_FULL     ? effort_share(BEAMD_EFFORT_NETWORK)
                         : batch->effort == BEAMD_EFFORT_SOLVER ? 0.3
                                                                : 1;
    double ns = 0;
    for (unsigned k = 0; k < batch->tasks; k++) {
        const beamd_task *t = batch->task[k];
        const double problems = (double)(t->subbands * t->preferences);
        const double whole =
            lognormal(s, one_ns * effort_share((beamd_effort)batch->effort), v->sigma) * problems;
        const double left =
            t->stop_at_ns > s->now_ns ? (double)(t->stop_at_ns - s->now_ns) - ns : 0;
        j->cut[k] = least < 1 && whole > left;
        ns += j->cut[k] ? fmax(left, least * whole) : whole;
    }
    return (uint64_t)(ns + trouble_ns(s, j)) + 1000;
}

static uint64_t job_time(sim *s, beamd_crew crew, const beamd_job *job, sim_job *j)
{
    switch (crew) {
    case BEAMD_CREW_SOLVE:
    case BEAMD_CREW_RESCUE:
        return batch_time(s, (const beamd_batch *)job, j);
    case BEAMD_CREW_BACKGROUND:
        return sim_ns(1e-6 * lognormal(s, 20 * s->scenario->service.full_us, 0.5));
    case BEAMD_CREW_GPU:
        return (uint64_t)(1e3 * sim_gpu_job_us(s, (const beamd_batch *)job) + trouble_ns(s, j));
    case BEAMD_CREW_READ:
    case BEAMD_CREWS:
        break;
    }
    return sim_ns(1e-3 * lognormal(s, 5, 1));
}

static bool of_batch(beamd_crew crew)
{
    return crew == BEAMD_CREW_SOLVE || crew == BEAMD_CREW_RESCUE || crew == BEAMD_CREW_GPU;
}

bool sim_submit(void *arg, beamd_crew crew, beamd_job *job)
{
    sim *s = arg;
    unsigned at = 0;
    if (crew_busy(s, crew) >= crew_size(s, crew)) {
        sim_fail(s, "a job for crew %d, whose threads are all busy", (int)crew);
    }
    if (sim_chance(s, s->scenario->refuse_submit)) {
        return false;
    }
    while (at < SIM_JOBS_MAX && s->job[at].job) {
        at++;
    }
    if (at == SIM_JOBS_MAX) {
        sim_fail(s, "more jobs than there can be threads");
    }
    const bool batch = of_batch(crew);
    sim_job *j = &s->job[at];
    *j = (sim_job){.job = job, .crew = crew, .begun_ns = s->now_ns, .stamp = ++s->job_stamp};
    job->lost = false;
    if (batch) {
        j->scene_hash = sim_given_hash((const beamd_batch *)job);
        if (job->run != beamd_gpu_take_run) {
            sim_judge_submit(s, (const beamd_batch *)job);
        }
        if (crew == BEAMD_CREW_GPU) {
            sim_gpu_job_begins(s, (beamd_batch *)job, j->scene_hash);
        }
    }
    j->done_ns = s->now_ns + job_time(s, crew, job, j);
    if (!j->never) {
        sim_heap_push(
            &s->heap,
            (sim_event){.at_ns = j->done_ns, .kind = SIM_JOB, .index = at, .stamp = j->stamp});
    }
    sim_note(s, "submit crew %d job %u effort %d tasks %u until %.3f ms", (int)crew, at,
             batch ? ((const beamd_batch *)job)->effort : -1,
             batch ? ((const beamd_batch *)job)->tasks : 0,
             1e-6 * (double)(j->done_ns - s->now_ns));
    return true;
}

bool sim_replace_thread(void *arg, beamd_crew crew, const beamd_job *job)
{
    sim *s = arg;
    for (unsigned k = 0; k < SIM_JOBS_MAX; k++) {
        sim_job *j = &s->job[k];
        if (j->job == job && j->crew == crew && !j->lost) {
            if (s->lost == BEAMD_POOL_LOST_MAX) {
                return false;
            }
            j->lost = true;
            s->lost++;
            s->judge.seen |= SEEN_LOST;
            sim_note(s, "thread of job %u replaced", k);
            return true;
        }
    }
    sim_fail(s, "a thread is to be replaced that has no such job");
}

/* --- The work --- */

static sim_flavour flavour_of(sim *s, beamd_effort effort)
{
    const sim_spoilt *p = &s->scenario->spoilt;
    if (!sim_faults_now(s) ||
        (p->network_only && effort != BEAMD_EFFORT_FULL && effort != BEAMD_EFFORT_NETWORK)) {
        return SIM_GOOD;
    }
    double u = sim_uniform(s);
    return (u -= p->nan) < 0     ? SIM_NAN
           : (u -= p->over) < 0  ? SIM_OVER
           : (u -= p->worse) < 0 ? SIM_WORSE
           : (u -= p->users) < 0 ? SIM_USERS
           : (u -= p->fails) < 0 ? SIM_FAILS
                                 : SIM_GOOD;
}

static void finish_task(sim *s, beamd_batch *batch, beamd_task *task, bool cut)
{
    const beamd_effort effort = (beamd_effort)batch->effort;
    for (int i = 0; i < task->subbands; i++) {
        sim_answer_ends(task, i, effort, sim_chance(s, 0.5) ? 3000000 : 100000);
        for (int p = 0; p < task->preferences; p++) {
            beamd_answer *a = task->answer[beamd_problem_index(i, p)];
            const sim_flavour flavour = flavour_of(s, effort);
            const bool stood = sim_answer_problem(task, i, p, effort, flavour);
            a->fallback = task->excluded;
            a->result.warm = task->slot[i].warm_given[p];
            if (a->below_classical) {
                s->judge.seen |= SEEN_REPLACED;
            }
            if (!stood) {
                batch->failed = true;
                batch->failures++;
            } else if (a->service == BEAMD__SERVICE__SERVICE_FULL && (cut || task->reduced)) {
                a->service = BEAMD__SERVICE__SERVICE_REDUCED;
                a->result.status = cut ? BEAM_STATUS_TIME_LIMIT : a->result.status;
            } else if (!cut && a->result.status == BEAM_STATUS_TIME_LIMIT) {
                a->result.status = BEAM_STATUS_ITERATION_LIMIT;
            }
        }
    }
}

static void finish_batch(sim *s, sim_job *j, beamd_batch *batch)
{
    if (sim_given_hash(batch) != j->scene_hash) {
        sim_fail(s, "the core changed a task that was under way");
    }
    if (j->crew == BEAMD_CREW_GPU) {
        sim_gpu_job_ends(s, batch, j->begun_ns, j->done_ns);
        return;
    }
    batch->failed = false;
    batch->failures = batch->by_solver = 0;
    for (unsigned k = 0; k < batch->tasks; k++) {
        finish_task(s, batch, batch->task[k], j->cut[k]);
    }
    batch->start_ns = j->begun_ns;
    batch->checked_ns = j->done_ns;
    batch->end_ns = j->begun_ns + (j->done_ns - j->begun_ns) / 8 * 7;
}

static void finish_front(beamd_front_job *job, const sim_job *j)
{
    job->start_ns = j->begun_ns;
    job->end_ns = j->done_ns;
    job->code = BEAM_OK;
    job->ideal = (beam_ideal){10, 1};
    for (int k = 0; k < job->points; k++) {
        job->tradeoff[k] = (double)k / (double)(job->points - 1);
        job->result[k] =
            (beam_result){.wsr_worst_case_bps_hz = 10 - k, .crlb_valid = true, .crlb_m2 = 10 - k};
    }
}

static void finish_model(sim *s, beamd_model_job *job)
{
    const sim_control *c = &s->scenario->control;
    job->model = NULL;
    job->error = (beam_error){0};
    if (c->refuse_model > 0 && sim_uniform(s) * (c->model + c->refuse_model) < c->refuse_model) {
        beam_fail(&job->error, BEAM_E_INVALID, "checksum", "is another one");
        return;
    }
    beamd_model *fresh = test_memory(sizeof *fresh);
    *fresh = *s->model; /* the same weights, without the memory */
    fresh->memory = NULL;
    fresh->holds = 1;
    job->model = fresh;
    s->judge.seen |= SEEN_MODEL;
}

void sim_job_finish(sim *s, unsigned index)
{
    sim_job *j = &s->job[index];
    beamd_job *job = j->job;
    if (j->done_ns > s->now_ns) {
        j->done_ns = s->now_ns;
    }
    if (of_batch(j->crew)) {
        finish_batch(s, j, (beamd_batch *)job);
    } else if (j->crew == BEAMD_CREW_READ) {
        finish_model(s, (beamd_model_job *)job);
    } else if (job->run == beamd_front_run) {
        finish_front((beamd_front_job *)job, j);
    } else {
        beamd_refresh_job *refresh = (beamd_refresh_job *)job;
        refresh->code = BEAM_OK;
        refresh->start_ns = j->begun_ns;
        refresh->end_ns = j->done_ns;
        sim_answer_refresh(refresh, 3000000);
        s->judge.seen |= SEEN_REFRESH;
    }
    job->lost = j->lost;
    s->lost -= j->lost;
    j->job = NULL;
    sim_judge_job(s, job);
    sim_note(s, "job %u back%s", index, job->lost ? ", lost before" : "");
    const beamd_event event = {.kind = BEAMD_EVENT_DONE, .job = job};
    (void)sim_step(s, &event);
}

/* Told to end: all but those that hang do within a few milliseconds. */
void sim_jobs_hurry(sim *s)
{
    for (unsigned k = 0; k < SIM_JOBS_MAX; k++) {
        sim_job *j = &s->job[k];
        const uint64_t soon_ns = s->now_ns + 5000000;
        if (j->job && !j->never && j->done_ns > soon_ns) {
            j->done_ns = soon_ns;
            j->stamp = ++s->job_stamp;
            sim_heap_push(
                &s->heap,
                (sim_event){.at_ns = soon_ns, .kind = SIM_JOB, .index = k, .stamp = j->stamp});
        }
    }
}

void sim_jobs_return_all(sim *s)
{
    for (unsigned k = 0; k < SIM_JOBS_MAX; k++) {
        if (s->job[k].job) {
            sim_job_finish(s, k);
        }
    }
}

#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "state_internal.h"

#define RETRY_MAX_NS UINT64_C(60000000000)

uint64_t beamd_state_unix_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool beamd_state_choose_dir(beamd_config *config)
{
    const char *given = getenv("STATE_DIRECTORY"); /* systemd; several are separated by ':' */
    if (strcmp(config->state_dir, "off") == 0) {
        return true;
    }
    if (!config->state_dir[0] && given && *given == '/') {
        const size_t n = strcspn(given, ":");
        if (n >= sizeof config->state_dir) {
            return false;
        }
        memcpy(config->state_dir, given, n);
        config->state_dir[n] = 0;
    } else if (!config->state_dir[0]) {
        snprintf(config->state_dir, sizeof config->state_dir, "%s/state", config->runtime_dir);
    }
    return config->state_dir[0] == '/';
}

/* --- entries --- */

static unsigned place_of(const beamd_state *self, const char *id, bool *found)
{
    unsigned low = 0, high = self->count;
    while (low < high) {
        const unsigned middle = (low + high) / 2;
        const int order = strcmp(self->entries[middle].id, id);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = false;
    return low;
}

state_entry *beamd_state_find_entry(beamd_state *self, const char *id)
{
    bool found;
    const unsigned at = place_of(self, id, &found);
    return found ? &self->entries[at] : NULL;
}

state_entry *beamd_state_add_entry(beamd_state *self, const char *id)
{
    bool found;
    const unsigned at = place_of(self, id, &found);
    if (found) {
        return &self->entries[at];
    }
    if (self->count >= self->entries_max) {
        return NULL;
    }
    state_entry *entry = &self->entries[at];
    memmove(entry + 1, entry, (self->count - at) * sizeof *entry);
    self->count++;
    *entry = (state_entry){.memory = {.fd = -1}};
    snprintf(entry->id, sizeof entry->id, "%s", id);
    return entry;
}

void beamd_state_erase_entry(beamd_state *self, const state_entry *entry)
{
    const size_t at = (size_t)(entry - self->entries);
    self->count--;
    memmove(&self->entries[at], &self->entries[at + 1], (self->count - at) * sizeof *self->entries);
}

/* --- life --- */

beamd_state *beamd_state_open(const char *dir, unsigned clusters_max, size_t bytes_max,
                              const beamd_notify *notify, const beamd_state_world *world, char *why,
                              size_t size)
{
    beamd_state *self = calloc(1, sizeof *self);
    /* a cluster that was removed keeps its entry until its file is gone */
    const unsigned entries = 2 * clusters_max;
    state_entry *list = calloc(entries, sizeof *list);
    if (!self || !list) {
        snprintf(why, size, "out of memory");
        free(list);
        free(self);
        return NULL;
    }
    self->world = *world;
    self->notify = notify;
    self->clusters_max = clusters_max;
    self->bytes_max = bytes_max;
    self->entries = list;
    self->entries_max = entries;
    if (!beamd_state_store_open(&self->store, dir, why, size)) {
        free(list);
        free(self);
        return NULL;
    }
    return self;
}

void beamd_state_close(beamd_state **state)
{
    beamd_state *self = *state;
    if (!self) {
        return;
    }
    for (unsigned k = 0; k < self->count; k++) {
        beamd_state_memory_close(&self->entries[k].memory); /* the manager has its own */
    }
    beamd_state_store_close(&self->store);
    beamd_state_buffer_free(&self->buffer);
    free(self->entries);
    free(self);
    *state = NULL;
}

const beamd_state_counters *beamd_state_counters_of(const beamd_state *self)
{
    return &self->counters;
}

/* --- on a thread beside the loop --- */

/* A record that outgrew its memory gets a new one; the old one is let go afterwards. */
static int renew_memory(state_job *job)
{
    beamd_state_memory old = job->memory;
    beamd_state_memory_create(&job->memory, job->memory_name, job->memory_bytes);
    if (job->memory.fd < 0) {
        job->memory = old;
        return -1;
    }
    if (old.fd >= 0) {
        beamd_notify_drop_fd(job->notify, old.name);
        beamd_state_memory_close(&old);
    }
    return 0;
}

static bool write_memory(state_job *job)
{
    if (job->memory_bytes == 0) {
        return true;
    }
    if ((job->memory.fd < 0 || job->bytes > job->memory.half_bytes) && renew_memory(job) < 0) {
        return false;
    }
    if (beamd_state_memory_write(&job->memory, job->record, job->bytes) != 0) {
        return false;
    }
    if (!job->memory.kept) {
        job->memory.kept = beamd_notify_keep_fd(job->notify, job->memory.name, job->memory.fd);
    }
    return job->memory.kept;
}

static void run(beamd_job *base)
{
    state_job *job = (state_job *)base;
    if (job->task == STATE_WRITE) {
        beamd_record_seal(job->record, job->bytes);
        /* the memory first: it is there at once, the disk takes its time */
        job->memory_good = write_memory(job);
        job->status = beamd_state_store_write(job->dir_fd, job->file, job->record, job->bytes);
        return;
    }
    job->memory_good = true;
    if (job->memory.fd >= 0) {
        /* before the file: what is removed must not come back from the other place */
        job->memory_good = !job->memory.kept || beamd_notify_drop_fd(job->notify, job->memory.name);
    }
    job->status = job->memory_good ? beamd_state_store_remove(job->dir_fd, job->file) : 0;
}

/* --- on the loop --- */

static bool submit(beamd_state *self, uint64_t now_ns)
{
    self->job.job.run = run;
    self->job.under_way = true;
    self->job.start_ns = now_ns;
    if (!self->world.submit(self->world.arg, &self->job.job)) {
        self->job.under_way = false;
    }
    return self->job.under_way;
}

/* The file, the thread's side of the memory, and how much of it there may be. */
static void fill_job(beamd_state *self, state_task task, const state_entry *entry, size_t bytes)
{
    state_job *job = &self->job;
    *job = (state_job){.task = task,
                       .dir_fd = self->store.dir_fd,
                       .record = self->buffer.bytes,
                       .bytes = bytes,
                       .notify = self->notify,
                       .memory = entry->memory};
    memcpy(job->id, entry->id, sizeof job->id);
    snprintf(job->file, sizeof job->file, "%s.state", entry->id);
    const size_t have = entry->memory.fd >= 0 ? 2 * entry->memory.half_bytes : 0;
    const size_t wanted = bytes + bytes / 4; /* it may grow with users that come */
    const size_t total = self->counters.kept_bytes - have + 2 * wanted;
    if (task == STATE_WRITE && self->notify->fd >= 0 &&
        (bytes <= have / 2 || total <= BEAMD_STATE_KEPT_BYTES_MAX)) {
        job->memory_bytes = wanted;
        snprintf(job->memory_name, sizeof job->memory_name, BEAMD_STATE_FD_PREFIX "%s.%llu",
                 entry->id, (unsigned long long)(self->memory_number + 1));
    }
}

static bool submit_cluster(beamd_state *self, uint64_t now_ns)
{
    const state_entry *entry = beamd_state_find_entry(self, self->stage.id);
    if (!entry) {
        self->stage.active = false;
        return false;
    }
    fill_job(self, STATE_WRITE, entry, self->stage.bytes);
    if (!submit(self, now_ns)) {
        return false;
    }
    self->memory_number += self->job.memory_bytes > 0;
    self->counters.record_bytes = self->stage.bytes;
    return true;
}

/* The daemon's own record; true: a job is under way. */
static bool save_daemon(beamd_state *self, uint64_t now_ns, uint64_t every_ns)
{
    beamd_record_daemon facts = {.tradeoff = 0};
    facts.has_tradeoff = self->world.preference(self->world.arg, &facts.tradeoff);
    facts.tradeoff = facts.has_tradeoff ? facts.tradeoff : 0;
    const bool same = facts.has_tradeoff == self->saved_daemon.has_tradeoff &&
                      facts.tradeoff == self->saved_daemon.tradeoff;
    if (same || now_ns < self->daemon_due_ns || !beamd_state_buffer_grow(&self->buffer, 4096)) {
        return false;
    }
    beamd_record_writer writer;
    const beamd_record_header header = {
        .kind = BEAMD_RECORD_DAEMON, .serial = ++self->serial, .unix_ns = beamd_state_unix_ns()};
    beamd_record_begin(&writer, self->buffer.bytes, 4096, &header);
    beamd_record_put_daemon(&writer, &facts);
    self->writing_daemon = facts;
    self->job = (state_job){.task = STATE_WRITE,
                            .dir_fd = self->store.top_fd,
                            .record = self->buffer.bytes,
                            .bytes = beamd_record_end(&writer),
                            .notify = self->notify,
                            .memory = {.fd = -1}};
    snprintf(self->job.file, sizeof self->job.file, "%s", BEAMD_STATE_DAEMON_FILE);
    self->daemon_due_ns = now_ns + every_ns;
    return submit(self, now_ns);
}

/* In turn, so that each changed cluster is written before another one is for the second time. True:
 * something was begun. */
static bool look_for_change(beamd_state *self, uint64_t now_ns, uint64_t every_ns)
{
    for (int k = 0; k < BEAMD_STATE_VISITS; k++) {
        beamd_cluster *c = self->world.at(self->world.arg, self->visit);
        if (!c) {
            if (self->visit == 0) {
                return false;
            }
            self->visit = 0;
            continue;
        }
        self->visit++;
        if (c->changed == c->saved) {
            continue;
        }
        state_entry *entry = beamd_state_add_entry(self, c->id);
        if (entry) {
            entry->left = false;
        }
        if (entry && now_ns >= entry->due_ns &&
            beamd_state_stage_begin(self, c, entry, now_ns, every_ns)) {
            return true;
        }
    }
    return false;
}

static bool look_for_removed(beamd_state *self, uint64_t now_ns)
{
    for (int k = 0; k < BEAMD_STATE_VISITS && self->count > 0; k++) {
        self->visit_gone = self->visit_gone < self->count ? self->visit_gone : 0;
        const state_entry *entry = &self->entries[self->visit_gone++];
        if (now_ns >= entry->due_ns && !entry->left &&
            !self->world.find(self->world.arg, entry->id)) {
            fill_job(self, STATE_REMOVE, entry, 0);
            return submit(self, now_ns);
        }
    }
    return false;
}

static bool turn(beamd_state *self, uint64_t now_ns, uint64_t every_ns)
{
    state_stage *stage = &self->stage;
    if (!stage->active && (save_daemon(self, now_ns, every_ns) || look_for_removed(self, now_ns) ||
                           !look_for_change(self, now_ns, every_ns))) {
        return false;
    }
    if (!stage->ready) {
        beamd_state_stage_more(self);
    }
    if (stage->active && stage->ready) {
        (void)submit_cluster(self, now_ns); /* no thread: in a later turn */
        return false;
    }
    return stage->active;
}

bool beamd_state_tick(beamd_state *self, uint64_t now_ns, uint64_t every_ns)
{
    if (self->job.under_way) {
        return false;
    }
    const uint64_t begin_ns = self->world.clock_ns(self->world.arg);
    const bool more = turn(self, now_ns, every_ns);
    const uint64_t took_ns = self->world.clock_ns(self->world.arg) - begin_ns;
    self->counters.turn_last_ns = took_ns;
    self->counters.turn_max_ns =
        took_ns > self->counters.turn_max_ns ? took_ns : self->counters.turn_max_ns;
    return more;
}

/* Doubled with every failure in a row. */
static uint64_t retry_ns(unsigned failures, uint64_t every_ns)
{
    uint64_t wait_ns = every_ns;
    for (unsigned k = 0; k < failures && wait_ns < RETRY_MAX_NS; k++) {
        wait_ns *= 2;
    }
    return wait_ns < RETRY_MAX_NS ? wait_ns : RETRY_MAX_NS;
}

static void report(beamd_state *self, const state_job *job)
{
    if (!job->memory_good) {
        self->counters.kept_failed++;
        BEAMD_LOG(BEAMD_LOG_WARNING,
                  "event=state_not_kept cluster=%s why=\"the service manager did not take it, or "
                  "there is no memory\"",
                  job->id);
    }
    if (job->status != 0) {
        self->counters.failed++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=state_failed file=%s task=%s why=\"%s\"", job->file,
                  job->task == STATE_WRITE ? "write" : "remove", strerror(job->status));
    } else if (job->task == STATE_WRITE) {
        self->counters.written++;
        self->counters.written_at_ns = job->end_ns;
    }
    self->counters.write_last_ns = job->end_ns - job->start_ns;
    if (self->counters.write_last_ns > self->counters.write_max_ns) {
        self->counters.write_max_ns = self->counters.write_last_ns;
    }
}

static void daemon_done(beamd_state *self, const state_job *job, uint64_t now_ns, uint64_t every_ns)
{
    if (job->status == 0) {
        self->saved_daemon = self->writing_daemon;
        self->daemon_failures = 0;
        return;
    }
    self->daemon_due_ns = now_ns + retry_ns(++self->daemon_failures, every_ns);
}

static void cluster_done(beamd_state *self, state_job *job, uint64_t now_ns, uint64_t every_ns)
{
    state_entry *entry = beamd_state_find_entry(self, job->id);
    if (!entry) {
        return; /* entries go with their own job only */
    }
    const size_t had = entry->memory.fd >= 0 ? 2 * entry->memory.half_bytes : 0;
    const size_t has = job->memory.fd >= 0 ? 2 * job->memory.half_bytes : 0;
    self->counters.kept_bytes = self->counters.kept_bytes - had + has;
    entry->memory = job->memory;
    if (job->status != 0 || (job->task == STATE_REMOVE && !job->memory_good)) {
        entry->due_ns = now_ns + retry_ns(++entry->failures, every_ns);
        return;
    }
    entry->failures = 0;
    if (job->task == STATE_REMOVE) {
        self->counters.removed++;
        self->counters.kept_bytes -= has;
        beamd_state_memory_close(&entry->memory);
        beamd_state_erase_entry(self, entry);
        return;
    }
    beamd_cluster *c = self->world.find(self->world.arg, job->id);
    if (c && c->incarnation == self->stage.incarnation) {
        c->saved = self->stage.changed;
    }
}

bool beamd_state_done(beamd_state *self, const beamd_job *job, uint64_t now_ns, uint64_t every_ns)
{
    if (job != &self->job.job) {
        return false;
    }
    self->job.under_way = false;
    self->job.end_ns = now_ns;
    report(self, &self->job);
    if (!self->job.id[0]) {
        daemon_done(self, &self->job, now_ns, every_ns);
        return true;
    }
    cluster_done(self, &self->job, now_ns, every_ns);
    if (self->job.task == STATE_WRITE) {
        self->stage = (state_stage){.active = false};
    }
    return true;
}

static bool run_here(void *arg, beamd_job *job)
{
    (void)arg;
    job->run(job);
    return true;
}

void beamd_state_flush(beamd_state *self, uint64_t budget_ns)
{
    const beamd_state_world world = self->world;
    const uint64_t begin_ns = world.clock_ns(world.arg);
    self->world.submit = run_here;
    self->job.under_way = false;
    if (self->stage.ready) {
        self->stage = (state_stage){.active = false}; /* of a job that never ran */
    }
    for (unsigned k = 0; k < self->count; k++) {
        self->entries[k].due_ns = 0;
    }
    self->daemon_due_ns = 0;
    /* every_ns above the budget: each is tried once */
    unsigned idle = 0;
    while (idle <= 2 * (self->entries_max / BEAMD_STATE_VISITS + 1)) {
        const uint64_t now_ns = world.clock_ns(world.arg);
        if (now_ns - begin_ns > budget_ns) {
            BEAMD_LOG(BEAMD_LOG_WARNING, "event=state_flush_cut");
            break;
        }
        const bool more = beamd_state_tick(self, now_ns, 2 * budget_ns + 1);
        idle = more || self->job.under_way ? 0 : idle + 1;
        if (self->job.under_way) {
            beamd_state_done(self, &self->job.job, now_ns, 2 * budget_ns + 1);
        }
    }
    self->world.submit = world.submit;
}

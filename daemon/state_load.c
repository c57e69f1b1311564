/* At the start: files and what the service manager kept, the newer of each cluster. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "state_internal.h"

/* What the manager kept, as far as it is whole. */
typedef struct kept_record {
    beamd_state_memory memory;
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    uint64_t serial;
    bool used;
} kept_record;

typedef struct loading {
    beamd_state *state;
    uint64_t begin_ns, budget_ns;
    beamd_state_buffer file, memory;
    void *arena_memory;
    beam_wire_arena arena;
    kept_record *kept; /* [kept_count] */
    unsigned kept_count;
    char (*names)[BEAMD_STATE_NAME_BYTES];
    int names_count;
} loading;

static void damaged(loading *l, int dir_fd, const char *file, const char *why, const char *detail)
{
    l->state->counters.damaged++;
    const int status = beamd_state_store_set_aside(dir_fd, file, why);
    BEAMD_LOG(BEAMD_LOG_ERR, "event=state_damaged file=%s why=%s detail=\"%s\" set_aside=\"%s\"",
              file, why, detail, status == 0 ? "yes" : strerror(status));
}

/* --- the manager's memory --- */

static void drop(loading *l, beamd_state_memory *memory)
{
    if (memory->name[0]) {
        beamd_notify_drop_fd(l->state->notify, memory->name);
    }
    beamd_state_memory_close(memory);
}

/* "beamd-state.ID.NUMBER": numbers of names to come are larger. */
static void note_number(beamd_state *state, const char *name)
{
    const char *dot = strrchr(name, '.');
    const unsigned long long number = dot ? strtoull(dot + 1, NULL, 10) : 0;
    if (number > state->memory_number && number < UINT64_MAX / 2) {
        state->memory_number = number;
    }
}

/* One memory a cluster: of two the newer. */
static void add_kept(loading *l, beamd_state_memory *memory)
{
    beamd_record_view view;
    beamd_state *state = l->state;
    if (!beamd_state_memory_read(memory, state->bytes_max, &l->memory, &view) ||
        view.header.kind != BEAMD_RECORD_CLUSTER) {
        state->counters.damaged++;
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=state_damaged kept=%s why=\"no whole record\"",
                  memory->name);
        drop(l, memory);
        return;
    }
    state->serial = view.header.serial > state->serial ? view.header.serial : state->serial;
    for (unsigned k = 0; k < l->kept_count; k++) {
        kept_record *other = &l->kept[k];
        if (strcmp(other->id, view.cluster.id) == 0) {
            beamd_state_memory loser = *memory;
            if (view.header.serial > other->serial) {
                loser = other->memory;
                other->memory = *memory;
                other->serial = view.header.serial;
            }
            drop(l, &loser);
            return;
        }
    }
    kept_record *it = &l->kept[l->kept_count++];
    *it = (kept_record){.memory = *memory, .serial = view.header.serial};
    memcpy(it->id, view.cluster.id, sizeof it->id);
}

static void take_kept(loading *l)
{
    const unsigned most = 2 * l->state->clusters_max;
    beamd_given_fd *given = calloc(most, sizeof *given);
    l->kept = calloc(most, sizeof *l->kept);
    if (!given || !l->kept) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=state_load_failed why=\"out of memory\"");
        free(given);
        return;
    }
    const unsigned count = beamd_notify_given_fds(given, most);
    const size_t prefix = strlen(BEAMD_STATE_FD_PREFIX);
    for (unsigned k = 0; k < count; k++) {
        beamd_state_memory memory;
        const bool ours = strncmp(given[k].name, BEAMD_STATE_FD_PREFIX, prefix) == 0;
        note_number(l->state, given[k].name);
        if (ours && beamd_state_memory_adopt(&memory, &given[k])) {
            add_kept(l, &memory);
        } else {
            BEAMD_LOG(BEAMD_LOG_WARNING, "event=state_fd_unknown name=\"%s\"", given[k].name);
            if (ours) {
                beamd_notify_drop_fd(l->state->notify, given[k].name);
            }
            close(given[k].fd);
        }
    }
    free(given);
}

unsigned beamd_state_give_back(const beamd_notify *notify)
{
    enum { MOST = 2 * BEAMD_CLUSTERS_MAX };
    beamd_given_fd *given = calloc(MOST, sizeof *given);
    const unsigned count = given ? beamd_notify_given_fds(given, MOST) : 0;
    for (unsigned k = 0; k < count; k++) {
        if (strncmp(given[k].name, BEAMD_STATE_FD_PREFIX, strlen(BEAMD_STATE_FD_PREFIX)) == 0) {
            beamd_notify_drop_fd(notify, given[k].name);
        }
        close(given[k].fd);
    }
    free(given);
    return count;
}

static kept_record *find_kept(loading *l, const char *id)
{
    for (unsigned k = 0; k < l->kept_count; k++) {
        if (strcmp(l->kept[k].id, id) == 0) {
            return &l->kept[k];
        }
    }
    return NULL;
}

/* --- clusters --- */

static bool out_of_time(const loading *l)
{
    const beamd_state_world *world = &l->state->world;
    return world->clock_ns(world->arg) - l->begin_ns > l->budget_ns;
}

typedef enum outcome { TAKEN, BAD, LEFT } outcome;

static outcome take_record(loading *l, const beamd_record_view *view, const char **why,
                           char *detail, size_t size)
{
    beamd_state *state = l->state;
    beamd_cluster_limits limits;
    beam_wire_error err = {.field = ""};
    bool limit;
    state->world.limits(state->world.arg, &limits);
    beamd_cluster *c =
        beamd_state_restore(view, &limits, &l->arena, &state->counters, why, &limit, &err);
    if (!c) {
        snprintf(detail, size, "%s: %s", err.field, err.text);
        return limit ? LEFT : BAD;
    }
    if (!beamd_state_add_entry(state, c->id) || !state->world.restore(state->world.arg, c)) {
        snprintf(detail, size, "the daemon's number of clusters is reached");
        state_entry *entry = beamd_state_find_entry(state, c->id);
        if (entry) {
            beamd_state_erase_entry(state, entry);
        }
        beamd_cluster_destroy(&c);
        return LEFT;
    }
    c->saved = c->changed;
    state->counters.restored++;
    return TAKEN;
}

static void left(loading *l, const char *what, const char *why)
{
    l->state->counters.left++;
    BEAMD_LOG(BEAMD_LOG_WARNING, "event=state_left cluster=%s why=\"%s\"", what, why);
}

/* The manager keeps the memory on behalf of the cluster that was restored. */
static void hand_memory(loading *l, kept_record *kept)
{
    state_entry *entry = beamd_state_find_entry(l->state, kept->id);
    if (entry) {
        entry->memory = kept->memory;
        l->state->counters.kept_bytes += 2 * kept->memory.half_bytes;
    } else {
        drop(l, &kept->memory);
    }
    kept->used = true;
}

/* It stays with the manager. Known all the same: a cluster that is registered under this id and
 * removed again must not come back from there. */
static void leave_kept(loading *l, kept_record *kept)
{
    state_entry *entry = beamd_state_add_entry(l->state, kept->id);
    kept->used = true;
    if (!entry) {
        beamd_state_memory_close(&kept->memory);
        return;
    }
    entry->left = true;
    entry->memory = kept->memory;
    l->state->counters.kept_bytes += 2 * kept->memory.half_bytes;
}

/* It is newer than the file, or there is none. False: it is no good. */
static bool load_kept(loading *l, kept_record *kept)
{
    beamd_record_view view;
    const char *why = "no whole record";
    char detail[400] = "";
    outcome got = BAD;
    if (beamd_state_memory_read(&kept->memory, l->state->bytes_max, &l->memory, &view)) {
        got = take_record(l, &view, &why, detail, sizeof detail);
    }
    if (got == LEFT) {
        left(l, kept->id, detail);
        leave_kept(l, kept);
        return true;
    }
    if (got == BAD) {
        l->state->counters.damaged++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=state_damaged kept=%s why=%s detail=\"%s\"",
                  kept->memory.name, why, detail);
        drop(l, &kept->memory);
        kept->used = true;
        return false;
    }
    l->state->counters.restored_kept++;
    beamd_cluster *c = l->state->world.find(l->state->world.arg, kept->id);
    if (c) {
        c->changed++; /* the file is older */
    }
    hand_memory(l, kept);
    return true;
}

static void load_file(loading *l, const char *name)
{
    beamd_state *state = l->state;
    beamd_record_view view;
    size_t size = 0;
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1], detail[400] = "";
    snprintf(id, sizeof id, "%.*s", (int)(strlen(name) - strlen(".state")), name);
    kept_record *kept = find_kept(l, id);
    const char *why =
        beamd_state_store_read(state->store.dir_fd, name, state->bytes_max, &l->file, &size);
    if (!why) {
        why = beamd_record_read(&view, l->file.bytes, size);
    }
    if (!why && view.bytes != size) {
        why = "size";
    }
    if (!why && strcmp(view.cluster.id, id) != 0) {
        why = "name";
    }
    if (why) {
        damaged(l, state->store.dir_fd, name, why, kept ? "the service manager kept another" : "");
        return; /* `kept` is looked at afterwards */
    }
    state->serial = view.header.serial > state->serial ? view.header.serial : state->serial;
    if (kept && kept->serial > view.header.serial && load_kept(l, kept)) {
        return;
    }
    const outcome got = take_record(l, &view, &why, detail, sizeof detail);
    if (got == BAD) {
        damaged(l, state->store.dir_fd, name, why, detail);
        return; /* an older one that was kept may be good */
    }
    if (got == LEFT) {
        left(l, id, detail);
    }
    if (kept && !kept->used && got == TAKEN) {
        hand_memory(l, kept);
    } else if (kept && !kept->used) {
        leave_kept(l, kept);
    }
}

static void load_daemon(loading *l)
{
    beamd_state *state = l->state;
    beamd_record_view view;
    size_t size = 0;
    const char *why = beamd_state_store_read(state->store.top_fd, BEAMD_STATE_DAEMON_FILE, 65536,
                                             &l->file, &size);
    if (why && strcmp(why, "missing") == 0) {
        return;
    }
    if (!why) {
        why = beamd_record_read(&view, l->file.bytes, size);
    }
    if (!why && (view.bytes != size || view.header.kind != BEAMD_RECORD_DAEMON)) {
        why = "content";
    }
    if (why) {
        damaged(l, state->store.top_fd, BEAMD_STATE_DAEMON_FILE, why, "");
        return;
    }
    state->serial = view.header.serial > state->serial ? view.header.serial : state->serial;
    state->saved_daemon = view.daemon;
    if (view.daemon.has_tradeoff) {
        state->world.set_preference(state->world.arg, view.daemon.tradeoff);
    }
}

static bool begin(loading *l)
{
    const size_t bytes = beam_wire_arena_bytes(BEAMD_RECORD_FRAME_BYTES);
    l->arena_memory = aligned_alloc(64, (bytes + 63u) & ~(size_t)63u);
    l->names = calloc(l->state->clusters_max, sizeof *l->names);
    if (!l->arena_memory || !l->names) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=state_load_failed why=\"out of memory\"");
        return false;
    }
    beam_wire_arena_init(&l->arena, l->arena_memory, bytes);
    unsigned more = 0;
    l->names_count =
        beamd_state_store_list(l->state->store.dir_fd, l->names, l->state->clusters_max, &more);
    if (l->names_count < 0) {
        BEAMD_LOG(BEAMD_LOG_ERR, "event=state_load_failed why=\"the directory cannot be read\"");
    }
    if (more > 0) {
        l->state->counters.left += more;
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=state_left files=%u why=\"more than clusters_max\"",
                  more);
    }
    return l->names_count >= 0;
}

static void load_all(loading *l)
{
    load_daemon(l);
    for (int k = 0; k < l->names_count; k++) {
        if (out_of_time(l)) {
            left(l, l->names[k], "out of time");
        } else {
            load_file(l, l->names[k]);
        }
    }
    for (unsigned k = 0; k < l->kept_count; k++) {
        kept_record *kept = &l->kept[k];
        if (kept->used) {
            continue;
        }
        if (out_of_time(l)) {
            left(l, kept->id, "out of time");
            leave_kept(l, kept);
        } else {
            (void)load_kept(l, kept);
        }
    }
}

void beamd_state_load(beamd_state *self, uint64_t budget_ns)
{
    loading l = {.state = self, .budget_ns = budget_ns};
    const beamd_state_counters *counters = &self->counters;
    l.begin_ns = self->world.clock_ns(self->world.arg);
    take_kept(&l);
    if (begin(&l)) {
        load_all(&l);
    }
    for (unsigned k = 0; k < l.kept_count; k++) {
        if (!l.kept[k].used) {
            leave_kept(&l, &l.kept[k]);
        }
    }
    (void)beamd_state_store_thin(self->store.dir_fd);
    beamd_state_buffer_free(&l.file);
    beamd_state_buffer_free(&l.memory);
    free(l.arena_memory);
    free(l.names);
    free(l.kept);
    self->counters.load_ns = self->world.clock_ns(self->world.arg) - l.begin_ns;
    BEAMD_LOG(
        BEAMD_LOG_NOTICE,
        "event=state_restored clusters=%llu from_manager=%llu starts=%llu starts_refused=%llu "
        "damaged=%llu left=%llu us=%llu",
        (unsigned long long)counters->restored, (unsigned long long)counters->restored_kept,
        (unsigned long long)counters->designs, (unsigned long long)counters->designs_refused,
        (unsigned long long)counters->damaged, (unsigned long long)counters->left,
        (unsigned long long)counters->load_ns / 1000u);
}

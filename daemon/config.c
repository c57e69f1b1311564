#include "config_table.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(field) offsetof(beamd_config, field), sizeof(((beamd_config *)0)->field)
#define STRING(field, reload, doc)                                                                 \
    {                                                                                              \
#field, BEAMD_CONFIG_STRING, AT(field), "\"\"", 0, 0, NULL, "", reload, doc                \
    }
#define INTEGER(field, def, low, high, unit, reload, doc)                                          \
    {                                                                                              \
#field, BEAMD_CONFIG_INTEGER, AT(field), def, low, high, NULL, unit, reload, doc           \
    }
#define REAL(field, def, low, high, unit, reload, doc)                                             \
    {                                                                                              \
#field, BEAMD_CONFIG_REAL, AT(field), def, low, high, NULL, unit, reload, doc              \
    }
#define WORD(field, def, words, reload, doc)                                                       \
    {                                                                                              \
#field, BEAMD_CONFIG_WORD, AT(field), def, 0, 0, words, "", reload, doc                    \
    }

static const beamd_config_key keys[] = {
    STRING(runtime_dir, false,
           "Directory of the sockets, created with mode 0700. Empty: "
           "$RUNTIME_DIRECTORY (systemd), else\n"
           "$BEAMD_RUNTIME_DIR, else for root /run/beamd where it exists, else "
           "$XDG_RUNTIME_DIR/beamd,\n"
           "else /tmp/beamd-UID."),
    STRING(csi_endpoint, false,
           "ROUTER for controllers: registration, CSI, targets, users. ipc:// or tcp://, beyond "
           "loopback with\n"
           "curve_dir only. Empty: ipc://RUNTIME_DIR/csi.sock."),
    STRING(beams_endpoint, false,
           "XPUB on which solutions are published. Empty: ipc://RUNTIME_DIR/beams.sock."),
    STRING(control_endpoint, false,
           "ROUTER for operators: status, clusters, preferences. Empty: "
           "ipc://RUNTIME_DIR/control.sock."),
    STRING(metrics_endpoint, false,
           "Prometheus text over HTTP: unix:PATH, tcp://127.0.0.1:PORT, tcp://[::1]:PORT or off.\n"
           "Empty: unix:RUNTIME_DIR/metrics.sock."),
    STRING(telemetry_endpoint, false,
           "XPUB on which telemetry is published, for live tools; off: none. Empty: "
           "ipc://RUNTIME_DIR/telemetry.sock."),
    INTEGER(telemetry_ms, "1000", 20, 60000, "ms", true, "Time between two telemetry messages."),
    STRING(
        curve_dir, true,
        "Directory of the keys of tcp endpoints: server.key_secret, and clients/ with one public "
        "key and its roles per\n"
        "file (docs/security.md). Read again at a reload. Empty: tcp is for loopback only, without "
        "keys."),
    INTEGER(
        connections_max, "4096", 8, 1000000, "connections", false,
        "Connections at a time on all sockets together; more are refused before descriptors run "
        "out."),
    STRING(
        state_dir, false,
        "Directory in which clusters, preferences and last beams survive a restart; off: nowhere. "
        "Empty: $STATE_DIRECTORY\n"
        "(systemd), else RUNTIME_DIR/state."),
    INTEGER(state_ms, "1000", 20, 3600000, "ms", true,
            "Time between two snapshots of a cluster that changed."),
    WORD(solve_method, "network", "network|boblrbf", true,
         "What answers: the network, its answer checked, compared with the warm start and the "
         "classical design, and\n"
         "refined by the iterative solver; or the iterative solver alone. It also answers what the "
         "network does not\n"
         "serve: the coupled sensing models, minimum rates, and everything while no model is "
         "loaded."),
    STRING(model_file, true,
           "Model of the network, an absolute path. Empty: the one built in. A reload reads it "
           "again; if it is wrong then,\n"
           "the model in use stays."),
    INTEGER(refine_iterations, "10", 0, 100000, "iterations", true,
            "Iterations of the solver that refine the network's answer at most, as long as the "
            "deadline allows."),
    INTEGER(workers, "0", 0, 64, "threads", false,
            "Solver threads. 0: as many as worker_cpus names, else one less than the cores, at "
            "least one."),
    INTEGER(
        batch_max, "32", 1, 256, "problems", true,
        "Problems (subbands x preferences) of several clusters that one solver thread takes at a "
        "time."),
    INTEGER(
        batch_wait_us, "0", 0, 10000, "us", true,
        "Longest wait of a request for others to share its batch, where a thread is free and the "
        "deadline allows."),
    STRING(worker_cpus, false,
           "Cores of the solver threads, one each in turn, as 2,3,6-9. Empty: wherever the kernel "
           "puts them."),
    STRING(loop_cpu, false, "Core of the loop's thread. Empty: any."),
    STRING(io_cpu, false, "Core of ZeroMQ's I/O thread. Empty: any."),
    INTEGER(realtime_priority, "0", 0, 90, "", false,
            "SCHED_FIFO priority of the solver threads; the loop and ZeroMQ get one more. 0: the "
            "ordinary scheduler."),
    WORD(lock_memory, "no", "no|yes", false,
         "Lock all memory into RAM and touch it at the start; without the right to do so the start "
         "fails."),
    INTEGER(prefault_mib, "64", 0, 65536, "MiB", false,
            "With lock_memory: heap that is touched at the start, so that clusters and messages "
            "find it mapped."),
    INTEGER(
        spin_us, "0", 0, 1000000, "us", true,
        "A solver thread without work looks for it this long before it sleeps. For cores of its "
        "own only."),
    INTEGER(backend_failures, "3", 1, 1000, "failures", true,
            "Failures of a backend in a row after which it is left alone for a while."),
    INTEGER(backend_retry_ms, "100", 1, 60000, "ms", true,
            "First time after which a backend that was left alone is tried again; doubled at every "
            "failure."),
    INTEGER(backend_retry_max_ms, "10000", 1, 3600000, "ms", true, "Longest such time."),
    INTEGER(hang_ms, "1000", 10, 600000, "ms", true,
            "A solver thread busy this long beyond its deadline is lost: another one takes its "
            "place, and its clusters get new\n"
            "memory."),
    STRING(gpu_devices, false,
           "GPUs to serve with, a worker process each: auto (every NVIDIA device of this machine), "
           "none, or numbers as\n"
           "0,1. Empty: auto. The CPU serves while there is none (docs/gpu-worker.md)."),
    STRING(gpu_program, false,
           "The worker's program. Empty: beamd-gpu where beamd was installed to look for it."),
    STRING(gpu_arguments, false,
           "Further arguments of the worker, with blanks between them: for tests."),
    STRING(gpu_cpus, false, "Cores of the workers, as 2,3. Empty: any."),
    INTEGER(gpu_threads, "2", 1, 64, "threads", false,
            "Threads that pack batches for GPUs, and round and measure the answers."),
    INTEGER(gpu_batch_max, "256", 1, 256, "problems", false, "As batch_max, of batches for GPUs."),
    INTEGER(gpu_slots, "2", 1, 16, "batches", false, "Batches that one worker has at a time."),
    INTEGER(gpu_slot_mib, "32", 1, 1024, "MiB", false,
            "Memory shared with a worker for one batch and, again, for its answers: larger batches "
            "are divided. It is taken\n"
            "when it is used."),
    INTEGER(gpu_spin_us, "0", 0, 1000000, "us", false,
            "A worker without work looks for it this long before it sleeps: a core for less "
            "latency."),
    INTEGER(gpu_hang_ms, "200", 1, 60000, "ms", false,
            "A worker that has one batch for longer is killed; another one takes its place."),
    INTEGER(gpu_start_ms, "60000", 100, 3600000, "ms", false,
            "Longest time until a worker is ready, and until it is ready for another model or "
            "other sizes."),
    INTEGER(gpu_retry_ms, "20", 1, 60000, "ms", false,
            "Time from the failure of a worker to the start of the next; doubled at every failure "
            "in a row."),
    INTEGER(gpu_retry_max_ms, "30000", 1, 3600000, "ms", false, "Longest such time."),
    INTEGER(gpu_failures_max, "20", 0, 1000, "failures", false,
            "Failures of a worker in a row after which it is given up until a reload (SIGHUP). 0: "
            "never."),
    INTEGER(gpu_absent_s, "300", 0, 86400, "s", false,
            "Time after which a device or program that was not there is looked for again. 0: not "
            "before a reload."),
    INTEGER(clusters_max, "64", 1, BEAMD_CLUSTERS_MAX, "clusters", false,
            "Registrations beyond this number are refused."),
    INTEGER(users_max, "128", 1, 128, "users", false,
            "Users of one cluster beyond this number are refused."),
    INTEGER(cluster_memory_mib, "256", 1, 65536, "MiB", false,
            "Memory that one cluster may need; larger ones are refused."),
    INTEGER(memory_mib, "1024", 1, 1048576, "MiB", false, "Memory of all clusters together."),
    INTEGER(message_kib, "9216", 16, 9216, "KiB", false,
            "Largest message taken; larger ones are refused, and a peer that sends more than twice "
            "as much is\n"
            "disconnected by ZeroMQ before it is read."),
    INTEGER(queue_messages, "1000", 1, 100000, "messages", false,
            "High-water mark per peer and direction; beyond it sends are dropped and counted."),
    INTEGER(messages_per_turn, "64", 1, 10000, "messages", true,
            "Messages taken from one socket before the others get their turn."),
    INTEGER(linger_ms, "500", 0, 60000, "ms", false,
            "How long unsent messages are kept at the end."),
    INTEGER(drain_ms, "2000", 0, 60000, "ms", true,
            "After SIGTERM: time for requests under way before they are refused."),
    INTEGER(deadline_us, "20000", 100, 60000000, "us", true,
            "Deadline of a request that names none, from its receipt."),
    INTEGER(deadline_max_ms, "10000", 1, 60000, "ms", true,
            "Longest deadline that a request may name; longer ones are cut to it."),
    INTEGER(deadline_margin_us, "500", 0, 100000, "us", true,
            "Kept of every deadline for checking, encoding and sending; the solver gets the rest."),
    INTEGER(valid_ms, "1000", 1, 3600000, "ms", true,
            "An answer is valid for this time from the receipt of its CSI."),
    INTEGER(csi_age_limit_ms, "0", 0, 3600000, "ms", true,
            "CSI older than this when it is to be solved is refused or marked. 0: no limit."),
    WORD(csi_age_action, "mark", "mark|refuse", true,
         "What happens to CSI older than csi_age_limit_ms."),
    INTEGER(resolve_after_ms, "50", 0, 60000, "ms", true,
            "Targets or preference changed and no CSI follows for this time: solve again with the "
            "last CSI and\n"
            "publish. 0: wait for the next CSI."),
    INTEGER(ideal_refresh_ms, "1000", 10, 3600000, "ms", true,
            "Age at which a cluster's best rate (the zero of the rate loss) is computed again in "
            "the background."),
    REAL(tradeoff, "0.5", 0, 1, "", true,
         "Preference of clusters that have none: 0 communication only, 1 sensing only."),
    INTEGER(solver_iterations, "0", 0, 100000, "iterations", true,
            "Quasi-Newton iterations per solution. 0: the solver's own limit."),
    REAL(solver_tolerance, "0", 0, 0.1, "", true,
         "Relative decrease of the objective at which a stage of the solver ends. 0: the solver's "
         "own."),
    INTEGER(stall_ms, "30000", 100, 600000, "ms", true,
            "A solver thread busy with one job for longer counts as dead: the watchdog is no "
            "longer served."),
    INTEGER(metrics_clusters, "64", 0, BEAMD_CLUSTERS_MAX, "clusters", true,
            "Clusters shown one by one in the metrics; the others are in the sums only."),
    INTEGER(metrics_connections, "16", 1, 256, "connections", false, "HTTP connections at a time."),
    WORD(log_level, "info", "err|warning|notice|info|debug", true,
         "Least important level written to standard error."),
    INTEGER(log_per_second, "10", 1, 10000, "lines", true,
            "Lines per call site and second; the rest is counted."),
    STRING(fault, true,
           "For tests, in a build with BEAMD_FAULTS only: makes backends fail (docs/daemon.md, "
           "\"Faults\")."),
};

enum { KEYS = sizeof keys / sizeof keys[0], FILE_MAX_BYTES = 65536, LINE_MAX_BYTES = 1024 };
_Static_assert((int)KEYS <= (int)BEAMD_CONFIG_KEYS_MAX, "raise BEAMD_CONFIG_KEYS_MAX in config.h");

const beamd_config_key *beamd_config_key_at(int index)
{
    return index >= 0 && index < KEYS ? &keys[index] : NULL;
}

__attribute__((format(printf, 2, 3))) static bool refuse(beamd_config_error *err,
                                                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return false;
}

static bool word_known(const char *words, const char *value)
{
    const size_t length = strlen(value);
    for (const char *at = words; *at; at += *at == '|') {
        const size_t n = strcspn(at, "|");
        if (n == length && memcmp(at, value, n) == 0) {
            return true;
        }
        at += n;
    }
    return false;
}

/* Takes quotes off in place; a quote inside or a lone one is refused. */
static bool unquote(char **value, const char **why)
{
    char *text = *value;
    const size_t length = strlen(text);
    if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
        text[length - 1] = 0;
        text++;
    }
    *why = "stray quote";
    *value = text;
    return strchr(text, '"') == NULL;
}

static bool set_string(const beamd_config_key *key, void *field, char *value, const char **why)
{
    if (!unquote(&value, why)) {
        return false;
    }
    if (strlen(value) >= key->size) {
        *why = "value too long";
        return false;
    }
    if (key->type == BEAMD_CONFIG_WORD && !word_known(key->words, value)) {
        *why = "not one of the words allowed";
        return false;
    }
    memset(field, 0, key->size); /* reload compares whole fields */
    memcpy(field, value, strlen(value));
    return true;
}

static bool set_number(const beamd_config_key *key, void *field, const char *value,
                       const char **why)
{
    char *end;
    errno = 0;
    double number;
    long long whole = 0;
    if (key->type == BEAMD_CONFIG_INTEGER) {
        whole = strtoll(value, &end, 10);
        number = (double)whole;
    } else {
        number = strtod(value, &end);
    }
    if (end == value || *end || errno || !isfinite(number)) {
        *why = key->type == BEAMD_CONFIG_INTEGER ? "not a whole number" : "not a number";
        return false;
    }
    if (number < key->low || number > key->high) {
        *why = "outside its range";
        return false;
    }
    if (key->type == BEAMD_CONFIG_INTEGER) {
        memcpy(field, &whole, sizeof whole);
    } else {
        memcpy(field, &number, sizeof number);
    }
    return true;
}

static bool set(beamd_config *config, const beamd_config_key *key, char *value, const char **why)
{
    void *field = (char *)config + key->offset;
    if (key->type == BEAMD_CONFIG_STRING || key->type == BEAMD_CONFIG_WORD) {
        return set_string(key, field, value, why);
    }
    return set_number(key, field, value, why);
}

void beamd_config_default(beamd_config *config)
{
    memset(config, 0, sizeof *config);
    for (int k = 0; k < KEYS; k++) {
        char value[64];
        const char *why;
        snprintf(value, sizeof value, "%s", keys[k].fallback);
        if (!set(config, &keys[k], value, &why)) {
            abort(); /* the table contradicts itself: our bug, met by the first test */
        }
    }
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1])) {
        n--;
    }
    text[n] = 0;
    return text;
}

/* Where the settings that are being read come from. */
typedef struct reading {
    const char *name;
    unsigned char from; /* as beamd_config_origin has it */
    int line;
    int seen[KEYS]; /* line in which a key was set */
} reading;

static bool parse_line(beamd_config *config, reading *at, char *line, beamd_config_error *err)
{
    char *text = trim(line);
    if (!*text || *text == '#') {
        return true;
    }
    char *equals = strchr(text, '=');
    if (!equals) {
        return refuse(err, "%s:%d: %.40s: expected 'key = value'", at->name, at->line, text);
    }
    *equals = 0;
    const char *const word = trim(text);
    char *value = trim(equals + 1);
    for (int k = 0; k < KEYS; k++) {
        if (strcmp(word, keys[k].name) != 0) {
            continue;
        }
        if (at->seen[k]) {
            return refuse(err, "%s:%d: %s: already set in line %d", at->name, at->line, word,
                          at->seen[k]);
        }
        at->seen[k] = at->line;
        const char *why = NULL;
        if (!*value) {
            return refuse(err, "%s:%d: %s: value missing", at->name, at->line, word);
        }
        if (!set(config, &keys[k], value, &why)) {
            char range[96];
            beamd_config_range(&keys[k], range, sizeof range);
            return refuse(err, "%s:%d: %s: %s%s", at->name, at->line, word, why, range);
        }
        config->origin.from[k] = at->from;
        config->origin.line[k] = (unsigned short)at->line; /* of at most 64 KiB */
        return true;
    }
    return refuse(err, "%s:%d: %.40s: unknown key", at->name, at->line, word);
}

/* The entry of `name` among the sources; 0 when there is no room. */
static unsigned char add_source(beamd_config_origin *self, const char *name)
{
    for (unsigned char n = 0; n < BEAMD_CONFIG_SOURCES_MAX; n++) {
        if (!self->source[n][0]) {
            snprintf(self->source[n], sizeof self->source[n], "%s", name);
        }
        if (strncmp(self->source[n], name, sizeof self->source[n] - 1) == 0) {
            return (unsigned char)(n + 1);
        }
    }
    return 0;
}

bool beamd_config_parse(beamd_config *config, const char *name, const char *text, size_t size,
                        beamd_config_error *err)
{
    beamd_config fresh = *config; /* all or nothing */
    reading from = {.name = name, .from = add_source(&fresh.origin, name)};
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        from.line++;
        char line[LINE_MAX_BYTES];
        if (length >= sizeof line) {
            return refuse(err, "%s:%d: line longer than %d bytes", name, from.line,
                          LINE_MAX_BYTES - 1);
        }
        memcpy(line, text + at, length);
        line[length] = 0;
        if (memchr(line, 0, length)) {
            return refuse(err, "%s:%d: NUL byte in the line", name, from.line);
        }
        if (!parse_line(&fresh, &from, line, err)) {
            return false;
        }
        at += length + 1;
    }
    *config = fresh;
    return true;
}

bool beamd_config_read(beamd_config *config, const char *path, beamd_config_error *err)
{
    static char text[FILE_MAX_BYTES + 1];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return refuse(err, "%s: %s", path, strerror(errno));
    }
    size_t size = 0;
    ssize_t got = 0;
    while (size < sizeof text && (got = read(fd, text + size, sizeof text - size)) > 0) {
        size += (size_t)got;
    }
    const int why = errno;
    close(fd);
    if (got < 0) {
        return refuse(err, "%s: %s", path, strerror(why));
    }
    if (size > FILE_MAX_BYTES) {
        return refuse(err, "%s: larger than %d bytes", path, FILE_MAX_BYTES);
    }
    return beamd_config_parse(config, path, text, size, err);
}

bool beamd_config_refuse(const beamd_config *config, beamd_config_error *err, const char *key,
                         const char *format, ...)
{
    const beamd_config_origin *origin = &config->origin;
    int k = 0;
    while (k < KEYS && strcmp(keys[k].name, key) != 0) {
        k++;
    }
    char where[BEAMD_PATH_BYTES + 16] = "config";
    if (k < KEYS && origin->from[k]) {
        snprintf(where, sizeof where, "%s:%u", origin->source[origin->from[k] - 1],
                 origin->line[k]);
    }
    const int n = snprintf(err->text, sizeof err->text, "%s: %s: ", where, key);
    if (n >= 0 && (size_t)n < sizeof err->text) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text + n, sizeof err->text - (size_t)n, format, args);
        va_end(args);
    }
    return false;
}

int beamd_config_reload(beamd_config *config, const beamd_config *fresh, const char **first_fixed)
{
    int fixed = 0;
    /* the lines of keys that stay are those of the new file, too: they stand there */
    config->origin = fresh->origin;
    for (int k = 0; k < KEYS; k++) {
        char *field = (char *)config + keys[k].offset;
        const char *other = (const char *)fresh + keys[k].offset;
        if (memcmp(field, other, keys[k].size) == 0) {
            continue;
        }
        if (keys[k].reloadable) {
            memcpy(field, other, keys[k].size);
        } else if (fixed++ == 0) {
            *first_fixed = keys[k].name;
        }
    }
    return fixed;
}

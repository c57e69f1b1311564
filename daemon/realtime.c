#include "realtime.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    STACK_BYTES =
        512 * 1024, /* touched of every stack; the deepest call of the daemon needs less */
    REST_MIB = 512, /* locked beside the clusters: program, libraries, stacks, messages */
    CAP_IPC_LOCK_BIT = 14
};

__attribute__((format(printf, 3, 4))) static bool refuse(char *why, size_t size, const char *format,
                                                         ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return false;
}

/* --- Lists of cores --- */

/* Digits only, at most BEAMD_CPUS_MAX - 1. */
static bool read_number(const char **text, int *out)
{
    const char *at = *text;
    int value = 0;
    while (*at >= '0' && *at <= '9') {
        value = 10 * value + (*at - '0');
        if (value >= BEAMD_CPUS_MAX) {
            return false;
        }
        at++;
    }
    const bool any = at > *text;
    *text = at;
    *out = value;
    return any;
}

static bool contains(const beamd_cpu_list *list, int cpu)
{
    for (unsigned c = 0; c < list->count; c++) {
        if (list->cpu[c] == cpu) {
            return true;
        }
    }
    return false;
}

bool beamd_cpus_parse(const char *text, beamd_cpu_list *out, const char **why)
{
    out->count = 0;
    if (!*text) {
        return true;
    }
    for (;;) {
        int first, last;
        *why = "not a list of cores as 2,3,6-9, each below 1024";
        if (!read_number(&text, &first)) {
            return false;
        }
        last = first;
        if (*text == '-') {
            text++;
            if (!read_number(&text, &last) || last < first) {
                return false;
            }
        }
        for (int cpu = first; cpu <= last; cpu++) {
            if (contains(out, cpu)) { /* also keeps the count within the array */
                *why = "names a core twice";
                return false;
            }
            out->cpu[out->count++] = cpu;
        }
        if (!*text) {
            return true;
        }
        if (*text++ != ',') {
            return false;
        }
    }
}

static void list_text(const beamd_cpu_list *list, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (unsigned c = 0; c < list->count && used < size; c++) {
        unsigned end = c;
        while (end + 1 < list->count && list->cpu[end + 1] == list->cpu[end] + 1) {
            end++;
        }
        const char *comma = c > 0 ? "," : "";
        const int n = end > c ? snprintf(out + used, size - used, "%s%d-%d", comma, list->cpu[c],
                                         list->cpu[end])
                              : snprintf(out + used, size - used, "%s%d", comma, list->cpu[c]);
        used += n > 0 ? (size_t)n : 0;
        c = end;
    }
}

static cpu_set_t set_of(const beamd_cpu_list *list)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned c = 0; c < list->count; c++) {
        CPU_SET((size_t)list->cpu[c], &set);
    }
    return set;
}

static bool check_cores(const char *key, const char *text, beamd_cpu_list *out,
                        const beamd_cpu_list *allowed, char *why, size_t size)
{
    const char *wrong;
    if (!beamd_cpus_parse(text, out, &wrong)) {
        return refuse(why, size, "%s: %s", key, wrong);
    }
    for (unsigned c = 0; c < out->count; c++) {
        if (!contains(allowed, out->cpu[c])) {
            char cores[128];
            list_text(allowed, cores, sizeof cores);
            return refuse(why, size,
                          "%s: core %d is not one that this process may use (%s); it may be "
                          "offline, or taken by CPUAffinity=, AllowedCPUs= or taskset",
                          key, out->cpu[c], cores);
        }
    }
    return true;
}

static bool place(beamd_realtime *self, const beamd_config *config, char *why, size_t size)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0) {
        return refuse(why, size, "sched_getaffinity: %s", strerror(errno));
    }
    beamd_cpu_list allowed = {0};
    for (int cpu = 0; cpu < CPU_SETSIZE && cpu < BEAMD_CPUS_MAX; cpu++) {
        if (CPU_ISSET((size_t)cpu, &set)) {
            allowed.cpu[allowed.count++] = cpu;
        }
    }
    if (!check_cores("worker_cpus", config->worker_cpus, &self->workers, &allowed, why, size) ||
        !check_cores("loop_cpu", config->loop_cpu, &self->loop, &allowed, why, size) ||
        !check_cores("io_cpu", config->io_cpu, &self->io, &allowed, why, size)) {
        return false;
    }
    for (unsigned c = 0; c < allowed.count; c++) {
        const int cpu = allowed.cpu[c];
        if (!contains(&self->workers, cpu) && !contains(&self->loop, cpu) &&
            !contains(&self->io, cpu)) {
            self->others.cpu[self->others.count++] = cpu;
        }
    }
    if (self->others.count == 0) {
        self->others = allowed;
    }
    self->placed = self->workers.count + self->loop.count + self->io.count > 0;
    set = set_of(&self->others);
    return !self->placed || sched_setaffinity(0, sizeof set, &set) == 0 ||
           refuse(why, size, "sched_setaffinity: %s", strerror(errno));
}

/* --- Priority --- */

static bool set_fifo(int priority, char *why, size_t size)
{
    const struct sched_param param = {.sched_priority = priority};
    return sched_setscheduler(0, SCHED_FIFO, &param) == 0 ||
           refuse(
               why, size,
               "realtime_priority: SCHED_FIFO %d is refused (%s): grant LimitRTPRIO=%d (systemd, "
               "with RestrictRealtime=no; ulimit -r %d in a shell) or CAP_SYS_NICE, or set it "
               "to 0",
               priority, strerror(errno), priority, priority);
}

static void set_ordinary(void)
{
    const struct sched_param none = {.sched_priority = 0};
    (void)sched_setscheduler(0, SCHED_OTHER, &none); /* less is always allowed */
}

/* The loop's is the highest: who may have it may have all. */
static bool try_priority(beamd_realtime *self, const beamd_config *config, char *why, size_t size)
{
    if (config->realtime_priority <= 0) {
        return true;
    }
    self->worker_priority = (int)config->realtime_priority;
    self->loop_priority = self->worker_priority + 1;
    if (!set_fifo(self->loop_priority, why, size)) {
        return false;
    }
    set_ordinary();
    return true;
}

/* --- Memory --- */

static bool has_lock_capability(void)
{
    char line[256];
    unsigned long long effective = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "CapEff: %llx", &effective) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return effective >> CAP_IPC_LOCK_BIT & 1;
}

/* With MCL_FUTURE an allocation beyond the limit fails later, in the middle of the work: the limit
 * is asked about now. */
static bool check_lock_limit(const beamd_config *config, char *why, size_t size)
{
    struct rlimit limit;
    const unsigned long long need_mib = (unsigned long long)config->memory_mib +
                                        (unsigned long long)config->prefault_mib + REST_MIB;
    if (has_lock_capability() || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
        limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need_mib << 20) {
        return true;
    }
    return refuse(why, size,
                  "lock_memory: %llu MiB may be locked, %llu are needed (memory_mib, prefault_mib "
                  "and %d): grant LimitMEMLOCK=infinity (ulimit -l unlimited) or CAP_IPC_LOCK, or "
                  "set it to no",
                  (unsigned long long)limit.rlim_cur >> 20, need_mib, (int)REST_MIB);
}

__attribute__((noinline)) static void touch_stack(void)
{
    volatile char stack[STACK_BYTES];
    for (size_t at = 0; at < sizeof stack; at += 4096) {
        stack[at] = 0;
    }
    (void)stack[0];
}

static bool touch_heap(size_t bytes)
{
    volatile char *heap = malloc(bytes);
    if (!heap) {
        return false;
    }
    for (size_t at = 0; at < bytes; at += 4096) {
        heap[at] = 0;
    }
    free((void *)heap);
    return true;
}

static bool lock_memory(beamd_realtime *self, const beamd_config *config, char *why, size_t size)
{
    if (strcmp(config->lock_memory, "yes") != 0) {
        return true;
    }
    if (!check_lock_limit(config, why, size)) {
        return false;
    }
    /* What is freed stays ours, and large blocks too come from the heap that was touched. */
    if (!mallopt(M_TRIM_THRESHOLD, INT32_MAX) || !mallopt(M_MMAP_MAX, 0)) {
        return refuse(why, size, "lock_memory: malloc takes no options");
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
        return refuse(why, size,
                      "lock_memory: mlockall is refused (%s): grant LimitMEMLOCK=infinity (ulimit "
                      "-l unlimited) or CAP_IPC_LOCK, or set it to no",
                      strerror(errno));
    }
    self->locked = true;
    touch_stack();
    return touch_heap((size_t)config->prefault_mib << 20) ||
           refuse(why, size, "lock_memory: no memory for prefault_mib = %lld",
                  config->prefault_mib);
}

/* --- Steps --- */

bool beamd_realtime_start(beamd_realtime *self, const beamd_config *config, char *why, size_t size)
{
    memset(self, 0, sizeof *self);
    return place(self, config, why, size) && try_priority(self, config, why, size) &&
           lock_memory(self, config, why, size);
}

bool beamd_realtime_enter(beamd_realtime *self, char *why, size_t size)
{
    if (self->loop.count > 0) {
        const cpu_set_t set = set_of(&self->loop);
        if (sched_setaffinity(0, sizeof set, &set) < 0) {
            return refuse(why, size, "loop_cpu: sched_setaffinity: %s", strerror(errno));
        }
    }
    if (self->loop_priority > 0 && !set_fifo(self->loop_priority, why, size)) {
        return false;
    }
    self->entered = true;
    return true;
}

void beamd_realtime_leave(beamd_realtime *self)
{
    if (self->entered && self->loop_priority > 0) {
        set_ordinary();
    }
    self->entered = false;
}

void beamd_realtime_stop(beamd_realtime *self)
{
    beamd_realtime_leave(self);
    if (self->locked) {
        munlockall();
        self->locked = false;
    }
}

void beamd_realtime_place(const beamd_realtime *self, beamd_crew_kind kind,
                          beamd_pool_options *options)
{
    const bool each = kind == BEAMD_CREW_KIND_SOLVER && self->workers.count > 0;
    const beamd_cpu_list *cores = each ? &self->workers : &self->others;
    options->cpus = cores->cpu;
    options->cpu_count = self->placed ? cores->count : 0;
    options->cpus_shared = !each;
    options->priority = kind == BEAMD_CREW_KIND_BACKGROUND ? 0 : self->worker_priority;
    options->prefault_bytes = self->locked ? STACK_BYTES : 0;
}

int beamd_realtime_io_cpu(const beamd_realtime *self)
{
    return self->io.count > 0 ? self->io.cpu[0] : -1;
}

int beamd_realtime_io_priority(const beamd_realtime *self)
{
    return self->loop_priority;
}

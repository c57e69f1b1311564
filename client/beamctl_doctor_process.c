/* What the daemon's process may do: limits, privileges, real-time scheduling, timers. */
#include "beamctl_doctor.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CAP_IPC_LOCK_BIT = 14,
    CAP_SYS_NICE_BIT = 23,
    DESCRIPTORS = 65536,           /* as the unit sets */
    DESCRIPTORS_LEAST = 4096 + 64, /* connections_max by default, and the daemon's own */
    PRIORITY_MOST = 91,            /* realtime_priority at most, and one for the loop */
    SLACK_NS_DEFAULT = 50000
};

static const char *subject(const doctor *self, char *out, size_t size)
{
    if (self->pid > 0) {
        snprintf(out, size, "beamd, pid %ld", self->pid);
    } else {
        snprintf(out, size, "this shell; no beamd runs");
    }
    return out;
}

/* /proc/PID/limits: "Max open files   SOFT   HARD   files"; beamd raises what it can to the hard
 * one. */
static bool hard_limit(const doctor *self, const char *name, unsigned long long *out)
{
    char text[DOCTOR_TEXT_BYTES], process[32] = "self";
    if (self->pid > 0) {
        snprintf(process, sizeof process, "%ld", self->pid);
    }
    if (!doctor_read(self, text, sizeof text, "/proc/%s/limits", process)) {
        return false;
    }
    const char *line = strstr(text, name);
    char soft[32], hard[32];
    if (!line || sscanf(line + strlen(name), " %31s %31s", soft, hard) != 2) {
        return false;
    }
    char *end;
    *out = strcmp(hard, "unlimited") == 0 ? ULLONG_MAX : strtoull(hard, &end, 10);
    return true;
}

static bool has_capability(const doctor *self, int bit)
{
    unsigned long long set;
    return doctor_process_number(self, "status", "CapEff:", 16, &set) && (set >> bit & 1) != 0;
}

static void number_text(unsigned long long value, char *out, size_t size)
{
    if (value == ULLONG_MAX) {
        snprintf(out, size, "unlimited");
    } else {
        snprintf(out, size, "%llu", value);
    }
}

static doctor_finding *add_unknown(doctor *self, const char *check, const char *file)
{
    doctor_finding *f = doctor_add(self, check, DOCTOR_WARN);
    snprintf(f->found, sizeof f->found, "%s cannot be read", file);
    snprintf(f->meaning, sizeof f->meaning, "Not known; ask again as root.");
    return f;
}

static void check_nofile(doctor *self)
{
    unsigned long long limit;
    char who[64], number[32];
    if (!hard_limit(self, "Max open files", &limit)) {
        add_unknown(self, "limit-nofile", "/proc/PID/limits");
        return;
    }
    number_text(limit, number, sizeof number);
    doctor_finding *f = doctor_add(self, "limit-nofile",
                                   limit >= DESCRIPTORS         ? DOCTOR_OK
                                   : limit >= DESCRIPTORS_LEAST ? DOCTOR_WARN
                                                                : DOCTOR_BAD);
    snprintf(f->found, sizeof f->found, "%s (%s)", number, subject(self, who, sizeof who));
    if (f->verdict == DOCTOR_OK) {
        snprintf(f->meaning, sizeof f->meaning, "Enough descriptors for its connections.");
        return;
    }
    snprintf(f->meaning, sizeof f->meaning,
             "Every connection takes a descriptor; without one left ZeroMQ ends the process.%s",
             f->verdict == DOCTOR_BAD ? " Fewer than connections_max allows by default." : "");
    doctor_fix_service(self, f, "nofile", "LimitNOFILE=65536", "ulimit -n 65536");
}

static void check_memlock(doctor *self)
{
    unsigned long long limit;
    char who[64], number[32];
    if (!hard_limit(self, "Max locked memory", &limit)) {
        add_unknown(self, "limit-memlock", "/proc/PID/limits");
        return;
    }
    number_text(limit, number, sizeof number);
    const bool privileged = has_capability(self, CAP_IPC_LOCK_BIT);
    const bool enough = limit == ULLONG_MAX || privileged;
    doctor_finding *f =
        doctor_add(self, "limit-memlock", enough ? DOCTOR_OK : doctor_hinders(self));
    snprintf(f->found, sizeof f->found, "%s%s%s (%s)", number, limit == ULLONG_MAX ? "" : " bytes",
             privileged ? ", CAP_IPC_LOCK" : "", subject(self, who, sizeof who));
    if (enough) {
        snprintf(f->meaning, sizeof f->meaning, "lock_memory = yes works.");
        return;
    }
    snprintf(f->meaning, sizeof f->meaning,
             "With lock_memory = yes the start fails; without it a page that was written out "
             "costs milliseconds.");
    doctor_fix_service(self, f, "memlock", "LimitMEMLOCK=infinity", "ulimit -l unlimited");
}

static void check_real_time(doctor *self)
{
    unsigned long long limit;
    char who[64];
    if (!hard_limit(self, "Max realtime priority", &limit)) {
        add_unknown(self, "real-time-right", "/proc/PID/limits");
        return;
    }
    const bool privileged = has_capability(self, CAP_SYS_NICE_BIT);
    /* A filter of system calls, which limits and capabilities do not show. */
    const bool forbidden = self->systemd && doctor_unit_says(self, "RestrictRealtime=yes");
    const bool enough = (limit >= PRIORITY_MOST || privileged) && !forbidden;
    doctor_finding *f =
        doctor_add(self, "real-time-right", enough ? DOCTOR_OK : doctor_hinders(self));
    snprintf(f->found, sizeof f->found, "rtprio %llu, %s CAP_SYS_NICE (%s)%s", limit,
             privileged ? "with" : "without", subject(self, who, sizeof who),
             forbidden ? ", RestrictRealtime=yes in the unit" : "");
    if (enough) {
        snprintf(f->meaning, sizeof f->meaning, "realtime_priority works up to 90.");
        return;
    }
    snprintf(f->meaning, sizeof f->meaning,
             "realtime_priority%s is refused: a waking solver queues behind other programs, up to "
             "milliseconds.",
             limit > 1 && !forbidden ? " above the limit" : "");
    doctor_fix_service(self, f, "realtime", "RestrictRealtime=no\\nLimitRTPRIO=91", "ulimit -r 91");
}

static void check_throttling(doctor *self)
{
    char text[64], period[64] = "1000000";
    if (!doctor_read(self, text, sizeof text, "/proc/sys/kernel/sched_rt_runtime_us")) {
        doctor_finding *f = doctor_add(self, "rt-throttling", DOCTOR_OK);
        snprintf(f->found, sizeof f->found, "not in this kernel");
        snprintf(f->meaning, sizeof f->meaning, "SCHED_FIFO threads are not stopped by it.");
        return;
    }
    doctor_read(self, period, sizeof period, "/proc/sys/kernel/sched_rt_period_us");
    const long runtime_us = strtol(text, NULL, 10), period_us = strtol(period, NULL, 10);
    const bool off = runtime_us < 0 || runtime_us >= period_us;
    doctor_finding *f = doctor_add(self, "rt-throttling",
                                   off               ? DOCTOR_OK
                                   : runtime_us == 0 ? doctor_hinders(self)
                                   : self->real_time ? DOCTOR_WARN
                                                     : DOCTOR_OK);
    if (off) {
        snprintf(f->found, sizeof f->found, "off");
        snprintf(f->meaning, sizeof f->meaning, "SCHED_FIFO threads are never stopped.");
        return;
    }
    snprintf(f->found, sizeof f->found, "%ld of %ld us", runtime_us, period_us);
    snprintf(f->meaning, sizeof f->meaning,
             "SCHED_FIFO threads that use more are stopped for the rest of the period: it matters "
             "with spin_us, or when solvers are never idle.");
    if (f->verdict != DOCTOR_OK) {
        snprintf(f->fix, sizeof f->fix, "sysctl -w kernel.sched_rt_runtime_us=-1");
    }
}

static void check_slack(doctor *self)
{
    unsigned long long slack_ns;
    char who[64];
    if (!doctor_process_number(self, "timerslack_ns", "", 10, &slack_ns)) {
        doctor_finding *f = doctor_add(self, "timer-slack", DOCTOR_OK);
        snprintf(f->found, sizeof f->found, "not told to this user");
        snprintf(f->meaning, sizeof f->meaning, "The kernel's default is 50 us.");
        return;
    }
    const bool large = slack_ns > SLACK_NS_DEFAULT;
    doctor_finding *f = doctor_add(self, "timer-slack", large ? DOCTOR_WARN : DOCTOR_OK);
    snprintf(f->found, sizeof f->found, "%llu ns (%s)", slack_ns, subject(self, who, sizeof who));
    if (!large) {
        snprintf(f->meaning, sizeof f->meaning,
                 "Timers of ordinary threads are late by no more than that; SCHED_FIFO has none.");
        return;
    }
    snprintf(f->meaning, sizeof f->meaning,
             "Every timer and timed wait may be late by that much: deadlines and batches too.");
    doctor_fix_service(self, f, "slack", "TimerSlackNSec=50us",
                       "echo 50000 > /proc/$(pidof beamd)/timerslack_ns");
}

void doctor_check_process(doctor *self)
{
    check_nofile(self);
    check_memlock(self);
    check_real_time(self);
    check_throttling(self);
    check_slack(self);
}

/* Clock, cores and scheduler. */
#include "beamctl_doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU "/sys/devices/system/cpu"
#define CLOCK "/sys/devices/system/clocksource/clocksource0"
#define GRUB(words)                                                                                \
    "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&" words " /' /etc/default/grub && update-grub && reboot"

enum { IDLE_EXIT_US_LONG = 100 }; /* a tenth of the shortest deadline that capacity is stated for */

/* A whole word among words parted by spaces. */
static bool has_word(const char *text, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += n) {
        const bool begins = at == text || strchr(" \t\n", at[-1]);
        if (begins && strchr(" \t\n", at[n])) { /* its end is a zero byte: found as well */
            return true;
        }
    }
    return false;
}

static void check_clock(doctor *self)
{
    /* Read through the vDSO, without a system call. */
    static const char *const fast[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                       "arch_sys_counter", "riscv_clocksource"};
    char current[128], available[512];
    if (!doctor_read(self, current, sizeof current, CLOCK "/current_clocksource")) {
        doctor_finding *f = doctor_add(self, "clock-source", DOCTOR_WARN);
        snprintf(f->found, sizeof f->found, "the kernel does not say");
        snprintf(f->meaning, sizeof f->meaning,
                 "Whether a time stamp costs 20 ns or 1 us is not known; beamd takes about ten an "
                 "answer.");
        return;
    }
    bool good = false;
    for (size_t k = 0; k < sizeof fast / sizeof fast[0]; k++) {
        good = good || strcmp(current, fast[k]) == 0;
    }
    doctor_finding *f = doctor_add(self, "clock-source", good ? DOCTOR_OK : DOCTOR_BAD);
    snprintf(f->found, sizeof f->found, "%s", current);
    if (good) {
        snprintf(f->meaning, sizeof f->meaning, "Time stamps need no system call.");
        return;
    }
    snprintf(f->meaning, sizeof f->meaning,
             "Every time stamp is a system call that reads a slow device; beamd takes about ten an "
             "answer.");
    if (doctor_read(self, available, sizeof available, CLOCK "/available_clocksource") &&
        has_word(available, "tsc")) {
        snprintf(f->fix, sizeof f->fix, "echo tsc > " CLOCK "/current_clocksource");
    } else {
        snprintf(f->fix, sizeof f->fix, GRUB("tsc=reliable clocksource=tsc"));
    }
}

static void check_tsc(doctor *self)
{
    char text[DOCTOR_TEXT_BYTES];
    const bool read = doctor_read(self, text, sizeof text, "/proc/cpuinfo");
    char *flags = read ? strstr(text, "\nflags") : NULL;
    if (!flags) {
        doctor_finding *f = doctor_add(self, "tsc", DOCTOR_OK);
        snprintf(f->found, sizeof f->found, "no x86 processor");
        snprintf(f->meaning, sizeof f->meaning, "The architecture's own counter is used.");
        return;
    }
    char *end = strchr(flags + 1, '\n');
    if (end) {
        *end = 0;
    }
    const bool constant = has_word(flags, "constant_tsc"), nonstop = has_word(flags, "nonstop_tsc");
    doctor_finding *f = doctor_add(self, "tsc", constant && nonstop ? DOCTOR_OK : DOCTOR_WARN);
    snprintf(f->found, sizeof f->found, "%s, %s", constant ? "constant_tsc" : "not constant",
             nonstop ? "nonstop_tsc" : "may stop in idle states");
    if (f->verdict == DOCTOR_OK) {
        snprintf(f->meaning, sizeof f->meaning, "The cycle counter is a clock.");
    } else {
        snprintf(f->meaning, sizeof f->meaning,
                 "The kernel may leave the TSC for a slow clock at any time. In a virtual machine: "
                 "let the host pass the invariant TSC on.");
    }
}

/* "performance", or another governor that some core has, and on how many of the cores. */
static void check_governor(doctor *self)
{
    char text[64], other[64] = "";
    int scaled = 0, slow = 0;
    for (int cpu = 0; cpu <= self->online.highest; cpu++) {
        if (!doctor_cpus_has(&self->online, cpu) ||
            !doctor_read(self, text, sizeof text, CPU "/cpu%d/cpufreq/scaling_governor", cpu)) {
            continue;
        }
        scaled++;
        if (strcmp(text, "performance") != 0) {
            slow++;
            snprintf(other, sizeof other, "%s", text);
        }
    }
    doctor_finding *f = doctor_add(self, "governor", slow ? doctor_hinders(self) : DOCTOR_OK);
    if (scaled == 0) {
        snprintf(f->found, sizeof f->found, "no frequency scaling in this kernel");
        snprintf(f->meaning, sizeof f->meaning,
                 "Nothing to set here; in a virtual machine the host decides.");
    } else if (slow == 0) {
        snprintf(f->found, sizeof f->found, "performance on all %d cores", scaled);
        snprintf(f->meaning, sizeof f->meaning, "Cores keep their speed between requests.");
    } else {
        snprintf(f->found, sizeof f->found, "%s on %d of %d cores", other, slow, scaled);
        snprintf(f->meaning, sizeof f->meaning,
                 "Cores slow down between requests: answers after a pause take up to several times "
                 "as long.");
        snprintf(f->fix, sizeof f->fix,
                 "echo performance | tee " CPU "/cpu[0-9]*/cpufreq/scaling_governor");
    }
}

static void check_idle(doctor *self)
{
    char text[64], disabled[16];
    long deepest_us = -1;
    for (int cpu = 0; cpu <= self->online.highest; cpu++) {
        for (int state = 0; doctor_cpus_has(&self->online, cpu) && state < 16; state++) {
            if (!doctor_read(self, text, sizeof text, CPU "/cpu%d/cpuidle/state%d/latency", cpu,
                             state)) {
                break;
            }
            const bool off = doctor_read(self, disabled, sizeof disabled,
                                         CPU "/cpu%d/cpuidle/state%d/disable", cpu, state) &&
                             strcmp(disabled, "0") != 0;
            const long us = strtol(text, NULL, 10);
            deepest_us = !off && us > deepest_us ? us : deepest_us;
        }
    }
    const bool late = deepest_us > IDLE_EXIT_US_LONG;
    doctor_finding *f = doctor_add(self, "idle-states", late ? doctor_hinders(self) : DOCTOR_OK);
    if (deepest_us < 0) {
        snprintf(f->found, sizeof f->found, "no idle states in this kernel");
        snprintf(f->meaning, sizeof f->meaning,
                 "Nothing to set here; in a virtual machine the host decides.");
        return;
    }
    snprintf(f->found, sizeof f->found, "deepest state takes %ld us to leave", deepest_us);
    if (late) {
        snprintf(f->meaning, sizeof f->meaning,
                 "A core that slept wakes that much later: it is added to answers at low rates.");
        snprintf(f->fix, sizeof f->fix, "cpupower idle-set --disable-by-latency %d",
                 IDLE_EXIT_US_LONG);
    } else {
        snprintf(f->meaning, sizeof f->meaning, "Cores wake fast enough.");
    }
}

/* The upper half of the cores, at least one left for the rest: "2-3". */
static void cores_to_isolate(const doctor *self, char *out, size_t size)
{
    const int last = self->online.highest, first = self->online.count / 2;
    if (first == last) {
        snprintf(out, size, "%d", last);
    } else {
        snprintf(out, size, "%d-%d", first, last);
    }
}

static void check_isolation(doctor *self)
{
    char isolated[512] = "", nohz[512] = "", cores[32];
    doctor_cpus a, b;
    /* By the kernel's command line, or as a partition of cgroup v2. */
    const bool has_isolated =
        (doctor_read(self, isolated, sizeof isolated, CPU "/isolated") &&
         doctor_cpus_parse(isolated, &a) && a.count > 0) ||
        (doctor_read(self, isolated, sizeof isolated, "/sys/fs/cgroup/cpuset.cpus.isolated") &&
         doctor_cpus_parse(isolated, &a) && a.count > 0);
    const bool has_nohz = doctor_read(self, nohz, sizeof nohz, CPU "/nohz_full") &&
                          doctor_cpus_parse(nohz, &b) && b.count > 0;
    doctor_finding *f = doctor_add(self, "isolated-cores", DOCTOR_OK);
    if (has_isolated && has_nohz) {
        snprintf(f->found, sizeof f->found, "isolated %.100s, nohz_full %.100s", isolated, nohz);
        snprintf(f->meaning, sizeof f->meaning,
                 "Other programs stay away and the timer tick is off: worker_cpus belong there.");
        return;
    }
    f->verdict = doctor_hinders(self);
    if (self->online.count < 2) {
        snprintf(f->found, sizeof f->found, "%d core", self->online.count);
        snprintf(f->meaning, sizeof f->meaning,
                 "Solvers share the only core with everything else: tails of milliseconds.");
        return;
    }
    cores_to_isolate(self, cores, sizeof cores);
    if (has_isolated) {
        f->verdict = DOCTOR_WARN;
        snprintf(f->found, sizeof f->found, "isolated %.100s, no nohz_full", isolated);
        snprintf(f->meaning, sizeof f->meaning,
                 "Other programs stay away, but the timer tick interrupts solvers some 250 times a "
                 "second.");
        snprintf(cores, sizeof cores, "%.31s", isolated);
        snprintf(f->fix, sizeof f->fix, GRUB("nohz_full=%s rcu_nocbs=%s"), cores, cores);
        return;
    }
    snprintf(f->found, sizeof f->found, "none of %d cores", self->online.count);
    snprintf(f->meaning, sizeof f->meaning,
             "Any program may run on a solver's core: one in a thousand answers waits for it, "
             "milliseconds.");
    snprintf(f->fix, sizeof f->fix,
             GRUB("isolcpus=managed_irq,domain,%s nohz_full=%s rcu_nocbs=%s"), cores, cores, cores);
}

static void check_smt(doctor *self)
{
    char active[16], control[64] = "";
    doctor_read(self, control, sizeof control, CPU "/smt/control");
    const bool known = doctor_read(self, active, sizeof active, CPU "/smt/active");
    const bool on = known && strcmp(active, "1") == 0;
    doctor_finding *f = doctor_add(self, "smt", on ? DOCTOR_WARN : DOCTOR_OK);
    if (on) {
        snprintf(f->found, sizeof f->found, "on");
        snprintf(f->meaning, sizeof f->meaning,
                 "Two threads share a core: a solve takes up to twice as long while the sibling is "
                 "busy. Off, or worker_cpus of one sibling each.");
        snprintf(f->fix, sizeof f->fix, "echo off > " CPU "/smt/control");
    } else {
        snprintf(f->found, sizeof f->found, "%s", control[0] ? control : "none");
        snprintf(f->meaning, sizeof f->meaning, "A solver has its core for itself.");
    }
}

static void check_preemption(doctor *self)
{
    char realtime[16] = "", version[512] = "", line[DOCTOR_TEXT_BYTES] = "";
    doctor_read(self, realtime, sizeof realtime, "/sys/kernel/realtime");
    doctor_read(self, version, sizeof version, "/proc/version");
    doctor_read(self, line, sizeof line, "/proc/cmdline");
    const bool rt = strcmp(realtime, "1") == 0 || strstr(version, "PREEMPT_RT");
    const bool full = strstr(version, "PREEMPT_DYNAMIC") ? has_word(line, "preempt=full")
                                                         : has_word(version, "PREEMPT");
    doctor_finding *f = doctor_add(self, "preemption", DOCTOR_OK);
    snprintf(f->found, sizeof f->found, "%s",
             rt     ? "PREEMPT_RT"
             : full ? "full"
                    : "voluntary, none, or not told");
    if (rt || full) {
        snprintf(f->meaning, sizeof f->meaning, "A waking solver interrupts the kernel.");
        return;
    }
    f->verdict = self->real_time ? DOCTOR_WARN : DOCTOR_OK;
    snprintf(f->meaning, sizeof f->meaning,
             "A waking solver waits for a system call under way on its core; for SCHED_FIFO a "
             "kernel with full preemption is better.");
    if (self->real_time) {
        snprintf(f->fix, sizeof f->fix, "%s",
                 strstr(version, "PREEMPT_DYNAMIC") ? GRUB("preempt=full")
                                                    : "apt-get install linux-image-rt-amd64");
    }
}

void doctor_check_cpu(doctor *self)
{
    check_clock(self);
    check_tsc(self);
    check_governor(self);
    check_idle(self);
    check_isolation(self);
    check_smt(self);
    check_preemption(self);
}

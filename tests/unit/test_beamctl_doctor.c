/* beamctl doctor on machines made of files. */
#define _GNU_SOURCE
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "beamctl_doctor.h"

#define CPU "/sys/devices/system/cpu"
#define CLOCK "/sys/devices/system/clocksource/clocksource0"
#define THP "/sys/kernel/mm/transparent_hugepage"

typedef struct machine {
    char root[64];
    doctor doctor;
} machine;

/* The file and the directories above it. */
static void put(const machine *m, const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", m->root, path);
    for (char *slash = full + strlen(m->root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void take_away(const machine *m, const char *path)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", m->root, path);
    assert_int_equal(unlink(full), 0);
}

static void put_limits(const machine *m, const char *process, const char *files, const char *locked,
                       const char *priority)
{
    char text[512], path[64];
    snprintf(text, sizeof text,
             "Limit                     Soft Limit           Hard Limit           Units     \n"
             "Max open files            1024                 %s               files     \n"
             "Max locked memory         8388608              %s              bytes     \n"
             "Max realtime priority     0                    %s                    \n",
             files, locked, priority);
    snprintf(path, sizeof path, "/proc/%s/limits", process);
    put(m, path, text);
}

/* A machine that is set up for real time in every respect. */
static int set_up(void **state)
{
    machine *m = calloc(1, sizeof *m);
    assert_non_null(m);
    strcpy(m->root, "/tmp/beamctl-doctor-XXXXXX");
    assert_non_null(mkdtemp(m->root));
    put(m, CLOCK "/current_clocksource", "tsc\n");
    put(m, CLOCK "/available_clocksource", "tsc hpet acpi_pm \n");
    put(m, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu constant_tsc nonstop_tsc avx2\n\n");
    put(m, CPU "/online", "0-3\n");
    put(m, CPU "/isolated", "2-3\n");
    put(m, CPU "/nohz_full", "2-3\n");
    put(m, CPU "/smt/active", "0\n");
    put(m, CPU "/smt/control", "off\n");
    char path[128];
    for (int cpu = 0; cpu < 4; cpu++) {
        snprintf(path, sizeof path, CPU "/cpu%d/cpufreq/scaling_governor", cpu);
        put(m, path, "performance\n");
        snprintf(path, sizeof path, CPU "/cpu%d/cpuidle/state0/latency", cpu);
        put(m, path, "2\n");
    }
    put(m, "/sys/kernel/realtime", "1\n");
    put(m, "/proc/version", "Linux version 6.1.0-rt (x) #1 SMP PREEMPT_RT\n");
    put(m, "/proc/self/status", "Name:\tbeamctl\nCapEff:\t0000000000000000\n");
    put_limits(m, "self", "65536", "unlimited", "95");
    put(m, "/proc/self/timerslack_ns", "50000\n");
    put(m, "/proc/sys/kernel/sched_rt_runtime_us", "-1\n");
    put(m, "/proc/sys/kernel/sched_rt_period_us", "1000000\n");
    put(m, THP "/enabled", "always [madvise] never\n");
    put(m, "/proc/meminfo",
        "MemTotal: 1 kB\nHugePages_Total:       0\nHugePages_Free:        0\n"
        "Hugepagesize:       2048 kB\n");
    put(m, "/proc/swaps", "Filename\t\tType\t\tSize\n");
    put(m, "/run/systemd/system/x", "");
    put(m, "/usr/lib/systemd/system/beamd.service", "[Unit]\n");
    put(m, "/etc/systemd/system/multi-user.target.wants/beamd.service", "");
    put(m, "/var/lib/beamd/x", "");
    *state = m;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

static int tear_down(void **state)
{
    machine *m = *state;
    nftw(m->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(m);
    return 0;
}

static void examine(machine *m, bool real_time)
{
    assert_true(doctor_init(&m->doctor, m->root, NULL));
    m->doctor.real_time = real_time;
    if (!m->doctor.state_dir[0]) {
        strcpy(m->doctor.state_dir, "/var/lib/beamd");
    }
    doctor_check_cpu(&m->doctor);
    doctor_check_process(&m->doctor);
    doctor_check_memory(&m->doctor);
    doctor_check_place(&m->doctor);
}

static const doctor_finding *finding(const machine *m, const char *check)
{
    for (size_t k = 0; k < m->doctor.count; k++) {
        if (strcmp(m->doctor.findings[k].check, check) == 0) {
            return &m->doctor.findings[k];
        }
    }
    fail_msg("no check %s", check);
    return NULL;
}

/* found and fix: what must be in them. */
static void expect(machine *m, bool real_time, const char *check, doctor_verdict verdict,
                   const char *found, const char *fix)
{
    examine(m, real_time);
    const doctor_finding *f = finding(m, check);
    if (f->verdict != verdict || !strstr(f->found, found) || !strstr(f->fix, fix) ||
        !f->meaning[0] || (!fix[0] && f->fix[0])) {
        fail_msg("%s: %s, \"%s\", \"%s\", fix \"%s\"; expected %s, \"%s\", fix \"%s\"", check,
                 doctor_verdict_text(f->verdict), f->found, f->meaning, f->fix,
                 doctor_verdict_text(verdict), found, fix);
    }
}

static void a_machine_that_is_set_up_is_well(void **state)
{
    machine *m = *state;
    examine(m, true);
    for (size_t k = 0; k < m->doctor.count; k++) {
        const doctor_finding *f = &m->doctor.findings[k];
        if (f->verdict != DOCTOR_OK) {
            fail_msg("%s: %s, %s", f->check, f->found, f->meaning);
        }
        assert_true(f->found[0] && f->meaning[0] && !f->fix[0]);
    }
    assert_int_equal(doctor_worst(&m->doctor), DOCTOR_OK);
    assert_int_equal(m->doctor.count, 19);
}

/* Containers have next to nothing of it: told, not guessed, and nothing is bad for it. */
static void an_empty_machine_is_told_as_unknown(void **state)
{
    (void)state;
    machine m = {.root = "/tmp/beamctl-doctor-XXXXXX"};
    assert_non_null(mkdtemp(m.root));
    strcpy(m.doctor.state_dir, "");
    assert_true(doctor_init(&m.doctor, m.root, NULL));
    doctor_check_cpu(&m.doctor);
    doctor_check_process(&m.doctor);
    doctor_check_memory(&m.doctor);
    doctor_check_place(&m.doctor);
    assert_int_equal(m.doctor.count, 19);
    assert_int_equal(doctor_worst(&m.doctor), DOCTOR_WARN);
    assert_int_equal(finding(&m, "clock-source")->verdict, DOCTOR_WARN);
    assert_int_equal(finding(&m, "limit-nofile")->verdict, DOCTOR_WARN);
    rmdir(m.root);
    assert_false(doctor_init(&m.doctor, m.root, NULL));
}

static void clocks(void **state)
{
    machine *m = *state;
    put(m, CLOCK "/current_clocksource", "hpet\n");
    expect(m, false, "clock-source", DOCTOR_BAD, "hpet",
           "echo tsc > " CLOCK "/current_clocksource");
    put(m, CLOCK "/available_clocksource", "hpet acpi_pm \n");
    expect(m, false, "clock-source", DOCTOR_BAD, "hpet", "clocksource=tsc");
    put(m, CLOCK "/current_clocksource", "kvm-clock\n");
    expect(m, true, "clock-source", DOCTOR_OK, "kvm-clock", "");
    put(m, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu constant_tsc_not nonstop_tsc\n");
    expect(m, false, "tsc", DOCTOR_WARN, "not constant, nonstop_tsc", "");
    put(m, "/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n");
    expect(m, false, "tsc", DOCTOR_OK, "no x86", "");
}

static void cores(void **state)
{
    machine *m = *state;
    put(m, CPU "/cpu2/cpufreq/scaling_governor", "powersave\n");
    expect(m, false, "governor", DOCTOR_WARN, "powersave on 1 of 4 cores",
           "echo performance | tee");
    expect(m, true, "governor", DOCTOR_BAD, "powersave on 1 of 4 cores", "echo performance | tee");
    put(m, CPU "/cpu1/cpuidle/state1/latency", "350\n");
    expect(m, false, "idle-states", DOCTOR_WARN, "350 us", "cpupower idle-set");
    put(m, CPU "/cpu1/cpuidle/state1/disable", "1\n");
    expect(m, true, "idle-states", DOCTOR_OK, "2 us", "");
    put(m, CPU "/nohz_full", "\n");
    expect(m, true, "isolated-cores", DOCTOR_WARN, "isolated 2-3, no nohz_full",
           "nohz_full=2-3 rcu_nocbs=2-3");
    put(m, CPU "/isolated", "\n");
    expect(m, true, "isolated-cores", DOCTOR_BAD, "none of 4 cores",
           "isolcpus=managed_irq,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3");
    put(m, "/sys/fs/cgroup/cpuset.cpus.isolated", "1\n");
    expect(m, true, "isolated-cores", DOCTOR_WARN, "isolated 1, no nohz_full", "nohz_full=1");
    put(m, "/sys/fs/cgroup/cpuset.cpus.isolated", "\n");
    put(m, CPU "/nohz_full", "(null)\n"); /* as some kernels say it */
    expect(m, false, "isolated-cores", DOCTOR_WARN, "none of 4 cores",
           "isolcpus=managed_irq,domain,2-3");
    put(m, CPU "/online", "0\n");
    expect(m, false, "isolated-cores", DOCTOR_WARN, "1 core", "");
    put(m, CPU "/smt/active", "1\n");
    expect(m, false, "smt", DOCTOR_WARN, "on", "echo off > " CPU "/smt/control");
    put(m, "/sys/kernel/realtime", "0\n");
    put(m, "/proc/version", "Linux version 6.1.0 (x) #1 SMP PREEMPT_DYNAMIC Debian\n");
    expect(m, false, "preemption", DOCTOR_OK, "voluntary", "");
    expect(m, true, "preemption", DOCTOR_WARN, "voluntary", "preempt=full");
    put(m, "/proc/cmdline", "root=/dev/sda1 preempt=full quiet\n");
    expect(m, true, "preemption", DOCTOR_OK, "full", "");
}

/* Limits and rights of the daemon where it runs, of this shell where it does not. */
static void rights(void **state)
{
    machine *m = *state;
    put_limits(m, "self", "4096", "65536", "0");
    expect(m, false, "limit-nofile", DOCTOR_BAD, "4096 (this shell; no beamd runs)",
           "printf '[Service]\\nLimitNOFILE=65536\\n' > "
           "/etc/systemd/system/beamd.service.d/nofile.conf");
    expect(m, false, "limit-memlock", DOCTOR_WARN, "65536 bytes", "LimitMEMLOCK=infinity");
    expect(m, true, "limit-memlock", DOCTOR_BAD, "65536 bytes", "LimitMEMLOCK=infinity");
    expect(m, true, "real-time-right", DOCTOR_BAD, "rtprio 0, without CAP_SYS_NICE",
           "RestrictRealtime=no\\nLimitRTPRIO=91");
    put_limits(m, "self", "20000", "65536", "50");
    expect(m, false, "limit-nofile", DOCTOR_WARN, "20000", "LimitNOFILE");
    expect(m, false, "real-time-right", DOCTOR_WARN, "rtprio 50", "LimitRTPRIO=91");
    put(m, "/proc/self/status", "CapEff:\t0000000000804000\n"); /* SYS_NICE and IPC_LOCK */
    expect(m, true, "limit-memlock", DOCTOR_OK, "CAP_IPC_LOCK", "");
    expect(m, true, "real-time-right", DOCTOR_OK, "with CAP_SYS_NICE", "");
    put(m, "/usr/lib/systemd/system/beamd.service", "[Service]\nRestrictRealtime=yes\nUser=x\n");
    expect(m, true, "real-time-right", DOCTOR_BAD, "RestrictRealtime=yes in the unit",
           "RestrictRealtime=no");
    put(m, "/etc/systemd/system/beamd.service.d/b.conf", "[Service]\nRestrictRealtime=no\n");
    put(m, "/etc/systemd/system/beamd.service.d/a.conf", "[Service]\nRestrictRealtime=yes\n");
    put(m, "/etc/systemd/system/beamd.service.d/c.txt", "[Service]\nRestrictRealtime=yes\n");
    expect(m, true, "real-time-right", DOCTOR_OK, "with CAP_SYS_NICE", "");
    put(m, "/proc/812/comm", "beamd\n");
    put(m, "/proc/812/status", "Uid:\t999\t999\t999\t999\nCapEff:\t0000000000000000\n");
    put_limits(m, "812", "unlimited", "unlimited", "91");
    put(m, "/proc/99/comm", "beamdemo\n"); /* not it */
    expect(m, true, "limit-nofile", DOCTOR_OK, "unlimited (beamd, pid 812)", "");
    assert_int_equal(m->doctor.uid, 999);
    put(m, "/proc/812/timerslack_ns", "4000000\n");
    expect(m, false, "timer-slack", DOCTOR_WARN, "4000000 ns (beamd, pid 812)",
           "TimerSlackNSec=50us");
    put(m, "/proc/sys/kernel/sched_rt_runtime_us", "950000\n");
    expect(m, false, "rt-throttling", DOCTOR_OK, "950000 of 1000000 us", "");
    expect(m, true, "rt-throttling", DOCTOR_WARN, "950000",
           "sysctl -w kernel.sched_rt_runtime_us=-1");
    put(m, "/proc/sys/kernel/sched_rt_runtime_us", "0\n");
    expect(m, true, "rt-throttling", DOCTOR_BAD, "0 of", "sysctl -w");
}

static void memory(void **state)
{
    machine *m = *state;
    put(m, THP "/enabled", "[always] madvise never\n");
    put(m, THP "/defrag", "always defer [madvise] never\n");
    expect(m, false, "transparent-hugepages", DOCTOR_WARN, "always, defrag madvise",
           "echo madvise > " THP "/enabled");
    put(m, "/proc/meminfo", "HugePages_Total:  512\nHugePages_Free:  512\nHugepagesize: 2048 kB\n");
    expect(m, false, "hugepages", DOCTOR_WARN, "512 of 512", "sysctl -w vm.nr_hugepages=0");
    put(m, "/proc/meminfo", "HugePages_Total:  512\nHugePages_Free:  12\nHugepagesize: 2048 kB\n");
    expect(m, true, "hugepages", DOCTOR_OK, "12 of 512", "");
    put(m, "/proc/swaps", "Filename Type Size\n/dev/sda2 partition 8\n/swap file 8\n");
    expect(m, false, "swap", DOCTOR_WARN, "2 areas", "swapoff -a");
    expect(m, true, "swap", DOCTOR_BAD, "2 areas", "swapoff -a");
    put(m, "/proc/sys/kernel/numa_balancing", "1\n");
    expect(m, true, "numa-balancing", DOCTOR_OK, "one memory node", "");
    put(m, "/sys/devices/system/node/node1/x", "");
    expect(m, true, "numa-balancing", DOCTOR_WARN, "balancing on", "kernel.numa_balancing=0");
}

static void devices(void **state)
{
    machine *m = *state;
    expect(m, true, "gpu", DOCTOR_OK, "none", "");
    put(m, "/sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
    put(m, "/sys/bus/pci/devices/0000:01:00.0/class", "0x020000\n"); /* a network card of theirs */
    expect(m, true, "gpu", DOCTOR_OK, "none", "");
    put(m, "/sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n");
    expect(m, false, "gpu", DOCTOR_WARN, "without a driver", "modprobe nvidia");
    put(m, "/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54\nGCC version: 12\n");
    expect(m, false, "gpu", DOCTOR_WARN, "no /dev/nvidia0", "nvidia-modprobe");
    put(m, "/dev/nvidia0", "");
    put(m, "/dev/nvidiactl", "");
    expect(m, false, "gpu", DOCTOR_WARN, "no /dev/nvidia-uvm", "nvidia-modprobe");
    put(m, "/dev/nvidia-uvm", "");
    put(m, "/dev/nvidia1", "");
    expect(m, true, "gpu", DOCTOR_OK, "2 devices, NVIDIA UNIX x86_64 Kernel Module  550.54", "");
    put(m, "/etc/systemd/system/beamd.service.d/a.conf", "[Service]\nPrivateDevices=yes\n");
    expect(m, true, "gpu", DOCTOR_WARN, "2 devices", "DeviceAllow=char-nvidia rw");
    put(m, "/etc/systemd/system/beamd.service.d/gpu.conf", "[Service]\nPrivateDevices=no\n");
    expect(m, true, "gpu", DOCTOR_OK, "2 devices", "");
}

static void places(void **state)
{
    machine *m = *state;
    take_away(m, "/etc/systemd/system/multi-user.target.wants/beamd.service");
    expect(m, false, "systemd-unit", DOCTOR_WARN, "not enabled", "systemctl enable --now beamd");
    take_away(m, "/usr/lib/systemd/system/beamd.service");
    expect(m, false, "systemd-unit", DOCTOR_WARN, "no beamd.service", "cmake --install");
    put(m, "/var/lib/file", "");
    const char *const dirs[] = {"/var/lib/beamd/state", "/var/lib/none/state", "/var/lib/file",
                                "off"};
    static const struct {
        doctor_verdict verdict;
        const char *found, *fix;
    } expected[] = {
        {DOCTOR_OK, "No such file", ""},
        {DOCTOR_BAD, "No such file", "install -d -m 0700 -o beamd '/var/lib/none/state'"},
        {DOCTOR_BAD, "not a directory", "install -d"},
        {DOCTOR_WARN, "off", ""}};
    for (size_t k = 0; k < sizeof dirs / sizeof dirs[0]; k++) {
        assert_true(doctor_init(&m->doctor, m->root, NULL));
        strcpy(m->doctor.state_dir, dirs[k]);
        doctor_check_place(&m->doctor);
        const doctor_finding *f = finding(m, "state-directory");
        assert_int_equal(f->verdict, expected[k].verdict);
        assert_non_null(strstr(f->found, expected[k].found));
        assert_non_null(strstr(f->fix, expected[k].fix));
    }
}

/* The daemon's user counts, not the one who asks. */
static void the_state_directory_is_judged_for_the_daemon(void **state)
{
    machine *m = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/var/lib/beamd", m->root);
    put(m, "/proc/812/comm", "beamd\n");
    put(m, "/proc/812/status", "Uid:\t64999\t64999\nCapEff:\t0000000000000000\n");
    put_limits(m, "812", "unlimited", "unlimited", "91");
    assert_int_equal(chmod(path, 0700), 0); /* ours, not theirs */
    expect(m, false, "state-directory", DOCTOR_BAD, "not writable", "-o beamd");
    assert_int_equal(chmod(path, 0777), 0);
    expect(m, false, "state-directory", DOCTOR_OK, "writable", "");
}

static void lists_of_cores(void **state)
{
    (void)state;
    doctor_cpus cpus;
    assert_true(doctor_cpus_parse("0-2,5,4095", &cpus));
    assert_int_equal(cpus.count, 5);
    assert_int_equal(cpus.highest, 4095);
    assert_true(doctor_cpus_has(&cpus, 2) && doctor_cpus_has(&cpus, 5));
    assert_false(doctor_cpus_has(&cpus, 3) || doctor_cpus_has(&cpus, -1));
    assert_true(doctor_cpus_parse("", &cpus) && cpus.count == 0 && cpus.highest == -1);
    static const char *const wrong[] = {"a", "3-", "5-2", "4096", "1;2", "-1", "1,,2", "(null)"};
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        assert_false(doctor_cpus_parse(wrong[k], &cpus));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_machine_that_is_set_up_is_well, set_up, tear_down),
        cmocka_unit_test(an_empty_machine_is_told_as_unknown),
        cmocka_unit_test_setup_teardown(clocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cores, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(devices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_state_directory_is_judged_for_the_daemon, set_up,
                                        tear_down),
        cmocka_unit_test(lists_of_cores),
    };
    return cmocka_run_group_tests_name("beamctl doctor", tests, NULL, NULL);
}

/* Huge pages, swap, NUMA. */
#include "beamctl_doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THP "/sys/kernel/mm/transparent_hugepage"

/* The word in brackets of "always [madvise] never". */
static bool chosen_word(const char *text, char *out, size_t size)
{
    const char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;
    if (!close || (size_t)(close - open) > size) {
        return false;
    }
    snprintf(out, size, "%.*s", (int)(close - open - 1), open + 1);
    return true;
}

static void check_transparent(doctor *self)
{
    char text[128], enabled[64], defrag[64] = "";
    if (!doctor_read(self, text, sizeof text, THP "/enabled") ||
        !chosen_word(text, enabled, sizeof enabled)) {
        doctor_finding *f = doctor_add(self, "transparent-hugepages", DOCTOR_OK);
        snprintf(f->found, sizeof f->found, "not in this kernel");
        snprintf(f->meaning, sizeof f->meaning, "No memory is moved behind beamd's back.");
        return;
    }
    if (doctor_read(self, text, sizeof text, THP "/defrag")) {
        chosen_word(text, defrag, sizeof defrag);
    }
    const bool always = strcmp(enabled, "always") == 0;
    doctor_finding *f =
        doctor_add(self, "transparent-hugepages", always ? doctor_hinders(self) : DOCTOR_OK);
    snprintf(f->found, sizeof f->found, "%s%s%s", enabled, defrag[0] ? ", defrag " : "", defrag);
    if (!always) {
        snprintf(f->meaning, sizeof f->meaning, "No memory is moved behind beamd's back.");
        return;
    }
    snprintf(f->meaning, sizeof f->meaning,
             "The kernel gathers pages while beamd runs: a solver that touches one waits for the "
             "copy, up to milliseconds.");
    snprintf(f->fix, sizeof f->fix, "echo madvise > " THP "/enabled");
}

static bool meminfo(const char *text, const char *key, unsigned long long *out)
{
    const char *line = strstr(text, key);
    return line && sscanf(line + strlen(key), " %llu", out) == 1;
}

static void check_reserved(doctor *self)
{
    char text[DOCTOR_TEXT_BYTES];
    unsigned long long total = 0, left = 0, kib = 0;
    const bool known = doctor_read(self, text, sizeof text, "/proc/meminfo") &&
                       meminfo(text, "HugePages_Total:", &total) &&
                       meminfo(text, "HugePages_Free:", &left) &&
                       meminfo(text, "Hugepagesize:", &kib);
    const bool idle = known && total > 0 && left == total;
    doctor_finding *f = doctor_add(self, "hugepages", idle ? DOCTOR_WARN : DOCTOR_OK);
    if (!known || total == 0) {
        snprintf(f->found, sizeof f->found, "%s", known ? "none reserved" : "not in this kernel");
        snprintf(f->meaning, sizeof f->meaning, "beamd needs none.");
        return;
    }
    snprintf(f->found, sizeof f->found, "%llu of %llu pages of %llu KiB free", left, total, kib);
    if (!idle) {
        snprintf(f->meaning, sizeof f->meaning, "beamd needs none; another program uses them.");
        return;
    }
    snprintf(f->meaning, sizeof f->meaning,
             "%llu MiB are reserved and nobody uses them; beamd does not.", total * kib / 1024);
    snprintf(f->fix, sizeof f->fix, "sysctl -w vm.nr_hugepages=0");
}

static void check_swap(doctor *self)
{
    char text[DOCTOR_TEXT_BYTES];
    int areas = 0;
    const bool known = doctor_read(self, text, sizeof text, "/proc/swaps");
    for (const char *at = known ? strchr(text, '\n') : NULL; at; at = strchr(at + 1, '\n')) {
        areas += at[1] != 0;
    }
    doctor_finding *f = doctor_add(self, "swap", areas ? doctor_hinders(self) : DOCTOR_OK);
    if (areas == 0) {
        snprintf(f->found, sizeof f->found, "%s", known ? "none" : "not in this kernel");
        snprintf(f->meaning, sizeof f->meaning, "What beamd holds stays in memory.");
        return;
    }
    snprintf(f->found, sizeof f->found, "%d area%s", areas, areas == 1 ? "" : "s");
    snprintf(f->meaning, sizeof f->meaning,
             "A cluster that was silent may have been written out: its next answer waits for the "
             "disk. Off, or lock_memory = yes.");
    snprintf(f->fix, sizeof f->fix, "swapoff -a");
}

static void check_numa(doctor *self)
{
    char text[64];
    const bool nodes = doctor_exists(self, "/sys/devices/system/node/node1");
    const bool on = doctor_read(self, text, sizeof text, "/proc/sys/kernel/numa_balancing") &&
                    strcmp(text, "0") != 0;
    doctor_finding *f = doctor_add(self, "numa-balancing", nodes && on ? DOCTOR_WARN : DOCTOR_OK);
    if (!nodes) {
        snprintf(f->found, sizeof f->found, "one memory node");
        snprintf(f->meaning, sizeof f->meaning, "All memory is near.");
    } else if (!on) {
        snprintf(f->found, sizeof f->found, "several nodes, balancing off");
        snprintf(f->meaning, sizeof f->meaning,
                 "Memory stays where it was touched first: keep worker_cpus on one node.");
    } else {
        snprintf(f->found, sizeof f->found, "several nodes, balancing on");
        snprintf(f->meaning, sizeof f->meaning,
                 "The kernel unmaps pages to see who uses them: page faults in a solve.");
        snprintf(f->fix, sizeof f->fix, "sysctl -w kernel.numa_balancing=0");
    }
}

void doctor_check_memory(doctor *self)
{
    check_transparent(self);
    check_reserved(self);
    check_swap(self);
    check_numa(self);
}

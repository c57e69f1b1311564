/* beamctl doctor: what a machine does to beamd's latency, and the command that changes it.
 *
 * A check reads files below a root directory and adds findings. Nothing is changed and nothing is
 * run. Every check copes with files that are not there (containers, other kernels, other
 * architectures): it says so instead of guessing. */
#ifndef BEAMCTL_DOCTOR_H
#define BEAMCTL_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "beamctl.h"

enum {
    DOCTOR_FINDINGS_MAX = 40,
    DOCTOR_TEXT_BYTES = 8192, /* of a file; what is longer is cut */
    DOCTOR_CPUS_MAX = 4096,
    DOCTOR_PATH_BYTES = 1024
};

typedef enum doctor_verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_BAD } doctor_verdict;

typedef struct doctor_finding {
    const char *check; /* stable name */
    doctor_verdict verdict;
    char found[256];   /* what is there */
    char meaning[320]; /* what it means for beamd */
    char fix[640];     /* a command for a root shell; empty: there is none, or none is needed */
} doctor_finding;

typedef struct doctor_cpus {
    unsigned char in[DOCTOR_CPUS_MAX / 8];
    int count, highest; /* highest -1: none */
} doctor_cpus;

typedef struct doctor {
    char root[DOCTOR_PATH_BYTES]; /* before every path; empty: this machine */
    bool real_time;               /* what hinders real time is bad, not only a warning */
    bool systemd;                 /* the machine was started by it */
    long pid;                     /* of the running beamd, 0: none was found */
    long uid;                     /* of that process, -1: not known */
    char state_dir[512];          /* "": none, "off": not kept */
    doctor_cpus online;
    doctor_finding findings[DOCTOR_FINDINGS_MAX];
    size_t count;
} doctor;

/* Reads the root's online cores and finds the running daemon. lock_file (may be NULL): the file
 * that it holds locked. false: the root is too long or no directory. */
bool doctor_init(doctor *self, const char *root, const char *lock_file);

/* The file at the path given by a format, without its last newline; false when it cannot be read.
 */
__attribute__((format(printf, 4, 5))) bool doctor_read(const doctor *self, char *out, size_t size,
                                                       const char *format, ...);
__attribute__((format(printf, 2, 3))) bool doctor_exists(const doctor *self, const char *format,
                                                         ...);
/* The number behind `key` at the beginning of a line of /proc/PID/NAME; false: not there. `base` as
 * for strtoull. */
bool doctor_process_number(const doctor *self, const char *name, const char *key, int base,
                           unsigned long long *out);
/* The directory of beamd.service, NULL: there is none. */
const char *doctor_unit_place(const doctor *self);
/* Whether the unit says `line`, for instance "RestrictRealtime=yes", and no drop-in says another
 * value of that key; the last one holds. */
bool doctor_unit_says(const doctor *self, const char *line);
/* "0-3,8" as the kernel writes it; false: not such a list. */
bool doctor_cpus_parse(const char *text, doctor_cpus *out);
bool doctor_cpus_has(const doctor_cpus *cpus, int cpu);

/* A finding to fill in; found, meaning and fix are empty. Never NULL: the table holds them all. */
doctor_finding *doctor_add(doctor *self, const char *check, doctor_verdict verdict);
/* DOCTOR_BAD where real time is wanted, else DOCTOR_WARN. */
doctor_verdict doctor_hinders(const doctor *self);
/* A drop-in of the unit with one or more lines, "\\n" between them; `shell`: without systemd. */
void doctor_fix_service(const doctor *self, doctor_finding *finding, const char *name,
                        const char *lines, const char *shell);

void doctor_check_cpu(doctor *self); /* clock, TSC, governor, idle states, isolation, SMT, kernel */
void doctor_check_process(doctor *self); /* limits, privileges, throttling, timer slack */
void doctor_check_memory(doctor *self);  /* huge pages, swap, NUMA */
void doctor_check_place(doctor *self);   /* GPU, state directory, unit */

doctor_verdict doctor_worst(const doctor *self);
const char *doctor_verdict_text(doctor_verdict verdict);

#endif

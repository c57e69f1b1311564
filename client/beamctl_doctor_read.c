/* What the checks of beamctl doctor read with, and what they write into. */
#include "beamctl_doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool path_of(const doctor *self, char *out, size_t size, const char *format, va_list args)
{
    const int root = snprintf(out, size, "%s", self->root);
    if (root < 0 || (size_t)root >= size) {
        return false;
    }
    const int n = vsnprintf(out + root, size - (size_t)root, format, args);
    return n > 0 && (size_t)n < size - (size_t)root;
}

/* Files of /proc and /sys say nothing of their size: read until the end. */
static bool read_file(const char *path, char *out, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    size_t used = 0;
    ssize_t n = 0;
    while (used + 1 < size && (n = read(fd, out + used, size - 1 - used)) > 0) {
        used += (size_t)n;
    }
    close(fd);
    if (n < 0) {
        return false;
    }
    while (used > 0 && out[used - 1] == '\n') {
        used--;
    }
    out[used] = 0;
    return true;
}

bool doctor_read(const doctor *self, char *out, size_t size, const char *format, ...)
{
    char path[DOCTOR_PATH_BYTES + 256];
    va_list args;
    va_start(args, format);
    const bool fits = path_of(self, path, sizeof path, format, args);
    va_end(args);
    return fits && read_file(path, out, size);
}

bool doctor_exists(const doctor *self, const char *format, ...)
{
    char path[DOCTOR_PATH_BYTES + 256];
    struct stat st;
    va_list args;
    va_start(args, format);
    const bool fits = path_of(self, path, sizeof path, format, args);
    va_end(args);
    /* A link of a unit is relative to its own root: it counts wherever it points to. */
    return fits && lstat(path, &st) == 0;
}

/* The subject of per-process checks: the daemon, or this process in its place. */
static void process_name(const doctor *self, char *out, size_t size)
{
    if (self->pid > 0) {
        snprintf(out, size, "%ld", self->pid);
    } else {
        snprintf(out, size, "self");
    }
}

bool doctor_process_number(const doctor *self, const char *name, const char *key, int base,
                           unsigned long long *out)
{
    char text[DOCTOR_TEXT_BYTES], process[32];
    process_name(self, process, sizeof process);
    if (!doctor_read(self, text, sizeof text, "/proc/%s/%s", process, name)) {
        return false;
    }
    const size_t n = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0) {
            char *end;
            const char *value = line + n + strspn(line + n, " \t");
            if (strncmp(value, "unlimited", 9) == 0) {
                *out = ULLONG_MAX;
                return true;
            }
            errno = 0;
            *out = strtoull(value, &end, base);
            return end != value && errno == 0;
        }
    }
    return false;
}

bool doctor_cpus_parse(const char *text, doctor_cpus *out)
{
    *out = (doctor_cpus){.highest = -1};
    while (isspace((unsigned char)*text)) {
        text++;
    }
    while (*text) {
        char *end;
        const long first = strtol(text, &end, 10);
        long last = first;
        if (end == text) {
            return false;
        }
        if (*end == '-') {
            const char *from = end + 1;
            last = strtol(from, &end, 10);
            if (end == from) {
                return false;
            }
        }
        if (first < 0 || last < first || last >= DOCTOR_CPUS_MAX || (*end && *end != ',')) {
            return false;
        }
        for (long cpu = first; cpu <= last; cpu++) {
            if (!doctor_cpus_has(out, (int)cpu)) {
                out->in[cpu / 8] = (unsigned char)(out->in[cpu / 8] | 1U << (cpu % 8));
                out->count++;
            }
        }
        out->highest = last > out->highest ? (int)last : out->highest;
        text = *end ? end + 1 : end;
    }
    return true;
}

bool doctor_cpus_has(const doctor_cpus *cpus, int cpu)
{
    return cpu >= 0 && cpu < DOCTOR_CPUS_MAX && (cpus->in[cpu / 8] >> (cpu % 8) & 1) != 0;
}

/* /proc/locks: "1: FLOCK  ADVISORY  WRITE 4242 00:2d:1234 0 EOF", device in hexadecimal. */
static long lock_holder(const doctor *self, const char *lock_file)
{
    char text[DOCTOR_TEXT_BYTES * 4];
    struct stat st;
    if (!lock_file || stat(lock_file, &st) < 0 ||
        !doctor_read(self, text, sizeof text, "/proc/locks")) {
        return 0;
    }
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        long pid;
        unsigned major_number, minor_number;
        unsigned long long inode;
        if (sscanf(line, "%*d: FLOCK %*s WRITE %ld %x:%x:%llu", &pid, &major_number, &minor_number,
                   &inode) == 4 &&
            pid > 0 && inode == st.st_ino && major_number == major(st.st_dev) &&
            minor_number == minor(st.st_dev)) {
            return pid;
        }
    }
    return 0;
}

static long process_called_beamd(const doctor *self)
{
    char path[DOCTOR_PATH_BYTES + 8], name[64];
    snprintf(path, sizeof path, "%s/proc", self->root);
    DIR *proc = opendir(path);
    long found = 0;
    for (const struct dirent *entry; proc && (entry = readdir(proc)) != NULL;) {
        char *end;
        const long pid = strtol(entry->d_name, &end, 10);
        if (*end == 0 && pid > 0 && (found == 0 || pid < found) &&
            doctor_read(self, name, sizeof name, "/proc/%ld/comm", pid) &&
            strcmp(name, "beamd") == 0) {
            found = pid;
        }
    }
    if (proc) {
        closedir(proc);
    }
    return found;
}

bool doctor_init(doctor *self, const char *root, const char *lock_file)
{
    *self = (doctor){.uid = -1};
    struct stat st;
    const size_t n = strlen(root);
    if (n >= sizeof self->root || (n > 0 && (stat(root, &st) < 0 || !S_ISDIR(st.st_mode)))) {
        return false;
    }
    memcpy(self->root, root, n + 1);
    while (self->root[0] && self->root[strlen(self->root) - 1] == '/') {
        self->root[strlen(self->root) - 1] = 0;
    }
    char text[DOCTOR_TEXT_BYTES];
    if (!doctor_read(self, text, sizeof text, "/sys/devices/system/cpu/online") ||
        !doctor_cpus_parse(text, &self->online)) {
        self->online = (doctor_cpus){.highest = -1};
    }
    self->systemd = doctor_exists(self, "/run/systemd/system");
    self->pid = lock_holder(self, lock_file);
    if (self->pid == 0) {
        self->pid = process_called_beamd(self);
    }
    unsigned long long uid;
    if (self->pid > 0 && doctor_process_number(self, "status", "Uid:", 10, &uid)) {
        self->uid = (long)uid;
    }
    return true;
}

doctor_finding *doctor_add(doctor *self, const char *check, doctor_verdict verdict)
{
    if (self->count == DOCTOR_FINDINGS_MAX) { /* our bug: a check was added and no room for it */
        abort();
    }
    doctor_finding *finding = &self->findings[self->count++];
    *finding = (doctor_finding){.check = check, .verdict = verdict};
    return finding;
}

doctor_verdict doctor_hinders(const doctor *self)
{
    return self->real_time ? DOCTOR_BAD : DOCTOR_WARN;
}

void doctor_fix_service(const doctor *self, doctor_finding *finding, const char *name,
                        const char *lines, const char *shell)
{
    if (self->systemd) {
        snprintf(finding->fix, sizeof finding->fix,
                 "mkdir -p /etc/systemd/system/beamd.service.d && printf '[Service]\\n%s\\n' > "
                 "/etc/systemd/system/beamd.service.d/%s.conf && systemctl daemon-reload && "
                 "systemctl restart beamd",
                 lines, name);
    } else {
        snprintf(finding->fix, sizeof finding->fix, "%s", shell);
    }
}

doctor_verdict doctor_worst(const doctor *self)
{
    doctor_verdict worst = DOCTOR_OK;
    for (size_t k = 0; k < self->count; k++) {
        if (self->findings[k].verdict > worst) {
            worst = self->findings[k].verdict;
        }
    }
    return worst;
}

const char *doctor_verdict_text(doctor_verdict verdict)
{
    static const char *const words[] = {"ok", "warn", "bad"};
    return words[verdict];
}

/* GPU, state directory, unit: what is around the daemon. */
#include "beamctl_doctor.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { STATE_MIB_LEAST = 64 };

/* A display controller of NVIDIA on the PCI bus, with or without a driver. */
static bool nvidia_on_bus(const doctor *self)
{
    char path[DOCTOR_PATH_BYTES + 32], vendor[16], class[16];
    snprintf(path, sizeof path, "%s/sys/bus/pci/devices", self->root);
    DIR *bus = opendir(path);
    bool found = false;
    for (const struct dirent *entry; bus && !found && (entry = readdir(bus)) != NULL;) {
        found = entry->d_name[0] != '.' &&
                doctor_read(self, vendor, sizeof vendor, "/sys/bus/pci/devices/%s/vendor",
                            entry->d_name) &&
                strcmp(vendor, "0x10de") == 0 &&
                doctor_read(self, class, sizeof class, "/sys/bus/pci/devices/%s/class",
                            entry->d_name) &&
                strncmp(class, "0x03", 4) == 0;
    }
    if (bus) {
        closedir(bus);
    }
    return found;
}

static void check_gpu(doctor *self)
{
    char version[256] = "";
    const bool driver = doctor_read(self, version, sizeof version, "/proc/driver/nvidia/version");
    const bool control = doctor_exists(self, "/dev/nvidiactl");
    const bool memory = doctor_exists(self, "/dev/nvidia-uvm");
    int devices = 0;
    while (devices < 64 && doctor_exists(self, "/dev/nvidia%d", devices)) {
        devices++;
    }
    doctor_finding *f = doctor_add(self, "gpu", DOCTOR_OK);
    if (!driver && devices == 0 && !nvidia_on_bus(self)) {
        snprintf(f->found, sizeof f->found, "none");
        snprintf(f->meaning, sizeof f->meaning, "All answers come from the processor.");
    } else if (!driver) {
        f->verdict = DOCTOR_WARN;
        snprintf(f->found, sizeof f->found, "a device without a driver");
        snprintf(f->meaning, sizeof f->meaning,
                 "All answers come from the processor while the driver is not loaded.");
        snprintf(f->fix, sizeof f->fix, "modprobe nvidia || apt-get install nvidia-driver");
    } else if (devices == 0 || !control || !memory) {
        f->verdict = DOCTOR_WARN;
        snprintf(f->found, sizeof f->found, "driver, but no /dev/%s",
                 devices == 0 ? "nvidia0"
                 : control    ? "nvidia-uvm"
                              : "nvidiactl");
        snprintf(f->meaning, sizeof f->meaning,
                 "CUDA cannot open the device: all answers come from the processor.");
        snprintf(f->fix, sizeof f->fix, "nvidia-modprobe -c 0 -u");
    } else {
        const char *name = strstr(version, "NVRM version: ");
        const char *text = name ? name + 14 : version;
        snprintf(f->found, sizeof f->found, "%d device%s, %.*s", devices, devices == 1 ? "" : "s",
                 (int)strcspn(text, "\n") > 120 ? 120 : (int)strcspn(text, "\n"), text);
        snprintf(f->meaning, sizeof f->meaning, "The device can be opened.");
        if (self->systemd && doctor_unit_says(self, "PrivateDevices=yes")) {
            f->verdict = DOCTOR_WARN;
            snprintf(f->meaning, sizeof f->meaning,
                     "The unit keeps it from beamd: all answers come from the processor.");
            doctor_fix_service(self, f, "gpu", /* as systemd/gpu.conf */
                               "PrivateDevices=no\\nDevicePolicy=closed\\n"
                               "DeviceAllow=char-nvidia-frontend rw\\nDeviceAllow=char-nvidia rw\\n"
                               "DeviceAllow=char-nvidia-uvm rw\\nDeviceAllow=char-nvidia-caps r\\n"
                               "ProcSubset=all\\nMemoryDenyWriteExecute=no\\nLimitMEMLOCK=infinity",
                               "");
        }
    }
}

/* May the daemon's user write there? Unknown users are judged as this process. */
static bool may_write(const doctor *self, const char *path, const struct stat *st)
{
    if (self->uid < 0 || self->uid == (long)geteuid()) {
        return access(path, W_OK | X_OK) == 0;
    }
    struct statvfs fs;
    if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY)) {
        return false;
    }
    return self->uid == 0 || ((long)st->st_uid == self->uid && (st->st_mode & 0300) == 0300) ||
           (st->st_mode & 0003) == 0003;
}

static void parent_of(const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s", path);
    char *slash = strrchr(out, '/');
    if (slash) {
        slash[slash == out] = 0;
    }
}

static void fix_state_dir(const doctor *self, doctor_finding *f)
{
    snprintf(f->fix, sizeof f->fix, "install -d -m 0700 -o %s '%s'",
             self->systemd || self->uid > 0 ? "beamd" : "root", self->state_dir);
}

static void check_state_dir(doctor *self)
{
    char path[DOCTOR_PATH_BYTES + 512], above[DOCTOR_PATH_BYTES + 512];
    struct stat st;
    doctor_finding *f = doctor_add(self, "state-directory", DOCTOR_OK);
    if (self->state_dir[0] == 0 || strcmp(self->state_dir, "off") == 0) {
        f->verdict = self->state_dir[0] ? DOCTOR_WARN : DOCTOR_OK;
        snprintf(f->found, sizeof f->found, self->state_dir[0] ? "off" : "not known");
        snprintf(f->meaning, sizeof f->meaning, "%s",
                 self->state_dir[0] ? "After a restart the first answers are cold and clusters "
                                      "must be registered again."
                                    : "The daemon chooses it at its start.");
        return;
    }
    snprintf(path, sizeof path, "%s%s", self->root, self->state_dir);
    if (stat(path, &st) < 0) {
        const int why = errno;
        parent_of(path, above, sizeof above);
        const bool can_make = why == ENOENT && stat(above, &st) == 0 && may_write(self, above, &st);
        f->verdict = can_make ? DOCTOR_OK : DOCTOR_BAD;
        snprintf(f->found, sizeof f->found, "%.180s: %s", self->state_dir, strerror(why));
        snprintf(f->meaning, sizeof f->meaning, "%s",
                 can_make ? "The daemon makes it at its start."
                          : "No snapshot can be written: the first answers after a restart are "
                            "cold.");
        if (!can_make) {
            fix_state_dir(self, f);
        }
        return;
    }
    if (!S_ISDIR(st.st_mode) || !may_write(self, path, &st)) {
        f->verdict = DOCTOR_BAD;
        snprintf(f->found, sizeof f->found, "%.180s: %s", self->state_dir,
                 S_ISDIR(st.st_mode) ? "not writable" : "not a directory");
        snprintf(f->meaning, sizeof f->meaning,
                 "No snapshot can be written: the first answers after a restart are cold.");
        fix_state_dir(self, f);
        return;
    }
    struct statvfs fs;
    const bool known = statvfs(path, &fs) == 0 && fs.f_frsize > 0;
    const unsigned long long mib =
        known ? (unsigned long long)fs.f_bavail * fs.f_frsize >> 20 : STATE_MIB_LEAST;
    f->verdict = mib < STATE_MIB_LEAST ? DOCTOR_WARN : DOCTOR_OK;
    snprintf(f->found, sizeof f->found, "%.180s, writable", self->state_dir);
    if (f->verdict == DOCTOR_OK) {
        snprintf(f->meaning, sizeof f->meaning, "The first answers after a restart are warm.");
    } else {
        snprintf(f->found, sizeof f->found, "%.180s, %llu MiB free", self->state_dir, mib);
        snprintf(f->meaning, sizeof f->meaning,
                 "Snapshots of large clusters may not fit: they would be cold after a restart.");
    }
}

static void check_unit(doctor *self)
{
    const char *place = doctor_unit_place(self);
    doctor_finding *f = doctor_add(self, "systemd-unit", DOCTOR_OK);
    if (!self->systemd) {
        snprintf(f->found, sizeof f->found, "this machine does not run systemd");
        snprintf(f->meaning, sizeof f->meaning,
                 "Somebody else must start beamd again when it ends.");
        f->verdict = DOCTOR_WARN;
    } else if (!place) {
        f->verdict = DOCTOR_WARN;
        snprintf(f->found, sizeof f->found, "no beamd.service");
        snprintf(f->meaning, sizeof f->meaning,
                 "Nobody starts beamd at boot, starts it again, or watches that its loop turns.");
        snprintf(f->fix, sizeof f->fix,
                 "cmake --install build && systemd-sysusers && systemctl daemon-reload && "
                 "systemctl enable --now beamd");
    } else if (!doctor_exists(self, "/etc/systemd/system/multi-user.target.wants/beamd.service")) {
        f->verdict = DOCTOR_WARN;
        snprintf(f->found, sizeof f->found, "%s/beamd.service, not enabled", place);
        snprintf(f->meaning, sizeof f->meaning, "beamd is not started at boot.");
        snprintf(f->fix, sizeof f->fix, "systemctl enable --now beamd");
    } else {
        snprintf(f->found, sizeof f->found, "%s/beamd.service, enabled", place);
        snprintf(f->meaning, sizeof f->meaning, "Started at boot, and again when it ends.");
    }
}

void doctor_check_place(doctor *self)
{
    check_gpu(self);
    check_state_dir(self);
    check_unit(self);
}

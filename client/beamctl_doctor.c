/* beamctl doctor: the checks, and whether the daemon answers. */
#include "beamctl_doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "beamctl_json.h"
#include "endpoints.h"

/* $STATE_DIRECTORY of the daemon's own environment, where this user may read it. */
static bool state_directory_of(const doctor *self, char *out, size_t size)
{
    static const char KEY[] = "STATE_DIRECTORY=";
    char path[DOCTOR_PATH_BYTES + 64], text[DOCTOR_TEXT_BYTES * 4];
    snprintf(path, sizeof path, "%s/proc/%ld/environ", self->root, self->pid);
    FILE *file = self->pid > 0 ? fopen(path, "re") : NULL;
    if (!file) {
        return false;
    }
    const size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0; /* variables are parted by zero bytes */
    for (size_t at = 0; at < n; at += strlen(text + at) + 1) {
        if (strncmp(text + at, KEY, sizeof KEY - 1) == 0) {
            const int used = snprintf(out, size, "%s", text + at + sizeof KEY - 1);
            return used > 0 && (size_t)used < size;
        }
    }
    return false;
}

/* As the daemon chooses it: its setting, what systemd made for it, or below the runtime directory.
 */
static void find_state_dir(doctor *self, const char *setting, const char *runtime_dir)
{
    if (setting[0]) {
        snprintf(self->state_dir, sizeof self->state_dir, "%s", setting);
    } else if (!state_directory_of(self, self->state_dir, sizeof self->state_dir)) {
        if (self->systemd && doctor_exists(self, "/var/lib/beamd")) {
            snprintf(self->state_dir, sizeof self->state_dir, "/var/lib/beamd");
        } else if (runtime_dir[0]) {
            snprintf(self->state_dir, sizeof self->state_dir, "%.490s/state", runtime_dir);
        }
    }
}

static void add_daemon(doctor *self, const beamc_status *status, const beamc_error *err)
{
    doctor_finding *f = doctor_add(self, "daemon", DOCTOR_OK);
    if (!status) {
        f->verdict = DOCTOR_BAD;
        snprintf(f->found, sizeof f->found, "%.240s", err->text);
        if (self->pid > 0) {
            snprintf(f->meaning, sizeof f->meaning,
                     "It runs (pid %ld) and does not answer here: other endpoints, a right that is "
                     "missing, or it hangs.",
                     self->pid);
            snprintf(f->fix, sizeof f->fix, "%s",
                     self->systemd ? "journalctl -u beamd -n 50"
                                   : "beamctl --runtime-dir DIR status");
        } else {
            snprintf(f->meaning, sizeof f->meaning, "Nobody answers requests.");
            snprintf(f->fix, sizeof f->fix, "%s",
                     self->systemd ? "systemctl start beamd"
                                   : "beamd --config /etc/beamd/beamd.conf");
        }
        return;
    }
    snprintf(f->found, sizeof f->found, "beamd %.60s, up %.0f s, %s", status->version,
             status->uptime_s, status->draining ? "draining" : "serving");
    if (status->draining) {
        f->verdict = DOCTOR_WARN;
        snprintf(f->meaning, sizeof f->meaning, "It refuses updates and is about to end.");
    } else {
        snprintf(f->meaning, sizeof f->meaning, "It answers.");
    }
}

/* Asks the daemon; what its settings demand of the machine is then demanded. */
static void ask_daemon(doctor *self, const beamctl_settings *s, char *state_dir, size_t size)
{
    beamc_client *client;
    beamc_status status;
    beamc_config config;
    beamc_error err;
    if (beamc_connect(&client, &s->connection, &err)) {
        add_daemon(self, NULL, &err);
        return;
    }
    const beamc_code code = beamc_status_get(client, NULL, s->timeout_ms, &status, &err);
    add_daemon(self, code ? NULL : &status, &err);
    if (!code && !beamc_config_get(client, s->timeout_ms, &config, &err)) {
        for (size_t k = 0; k < config.key_count; k++) {
            const beamc_config_key *key = &config.keys[k];
            if (strcmp(key->name, "state_dir") == 0) {
                snprintf(state_dir, size, "%s", key->value);
            } else if (strcmp(key->name, "realtime_priority") == 0) {
                self->real_time = self->real_time || strcmp(key->value, "0") != 0;
            }
        }
    }
    beamc_close(&client);
}

static void print_json(const doctor *self)
{
    json_t *list = json_array();
    for (size_t k = 0; k < self->count; k++) {
        const doctor_finding *f = &self->findings[k];
        json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:o,s:o}", "check", f->check, "verdict",
                                              doctor_verdict_text(f->verdict), "found",
                                              beamctl_json_text(f->found), "meaning",
                                              beamctl_json_text(f->meaning), "fix",
                                              f->fix[0] ? beamctl_json_text(f->fix) : json_null()));
    }
    beamctl_json_print(
        json_pack("{s:s,s:b,s:o,s:o}", "worst", doctor_verdict_text(doctor_worst(self)),
                  "real_time", (int)self->real_time, "pid",
                  self->pid > 0 ? json_integer(self->pid) : json_null(), "checks", list));
}

static void print_words(const doctor *self)
{
    size_t of[3] = {0, 0, 0};
    for (size_t k = 0; k < self->count; k++) {
        const doctor_finding *f = &self->findings[k];
        of[f->verdict]++;
        if (f->verdict == DOCTOR_OK) {
            printf("OK    %-21s %s. %s\n", f->check, f->found, f->meaning);
            continue;
        }
        printf("%-5s %-21s %s\n      %s\n", doctor_verdict_text(f->verdict), f->check, f->found,
               f->meaning);
        if (f->fix[0]) {
            printf("      fix: %s\n", f->fix);
        }
    }
    printf("%zu OK, %zu warnings, %zu bad; judged for %s\n", of[DOCTOR_OK], of[DOCTOR_WARN],
           of[DOCTOR_BAD], self->real_time ? "real time" : "ordinary scheduling");
}

int beamctl_doctor(const beamctl_settings *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static doctor self; /* larger than a stack frame should be */
    char runtime_dir[512] = "", lock_file[600] = "", state_dir[512] = "";
    if (s->connection.runtime_dir) {
        snprintf(runtime_dir, sizeof runtime_dir, "%s", s->connection.runtime_dir);
    } else if (beam_runtime_dir(runtime_dir, sizeof runtime_dir) < 0) {
        runtime_dir[0] = 0; /* does not fit, or is another user's: connecting says which */
    }
    snprintf(lock_file, sizeof lock_file, "%s/beamd.lock", runtime_dir);
    if (!doctor_init(&self, s->root ? s->root : "", s->root ? NULL : lock_file)) {
        return beamctl_wrong_usage("--root %s: no directory, or its path is too long", s->root);
    }
    self.real_time = s->real_time;
    if (!s->offline && !s->root) { /* another root is another machine */
        ask_daemon(&self, s, state_dir, sizeof state_dir);
    }
    find_state_dir(&self, state_dir, s->root ? "" : runtime_dir);
    doctor_check_cpu(&self);
    doctor_check_process(&self);
    doctor_check_memory(&self);
    doctor_check_place(&self);
    if (s->json) {
        print_json(&self);
    } else {
        print_words(&self);
    }
    static const int exits[] = {BEAMCTL_DONE, BEAMCTL_WARNINGS, BEAMCTL_FAILED};
    return exits[doctor_worst(&self)];
}

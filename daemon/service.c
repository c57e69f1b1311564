/* Steps without sockets: runtime directory and lock, service manager, loop, core, model. */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

beamd_log_level beamd_service_log_level(const beamd_config *config)
{
    static const struct {
        const char *word;
        beamd_log_level level;
    } levels[] = {{"err", BEAMD_LOG_ERR},
                  {"warning", BEAMD_LOG_WARNING},
                  {"notice", BEAMD_LOG_NOTICE},
                  {"info", BEAMD_LOG_INFO},
                  {"debug", BEAMD_LOG_DEBUG}};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(config->log_level, levels[i].word) == 0) {
            return levels[i].level;
        }
    }
    return BEAMD_LOG_INFO; /* the table admits no other word */
}

/* The directory is the access control of the ipc sockets: nobody else may enter or write it. */
static bool check_directory(const char *dir, char *why, size_t size)
{
    struct stat st;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        snprintf(why, size, "%s: %s", dir, strerror(errno));
        return false;
    }
    if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
        snprintf(why, size, "%s: not a directory", dir);
        return false;
    }
    if (st.st_uid != geteuid()) {
        snprintf(why, size, "%s: belongs to another user", dir);
        return false;
    }
    if (st.st_mode & 0027) {
        snprintf(why, size, "%s: mode %04o is too open, 0700 (or 0750 for a group) is needed", dir,
                 (unsigned)st.st_mode & 07777u);
        return false;
    }
    umask(st.st_mode & 0050 ? 0007 : 0077); /* of the sockets */
    return true;
}

bool beamd_directory_start(beamd_service *self, char *why, size_t size)
{
    const char *dir = self->config.runtime_dir;
    if (!check_directory(dir, why, size)) {
        return false;
    }
    /* libzmq unlinks a socket that is in the way: without a lock a second daemon would silently
     * take over the first one's clients. */
    char path[BEAMD_RUNTIME_DIR_BYTES + 16];
    snprintf(path, sizeof path, "%s/beamd.lock", dir);
    self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (self->lock_fd < 0) {
        snprintf(why, size, "%s: %s", path, strerror(errno));
        return false;
    }
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        snprintf(why, size, "%s: another beamd runs in this directory", path);
        return false;
    }
    return true;
}

void beamd_directory_stop(beamd_service *self)
{
    if (self->lock_fd >= 0) {
        close(
            self->lock_fd); /* the file stays: unlinking it would let two daemons hold two locks */
        self->lock_fd = -1;
    }
}

bool beamd_notify_start(beamd_service *self, char *why, size_t size)
{
    if (!beamd_notify_open(&self->notify)) {
        snprintf(why, size, "NOTIFY_SOCKET: not usable");
        return false;
    }
    return true;
}

void beamd_notify_stop(beamd_service *self)
{
    beamd_notify_close(&self->notify);
}

/* libzmq aborts the process when accept() on an ipc socket finds no descriptor left. Each
 * connection takes one, so the limit is raised as far as it may be: a client that leaks connections
 * then meets its own limit first. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=descriptor_limit why=\"%s\"", strerror(errno));
    }
}

bool beamd_loop_start(beamd_service *self, char *why, size_t size)
{
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    self->loop = beamd_loop_create();
    if (!self->loop) {
        snprintf(why, size, "libev found no usable backend");
    }
    return self->loop != NULL;
}

void beamd_loop_stop(beamd_service *self)
{
    beamd_loop_destroy(&self->loop);
}

bool beamd_core_start(beamd_service *self, char *why, size_t size)
{
    beamd_actions actions = beamd_service_actions;
    actions.arg = self;
    beamd_gpus_act(self, &actions);
    self->core = beamd_core_create(&self->config, &actions, beamd_clock_ns());
    if (!self->core) {
        snprintf(why, size, "out of memory");
    }
    return self->core != NULL;
}

void beamd_core_stop(beamd_service *self)
{
    beamd_core_destroy(&self->core);
}

/* Read here and now: nobody is served yet. Without any model the iterative solver answers; a file
 * that was named must be good. */
bool beamd_model_start(beamd_service *self, char *why, size_t size)
{
    beam_error err;
    const char *file = self->config.model_file;
    if (!file[0] && !beamd_model_built_in()) {
        BEAMD_LOG(BEAMD_LOG_WARNING, "event=no_model why=\"none is built in and model_file is "
                                     "empty\" answers_by=boblrbf");
        return true;
    }
    beamd_model *model = beamd_model_read(file, &err);
    if (!model) {
        snprintf(why, size, "%s: %s: %s", file[0] ? file : "built-in model", err.field, err.text);
        return false;
    }
    BEAMD_LOG(BEAMD_LOG_NOTICE,
              "event=model name=\"%s\" kind=%s parameters=%zu sha256=%s file=\"%s\"",
              model->info->name, beam_model_kind_text(model->info->kind), model->info->parameters,
              model->info->checksum, file);
    beamd_core_set_model(self->core, model);
    return true;
}

void beamd_model_stop(beamd_service *self)
{
    (void)self; /* the core's, freed with it: jobs may still hold it */
}

void beamd_service_step(beamd_service *self, const beamd_event *event)
{
    const uint64_t next_ns = beamd_core_step(self->core, beamd_clock_ns(), event);
    if (self->wake) {
        (void)beamd_watch_arm(self->wake, next_ns); /* on failure the timer of 20 ms does it */
    }
}

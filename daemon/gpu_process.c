#include "gpu_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 32, CHILD_FDS = 3, CHILD_FD_FIRST = 3 };

static int set_actions(posix_spawn_file_actions_t *actions, const int fds[CHILD_FDS])
{
    int error = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    error = error ? error : posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
    for (int i = 0; error == 0 && i < CHILD_FDS; i++) {
        error = posix_spawn_file_actions_adddup2(actions, fds[i], CHILD_FD_FIRST + i);
    }
    return error ? error
                 : posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FD_FIRST + CHILD_FDS);
}

/* The loop may be a real-time thread with signals blocked: none of that is for the child. Its death
 * with beamd it asks for itself (PR_SET_PDEATHSIG). */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    const struct sched_param ordinary = {.sched_priority = 0};
    int error = posix_spawnattr_setsigmask(attributes, &none);
    error = error ? error : posix_spawnattr_setsigdefault(attributes, &all);
    error = error ? error : posix_spawnattr_setschedpolicy(attributes, SCHED_OTHER);
    error = error ? error : posix_spawnattr_setschedparam(attributes, &ordinary);
    return error ? error
                 : posix_spawnattr_setflags(attributes,
                                            POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSCHEDULER);
}

static int spawn(pid_t *pid, const char *program, char *const *words, const int fds[CHILD_FDS])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = set_actions(&actions, fds);
        error = error ? error : set_attributes(&attributes);
        error = error ? error : posix_spawn(pid, program, &actions, &attributes, words, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* posix_spawn wants words that it might change, and does not. */
static char *word(const char *text)
{
    union {
        const char *from;
        char *to;
    } cast = {.from = text};
    return cast.to;
}

int beamd_gpu_process_start(beamd_gpu_process *self, const char *program,
                            const char *const *arguments, const int fds[3], char *why, size_t size)
{
    char parent[16];
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    char *words[ARGUMENTS_MAX + 1] = {
        word(program), word("--memory-fd"), word("3"), word("--request-fd"),
        word("4"),     word("--answer-fd"), word("5"), word("--parent"),
        parent};
    size_t count = 9;
    for (; arguments && *arguments; arguments++) {
        if (count == ARGUMENTS_MAX) {
            snprintf(why, size, "more than %d arguments", ARGUMENTS_MAX);
            return E2BIG;
        }
        words[count++] = word(*arguments);
    }
    *self = (beamd_gpu_process){.fd = -1};
    pid_t pid = 0;
    const int error = spawn(&pid, program, words, fds);
    if (error != 0) {
        snprintf(why, size, "%s: %s", program, strerror(error));
        return error;
    }
    /* nobody else reaps between these two: that would be this thread too */
    self->pid = pid;
    self->fd = pidfd_open(pid, 0);
    if (self->fd < 0) {
        const int failed = errno;
        snprintf(why, size, "pidfd: %s", strerror(failed));
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        *self = (beamd_gpu_process){.fd = -1};
        return failed;
    }
    return 0;
}

bool beamd_gpu_fd_raise(int *fd)
{
    const int high = fcntl(*fd, F_DUPFD_CLOEXEC, BEAMD_GPU_FD_LOW);
    if (high < 0) {
        return false;
    }
    close(*fd);
    *fd = high;
    return true;
}

void beamd_gpu_process_kill(const beamd_gpu_process *self)
{
    if (self->fd >= 0) {
        (void)pidfd_send_signal(self->fd, SIGKILL, NULL, 0);
    }
}

bool beamd_gpu_process_ended(beamd_gpu_process *self, int limit_ms, char *how, size_t size)
{
    struct pollfd wait = {.fd = self->fd, .events = POLLIN};
    if (self->fd < 0 || poll(&wait, 1, limit_ms) <= 0) {
        return false;
    }
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PIDFD, (id_t)self->fd, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) {
        snprintf(how, size, "ended"); /* libev's default loop reaps every child */
    } else if (info.si_code == CLD_EXITED) {
        snprintf(how, size, "ended with code %d", info.si_status);
    } else {
        snprintf(how, size, "ended by signal %d", info.si_status);
    }
    close(self->fd);
    *self = (beamd_gpu_process){.fd = -1};
    return true;
}

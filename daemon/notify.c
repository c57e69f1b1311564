#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint64_t number_from_environment(const char *name)
{
    const char *text = getenv(name);
    if (!text || *text < '0' || *text > '9') {
        return 0;
    }
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    return errno || *end ? 0 : value;
}

bool beamd_notify_open(beamd_notify *self)
{
    memset(self, 0, sizeof *self);
    self->fd = -1;
    const char *name = getenv("NOTIFY_SOCKET");
    if (!name || !*name) {
        return true;
    }
    const size_t length = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || length >= sizeof self->path) {
        return false;
    }
    memcpy(self->path, name, length + 1);
    self->path_length = (unsigned)length;
    if (name[0] == '@') {
        self->path[0] = 0; /* abstract: the length counts, no terminator */
    } else {
        self->path_length++;
    }
    self->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return false;
    }
    const uint64_t pid = number_from_environment("WATCHDOG_PID");
    if (pid == 0 || pid == (uint64_t)getpid()) {
        self->watchdog_us = number_from_environment("WATCHDOG_USEC");
    }
    return true;
}

void beamd_notify_close(beamd_notify *self)
{
    if (self->fd >= 0) {
        close(self->fd);
        self->fd = -1;
    }
}

/* fd: -1, or one to go with it. */
static bool send_text(const beamd_notify *self, const char *text, size_t length, int fd)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, self->path, self->path_length);
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr message = {
        .msg_name = &to,
        .msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + self->path_length),
        .msg_iov = &part,
        .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    return sendmsg(self->fd, &message, MSG_NOSIGNAL) == (ssize_t)length;
}

bool beamd_notify_send(const beamd_notify *self, const char *format, ...)
{
    if (self->fd < 0) {
        return true;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return length >= 0 && (size_t)length < sizeof text && send_text(self, text, (size_t)length, -1);
}

static bool name_usable(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t length = strspn(name, allowed);
    return length > 0 && length < BEAMD_FD_NAME_BYTES && name[length] == 0;
}

bool beamd_notify_keep_fd(const beamd_notify *self, const char *name, int fd)
{
    char text[BEAMD_FD_NAME_BYTES + 32];
    if (self->fd < 0 || !name_usable(name)) {
        return false;
    }
    const int length = snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name);
    return send_text(self, text, (size_t)length, fd);
}

bool beamd_notify_drop_fd(const beamd_notify *self, const char *name)
{
    char text[BEAMD_FD_NAME_BYTES + 32];
    if (self->fd < 0 || !name_usable(name)) {
        return false;
    }
    const int length = snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return send_text(self, text, (size_t)length, -1);
}

unsigned beamd_notify_given_fds(beamd_given_fd *out, unsigned most)
{
    enum { FIRST = 3, LAST = 65536 }; /* SD_LISTEN_FDS_START; far above any manager's limit */
    const uint64_t pid = number_from_environment("LISTEN_PID");
    uint64_t count = number_from_environment("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    unsigned taken = 0;
    count = pid != (uint64_t)getpid() ? 0 : count > LAST ? LAST : count;
    for (uint64_t k = 0; k < count; k++) {
        const int fd = FIRST + (int)k;
        const size_t length = names ? strcspn(names, ":") : 0;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && taken < most) {
            beamd_given_fd *it = &out[taken++];
            *it = (beamd_given_fd){.fd = fd};
            memcpy(it->name, names ? names : "", length < sizeof it->name ? length : 0);
        } else {
            close(fd);
        }
        names = names && names[length] == ':' ? names + length + 1 : NULL;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return taken;
}

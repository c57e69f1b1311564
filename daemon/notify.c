#include "notify.h"

#include <errno.h>
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
    if (length < 0 || (size_t)length >= sizeof text) {
        return false;
    }
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, self->path, self->path_length);
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + self->path_length);
    return sendto(self->fd, text, (size_t)length, MSG_NOSIGNAL, (const struct sockaddr *)&to,
                  size) == length;
}

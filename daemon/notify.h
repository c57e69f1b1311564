/* The service manager's notification protocol (sd_notify(3)), without libsystemd: datagrams to
 * $NOTIFY_SOCKET. Every function does nothing when the daemon was not started by one. */
#ifndef BEAMD_NOTIFY_H
#define BEAMD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct beamd_notify {
    int fd;         /* -1: no manager */
    char path[108]; /* as in sockaddr_un; abstract names begin with NUL */
    unsigned path_length;
    uint64_t watchdog_us; /* 0: no watchdog asked for */
} beamd_notify;

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. False when the variable is there but
 * unusable. */
bool beamd_notify_open(beamd_notify *self);
void beamd_notify_close(beamd_notify *self);

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=...": newline-separated assignments. False when
 * the manager is there but did not take it. */
__attribute__((format(printf, 2, 3))) bool beamd_notify_send(const beamd_notify *self,
                                                             const char *format, ...);

#endif

/* The service manager's notification protocol (sd_notify(3)) and its file-descriptor store. Every
 * function does nothing when the daemon was not started by one.
 *
 * Own code, as sd_notify(3) proposes: libsystemd's sd_notify opens a blocking socket at every call,
 * so that a manager that hangs would hang the loop, and it brings four compression and cryptography
 * libraries into the process. Here a message that the manager does not take at once fails. */
#ifndef BEAMD_NOTIFY_H
#define BEAMD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

enum { BEAMD_FD_NAME_BYTES = 128 };

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

/* Hands a duplicate of the descriptor to the manager, which gives it back to the next process of
 * the service. name: letters, digits, '.', '_', '-', below BEAMD_FD_NAME_BYTES. False: there is no
 * manager, or it did not take it (whether it then keeps it, FileDescriptorStoreMax decides; it does
 * not say). From any thread. */
bool beamd_notify_keep_fd(const beamd_notify *self, const char *name, int fd);
/* The manager closes what it keeps under this name. */
bool beamd_notify_drop_fd(const beamd_notify *self, const char *name);

/* A descriptor that the manager gave to this process. */
typedef struct beamd_given_fd {
    int fd;
    char name[BEAMD_FD_NAME_BYTES]; /* empty where it has none that fits */
} beamd_given_fd;

/* Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES and takes them out of the environment: at most
 * once a process. At most `most` descriptors are returned, owned by the caller and closed on exec;
 * more are closed. */
unsigned beamd_notify_given_fds(beamd_given_fd *out, unsigned most);

#endif

/* The special problem of descriptors: libzmq 4.3.4 aborts the process when accept4() on an ipc
 * socket finds none left (EMFILE), and a connection that says nothing is never asked about. So the
 * daemon has an accept4() of its own, which the dynamic linker finds before libc's: it closes at
 * once a connection whose descriptor would be at or above a ceiling. Descriptors are given out
 * lowest first, so that many are in use then. What libzmq sees is ECONNABORTED, which it expects.
 */
#ifndef BEAMD_ACCEPT_GUARD_H
#define BEAMD_ACCEPT_GUARD_H

#include <stdint.h>

/* Any thread. 0: none, as at the start. */
void beamd_accept_ceiling(int fd);
/* Connections closed so far. */
uint64_t beamd_accept_refused(void);

#endif

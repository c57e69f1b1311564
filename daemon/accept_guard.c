#include "accept_guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int ceiling;
static atomic_uint_fast64_t refused;

void beamd_accept_ceiling(int fd)
{
    atomic_store(&ceiling, fd);
}

uint64_t beamd_accept_refused(void)
{
    return atomic_load(&refused);
}

/* Exported, so that libzmq's calls come here; the calls of this program do as well. Declared here
 * as the system has it, because <sys/socket.h> makes a union of the address. */
__attribute__((visibility("default"), used)) int accept4(int fd, void *address, unsigned *bytes,
                                                         int flags);

int accept4(int fd, void *address, unsigned *bytes, int flags)
{
    const int taken = (int)syscall(SYS_accept4, fd, address, bytes, flags);
    if (taken < 0) {
        if (errno == EMFILE) {
            errno = ENFILE; /* of the two, the one that libzmq takes for a passing trouble */
        }
        return -1;
    }
    const int most = atomic_load_explicit(&ceiling, memory_order_relaxed);
    if (most > 0 && taken >= most) {
        close(taken);
        atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
        errno = ECONNABORTED;
        return -1;
    }
    return taken;
}

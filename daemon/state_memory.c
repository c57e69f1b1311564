/* Records in memory that the service manager keeps while the daemon is away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state_file.h"
#include "state_store.h"

void beamd_state_memory_create(beamd_state_memory *self, const char *name, size_t record_bytes)
{
    *self = (beamd_state_memory){.fd = -1};
    /* whole pages: the halves take memory only as far as they are written */
    const size_t half = (record_bytes + 4095u) & ~(size_t)4095u;
    const int fd = memfd_create("beamd-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return;
    }
    if (ftruncate(fd, (off_t)(2 * half)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        const int why = errno;
        close(fd);
        errno = why;
        return;
    }
    self->fd = fd;
    self->half_bytes = half;
    snprintf(self->name, sizeof self->name, "%s", name);
}

bool beamd_state_memory_adopt(beamd_state_memory *self, const beamd_given_fd *given)
{
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW;
    struct stat st;
    *self = (beamd_state_memory){.fd = -1};
    if (fstat(given->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
        st.st_size % 8192 != 0) {
        return false;
    }
    const int seals = fcntl(given->fd, F_GET_SEALS); /* -1: no memory */
    if (seals < 0 || (seals & wanted) != wanted || (seals & F_SEAL_WRITE)) {
        return false;
    }
    self->fd = given->fd;
    self->half_bytes = (size_t)st.st_size / 2;
    self->kept = true;
    memcpy(self->name, given->name, sizeof self->name);
    return true;
}

void beamd_state_memory_close(beamd_state_memory *self)
{
    if (self->fd >= 0) {
        close(self->fd);
    }
    *self = (beamd_state_memory){.fd = -1};
}

int beamd_state_memory_write(beamd_state_memory *self, const void *record, size_t bytes)
{
    const int half = 1 - self->newest;
    const off_t at = half ? (off_t)self->half_bytes : 0;
    if (bytes > self->half_bytes) {
        return EFBIG;
    }
    for (size_t done = 0; done < bytes;) {
        const ssize_t n =
            pwrite(self->fd, (const unsigned char *)record + done, bytes - done, at + (off_t)done);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    self->newest = half;
    return 0;
}

static bool read_at(const beamd_state_memory *self, int half, unsigned char *out, size_t bytes)
{
    const off_t at = half ? (off_t)self->half_bytes : 0;
    for (size_t done = 0; done < bytes;) {
        const ssize_t n = pread(self->fd, out + done, bytes - done, at + (off_t)done);
        if ((n < 0 && errno != EINTR) || n == 0) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* As many bytes as its header says, checked. */
static bool read_half(const beamd_state_memory *self, int half, size_t most,
                      beamd_state_buffer *buffer, beamd_record_view *view)
{
    if (!beamd_state_buffer_grow(buffer, BEAMD_RECORD_HEADER_BYTES) ||
        !read_at(self, half, buffer->bytes, BEAMD_RECORD_HEADER_BYTES)) {
        return false;
    }
    const uint64_t bytes = beamd_record_stated_bytes(buffer->bytes);
    return bytes <= self->half_bytes && bytes <= most &&
           beamd_state_buffer_grow(buffer, (size_t)bytes) &&
           read_at(self, half, buffer->bytes, (size_t)bytes) &&
           !beamd_record_read(view, buffer->bytes, (size_t)bytes);
}

bool beamd_state_memory_read(beamd_state_memory *self, size_t most, beamd_state_buffer *buffer,
                             beamd_record_view *view)
{
    uint64_t serial[2] = {0, 0};
    bool good[2];
    for (int half = 0; half < 2; half++) {
        good[half] = read_half(self, half, most, buffer, view);
        serial[half] = good[half] ? view->header.serial : 0;
    }
    if (!good[0] && !good[1]) {
        return false;
    }
    self->newest = good[1] && (!good[0] || serial[1] > serial[0]);
    return read_half(self, self->newest, most, buffer, view);
}

#include "ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t size, const char *format,
                                                        ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return -1;
}

static size_t rounded(size_t bytes)
{
    return (bytes + BEAMG_ALIGN - 1) / BEAMG_ALIGN * BEAMG_ALIGN;
}

static bool sizes_fit(uint64_t slots, uint64_t request_bytes, uint64_t answer_bytes)
{
    return slots >= 1 && slots <= BEAMG_SLOTS_MAX && request_bytes >= sizeof(beamg_setup) &&
           request_bytes <= BEAMG_BYTES_MAX && answer_bytes >= sizeof(beamg_answer_head) &&
           answer_bytes <= BEAMG_BYTES_MAX && request_bytes % BEAMG_ALIGN == 0 &&
           answer_bytes % BEAMG_ALIGN == 0;
}

static size_t total(const beamg_area *self)
{
    return rounded(sizeof(beamg_header)) + self->slots * (self->request_bytes + self->answer_bytes);
}

static int map(beamg_area *self, int fd, char *why, size_t size)
{
    void *at = mmap(NULL, self->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        return refuse(why, size, "shared memory of %zu bytes: %s", self->bytes, strerror(errno));
    }
    self->header = at;
    self->fd = fd;
    return 0;
}

int beamg_area_create(beamg_area *self, unsigned slots, size_t request_bytes, size_t answer_bytes,
                      char *why, size_t size)
{
    *self = (beamg_area){.fd = -1,
                         .slots = slots,
                         .request_bytes = rounded(request_bytes),
                         .answer_bytes = rounded(answer_bytes)};
    if (!sizes_fit(slots, self->request_bytes, self->answer_bytes)) {
        return refuse(why, size, "%u slots of %zu and %zu bytes are outside the limits", slots,
                      request_bytes, answer_bytes);
    }
    self->bytes = total(self);
    const int fd = memfd_create("beamd-gpu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)self->bytes) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        refuse(why, size, "shared memory of %zu bytes: %s", self->bytes, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    if (map(self, fd, why, size) != 0) {
        close(fd);
        return -1;
    }
    return 0;
}

int beamg_area_open(beamg_area *self, int fd, char *why, size_t size)
{
    *self = (beamg_area){.fd = -1};
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return refuse(why, size, "descriptor %d: %s", fd, strerror(errno));
    }
    if ((fcntl(fd, F_GET_SEALS) & SEALS) != SEALS || about.st_size < (off_t)sizeof(beamg_header)) {
        return refuse(why, size, "descriptor %d is no sealed shared memory of beamd", fd);
    }
    self->bytes = (size_t)about.st_size;
    if (map(self, fd, why, size) != 0) {
        return -1;
    }
    const beamg_header *h = self->header;
    const uint64_t request_bytes = h->request_bytes, answer_bytes = h->answer_bytes;
    self->slots = h->slots;
    self->request_bytes = (size_t)request_bytes;
    self->answer_bytes = (size_t)answer_bytes;
    const uint32_t version = h->version;
    if (h->magic != BEAMG_MAGIC || version != BEAMG_VERSION) {
        refuse(why, size, "shared memory of version %u, not %d", version, BEAMG_VERSION);
    } else if (!sizes_fit(self->slots, request_bytes, answer_bytes) || total(self) != self->bytes ||
               h->bytes != self->bytes) {
        refuse(why, size, "shared memory of %zu bytes does not hold what it says", self->bytes);
    } else {
        return 0;
    }
    munmap(self->header, self->bytes);
    self->header = NULL;
    self->fd = -1;
    return -1;
}

void beamg_area_close(beamg_area *self)
{
    if (self->header) {
        munmap(self->header, self->bytes);
        close(self->fd);
    }
    *self = (beamg_area){.fd = -1};
}

void beamg_area_reset(beamg_area *self, const beamg_setup *setup, uint64_t heartbeat_ns)
{
    beamg_header *h = self->header;
    memset(h, 0, sizeof *h);
    h->magic = BEAMG_MAGIC;
    h->version = BEAMG_VERSION;
    h->bytes = self->bytes;
    h->slots = self->slots;
    h->request_bytes = self->request_bytes;
    h->answer_bytes = self->answer_bytes;
    h->heartbeat_ns = heartbeat_ns;
    h->setup = *setup;
}

static void *slot_at(const beamg_area *self, unsigned slot)
{
    return (unsigned char *)self->header + rounded(sizeof(beamg_header)) +
           slot * (self->request_bytes + self->answer_bytes);
}

void *beamg_area_request(const beamg_area *self, unsigned slot)
{
    return slot_at(self, slot);
}

void *beamg_area_answer(const beamg_area *self, unsigned slot)
{
    return (unsigned char *)slot_at(self, slot) + self->request_bytes;
}

beamg_ring_code beamg_push(beamg_end *self, const beamg_descriptor *descriptor)
{
    beamg_ring *ring = self->ring;
    const uint64_t used = self->next - atomic_load_explicit(&ring->head, memory_order_acquire);
    if (used >= BEAMG_RING_ENTRIES) {
        return used == BEAMG_RING_ENTRIES ? BEAMG_RING_NONE : BEAMG_RING_BAD;
    }
    ring->entry[self->next % BEAMG_RING_ENTRIES] = *descriptor;
    self->next++;
    atomic_store_explicit(&ring->tail, self->next, memory_order_release);
    return BEAMG_RING_DONE;
}

beamg_ring_code beamg_pop(beamg_end *self, beamg_descriptor *out)
{
    beamg_ring *ring = self->ring;
    const uint64_t filled = atomic_load_explicit(&ring->tail, memory_order_acquire) - self->next;
    if (filled == 0 || filled > BEAMG_RING_ENTRIES) {
        return filled == 0 ? BEAMG_RING_NONE : BEAMG_RING_BAD;
    }
    *out = ring->entry[self->next % BEAMG_RING_ENTRIES];
    self->next++;
    atomic_store_explicit(&ring->head, self->next, memory_order_release);
    return BEAMG_RING_DONE;
}

void beamg_text_copy(char *to, size_t size, const char *from, size_t from_size)
{
    size_t n = 0;
    while (n + 1 < size && n < from_size) {
        const char c = ((const volatile char *)from)[n];
        if (c == 0) {
            break;
        }
        to[n++] = c >= ' ' && c <= '~' ? c : '?';
    }
    to[n] = 0;
}

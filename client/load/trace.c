#include "load/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

#include "wire.h"

static const unsigned char MAGIC[8] = {'B', 'E', 'A', 'M', 'T', 'R', 'A', 'C'};

struct load_trace_writer {
    FILE *file;
    uint64_t start_ns;
    uint32_t records;
};

static void put_le(unsigned char *out, uint64_t value, int bytes)
{
    for (int k = 0; k < bytes; k++) {
        out[k] = (unsigned char)(value >> (8 * k));
    }
}

static uint64_t get_le(const unsigned char *in, int bytes)
{
    uint64_t value = 0;
    for (int k = 0; k < bytes; k++) {
        value |= (uint64_t)in[k] << (8 * k);
    }
    return value;
}

static uint32_t checksum(uint32_t before, const unsigned char *bytes, size_t size)
{
    return (uint32_t)crc32(before, bytes, (uInt)size);
}

/* Of a header whose own checksum field counts as 0. */
static uint32_t header_checksum(const unsigned char *header)
{
    unsigned char copy[LOAD_TRACE_HEADER_BYTES];
    memcpy(copy, header, sizeof copy);
    memset(copy + 12, 0, 4);
    return checksum(0, copy, sizeof copy);
}

load_trace_writer *load_trace_create(const char *path, load_error *err)
{
    unsigned char header[LOAD_TRACE_HEADER_BYTES] = {0};
    struct timespec now;
    load_trace_writer *self = calloc(1, sizeof *self);
    if (!self) {
        load_fail(err, "no memory");
        return NULL;
    }
    self->file = fopen(path, "wbxe");
    if (!self->file) {
        load_fail(err, "%s: %s", path, strerror(errno));
        free(self);
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    self->start_ns = load_now_ns();
    memcpy(header, MAGIC, sizeof MAGIC);
    put_le(header + 8, LOAD_TRACE_VERSION, 2);
    put_le(header + 10, LOAD_TRACE_HEADER_BYTES, 2);
    put_le(header + 16, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, 8);
    put_le(header + 12, header_checksum(header), 4);
    if (fwrite(header, sizeof header, 1, self->file) != 1) {
        load_fail(err, "%s: %s", path, strerror(errno));
        fclose(self->file);
        free(self);
        return NULL;
    }
    return self;
}

int load_trace_write(load_trace_writer *self, uint64_t now_ns, unsigned peer,
                     load_direction direction, const void *frame, size_t bytes, load_error *err)
{
    unsigned char head[LOAD_TRACE_RECORD_BYTES] = {0};
    put_le(head + 4, bytes, 4);
    put_le(head + 8, now_ns - self->start_ns, 8);
    put_le(head + 16, peer, 2);
    head[18] = (unsigned char)direction;
    put_le(head + 20, self->records++, 4);
    uint32_t sum = checksum(0, head + 4, sizeof head - 4);
    if (bytes > 0) {
        sum = checksum(sum, frame, bytes);
    }
    put_le(head, sum, 4);
    if (fwrite(head, sizeof head, 1, self->file) != 1 ||
        (bytes > 0 && fwrite(frame, bytes, 1, self->file) != 1)) {
        return load_fail(err, "cannot write the trace: %s", strerror(errno));
    }
    return 0;
}

int load_trace_finish(load_trace_writer **self_p, load_error *err)
{
    load_trace_writer *self = *self_p;
    if (!self) {
        return 0;
    }
    int status = load_trace_write(self, load_now_ns(), 0, LOAD_DIRECTION_END, NULL, 0, err);
    if (fclose(self->file) != 0) {
        status = load_fail(err, "cannot write the trace: %s", strerror(errno));
    }
    free(self);
    *self_p = NULL;
    return status;
}

static int check_header(load_trace *self, const char *path, load_error *err)
{
    if (self->size < LOAD_TRACE_HEADER_BYTES || memcmp(self->map, MAGIC, sizeof MAGIC) != 0) {
        return load_fail(err, "%s: not a trace of beamload", path);
    }
    const unsigned version = (unsigned)get_le(self->map + 8, 2);
    if (version != LOAD_TRACE_VERSION || get_le(self->map + 10, 2) != LOAD_TRACE_HEADER_BYTES) {
        return load_fail(err, "%s: version %u, this beamload reads version %d", path, version,
                         LOAD_TRACE_VERSION);
    }
    if (get_le(self->map + 12, 4) != header_checksum(self->map)) {
        return load_fail(err, "%s: the header is damaged (checksum)", path);
    }
    self->start_unix_ns = get_le(self->map + 16, 8);
    load_trace_rewind(self);
    return 0;
}

int load_trace_open(load_trace *self, const char *path, load_error *err)
{
    struct stat st;
    memset(self, 0, sizeof *self);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        load_fail(err, "%s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        close(fd);
        return load_fail(err, "%s: not a trace of beamload", path);
    }
    self->size = (size_t)st.st_size;
    /* Private: sender's times are patched in it, the file keeps its own. */
    void *map = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) {
        return load_fail(err, "%s: %s", path, strerror(errno));
    }
    self->map = map;
    if (check_header(self, path, err) < 0) {
        load_trace_close(self);
        return -1;
    }
    return 0;
}

void load_trace_close(load_trace *self)
{
    if (self->map) {
        munmap(self->map, self->size);
        self->map = NULL;
    }
}

void load_trace_rewind(load_trace *self)
{
    self->at = LOAD_TRACE_HEADER_BYTES;
    self->records = 0;
    self->whole = false;
}

static int damaged(const load_trace *self, const char *what, load_error *err)
{
    return load_fail(err, "record %" PRIu64 " at byte %zu of the trace %s", self->records, self->at,
                     what);
}

int load_trace_read(load_trace *self, load_record *record, load_error *err)
{
    if (self->whole) {
        return self->at == self->size ? 0 : damaged(self, "follows the end", err);
    }
    /* The last record may be cut off where the recorder was killed. */
    if (self->size - self->at < LOAD_TRACE_RECORD_BYTES) {
        return 0;
    }
    unsigned char *head = self->map + self->at;
    const size_t bytes = (size_t)get_le(head + 4, 4);
    if (bytes > BEAM_WIRE_MAX_MESSAGE_BYTES) {
        return damaged(self, "is larger than any message", err);
    }
    if (bytes > self->size - self->at - LOAD_TRACE_RECORD_BYTES) {
        return 0;
    }
    if (get_le(head, 4) != checksum(0, head + 4, LOAD_TRACE_RECORD_BYTES - 4 + bytes)) {
        return damaged(self, "is damaged (checksum)", err);
    }
    *record = (load_record){.time_ns = get_le(head + 8, 8),
                            .peer = (unsigned)get_le(head + 16, 2),
                            .direction = (load_direction)head[18],
                            .frame = head + LOAD_TRACE_RECORD_BYTES,
                            .bytes = bytes};
    if (get_le(head + 20, 4) != (self->records & UINT32_MAX) || head[18] > LOAD_DIRECTION_END ||
        record->peer >= LOAD_TRACE_PEERS) {
        return damaged(self, "contradicts its place", err);
    }
    self->at += LOAD_TRACE_RECORD_BYTES + bytes;
    self->records++;
    if (record->direction == LOAD_DIRECTION_END) {
        self->whole = true;
        return load_trace_read(self, record, err);
    }
    return 1;
}

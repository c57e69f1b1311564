#include "state_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char suffix[] = ".state", unfinished[] = ".state.tmp", aside[] = ".state.damaged-";

/* --- the directory --- */

static bool refuse(char *why, size_t size, const char *dir, const char *text)
{
    snprintf(why, size, "%s: %s", dir, text);
    return false;
}

/* -1: `why` says why. */
static int open_directory(int at, const char *name, const char *shown, char *why, size_t size)
{
    struct stat st;
    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST) {
        refuse(why, size, shown, strerror(errno));
        return -1;
    }
    const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        refuse(why, size, shown, strerror(errno));
        return -1;
    }
    bool good = false;
    if (fstat(fd, &st) < 0) {
        refuse(why, size, shown, strerror(errno));
    } else if (st.st_uid != geteuid()) {
        refuse(why, size, shown, "belongs to another user");
    } else if (st.st_mode & 0022) {
        snprintf(why, size, "%s: mode %04o lets others write", shown,
                 (unsigned)st.st_mode & 07777u);
    } else if (faccessat(at, name, W_OK | X_OK, AT_EACCESS) < 0) {
        refuse(why, size, shown, strerror(errno));
    } else {
        good = true;
    }
    if (!good) {
        close(fd);
        return -1;
    }
    return fd;
}

bool beamd_state_store_open(beamd_state_store *self, const char *dir, char *why, size_t size)
{
    *self = (beamd_state_store){.dir_fd = -1, .top_fd = -1, .lock_fd = -1};
    self->top_fd = open_directory(AT_FDCWD, dir, dir, why, size);
    if (self->top_fd < 0) {
        return false;
    }
    self->lock_fd =
        openat(self->top_fd, "beamd.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (self->lock_fd < 0) {
        refuse(why, size, dir, strerror(errno));
    } else if (flock(self->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        refuse(why, size, dir, "another beamd keeps its state here");
    } else {
        char shown[600];
        snprintf(shown, sizeof shown, "%s/clusters", dir);
        self->dir_fd = open_directory(self->top_fd, "clusters", shown, why, size);
    }
    if (self->dir_fd < 0) {
        beamd_state_store_close(self);
        return false;
    }
    return true;
}

void beamd_state_store_close(beamd_state_store *self)
{
    int *const fds[] = {&self->dir_fd, &self->lock_fd, &self->top_fd};
    for (size_t k = 0; k < sizeof fds / sizeof fds[0]; k++) {
        if (*fds[k] >= 0) {
            close(*fds[k]);
        }
        *fds[k] = -1;
    }
}

/* --- writing --- */

static int write_all(int fd, const unsigned char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(fd, bytes + done, size - done);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) < 0 ? errno : 0;
}

int beamd_state_store_write(int dir_fd, const char *name, const void *bytes, size_t size)
{
    char fresh[BEAMD_STATE_NAME_BYTES + 8];
    if (strlen(name) >= BEAMD_STATE_NAME_BYTES) {
        return ENAMETOOLONG;
    }
    snprintf(fresh, sizeof fresh, "%s.tmp", name);
    /* what lies there is of a crash, or was put there: never opened, never followed */
    (void)unlinkat(dir_fd, fresh, 0);
    const int fd =
        openat(dir_fd, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    int status = write_all(fd, bytes, size);
    if (close(fd) < 0 && status == 0) {
        status = errno;
    }
    if (status == 0 && renameat(dir_fd, fresh, dir_fd, name) < 0) {
        status = errno;
    }
    if (status != 0) {
        (void)unlinkat(dir_fd, fresh, 0);
        return status;
    }
    return fsync(dir_fd) < 0 ? errno : 0;
}

int beamd_state_store_remove(int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT) {
        return errno;
    }
    return fsync(dir_fd) < 0 ? errno : 0;
}

/* --- reading --- */

static bool ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

static bool is_record(const char *name)
{
    char id[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const size_t length = strlen(name);
    if (!ends_in(name, suffix) || length - strlen(suffix) >= sizeof id) {
        return false;
    }
    memcpy(id, name, length - strlen(suffix));
    id[length - strlen(suffix)] = 0;
    return beam_wire_cluster_valid(id);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static DIR *open_listing(int dir_fd)
{
    const int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* its own position */
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !listing) {
        close(fd);
    }
    return listing;
}

int beamd_state_store_list(int dir_fd, char (*out)[BEAMD_STATE_NAME_BYTES], unsigned most,
                           unsigned *left)
{
    DIR *listing = open_listing(dir_fd);
    unsigned count = 0;
    *left = 0;
    if (!listing) {
        return -1;
    }
    const struct dirent *entry;
    for (unsigned seen = 0; seen < BEAMD_STATE_ENTRIES_MAX && (entry = readdir(listing)); seen++) {
        if (ends_in(entry->d_name, unfinished)) {
            (void)unlinkat(dir_fd, entry->d_name, 0);
        } else if (is_record(entry->d_name)) {
            if (count < most) {
                memcpy(out[count++], entry->d_name, strlen(entry->d_name) + 1);
            } else {
                (*left)++;
            }
        }
    }
    closedir(listing);
    qsort(out, count, sizeof out[0], by_name);
    return (int)count;
}

bool beamd_state_buffer_grow(beamd_state_buffer *self, size_t bytes)
{
    if (bytes > self->capacity) {
        const size_t capacity = (bytes + 4095u) & ~(size_t)4095u;
        free(self->bytes);
        self->bytes = aligned_alloc(64, capacity);
        self->capacity = self->bytes ? capacity : 0;
    }
    return self->capacity >= bytes;
}

void beamd_state_buffer_free(beamd_state_buffer *self)
{
    free(self->bytes);
    *self = (beamd_state_buffer){NULL, 0};
}

static const char *check_file(int fd, size_t most, size_t *size)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return "unreadable";
    }
    if (!S_ISREG(st.st_mode)) {
        return "kind";
    }
    if (st.st_uid != geteuid()) {
        return "owner";
    }
    if (st.st_mode & 0022) {
        return "mode";
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > most) {
        return "huge";
    }
    *size = (size_t)st.st_size;
    return NULL;
}

/* Bytes read, at most `size`; what is missing was cut off meanwhile. */
static const char *read_at(int fd, unsigned char *out, size_t *size, size_t offset)
{
    size_t got = 0;
    while (got < *size) {
        const ssize_t n = pread(fd, out + got, *size - got, (off_t)(offset + got));
        if (n < 0 && errno != EINTR) {
            return "unreadable";
        }
        if (n == 0) {
            break;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    *size = got;
    return NULL;
}

const char *beamd_state_store_read(int dir_fd, const char *name, size_t most,
                                   beamd_state_buffer *buffer, size_t *size)
{
    /* NONBLOCK: a FIFO that was put there would hold the start */
    const int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? "missing" : errno == ELOOP ? "link" : "unreadable";
    }
    const char *why = check_file(fd, most, size);
    if (!why && !beamd_state_buffer_grow(buffer, *size)) {
        why = "memory";
    }
    if (!why) {
        why = read_at(fd, buffer->bytes, size, 0);
    }
    close(fd);
    return why;
}

int beamd_state_store_set_aside(int dir_fd, const char *name, const char *why)
{
    char to[BEAMD_STATE_NAME_BYTES + 64];
    snprintf(to, sizeof to, "%s.damaged-%s", name, why);
    if (renameat(dir_fd, name, dir_fd, to) < 0) {
        return errno;
    }
    (void)utimensat(dir_fd, to, NULL, AT_SYMLINK_NOFOLLOW); /* kept since now */
    return fsync(dir_fd) < 0 ? errno : 0;
}

typedef struct aside_file {
    struct timespec since;
    char name[BEAMD_STATE_NAME_BYTES + 64];
} aside_file;

static int newest_first(const void *a, const void *b)
{
    const struct timespec x = ((const aside_file *)a)->since, y = ((const aside_file *)b)->since;
    if (x.tv_sec != y.tv_sec) {
        return x.tv_sec < y.tv_sec ? 1 : -1;
    }
    return x.tv_nsec == y.tv_nsec ? 0 : x.tv_nsec < y.tv_nsec ? 1 : -1;
}

unsigned beamd_state_store_thin(int dir_fd)
{
    /* one more than may stay: the oldest of them goes, until the listing is through */
    static aside_file kept[BEAMD_STATE_ASIDE_MAX + 1];
    unsigned count = 0, removed = 0;
    DIR *listing = open_listing(dir_fd);
    const struct dirent *entry;
    for (unsigned seen = 0; listing && seen < BEAMD_STATE_ENTRIES_MAX && (entry = readdir(listing));
         seen++) {
        struct stat st;
        const size_t length = strlen(entry->d_name);
        if (!strstr(entry->d_name, aside) || is_record(entry->d_name) ||
            length >= sizeof kept[0].name ||
            fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        memcpy(kept[count].name, entry->d_name, length + 1);
        kept[count++].since = st.st_mtim;
        if (count > BEAMD_STATE_ASIDE_MAX) {
            qsort(kept, count, sizeof kept[0], newest_first);
            removed += unlinkat(dir_fd, kept[--count].name, 0) == 0;
        }
    }
    if (listing) {
        closedir(listing);
    }
    return removed;
}

/* The directory and the two worlds of a test program: one before the restart, one after it. */
#ifndef STATE_HOME_H
#define STATE_HOME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state_case.h"

static const case_sizes small = {2, 4, 3, 1, 1, 0};
static const case_sizes wide = {2, 4, 3, 2, 5, 2};
static char base[256];
static case_world before, after;

static inline int set_up(void **state)
{
    (void)state;
    case_directory_make(base, sizeof base);
    case_world_init(&before);
    case_world_init(&after);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    case_world_clear(&before);
    case_world_clear(&after);
    case_directory_remove(base);
    return 0;
}

static inline const char *file_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/clusters/%s", base, name);
    return path;
}

static inline bool there(const char *name)
{
    struct stat st;
    return lstat(file_of(name), &st) == 0;
}

static inline size_t read_file(const char *path, unsigned char *out, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    const ssize_t n = read(fd, out, size);
    assert_true(n >= 0 && (size_t)n < size);
    close(fd);
    return (size_t)n;
}

static inline void write_file(const char *path, const unsigned char *bytes, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static inline beamd_cluster *add(case_world *world, const char *id, const case_sizes *sizes,
                                 unsigned seed)
{
    beamd_cluster *c = case_cluster(id, sizes);
    if (seed > 0) {
        case_answer(c, seed);
    }
    case_world_add(world, c);
    return c;
}

/* Writes everything and forgets the state as a killed process would: nothing is flushed. */
static inline void save(case_world *world)
{
    beamd_state *state = case_open(world, base);
    (void)case_settle(world, state);
    beamd_state_close(&state);
}

static inline beamd_state *load(case_world *world)
{
    beamd_state *state = case_open(world, base);
    beamd_state_load(state, UINT64_C(60000000000));
    return state;
}

#endif

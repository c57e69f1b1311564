/* Killed at any moment, and what the service manager keeps meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "state_home.h"

/* --- killed --- */

/* Saves for ever until it is killed; every record of a cluster has one number in all its parts. */
static void save_until_killed(int ready)
{
    const case_sizes sizes = {3, 16, 8, 2, 4, 1};
    case_world world;
    case_world_init(&world);
    beamd_cluster *c = case_cluster("a", &sizes);
    case_world_add(&world, c);
    beamd_state *warm = case_open(&world, base);
    beamd_log_setup(BEAMD_LOG_ERR, 1);
    for (unsigned seed = 1;; seed++) {
        c->csi_sequence = 0;
        case_answer(c, seed);
        (void)case_settle(&world, warm);
        if (seed == 1 && write(ready, "x", 1) != 1) {
            _exit(1);
        }
    }
}

static void killed_at_any_moment_one_whole_record_is_there(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        int ready[2];
        char byte;
        assert_int_equal(pipe(ready), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            save_until_killed(ready[1]);
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        poll(NULL, 0, 1 + 7 * round % 40); /* anywhere in its writing */
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        beamd_state *warm = load(&after);
        assert_int_equal(beamd_state_counters_of(warm)->damaged, 0);
        assert_int_equal(after.count, 1);
        const beamd_cluster *c = after.clusters[0];
        assert_true(c->csi_sequence > 1); /* 1 + seed */
        for (int b = 0; b < c->subbands; b++) {
            const beamd_answer *a = c->last[beamd_problem_index(b, 0)];
            assert_true(a->present && a->csi_sequence == c->csi_sequence);
            assert_true(c->band[b].wsr_ideal_bps_hz == 9 + b + (double)c->csi_sequence);
        }
        beamd_state_close(&warm);
        case_world_clear(&after);
    }
}

/* --- the service manager --- */

enum { STORE = 64 };

/* As systemd: keeps descriptors under their names. */
typedef struct manager {
    int socket;
    unsigned count;
    beamd_given_fd store[STORE];
} manager;

static void manager_open(manager *self, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *self = (manager){.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(self->socket, (const struct sockaddr *)&address, sizeof address), 0);
}

static void manager_drop(manager *self, const char *name)
{
    for (unsigned k = 0; k < self->count;) {
        if (strcmp(self->store[k].name, name) == 0) {
            close(self->store[k].fd);
            self->store[k] = self->store[--self->count];
        } else {
            k++;
        }
    }
}

static void manager_read(manager *self)
{
    for (;;) {
        char text[512];
        _Alignas(struct cmsghdr) char control[256];
        struct iovec part = {.iov_base = text, .iov_len = sizeof text - 1};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        const ssize_t n = recvmsg(self->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0) {
            return;
        }
        text[n] = 0;
        const char *name = strstr(text, "FDNAME=") + strlen("FDNAME=");
        if (strncmp(text, "FDSTORE=1\n", 10) == 0) {
            beamd_given_fd *it = &self->store[self->count++];
            assert_true(self->count <= STORE);
            snprintf(it->name, sizeof it->name, "%s", name);
            memcpy(&it->fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof it->fd);
        } else {
            manager_drop(self, name);
        }
    }
}

static void manager_close(manager *self)
{
    while (self->count > 0) {
        close(self->store[--self->count].fd);
    }
    close(self->socket);
}

static void connect_notify(case_world *world, const char *path)
{
    setenv("NOTIFY_SOCKET", path, 1);
    assert_true(beamd_notify_open(&world->notify));
    unsetenv("NOTIFY_SOCKET");
}

/* In a new process of the service, which gets what the manager keeps; `check` looks at it. NULL:
 * one that keeps no state; returns how many it gave back. */
static int restarted(const manager *self, const char *path, int (*check)(beamd_state *state))
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0) {
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
    }
    char names[STORE * BEAMD_FD_NAME_BYTES] = "", number[32];
    for (unsigned k = 0; k < self->count; k++) {
        if (dup2(self->store[k].fd, 100 + (int)k) < 0) {
            _exit(101);
        }
    }
    for (unsigned k = 0; k < self->count; k++) {
        dup2(100 + (int)k, 3 + (int)k);
        close(100 + (int)k);
        strcat(names, k ? ":" : "");
        strcat(names, self->store[k].name);
    }
    snprintf(number, sizeof number, "%u", self->count);
    setenv("LISTEN_FDS", number, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    snprintf(number, sizeof number, "%d", (int)getpid());
    setenv("LISTEN_PID", number, 1);
    connect_notify(&after, path);
    if (!check) {
        _exit((int)beamd_state_give_back(&after.notify));
    }
    beamd_state *state = load(&after);
    const int result = check(state);
    beamd_state_close(&state);
    case_world_clear(&after);
    _exit(result);
}

static int check_newer_wins(beamd_state *state)
{
    const beamd_state_counters *counters = beamd_state_counters_of(state);
    const beamd_cluster *a = case_world_find(&after, "a"), *b = case_world_find(&after, "b");
    if (!a || !b || after.count != 2) {
        return 1;
    }
    case_assert_same(case_world_find(&before, "a"), a);
    case_assert_same(case_world_find(&before, "b"), b);
    if (counters->restored != 2 || counters->restored_kept != 1 || counters->damaged != 0) {
        return 2;
    }
    if (a->changed == a->saved || b->changed != b->saved) {
        return 3; /* the file of a is older and is to be written */
    }
    return case_settle(&after, state) == 1 && a->changed == a->saved ? 0 : 4;
}

static int check_only_memory(beamd_state *state)
{
    const beamd_state_counters *counters = beamd_state_counters_of(state);
    const beamd_cluster *a = case_world_find(&after, "a"), *b = case_world_find(&after, "b");
    if (!a || !b) {
        return 1;
    }
    case_assert_same(case_world_find(&before, "a"), a);
    return counters->restored_kept == 2 && counters->damaged == 1 ? 0 : 2;
}

static int check_memory_damaged(beamd_state *state)
{
    const beamd_state_counters *counters = beamd_state_counters_of(state);
    const beamd_cluster *a = case_world_find(&after, "a");
    return a && counters->restored == 2 && counters->restored_kept == 0 && counters->damaged == 1
               ? 0
               : 1;
}

static int check_removed(beamd_state *state)
{
    (void)state;
    return !case_world_find(&after, "a") && case_world_find(&after, "b") ? 0 : 1;
}

/* An older file in the place of the newest. */
static void the_managers_memory_and_the_file_the_newer_wins(void **state)
{
    (void)state;
    static unsigned char old[1 << 20], fresh[1 << 20];
    manager kept;
    char path[512], file[512];
    snprintf(path, sizeof path, "%s/notify", base);
    manager_open(&kept, path);
    connect_notify(&before, path);
    beamd_cluster *a = add(&before, "a", &small, 1);
    add(&before, "b", &wide, 2);
    beamd_state *warm = case_open(&before, base);
    (void)case_settle(&before, warm);
    manager_read(&kept);
    assert_int_equal(kept.count, 2);
    assert_true(beamd_state_counters_of(warm)->kept_bytes > 0);
    snprintf(file, sizeof file, "%s", file_of("a.state"));
    const size_t old_size = read_file(file, old, sizeof old);
    case_answer(a, 5);
    (void)case_settle(&before, warm);
    manager_read(&kept);
    assert_int_equal(kept.count, 2); /* written in place, not handed over again */
    const size_t size = read_file(file, fresh, sizeof fresh);
    beamd_state_close(&warm); /* killed */
    write_file(file, old, old_size);
    assert_int_equal(restarted(&kept, path, check_newer_wins), 0);
    /* the file damaged */
    write_file(file, fresh, size - 8);
    unlink(file_of("b.state"));
    assert_int_equal(restarted(&kept, path, check_only_memory), 0);
    assert_true(there("a.state.damaged-truncated"));
    manager_close(&kept);
}

static void damaged_memory_leaves_the_file(void **state)
{
    (void)state;
    manager kept;
    char path[512];
    snprintf(path, sizeof path, "%s/notify", base);
    manager_open(&kept, path);
    connect_notify(&before, path);
    add(&before, "a", &small, 1);
    add(&before, "b", &small, 2);
    beamd_state *warm = case_open(&before, base);
    (void)case_settle(&before, warm);
    beamd_state_close(&warm);
    manager_read(&kept);
    for (unsigned k = 0; k < kept.count; k++) {
        struct stat st;
        if (strncmp(kept.store[k].name, "beamd-state.a.", 14) == 0) {
            assert_int_equal(fstat(kept.store[k].fd, &st), 0);
            for (off_t at = 0; at < st.st_size; at += 64) {
                assert_int_equal(pwrite(kept.store[k].fd, "damage", 6, at), 6);
            }
        }
    }
    assert_int_equal(restarted(&kept, path, check_memory_damaged), 0);
    manager_read(&kept);
    assert_int_equal(kept.count, 1); /* the damaged one was given back */
    manager_close(&kept);
}

static void a_removed_cluster_goes_from_the_manager_too(void **state)
{
    (void)state;
    manager kept;
    char path[512];
    snprintf(path, sizeof path, "%s/notify", base);
    manager_open(&kept, path);
    connect_notify(&before, path);
    add(&before, "a", &small, 1);
    add(&before, "b", &small, 2);
    beamd_state *warm = case_open(&before, base);
    (void)case_settle(&before, warm);
    case_world_remove(&before, "a");
    (void)case_settle(&before, warm);
    manager_read(&kept);
    assert_int_equal(kept.count, 1);
    /* registered anew, larger than its memory */
    case_world_remove(&before, "b");
    const case_sizes larger = {4, 32, 16, 2, 3, 0};
    add(&before, "b", &larger, 3);
    (void)case_settle(&before, warm);
    manager_read(&kept);
    assert_int_equal(kept.count, 1);
    beamd_state_close(&warm);
    assert_int_equal(restarted(&kept, path, check_removed), 0);
    manager_close(&kept);
}

/* One may be registered: "b" is left where it is, then comes anew and goes. */
static int check_left(beamd_state *state)
{
    if (!case_world_find(&after, "a") || case_world_find(&after, "b") ||
        beamd_state_counters_of(state)->left != 1) {
        return 1;
    }
    if (case_settle(&after, state) != 0) {
        return 2; /* what is left is not removed */
    }
    case_world_remove(&after, "a");
    add(&after, "b", &small, 7);
    (void)case_settle(&after, state);
    case_world_remove(&after, "b");
    (void)case_settle(&after, state);
    return 0;
}

static int check_none(beamd_state *state)
{
    (void)state;
    return after.count == 0 ? 0 : 1;
}

static void what_was_left_does_not_come_back_in_the_place_of_what_was_removed(void **state)
{
    (void)state;
    manager kept;
    char path[512];
    snprintf(path, sizeof path, "%s/notify", base);
    manager_open(&kept, path);
    connect_notify(&before, path);
    add(&before, "a", &small, 1);
    add(&before, "b", &small, 2);
    beamd_state *warm = case_open(&before, base);
    (void)case_settle(&before, warm);
    beamd_state_close(&warm);
    manager_read(&kept);
    assert_int_equal(kept.count, 2);
    after.most = 1;
    assert_int_equal(restarted(&kept, path, check_left), 0);
    manager_read(&kept);
    assert_int_equal(kept.count, 0);
    after.most = CASE_CLUSTERS;
    assert_int_equal(restarted(&kept, path, check_none), 0);
    manager_close(&kept);
}

/* Kept by the last process, and this one keeps no state. */
static void without_a_state_the_manager_gets_its_memory_back(void **state)
{
    (void)state;
    manager kept;
    char path[512];
    snprintf(path, sizeof path, "%s/notify", base);
    manager_open(&kept, path);
    connect_notify(&before, path);
    add(&before, "a", &small, 1);
    beamd_state *warm = case_open(&before, base);
    (void)case_settle(&before, warm);
    beamd_state_close(&warm);
    manager_read(&kept);
    assert_int_equal(kept.count, 1);
    assert_int_equal(restarted(&kept, path, NULL), 1);
    manager_read(&kept);
    assert_int_equal(kept.count, 0);
    manager_close(&kept);
}

static void a_manager_that_does_not_listen_costs_nothing_but_a_count(void **state)
{
    (void)state;
    manager deaf;
    char path[512];
    snprintf(path, sizeof path, "%s/notify", base);
    manager_open(&deaf, path);
    connect_notify(&before, path);
    while (beamd_notify_send(&before.notify, "STATUS=full")) {
    }
    beamd_cluster *c = add(&before, "a", &small, 1);
    beamd_state *warm = case_open(&before, base);
    assert_int_equal(case_settle(&before, warm), 1);
    assert_int_equal(beamd_state_counters_of(warm)->kept_failed, 1);
    assert_int_equal(c->changed, c->saved); /* the file is there */
    for (char byte[512]; recv(deaf.socket, byte, sizeof byte, MSG_DONTWAIT) > 0;) {
    }
    c->changed++;
    assert_int_equal(case_settle(&before, warm), 1);
    manager_read(&deaf);
    assert_int_equal(deaf.count, 1); /* handed over with the next record */
    beamd_state_close(&warm);
    manager_close(&deaf);
}

int main(void)
{
#define IN_BASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_BASE(killed_at_any_moment_one_whole_record_is_there),
        IN_BASE(the_managers_memory_and_the_file_the_newer_wins),
        IN_BASE(damaged_memory_leaves_the_file),
        IN_BASE(a_removed_cluster_goes_from_the_manager_too),
        IN_BASE(without_a_state_the_manager_gets_its_memory_back),
        IN_BASE(what_was_left_does_not_come_back_in_the_place_of_what_was_removed),
        IN_BASE(a_manager_that_does_not_listen_costs_nothing_but_a_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

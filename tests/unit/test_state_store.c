/* Where records lie: a directory that nobody else can bend, files that are whole or the old ones,
 * memory that the service manager keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state_case.h"
#include "state_store.h"

static char base[256];

static int make_base(void **state)
{
    (void)state;
    case_directory_make(base, sizeof base);
    return 0;
}

static int remove_base(void **state)
{
    (void)state;
    chmod(base, 0700);
    case_directory_remove(base);
    return 0;
}

static const char *in_base(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = 1 - turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", base, name);
    return path[turn];
}

static void put_file(const char *name, const void *bytes, size_t size)
{
    const int fd = open(in_base(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

static beamd_state_store opened(void)
{
    beamd_state_store store;
    char why[256] = "";
    const bool good = beamd_state_store_open(&store, base, why, sizeof why);
    assert_string_equal(why, "");
    assert_true(good);
    return store;
}

static void assert_refused(const char *dir, const char *wanted)
{
    beamd_state_store store;
    char why[600] = "";
    assert_false(beamd_state_store_open(&store, dir, why, sizeof why));
    assert_true(store.dir_fd == -1 && store.top_fd == -1 && store.lock_fd == -1);
    if (!strstr(why, wanted)) {
        fail_msg("\"%s\" does not say \"%s\"", why, wanted);
    }
}

static void directories_are_made_and_belong_to_one_daemon(void **state)
{
    (void)state;
    beamd_state_store store = opened();
    struct stat st;
    assert_int_equal(stat(in_base("clusters"), &st), 0);
    assert_int_equal(st.st_mode & 07777u, 0700);
    assert_refused(base, "another beamd");
    beamd_state_store_close(&store);
    store = opened();
    beamd_state_store_close(&store);
}

static void directories_that_others_could_bend_are_refused(void **state)
{
    (void)state;
    assert_refused(in_base("not/there"), "No such file");
    put_file("file", "x", 1);
    assert_refused(in_base("file"), "Not a directory");
    assert_int_equal(symlink(base, in_base("link")), 0);
    assert_refused(in_base("link"), "Not a directory"); /* O_DIRECTORY | O_NOFOLLOW */
    assert_int_equal(chmod(base, 0770), 0);
    assert_refused(base, "0770");
    assert_int_equal(chmod(base, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(base, 65534, 65534), 0);
        assert_refused(base, "another user");
        assert_int_equal(chown(base, 0, 0), 0);
    }
    beamd_state_store store = opened();
    beamd_state_store_close(&store);
    assert_int_equal(rmdir(in_base("clusters")), 0);
    assert_int_equal(symlink("/tmp", in_base("clusters")), 0);
    assert_refused(base, "clusters");
}

/* Root may write anywhere: the case is made in a process that is nobody. */
static void an_unwritable_directory_is_refused(void **state)
{
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        beamd_state_store store;
        char why[600] = "";
        if (geteuid() == 0 &&
            (chown(base, 65534, 65534) < 0 || setgid(65534) < 0 || setuid(65534) < 0)) {
            _exit(2);
        }
        if (chmod(base, 0500) < 0) {
            _exit(3);
        }
        const bool good = beamd_state_store_open(&store, base, why, sizeof why);
        _exit(good ? 4 : strstr(why, "Permission denied") ? 0 : 5);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_file(const beamd_state_store *store, const char *name, const char *content)
{
    beamd_state_buffer buffer = {NULL, 0};
    size_t size = 0;
    assert_null(beamd_state_store_read(store->dir_fd, name, 1000, &buffer, &size));
    assert_int_equal(size, strlen(content));
    assert_memory_equal(buffer.bytes, content, size);
    beamd_state_buffer_free(&buffer);
}

static unsigned files_in(const char *name)
{
    DIR *listing = opendir(in_base(name));
    unsigned count = 0;
    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing));) {
        count += entry->d_name[0] != '.';
    }
    closedir(listing);
    return count;
}

static void a_file_is_replaced_whole(void **state)
{
    (void)state;
    beamd_state_store store = opened();
    struct stat st;
    assert_int_equal(beamd_state_store_write(store.dir_fd, "a.state", "one", 3), 0);
    assert_file(&store, "a.state", "one");
    assert_int_equal(beamd_state_store_write(store.dir_fd, "a.state", "second", 6), 0);
    assert_file(&store, "a.state", "second");
    assert_int_equal(stat(in_base("clusters/a.state"), &st), 0);
    assert_int_equal(st.st_mode & 07777u, 0600);
    assert_int_equal(files_in("clusters"), 1);
    assert_int_equal(beamd_state_store_remove(store.dir_fd, "a.state"), 0);
    assert_int_equal(beamd_state_store_remove(store.dir_fd, "a.state"), 0);
    assert_int_equal(files_in("clusters"), 0);
    /* what lies in the way of the unfinished file is not followed */
    put_file("elsewhere", "precious", 8);
    assert_int_equal(symlink("../elsewhere", in_base("clusters/a.state.tmp")), 0);
    assert_int_equal(beamd_state_store_write(store.dir_fd, "a.state", "third", 5), 0);
    assert_file(&store, "a.state", "third");
    /* nor is a link in the place of the file: it is replaced */
    assert_int_equal(symlink("../elsewhere", in_base("clusters/b.state")), 0);
    assert_int_equal(beamd_state_store_write(store.dir_fd, "b.state", "fourth", 6), 0);
    assert_file(&store, "b.state", "fourth");
    assert_int_equal(stat(in_base("elsewhere"), &st), 0);
    assert_int_equal(st.st_size, 8);
    beamd_state_store_close(&store);
}

/* No room: the limit of the process stands for that of the disk, both end write() early. */
static void a_file_that_cannot_be_written_leaves_the_old_one(void **state)
{
    (void)state;
    beamd_state_store store = opened();
    assert_int_equal(beamd_state_store_write(store.dir_fd, "a.state", "old", 3), 0);
    static unsigned char large[100000];
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const int status = beamd_state_store_write(store.dir_fd, "a.state", large, sizeof large);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, EFBIG);
    assert_file(&store, "a.state", "old");
    assert_int_equal(files_in("clusters"), 1);
    /* a directory in the way of the file's place */
    assert_int_equal(mkdir(in_base("clusters/d.state"), 0700), 0);
    assert_true(beamd_state_store_write(store.dir_fd, "d.state", "x", 1) != 0);
    assert_int_equal(files_in("clusters"), 2);
    beamd_state_store_close(&store);
}

/* In a process with mounts of its own, which end with it. */
static int on_a_full_disk(void)
{
    static unsigned char large[200000];
    beamd_state_store store;
    char why[256];
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", base, "tmpfs", 0, "size=64k,mode=0700") < 0) {
        return 77;
    }
    if (!beamd_state_store_open(&store, base, why, sizeof why)) {
        return 1;
    }
    const int first = beamd_state_store_write(store.dir_fd, "a.state", "old", 3);
    const int full = beamd_state_store_write(store.dir_fd, "a.state", large, sizeof large);
    const unsigned files = files_in("clusters");
    const int again = beamd_state_store_write(store.dir_fd, "a.state", "new", 3);
    beamd_state_store_close(&store);
    return first != 0 ? 2 : full != ENOSPC ? 3 : files != 1 ? 4 : again != 0 ? 5 : 0;
}

static void a_full_disk_is_said(void **state)
{
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(on_a_full_disk());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        skip(); /* no right to mount here: the limit of the process above stands for it */
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_list_is_sorted_bounded_and_of_records(void **state)
{
    (void)state;
    beamd_state_store store = opened();
    static char names[3][BEAMD_STATE_NAME_BYTES];
    unsigned left = 9;
    assert_int_equal(beamd_state_store_list(store.dir_fd, names, 3, &left), 0);
    put_file("clusters/b.state", "x", 1);
    put_file("clusters/a.state", "x", 1);
    put_file("clusters/c.x.state", "x", 1);
    put_file("clusters/a.state.tmp", "x", 1); /* of a crash */
    put_file("clusters/a.state.damaged-magic", "x", 1);
    put_file("clusters/.state", "x", 1);
    put_file("clusters/a b.state", "x", 1);
    put_file("clusters/notes", "x", 1);
    assert_int_equal(beamd_state_store_list(store.dir_fd, names, 3, &left), 3);
    assert_int_equal(left, 0);
    assert_string_equal(names[0], "a.state");
    assert_string_equal(names[1], "b.state");
    assert_string_equal(names[2], "c.x.state");
    assert_int_equal(access(in_base("clusters/a.state.tmp"), F_OK), -1);
    assert_int_equal(beamd_state_store_list(store.dir_fd, names, 2, &left), 2);
    assert_int_equal(left, 1);
    beamd_state_store_close(&store);
}

static const char *read_word(const beamd_state_store *store, const char *name)
{
    static beamd_state_buffer buffer;
    size_t size;
    const char *why = beamd_state_store_read(store->dir_fd, name, 1000, &buffer, &size);
    beamd_state_buffer_free(&buffer);
    return why ? why : "good";
}

static void only_plain_files_of_our_own_are_read(void **state)
{
    (void)state;
    beamd_state_store store = opened();
    put_file("clusters/good.state", "x", 1);
    put_file("clusters/open.state", "x", 1);
    static unsigned char many[1001];
    put_file("clusters/huge.state", many, sizeof many);
    assert_int_equal(chmod(in_base("clusters/open.state"), 0622), 0);
    assert_int_equal(symlink("good.state", in_base("clusters/link.state")), 0);
    assert_int_equal(mkfifo(in_base("clusters/fifo.state"), 0600), 0);
    assert_int_equal(mkdir(in_base("clusters/dir.state"), 0700), 0);
    assert_string_equal(read_word(&store, "good.state"), "good");
    assert_string_equal(read_word(&store, "none.state"), "missing");
    assert_string_equal(read_word(&store, "open.state"), "mode");
    assert_string_equal(read_word(&store, "huge.state"), "huge");
    assert_string_equal(read_word(&store, "link.state"), "link");
    assert_string_equal(read_word(&store, "fifo.state"), "kind");
    assert_string_equal(read_word(&store, "dir.state"), "kind");
    if (geteuid() == 0) {
        put_file("clusters/theirs.state", "x", 1);
        assert_int_equal(chown(in_base("clusters/theirs.state"), 65534, 65534), 0);
        assert_string_equal(read_word(&store, "theirs.state"), "owner");
    }
    /* sparse: its size is believed, nothing is taken for it */
    assert_int_equal(truncate(in_base("clusters/huge.state"), (off_t)1 << 40), 0);
    assert_string_equal(read_word(&store, "huge.state"), "huge");
    beamd_state_store_close(&store);
}

static void what_is_set_aside_is_kept_up_to_a_number(void **state)
{
    (void)state;
    beamd_state_store store = opened();
    put_file("clusters/a.state", "x", 1);
    assert_int_equal(beamd_state_store_set_aside(store.dir_fd, "a.state", "magic"), 0);
    assert_int_equal(access(in_base("clusters/a.state"), F_OK), -1);
    assert_int_equal(access(in_base("clusters/a.state.damaged-magic"), F_OK), 0);
    assert_int_equal(beamd_state_store_set_aside(store.dir_fd, "a.state", "magic"), ENOENT);
    /* a cluster may be called so */
    put_file("clusters/z.state.damaged-x.state", "x", 1);
    for (int k = 0; k < BEAMD_STATE_ASIDE_MAX + 5; k++) {
        char name[64];
        snprintf(name, sizeof name, "clusters/c%02d.state.damaged-size", k);
        put_file(name, "x", 1);
        const struct timespec times[2] = {{.tv_sec = 1000 + k}, {.tv_sec = 1000 + k}};
        assert_int_equal(utimensat(AT_FDCWD, in_base(name), times, 0), 0);
    }
    assert_int_equal(beamd_state_store_thin(store.dir_fd), 6);
    assert_int_equal(files_in("clusters"), BEAMD_STATE_ASIDE_MAX + 1);
    assert_int_equal(access(in_base("clusters/c05.state.damaged-size"), F_OK), -1); /* oldest */
    assert_int_equal(access(in_base("clusters/c06.state.damaged-size"), F_OK), 0);
    assert_int_equal(access(in_base("clusters/a.state.damaged-magic"), F_OK), 0);
    assert_int_equal(access(in_base("clusters/z.state.damaged-x.state"), F_OK), 0);
    beamd_state_store_close(&store);
}

/* --- memory --- */

static size_t make_record(unsigned char *out, size_t size, uint64_t serial)
{
    const beamd_record_header header = {.kind = BEAMD_RECORD_DAEMON, .serial = serial};
    const beamd_record_daemon facts = {.has_tradeoff = true, .tradeoff = 0.5};
    beamd_record_writer w;
    beamd_record_begin(&w, out, size, &header);
    beamd_record_put_daemon(&w, &facts);
    const size_t bytes = beamd_record_end(&w);
    beamd_record_seal(out, bytes);
    return bytes;
}

static uint64_t newest_in(beamd_state_memory *memory)
{
    beamd_state_buffer buffer = {NULL, 0};
    beamd_record_view view;
    const bool good = beamd_state_memory_read(memory, 1 << 20, &buffer, &view);
    const uint64_t serial = good ? view.header.serial : 0;
    beamd_state_buffer_free(&buffer);
    return serial;
}

static void memory_always_holds_one_whole_record(void **state)
{
    (void)state;
    static _Alignas(8) unsigned char record[256];
    beamd_state_memory memory;
    beamd_state_memory_create(&memory, "beamd-state.a.1", 5000);
    assert_true(memory.fd >= 0);
    assert_int_equal(memory.half_bytes, 8192);
    assert_int_equal(newest_in(&memory), 0);
    for (uint64_t serial = 1; serial <= 5; serial++) {
        const size_t bytes = make_record(record, sizeof record, serial);
        assert_int_equal(beamd_state_memory_write(&memory, record, bytes), 0);
        assert_int_equal(newest_in(&memory), serial);
    }
    /* the one before the newest is there too: writes go to the halves in turn */
    const off_t newest = memory.newest ? (off_t)memory.half_bytes : 0;
    assert_int_equal(pwrite(memory.fd, "x", 1, newest), 1);
    assert_int_equal(newest_in(&memory), 4);
    assert_int_equal(beamd_state_memory_write(&memory, record, make_record(record, 256, 5)), 0);
    assert_int_equal(newest_in(&memory), 5);
    /* the one that is being written is torn at any byte: the one before it is found */
    const size_t bytes = make_record(record, sizeof record, 6);
    const off_t other = memory.newest ? 0 : (off_t)memory.half_bytes;
    for (size_t torn = 0; torn < bytes; torn++) {
        static const unsigned char rest[256];
        assert_int_equal(pwrite(memory.fd, record, torn, other), torn);
        assert_int_equal(pwrite(memory.fd, rest, bytes - torn, other + (off_t)torn), bytes - torn);
        assert_int_equal(newest_in(&memory), 5);
    }
    /* a size beyond the half is not believed */
    static const unsigned char ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    assert_int_equal(pwrite(memory.fd, record, bytes, other), bytes);
    assert_int_equal(pwrite(memory.fd, ones, sizeof ones, other + 16), sizeof ones);
    assert_int_equal(newest_in(&memory), 5);
    static unsigned char large[8193];
    assert_int_equal(beamd_state_memory_write(&memory, large, sizeof large), EFBIG);
    beamd_state_memory_close(&memory);
    assert_int_equal(memory.fd, -1);
}

static bool adopts(int fd)
{
    const beamd_given_fd given = {.fd = fd, .name = "beamd-state.a.1"};
    beamd_state_memory memory;
    const bool good = beamd_state_memory_adopt(&memory, &given);
    assert_int_equal(memory.fd, good ? fd : -1);
    return good;
}

static void only_sealed_memory_is_adopted(void **state)
{
    (void)state;
    static _Alignas(8) unsigned char record[256];
    beamd_state_memory memory;
    beamd_state_memory_create(&memory, "beamd-state.a.1", 100);
    const size_t bytes = make_record(record, sizeof record, 9);
    assert_int_equal(beamd_state_memory_write(&memory, record, bytes), 0);
    const beamd_given_fd given = {.fd = memory.fd, .name = "beamd-state.a.1"};
    beamd_state_memory taken;
    assert_true(beamd_state_memory_adopt(&taken, &given));
    assert_true(taken.kept && taken.half_bytes == memory.half_bytes);
    assert_string_equal(taken.name, "beamd-state.a.1");
    assert_int_equal(newest_in(&taken), 9);
    assert_int_equal(ftruncate(taken.fd, 0), -1); /* nobody can cut it under our hands */
    beamd_state_memory_close(&memory);
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_false(adopts(pipes[0]));
    put_file("file", "x", 1);
    const int file = open(in_base("file"), O_RDWR | O_CLOEXEC);
    assert_int_equal(ftruncate(file, 8192), 0);
    assert_false(adopts(file));
    const int unsealed = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(unsealed, 8192), 0);
    assert_false(adopts(unsealed));
    assert_int_equal(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_true(adopts(unsealed));
    assert_int_equal(fcntl(unsealed, F_ADD_SEALS, F_SEAL_WRITE), 0);
    assert_false(adopts(unsealed));
    assert_false(adopts(-1));
    close(pipes[0]);
    close(pipes[1]);
    close(file);
    close(unsealed);
}

/* --- the manager --- */

static int manager_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* The descriptor that came with the message, -1: none. */
static int receive(int manager, char *text, size_t size)
{
    struct iovec part = {.iov_base = text, .iov_len = size - 1};
    _Alignas(struct cmsghdr) char control[256];
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    const ssize_t n = recvmsg(manager, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    assert_true(n >= 0);
    text[n] = 0;
    int fd = -1;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
        assert_int_equal(at->cmsg_type, SCM_RIGHTS);
        assert_int_equal(at->cmsg_len, CMSG_LEN(sizeof fd));
        memcpy(&fd, CMSG_DATA(at), sizeof fd);
    }
    return fd;
}

static void the_manager_is_handed_descriptors(void **state)
{
    (void)state;
    char text[512];
    const char *path = in_base("notify");
    const int manager = manager_socket(path);
    beamd_notify notify = {.fd = -1};
    assert_false(beamd_notify_keep_fd(&notify, "a", 0)); /* no manager */
    setenv("NOTIFY_SOCKET", path, 1);
    assert_true(beamd_notify_open(&notify));
    unsetenv("NOTIFY_SOCKET");
    assert_true(beamd_notify_send(&notify, "READY=1\nSTATUS=%d", 5));
    assert_int_equal(receive(manager, text, sizeof text), -1);
    assert_string_equal(text, "READY=1\nSTATUS=5");
    beamd_state_memory memory;
    beamd_state_memory_create(&memory, "beamd-state.cell-1.7", 100);
    assert_true(beamd_notify_keep_fd(&notify, memory.name, memory.fd));
    const int kept = receive(manager, text, sizeof text);
    assert_string_equal(text, "FDSTORE=1\nFDNAME=beamd-state.cell-1.7");
    struct stat ours, theirs;
    assert_int_equal(fstat(memory.fd, &ours), 0);
    assert_int_equal(fstat(kept, &theirs), 0);
    assert_true(ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
    assert_true(beamd_notify_drop_fd(&notify, memory.name));
    assert_int_equal(receive(manager, text, sizeof text), -1);
    assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=beamd-state.cell-1.7");
    /* a name that would be another assignment, or none */
    assert_false(beamd_notify_keep_fd(&notify, "a\nMAINPID=1", memory.fd));
    assert_false(beamd_notify_keep_fd(&notify, "a:b", memory.fd));
    assert_false(beamd_notify_keep_fd(&notify, "", memory.fd));
    char endless[BEAMD_FD_NAME_BYTES + 1];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    assert_false(beamd_notify_keep_fd(&notify, endless, memory.fd));
    /* a manager that does not read: the loop is not held */
    bool taken = true;
    for (int k = 0; k < 10000 && taken; k++) {
        taken = beamd_notify_keep_fd(&notify, memory.name, memory.fd);
    }
    assert_false(taken);
    close(kept);
    close(manager);
    beamd_state_memory_close(&memory);
    beamd_notify_close(&notify);
}

/* In a process of its own, whose descriptors 3.. are what the test says. */
static int given_in_child(const char *names, bool other_pid)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        beamd_given_fd given[2];
        char pid[32];
        for (int k = 0; k < 3; k++) {
            const int fd = memfd_create("t", 0);
            if (fd < 0 || dup2(fd, 40 + k) < 0) {
                _exit(10);
            }
        }
        for (int k = 0; k < 3; k++) {
            dup2(40 + k, 3 + k);
            close(40 + k);
        }
        snprintf(pid, sizeof pid, "%d", (int)getpid() + other_pid);
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "3", 1);
        if (names) {
            setenv("LISTEN_FDNAMES", names, 1);
        }
        const unsigned count = beamd_notify_given_fds(given, 2);
        if (getenv("LISTEN_FDS") || getenv("LISTEN_PID") || getenv("LISTEN_FDNAMES")) {
            _exit(11);
        }
        if (beamd_notify_given_fds(given, 2) != 0) {
            _exit(12);
        }
        if (other_pid) {
            _exit(count == 0 && fcntl(5, F_GETFD) == 0 ? 0 : 13);
        }
        const bool closed = fcntl(5, F_GETFD) < 0; /* one more than there is room for */
        const bool cloexec = fcntl(3, F_GETFD) == FD_CLOEXEC;
        if (count != 2 || given[0].fd != 3 || given[1].fd != 4 || !closed || !cloexec) {
            _exit(14);
        }
        if (!names) {
            _exit(given[0].name[0] || given[1].name[0] ? 15 : 0);
        }
        _exit(strcmp(given[0].name, "beamd-state.a.1") == 0 && given[1].name[0] == 0 ? 0 : 16);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void given_descriptors_are_taken_once(void **state)
{
    (void)state;
    char names[400];
    assert_int_equal(given_in_child("beamd-state.a.1::third", false), 0);
    assert_int_equal(given_in_child("beamd-state.a.1", false), 0); /* fewer names */
    assert_int_equal(given_in_child(NULL, false), 0);
    assert_int_equal(given_in_child("beamd-state.a.1::third", true), 0); /* of another process */
    snprintf(names, sizeof names, "beamd-state.a.1:%0200d:x", 5); /* longer than any of ours */
    assert_int_equal(given_in_child(names, false), 0);
}

int main(void)
{
#define IN_BASE(test) cmocka_unit_test_setup_teardown(test, make_base, remove_base)
    const struct CMUnitTest tests[] = {
        IN_BASE(directories_are_made_and_belong_to_one_daemon),
        IN_BASE(directories_that_others_could_bend_are_refused),
        IN_BASE(an_unwritable_directory_is_refused),
        IN_BASE(a_file_is_replaced_whole),
        IN_BASE(a_file_that_cannot_be_written_leaves_the_old_one),
        IN_BASE(a_full_disk_is_said),
        IN_BASE(the_list_is_sorted_bounded_and_of_records),
        IN_BASE(only_plain_files_of_our_own_are_read),
        IN_BASE(what_is_set_aside_is_kept_up_to_a_number),
        IN_BASE(memory_always_holds_one_whole_record),
        IN_BASE(only_sealed_memory_is_adopted),
        IN_BASE(the_manager_is_handed_descriptors),
        IN_BASE(given_descriptors_are_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

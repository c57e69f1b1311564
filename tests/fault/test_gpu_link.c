/* The worker of a GPU may fail in any way: every batch is answered or lost exactly once, lost ones
 * in time for the CPU, and another worker takes over. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault/gpu_link_case.h"

#define MS UINT64_C(1000000)

static beamd_gpu_status status_of(const link_case *c)
{
    beamd_gpu_status status;
    beamd_gpu_link_status(c->link, &status);
    return status;
}

static void new_designs(const link_case *c, beam_design *design[CASE_PROBLEMS])
{
    for (int p = 0; p < CASE_PROBLEMS; p++) {
        design[p] = test_design_new(&c->scene[0]->dims, -1);
    }
}

static bool emulated(void)
{
    return strcmp(case_backend, "emulated") == 0;
}

/* The backend's bits, whatever way they came. */
static void assert_model(link_case *c, int model)
{
    double merit[CASE_PROBLEMS], expected[CASE_PROBLEMS];
    beam_design *design[CASE_PROBLEMS], *reference[CASE_PROBLEMS];
    new_designs(c, design);
    new_designs(c, reference);
    case_reference(c, model, expected, reference);
    case_ask(c, merit, design);
    for (int p = 0; p < CASE_PROBLEMS; p++) {
        assert_true(merit[p] == expected[p]);
        beam_design *difference = test_design_clone(design[p]);
        test_design_step(difference, design[p], -1, reference[p]);
        assert_true(test_design_norm(difference) == 0);
        test_design_free(difference);
        test_design_free(design[p]);
        test_design_free(reference[p]);
    }
}

static void test_real_beams(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    link_case_open(c);
    assert_false(case_submit(c, MS)); /* nothing is started yet */
    case_until(c, BEAMD_GPU_READY);
    beamd_gpu_status status = status_of(c);
    assert_string_equal(status.device, emulated() ? "the device functions on the CPU (sm_90)"
                                                  : "the engine on the CPU");
    assert_true(status.pid > 0 && status.start_ns > 0 && status.generation == 1);
    for (int i = 0; i < 20; i++) {
        assert_model(c, 0);
    }
    assert_int_equal(status_of(c).counts.ended[BEAMD_GPU_LOSS_DEATH], 0);
    assert_int_equal(c->warnings, 0);
    link_case_free(c);
}

/* Slots are what there are; a claim that is given back is free again. */
static void test_slots(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    c->options.slots = 2;
    link_case_open(c);
    case_until(c, BEAMD_GPU_READY);
    const int a = beamd_gpu_claim(c->link), b = beamd_gpu_claim(c->link);
    assert_true(a >= 0 && b >= 0 && a != b);
    assert_int_equal(beamd_gpu_claim(c->link), -1);
    assert_int_equal(status_of(c).counts.no_slot, 1);
    beamd_gpu_release(c->link, (unsigned)a);
    assert_int_equal(beamd_gpu_claim(c->link), a);
    assert_int_equal(beamd_gpu_submit(c->link, 7, 100, 0, 0, NULL), 0);
    assert_int_equal(beamd_gpu_submit(c->link, (unsigned)a, 0, 0, 0, NULL), 0); /* empty */
    beamd_gpu_release(c->link, (unsigned)b);
    assert_model(c, 0);
    link_case_free(c);
}

/* Beams of the new model after it, of the old one before; a model that cannot be read changes
 * nothing. */
static void test_setup(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    link_case_open(c);
    case_until(c, BEAMD_GPU_READY);
    assert_model(c, 0);
    beamg_setup other = c->setup;
    snprintf(other.model_file, sizeof other.model_file, "%s", c->path[1]);
    snprintf(other.model_checksum, sizeof other.model_checksum, "%s", c->file[1].info.checksum);
    beamd_gpu_link_configure(c->link, &other, case_now_ns());
    while (status_of(c).generation != 2) {
        case_turn(c, 100 * MS);
    }
    assert_model(c, 1);
    snprintf(other.model_checksum, sizeof other.model_checksum, "%s", c->file[0].info.checksum);
    beamd_gpu_link_configure(c->link, &other, case_now_ns());
    while (c->warnings == 0) {
        case_turn(c, 100 * MS);
    }
    assert_model(c, 1);
    assert_int_equal(status_of(c).generation, 2);
    assert_int_equal(status_of(c).wanted, 3);
    /* no room of this size: the batch is the CPU's, the worker stays */
    other = c->setup;
    other.room[0].dims.users = 1;
    beamd_gpu_link_configure(c->link, &other, case_now_ns());
    while (status_of(c).generation != 4) {
        case_turn(c, 100 * MS);
    }
    assert_true(case_submit(c, 20000 * MS));
    case_settle(c);
    assert_int_equal(c->record[c->records - 1].loss, BEAMD_GPU_LOSS_UNPREPARED);
    assert_int_equal(beamd_gpu_link_state(c->link), BEAMD_GPU_READY);
    link_case_free(c);
}

/* --- Faults under load --- */

typedef struct fault_row {
    const char *fault;
    beamd_gpu_loss ended; /* how the worker is lost */
    uint64_t hang_ns, heartbeat_limit_ns;
} fault_row;

static const fault_row rows[] = {
    {"error@5", BEAMD_GPU_LOSS_DEVICE, 0, 0},      {"hang@5", BEAMD_GPU_LOSS_HANG, 300 * MS, 0},
    {"mute@5", BEAMD_GPU_LOSS_HEART, 0, 300 * MS}, {"crash@5", BEAMD_GPU_LOSS_DEATH, 0, 0},
    {"garbage@5", BEAMD_GPU_LOSS_GARBAGE, 0, 0},   {"nonsense@5", BEAMD_GPU_LOSS_GARBAGE, 0, 0},
    {"spoilt@5", BEAMD_GPU_LOSS_GARBAGE, 0, 0},    {"illegal@5", BEAMD_GPU_LOSS_DEVICE, 0, 0},
};

static void test_faults_under_load(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strncmp(rows[i].fault, "illegal", 7) == 0 && !emulated()) {
            continue; /* no device to lose */
        }
        link_case *c = link_case_new(rows[i].fault);
        c->distrust = true;
        c->options.hang_ns = rows[i].hang_ns ? rows[i].hang_ns : c->options.hang_ns;
        c->options.heartbeat_limit_ns =
            rows[i].heartbeat_limit_ns ? rows[i].heartbeat_limit_ns : c->options.heartbeat_limit_ns;
        link_case_open(c);
        case_until(c, BEAMD_GPU_READY);
        link_case_fault(c, NULL); /* the next one is well */
        while (status_of(c).counts.ended[rows[i].ended] == 0) {
            case_load(c, 2 * MS, 30 * MS, 20 * MS);
        }
        case_until(c, BEAMD_GPU_READY);
        const unsigned answered = c->answered;
        case_load(c, 2 * MS, 200 * MS, 60 * MS);
        case_settle(c);
        assert_true(c->answered > answered);
        assert_true(c->lost > 0 || c->bad > 0); /* somebody noticed nothing else */
        assert_model(c, 0);
        const beamd_gpu_status status = status_of(c);
        uint64_t ended = 0;
        for (int k = 0; k < BEAMD_GPU_LOSSES; k++) {
            ended += status.counts.ended[k];
        }
        /* on a loaded machine a limit may strike another time: never without a reason */
        assert_true(status.counts.starts == ended + 1);
        print_message("%-10s batches %3u, answered %3u, lost %2u, back after %.1f ms\n",
                      rows[i].fault, c->records, c->answered, c->lost,
                      (double)status.respawn_ns * 1e-6);
        link_case_free(c);
    }
}

/* Late, not lost: the batch is the CPU's at its time, the worker lives and its late answer is only
 * counted. */
static void test_slow(void **state)
{
    (void)state;
    link_case *c = link_case_new("slow@40");
    link_case_open(c);
    case_until(c, BEAMD_GPU_READY);
    case_load(c, 5 * MS, 10 * MS, 100 * MS);
    case_settle(c);
    case_turns(c, 200 * MS);
    const beamd_gpu_status status = status_of(c);
    assert_true(status.counts.lost[BEAMD_GPU_LOSS_DEADLINE] == c->lost && c->lost > 0);
    assert_true(status.counts.late > 0);
    assert_int_equal(status.counts.starts, 1);
    assert_int_equal(status.state, BEAMD_GPU_READY);
    assert_model(c, 0);
    link_case_free(c);
}

/* --- Starts --- */

static unsigned count_lines(const link_case *c, const char *word)
{
    unsigned count = 0;
    for (unsigned i = 0; i < c->lines && i < CASE_SAID; i++) {
        count += strstr(c->said[i], word) != NULL;
    }
    return count;
}

static void assert_absent(link_case *c, const char *word)
{
    c->options.absent_retry_ns = 20 * MS;
    link_case_open(c);
    case_until(c, BEAMD_GPU_ABSENT);
    while (status_of(c).counts.absent < 5) {
        case_turn(c, 100 * MS);
    }
    assert_int_equal(count_lines(c, word), 1); /* once, however often it is tried */
    assert_int_equal(c->lines, 1);
    assert_int_equal(c->warnings, 0);
    case_until(c, BEAMD_GPU_ABSENT);
    assert_non_null(strstr(status_of(c).text, word));
    link_case_free(c);
}

static void test_absent(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    c->options.program = "/nowhere/beamd-gpu";
    assert_absent(c, "/nowhere/beamd-gpu: No such file");
    assert_absent(link_case_new("absent"), "no device: made to have none");

    c = link_case_new(NULL);
    c->options.program = "/nowhere/beamd-gpu";
    c->options.absent_retry_ns = 0;
    link_case_open(c);
    assert_true(beamd_gpu_link_step(c->link, case_now_ns()) == UINT64_MAX); /* never again */
    assert_int_equal(beamd_gpu_link_state(c->link), BEAMD_GPU_ABSENT);
    c->options.program = BEAM_GPU_WORKER;
    link_case_free(c);
}

/* The installed program: on a machine without a device it says so and nothing else happens. */
static void test_program(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    c->options.program = BEAM_GPU_PROGRAM;
    c->arguments[0] = NULL;
    link_case_open(c);
    case_turn(c, 10 * MS);
    while (beamd_gpu_link_state(c->link) == BEAMD_GPU_STARTING ||
           beamd_gpu_link_state(c->link) == BEAMD_GPU_STOPPING) {
        case_turn(c, 100 * MS);
    }
    const beamd_gpu_status status = status_of(c);
    print_message("beamd-gpu here: %s %s\n", beamd_gpu_state_text(status.state), status.text);
    assert_true(status.state == BEAMD_GPU_ABSENT || status.state == BEAMD_GPU_READY);
    assert_int_equal(c->lines, 1);
    link_case_free(c);
    /* faults and the CPU's engine are not in it */
    char line[512];
    snprintf(line, sizeof line,
             "'%s' --memory-fd 3 --request-fd 4 --answer-fd 5 --backend host >/dev/null 2>&1",
             BEAM_GPU_PROGRAM);
    int code = system(line);
    assert_int_equal(WEXITSTATUS(code), BEAMG_EXIT_USAGE);
    snprintf(line, sizeof line,
             "'%s' --memory-fd 3 --request-fd 4 --answer-fd 5 --fault crash >/dev/null 2>&1",
             BEAM_GPU_PROGRAM);
    code = system(line);
    assert_int_equal(WEXITSTATUS(code), BEAMG_EXIT_USAGE);
}

/* Too many failures in a row: an end, until somebody asks again. */
static void test_given_up(void **state)
{
    (void)state;
    link_case *c = link_case_new("broken");
    c->options.failures_max = 4;
    link_case_open(c);
    case_until(c, BEAMD_GPU_FAILED);
    beamd_gpu_status status = status_of(c);
    assert_int_equal(status.counts.starts, 4);
    assert_int_equal(status.counts.ended[BEAMD_GPU_LOSS_START], 4);
    assert_non_null(strstr(status.text, "made to fail"));
    case_turns(c, 50 * MS);
    assert_int_equal(status_of(c).counts.starts, 4);
    link_case_fault(c, NULL);
    beamd_gpu_link_reset(c->link, case_now_ns());
    case_until(c, BEAMD_GPU_READY);
    assert_model(c, 0);
    link_case_free(c);
}

static void test_never_ready(void **state)
{
    (void)state;
    link_case *c = link_case_new("never");
    c->options.start_limit_ns = 200 * MS;
    link_case_open(c);
    case_until(c, BEAMD_GPU_STARTING);
    link_case_fault(c, NULL);
    case_until(c, BEAMD_GPU_BACKING_OFF);
    assert_int_equal(status_of(c).counts.ended[BEAMD_GPU_LOSS_START], 1);
    assert_non_null(strstr(status_of(c).text, "not ready in time"));
    link_case_free(c);
}

/* The wait doubles with every failure in a row, up to its limit. */
static void test_back_off(void **state)
{
    (void)state;
    link_case *c = link_case_new("broken");
    c->options.failures_max = 0;
    c->options.backoff_ns = 4 * MS;
    c->options.backoff_max_ns = 15 * MS;
    link_case_open(c);
    static const uint64_t expected_ms[] = {4, 8, 15, 15};
    for (size_t i = 0; i < 4; i++) {
        while (status_of(c).failures_in_row != i + 1) {
            case_turn(c, 100 * MS);
        }
        const beamd_gpu_status status = status_of(c);
        assert_int_equal(status.state, BEAMD_GPU_BACKING_OFF);
        assert_int_equal(status.retry_at_ns - status.since_ns, expected_ms[i] * MS);
    }
    link_case_free(c);
}

/* --- Violence --- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { KILLS = 100 };

static void test_killed_at_random(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    c->options.failures_max = 0;
    c->options.backoff_max_ns = 2 * MS;
    link_case_open(c);
    test_random random = test_random_new(2026);
    static double respawn_ms[KILLS];
    for (int i = 0; i < KILLS; i++) {
        case_until(c, BEAMD_GPU_READY);
        if (i > 0) {
            respawn_ms[i - 1] = (double)status_of(c).respawn_ns * 1e-6;
        }
        const pid_t pid = status_of(c).pid;
        case_load(c, MS / 2, 20 * MS, (uint64_t)test_random_int(&random, 1, 4) * MS);
        const uint64_t spin_ns = case_now_ns() + (uint64_t)test_random_int(&random, 0, 500) * 1000;
        (void)case_submit(c, 20 * MS);
        while (case_now_ns() < spin_ns) {
        }
        (void)kill(pid, SIGKILL); /* it may be gone already by a limit of its own */
        case_load(c, MS / 2, 20 * MS, 2 * MS);
        while (status_of(c).pid == pid) {
            case_turn(c, 100 * MS);
        }
    }
    case_until(c, BEAMD_GPU_READY);
    respawn_ms[KILLS - 1] = (double)status_of(c).respawn_ns * 1e-6;
    case_settle(c);
    assert_model(c, 0);
    const beamd_gpu_status status = status_of(c);
    assert_true(status.counts.ended[BEAMD_GPU_LOSS_DEATH] >= KILLS);
    qsort(respawn_ms, KILLS, sizeof respawn_ms[0], by_size);
    print_message("%d kills: batches %u, answered %u, lost %u; back after %.1f ms median, %.1f ms "
                  "at most\n",
                  KILLS, c->records, c->answered, c->lost, respawn_ms[KILLS / 2],
                  respawn_ms[KILLS - 1]);
    link_case_free(c);
}

/* Random words into everything that is shared, while it is in use. */
static void test_memory_garbage(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    c->options.failures_max = 0;
    c->distrust = true;
    link_case_open(c);
    test_random random = test_random_new(99);
    for (int i = 0; i < 60; i++) {
        case_until(c, BEAMD_GPU_READY);
        beamg_area *area = &c->link->area;
        const int rounds = test_random_int(&random, 1, 40);
        for (int k = 0; k < rounds; k++) {
            (void)case_submit(c, 15 * MS);
            /* the header, the rings, or an answer */
            const size_t from = i % 3 == 2 ? (size_t)((unsigned char *)beamg_area_answer(area, 0) -
                                                      (unsigned char *)area->header)
                                           : (i % 3 == 1 ? offsetof(beamg_header, heartbeat) : 0);
            const size_t bytes = i % 3 == 2 ? 4096 : sizeof(beamg_header) - from;
            for (int n = 0; n < 4; n++) {
                const uint64_t word = test_random_bits(&random) >> test_random_int(&random, 0, 63);
                const size_t at =
                    from + 8 * (size_t)test_random_int(&random, 0, (int)(bytes / 8) - 1);
                memcpy((unsigned char *)area->header + at, &word, sizeof word);
            }
            case_turn(c, MS / 4);
        }
        case_settle(c);
    }
    case_settle(c);
    /* what was scribbled may still be there: a worker of a new header */
    if (beamd_gpu_link_state(c->link) == BEAMD_GPU_READY) {
        beamd_gpu_distrust(c->link, case_now_ns());
    }
    case_until(c, BEAMD_GPU_STARTING);
    case_until(c, BEAMD_GPU_READY);
    assert_model(c, 0);
    const beamd_gpu_status status = status_of(c);
    assert_true(status.counts.ended[BEAMD_GPU_LOSS_GARBAGE] > 5);
    print_message("garbage: batches %u, answered %u (%u not believed), lost %u, workers %u\n",
                  c->records, c->answered, c->bad, c->lost, (unsigned)status.counts.starts);
    link_case_free(c);
}

/* A worker does not outlive its daemon. */
static void test_dies_with_parent(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    const pid_t daemon = fork();
    if (daemon == 0) {
        link_case *c = link_case_new(NULL);
        link_case_open(c);
        case_until(c, BEAMD_GPU_READY);
        const pid_t worker = status_of(c).pid;
        if (write(pipes[1], &worker, sizeof worker) != (ssize_t)sizeof worker) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    pid_t worker = 0;
    assert_int_equal(read(pipes[0], &worker, sizeof worker), sizeof worker);
    assert_int_equal(kill(worker, 0), 0);
    assert_int_equal(getsid(worker), worker); /* of its own: no terminal's signals */
    assert_int_equal(kill(daemon, SIGKILL), 0);
    assert_int_equal(waitpid(daemon, NULL, 0), daemon);
    char path[64], text[256];
    for (int i = 0; i < 1000; i++) {
        /* gone, or not reaped yet by whoever inherits it */
        snprintf(path, sizeof path, "/proc/%d/stat", (int)worker);
        FILE *file = fopen(path, "re");
        const char *line = file ? fgets(text, sizeof text, file) : NULL;
        const bool gone = !line || strstr(line, ") Z") || strstr(line, ") X");
        if (file) {
            (void)fclose(file);
        }
        if (gone) {
            for (int k = 0; k < 2; k++) {
                snprintf(path, sizeof path, "/tmp/test_gpu_link.%d.%d.beamnet", (int)daemon, k);
                unlink(path);
            }
            close(pipes[0]);
            close(pipes[1]);
            return;
        }
        usleep(10000);
    }
    fail_msg("worker %d lives on", (int)worker);
}

/* A descriptor more or less after many lives. */
static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void test_no_leak(void **state)
{
    (void)state;
    const unsigned before = open_descriptors();
    link_case *c = link_case_new("crash@1");
    c->options.failures_max = 6;
    link_case_open(c);
    const unsigned open_then = open_descriptors();
    while (beamd_gpu_link_state(c->link) != BEAMD_GPU_FAILED) {
        (void)case_submit(c, 50 * MS);
        case_turn(c, 5 * MS);
    }
    case_settle(c);
    assert_int_equal(open_descriptors(), open_then);
    link_case_free(c);
    assert_int_equal(open_descriptors(), before);
}

/* Several batches in the worker at once; every answer is of its own batch. */
static void test_several(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    c->options.slots = BEAMG_SLOTS_MAX;
    link_case_open(c);
    case_until(c, BEAMD_GPU_READY);
    for (int round = 0; round < 20; round++) {
        unsigned sent = 0;
        while (case_submit(c, 20000 * MS)) {
            sent++;
        }
        assert_int_equal(sent, BEAMG_SLOTS_MAX);
        case_settle(c);
    }
    assert_int_equal(c->bad, 0);
    assert_int_equal(c->lost, 0);
    assert_model(c, 0);
    link_case_free(c);
}

/* Batches are answered while another setup is being made, and all setups that came are, in turn. */
static void test_setup_under_load(void **state)
{
    (void)state;
    link_case *c = link_case_new(NULL);
    c->options.slots = 8;
    link_case_open(c);
    case_until(c, BEAMD_GPU_READY);
    for (uint32_t i = 0; i < 6; i++) {
        beamg_setup other = c->setup;
        snprintf(other.model_file, sizeof other.model_file, "%s", c->path[(i + 1) % 2]);
        other.room[0].problems = CASE_PROBLEMS + i / 2; /* other rooms, then another model */
        beamd_gpu_link_configure(c->link, &other, case_now_ns());
        case_load(c, MS, 20000 * MS, 10 * MS);
    }
    while (status_of(c).generation != 7) {
        case_turn(c, 100 * MS);
    }
    case_settle(c);
    assert_int_equal(c->lost, 0);
    assert_int_equal(c->bad, 0);
    assert_int_equal(status_of(c).counts.starts, 1);
    assert_model(c, 0);
    link_case_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_beams),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_setup),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_setup_under_load),
        cmocka_unit_test(test_faults_under_load),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_never_ready),
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_killed_at_random),
        cmocka_unit_test(test_memory_garbage),
        cmocka_unit_test(test_dies_with_parent),
        cmocka_unit_test(test_no_leak),
    };
    int failed = 0;
    static const char *const backends[] = {"host", "emulated"};
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        case_backend = backends[i];
        failed += cmocka_run_group_tests_name(backends[i], tests, NULL, NULL);
    }
    return failed;
}

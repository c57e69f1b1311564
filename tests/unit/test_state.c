/* Clusters over a restart: what was written comes back through the checks of the wire, one damaged
 * record costs one cluster its warm start, and the loop never waits for the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "state_home.h"
#include "state_file.h"
#include "state_store.h"

static void clusters_come_back_as_they_were(void **state)
{
    (void)state;
    add(&before, "cell-a", &small, 1);
    add(&before, "cell.b", &wide, 2);
    add(&before, "fresh", &small, 0); /* registered, nothing answered yet */
    before.has_preference = true;
    before.preference = 0.125;
    beamd_cluster *a = before.clusters[0];
    a->has_preference = true;
    a->tradeoff = 0.75;
    save(&before);
    for (unsigned k = 0; k < before.count; k++) {
        assert_int_equal(before.clusters[k]->changed, before.clusters[k]->saved);
    }
    beamd_state *warm = load(&after);
    assert_int_equal(after.count, 3);
    for (unsigned k = 0; k < before.count; k++) {
        beamd_cluster *c = case_world_find(&after, before.clusters[k]->id);
        assert_non_null(c);
        case_assert_same(before.clusters[k], c);
        assert_int_equal(c->csi_lost, before.clusters[k]->csi_received > 0);
        assert_false(c->has_csi);
        assert_int_equal(c->changed, c->saved); /* nothing to write before something changes */
    }
    assert_true(after.has_preference && after.preference == 0.125);
    const beamd_state_counters *counters = beamd_state_counters_of(warm);
    assert_int_equal(counters->restored, 3);
    assert_int_equal(counters->designs, 1 + 5 * 2);
    assert_int_equal(counters->designs_refused, 0);
    assert_int_equal(counters->damaged, 0);
    assert_int_equal(case_settle(&after, warm), 0);
    beamd_state_close(&warm);
}

static void restored_beams_are_starts_and_not_answers(void **state)
{
    (void)state;
    add(&before, "a", &small, 1);
    save(&before);
    beamd_state *warm = load(&after);
    const beamd_answer *answer = after.clusters[0]->last[0];
    assert_true(answer->present);
    assert_true(beamd_answer_of_this_life(before.clusters[0]->last[0]));
    assert_false(beamd_answer_of_this_life(answer));
    beamd_state_close(&warm);
}

/* Killed again before any CSI came: what was restored is still there. */
static void a_second_restart_loses_nothing(void **state)
{
    (void)state;
    add(&before, "a", &wide, 3);
    save(&before);
    beamd_state *warm = load(&after);
    after.clusters[0]->changed++; /* a preference, say */
    assert_int_equal(case_settle(&after, warm), 1);
    beamd_state_close(&warm);
    case_world_clear(&after);
    warm = load(&after);
    case_assert_same(before.clusters[0], after.clusters[0]);
    assert_true(after.clusters[0]->csi_lost);
    beamd_state_close(&warm);
}

static void named_preferences_are_those_of_the_last_moment(void **state)
{
    (void)state;
    beam_wire_error err;
    beamd_cluster *c = add(&before, "a", &wide, 1); /* "balanced", "locate" by registration */
    assert_int_equal(beamd_cluster_remove_preference(c, "balanced", &err), 0);
    assert_int_equal(beamd_cluster_name_preference(c, "locate", 0.9, &before.limits, &err), 0);
    assert_int_equal(beamd_cluster_name_preference(c, "late", 0.1, &before.limits, &err), 0);
    case_answer(c, 2);
    save(&before);
    beamd_state *warm = load(&after);
    case_assert_same(c, after.clusters[0]);
    assert_int_equal(after.clusters[0]->named_count, 2);
    assert_string_equal(after.clusters[0]->named[0].name, "locate");
    beamd_state_close(&warm);
    case_world_clear(&after);
    while (c->named_count > 0) {
        assert_int_equal(beamd_cluster_remove_preference(c, c->named[0].name, &err), 0);
    }
    c->changed++;
    save(&before);
    warm = load(&after);
    assert_int_equal(after.clusters[0]->named_count, 0);
    beamd_state_close(&warm);
}

/* --- damage --- */

static void a_damaged_file_costs_its_own_cluster_only(void **state)
{
    (void)state;
    static unsigned char bytes[1 << 20];
    add(&before, "a", &small, 1);
    add(&before, "b", &small, 2);
    add(&before, "c", &small, 3);
    save(&before);
    char path[512];
    snprintf(path, sizeof path, "%s", file_of("b.state"));
    const size_t size = read_file(path, bytes, sizeof bytes);
    bytes[size / 2] ^= 0x10;
    write_file(path, bytes, size);
    beamd_state *warm = load(&after);
    assert_int_equal(after.count, 2);
    case_assert_same(before.clusters[0], case_world_find(&after, "a"));
    case_assert_same(before.clusters[2], case_world_find(&after, "c"));
    assert_false(there("b.state"));
    assert_true(there("b.state.damaged-checksum"));
    assert_int_equal(beamd_state_counters_of(warm)->damaged, 1);
    /* it is registered anew and lives on beside what was set aside */
    add(&after, "b", &small, 4);
    assert_int_equal(case_settle(&after, warm), 1);
    assert_true(there("b.state") && there("b.state.damaged-checksum"));
    beamd_state_close(&warm);
}

/* Loads one changed file; true: it was set aside, and by this word. */
static bool set_aside(const unsigned char *bytes, size_t size, const char *word)
{
    char aside[128];
    write_file(file_of("a.state"), bytes, size);
    beamd_state *warm = load(&after);
    snprintf(aside, sizeof aside, "a.state.damaged-%s", word);
    const bool good = after.count == 0 && !there("a.state") && there(aside) &&
                      beamd_state_counters_of(warm)->damaged == 1;
    beamd_state_close(&warm);
    case_world_clear(&after);
    unlink(file_of(aside));
    return good;
}

static void a_file_cut_or_changed_anywhere_is_set_aside(void **state)
{
    (void)state;
    static unsigned char bytes[1 << 20];
    add(&before, "a", &small, 1);
    save(&before);
    const size_t size = read_file(file_of("a.state"), bytes, sizeof bytes);
    /* the reader alone is tested at every byte (test_state_file): here the way to it and back */
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 97) {
        assert_true(set_aside(bytes, cut, "truncated"));
    }
    for (size_t at = 48; at < size; at += 101) {
        bytes[at] ^= 0x80;
        assert_true(set_aside(bytes, size, "checksum"));
        bytes[at] ^= 0x80;
    }
    assert_true(set_aside(bytes, size + 8, "size")); /* something behind it */
    bytes[0] = 'X';
    assert_true(set_aside(bytes, size, "magic"));
    bytes[0] = 'B';
    bytes[8] = 2;
    assert_true(set_aside(bytes, size, "version"));
    bytes[8] = 1;
    write_file(file_of("a.state"), bytes, size); /* and unchanged it is good */
    beamd_state *warm = load(&after);
    case_assert_same(before.clusters[0], after.clusters[0]);
    beamd_state_close(&warm);
}

static void a_record_under_another_name_is_set_aside(void **state)
{
    (void)state;
    add(&before, "a", &small, 1);
    save(&before);
    char from[512];
    snprintf(from, sizeof from, "%s", file_of("a.state"));
    assert_int_equal(rename(from, file_of("b.state")), 0);
    beamd_state *warm = load(&after);
    assert_int_equal(after.count, 0);
    assert_true(there("b.state.damaged-name"));
    beamd_state_close(&warm);
}

/* Made by hand: the checksum is right, the content is what no daemon of this version wrote. */
static void write_record(const char *id, const unsigned char *registration, size_t bytes,
                         const unsigned char *targets, size_t target_bytes,
                         const beamd_record_design *facts, const beam_design *design)
{
    static _Alignas(64) unsigned char record[1 << 18];
    const uint64_t user_id[BEAM_MAX_USERS] = {1, 2, 3};
    const int user_station[BEAM_MAX_USERS] = {0};
    const beamd_record_header header = {.kind = BEAMD_RECORD_CLUSTER, .serial = 1};
    beamd_record_cluster known = {.csi_sequence = 0};
    beamd_record_writer w;
    char name[96];
    snprintf(known.id, sizeof known.id, "%s", id);
    beamd_record_begin(&w, record, sizeof record, &header);
    beamd_record_put_cluster(&w, &known);
    beamd_record_put_registration(&w, registration, bytes);
    if (targets) {
        beamd_record_put_targets(&w, targets, target_bytes);
    }
    if (facts) {
        beamd_record_put_design(&w, facts, user_id, user_station, design);
    }
    const size_t size = beamd_record_end(&w);
    assert_true(size > 0);
    beamd_record_seal(record, size);
    snprintf(name, sizeof name, "%s.state", id);
    write_file(file_of(name), record, size);
}

static void what_the_wire_would_refuse_is_refused(void **state)
{
    (void)state;
    static unsigned char registration[4096], targets[4096];
    save(&before); /* makes the directories */
    const size_t bytes = case_registration("a", &small, registration, sizeof registration);
    const size_t target_bytes = case_targets("a", &small, 0, 1, targets, sizeof targets);
    for (int wrong = 0; wrong < 6; wrong++) {
        const char *word = wrong < 4 ? "registration" : "targets";
        char aside[64];
        switch (wrong) {
        case 0: /* no message */
            write_record("a", (const unsigned char *)"nonsense", 8, NULL, 0, NULL, NULL);
            break;
        case 1: /* another message */
            write_record("a", targets, target_bytes, NULL, 0, NULL, NULL);
            break;
        case 2: { /* another cluster's */
            static unsigned char other[4096];
            const size_t n = case_registration("z", &small, other, sizeof other);
            write_record("a", other, n, NULL, 0, NULL, NULL);
            break;
        }
        case 3: /* cut inside */
            write_record("a", registration, bytes - 3, NULL, 0, NULL, NULL);
            break;
        case 4:
            write_record("a", registration, bytes, registration, bytes, NULL, NULL);
            break;
        default: { /* more targets than were registered */
            static unsigned char other[4096];
            const size_t n = case_targets("a", &wide, 0, 1, other, sizeof other);
            write_record("a", registration, bytes, other, n, NULL, NULL);
        }
        }
        beamd_state *warm = load(&after);
        assert_int_equal(after.count, 0);
        snprintf(aside, sizeof aside, "a.state.damaged-%s", word);
        assert_true(there(aside) && !there("a.state"));
        beamd_state_close(&warm);
    }
    write_record("a", registration, bytes, targets, target_bytes, NULL, NULL);
    beamd_state *warm = load(&after);
    assert_int_equal(after.count, 1);
    beamd_state_close(&warm);
}

static void a_design_that_does_not_fit_is_left_out(void **state)
{
    (void)state;
    static unsigned char registration[4096];
    static _Alignas(64) unsigned char memory[1 << 18];
    save(&before);
    const size_t bytes = case_registration("a", &small, registration, sizeof registration);
    for (int wrong = 0; wrong < 7; wrong++) {
        beam_dims dims = {.stations = 2, .antennas = 4, .users = 3, .targets = 1};
        dims.stations = wrong == 1 ? 3 : 2;
        dims.antennas = wrong == 2 ? 8 : 4;
        dims.users = wrong == 3 ? 4 : 3;
        beam_design design;
        assert_int_equal(beam_design_init(&design, &dims, 3, memory, sizeof memory, NULL), BEAM_OK);
        /* 10 W are the budget */
        design.beams[0].re = wrong == 4 ? 3.2 : 3.1;
        design.sensing_count[0] = wrong == 5 ? 3 : 1; /* two columns are admitted */
        beamd_record_design facts = {.band = wrong == 6 ? 1 : 0};
        write_record("a", registration, bytes, NULL, 0, &facts, &design);
        beamd_state *warm = load(&after);
        assert_int_equal(after.count, 1);
        assert_int_equal(beamd_state_counters_of(warm)->designs, wrong == 0);
        assert_int_equal(beamd_state_counters_of(warm)->designs_refused, wrong != 0);
        assert_int_equal(after.clusters[0]->last[0]->present, wrong == 0);
        beamd_state_close(&warm);
        case_world_clear(&after);
    }
}

static void the_default_preference_has_a_file_of_its_own(void **state)
{
    (void)state;
    static unsigned char bytes[4096];
    char path[512];
    before.has_preference = true;
    before.preference = 0.875;
    save(&before);
    snprintf(path, sizeof path, "%s/daemon.state", base);
    const size_t size = read_file(path, bytes, sizeof bytes);
    bytes[size - 1] ^= 1;
    write_file(path, bytes, size);
    beamd_state *warm = load(&after);
    assert_false(after.has_preference);
    assert_int_equal(beamd_state_counters_of(warm)->damaged, 1);
    beamd_state_close(&warm);
    assert_int_equal(access(path, F_OK), -1);
    bytes[size - 1] ^= 1;
    write_file(path, bytes, size);
    warm = load(&after);
    assert_true(after.has_preference && after.preference == 0.875);
    beamd_state_close(&warm);
}

/* --- limits --- */

static void what_is_beyond_a_limit_stays_where_it_is(void **state)
{
    (void)state;
    add(&before, "a", &small, 1);
    add(&before, "b", &small, 2);
    add(&before, "c", &small, 3);
    save(&before);
    after.most = 2;
    beamd_state *warm = load(&after);
    assert_int_equal(after.count, 2);
    assert_non_null(case_world_find(&after, "a")); /* in the order of their ids */
    assert_non_null(case_world_find(&after, "b"));
    assert_int_equal(beamd_state_counters_of(warm)->left, 1);
    assert_int_equal(beamd_state_counters_of(warm)->damaged, 0);
    (void)case_settle(&after, warm);
    assert_true(there("c.state")); /* not taken for a cluster that was removed */
    beamd_state_close(&warm);
    case_world_clear(&after);
    after.limits.users_max = 2;
    warm = load(&after);
    assert_int_equal(after.count, 0);
    assert_int_equal(beamd_state_counters_of(warm)->left, 3);
    assert_true(there("a.state") && there("b.state") && there("c.state"));
    beamd_state_close(&warm);
    case_world_clear(&after);
    warm = case_open(&after, base);
    after.now_ns = 0;
    beamd_state_load(warm, 0); /* no time at all */
    assert_true(beamd_state_counters_of(warm)->left >= 2);
    assert_true(there("a.state") && there("b.state") && there("c.state"));
    beamd_state_close(&warm);
}

static void a_message_too_long_to_keep_is_said_once(void **state)
{
    (void)state;
    static unsigned char frame[BEAMD_RECORD_FRAME_BYTES + 1];
    beamd_cluster *c = add(&before, "a", &small, 1);
    beamd_state_note_targets(c, frame, sizeof frame);
    beamd_state *warm = case_open(&before, base);
    assert_int_equal(case_settle(&before, warm), 0);
    assert_int_equal(beamd_state_counters_of(warm)->unsaved, 1);
    assert_false(there("a.state"));
    beamd_state_close(&warm);
}

/* --- on the loop --- */

/* One turn; the job, if one was begun. */
static beamd_job *turn(case_world *world, beamd_state *state, uint64_t now_ns, bool *more)
{
    *more = beamd_state_tick(state, now_ns, 1000);
    beamd_job *job = world->waiting;
    world->waiting = NULL;
    return job;
}

static void a_cluster_is_written_once_in_a_while_and_all_get_their_turn(void **state)
{
    (void)state;
    enum { CLUSTERS = 40, TURNS = 4000 };
    unsigned written[CLUSTERS] = {0};
    for (int k = 0; k < CLUSTERS; k++) {
        char id[16];
        snprintf(id, sizeof id, "c%02d", k);
        add(&before, id, &small, 1);
    }
    beamd_state *warm = case_open(&before, base);
    uint64_t last_ns[CLUSTERS] = {0};
    bool more;
    for (uint64_t now_ns = 10; now_ns < 10 + TURNS; now_ns++) {
        for (int k = 0; k < CLUSTERS; k++) {
            before.clusters[k]->changed++; /* all of them, all the time */
        }
        beamd_job *job = turn(&before, warm, now_ns, &more);
        if (!job) {
            continue;
        }
        assert_true(beamd_state_done(warm, job, now_ns, 1000)); /* as if the disk took no time */
        for (int k = 0; k < CLUSTERS; k++) {
            if (before.clusters[k]->changed == before.clusters[k]->saved) {
                assert_true(last_ns[k] == 0 || now_ns - last_ns[k] >= 1000);
                last_ns[k] = now_ns;
                written[k]++;
            }
        }
    }
    for (int k = 0; k < CLUSTERS; k++) {
        assert_true(written[k] >= 3 && written[k] <= 4);
    }
    beamd_state_close(&warm);
}

static void a_large_cluster_is_copied_in_pieces(void **state)
{
    (void)state;
    const case_sizes large = {4, 32, 16, 4, 40, 4};
    beamd_cluster *c = add(&before, "large", &large, 1);
    beamd_state *warm = case_open(&before, base);
    const beamd_state_counters *counters = beamd_state_counters_of(warm);
    unsigned turns = 1;
    bool more = true;
    beamd_job *job = NULL;
    while (!(job = turn(&before, warm, 10, &more))) {
        assert_true(more);
        turns++;
        c->last[0]->out.design.beams[0].re += 0; /* the cluster is in use between the turns */
    }
    assert_true(counters->record_bytes > 2u << 20);
    assert_true(turns >= counters->record_bytes / (2 * BEAMD_STATE_TURN_BYTES));
    assert_true(turns <= 2 + counters->record_bytes / BEAMD_STATE_TURN_BYTES);
    print_message("%zu KiB in %u turns, at most %llu us each\n", counters->record_bytes >> 10,
                  turns, (unsigned long long)counters->turn_max_ns / 1000u);
    job->run(job);
    assert_true(beamd_state_done(warm, job, 20, 1000));
    beamd_state_close(&warm);
    warm = load(&after);
    case_assert_same(c, after.clusters[0]);
    beamd_state_close(&warm);
}

static void a_cluster_that_goes_while_it_is_copied_is_no_harm(void **state)
{
    (void)state;
    const case_sizes large = {4, 32, 16, 4, 40, 4};
    bool more;
    for (int again = 0; again < 2; again++) {
        add(&before, "large", &large, 1);
        beamd_state *warm = case_open(&before, base);
        assert_null(turn(&before, warm, 10, &more));
        assert_true(more);
        case_world_remove(&before, "large");
        if (again) { /* registered anew, perhaps in the same memory */
            add(&before, "large", &small, 2);
        }
        assert_null(turn(&before, warm, 11, &more)); /* half of it is thrown away */
        assert_false(more);
        (void)case_settle(&before, warm);
        assert_int_equal(there("large.state"), again);
        beamd_state_close(&warm);
    }
    beamd_state *warm = load(&after);
    case_assert_same(before.clusters[0], after.clusters[0]);
    beamd_state_close(&warm);
}

/* As many changes as the old one had: nothing but its number tells them apart. */
static void a_cluster_registered_anew_while_it_is_written_is_written_too(void **state)
{
    (void)state;
    const beamd_cluster *old = add(&before, "a", &small, 1);
    const uint64_t changed = old->changed;
    beamd_state *warm = case_open(&before, base);
    bool more;
    beamd_job *job = turn(&before, warm, 10, &more);
    assert_non_null(job);
    case_world_remove(&before, "a");
    beamd_cluster *c = add(&before, "a", &wide, 2);
    assert_int_equal(c->changed, changed);
    job->run(job);
    assert_true(beamd_state_done(warm, job, 20, 1000));
    assert_int_not_equal(c->changed, c->saved);
    assert_int_equal(case_settle(&before, warm), 1);
    beamd_state_close(&warm);
    warm = load(&after);
    case_assert_same(c, after.clusters[0]);
    beamd_state_close(&warm);
}

static void what_changes_while_it_is_written_is_written_again(void **state)
{
    (void)state;
    beamd_cluster *c = add(&before, "a", &small, 1);
    beamd_state *warm = case_open(&before, base);
    bool more;
    beamd_job *job = turn(&before, warm, 10, &more);
    assert_non_null(job);
    c->has_preference = true;
    c->tradeoff = 1;
    c->changed++;
    assert_null(turn(&before, warm, 5000, &more)); /* one job at a time */
    job->run(job);
    assert_true(beamd_state_done(warm, job, 6000, 1000));
    assert_int_not_equal(c->changed, c->saved);
    assert_int_equal(case_settle(&before, warm), 1);
    assert_int_equal(c->changed, c->saved);
    beamd_state_close(&warm);
    warm = load(&after);
    assert_true(after.clusters[0]->tradeoff == 1);
    beamd_state_close(&warm);
}

static void a_removed_cluster_does_not_come_back(void **state)
{
    (void)state;
    add(&before, "a", &small, 1);
    add(&before, "b", &small, 2);
    beamd_state *warm = case_open(&before, base);
    (void)case_settle(&before, warm);
    assert_true(there("a.state") && there("b.state"));
    case_world_remove(&before, "a");
    (void)case_settle(&before, warm);
    assert_true(!there("a.state") && there("b.state"));
    assert_int_equal(beamd_state_counters_of(warm)->removed, 1);
    beamd_state_close(&warm);
}

static void without_a_thread_it_waits(void **state)
{
    (void)state;
    beamd_cluster *c = add(&before, "a", &small, 1);
    beamd_state *warm = case_open(&before, base);
    before.no_thread = true;
    before.has_preference = true;
    assert_int_equal(case_settle(&before, warm), 0);
    before.no_thread = false;
    assert_int_equal(case_settle(&before, warm), 2);
    assert_int_equal(c->changed, c->saved);
    beamd_state_close(&warm);
}

static void a_failing_disk_is_tried_again_ever_more_rarely(void **state)
{
    (void)state;
    beamd_cluster *c = add(&before, "a", &small, 1);
    beamd_state *warm = case_open(&before, base);
    const beamd_state_counters *counters = beamd_state_counters_of(warm);
    assert_int_equal(mkdir(file_of("a.state"), 0700), 0); /* in the way of the file */
    uint64_t now_ns = 10, last_ns = 0, gap_ns = 0;
    bool more;
    for (int tries = 0; tries < 4;) {
        beamd_job *job = turn(&before, warm, now_ns, &more);
        if (job) {
            job->run(job);
            assert_true(beamd_state_done(warm, job, now_ns, 1000));
            assert_true(now_ns - last_ns >= 2 * gap_ns || tries == 0);
            gap_ns = tries > 0 ? now_ns - last_ns : 0;
            last_ns = now_ns;
            tries++;
        }
        now_ns += 100;
    }
    assert_int_equal(counters->failed, 4);
    assert_int_equal(counters->written, 0);
    assert_int_not_equal(c->changed, c->saved);
    assert_int_equal(rmdir(file_of("a.state")), 0);
    now_ns += UINT64_C(61000000000);
    for (int k = 0; k < 4; k++, now_ns += 1000) {
        beamd_job *job = turn(&before, warm, now_ns, &more);
        if (job) {
            job->run(job);
            assert_true(beamd_state_done(warm, job, now_ns, 1000));
        }
    }
    assert_int_equal(counters->written, 1);
    assert_int_equal(c->changed, c->saved);
    beamd_state_close(&warm);
}

static void the_end_writes_what_is_left(void **state)
{
    (void)state;
    enum { CLUSTERS = 30 };
    for (int k = 0; k < CLUSTERS; k++) {
        char id[16];
        snprintf(id, sizeof id, "c%02d", k);
        add(&before, id, k % 2 ? &small : &wide, 1);
    }
    before.has_preference = true;
    beamd_state *warm = case_open(&before, base);
    bool more;
    assert_non_null(turn(&before, warm, 10, &more)); /* a job that no thread will run any more */
    beamd_state_flush(warm, UINT64_C(10000000000));
    for (int k = 0; k < CLUSTERS; k++) {
        assert_int_equal(before.clusters[k]->changed, before.clusters[k]->saved);
    }
    beamd_state_close(&warm);
    warm = load(&after);
    assert_int_equal(after.count, CLUSTERS);
    assert_true(after.has_preference);
    beamd_state_close(&warm);
}

/* --- where --- */

static void the_directory_is_the_managers_or_beside_the_sockets(void **state)
{
    (void)state;
    static beamd_config config;
    memset(&config, 0, sizeof config);
    snprintf(config.runtime_dir, sizeof config.runtime_dir, "/run/beamd");
    unsetenv("STATE_DIRECTORY");
    assert_true(beamd_state_choose_dir(&config));
    assert_string_equal(config.state_dir, "/run/beamd/state");
    config.state_dir[0] = 0;
    setenv("STATE_DIRECTORY", "/var/lib/beamd:/var/lib/other", 1);
    assert_true(beamd_state_choose_dir(&config));
    assert_string_equal(config.state_dir, "/var/lib/beamd");
    snprintf(config.state_dir, sizeof config.state_dir, "/elsewhere");
    assert_true(beamd_state_choose_dir(&config));
    assert_string_equal(config.state_dir, "/elsewhere");
    unsetenv("STATE_DIRECTORY");
    snprintf(config.state_dir, sizeof config.state_dir, "relative");
    assert_false(beamd_state_choose_dir(&config));
    snprintf(config.state_dir, sizeof config.state_dir, "off");
    assert_true(beamd_state_choose_dir(&config));
    assert_string_equal(config.state_dir, "off");
}

/* What one record costs the loop; a number for the report, bounded far above what is measured. */
static void a_cluster_of_the_papers_size_costs_the_loop_little(void **state)
{
    (void)state;
    const case_sizes paper = {4, 16, 16, 2, 1, 1};
    enum { ROUNDS = 300 };
    uint64_t turn_ns[ROUNDS], sum_ns = 0, least_ns = UINT64_MAX;
    beamd_cluster *c = add(&before, "paper", &paper, 1);
    beamd_state *warm = case_open(&before, base);
    const beamd_state_counters *counters = beamd_state_counters_of(warm);
    bool more;
    for (int k = 0; k < ROUNDS; k++) {
        c->changed++;
        beamd_job *job = turn(&before, warm, 10 + 2000u * (unsigned)k, &more);
        assert_non_null(job);
        turn_ns[k] = counters->turn_last_ns;
        sum_ns += turn_ns[k];
        least_ns = turn_ns[k] < least_ns ? turn_ns[k] : least_ns;
        assert_true(beamd_state_done(warm, job, 20 + 2000u * (unsigned)k, 1000));
    }
    print_message("%zu bytes: %.1f us of the loop, mean of %d, %.1f us least\n",
                  counters->record_bytes, 1e-3 * (double)sum_ns / ROUNDS, ROUNDS,
                  1e-3 * (double)least_ns);
    assert_true(least_ns < 50000);
    beamd_state_close(&warm);
}

int main(void)
{
#define IN_BASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_BASE(clusters_come_back_as_they_were),
        IN_BASE(restored_beams_are_starts_and_not_answers),
        IN_BASE(a_second_restart_loses_nothing),
        IN_BASE(named_preferences_are_those_of_the_last_moment),
        IN_BASE(a_damaged_file_costs_its_own_cluster_only),
        IN_BASE(a_file_cut_or_changed_anywhere_is_set_aside),
        IN_BASE(a_record_under_another_name_is_set_aside),
        IN_BASE(what_the_wire_would_refuse_is_refused),
        IN_BASE(a_design_that_does_not_fit_is_left_out),
        IN_BASE(the_default_preference_has_a_file_of_its_own),
        IN_BASE(what_is_beyond_a_limit_stays_where_it_is),
        IN_BASE(a_message_too_long_to_keep_is_said_once),
        IN_BASE(a_cluster_is_written_once_in_a_while_and_all_get_their_turn),
        IN_BASE(a_large_cluster_is_copied_in_pieces),
        IN_BASE(a_cluster_that_goes_while_it_is_copied_is_no_harm),
        IN_BASE(a_cluster_registered_anew_while_it_is_written_is_written_too),
        IN_BASE(what_changes_while_it_is_written_is_written_again),
        IN_BASE(a_removed_cluster_does_not_come_back),
        IN_BASE(without_a_thread_it_waits),
        IN_BASE(a_failing_disk_is_tried_again_ever_more_rarely),
        IN_BASE(the_end_writes_what_is_left),
        cmocka_unit_test(the_directory_is_the_managers_or_beside_the_sockets),
        IN_BASE(a_cluster_of_the_papers_size_costs_the_loop_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

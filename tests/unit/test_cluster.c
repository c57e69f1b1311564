/* What messages do to a cluster: all or nothing, subband by subband. No thread, no core. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/batch_case.h"

static beam_scene *paper(void)
{
    return test_golden_scene("paper_eps010");
}

static beamd_bands bands_of(int count)
{
    beamd_bands set = {{0}};
    for (int b = 0; b < count; b++) {
        beamd_bands_add(&set, b);
    }
    return set;
}

static void assert_bands(const beamd_bands *a, const beamd_bands *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

/* Up to the rounding of the turn. */
static bool near(beam_complex a, beam_complex b)
{
    return hypot(a.re - b.re, a.im - b.im) <= 1e-14 * hypot(a.re, a.im);
}

/* Is band `b` of the cluster band `turned` of the scene, for its first `users` users? */
static bool band_is(const beamd_cluster *c, int b, const beam_scene *scene, int turned, int users)
{
    const int N = scene->dims.antennas;
    if (c->live.scene.dims.users != users) {
        return false;
    }
    for (int l = 0; l < scene->dims.stations; l++) {
        for (int u = 0; u < users; u++) {
            if (c->band[b].error_radius[l * users + u] != *test_radius(scene, l, u)) {
                return false;
            }
            for (int n = 0; n < N; n++) {
                const beam_complex want = case_channel(scene, turned, l, u, n);
                const beam_complex have = c->band[b].channel[(l * users + u) * N + n];
                if (!near(want, have)) {
                    return false;
                }
            }
        }
    }
    return true;
}

typedef void change(Beamd__RegisterCluster *m);
static void too_many_bands(Beamd__RegisterCluster *m)
{
    m->subbands = BEAM_WIRE_MAX_SUBBANDS + 1;
}
static void negative_growth(Beamd__RegisterCluster *m)
{
    m->error_growth_per_s = -1;
}
static void no_growth_at_all(Beamd__RegisterCluster *m)
{
    m->error_growth_per_s = NAN;
}
static void few_bits(Beamd__RegisterCluster *m)
{
    m->beam_bits = 7;
}
static void unknown_element(Beamd__RegisterCluster *m)
{
    m->beam_element = (Beamd__ElementType)77;
}
static void same_name(Beamd__RegisterCluster *m)
{
    m->preferences[1]->name[0] = 'a';
}
static void bad_name(Beamd__RegisterCluster *m)
{
    m->preferences[1]->name[0] = ' ';
}
static void no_direction(Beamd__RegisterCluster *m)
{
    m->preferences[1]->preference->u1 = m->preferences[1]->preference->u2 = 0;
}
static void no_preference(Beamd__RegisterCluster *m)
{
    m->preferences[0]->preference->u1 = NAN;
}

static void test_registrations_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        change *apply;
        const char *field;
        Beamd__ErrorCode code;
    } cases[] = {
        {too_many_bands, "subbands", BEAMD__ERROR_CODE__ERROR_LIMIT},
        {negative_growth, "error_growth_per_s", BEAMD__ERROR_CODE__ERROR_INVALID},
        {no_growth_at_all, "error_growth_per_s", BEAMD__ERROR_CODE__ERROR_INVALID},
        {few_bits, "beam_bits", BEAMD__ERROR_CODE__ERROR_INVALID},
        {unknown_element, "beam_element", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {same_name, "preferences[1].name", BEAMD__ERROR_CODE__ERROR_INVALID},
        {bad_name, "preferences[1].name", BEAMD__ERROR_CODE__ERROR_INVALID},
        {no_direction, "preferences[1].preference", BEAMD__ERROR_CODE__ERROR_INVALID},
        {no_preference, "preferences[0].preference", BEAMD__ERROR_CODE__ERROR_INVALID},
    };
    beam_scene *scene = paper();
    const char *names[] = {"a", "b", NULL};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        beam_wire_error err = {.text = ""};
        Beamd__RegisterCluster *m = case_registration(scene, 3, names);
        cases[k].apply(m);
        assert_null(beamd_cluster_create("c", m, &case_limits, &err));
        assert_string_equal(err.field, cases[k].field);
        assert_int_equal(err.code, cases[k].code);
        case_registration_free(m);
    }
    test_scene_free(scene);
}

/* The size counts tasks and answers, and what is refused says how much it needs. */
static void test_memory_is_limited(void **state)
{
    (void)state;
    beam_scene *scene = paper();
    const char *names[] = {"a", "b", NULL};
    size_t bytes[2];
    for (int k = 0; k < 2; k++) {
        beamd_cluster *c = case_cluster(scene, 20, k ? names : NULL);
        assert_int_equal(c->tasks, 3);
        assert_int_equal(c->task[0]->slots, 8);
        assert_true(c->spare->one_solver);
        size_t tasks = c->spare->bytes;
        for (int t = 0; t < c->tasks; t++) {
            tasks += c->task[t]->bytes;
        }
        bytes[k] = c->bytes;
        assert_true(c->bytes > tasks);
        beamd_cluster_destroy(&c);
        assert_null(c);
    }
    assert_true(bytes[1] > bytes[0]);
    for (int k = 0; k < 3; k++) {
        beam_wire_error err = {.text = ""};
        beamd_cluster_limits limits = case_limits;
        limits.bytes_max = k == 1 ? bytes[0] - 1 : limits.bytes_max;
        limits.bytes_left = k == 2 ? bytes[0] - 1 : limits.bytes_left;
        Beamd__RegisterCluster *m = case_registration(scene, 20, NULL);
        beamd_cluster *c = beamd_cluster_create("c", m, &limits, &err);
        assert_true((c != NULL) == (k == 0));
        if (!c) {
            assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_LIMIT);
            assert_non_null(strstr(err.text, "MiB"));
        }
        beamd_cluster_destroy(&c);
        case_registration_free(m);
    }
    test_scene_free(scene);
    /* an answer that no message could hold */
    scene = test_golden_scene("wide_n64");
    const char *four[] = {"a", "b", "c", "d", NULL};
    beam_wire_error err = {.text = ""};
    Beamd__RegisterCluster *m = case_registration(scene, BEAM_WIRE_MAX_SUBBANDS, four);
    assert_null(beamd_cluster_create("c", m, &case_limits, &err));
    assert_string_equal(err.field, "subbands");
    assert_non_null(strstr(err.text, "message"));
    case_registration_free(m);
    test_scene_free(scene);
}

static void test_updates_of_some_subbands(void **state)
{
    (void)state;
    beam_scene *scene = paper();
    const int U = scene->dims.users;
    beam_wire_error err;
    beamd_bands changed;
    beamd_cluster *c = case_cluster(scene, 5, NULL);
    assert_int_equal(case_targets(c, scene, 1, &err), 0);
    assert_int_equal(case_send_csi(c, scene, 50, 1, NULL, 4, &changed, &err), -1);
    assert_string_equal(err.field, "subbands"); /* users that are new need all */
    assert_false(c->has_csi);
    assert_int_equal(case_send_csi(c, scene, 50, 1, NULL, 5, &changed, &err), 0);
    const beamd_bands all = bands_of(5);
    assert_bands(&changed, &all);
    assert_int_equal(c->users_generation, 1);
    /* two of them, with the channels of another subband */
    const int some[] = {3, 1};
    case_csi *update = case_csi_new(scene, 0, U, some, 2);
    update->band[0].index = 1;
    update->band[1].index = 3;
    update->message.csi_age_us = 40;
    assert_int_equal(beamd_cluster_set_csi(c, 100000, 2, &update->message, &changed, &err), 0);
    beamd_bands want = {{0}};
    beamd_bands_add(&want, 1);
    beamd_bands_add(&want, 3);
    assert_bands(&changed, &want);
    for (int b = 0; b < 5; b++) {
        const bool given = b == 1 || b == 3;
        assert_true(band_is(c, b, scene, b == 1 ? 3 : b == 3 ? 1 : b, U));
        assert_int_equal(c->band[b].csi_sequence, given ? 2 : 1);
        assert_int_equal(c->band[b].generation, given ? 2 : 1);
        assert_int_equal(c->band[b].measured_ns, given ? 60000 : 50);
    }
    assert_int_equal(c->users_generation, 1);
    assert_int_equal(c->csi_sequence, 2);
    /* noise holds for all, without new answers; a weight asks for new ones */
    update->user[0].noise_w *= 2;
    assert_int_equal(beamd_cluster_set_csi(c, 100000, 3, &update->message, &changed, &err), 0);
    assert_bands(&changed, &want);
    assert_true(c->live.scene.user_noise_w[0] == update->user[0].noise_w);
    assert_int_equal(c->users_generation, 1);
    update->user[0].min_rate_bps_hz = 0.25;
    assert_int_equal(beamd_cluster_set_csi(c, 100000, 4, &update->message, &changed, &err), 0);
    assert_bands(&changed, &all);
    assert_int_equal(c->users_generation, 1);
    update->user[1].weight = 3;
    assert_int_equal(beamd_cluster_set_csi(c, 100000, 5, &update->message, &changed, &err), 0);
    assert_bands(&changed, &all);
    assert_int_equal(c->users_generation, 2);
    assert_int_equal(c->band[0].csi_sequence, 5);
    assert_int_equal(c->band[0].measured_ns, 50); /* and its channels are as old as they are */
    case_csi_free(update);
    /* an older sender's clock cannot make channels of the future */
    update = case_csi_new(scene, 0, U, NULL, 5);
    update->message.csi_age_us = UINT32_MAX;
    assert_int_equal(beamd_cluster_set_csi(c, 100, 6, &update->message, &changed, &err), 0);
    assert_int_equal(c->band[0].measured_ns, 0);
    case_csi_free(update);
    /* nobody: no subband needed */
    update = case_csi_new(scene, 0, 0, NULL, 0);
    assert_int_equal(beamd_cluster_set_csi(c, 200, 7, &update->message, &changed, &err), 0);
    assert_bands(&changed, &all);
    assert_int_equal(c->live.scene.dims.users, 0);
    case_csi_free(update);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

/* Everything that an update could touch. */
typedef struct picture {
    size_t bytes;
    unsigned char *data;
} picture;

static picture picture_of(const beamd_cluster *c)
{
    const size_t U = (size_t)c->live.scene.dims.users, L = (size_t)c->max.stations;
    const size_t N = (size_t)c->max.antennas, J = (size_t)c->max.targets;
    const size_t links = L * U;
    const uint64_t numbers[] = {c->csi_sequence,
                                c->target_generation,
                                c->users_generation,
                                c->changed,
                                (uint64_t)c->has_csi,
                                (uint64_t)c->has_targets,
                                (uint64_t)c->live.scene.dims.users,
                                c->target_time_ns};
    picture p = {0, test_memory((size_t)c->subbands * (links * (N * 16 + 8) + sizeof(beamd_band)) +
                                U * 64 + J * 16 + L * J * L * 16 + sizeof numbers)};
    struct {
        const void *from;
        size_t bytes;
    } parts[7 + 3 * BEAM_WIRE_MAX_SUBBANDS] = {
        {numbers, sizeof numbers},
        {c->live.user_id, U * 8},
        {c->live.scene.user_station, U * sizeof(int)},
        {c->live.scene.user_weight, U * 8},
        {c->live.scene.user_noise_w, U * 8},
        {c->live.scene.target_position_m, J * 16},
        {c->live.scene.reflection, L * J * L * 16},
    };
    size_t count = 7;
    for (int b = 0; b < c->subbands; b++) {
        parts[count].from = c->band[b].channel;
        parts[count++].bytes = links * N * 16;
        parts[count].from = c->band[b].error_radius;
        parts[count++].bytes = links * 8;
        parts[count].from = &c->band[b].csi_sequence;
        parts[count++].bytes = 3 * sizeof(uint64_t);
    }
    for (size_t k = 0; k < count; k++) {
        memcpy(p.data + p.bytes, parts[k].from, parts[k].bytes);
        p.bytes += parts[k].bytes;
    }
    return p;
}

static void assert_unchanged(const beamd_cluster *c, const picture *before)
{
    picture now = picture_of(c);
    assert_int_equal(now.bytes, before->bytes);
    assert_memory_equal(now.data, before->data, now.bytes);
    free(now.data);
}

typedef void spoil(case_csi *m);
static void index_twice(case_csi *m)
{
    m->band[2].index = 0;
}
static void index_beyond(case_csi *m)
{
    m->band[1].index = 3;
}
static void nan_in_the_last(case_csi *m)
{
    memset(m->array[2].data.data + 16, 0xff, 8);
}
static void huge_in_the_last(case_csi *m)
{
    const double huge[2] = {1e300, 0};
    beam_wire_complex_encode(BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64, BEAM_WIRE_ROUND_NEAREST,
                             huge, 1, m->array[2].data.data, 16);
}
static void negative_radius(case_csi *m)
{
    m->radius[1] = -1;
}
static void radius_missing(case_csi *m)
{
    m->band[1].n_error_radius--;
}
static void shape_wrong(case_csi *m)
{
    m->shape[2]++;
}
static void user_twice(case_csi *m)
{
    m->user[1].user_id = m->user[0].user_id;
}
static void station_beyond(case_csi *m)
{
    m->user[2].station = 99;
}
static void noise_zero(case_csi *m)
{
    m->user[2].noise_w = 0;
}
static void weight_nan(case_csi *m)
{
    m->user[0].weight = NAN;
}
static void nothing_in_it(case_csi *m)
{
    m->message.n_subbands = 0;
}
static void other_user(case_csi *m)
{
    m->user[0].user_id = 7;
    m->message.n_subbands = 2;
}
static void other_order(case_csi *m)
{
    m->user[0].user_id = 101;
    m->user[1].user_id = 100;
    m->message.n_subbands = 1;
}

static void test_refused_updates_change_nothing(void **state)
{
    (void)state;
    static const struct {
        spoil *apply;
        const char *field;
    } cases[] = {
        {index_twice, "subbands[2].index"},
        {index_beyond, "subbands[1].index"},
        {nan_in_the_last, "subbands[2].channels[0][0][1]"},
        {huge_in_the_last, "subbands[2].users[0].channels[0][0]"},
        {negative_radius, NULL},
        {radius_missing, "subbands[1].error_radius"},
        {shape_wrong, "subbands[0].channels.shape[2]"},
        {user_twice, "users[1].user_id"},
        {station_beyond, "users[2].station"},
        {noise_zero, NULL},
        {weight_nan, NULL},
        {nothing_in_it, "subbands"},
        {other_user, "subbands"},
        {other_order, "subbands"},
    };
    beam_scene *scene = paper();
    beamd_cluster *c = case_ready(scene, 3, NULL);
    picture before = picture_of(c);
    beam_wire_error err;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        beamd_bands changed;
        memset(&changed, 0xab, sizeof changed);
        const beamd_bands untouched = changed;
        case_csi *m = case_csi_new(scene, 0, scene->dims.users, NULL, 3);
        const size_t given = m->message.n_subbands;
        cases[k].apply(m);
        assert_int_equal(beamd_cluster_set_csi(c, 5000, 9, &m->message, &changed, &err), -1);
        if (cases[k].field && strcmp(err.field, cases[k].field) != 0) {
            fail_msg("case %zu: field %s instead of %s (%s)", k, err.field, cases[k].field,
                     err.text);
        }
        assert_true(err.field[0] != 0 && err.text[0] != 0);
        assert_bands(&changed, &untouched);
        assert_unchanged(c, &before);
        m->message.n_subbands = given;
        case_csi_free(m);
    }
    /* targets likewise */
    const double kept = scene->target_position_m[1];
    scene->target_position_m[1] = NAN;
    assert_int_equal(case_targets(c, scene, 9, &err), -1);
    assert_unchanged(c, &before);
    scene->target_position_m[1] = kept;
    /* and leaving */
    uint64_t ids[] = {100, 100};
    Beamd__UsersLeave leave = BEAMD__USERS_LEAVE__INIT;
    leave.n_user_ids = 2;
    leave.user_ids = ids;
    assert_int_equal(beamd_cluster_leave(c, 9, &leave, NULL, &err), -1);
    assert_string_equal(err.field, "user_ids[1]");
    ids[1] = 5;
    assert_int_equal(beamd_cluster_leave(c, 9, &leave, NULL, &err), -1);
    assert_unchanged(c, &before);
    free(before.data);
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

static int join(beamd_cluster *c, const beam_scene *scene, int first, int users, int bands,
                uint64_t now_ns, uint64_t sequence, beamd_bands *changed, beam_wire_error *err)
{
    case_csi *m = case_csi_new(scene, first, users, NULL, bands);
    Beamd__UsersJoin message = BEAMD__USERS_JOIN__INIT;
    message.n_users = m->message.n_users;
    message.users = m->message.users;
    message.n_subbands = m->message.n_subbands;
    message.subbands = m->message.subbands;
    const int result = beamd_cluster_join(c, now_ns, sequence, &message, changed, err);
    case_csi_free(m);
    return result;
}

static void test_joins_and_leaves(void **state)
{
    (void)state;
    enum { BANDS = 3 };
    beam_scene *scene = test_golden_scene("multi_n8");
    const int U = scene->dims.users;
    assert_true(U >= 4);
    beam_wire_error err;
    beamd_bands changed;
    const beamd_bands all = bands_of(BANDS);
    beamd_cluster *c = case_cluster(scene, BANDS, NULL);
    assert_int_equal(case_targets(c, scene, 1, &err), 0);
    /* one after the other, from nobody */
    for (int u = 0; u < U; u++) {
        picture before = picture_of(c);
        assert_int_equal(join(c, scene, u, 1, BANDS - 1, 10, 90, &changed, &err), -1);
        assert_string_equal(err.field, "subbands");
        assert_unchanged(c, &before);
        free(before.data);
        const uint64_t generation = c->users_generation;
        assert_int_equal(
            join(c, scene, u, 1, BANDS, 100 + (uint64_t)u, 1 + (uint64_t)u, &changed, &err), 0);
        assert_bands(&changed, &all);
        assert_int_equal(c->users_generation, generation + 1);
        for (int b = 0; b < BANDS; b++) {
            assert_true(band_is(c, b, scene, b, u + 1));
            assert_int_equal(c->band[b].measured_ns, 100); /* of the oldest */
            assert_int_equal(c->band[b].csi_sequence, 1 + u);
        }
    }
    assert_int_equal(join(c, scene, 0, 1, BANDS, 10, 90, &changed, &err), -1);
    assert_int_equal(err.code, BEAMD__ERROR_CODE__ERROR_LIMIT);
    /* the second leaves: the others keep theirs */
    uint64_t id = 101;
    Beamd__UsersLeave leave = BEAMD__USERS_LEAVE__INIT;
    leave.n_user_ids = 1;
    leave.user_ids = &id;
    assert_int_equal(beamd_cluster_leave(c, 50, &leave, &changed, &err), 0);
    assert_bands(&changed, &all);
    assert_int_equal(c->live.scene.dims.users, U - 1);
    const int N = scene->dims.antennas;
    for (int b = 0; b < BANDS; b++) {
        assert_int_equal(c->band[b].csi_sequence, 50);
        for (int l = 0; l < scene->dims.stations; l++) {
            for (int at = 0; at < U - 1; at++) {
                const int u = at < 1 ? at : at + 1;
                const int k = l * (U - 1) + at;
                assert_int_equal(c->live.user_id[at], 100 + u);
                assert_true(c->band[b].error_radius[k] == *test_radius(scene, l, u));
                const beam_complex want = case_channel(scene, b, l, u, N - 1);
                const beam_complex have = c->band[b].channel[k * N + N - 1];
                assert_true(near(want, have));
            }
        }
    }
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

/* radius^2 + (growth |h| age)^2, link by link. */
static void test_ageing(void **state)
{
    (void)state;
    beam_scene *scene = paper();
    const int L = scene->dims.stations, U = scene->dims.users, N = scene->dims.antennas;
    *test_radius(scene, 0, 0) = 0;
    beam_wire_error err;
    Beamd__RegisterCluster *m = case_registration(scene, 2, NULL);
    m->error_growth_per_s = 2.5;
    beamd_cluster *c = beamd_cluster_create("c", m, &case_limits, &err);
    case_registration_free(m);
    assert_non_null(c);
    assert_int_equal(case_targets(c, scene, 1, &err), 0);
    assert_int_equal(case_send_csi(c, scene, 1000000000, 1, NULL, 2, NULL, &err), 0);
    const int second = 1;
    assert_int_equal(case_send_csi(c, scene, 1020000000, 2, &second, 1, NULL, &err), 0);
    static const uint64_t now_ns[] = {0, 1000000000, 1020000000, 1120000000};
    for (size_t k = 0; k < 4; k++) {
        beamd_task *task = c->task[0];
        case_snapshot(c, task, 0, 2, now_ns[k]);
        for (int b = 0; b < 2; b++) {
            const uint64_t measured = b == 0 ? 1000000000 : 1020000000;
            const uint64_t age_ns = now_ns[k] > measured ? now_ns[k] - measured : 0;
            double largest = 1;
            for (int l = 0; l < L; l++) {
                for (int u = 0; u < U; u++) {
                    double norm2 = 0;
                    for (int n = 0; n < N; n++) {
                        const beam_complex h = case_channel(scene, b, l, u, n);
                        norm2 += h.re * h.re + h.im * h.im;
                    }
                    const double grown = 2.5 * (double)age_ns * 1e-9, r = *test_radius(scene, l, u);
                    const double want = sqrt(r * r + grown * grown * norm2);
                    const double have = *test_radius(&task->slot[b].view.scene, l, u);
                    assert_true(fabs(have - want) <= 1e-12 * (want + 1e-300));
                    largest = r > 0 ? fmax(largest, want / r) : largest;
                    assert_true(c->band[b].error_radius[l * U + u] == r); /* kept as it came */
                }
            }
            const beamd_answer *a = task->answer[b * BEAM_WIRE_MAX_PREFERENCES];
            assert_int_equal(a->csi_age_ns, age_ns);
            assert_true(fabs(a->error_growth - largest) <= 1e-12 * largest);
            assert_int_equal(a->csi_sequence, b + 1);
        }
    }
    beamd_cluster_destroy(&c);
    test_scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registrations_that_are_refused),
        cmocka_unit_test(test_memory_is_limited),
        cmocka_unit_test(test_updates_of_some_subbands),
        cmocka_unit_test(test_refused_updates_change_nothing),
        cmocka_unit_test(test_joins_and_leaves),
        cmocka_unit_test(test_ageing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/batch_case.h"

const beamd_cluster_limits case_limits = {.users_max = BEAM_MAX_USERS,
                                          .threads = 4,
                                          .bytes_max = (size_t)1 << 30,
                                          .bytes_left = (size_t)1 << 31};

Beamd__RegisterCluster *case_registration(const beam_scene *scene, int subbands,
                                          const char *const *names)
{
    static const double tradeoffs[BEAM_WIRE_MAX_PREFERENCES] = {0.5, 0.9, 0.1, 0.7};
    const size_t L = (size_t)scene->dims.stations;
    Beamd__RegisterCluster *m = test_memory(sizeof *m);
    beamd__register_cluster__init(m);
    m->array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    m->user_antennas = 1;
    m->n_stations = L;
    m->stations = test_memory(L * sizeof *m->stations);
    for (size_t l = 0; l < L; l++) {
        m->stations[l] = test_memory(sizeof **m->stations);
        beamd__station__init(m->stations[l]);
        m->stations[l]->x_m = scene->station_position_m[2 * l];
        m->stations[l]->y_m = scene->station_position_m[2 * l + 1];
        m->stations[l]->axis_rad = scene->station_axis_rad[l];
        m->stations[l]->antennas = (uint32_t)scene->dims.antennas;
        m->stations[l]->power_w = scene->station_power_w[l];
        m->stations[l]->echo_noise_w = scene->station_echo_noise_w[l];
    }
    m->sensing = (Beamd__SensingModel)(scene->sensing + 1);
    m->snapshots = scene->snapshots;
    m->bandwidth_hz = scene->bandwidth_hz;
    m->skip_unidentifiable = scene->skip_unidentifiable;
    m->max_users = (uint32_t)scene->dims.users;
    m->targets = (uint32_t)scene->dims.targets;
    m->subbands = (uint32_t)subbands;
    while (names && names[m->n_preferences]) {
        m->n_preferences++;
    }
    m->preferences =
        m->n_preferences ? test_memory(m->n_preferences * sizeof *m->preferences) : NULL;
    for (size_t p = 0; p < m->n_preferences; p++) {
        Beamd__NamedPreference *named = test_memory(sizeof *named);
        const beam_preference u = beam_preference_from_tradeoff(tradeoffs[p % 4]);
        beamd__named_preference__init(named);
        named->name = test_memory(strlen(names[p]) + 1);
        memcpy(named->name, names[p], strlen(names[p]) + 1);
        named->preference = test_memory(sizeof *named->preference);
        beamd__preference__init(named->preference);
        named->preference->u1 = u.u1;
        named->preference->u2 = u.u2;
        m->preferences[p] = named;
    }
    return m;
}

void case_registration_free(Beamd__RegisterCluster *m)
{
    for (size_t l = 0; l < m->n_stations; l++) {
        free(m->stations[l]);
    }
    for (size_t p = 0; p < m->n_preferences; p++) {
        free(m->preferences[p]->name);
        free(m->preferences[p]->preference);
        free(m->preferences[p]);
    }
    free(m->stations);
    free(m->preferences);
    free(m);
}

beamd_cluster *case_cluster(const beam_scene *scene, int subbands, const char *const *names)
{
    beam_wire_error err = {.text = ""};
    Beamd__RegisterCluster *m = case_registration(scene, subbands, names);
    beamd_cluster *c = beamd_cluster_create("case", m, &case_limits, &err);
    if (!c) {
        fail_msg("not registered: %s %s", err.field, err.text);
    }
    case_registration_free(m);
    return c;
}

static void put_array(Beamd__ComplexArray *array, uint32_t *shape, size_t dims, size_t count,
                      const beam_complex *values)
{
    beamd__complex_array__init(array);
    array->element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
    array->order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    array->n_shape = dims;
    array->shape = shape;
    array->data.data = test_memory(count * 16 + 1);
    array->data.len = beam_wire_complex_encode(array->element, BEAM_WIRE_ROUND_NEAREST,
                                               &values[0].re, count, array->data.data, count * 16);
}

int case_targets(beamd_cluster *cluster, const beam_scene *scene, uint64_t sequence,
                 beam_wire_error *err)
{
    const uint32_t L = (uint32_t)scene->dims.stations, J = (uint32_t)scene->dims.targets;
    Beamd__TargetUpdate m = BEAMD__TARGET_UPDATE__INIT;
    Beamd__Target target[BEAM_MAX_TARGETS], *at[BEAM_MAX_TARGETS];
    Beamd__ComplexArray reflection;
    uint32_t shape[3] = {L, J, L};
    for (uint32_t j = 0; j < J; j++) {
        beamd__target__init(&target[j]);
        target[j].x_m = scene->target_position_m[2 * j];
        target[j].y_m = scene->target_position_m[2 * j + 1];
        at[j] = &target[j];
    }
    m.n_targets = J;
    m.targets = at;
    put_array(&reflection, shape, 3, (size_t)L * J * L, scene->reflection);
    m.reflection = &reflection;
    const int result = beamd_cluster_set_targets(cluster, &m, err);
    cluster->target_sequence = result == 0 ? sequence : cluster->target_sequence;
    free(reflection.data.data);
    return result;
}

beam_complex case_channel(const beam_scene *scene, int band, int l, int u, int n)
{
    const beam_complex h = test_channel(scene, l, u)[n];
    const double angle = 0.2 * band * n / scene->dims.antennas + 0.05 * band * (l + u);
    return (beam_complex){h.re * cos(angle) - h.im * sin(angle),
                          h.re * sin(angle) + h.im * cos(angle)};
}

case_csi *case_csi_new(const beam_scene *scene, int first, int users, const int *bands, int count)
{
    const size_t L = (size_t)scene->dims.stations, N = (size_t)scene->dims.antennas;
    const size_t links = L * (size_t)users;
    case_csi *c = test_memory(sizeof *c);
    beamd__csi_update__init(&c->message);
    c->message.n_users = (size_t)users;
    c->message.users = c->user_at;
    for (int i = 0; i < users; i++) {
        const int u = first + i;
        beamd__user__init(&c->user[i]);
        c->user[i].user_id = 100 + (uint64_t)u;
        c->user[i].station = (uint32_t)scene->user_station[u];
        c->user[i].weight = scene->user_weight[u];
        c->user[i].noise_w = scene->user_noise_w[u];
        c->user[i].min_rate_bps_hz = scene->user_min_rate_bps_hz[u];
        c->user_at[i] = &c->user[i];
    }
    c->band = test_memory((size_t)count * sizeof *c->band + 1);
    c->band_at = test_memory((size_t)count * sizeof(Beamd__Subband *) + 1);
    c->array = test_memory((size_t)count * sizeof *c->array + 1);
    c->radius = test_memory((links ? links : 1) * sizeof(double));
    c->shape[0] = (uint32_t)L;
    c->shape[1] = (uint32_t)users;
    c->shape[2] = (uint32_t)N;
    beam_complex *values = test_memory((links * N + 1) * sizeof *values);
    for (int i = 0; i < count; i++) {
        const int b = bands ? bands[i] : i;
        for (size_t l = 0; l < L; l++) {
            for (size_t k = 0; k < (size_t)users; k++) {
                const int u = first + (int)k;
                c->radius[l * (size_t)users + k] = *test_radius(scene, (int)l, u);
                for (size_t n = 0; n < N; n++) {
                    values[(l * (size_t)users + k) * N + n] =
                        case_channel(scene, b, (int)l, u, (int)n);
                }
            }
        }
        put_array(&c->array[i], c->shape, 3, links * N, values);
        beamd__subband__init(&c->band[i]);
        c->band[i].channels = &c->array[i];
        c->band[i].index = (uint32_t)b;
        c->band[i].n_error_radius = links;
        c->band[i].error_radius = c->radius;
        c->band_at[i] = &c->band[i];
    }
    free(values);
    c->message.n_subbands = (size_t)count;
    c->message.subbands = c->band_at;
    return c;
}

void case_csi_free(case_csi *c)
{
    for (size_t i = 0; i < c->message.n_subbands; i++) {
        free(c->array[i].data.data);
    }
    free(c->radius);
    free(c->array);
    free(c->band_at);
    free(c->band);
    free(c);
}

int case_send_csi(beamd_cluster *cluster, const beam_scene *scene, uint64_t now_ns,
                  uint64_t sequence, const int *bands, int count, beamd_bands *changed,
                  beam_wire_error *err)
{
    case_csi *c = case_csi_new(scene, 0, scene->dims.users, bands, count);
    const int result = beamd_cluster_set_csi(cluster, now_ns, sequence, &c->message, changed, err);
    case_csi_free(c);
    return result;
}

beamd_cluster *case_ready(const beam_scene *scene, int subbands, const char *const *names)
{
    beam_wire_error err = {.text = ""};
    beamd_cluster *c = case_cluster(scene, subbands, names);
    if (case_targets(c, scene, 1, &err) < 0 ||
        case_send_csi(c, scene, 1000000000, 1, NULL, subbands, NULL, &err) < 0) {
        fail_msg("%s %s", err.field, err.text);
    }
    return c;
}

void case_snapshot(beamd_cluster *cluster, beamd_task *task, int first, int count, uint64_t now_ns)
{
    task->subbands = count;
    for (int i = 0; i < count; i++) {
        task->subband[i] = first + i;
    }
    task->excluded = BEAMD_FALLBACK_NONE;
    task->reduced = false;
    task->refine = 0;
    task->iterations = 0;
    task->tolerance = 0;
    task->stop_at_ns = UINT64_MAX / 2;
    beamd_cluster_snapshot(cluster, task, now_ns, 0.5);
}

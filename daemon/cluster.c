/* Registration of a cluster, and its memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

/* Beyond it an estimate is worth nothing after a millisecond. */
#define ERROR_GROWTH_MAX_PER_S 1e3

int beamd_engine_error(beam_wire_error *err, const beam_error *from)
{
    Beamd__ErrorCode code = BEAMD__ERROR_CODE__ERROR_NUMERIC;
    switch (from->code) {
    case BEAM_E_INVALID:
        code = BEAMD__ERROR_CODE__ERROR_INVALID;
        break;
    case BEAM_E_UNSUPPORTED:
        code = BEAMD__ERROR_CODE__ERROR_UNSUPPORTED;
        break;
    case BEAM_E_LIMIT:
        code = BEAMD__ERROR_CODE__ERROR_LIMIT;
        break;
    case BEAM_E_NUMERIC:
    case BEAM_OK:
        break;
    }
    return beam_wire_fail(err, code, from->field, "%s", from->text);
}

double beamd_tradeoff_of(const Beamd__Preference *preference)
{
    if (preference->u1 < 0 || preference->u2 < 0) {
        return NAN;
    }
    return beam_tradeoff_from_preference((beam_preference){preference->u1, preference->u2});
}

bool beamd_preference_name_valid(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t n = strspn(name, good);
    return n > 0 && n <= BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES && name[n] == 0;
}

/* Until the first TargetUpdate the scene holds places where nothing is, so that stations and users
 * can be validated; no job is made from it before. */
static void park_targets(beam_scene *scene)
{
    double far_m = 0;
    for (int l = 0; l < 2 * scene->dims.stations; l++) {
        far_m = fmax(far_m, fabs(scene->station_position_m[l]));
    }
    for (int j = 0; j < scene->dims.targets; j++) {
        /* inside the engine's bound on positions for every admissible station */
        scene->target_position_m[2 * j] = far_m < 5e8 ? far_m + 10.0 * (j + 1) : 10.0 * (j + 1);
        scene->target_position_m[2 * j + 1] = far_m < 5e8 ? 0 : 12345.678;
    }
}

static int check_registration(const Beamd__RegisterCluster *m, const beamd_cluster_limits *limits,
                              beam_wire_error *err)
{
    if (m->array != BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR) {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(&beamd__array_kind__descriptor, (int)m->array);
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, "array",
                              "%s is not built, only ARRAY_UNIFORM_LINEAR is",
                              value ? value->name : "this value");
    }
    if (m->user_antennas != 1) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, "user_antennas",
                              "is %u, only users with one antenna are built", m->user_antennas);
    }
    if (m->n_stations == 0) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "stations", "there is none");
    }
    for (size_t l = 1; l < m->n_stations; l++) {
        if (m->stations[l]->antennas != m->stations[0]->antennas) {
            char field[64];
            snprintf(field, sizeof field, "stations[%zu].antennas", l);
            return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, field,
                                  "is %u, station 0 has %u: all must be equal",
                                  m->stations[l]->antennas, m->stations[0]->antennas);
        }
    }
    if (m->max_users > (uint32_t)limits->users_max) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "max_users",
                              "is %u, this daemon takes at most %d", m->max_users,
                              limits->users_max);
    }
    if (m->sensing < BEAMD__SENSING_MODEL__SENSING_RESOLVED ||
        m->sensing > BEAMD__SENSING_MODEL__SENSING_BAND) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "sensing",
                              "sensing model %d is not known", (int)m->sensing);
    }
    if (!isfinite(m->carrier_hz) || m->carrier_hz < 0 || m->carrier_hz > 1e15) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "carrier_hz",
                              "must be between 0 and 1e15");
    }
    return 0;
}

static int check_answers(const Beamd__RegisterCluster *m, beam_wire_error *err)
{
    if (m->subbands > BEAM_WIRE_MAX_SUBBANDS) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "subbands", "is %u, at most %d",
                              m->subbands, BEAM_WIRE_MAX_SUBBANDS);
    }
    if (!(m->error_growth_per_s >= 0) || !(m->error_growth_per_s <= ERROR_GROWTH_MAX_PER_S)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "error_growth_per_s",
                              "must be between 0 and %g", ERROR_GROWTH_MAX_PER_S);
    }
    if (m->beam_element != BEAMD__ELEMENT_TYPE__ELEMENT_UNSPECIFIED &&
        !beamd_format_served(m->beam_element)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_UNSUPPORTED, "beam_element",
                              "element type %d is not built", (int)m->beam_element);
    }
    if (m->beam_bits != 0 &&
        (m->beam_bits < BEAM_WIRE_BFP_BITS_MIN || m->beam_bits > BEAM_WIRE_BFP_BITS_MAX)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "beam_bits",
                              "is %u, %d to %d or 0", m->beam_bits, BEAM_WIRE_BFP_BITS_MIN,
                              BEAM_WIRE_BFP_BITS_MAX);
    }
    if (m->preference && isnan(beamd_tradeoff_of(m->preference))) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "preference",
                              "u1 and u2 must be finite, not negative and not both 0");
    }
    return 0;
}

/* "preferences[2].name" */
static int refuse_preference(size_t index, const char *member, const char *why,
                             beam_wire_error *err)
{
    char field[64];
    snprintf(field, sizeof field, "preferences[%zu].%s", index, member);
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, field, "%s", why);
}

static int fill_preferences(beamd_cluster *c, const Beamd__RegisterCluster *m, beam_wire_error *err)
{
    c->has_preference = m->preference != NULL;
    c->tradeoff = m->preference ? beamd_tradeoff_of(m->preference) : 0;
    if (m->n_preferences > BEAM_WIRE_MAX_PREFERENCES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "preferences",
                              "%zu preferences, at most %d", m->n_preferences,
                              BEAM_WIRE_MAX_PREFERENCES);
    }
    for (size_t i = 0; i < m->n_preferences; i++) {
        const Beamd__NamedPreference *from = m->preferences[i];
        const double tradeoff = from->preference ? beamd_tradeoff_of(from->preference) : NAN;
        if (!beamd_preference_name_valid(from->name)) {
            return refuse_preference(i, "name", "is not 1 to 31 letters, digits, '.', '_', '-'",
                                     err);
        }
        if (isnan(tradeoff)) {
            return refuse_preference(i, "preference",
                                     "u1 and u2 must be finite, not negative and not both 0", err);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(c->named[k].name, from->name) == 0) {
                return refuse_preference(i, "name", "is given twice", err);
            }
        }
        c->named[i].tradeoff = tradeoff;
        memcpy(c->named[i].name, from->name, strlen(from->name) + 1);
    }
    c->named_count = (int)m->n_preferences;
    c->preferences_room = c->named_count > 0 ? c->named_count : 1;
    return 0;
}

/* uint32 of a message as an int that no limit admits when it is too large. */
static int clip(uint32_t value)
{
    return value > 1000000 ? 1000000 : (int)value;
}

static int fill_stations(beamd_cluster *c, const Beamd__RegisterCluster *m, beam_wire_error *err)
{
    beam_dims dims = c->max;
    dims.users = 0;
    if (beamd_view_lay(&c->live, &dims, err) < 0) {
        return -1;
    }
    beam_scene *s = &c->live.scene;
    s->snapshots = m->snapshots;
    s->bandwidth_hz = m->bandwidth_hz;
    s->skip_unidentifiable = m->skip_unidentifiable;
    s->sensing = m->sensing == BEAMD__SENSING_MODEL__SENSING_BAND       ? BEAM_SENSING_BAND
                 : m->sensing == BEAMD__SENSING_MODEL__SENSING_COHERENT ? BEAM_SENSING_COHERENT
                                                                        : BEAM_SENSING_RESOLVED;
    for (size_t l = 0; l < m->n_stations; l++) {
        s->station_position_m[2 * l] = m->stations[l]->x_m;
        s->station_position_m[2 * l + 1] = m->stations[l]->y_m;
        s->station_axis_rad[l] = m->stations[l]->axis_rad;
        s->station_power_w[l] = m->stations[l]->power_w;
        s->station_echo_noise_w[l] = m->stations[l]->echo_noise_w;
    }
    park_targets(s);
    beam_error error;
    return beam_scene_validate(s, &error) == BEAM_OK ? 0 : beamd_engine_error(err, &error);
}

/* Upper bound of an answer of all subbands and `preferences`: every number of the schema at its
 * longest, plus the arrays. */
static size_t frame_bytes(const beamd_cluster *c, int preferences)
{
    const beam_dims *max = &c->max;
    const beamd_format *format = &c->format;
    const size_t row = (size_t)max->antennas, users = (size_t)max->users;
    const size_t columns = (size_t)max->stations * (size_t)c->sensing_max;
    const size_t one = 1024 + beam_wire_complex_bytes(format->element, format->bits, users * row) +
                       beam_wire_complex_bytes(format->element, format->bits, columns * row) +
                       users * 80u + (size_t)max->stations * 64u + (size_t)max->targets * 40u;
    return BEAM_WIRE_HEADER_BYTES + 1024 + one * (size_t)c->subbands * (size_t)preferences;
}

static void carve_bands(beamd_band *bands, beamd_cluster *c, beamd_arena *a)
{
    const size_t links = (size_t)c->max.stations * (size_t)c->max.users;
    for (int b = 0; b < c->subbands; b++) {
        beam_complex *channel =
            beamd_arena_take(a, links * (size_t)c->max.antennas * sizeof *channel);
        double *radius = beamd_arena_take(a, links * sizeof *radius);
        if (bands) {
            bands[b].channel = channel;
            bands[b].error_radius = radius;
        }
    }
}

static void carve(beamd_cluster *c, beamd_arena *a)
{
    const size_t bands = (size_t)c->subbands;
    const size_t links = (size_t)c->max.stations * (size_t)c->max.users;
    beamd_view_carve(&c->live, a, &c->max);
    beamd_view_carve(&c->next, a, &c->max);
    c->band = beamd_arena_take(a, bands * sizeof *c->band);
    c->fresh = beamd_arena_take(a, bands * sizeof *c->fresh);
    carve_bands(c->band, c, a);
    carve_bands(c->fresh, c, a);
    c->decoded = beamd_arena_take(a, links * (size_t)c->max.antennas * sizeof *c->decoded);
    c->decoded_radius = beamd_arena_take(a, links * sizeof *c->decoded_radius);
    c->sensing_rows = beamd_arena_take(a, beam_solver_sensing_bytes(&c->max));
    c->last = beamd_arena_take(a, bands * BEAM_WIRE_MAX_PREFERENCES * sizeof(beamd_answer *));
    c->check = beamd_arena_take(a, bands * BEAM_WIRE_MAX_PREFERENCES * sizeof(beamd_answer *));
}

static int slots_of(const beamd_cluster *c)
{
    return c->subbands < BEAMD_SLOTS ? c->subbands : BEAMD_SLOTS;
}

/* `last`, `check` and the answers of every task, for one preference. */
static size_t preference_bytes(const beamd_cluster *c)
{
    const size_t answers = 2u * (size_t)c->subbands + (size_t)(c->tasks + 1) * (size_t)slots_of(c);
    return answers * beamd_answer_bytes(&c->max, c->sensing_max);
}

static int refuse_bytes(size_t need, const char *field, const beamd_cluster_limits *limits,
                        beam_wire_error *err)
{
    const size_t most =
        limits->bytes_max < limits->bytes_left ? limits->bytes_max : limits->bytes_left;
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, field,
                          "a cluster of these sizes needs %zu MiB, %zu MiB are allowed",
                          (need >> 20) + 1, most >> 20);
}

static int refuse_memory(const char *field, beam_wire_error *err)
{
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, field,
                          "out of memory for a cluster of these sizes");
}

static int check_frame(const beamd_cluster *c, int preferences, const char *field,
                       beam_wire_error *err)
{
    const size_t need = frame_bytes(c, preferences);
    return need <= BEAM_WIRE_MAX_MESSAGE_BYTES
               ? 0
               : beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, field,
                                "an answer of %d subbands, %d preferences may take %zu MiB, a "
                                "message takes %d",
                                c->subbands, preferences, (need >> 20) + 1,
                                BEAM_WIRE_MAX_MESSAGE_BYTES >> 20);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int clamp(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int allocate(beamd_cluster *c, const beamd_cluster_limits *limits, beam_wire_error *err)
{
    beamd_arena count = {NULL, 0};
    c->band = c->fresh = NULL;
    carve(c, &count);
    const size_t block = beamd_arena_size(&count);
    const size_t last = 2u * (size_t)c->subbands * (size_t)c->preferences_room *
                        beamd_answer_bytes(&c->max, c->sensing_max);
    c->frame_capacity = frame_bytes(c, c->preferences_room);
    const size_t task = beamd_task_bytes(c, slots_of(c), false);
    while (c->tasks > larger(limits->threads, 1) &&
           (size_t)c->tasks * task > smaller(limits->bytes_max, limits->bytes_left) / 2) {
        c->tasks--; /* no registration is refused for the sake of a GPU */
    }
    c->bytes = sizeof *c + block + last + c->frame_capacity + beamd_refresh_bytes(c) +
               (size_t)c->tasks * task + beamd_task_bytes(c, slots_of(c), true);
    if (c->bytes > limits->bytes_max || c->bytes > limits->bytes_left) {
        return refuse_bytes(c->bytes, "stations", limits, err);
    }
    c->block = beamd_block_create(block);
    c->frame = beamd_block_create((c->frame_capacity + 63u) & ~(size_t)63u);
    if (!c->block || !c->frame) {
        return refuse_memory("stations", err);
    }
    beamd_arena real = {c->block, 0};
    carve(c, &real);
    return 0;
}

/* Answers of preference p for `last`, `check` and all tasks: those that are there already stay. */
static int take_answers(beamd_cluster *c, int p)
{
    beamd_answer **const list[] = {c->last, c->check};
    for (size_t k = 0; k < sizeof list / sizeof list[0]; k++) {
        for (int b = 0; b < c->subbands; b++) {
            beamd_answer **answer = &list[k][beamd_problem_index(b, p)];
            *answer = *answer ? *answer : beamd_answer_create(&c->max, c->sensing_max);
            if (!*answer) {
                return -1;
            }
        }
    }
    for (int t = 0; t < c->tasks; t++) {
        if (beamd_task_take_answers(c->task[t], c, p) < 0) {
            return -1;
        }
    }
    return beamd_task_take_answers(c->spare, c, p);
}

static int take_tasks(beamd_cluster *c, beam_wire_error *err)
{
    bool good = true;
    const int tasks = c->tasks;
    for (c->tasks = 0; good && c->tasks < tasks; c->tasks += good) {
        c->task[c->tasks] = beamd_task_create(c, slots_of(c), false);
        good = c->task[c->tasks] != NULL;
    }
    c->spare = good ? beamd_task_create(c, slots_of(c), true) : NULL;
    c->refresh = c->spare ? beamd_refresh_create(c) : NULL;
    for (int p = 0; c->refresh && good && p < c->preferences_room; p++) {
        good = take_answers(c, p) == 0;
    }
    return c->refresh && good ? 0 : refuse_memory("stations", err);
}

static void fill(beamd_cluster *c, const Beamd__RegisterCluster *m,
                 const beamd_cluster_limits *limits)
{
    c->sensing_max = beam_design_sensing_max(&c->max);
    c->subbands = m->subbands > 0 ? (int)m->subbands : 1;
    c->carrier_hz = m->carrier_hz;
    c->error_growth_per_s = m->error_growth_per_s;
    c->format.element = m->beam_element == BEAMD__ELEMENT_TYPE__ELEMENT_UNSPECIFIED
                            ? BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32
                            : m->beam_element;
    c->format.bits = m->beam_bits > 0 ? (int)m->beam_bits : BEAM_WIRE_BFP_BITS_DEFAULT;
    c->open_at = -1;
    const int tasks = (c->subbands + BEAMD_SLOTS - 1) / BEAMD_SLOTS;
    c->tasks =
        clamp(tasks, 1, clamp(larger(limits->threads, limits->tasks_most), 1, BEAMD_TASKS_MAX));
}

static bool build(beamd_cluster *c, const Beamd__RegisterCluster *m,
                  const beamd_cluster_limits *limits, beam_wire_error *err)
{
    fill(c, m, limits);
    if (fill_preferences(c, m, err) < 0 ||
        check_frame(c, c->preferences_room, "subbands", err) < 0) {
        return false;
    }
    return allocate(c, limits, err) == 0 && take_tasks(c, err) == 0 &&
           fill_stations(c, m, err) == 0;
}

beamd_cluster *beamd_cluster_create(const char *id, const Beamd__RegisterCluster *message,
                                    const beamd_cluster_limits *limits, beam_wire_error *err)
{
    if (check_registration(message, limits, err) < 0 || check_answers(message, err) < 0) {
        return NULL;
    }
    const beam_dims max = {.stations = clip((uint32_t)message->n_stations),
                           .antennas = clip(message->stations[0]->antennas),
                           .users = clip(message->max_users),
                           .targets = clip(message->targets)};
    beam_error error;
    if (beam_dims_check(&max, &error) != BEAM_OK) {
        beamd_engine_error(err, &error);
        return NULL;
    }
    beamd_cluster *c = calloc(1, sizeof *c);
    if (!c) {
        beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, NULL, "out of memory");
        return NULL;
    }
    memcpy(c->id, id, strlen(id) + 1);
    c->max = max;
    if (!build(c, message, limits, err)) {
        beamd_cluster_destroy(&c);
    }
    return c;
}

static void destroy_answers(beamd_answer **list, int subbands)
{
    for (int k = 0; list && k < subbands * BEAM_WIRE_MAX_PREFERENCES; k++) {
        beamd_answer_destroy(&list[k]);
    }
}

void beamd_cluster_destroy(beamd_cluster **self)
{
    beamd_cluster *c = *self;
    if (!c) {
        return;
    }
    if (c->block) {
        destroy_answers(c->last, c->subbands);
        destroy_answers(c->check, c->subbands);
        for (int t = 0; t < c->tasks; t++) {
            beamd_task_destroy(&c->task[t]);
        }
    }
    beamd_task_destroy(&c->spare);
    beamd_refresh_destroy(&c->refresh);
    free(c->registered.frame);
    free(c->aimed.frame);
    free(c->frame);
    free(c->block);
    free(c);
    *self = NULL;
}

int beamd_cluster_replace_task(beamd_cluster *self, beamd_task *lost, beam_wire_error *err)
{
    beamd_task **place = lost == self->spare ? &self->spare : NULL;
    for (int t = 0; t < self->tasks; t++) {
        place = self->task[t] == lost ? &self->task[t] : place;
    }
    beamd_task *fresh = place ? beamd_task_create(self, lost->slots, lost->one_solver) : NULL;
    if (!fresh) {
        return refuse_memory(NULL, err);
    }
    *place = fresh;
    lost->cluster = NULL;
    return 0;
}

int beamd_cluster_preferences(const beamd_cluster *self, double fallback,
                              beamd_named out[BEAM_WIRE_MAX_PREFERENCES])
{
    if (self->named_count > 0) {
        memcpy(out, self->named, (size_t)self->named_count * sizeof *out);
        return self->named_count;
    }
    out[0] = (beamd_named){.tradeoff = self->has_preference ? self->tradeoff : fallback};
    return 1;
}

static int find_named(const beamd_cluster *self, const char *name)
{
    int p = 0;
    while (p < self->named_count && strcmp(self->named[p].name, name) != 0) {
        p++;
    }
    return p;
}

/* Room for one preference more, taken when it is first needed and kept. */
static int grow(beamd_cluster *self, const beamd_cluster_limits *limits, beam_wire_error *err)
{
    const int count = self->preferences_room + 1;
    if (check_frame(self, count, "name", err) < 0) {
        return -1;
    }
    const size_t capacity = frame_bytes(self, count);
    const size_t more = preference_bytes(self) + capacity - self->frame_capacity;
    if (self->bytes + more > limits->bytes_max || self->bytes + more > limits->bytes_left) {
        return refuse_bytes(self->bytes + more, "name", limits, err);
    }
    unsigned char *frame = beamd_block_create((capacity + 63u) & ~(size_t)63u);
    if (!frame || take_answers(self, self->preferences_room) < 0) {
        free(frame); /* answers that were taken serve the next attempt */
        return refuse_memory("name", err);
    }
    memcpy(frame, self->frame, self->frame_bytes);
    free(self->frame);
    self->frame = frame;
    self->frame_capacity = capacity;
    self->bytes += more;
    self->preferences_room = count;
    return 0;
}

int beamd_cluster_name_preference(beamd_cluster *self, const char *name, double tradeoff,
                                  const beamd_cluster_limits *limits, beam_wire_error *err)
{
    if (!beamd_preference_name_valid(name)) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "name",
                              "is not 1 to %d letters, digits, '.', '_', '-'",
                              BEAM_WIRE_MAX_PREFERENCE_NAME_BYTES);
    }
    const int p = find_named(self, name);
    if (p == BEAM_WIRE_MAX_PREFERENCES) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_LIMIT, "name",
                              "the cluster has %d named preferences, which is the most", p);
    }
    if (p >= self->preferences_room && grow(self, limits, err) < 0) {
        return -1;
    }
    if (p == self->named_count) {
        memcpy(self->named[p].name, name, strlen(name) + 1);
        self->named_count++;
    }
    self->named[p].tradeoff = tradeoff;
    return 0;
}

/* The answers of preference p go behind the others, as memory for the next one. */
static void rotate_answers(beamd_cluster *self, beamd_answer **list, int p)
{
    for (int b = 0; b < self->subbands; b++) {
        beamd_answer **row = &list[beamd_problem_index(b, 0)], *removed = row[p];
        for (int k = p; k + 1 < self->named_count; k++) {
            row[k] = row[k + 1];
        }
        row[self->named_count - 1] = removed;
        removed->present = false;
    }
}

int beamd_cluster_remove_preference(beamd_cluster *self, const char *name, beam_wire_error *err)
{
    const int p = find_named(self, name);
    if (p == self->named_count) {
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "name",
                              "the cluster has no preference of that name");
    }
    rotate_answers(self, self->last, p);
    rotate_answers(self, self->check, p);
    memmove(&self->named[p], &self->named[p + 1],
            (size_t)(self->named_count - p - 1) * sizeof self->named[0]);
    self->named_count--;
    return 0;
}

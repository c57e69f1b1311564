#include "load/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stands for the sender's time while a frame is packed, so that the field is there to be patched.
 */
static const uint64_t TIME_MARK = UINT64_C(0x5a5a5a5a5a5a5a5a);

struct load_encoder {
    const load_options *options;
    load_shape shape;
    Beamd__Station station[BEAM_WIRE_MAX_STATIONS], *stations[BEAM_WIRE_MAX_STATIONS];
    Beamd__User user[BEAM_WIRE_MAX_USERS], *users[BEAM_WIRE_MAX_USERS];
    Beamd__Target target[BEAM_WIRE_MAX_TARGETS], *targets[BEAM_WIRE_MAX_TARGETS];
    Beamd__NamedPreference named[BEAM_WIRE_MAX_PREFERENCES], *nameds[BEAM_WIRE_MAX_PREFERENCES];
    Beamd__Preference preference[BEAM_WIRE_MAX_PREFERENCES + 1];
    char names[BEAM_WIRE_MAX_PREFERENCES][4];
    double positions[2 * BEAM_WIRE_MAX_TARGETS];
    Beamd__Subband *subband, **subbands; /* [S] */
    Beamd__ComplexArray *arrays;         /* [S] */
    uint32_t array_shape[3];
    double *channels; /* one subband */
    double *radius;   /* [S][L][U] */
    unsigned char *data;
    size_t data_bytes; /* of one subband */
};

load_encoder *load_encoder_create(const load_options *options, const load_shape *shape)
{
    const size_t S = (size_t)shape->subbands;
    const size_t links = (size_t)shape->stations * (size_t)shape->users;
    const size_t elements = links * (size_t)shape->antennas;
    load_encoder *self = calloc(1, sizeof *self);
    if (!self) {
        return NULL;
    }
    self->options = options;
    self->shape = *shape;
    self->data_bytes = elements * beam_wire_element_bytes((Beamd__ElementType)options->csi_element);
    self->subband = calloc(S, sizeof *self->subband);
    self->subbands = calloc(S, sizeof *self->subbands);
    self->arrays = calloc(S, sizeof *self->arrays);
    self->channels = calloc(2 * elements, sizeof(double));
    self->radius = calloc(S * links, sizeof(double));
    self->data = calloc(S, self->data_bytes);
    if (!self->subband || !self->subbands || !self->arrays || !self->channels || !self->radius ||
        !self->data) {
        load_encoder_destroy(&self);
    }
    return self;
}

void load_encoder_destroy(load_encoder **self)
{
    if (*self) {
        free((*self)->subband);
        free((*self)->subbands);
        free((*self)->arrays);
        free((*self)->channels);
        free((*self)->radius);
        free((*self)->data);
        free(*self);
        *self = NULL;
    }
}

/* A varint from `at` on; the place after it. */
static size_t skip_varint(const unsigned char *bytes, size_t at)
{
    while (bytes[at] & 0x80) {
        at++;
    }
    return at + 1;
}

/* Every request begins with deadline_us = 1 (left out when 0) and sender_time_ns = 2. */
static int find_time(load_frame *frame, load_error *err)
{
    size_t at = BEAM_WIRE_HEADER_BYTES;
    if (frame->bytes[at] == (1 << 3 | 0)) {
        at = skip_varint(frame->bytes, at + 1);
    }
    if (at + 9 > frame->size || frame->bytes[at] != (2 << 3 | 1) ||
        memcmp(frame->bytes + at + 1, &TIME_MARK, sizeof TIME_MARK) != 0) {
        return load_fail(err, "a request does not begin as every request does");
    }
    frame->time_at = at + 1;
    return 0;
}

static int pack(unsigned type, const char *id, const ProtobufCMessage *message, load_frame *frame,
                load_error *err)
{
    beam_wire_error wire;
    const size_t size = beam_wire_frame_bytes(message);
    frame->bytes = malloc(size);
    if (!frame->bytes) {
        return load_fail(err, "no memory for a message of %zu bytes", size);
    }
    int status = 0;
    if (beam_wire_pack(type, id, 1, message, frame->bytes, size, &frame->size, &wire) < 0) {
        status = load_fail(err, "%s: %s", wire.field, wire.text);
    } else {
        status = find_time(frame, err);
    }
    if (status < 0) {
        free(frame->bytes);
        frame->bytes = NULL;
    }
    return status;
}

static uint32_t deadline_us(const load_encoder *self)
{
    return (uint32_t)(self->options->deadline_s * 1e6 + 0.5);
}

/* The direction that the losses go towards: MATH 5. */
static void set_preference(Beamd__Preference *p, double tradeoff)
{
    beamd__preference__init(p);
    const double quarter = 1.57079632679489661923;
    p->u1 = tradeoff <= 0 ? 0 : tradeoff >= 1 ? 1 : __builtin_sin(quarter * tradeoff);
    p->u2 = tradeoff <= 0 ? 1 : tradeoff >= 1 ? 0 : __builtin_cos(quarter * tradeoff);
}

static void put_preferences(load_encoder *self, Beamd__RegisterCluster *m)
{
    const load_options *o = self->options;
    if (o->tradeoff >= 0) {
        set_preference(&self->preference[BEAM_WIRE_MAX_PREFERENCES], o->tradeoff);
        m->preference = &self->preference[BEAM_WIRE_MAX_PREFERENCES];
    }
    for (int p = 0; p < o->preference_count; p++) {
        set_preference(&self->preference[p], o->preferences[p]);
        snprintf(self->names[p], sizeof self->names[p], "p%d", p & 7);
        beamd__named_preference__init(&self->named[p]);
        self->named[p].name = self->names[p];
        self->named[p].preference = &self->preference[p];
        self->nameds[p] = &self->named[p];
    }
    m->preferences = self->nameds;
    m->n_preferences = (size_t)o->preference_count;
}

int load_encode_register(load_encoder *self, const load_world *world, const char *id,
                         load_frame *frame, load_error *err)
{
    const load_options *o = self->options;
    Beamd__RegisterCluster m = BEAMD__REGISTER_CLUSTER__INIT;
    for (int l = 0; l < self->shape.stations; l++) {
        const load_site site = load_world_station(world, l);
        Beamd__Station *s = &self->station[l];
        beamd__station__init(s);
        s->x_m = site.x_m;
        s->y_m = site.y_m;
        s->axis_rad = site.axis_rad;
        s->antennas = (uint32_t)self->shape.antennas;
        s->power_w = LOAD_POWER_W;
        s->echo_noise_w = LOAD_ECHO_NOISE_W;
        self->stations[l] = s;
    }
    m.sender_time_ns = TIME_MARK;
    m.array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    m.user_antennas = 1;
    m.stations = self->stations;
    m.n_stations = (size_t)self->shape.stations;
    m.sensing = BEAMD__SENSING_MODEL__SENSING_RESOLVED;
    m.snapshots = LOAD_SNAPSHOTS;
    m.carrier_hz = o->carrier_hz;
    m.max_users = (uint32_t)self->shape.users;
    m.targets = (uint32_t)self->shape.targets;
    m.beam_element = (Beamd__ElementType)o->beam_element;
    m.beam_bits = (uint32_t)o->beam_bits;
    m.subbands = self->shape.subbands > 1 ? (uint32_t)self->shape.subbands : 0;
    put_preferences(self, &m);
    return pack(BEAM_WIRE_REGISTER_CLUSTER, id, &m.base, frame, err);
}

int load_encode_unregister(load_encoder *self, const char *id, load_frame *frame, load_error *err)
{
    Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    (void)self;
    m.sender_time_ns = TIME_MARK;
    return pack(BEAM_WIRE_UNREGISTER_CLUSTER, id, &m.base, frame, err);
}

static void put_users(load_encoder *self, const load_world *world)
{
    for (int u = 0; u < self->shape.users; u++) {
        Beamd__User *user = &self->user[u];
        beamd__user__init(user);
        user->user_id = (uint64_t)u + 1;
        user->station = (uint32_t)load_world_user_station(world, u);
        user->weight = 1;
        user->noise_w = LOAD_USER_NOISE_W;
        self->users[u] = user;
    }
}

static void put_subband(load_encoder *self, const load_world *world, int s, double time_s)
{
    const size_t links = (size_t)self->shape.stations * (size_t)self->shape.users;
    const Beamd__ElementType element = (Beamd__ElementType)self->options->csi_element;
    unsigned char *data = self->data + (size_t)s * self->data_bytes;
    double *radius = self->radius + (size_t)s * links;
    Beamd__ComplexArray *array = &self->arrays[s];
    Beamd__Subband *band = &self->subband[s];
    load_world_channels(world, time_s, s, self->channels, radius);
    beam_wire_complex_encode(element, BEAM_WIRE_ROUND_NEAREST, self->channels,
                             links * (size_t)self->shape.antennas, data, self->data_bytes);
    beamd__complex_array__init(array);
    array->element = element;
    array->order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
    array->shape = self->array_shape;
    array->n_shape = 3;
    array->data.data = data;
    array->data.len = self->data_bytes;
    beamd__subband__init(band);
    band->channels = array;
    band->error_radius = radius;
    band->n_error_radius = links;
    band->index = (uint32_t)s;
    self->subbands[s] = band;
}

int load_encode_csi(load_encoder *self, const load_world *world, const char *id, double time_s,
                    load_frame *frame, load_error *err)
{
    Beamd__CsiUpdate m = BEAMD__CSI_UPDATE__INIT;
    self->array_shape[0] = (uint32_t)self->shape.stations;
    self->array_shape[1] = (uint32_t)self->shape.users;
    self->array_shape[2] = (uint32_t)self->shape.antennas;
    put_users(self, world);
    for (int s = 0; s < self->shape.subbands; s++) {
        put_subband(self, world, s, time_s);
    }
    m.deadline_us = deadline_us(self);
    m.sender_time_ns = TIME_MARK;
    m.users = self->users;
    m.n_users = (size_t)self->shape.users;
    m.subbands = self->subbands;
    m.n_subbands = (size_t)self->shape.subbands;
    return pack(BEAM_WIRE_CSI_UPDATE, id, &m.base, frame, err);
}

int load_encode_targets(load_encoder *self, const load_world *world, const char *id, double time_s,
                        load_frame *frame, load_error *err)
{
    Beamd__TargetUpdate m = BEAMD__TARGET_UPDATE__INIT;
    load_world_targets(world, time_s, self->positions);
    for (int j = 0; j < self->shape.targets; j++) {
        Beamd__Target *target = &self->target[j];
        beamd__target__init(target);
        target->x_m = self->positions[2 * j];
        target->y_m = self->positions[2 * j + 1];
        target->rcs_m2 = LOAD_RCS_M2;
        self->targets[j] = target;
    }
    m.deadline_us = deadline_us(self);
    m.sender_time_ns = TIME_MARK;
    m.targets = self->targets;
    m.n_targets = (size_t)self->shape.targets;
    return pack(BEAM_WIRE_TARGET_UPDATE, id, &m.base, frame, err);
}

/* A Solution without its arrays and lists, as full as the daemon fills it. */
static size_t answer_fixed_bytes(void)
{
    Beamd__Latency latency = BEAMD__LATENCY__INIT;
    Beamd__Preference preference = BEAMD__PREFERENCE__INIT;
    Beamd__Solution m = BEAMD__SOLUTION__INIT;
    const uint64_t us = 100000;
    preference.u1 = preference.u2 = 0.5;
    latency = (Beamd__Latency){.base = latency.base,
                               .received_monotonic_ns = 1,
                               .received_to_queued_ns = us,
                               .queued_to_solve_ns = us,
                               .solve_ns = us,
                               .solve_to_sent_ns = us,
                               .solve_to_checked_ns = us};
    m.sender_time_ns = m.valid_until_monotonic_ns = 1;
    m.csi_sequence = m.target_sequence = 1000;
    m.latency = &latency;
    m.preference = &preference;
    m.wsr_nominal_bps_hz = m.wsr_worst_case_bps_hz = m.crlb_m2 = m.wsr_ideal_bps_hz = 1;
    m.crlb_min_m2 = m.merit = m.classical_merit = m.error_growth = 1;
    m.crlb_valid = m.warm = 1;
    m.method = BEAMD__METHOD__METHOD_NETWORK;
    m.backend = BEAMD__BACKEND__BACKEND_NETWORK;
    m.iterations = 10;
    return protobuf_c_message_get_packed_size(&m.base);
}

size_t load_encode_answer_bytes(load_encoder *self)
{
    enum { FRAME = 3, ARRAY = 16 }; /* tag and length of a submessage; of an array's fields */
    const load_shape *d = &self->shape;
    const Beamd__ElementType wide = (Beamd__ElementType)self->options->beam_element;
    const size_t each = beam_wire_element_bytes(wide) ? beam_wire_element_bytes(wide) : 4;
    const size_t columns = (size_t)(2 * d->targets < d->antennas ? 2 * d->targets : d->antennas);
    const size_t vectors = (size_t)d->users + (size_t)d->stations * columns;
    Beamd__UserAnswer user = BEAMD__USER_ANSWER__INIT;
    Beamd__StationAnswer station = BEAMD__STATION_ANSWER__INIT;
    Beamd__TargetAnswer target = BEAMD__TARGET_ANSWER__INIT;
    user.user_id = user.station = 1;
    user.beam_power_w = user.rate_nominal_bps_hz = user.rate_worst_case_bps_hz = 1;
    user.sinr_worst_case = 1;
    station.power_w = station.sensing_power_w = station.power_slack_w = 1;
    station.peak_antenna_power_w = station.sensing_columns = 1;
    target.rms_bound_m = target.echo_snr_db = 1;
    const size_t one =
        answer_fixed_bytes() + 2 * ARRAY + vectors * (size_t)d->antennas * each +
        (size_t)d->users * (FRAME + protobuf_c_message_get_packed_size(&user.base)) +
        (size_t)d->stations * (FRAME + protobuf_c_message_get_packed_size(&station.base)) +
        (size_t)d->targets * (FRAME + protobuf_c_message_get_packed_size(&target.base));
    const size_t preferences =
        self->options->preference_count ? (size_t)self->options->preference_count : 1;
    return BEAM_WIRE_HEADER_BYTES + one * (size_t)d->subbands * preferences;
}

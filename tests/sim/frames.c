/* What controllers and operators send. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

void sim_parcel_free(sim_parcel *parcel)
{
    if (parcel) {
        free(parcel->frame);
        free(parcel);
    }
}

static uint64_t sender_ns(const sim *s, const sim_agent *a)
{
    return (uint64_t)((int64_t)s->now_ns + a->sender_offset_ns);
}

static sim_parcel *begin(sim *s, sim_agent *a, beamd_channel channel, unsigned type,
                         uint64_t sequence)
{
    sim_parcel *p = calloc(1, sizeof *p);
    if (!p) {
        sim_fail(s, "the test has no memory");
    }
    *p = (sim_parcel){.agent = a->index,
                      .epoch = a->epoch,
                      .channel = channel,
                      .type = (uint16_t)type,
                      .sequence = sequence,
                      .sender_ns = sender_ns(s, a),
                      .mask = a->mask,
                      .name = -1,
                      .frames = 1};
    return p;
}

static void pack(sim *s, sim_parcel *p, const char *cluster, const ProtobufCMessage *message)
{
    static unsigned char room[SIM_FRAME_BYTES];
    beam_wire_error err;
    if (beam_wire_pack(p->type, cluster, p->sequence, message, room, sizeof room, &p->bytes, &err) <
        0) {
        sim_fail(s, "the test cannot pack its message: %s %s", err.field, err.text);
    }
    p->frame = malloc(p->bytes);
    if (!p->frame) {
        sim_fail(s, "the test has no memory");
    }
    memcpy(p->frame, room, p->bytes);
}

typedef struct registration {
    Beamd__RegisterCluster m;
    Beamd__Station station[BEAM_MAX_STATIONS], *at[BEAM_MAX_STATIONS];
    Beamd__NamedPreference named[BEAM_WIRE_MAX_PREFERENCES], *named_at[BEAM_WIRE_MAX_PREFERENCES];
    Beamd__Preference preference[BEAM_WIRE_MAX_PREFERENCES];
} registration;

static void fill_registration(const sim_agent *a, registration *r)
{
    const sim_kind_info *info = &sim_kinds[a->kind];
    const beam_scene *scene = sim_scene(a->kind, 0, 0);
    beamd__register_cluster__init(&r->m);
    for (int l = 0; l < info->dims.stations; l++) {
        Beamd__Station *station = &r->station[l];
        beamd__station__init(station);
        station->x_m = scene->station_position_m[2 * l];
        station->y_m = scene->station_position_m[2 * l + 1];
        station->axis_rad = scene->station_axis_rad[l];
        station->antennas = (uint32_t)info->dims.antennas;
        station->power_w = scene->station_power_w[l];
        station->echo_noise_w = scene->station_echo_noise_w[l];
        r->at[l] = station;
    }
    r->m.array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_LINEAR;
    r->m.user_antennas = 1;
    r->m.sensing = (Beamd__SensingModel)(info->sensing + 1);
    r->m.snapshots = scene->snapshots;
    r->m.carrier_hz = 3.5e9;
    r->m.max_users = (uint32_t)info->dims.users;
    r->m.targets = (uint32_t)info->dims.targets;
    r->m.n_stations = (size_t)info->dims.stations;
    r->m.stations = r->at;
    r->m.beam_element = info->element;
    r->m.subbands = (uint32_t)info->subbands;
    r->m.error_growth_per_s = info->growth_per_s;
}

sim_parcel *sim_frame_register(sim *s, sim_agent *a)
{
    sim_parcel *p = begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_REGISTER_CLUSTER, 1);
    registration r;
    fill_registration(a, &r);
    r.m.sender_time_ns = p->sender_ns;
    for (int n = 1; n <= sim_kinds[a->kind].names; n++) {
        Beamd__NamedPreference *named = &r.named[r.m.n_preferences];
        beamd__named_preference__init(named);
        beamd__preference__init(&r.preference[r.m.n_preferences]);
        r.preference[r.m.n_preferences].u1 = n;
        r.preference[r.m.n_preferences].u2 = 1;
        named->name = beamd_core_text(sim_names[n]);
        named->preference = &r.preference[r.m.n_preferences];
        r.named_at[r.m.n_preferences++] = named;
    }
    r.m.preferences = r.named_at;
    pack(s, p, a->id, &r.m.base);
    return p;
}

sim_parcel *sim_frame_unregister(sim *s, sim_agent *a)
{
    sim_parcel *p =
        begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_UNREGISTER_CLUSTER, ++a->control_sequence);
    Beamd__UnregisterCluster m = BEAMD__UNREGISTER_CLUSTER__INIT;
    m.sender_time_ns = p->sender_ns;
    pack(s, p, a->id, &m.base);
    return p;
}

sim_parcel *sim_frame_targets(sim *s, sim_agent *a)
{
    sim_parcel *p = begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_TARGET_UPDATE, ++a->target_sequence);
    const double *place = sim_target_position(a->kind, a->place);
    const int targets = sim_kinds[a->kind].dims.targets;
    Beamd__TargetUpdate m = BEAMD__TARGET_UPDATE__INIT;
    Beamd__Target target[BEAM_MAX_TARGETS], *at[BEAM_MAX_TARGETS];
    for (int j = 0; j < targets; j++) {
        beamd__target__init(&target[j]);
        target[j].x_m = place[2 * j];
        target[j].y_m = place[2 * j + 1];
        target[j].rcs_m2 = 1;
        at[j] = &target[j];
    }
    m.sender_time_ns = p->sender_ns;
    m.measured_time_ns = p->sender_ns;
    m.n_targets = (size_t)targets;
    m.targets = at;
    pack(s, p, a->id, &m.base);
    return p;
}

/* --- CSI --- */

typedef struct channels {
    Beamd__User user[BEAM_MAX_USERS], *user_at[BEAM_MAX_USERS];
    Beamd__Subband band[SIM_BANDS_MAX], *band_at[SIM_BANDS_MAX];
    Beamd__ComplexArray array[SIM_BANDS_MAX];
    uint32_t shape[3];
    double radius[BEAM_MAX_STATIONS * 8];
    beam_complex values[SIM_PHASES][BEAM_MAX_STATIONS * 8 * 8];
    size_t users, bands;
} channels;

/* The channels of the users in `mask`, of these subbands. */
static void fill_channels(const sim_agent *a, unsigned mask, const beamd_bands *bands, channels *c)
{
    const sim_kind_info *info = &sim_kinds[a->kind];
    const beam_scene *scene = sim_scene(a->kind, a->variant, 0);
    const size_t N = (size_t)info->dims.antennas;
    int member[BEAM_MAX_USERS];
    c->users = c->bands = 0;
    for (int u = 0; u < info->dims.users; u++) {
        if (mask >> u & 1) {
            Beamd__User *user = &c->user[c->users];
            beamd__user__init(user);
            user->user_id = 100 + (uint64_t)u;
            user->station = (uint32_t)scene->user_station[u];
            user->weight = scene->user_weight[u];
            user->noise_w = scene->user_noise_w[u];
            user->min_rate_bps_hz = info->min_rate_bps_hz;
            member[c->users] = u;
            c->user_at[c->users++] = user;
        }
    }
    for (size_t l = 0; l < (size_t)info->dims.stations; l++) {
        for (size_t k = 0; k < c->users; k++) {
            c->radius[l * c->users + k] = *test_radius(scene, (int)l, member[k]);
            for (int b = 0; b < SIM_PHASES; b++) {
                memcpy(&c->values[b][(l * c->users + k) * N],
                       test_channel(sim_scene(a->kind, a->variant, b), (int)l, member[k]),
                       N * sizeof(beam_complex));
            }
        }
    }
    const size_t links = (size_t)info->dims.stations * c->users;
    c->shape[0] = (uint32_t)info->dims.stations;
    c->shape[1] = (uint32_t)c->users;
    c->shape[2] = (uint32_t)N;
    for (int b = 0; b < info->subbands && c->users > 0; b++) {
        if (!beamd_bands_has(bands, b)) {
            continue;
        }
        Beamd__Subband *band = &c->band[c->bands];
        Beamd__ComplexArray *array = &c->array[c->bands];
        beamd__complex_array__init(array);
        array->element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT64;
        array->order = BEAMD__ARRAY_ORDER__ORDER_LAST_FASTEST;
        array->n_shape = 3;
        array->shape = c->shape;
        array->data = (ProtobufCBinaryData){links * N * 16, (uint8_t *)c->values[b % SIM_PHASES]};
        beamd__subband__init(band);
        band->index = (uint32_t)b;
        band->channels = array;
        band->n_error_radius = links;
        band->error_radius = c->radius;
        c->band_at[c->bands++] = band;
    }
}

/* Now and then another one than the scenario's. */
static uint32_t deadline_us(sim *s)
{
    const uint32_t usual = s->scenario->deadline_us;
    if (!sim_chance(s, s->scenario->churn.deadline)) {
        return usual;
    }
    static const uint32_t others[] = {1, 300, 1500, 10000, 100000, 2000000};
    return others[(unsigned)test_random_int(&s->random, 0, 5)];
}

static channels *room(void)
{
    static channels c;
    return &c;
}

static uint64_t next_csi_sequence(sim *s, sim_agent *a)
{
    a->csi_sequence += sim_chance(s, 0.05) ? 5 : 1; /* a gap is allowed */
    return a->csi_sequence;
}

sim_parcel *sim_frame_csi(sim *s, sim_agent *a, const beamd_bands *bands, unsigned mask)
{
    sim_parcel *p = begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_CSI_UPDATE, next_csi_sequence(s, a));
    channels *c = room();
    Beamd__CsiUpdate m = BEAMD__CSI_UPDATE__INIT;
    fill_channels(a, mask, bands, c);
    p->mask = mask;
    p->bands = *bands;
    m.deadline_us = p->deadline_us = deadline_us(s);
    m.sender_time_ns = p->sender_ns;
    m.n_users = c->users;
    m.users = c->user_at;
    m.n_subbands = c->bands;
    m.subbands = c->band_at;
    m.csi_age_us = (uint32_t)test_random_int(&s->random, 0, 2) * 500;
    pack(s, p, a->id, &m.base);
    return p;
}

sim_parcel *sim_frame_join(sim *s, sim_agent *a, unsigned users)
{
    sim_parcel *p = begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_USERS_JOIN, next_csi_sequence(s, a));
    channels *c = room();
    Beamd__UsersJoin m = BEAMD__USERS_JOIN__INIT;
    beamd_bands all;
    memset(&all, 0xff, sizeof all);
    fill_channels(a, users, &all, c);
    p->mask = a->mask | users;
    p->bands = all;
    m.deadline_us = p->deadline_us = deadline_us(s);
    m.sender_time_ns = p->sender_ns;
    m.n_users = c->users;
    m.users = c->user_at;
    m.n_subbands = c->bands;
    m.subbands = c->band_at;
    pack(s, p, a->id, &m.base);
    return p;
}

sim_parcel *sim_frame_leave(sim *s, sim_agent *a, unsigned users)
{
    sim_parcel *p = begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_USERS_LEAVE, next_csi_sequence(s, a));
    Beamd__UsersLeave m = BEAMD__USERS_LEAVE__INIT;
    uint64_t id[32];
    for (unsigned u = 0; u < 32; u++) {
        if (users >> u & 1) {
            id[m.n_user_ids++] = 100 + u;
        }
    }
    p->mask = a->mask & ~users;
    memset(&p->bands, 0xff, sizeof p->bands);
    m.deadline_us = p->deadline_us = deadline_us(s);
    m.sender_time_ns = p->sender_ns;
    m.user_ids = id;
    pack(s, p, a->id, &m.base);
    return p;
}

/* --- Control --- */

sim_parcel *sim_frame_preference(sim *s, sim_agent *a, int name, bool removes, double tradeoff)
{
    sim_parcel *p =
        begin(s, a, BEAMD_CHANNEL_CONTROL, BEAM_WIRE_PREFERENCE_SET, ++a->control_sequence);
    Beamd__PreferenceSet m = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference u = BEAMD__PREFERENCE__INIT;
    const beam_preference at = beam_preference_from_tradeoff(tradeoff);
    u.u1 = at.u1;
    u.u2 = at.u2;
    p->name = name;
    p->removes = removes;
    m.sender_time_ns = p->sender_ns;
    m.preference = removes ? NULL : &u;
    m.name = beamd_core_text(name < 0 ? "" : sim_names[name]);
    m.remove = removes;
    pack(s, p, a->id, &m.base);
    return p;
}

sim_parcel *sim_frame_control(sim *s, sim_agent *a, unsigned type)
{
    sim_parcel *p = begin(s, a, BEAMD_CHANNEL_CONTROL, type, ++a->control_sequence);
    Beamd__StatusRequest status = BEAMD__STATUS_REQUEST__INIT;
    Beamd__ClusterListRequest list = BEAMD__CLUSTER_LIST_REQUEST__INIT;
    Beamd__ModelGet model = BEAMD__MODEL_GET__INIT;
    Beamd__ModelReload reload = BEAMD__MODEL_RELOAD__INIT;
    Beamd__FrontRequest front = BEAMD__FRONT_REQUEST__INIT;
    Beamd__ConfigReload config = BEAMD__CONFIG_RELOAD__INIT;
    Beamd__PreferenceGet get = BEAMD__PREFERENCE_GET__INIT;
    Beamd__Drain drain = BEAMD__DRAIN__INIT;
    status.sender_time_ns = list.sender_time_ns = model.sender_time_ns = p->sender_ns;
    reload.sender_time_ns = front.sender_time_ns = config.sender_time_ns = p->sender_ns;
    get.sender_time_ns = drain.sender_time_ns = p->sender_ns;
    front.points = 5;
    const ProtobufCMessage *m = type == BEAM_WIRE_STATUS_REQUEST         ? &status.base
                                : type == BEAM_WIRE_CLUSTER_LIST_REQUEST ? &list.base
                                : type == BEAM_WIRE_MODEL_GET            ? &model.base
                                : type == BEAM_WIRE_MODEL_RELOAD         ? &reload.base
                                : type == BEAM_WIRE_FRONT_REQUEST        ? &front.base
                                : type == BEAM_WIRE_CONFIG_RELOAD        ? &config.base
                                : type == BEAM_WIRE_DRAIN                ? &drain.base
                                                                         : &get.base;
    pack(s, p, type == BEAM_WIRE_CLUSTER_LIST_REQUEST ? "" : a->id, m);
    return p;
}

/* --- What nobody should send --- */

static void spoil_bytes(sim *s, sim_parcel *p, int how)
{
    p->unreadable = true;
    switch (how) {
    case 0: /* cut short, anywhere */
        p->bytes = (size_t)test_random_int(&s->random, 0, (int)p->bytes - 1);
        break;
    case 1: /* noise */
        for (size_t k = 0; k < p->bytes; k++) {
            p->frame[k] = (unsigned char)test_random_bits(&s->random);
        }
        break;
    case 2:
        p->frame[4] = 9; /* another version */
        break;
    default: /* two frames */
        p->frames = (unsigned)test_random_int(&s->random, 2, 5);
        break;
    }
}

static sim_parcel *spoilt_csi(sim *s, sim_agent *a, int how)
{
    channels *c = room();
    beamd_bands all;
    memset(&all, 0xff, sizeof all);
    Beamd__CsiUpdate m = BEAMD__CSI_UPDATE__INIT;
    sim_parcel *p =
        begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_CSI_UPDATE, a->csi_sequence + 1); /* not used up */
    fill_channels(a, 1, &all, c);
    m.sender_time_ns = p->sender_ns;
    m.n_users = c->users;
    m.users = c->user_at;
    m.n_subbands = c->bands;
    m.subbands = c->band_at;
    if (how == 0) {
        c->values[0][0].re = NAN;
    } else if (how == 1) {
        c->user[0].station = 77;
    } else if (how == 2) {
        c->radius[0] = -1;
    } else if (how == 3) {
        c->shape[1]++;
    } else {
        c->user[0].noise_w = 0;
    }
    pack(s, p, a->id, &m.base);
    return p;
}

sim_parcel *sim_frame_hostile(sim *s, sim_agent *a)
{
    const int how = test_random_int(&s->random, 0, 12);
    sim_parcel *p = NULL;
    if (how <= 3) {
        p = spoilt_csi(s, a, 4);
        spoil_bytes(s, p, how);
    } else if (how <= 8) {
        p = spoilt_csi(s, a, how - 4);
    } else if (how == 9) { /* on the wrong socket */
        p = spoilt_csi(s, a, 0);
        p->channel = BEAMD_CHANNEL_CONTROL;
    } else if (how == 10) { /* nobody's */
        sim_agent stranger = *a;
        (void)snprintf(stranger.id, sizeof stranger.id, "stranger");
        p = sim_frame_unregister(s, &stranger);
        a->control_sequence = stranger.control_sequence;
    } else if (how == 11) { /* an answer */
        Beamd__Ack m = BEAMD__ACK__INIT;
        p = begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_ACK, 3);
        p->sender_ns = 0;
        pack(s, p, a->id, &m.base);
    } else {
        registration r;
        p = begin(s, a, BEAMD_CHANNEL_CSI, BEAM_WIRE_REGISTER_CLUSTER, 1);
        fill_registration(a, &r);
        r.m.sender_time_ns = p->sender_ns;
        r.station[0].power_w = -1;
        pack(s, p, a->id, &r.m.base);
    }
    p->hostile = true;
    return p;
}

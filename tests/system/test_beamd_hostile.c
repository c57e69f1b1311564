/* Whatever arrives, the sender is told which field is wrong, and another cluster does not notice.
 * Raw frames on a raw DEALER: a client library would not send these. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "common/golden.h"
#include "system/raw_peer.h"

static test_daemon daemon_;
static void *context;
static beamc_client *bystander; /* a cluster that goes on through everything */
static beam_scene *scene;

static int set_up(void **state)
{
    (void)state;
    scene = test_golden_scene("paper_eps010");
    test_daemon_start(&daemon_, NULL, 0);
    context = zmq_ctx_new();
    bystander = test_client(&daemon_);
    test_set_up(bystander, "bystander", scene, 0.5);
    test_check_solution(scene, test_solve(bystander, "bystander", scene));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    beamc_close(&bystander);
    zmq_ctx_term(context);
    test_scene_free(scene);
    return test_daemon_stop(&daemon_) == 0 ? 0 : -1;
}

/* After every test: the daemon lives, and the other cluster is served. */
static int others_go_on(void **state)
{
    (void)state;
    test_check_solution(scene, test_solve(bystander, "bystander", scene));
    return 0;
}

static peer *registered_peer(request *r, const char *cluster)
{
    peer *p = peer_new(context, daemon_.dir, "csi.sock");
    peer_send(p, BEAM_WIRE_REGISTER_CLUSTER, cluster, &r->registration.base);
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    peer_send(p, BEAM_WIRE_TARGET_UPDATE, cluster, &r->targets.base);
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    return p;
}

static void broken_frames_are_answered(void **state)
{
    (void)state;
    unsigned char frame[FRAME_BYTES];
    request *r = request_new(scene);
    peer *p = peer_new(context, daemon_.dir, "csi.sock");
    peer_send_raw(p, "BEA", 3); /* header cut short */
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_MALFORMED);
    peer_send_raw(p, "", 0);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_MALFORMED);
    memset(frame, 0xa5, sizeof frame);
    peer_send_raw(p, frame, sizeof frame);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_MALFORMED);
    const size_t bytes =
        peer_pack(p, BEAM_WIRE_REGISTER_CLUSTER, "x", &r->registration.base, frame);
    frame[4] = 9;
    peer_send_raw(p, frame, bytes);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_VERSION);
    frame[4] = 1;
    frame[6] = 50;
    peer_send_raw(p, frame, bytes);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_TYPE);
    frame[6] = BEAM_WIRE_SOLUTION; /* an answer is no request */
    peer_send_raw(p, frame, bytes);
    assert_non_null(p->error);
    frame[6] = BEAM_WIRE_REGISTER_CLUSTER;
    for (size_t cut = 1; cut < bytes; cut += 7) {
        peer_send_raw(p, frame, bytes - cut);
        assert_non_null(p->error);
    }
    for (size_t k = BEAM_WIRE_HEADER_BYTES; k < bytes; k++) { /* garbage in the payload */
        frame[k] = (unsigned char)(k * 37 + 11);
    }
    peer_send_raw(p, frame, bytes);
    assert_non_null(p->error);
    peer_free(p);
    free(r);
}

static void several_frames_are_refused(void **state)
{
    (void)state;
    peer *p = peer_new(context, daemon_.dir, "csi.sock");
    zmq_send(p->socket, "a", 1, ZMQ_SNDMORE);
    zmq_send(p->socket, "b", 1, ZMQ_SNDMORE);
    zmq_send(p->socket, "c", 1, ZMQ_SNDMORE);
    zmq_send(p->socket, "d", 1, 0);
    peer_await(p);
    peer_expect(p, BEAMD__ERROR_CODE__ERROR_MALFORMED, "frame");
    zmq_send(p->socket, "", 0, ZMQ_SNDMORE); /* the empty delimiter of a REQ socket */
    zmq_send(p->socket, "b", 1, 0);
    peer_await(p);
    peer_expect(p, BEAMD__ERROR_CODE__ERROR_MALFORMED, "frame");
    peer_free(p);
}

static void too_large_messages_are_answered(void **state)
{
    (void)state;
    const size_t bytes = (size_t)BEAM_WIRE_MAX_MESSAGE_BYTES + 4096;
    unsigned char *frame = calloc(1, bytes);
    request *r = request_new(scene);
    peer *p = peer_new(context, daemon_.dir, "csi.sock");
    peer_pack(p, BEAM_WIRE_REGISTER_CLUSTER, "x", &r->registration.base, frame);
    peer_send_raw(p, frame, bytes);
    assert_int_equal(p->error->code, BEAMD__ERROR_CODE__ERROR_TOO_LARGE);
    peer_send(p, BEAM_WIRE_REGISTER_CLUSTER, "large",
              &r->registration.base); /* the session lives */
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    peer_free(p);
    free(frame);
    free(r);
}

static void spoil_registration(request *r, int k)
{
    Beamd__RegisterCluster *m = &r->registration;
    switch (k) {
    case 0:
        m->array = BEAMD__ARRAY_KIND__ARRAY_UNIFORM_PLANAR;
        break;
    case 1:
        m->user_antennas = 2;
        break;
    case 2:
        m->n_stations = 0;
        break;
    case 3:
        r->station[1].antennas = 6;
        break;
    case 4:
        m->max_users = 4000000000u;
        break;
    case 5:
        m->sensing = (Beamd__SensingModel)9;
        break;
    case 6:
        m->sensing = BEAMD__SENSING_MODEL__SENSING_BAND;
        break;
    case 7:
        m->snapshots = NAN;
        break;
    case 8:
        m->carrier_hz = INFINITY;
        break;
    case 9:
        m->preference = &r->preference;
        r->preference.u1 = NAN;
        break;
    case 10:
        m->targets = 0;
        break;
    case 11:
        r->station[2].power_w = -1;
        break;
    case 12:
        r->station[0].axis_rad = NAN;
        break;
    case 13:
        r->station[1].x_m = r->station[0].x_m;
        r->station[1].y_m = r->station[0].y_m;
        break;
    case 14:
        r->station[0].echo_noise_w = 0;
        break;
    case 15: /* admissible in the loop's thread once, zero in the solver's */
        m->snapshots = 1e-310;
        break;
    default:
        for (int l = 0; l < L; l++) {
            r->station[l].antennas = 4000000000u;
        }
    }
}

/* Every field of a registration, spoilt in turn. */
static void a_registration_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        Beamd__ErrorCode code;
    } cases[] = {
        {"array", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"user_antennas", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"stations", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[1].antennas", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"max_users", BEAMD__ERROR_CODE__ERROR_LIMIT},
        {"sensing", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"bandwidth_hz", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"snapshots", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"carrier_hz", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"preference", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[2].power_w", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[0].axis_rad", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[1].position_m", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"stations[0].echo_noise_w", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"snapshots", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"antennas", BEAMD__ERROR_CODE__ERROR_LIMIT},
    };
    peer *p = peer_new(context, daemon_.dir, "csi.sock");
    for (int k = 0; k < (int)(sizeof cases / sizeof cases[0]); k++) {
        request *r = request_new(scene);
        spoil_registration(r, k);
        peer_send(p, BEAM_WIRE_REGISTER_CLUSTER, "spoilt", &r->registration.base);
        peer_expect(p, cases[k].code, cases[k].field);
        free(r);
    }
    request *r = request_new(scene);
    peer_send(p, BEAM_WIRE_CSI_UPDATE, "spoilt",
              &r->csi.base); /* none of them registered anything */
    peer_expect(p, BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER, "cluster");
    free(r);
    peer_free(p);
}

static void put_double(unsigned char *at, double value)
{
    memcpy(at, &value, sizeof value);
}

static void spoil_csi(request *r, int k, Beamd__User **four, Beamd__User *extra, peer *p)
{
    switch (k) {
    case 0:
        memcpy(four, r->user_at, sizeof r->user_at);
        four[U] = extra;
        r->csi.users = four;
        r->csi.n_users = U + 1;
        break;
    case 1:
        r->user[2].user_id = r->user[0].user_id;
        break;
    case 2:
        r->user[1].station = 4000000000u;
        break;
    case 3:
        r->user[0].weight = NAN;
        break;
    case 4:
        r->user[2].noise_w = 0;
        break;
    case 5:
        r->user[1].min_rate_bps_hz = -1;
        break;
    case 6:
        r->csi.n_subbands = 0;
        break;
    case 7:
        r->band.channels = NULL;
        break;
    case 8:
        r->shape[2] = 4;
        break;
    case 9:
        r->channels.data.len -= 16;
        break;
    case 10:
        r->channels.element = BEAMD__ELEMENT_TYPE__ELEMENT_UNSPECIFIED;
        break;
    case 11:
        put_double(r->data + 16 * ((1 * U + 2) * N + 3), NAN);
        break;
    case 12:
        r->band.n_error_radius--;
        break;
    case 13:
        r->radius[2 * U + 1] = -1e-9;
        break;
    case 14:
        r->radius[0] = INFINITY;
        break;
    case 15:
        put_double(r->data, 1e300);
        break;
    default:
        p->sequence = 1;
        break; /* was used by the registration */
    }
}

static void a_csi_update_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        Beamd__ErrorCode code;
    } cases[] = {
        {"users", BEAMD__ERROR_CODE__ERROR_LIMIT},
        {"users[2].user_id", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[1].station", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[0].weight", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[2].noise_w", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[1].min_rate_bps_hz", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels.shape[2]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels.data", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].channels.element", BEAMD__ERROR_CODE__ERROR_UNSUPPORTED},
        {"subbands[0].channels[1][2][3]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"subbands[0].error_radius", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[1].error_radius[2]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[0].error_radius[0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"users[0].channels[0][0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"sequence", BEAMD__ERROR_CODE__ERROR_STALE},
    };
    request *good = request_new(scene);
    peer *p = registered_peer(good, "csi");
    peer_send(p, BEAM_WIRE_CSI_UPDATE, "csi", &good->csi.base);
    assert_int_equal(p->header.type, BEAM_WIRE_SOLUTION);
    Beamd__User extra = good->user[0];
    extra.user_id = 77;
    Beamd__User *four[U + 1];
    for (int k = 0; k < (int)(sizeof cases / sizeof cases[0]); k++) {
        request *r = request_new(scene);
        spoil_csi(r, k, four, &extra, p);
        peer_send(p, BEAM_WIRE_CSI_UPDATE, "csi", &r->csi.base);
        peer_expect(p, cases[k].code, cases[k].field);
        free(r);
    }
    p->sequence = 1000;
    peer_send(p, BEAM_WIRE_CSI_UPDATE, "csi", &good->csi.base); /* nothing was spoilt for good */
    assert_int_equal(p->header.type, BEAM_WIRE_SOLUTION);
    peer_free(p);
    free(good);
}

static void a_target_update_names_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        Beamd__ErrorCode code;
    } cases[] = {
        {"targets", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[1].position_m", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[0].position_m", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"reflection.shape[0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"reflection[0][0][0]", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[1].rcs_m2", BEAMD__ERROR_CODE__ERROR_INVALID},
        {"targets[0].x_m", BEAMD__ERROR_CODE__ERROR_INVALID},
    };
    request *good = request_new(scene);
    peer *p = registered_peer(good, "targets");
    for (int k = 0; k < (int)(sizeof cases / sizeof cases[0]); k++) {
        request *r = request_new(scene);
        switch (k) {
        case 0:
            r->targets.n_targets = 1;
            break;
        case 1:
            r->target[1].y_m = NAN;
            break;
        case 2:
            r->target[0].x_m = r->station[0].x_m;
            r->target[0].y_m = r->station[0].y_m;
            break;
        case 3:
            r->reflection_shape[0] = 2;
            break;
        case 4:
            put_double(r->reflection_data, INFINITY);
            break;
        case 5:
            r->targets.reflection = NULL;
            r->target[1].rcs_m2 = 0;
            break;
        default:
            r->targets.reflection = NULL;
            r->target[0].x_m = r->station[0].x_m;
            r->target[0].y_m = r->station[0].y_m;
        }
        peer_send(p, BEAM_WIRE_TARGET_UPDATE, "targets", &r->targets.base);
        peer_expect(p, cases[k].code, cases[k].field);
        free(r);
    }
    peer_send(p, BEAM_WIRE_CSI_UPDATE, "targets",
              &good->csi.base); /* the good ones are still there */
    assert_int_equal(p->header.type, BEAM_WIRE_SOLUTION);
    peer_free(p);
    free(good);
}

static void preferences_and_sockets_are_checked(void **state)
{
    (void)state;
    static const double bad[][2] = {{NAN, 1}, {1, INFINITY}, {-0.1, 1}, {0, 0}};
    request *r = request_new(scene);
    peer *control = peer_new(context, daemon_.dir, "control.sock"),
         *csi = peer_new(context, daemon_.dir, "csi.sock");
    for (int k = 0; k < 4; k++) {
        r->preference.u1 = bad[k][0];
        r->preference.u2 = bad[k][1];
        peer_send(control, BEAM_WIRE_PREFERENCE_SET, "bystander", &r->preference_set.base);
        peer_expect(control, BEAMD__ERROR_CODE__ERROR_INVALID, "preference");
    }
    r->preference_set.preference = NULL;
    peer_send(control, BEAM_WIRE_PREFERENCE_SET, "bystander", &r->preference_set.base);
    peer_expect(control, BEAMD__ERROR_CODE__ERROR_INVALID, "preference");
    peer_send(control, BEAM_WIRE_CSI_UPDATE, "bystander", &r->csi.base);
    peer_expect(control, BEAMD__ERROR_CODE__ERROR_TYPE, "type");
    peer_send(csi, BEAM_WIRE_PREFERENCE_SET, "bystander", &r->preference_set.base);
    peer_expect(csi, BEAMD__ERROR_CODE__ERROR_TYPE, "type");
    peer_send(csi, BEAM_WIRE_REGISTER_CLUSTER, "", &r->registration.base);
    peer_expect(csi, BEAMD__ERROR_CODE__ERROR_INVALID, "cluster");
    Beamd__ModelReload model = BEAMD__MODEL_RELOAD__INIT;
    static char relative[] = "../model";
    model.file = relative;
    peer_send(csi, BEAM_WIRE_MODEL_RELOAD, "", &model.base);
    peer_expect(csi, BEAMD__ERROR_CODE__ERROR_TYPE, "type");
    peer_send(control, BEAM_WIRE_MODEL_RELOAD, "", &model.base);
    peer_expect(control, BEAMD__ERROR_CODE__ERROR_INVALID, "file");
    peer_free(control);
    peer_free(csi);
    free(r);
}

/* More of everything than the daemon was told to take. */
static void limits_hold(void **state)
{
    (void)state;
    static const char *const settings[] = {"clusters_max = 2", "users_max = 4",
                                           "cluster_memory_mib = 8", NULL};
    test_daemon small;
    test_daemon_start(&small, settings, 0);
    const test_daemon all = daemon_;
    daemon_ = small; /* peers of this test go there */
    request *r = request_new(scene);
    peer *p = peer_new(context, daemon_.dir, "csi.sock");
    r->registration.max_users = 5;
    peer_send(p, BEAM_WIRE_REGISTER_CLUSTER, "a", &r->registration.base);
    peer_expect(p, BEAMD__ERROR_CODE__ERROR_LIMIT, "max_users");
    r->registration.max_users = 4;
    for (int l = 0; l < L; l++) {
        r->station[l].antennas = 256;
    }
    r->registration.targets = 16;
    peer_send(p, BEAM_WIRE_REGISTER_CLUSTER, "a", &r->registration.base);
    peer_expect(p, BEAMD__ERROR_CODE__ERROR_LIMIT, "stations");
    for (int l = 0; l < L; l++) {
        r->station[l].antennas = N;
    }
    r->registration.targets = J;
    for (int k = 0; k < 3; k++) {
        const char id[2] = {(char)('a' + k), 0};
        peer_send(p, BEAM_WIRE_REGISTER_CLUSTER, id, &r->registration.base);
        if (k < 2) {
            assert_int_equal(p->header.type, BEAM_WIRE_ACK);
        }
    }
    peer_expect(p, BEAMD__ERROR_CODE__ERROR_LIMIT, "cluster");
    peer_send(p, BEAM_WIRE_REGISTER_CLUSTER, "b",
              &r->registration.base); /* replacing is no growth */
    assert_int_equal(p->header.type, BEAM_WIRE_ACK);
    peer_free(p);
    free(r);
    daemon_ = all;
    assert_int_equal(test_daemon_stop(&small), 0);
}

/* Bytes of a good message flipped one by one: any answer will do, as long as there is one. */
static void flipped_bytes_never_go_unanswered(void **state)
{
    (void)state;
    unsigned char frame[FRAME_BYTES], spoilt[FRAME_BYTES];
    request *r = request_new(scene);
    peer *p = registered_peer(r, "flip");
    int refused = 0;
    for (int k = 0; k < 600; k++) {
        const size_t bytes = peer_pack(p, BEAM_WIRE_CSI_UPDATE, "flip", &r->csi.base, frame);
        const size_t at = (size_t)(k * 7919) % bytes;
        memcpy(spoilt, frame, bytes);
        spoilt[at] ^= (unsigned char)(1u << (k % 8));
        peer_send_raw(p, spoilt, bytes);
        refused += p->error != NULL;
    }
    assert_true(refused > 20);
    peer_free(p);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(broken_frames_are_answered, others_go_on),
        cmocka_unit_test_teardown(several_frames_are_refused, others_go_on),
        cmocka_unit_test_teardown(too_large_messages_are_answered, others_go_on),
        cmocka_unit_test_teardown(a_registration_names_its_field, others_go_on),
        cmocka_unit_test_teardown(a_csi_update_names_its_field, others_go_on),
        cmocka_unit_test_teardown(a_target_update_names_its_field, others_go_on),
        cmocka_unit_test_teardown(preferences_and_sockets_are_checked, others_go_on),
        cmocka_unit_test_teardown(limits_hold, others_go_on),
        cmocka_unit_test_teardown(flipped_bytes_never_go_unanswered, others_go_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

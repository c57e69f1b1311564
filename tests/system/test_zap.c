/* Who gets in, as what, and how many: the sockets of the daemon with real peers. */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "system/zap_world.h"

enum { PATIENCE_MS = 10000, SILENCE_MS = 150 };

static test_keys keys;

static int make_keys(void **state)
{
    (void)state;
    test_keys_create(&keys);
    return 0;
}

static int remove_keys(void **state)
{
    (void)state;
    test_keys_destroy(&keys);
    return 0;
}

/* The answer is "NAME#xxxxxxxx ROLES". */
static void assert_user(const char *answer, const char *name, unsigned roles)
{
    char expected[128], found[256];
    assert_non_null(answer);
    snprintf(found, sizeof found, "%s", answer);
    char *mark = strchr(found, '#');
    assert_non_null(mark);
    assert_true(strlen(mark) > 10 && mark[9] == ' ');
    memmove(mark + 1, mark + 9, strlen(mark + 9) + 1);
    snprintf(expected, sizeof expected, "%s# %u", name, roles);
    assert_string_equal(found, expected);
}

static void a_known_key_gets_in_with_its_roles(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    const test_pair alice = test_keys_client(&keys, "alice", "csi");
    const test_pair bob = test_keys_client(&keys, "bob", "operator");
    zap_world_start(&w, keys.dir, false, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &alice, keys.server.public_key);
    assert_user(zap_client_ask(&w, &c, PATIENCE_MS), "alice", BEAMD_ROLE_CSI);
    assert_user(zap_client_ask(&w, &c, PATIENCE_MS), "alice", BEAMD_ROLE_CSI);
    zap_client_close(&c);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.control, &bob, keys.server.public_key);
    assert_user(zap_client_ask(&w, &c, PATIENCE_MS), "bob",
                BEAMD_ROLE_OPERATOR | BEAMD_ROLE_OBSERVER);
    zap_client_close(&c);
    assert_int_equal(beamd_zap_count(w.zap)->accepted, 2);
    assert_int_equal(beamd_zap_count(w.zap)->clients, 2);
    assert_int_equal(beamd_zap_count(w.zap)->refused_keys, 0);
    zap_world_stop(&w);
}

static void refused_with_400(zap_world *w, zap_client *c)
{
    assert_true(zap_client_fails(w, c, PATIENCE_MS));
    assert_int_equal(c->failed, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    assert_int_equal(c->reason, 400);
    assert_null(zap_client_ask(w, c, SILENCE_MS));
    zap_client_close(c);
}

static void an_unknown_key_stays_out(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    test_pair eve;
    test_pair_create(&eve);
    test_keys_client(&keys, "alice", "csi");
    zap_world_start(&w, keys.dir, false, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &eve, keys.server.public_key);
    refused_with_400(&w, &c);
    zap_client_connect(&w, &c, ZMQ_SUB, w.beams, &eve, keys.server.public_key);
    assert_true(zap_client_fails(&w, &c, PATIENCE_MS));
    zap_client_close(&c);
    assert_int_equal(w.subscriptions, 0);
    assert_int_equal(beamd_zap_count(w.zap)->refused_keys, 2);
    assert_int_equal(beamd_zap_count(w.zap)->accepted, 0);
    zap_world_stop(&w);
}

static void each_socket_asks_for_its_role(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    const test_pair sender = test_keys_client(&keys, "sender", "csi");
    const test_pair reader = test_keys_client(&keys, "reader", "observer");
    zap_world_start(&w, keys.dir, false, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &reader, keys.server.public_key);
    refused_with_400(&w, &c);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.control, &sender, keys.server.public_key);
    refused_with_400(&w, &c);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.control, &reader, keys.server.public_key);
    assert_user(zap_client_ask(&w, &c, PATIENCE_MS), "reader", BEAMD_ROLE_OBSERVER);
    zap_client_close(&c);
    const test_pair *const subscribers[] = {&sender, &reader};
    for (unsigned k = 0; k < 2; k++) {
        zap_client_connect(&w, &c, ZMQ_SUB, w.beams, subscribers[k], keys.server.public_key);
        for (unsigned ms = 0; ms < PATIENCE_MS && w.subscriptions == k; ms += 2) {
            zap_world_turn(&w, 2);
        }
        assert_int_equal(w.subscriptions, k + 1);
        assert_int_equal(strncmp(w.subscriber, k ? "reader#" : "sender#", 7), 0);
        assert_int_equal(w.subscriber_roles, k ? BEAMD_ROLE_OBSERVER : BEAMD_ROLE_CSI);
        /* left open: else its unsubscription may come later */
        zmq_disconnect(c.socket, beamd_zsock_endpoint(w.beams));
        zap_client_close(&c);
        zap_world_turn(&w, 50);
        w.subscriptions = k + 1;
    }
    zap_world_stop(&w);
}

static void a_client_with_another_server_key_is_not_heard(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    test_pair other;
    test_pair_create(&other);
    const test_pair alice = test_keys_client(&keys, "alice", "csi");
    zap_world_start(&w, keys.dir, false, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &alice, other.public_key);
    assert_true(zap_client_fails(&w, &c, PATIENCE_MS));
    assert_int_equal(c.failed, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
    assert_null(zap_client_ask(&w, &c, SILENCE_MS));
    zap_client_close(&c);
    zap_world_turn(&w, 1100); /* monitors are read once a second */
    assert_true(beamd_zap_count(w.zap)->handshake_failures > 0);
    assert_int_equal(beamd_zap_count(w.zap)->accepted, 0);
    zap_world_stop(&w);
}

static void without_curve_nobody_enters_a_curve_socket(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    zap_world_start(&w, keys.dir, false, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, NULL, NULL);
    assert_true(zap_client_fails(&w, &c, PATIENCE_MS));
    assert_null(zap_client_ask(&w, &c, SILENCE_MS));
    zap_client_close(&c);
    assert_int_equal(beamd_zap_count(w.zap)->accepted, 0);
    zap_world_stop(&w);
}

static void ipc_peers_are_named_by_their_user(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    char expected[256];
    const struct passwd *me = getpwuid(getuid());
    snprintf(expected, sizeof expected, me ? "uid:%u(%s) 7" : "uid:%u 7", (unsigned)getuid(),
             me ? me->pw_name : "");
    zap_world_start(&w, NULL, true, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, NULL, NULL);
    assert_string_equal(zap_client_ask(&w, &c, PATIENCE_MS), expected);
    zap_client_close(&c);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.control, NULL, NULL);
    assert_string_equal(zap_client_ask(&w, &c, PATIENCE_MS), expected);
    zap_client_close(&c);
    zap_world_stop(&w);
}

static void ipc_needs_no_key_where_tcp_does(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    zap_world_start(&w, keys.dir, true, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, NULL, NULL);
    const char *answer = zap_client_ask(&w, &c, PATIENCE_MS);
    assert_non_null(answer);
    assert_int_equal(strncmp(answer, "uid:", 4), 0);
    zap_client_close(&c);
    zap_world_stop(&w);
}

static void loopback_without_keys_is_open_and_the_world_is_not(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    char why[512];
    zap_world_start(&w, NULL, false, 100);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, NULL, NULL);
    const char *answer = zap_client_ask(&w, &c, PATIENCE_MS);
    assert_non_null(answer);
    assert_string_equal(answer, "tcp:127.0.0.1 7");
    zap_client_close(&c);
    beamd_zsock_destroy(&w.csi);
    static const char *const endpoints[] = {"tcp://0.0.0.0:*", "tcp://[::]:*", "tcp://*:*"};
    for (size_t k = 0; k < sizeof endpoints / sizeof endpoints[0]; k++) {
        const beamd_zsock_options options = {.endpoint = endpoints[k],
                                             .domain = "csi",
                                             .queue_messages = 1,
                                             .message_bytes = 1,
                                             .per_turn = &w.per_turn};
        assert_null(beamd_zsock_router(w.zmq, w.loop, &options, why, sizeof why));
        assert_non_null(strstr(why, "tcp beyond loopback needs keys (curve_dir)"));
    }
    zap_world_stop(&w);
}

static void connections_are_limited_and_freed(void **state)
{
    (void)state;
    zap_world w;
    zap_client c[9];
    zap_world_start(&w, NULL, true, 8);
    for (int k = 0; k < 8; k++) {
        zap_client_connect(&w, &c[k], ZMQ_DEALER, k & 1 ? w.csi : w.control, NULL, NULL);
        assert_non_null(zap_client_ask(&w, &c[k], PATIENCE_MS));
    }
    assert_int_equal(beamd_zap_count(w.zap)->connections, 8);
    zap_client_connect(&w, &c[8], ZMQ_DEALER, w.csi, NULL, NULL);
    assert_true(zap_client_fails(&w, &c[8], PATIENCE_MS));
    assert_int_equal(c[8].failed, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
    assert_int_equal(c[8].reason, 500);
    zap_client_close(&c[8]);
    assert_int_equal(beamd_zap_count(w.zap)->refused_limit, 1);
    for (int k = 0; k < 8; k++) { /* the others do not notice */
        assert_non_null(zap_client_ask(&w, &c[k], PATIENCE_MS));
    }
    zap_client_close(&c[3]);
    for (int ms = 0; ms < PATIENCE_MS && beamd_zap_count(w.zap)->connections > 7; ms += 20) {
        zap_world_turn(&w, 20);
    }
    assert_int_equal(beamd_zap_count(w.zap)->connections, 7);
    zap_client_connect(&w, &c[3], ZMQ_DEALER, w.control, NULL, NULL);
    assert_non_null(zap_client_ask(&w, &c[3], PATIENCE_MS));
    for (int k = 0; k < 8; k++) {
        zap_client_close(&c[k]);
    }
    assert_int_equal(beamd_zap_count(w.zap)->accepted, 9);
    assert_int_equal(beamd_zap_count(w.zap)->handshake_failures, 0);
    zap_world_stop(&w);
}

static void many_connections_at_once_are_all_answered(void **state)
{
    (void)state;
    enum { MANY = 200 };
    static zap_client c[MANY];
    zap_world w;
    zap_world_start(&w, NULL, true, 1000);
    for (int k = 0; k < MANY; k++) {
        zap_client_connect(&w, &c[k], ZMQ_DEALER, w.csi, NULL, NULL);
    }
    for (int k = 0; k < MANY; k++) {
        assert_non_null(zap_client_ask(&w, &c[k], PATIENCE_MS));
    }
    assert_int_equal(beamd_zap_count(w.zap)->accepted, MANY);
    for (int k = 0; k < MANY; k++) {
        zap_client_close(&c[k]);
    }
    zap_world_stop(&w);
}

static void a_reload_takes_all_or_nothing(void **state)
{
    (void)state;
    zap_world w;
    zap_client c;
    char why[512] = "";
    const test_pair alice = test_keys_client(&keys, "alice", "csi");
    zap_world_start(&w, keys.dir, false, 100);
    const test_pair bob = test_keys_client(&keys, "bob", "csi");
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &bob, keys.server.public_key);
    refused_with_400(&w, &c);
    assert_true(beamd_zap_check(w.zap, keys.dir, why, sizeof why)); /* which changes nothing */
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &bob, keys.server.public_key);
    refused_with_400(&w, &c);
    assert_true(beamd_zap_reload(w.zap, keys.dir, why, sizeof why));
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &bob, keys.server.public_key);
    assert_user(zap_client_ask(&w, &c, PATIENCE_MS), "bob", BEAMD_ROLE_CSI);
    zap_client_close(&c);

    const test_pair carol = test_keys_client(&keys, "carol", "csi"); /* good, beside a bad one */
    test_keys_write(&keys, "clients/dave.key", 0644, "roles = none\n");
    assert_false(beamd_zap_check(w.zap, keys.dir, why, sizeof why));
    assert_false(beamd_zap_reload(w.zap, keys.dir, why, sizeof why));
    assert_non_null(strstr(why, "/clients/dave.key:1: roles: one or more of"));
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &carol, keys.server.public_key);
    refused_with_400(&w, &c);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, &alice, keys.server.public_key);
    assert_user(zap_client_ask(&w, &c, PATIENCE_MS), "alice", BEAMD_ROLE_CSI);
    zap_client_close(&c);

    assert_false(beamd_zap_reload(w.zap, "", why, sizeof why));
    assert_string_equal(why, "curve_dir: keys are taken away; that needs a restart");
    test_keys other;
    test_keys_create(&other);
    assert_false(beamd_zap_reload(w.zap, other.dir, why, sizeof why));
    assert_non_null(strstr(why, "another key of the server needs a restart"));
    zap_world_stop(&w);
    zap_world_start(&w, NULL, false, 100);
    assert_false(beamd_zap_reload(w.zap, other.dir, why, sizeof why));
    assert_string_equal(why, "curve_dir: keys where there were none; that needs a restart");
    assert_true(beamd_zap_reload(w.zap, "", why, sizeof why));
    zap_world_stop(&w);
    test_keys_destroy(&other);
}

static bool receives(zap_world *w, zap_client *c, unsigned ms)
{
    const beamd_frame frame = {"beams", 5};
    char text[16];
    for (unsigned spent = 0; spent < ms; spent += 5) {
        beamd_zsock_send(w->beams, &frame, 1);
        zap_world_turn(w, 5);
        if (zmq_recv(c->socket, text, sizeof text, ZMQ_DONTWAIT) == 5) {
            return true;
        }
    }
    return false;
}

static void what_a_reload_takes_away_is_gone_at_once(void **state)
{
    (void)state;
    zap_world w;
    zap_client sender, alice_sub, bob_sub;
    char why[512] = "";
    const test_pair alice = test_keys_client(&keys, "alice", "csi");
    const test_pair bob = test_keys_client(&keys, "bob", "observer");
    zap_world_start(&w, keys.dir, false, 100);
    zap_client_connect(&w, &sender, ZMQ_DEALER, w.csi, &alice, keys.server.public_key);
    zap_client_connect(&w, &alice_sub, ZMQ_SUB, w.beams, &alice, keys.server.public_key);
    zap_client_connect(&w, &bob_sub, ZMQ_SUB, w.beams, &bob, keys.server.public_key);
    assert_user(zap_client_ask(&w, &sender, PATIENCE_MS), "alice", BEAMD_ROLE_CSI);
    assert_true(receives(&w, &alice_sub, PATIENCE_MS));
    assert_true(receives(&w, &bob_sub, PATIENCE_MS));

    test_keys_client(&keys, "alice", "csi"); /* the same name, another key */
    assert_true(beamd_zap_reload(w.zap, keys.dir, why, sizeof why));
    assert_int_equal(beamd_zap_count(w.zap)->revoked, 1);
    assert_user(zap_client_ask(&w, &sender, PATIENCE_MS), "alice", 0);
    assert_true(zap_client_fails(&w, &alice_sub, PATIENCE_MS)); /* it came back, and was refused */
    char text[16];
    while (zmq_recv(alice_sub.socket, text, sizeof text, ZMQ_DONTWAIT) >= 0) {
    }
    assert_false(receives(&w, &alice_sub, SILENCE_MS));
    assert_true(receives(&w, &bob_sub, PATIENCE_MS));
    zap_client_close(&sender);
    zap_client_close(&alice_sub);
    zap_client_close(&bob_sub);
    zap_world_stop(&w);
}

/* Raw connections that say nothing, as many as the kernel gives, held until the other end of `hold`
 * is closed. */
static pid_t flood(const char *path, int count, const int hold[2])
{
    const pid_t child = fork();
    if (child != 0) {
        return child;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (int k = 0; k < count; k++) {
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
            break;
        }
    }
    char byte;
    close(hold[1]);
    while (read(hold[0], &byte, 1) < 0 && errno == EINTR) {
    }
    _exit(0);
}

static void a_flood_does_not_use_up_the_descriptors(void **state)
{
    (void)state;
    enum { DESCRIPTORS = 160, FLOOD = 400 };
    struct rlimit old, small;
    zap_world w;
    zap_client c, old_client;
    int hold[2], status;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    small = (struct rlimit){DESCRIPTORS, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    zap_world_start(&w, NULL, true, 4096);
    assert_true(beamd_zap_count(w.zap)->connections_max <= (DESCRIPTORS - 64) * 3 / 4);
    zap_client_connect(&w, &old_client, ZMQ_DEALER, w.control, NULL, NULL);
    assert_non_null(zap_client_ask(&w, &old_client, PATIENCE_MS));
    assert_int_equal(pipe(hold), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    const pid_t child = flood(beamd_zsock_endpoint(w.csi) + 6, FLOOD, hold);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    assert_true(child > 0);
    for (unsigned ms = 0; ms < PATIENCE_MS && beamd_zap_count(w.zap)->refused_descriptors == 0;
         ms += 10) {
        zap_world_turn(&w, 10);
    }
    assert_true(beamd_zap_count(w.zap)->refused_descriptors > 0);
    const int spare = dup(hold[0]); /* what the daemon kept for itself is there */
    assert_true(spare >= 0);
    close(spare);
    assert_non_null(zap_client_ask(&w, &old_client, PATIENCE_MS));
    close(hold[1]);
    close(hold[0]);
    waitpid(child, &status, 0);
    for (unsigned ms = 0; ms < PATIENCE_MS && beamd_zap_count(w.zap)->connections > 1; ms += 50) {
        zap_world_turn(&w, 50);
    }
    assert_int_equal(beamd_zap_count(w.zap)->connections, 1);
    zap_client_connect(&w, &c, ZMQ_DEALER, w.csi, NULL, NULL);
    assert_non_null(zap_client_ask(&w, &c, PATIENCE_MS));
    zap_client_close(&c);
    zap_client_close(&old_client);
    zap_world_stop(&w);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* Turns until the two counts are so. */
static void assert_topics(zap_world *w, uint64_t topics, uint64_t cuts)
{
    const beamd_zap_counters *seen = beamd_zap_count(w->zap);
    for (unsigned ms = 0;
         ms < PATIENCE_MS && (seen->topics != topics || seen->oversubscribed != cuts); ms += 20) {
        zap_world_turn(w, 20);
    }
    assert_int_equal(seen->topics, topics);
    assert_int_equal(seen->oversubscribed, cuts);
}

/* Without the memory of SUB, which would leave out what it asked for before. */
static void *plain_subscriber(zap_world *w)
{
    const int zero = 0, never = -1;
    void *socket = zmq_socket(w->clients, ZMQ_XSUB);
    assert_non_null(socket);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &never, sizeof never);
    assert_int_equal(zmq_connect(socket, beamd_zsock_endpoint(w->beams)), 0);
    return socket;
}

static void subscribe(void *socket, unsigned first, unsigned count, size_t bytes)
{
    for (unsigned n = first; n < first + count; n++) {
        unsigned char frame[1 + 2 * BEAMD_TOPIC_BYTES_MAX] = {1};
        snprintf((char *)frame + 1, sizeof frame - 1, "%u", n);
        assert_int_equal(zmq_send(socket, frame, 1 + bytes, 0), 1 + bytes);
    }
}

/* libzmq has no limit of its own for what it keeps of them. */
static void subscriptions_are_limited(void **state)
{
    (void)state;
    zap_world w;
    zap_client good;
    zap_world_start(&w, NULL, true, 64);
    zap_client_connect(&w, &good, ZMQ_SUB, w.beams, NULL, NULL);
    assert_topics(&w, 1, 0);
    void *many = plain_subscriber(&w);
    subscribe(many, 0, BEAMD_TOPICS_MAX, BEAMD_TOPIC_BYTES_MAX);
    assert_topics(&w, 1 + BEAMD_TOPICS_MAX, 0);
    subscribe(many, BEAMD_TOPICS_MAX, 100, 8);
    assert_topics(&w, 1, 1);
    void *wide = plain_subscriber(&w);
    subscribe(wide, 0, 1, BEAMD_TOPIC_BYTES_MAX + 1);
    assert_topics(&w, 1, 2);
    assert_int_equal(w.subscriptions, 1 + BEAMD_TOPICS_MAX); /* what was refused went no further */
    zmq_close(many);
    zmq_close(wide);
    zap_client_close(&good);
    assert_topics(&w, 0, 2);
    zap_world_stop(&w);
}

static void too_few_descriptors_end_the_start(void **state)
{
    (void)state;
    char why[512];
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    small = (struct rlimit){70, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    const beamd_zap_options options = {.connections_max = 100, .descriptors_kept = 64};
    assert_null(beamd_zap_create(&options, why, sizeof why));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_non_null(strstr(why, "connections_max: the limit of 70 descriptors"));
}

static void keys_that_are_too_open_end_the_start(void **state)
{
    (void)state;
    char why[512];
    assert_int_equal(chmod(test_keys_path(&keys, "server.key_secret"), 0644), 0);
    const beamd_zap_options options = {
        .curve_dir = keys.dir, .connections_max = 100, .descriptors_kept = 64};
    assert_null(beamd_zap_create(&options, why, sizeof why));
    assert_non_null(strstr(why, "/server.key_secret: mode 0644 is too open"));
}

static void a_socket_file_that_is_not_ours_stays(void **state)
{
    (void)state;
    zap_world w;
    struct stat st;
    char path[128];
    zap_world_start(&w, NULL, true, 100);
    snprintf(path, sizeof path, "%s", beamd_zsock_endpoint(w.csi) + 6);
    assert_int_equal(lstat(path, &st), 0);
    beamd_zsock_destroy(&w.csi);
    assert_int_equal(lstat(path, &st), -1);
    snprintf(path, sizeof path, "%s", beamd_zsock_endpoint(w.control) + 6);
    char other[136];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *file = fopen(other, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(rename(other, path), 0); /* another inode under the same name */
    beamd_zsock_destroy(&w.control);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(unlink(path), 0);
    zap_world_stop(&w);
}

/* In a child without any privilege: 0 when everything was as it should be. */
static int unprivileged(void)
{
    const struct rlimit none = {0, 0};
    char why[512] = "";
    if (setrlimit(RLIMIT_RTPRIO, &none) < 0 ||
        (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))) {
        return 1;
    }
    beamd_loop *loop = beamd_loop_create();
    const beamd_zap_options zap_options = {.connections_max = 100, .descriptors_kept = 64};
    beamd_zap *zap = loop ? beamd_zap_create(&zap_options, why, sizeof why) : NULL;
    if (!zap) {
        return 2;
    }
    beamd_zmq_options options = {.loop = loop, .zap = zap, .io_cpu = -1, .realtime_priority = 51};
    beamd_zmq *zmq = beamd_zmq_create(&options, why, sizeof why);
    if (zmq || !strstr(why, "realtime_priority: SCHED_FIFO is refused")) {
        return 3;
    }
    options = (beamd_zmq_options){.loop = loop, .zap = zap, .io_cpu = 1000000};
    zmq = beamd_zmq_create(&options, why, sizeof why);
    if (zmq || !strstr(why, "io_cpu: not a core")) {
        return 4;
    }
    options.io_cpu = CPU_SETSIZE - 1; /* in the set's range, on no machine of the tests */
    zmq = beamd_zmq_create(&options, why, sizeof why);
    if (zmq || !strstr(why, "io_cpu: not a core")) {
        return 5;
    }
    beamd_zap_destroy(&zap);
    beamd_loop_destroy(&loop);
    return 0;
}

static void what_the_system_refuses_is_said_and_not_died_of(void **state)
{
    (void)state;
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(unprivileged());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_io_thread_is_where_it_was_put(void **state)
{
    (void)state;
    char why[512];
    cpu_set_t ours;
    size_t cpu = 0;
    assert_int_equal(sched_getaffinity(0, sizeof ours, &ours), 0);
    while (!CPU_ISSET(cpu, &ours)) {
        cpu++;
    }
    beamd_loop *loop = beamd_loop_create();
    const beamd_zap_options zap_options = {.connections_max = 100, .descriptors_kept = 64};
    beamd_zap *zap = beamd_zap_create(&zap_options, why, sizeof why);
    assert_non_null(zap);
    const beamd_zmq_options options = {.loop = loop, .zap = zap, .io_cpu = (int)cpu};
    beamd_zmq *zmq = beamd_zmq_create(&options, why, sizeof why);
    if (!zmq) {
        fail_msg("%s", why);
    }
    cpu_set_t after;
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&ours, &after)); /* of this thread: unchanged */
    beamd_zmq_destroy(&zmq);
    beamd_zap_destroy(&zap);
    beamd_loop_destroy(&loop);
}

#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, make_keys, remove_keys)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KEYS(a_known_key_gets_in_with_its_roles),
        WITH_KEYS(an_unknown_key_stays_out),
        WITH_KEYS(each_socket_asks_for_its_role),
        WITH_KEYS(a_client_with_another_server_key_is_not_heard),
        WITH_KEYS(without_curve_nobody_enters_a_curve_socket),
        cmocka_unit_test(ipc_peers_are_named_by_their_user),
        WITH_KEYS(ipc_needs_no_key_where_tcp_does),
        cmocka_unit_test(loopback_without_keys_is_open_and_the_world_is_not),
        cmocka_unit_test(connections_are_limited_and_freed),
        cmocka_unit_test(many_connections_at_once_are_all_answered),
        WITH_KEYS(a_reload_takes_all_or_nothing),
        WITH_KEYS(what_a_reload_takes_away_is_gone_at_once),
        cmocka_unit_test(subscriptions_are_limited),
        cmocka_unit_test(a_flood_does_not_use_up_the_descriptors),
        cmocka_unit_test(too_few_descriptors_end_the_start),
        WITH_KEYS(keys_that_are_too_open_end_the_start),
        cmocka_unit_test(a_socket_file_that_is_not_ours_stays),
        cmocka_unit_test(what_the_system_refuses_is_said_and_not_died_of),
        cmocka_unit_test(the_io_thread_is_where_it_was_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The client library and beamctl keygen against a daemon with keys, over tcp: who gets in, and what
 * those are told who do not. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/keys.h"
#include "keygen.h"
#include "system/daemon.h"

enum { PATIENCE_MS = 10000 };

typedef struct world {
    test_daemon daemon;
    test_keys keys;
    char csi[64], control[64], beams[64]; /* endpoints */
    char server_key[128];                 /* file:... */
} world;

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static int keygen(const char *dir, const char *client, const char *roles)
{
    char words[6][64] = {"keygen", "", "--client", "", "--roles", ""};
    char *argv[7] = {words[0], words[1], words[2], words[3], words[4], words[5], NULL};
    snprintf(words[1], sizeof words[1], "%s", dir);
    snprintf(words[3], sizeof words[3], "%s", client ? client : "");
    snprintf(words[5], sizeof words[5], "%s", roles ? roles : "");
    argv[client ? 6 : 2] = NULL;
    return beamctl_keygen(client ? 6 : 2, argv);
}

static int setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    char *const endpoints[] = {w->csi, w->control, w->beams};
    static const char *const names[] = {"csi", "control", "beams"};
    char settings[4][128];
    const char *list[5] = {settings[0], settings[1], settings[2], settings[3], NULL};
    snprintf(w->keys.dir, sizeof w->keys.dir, "/tmp/beamd-keys-XXXXXX");
    assert_non_null(mkdtemp(w->keys.dir));
    assert_int_equal(keygen(w->keys.dir, NULL, NULL), 0);
    snprintf(w->server_key, sizeof w->server_key, "file:%s/server.key", w->keys.dir);
    assert_int_equal(keygen(w->keys.dir, "sender", "csi"), 0);
    assert_int_equal(keygen(w->keys.dir, "reader", "observer"), 0);
    assert_int_equal(keygen(w->keys.dir, "chief", "csi,operator"), 0);
    for (int k = 0; k < 3; k++) {
        snprintf(endpoints[k], 64, "tcp://127.0.0.1:%d", free_port());
        snprintf(settings[k], sizeof settings[k], "%s_endpoint = %s", names[k], endpoints[k]);
    }
    snprintf(settings[3], sizeof settings[3], "curve_dir = %s", w->keys.dir);
    test_daemon_start(&w->daemon, list, 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    assert_int_equal(test_daemon_stop(&w->daemon), 0);
    test_keys_destroy(&w->keys);
    free(w);
    return 0;
}

static beamc_options options_of(const world *w, const char *client, char secret[128])
{
    beamc_options o = beamc_options_default();
    o.csi_endpoint = w->csi;
    o.control_endpoint = w->control;
    o.beams_endpoint = w->beams;
    o.send_timeout_ms = PATIENCE_MS;
    if (client) {
        snprintf(secret, 128, "file:%s/%s.key_secret", w->keys.dir, client);
        o.curve_server_key = w->server_key;
        o.curve_secret_key = secret;
    }
    return o;
}

/* A client with the keys of `name`, or without any (NULL). */
static beamc_client *connect_as(const world *w, const char *name)
{
    char secret[128];
    beamc_error err;
    beamc_client *client = NULL;
    const beamc_options o = options_of(w, name, secret);
    if (beamc_connect(&client, &o, &err)) {
        fail_msg("%s", err.text);
    }
    return client;
}

static beamc_code ask_status(beamc_client *client, beamc_error *err)
{
    beamc_status status;
    return beamc_status_get(client, NULL, PATIENCE_MS, &status, err);
}

static void assert_refused(beamc_code code, const beamc_error *err, const char *endpoint,
                           const char *why)
{
    char expected[256];
    snprintf(expected, sizeof expected, "%s %s", endpoint, why);
    assert_int_equal(code, BEAMC_E_TRANSPORT);
    assert_string_equal(err->text, expected);
}

static void a_whole_exchange_goes_over_curve(void **state)
{
    world *w = *state;
    beamc_error err = {.text = ""};
    beam_scene *scene = test_golden_scene("paper_eps010");
    beamc_client *sender = connect_as(w, "sender"), *chief = connect_as(w, "chief"),
                 *reader = connect_as(w, "reader");
    test_set_up(sender, "tcp", scene, 0.5);
    assert_int_equal(beamc_subscribe(reader, "tcp", &err), BEAMC_OK);
    test_check_solution(scene, test_solve(sender, "tcp", scene));
    beamc_answer answer;
    if (beamc_receive(reader, PATIENCE_MS, &answer, &err)) { /* the last answer, or this one */
        fail_msg("%s", err.text);
    }
    assert_int_equal(ask_status(chief, &err), BEAMC_OK);
    assert_int_equal(ask_status(reader, &err), BEAMC_OK);
    beamc_close(&reader);
    beamc_close(&chief);
    beamc_close(&sender);
    test_scene_free(scene);
    char *metrics = test_daemon_metrics(&w->daemon);
    assert_true(test_metric(metrics, "beamd_connections_accepted_total") >= 4);
    free(metrics);
}

static void a_key_without_the_role_is_told(void **state)
{
    world *w = *state;
    beamc_error err = {.text = ""};
    beamc_client *client = connect_as(w, "sender");
    const char *why = "refuses our key: it does not know it, or not for this socket";
    assert_refused(ask_status(client, &err), &err, w->control, why);
    assert_refused(ask_status(client, &err), &err, w->control, why); /* it tries again each time */
    beamc_close(&client);
    char *metrics = test_daemon_metrics(&w->daemon);
    assert_true(test_metric(metrics, "beamd_connections_refused_total{why=\"unauthorized\"}") == 2);
    free(metrics);
    client = connect_as(w, "reader");
    const beamc_station station = {.power_w = 1, .echo_noise_w = 1};
    const beamc_cluster cluster = {.id = "a", .stations = &station, .station_count = 1};
    assert_refused(beamc_register(client, &cluster, PATIENCE_MS, &err), &err, w->csi, why);
    beamc_close(&client);
}

static void an_unknown_key_is_told_until_a_reload_knows_it(void **state)
{
    world *w = *state;
    beamc_error err = {.text = ""};
    assert_int_equal(keygen(w->keys.dir, "late", "observer"), 0);
    beamc_client *client = connect_as(w, "late");
    assert_refused(ask_status(client, &err), &err, w->control,
                   "refuses our key: it does not know it, or not for this socket");
    assert_int_equal(kill(w->daemon.pid, SIGHUP), 0);
    beamc_code code = BEAMC_E_TRANSPORT;
    for (int ms = 0; ms < PATIENCE_MS && code; ms += 20) {
        code = ask_status(client, &err); /* the same client, without being made again */
        poll(NULL, 0, 20);
    }
    assert_int_equal(code, BEAMC_OK);
    test_keys_write(&w->keys, "clients/bad.key", 0644, "roles = god\n");
    assert_int_equal(kill(w->daemon.pid, SIGHUP), 0);
    char *log = NULL;
    for (int ms = 0; ms < PATIENCE_MS; ms += 20) {
        free(log);
        log = test_daemon_log(&w->daemon);
        if (strstr(log, "event=reload_refused")) {
            break;
        }
        poll(NULL, 0, 20);
    }
    assert_non_null(strstr(log, "/clients/bad.key:1: roles: one or more of"));
    free(log);
    assert_int_equal(ask_status(client, &err), BEAMC_OK);
    beamc_close(&client);
}

static void another_server_key_is_told(void **state)
{
    world *w = *state;
    beamc_error err = {.text = ""};
    char secret[128];
    test_pair other;
    test_pair_create(&other);
    beamc_options o = options_of(w, "chief", secret);
    o.curve_server_key = other.public_key; /* as text, for once */
    beamc_client *client;
    assert_int_equal(beamc_connect(&client, &o, &err), BEAMC_OK);
    const char *why = "breaks off the handshake: most likely curve_server_key is not its key";
    assert_refused(ask_status(client, &err), &err, w->control, why);
    /* a subscriber sends nothing, so that only waiting can tell */
    assert_int_equal(beamc_subscribe(client, "a", &err), BEAMC_OK);
    beamc_answer answer;
    assert_refused(beamc_receive(client, PATIENCE_MS, &answer, &err), &err, w->beams, why);
    assert_int_equal(beamc_receive(client, 0, &answer, &err), BEAMC_E_ARGUMENT); /* said once */
    assert_int_equal(beamc_subscribe(client, "a", &err), BEAMC_OK); /* with the loop's own poll */
    struct pollfd p = {.fd = beamc_fd(client), .events = POLLIN};
    beamc_code code = BEAMC_E_TIMEOUT;
    for (int k = 0; k < 100 && code == BEAMC_E_TIMEOUT; k++) {
        assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
        code = beamc_receive(client, 0, &answer, &err);
    }
    assert_refused(code, &err, w->beams, why);
    beamc_close(&client);
}

static void a_client_without_keys_is_told(void **state)
{
    world *w = *state;
    beamc_error err = {.text = ""};
    char secret[128];
    beamc_options o = options_of(w, NULL, secret);
    o.send_timeout_ms = 500;
    beamc_client *client;
    assert_int_equal(beamc_connect(&client, &o, &err), BEAMC_OK);
    const beamc_code code = ask_status(client, &err);
    /* libzmq says which mechanism is wrong, or only that the other side hung up first */
    assert_true(code == BEAMC_E_TRANSPORT || code == BEAMC_E_TIMEOUT);
    assert_true(strstr(err.text, "needs keys (CURVE), and we were given none") ||
                strstr(err.text, "it breaks off the handshake"));
    beamc_close(&client);
}

static void wrong_keys_are_named_before_anything_is_sent(void **state)
{
    world *w = *state;
    char secret[128], path[128];
    static const char z85[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    snprintf(path, sizeof path, "file:%s/server.key", w->keys.dir);
    const struct {
        const char *server, *public_key, *secret, *why;
    } cases[] = {
        {NULL, NULL, z85, "curve_server_key is missing: CURVE needs it"},
        {z85, NULL, NULL, "curve_secret_key is missing: CURVE needs it"},
        {NULL, z85, NULL, "curve_server_key is missing: CURVE needs it"},
        {"short", NULL, z85, "curve_server_key: not a key: 40 characters of Z85, or file:PATH"},
        {z85, NULL, "file:/nonexistent",
         "curve_secret_key: /nonexistent: No such file or directory"},
        {z85, z85, secret, "curve_public_key: not that of curve_secret_key"},
        {"file:/dev/null", NULL, z85, "curve_server_key: /dev/null: not a regular file"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        beamc_error err;
        beamc_client *client;
        beamc_options o = options_of(w, "chief", secret);
        o.curve_server_key = cases[k].server;
        o.curve_public_key = cases[k].public_key;
        o.curve_secret_key = cases[k].secret;
        assert_int_equal(beamc_connect(&client, &o, &err), BEAMC_E_ARGUMENT);
        assert_string_equal(err.text, cases[k].why);
        assert_null(client);
    }
    beamc_error err;
    beamc_client *client;
    beamc_options o = options_of(w, "chief", secret);
    o.curve_secret_key = path; /* a file without a secret, and readable by others */
    assert_int_equal(beamc_connect(&client, &o, &err), BEAMC_E_ARGUMENT);
    assert_non_null(strstr(err.text, "others may read it, mode 0600 or stricter is needed"));
}

static void keygen_makes_files_that_are_not_replaced(void **state)
{
    (void)state;
    test_keys keys;
    struct stat st;
    snprintf(keys.dir, sizeof keys.dir, "/tmp/beamd-keys-XXXXXX");
    assert_non_null(mkdtemp(keys.dir));
    const mode_t old = umask(0077);
    assert_int_equal(keygen(keys.dir, NULL, NULL), 0);
    assert_int_equal(keygen(keys.dir, "a", "csi,observer,operator"), 0);
    umask(old);
    static const struct {
        const char *file;
        unsigned mode;
    } files[] = {{"server.key_secret", 0600},
                 {"server.key", 0644},
                 {"a.key_secret", 0600},
                 {"clients/a.key", 0644}};
    for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
        assert_int_equal(stat(test_keys_path(&keys, files[k].file), &st), 0);
        assert_int_equal(st.st_mode & 07777, files[k].mode);
    }
    assert_int_equal(keygen(keys.dir, NULL, NULL), 1); /* there already */
    assert_int_equal(keygen(keys.dir, "a", "csi"), 1);
    assert_int_equal(unlink(test_keys_path(&keys, "a.key_secret")), 0);
    assert_int_equal(keygen(keys.dir, "a", "csi"), 1); /* the other of the two is there */
    assert_int_equal(stat(test_keys_path(&keys, "a.key_secret"), &st), -1); /* none is left over */
    assert_int_equal(keygen(keys.dir, "a/b", "csi"), 2);
    assert_int_equal(keygen(keys.dir, "server", "csi"), 2);
    assert_int_equal(keygen(keys.dir, "b", "csi,root"), 2);
    assert_int_equal(keygen(keys.dir, "b", ""), 2);
    assert_int_equal(keygen("/nonexistent/dir", NULL, NULL), 1);
    test_keys_destroy(&keys);
}

#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(a_whole_exchange_goes_over_curve),
        WITH_DAEMON(a_key_without_the_role_is_told),
        WITH_DAEMON(an_unknown_key_is_told_until_a_reload_knows_it),
        WITH_DAEMON(another_server_key_is_told),
        WITH_DAEMON(a_client_without_keys_is_told),
        WITH_DAEMON(wrong_keys_are_named_before_anything_is_sent),
        cmocka_unit_test(keygen_makes_files_that_are_not_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

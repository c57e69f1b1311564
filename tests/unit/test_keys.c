/* The files of curve_dir: what is taken, and that everything else is refused with its file, line
 * and reason. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/keys.h"
#include "keys.h"

static int setup(void **state)
{
    test_keys *keys = calloc(1, sizeof *keys);
    test_keys_create(keys);
    *state = keys;
    return 0;
}

static int teardown(void **state)
{
    test_keys_destroy(*state);
    free(*state);
    return 0;
}

static void the_keys_of_a_directory_are_found(void **state)
{
    test_keys *t = *state;
    char why[512];
    test_pair alice = test_keys_client(t, "alice", "csi");
    test_pair zoe = test_keys_client(t, "zoe.1_2-3", "csi , observer");
    test_pair bob = test_keys_client(t, "bob", "operator");
    test_keys_write(t, "clients/README", 0644, "not a key\n");
    beamd_keys *keys = beamd_keys_read(t->dir, why, sizeof why);
    if (!keys) {
        fail_msg("%s", why);
    }
    assert_int_equal(keys->count, 3);
    assert_int_equal(keys->ignored, 1);
    assert_string_equal(keys->server_public, t->server.public_key);
    assert_string_equal(keys->server_secret, t->server.secret_key);
    const beamd_client_key *found = beamd_keys_of(keys, alice.raw);
    assert_non_null(found);
    assert_string_equal(found->name, "alice");
    assert_int_equal(found->roles, BEAMD_ROLE_CSI);
    assert_ptr_equal(beamd_keys_user(keys, found->user), found);
    found = beamd_keys_of(keys, bob.raw);
    assert_non_null(found);
    assert_int_equal(found->roles, BEAMD_ROLE_OPERATOR | BEAMD_ROLE_OBSERVER);
    found = beamd_keys_of(keys, zoe.raw);
    assert_non_null(found);
    assert_int_equal(found->roles, BEAMD_ROLE_CSI | BEAMD_ROLE_OBSERVER);
    assert_ptr_equal(beamd_keys_user(keys, found->user), found);
    assert_null(beamd_keys_user(keys, "alice")); /* the key belongs to the user */
    assert_null(beamd_keys_user(keys, ""));
    assert_null(beamd_keys_user(keys, "zz"));
    unsigned char other[BEAMD_KEY_BYTES] = {0};
    assert_null(beamd_keys_of(keys, other));
    beamd_keys_destroy(&keys);
    assert_null(keys);
    beamd_keys_destroy(&keys);
}

/* Reading fails, and the text is `where` and `why` with the directory between. */
static void refused(const test_keys *t, const char *format, ...)
{
    char why[512], expected[512];
    va_list args;
    va_start(args, format);
    const int n = snprintf(expected, sizeof expected, "%s", t->dir);
    vsnprintf(expected + n, sizeof expected - (size_t)n, format, args);
    va_end(args);
    beamd_keys *keys = beamd_keys_read(t->dir, why, sizeof why);
    assert_null(keys);
    assert_string_equal(why, expected);
}

static void every_wrong_file_is_named_with_its_line(void **state)
{
    test_keys *t = *state;
    char text[512];
    const char *key = t->server.public_key;
    static const char file[] = "clients/eve.key";
    test_keys_write(t, file, 0644, "# nothing\n");
    refused(t, "/clients/eve.key: public_key: missing");
    snprintf(text, sizeof text, "public_key = %s\n", key);
    test_keys_write(t, file, 0644, text);
    refused(t, "/clients/eve.key: roles: missing");
    test_keys_write(t, file, 0644, "\nroles = csi\npublic_key = short\n");
    refused(t, "/clients/eve.key:3: public_key: not a key: 40 characters of Z85 are needed");
    snprintf(text, sizeof text, "public_key = %.39s\"\nroles = csi\n", key);
    test_keys_write(t, file, 0644, text);
    refused(t, "/clients/eve.key:1: public_key: not a key: 40 characters of Z85 are needed");
    snprintf(text, sizeof text, "public_key = %s\npublic_key = %s\n", key, key);
    test_keys_write(t, file, 0644, text);
    refused(t, "/clients/eve.key:2: public_key: already set");
    test_keys_write(t, file, 0644, "roles = csi, root\n");
    refused(t, "/clients/eve.key:1: roles: one or more of csi, observer, operator are needed");
    test_keys_write(t, file, 0644, "roles =\n");
    refused(t, "/clients/eve.key:1: roles: one or more of csi, observer, operator are needed");
    test_keys_write(t, file, 0644, "roles = csi\nroles = csi\n");
    refused(t, "/clients/eve.key:2: roles: already set");
    test_keys_write(t, file, 0644, "user = eve\n");
    refused(t, "/clients/eve.key:1: user: unknown key");
    test_keys_write(t, file, 0644, "hello\n");
    refused(t, "/clients/eve.key:1: expected 'key = value'");
    snprintf(text, sizeof text, "public_key = %s\nroles = csi\nsecret_key = %s\n", key, key);
    test_keys_write(t, file, 0644, text);
    refused(t, "/clients/eve.key: secret_key: the secret of a client belongs to the client alone");
    memset(text, '#', sizeof text);
    FILE *big = fopen(test_keys_path(t, file), "w");
    for (int k = 0; k < 10; k++) {
        fwrite(text, 1, sizeof text, big);
    }
    fclose(big);
    refused(t, "/clients/eve.key: longer than 4095 bytes");
    big = fopen(test_keys_path(t, file), "w");
    fwrite("#\0#\n", 1, 4, big);
    fclose(big);
    refused(t, "/clients/eve.key: NUL byte in the file");
}

static void a_key_belongs_to_one_client(void **state)
{
    test_keys *t = *state;
    char why[512], text[256];
    const test_pair alice = test_keys_client(t, "alice", "csi");
    snprintf(text, sizeof text, "public_key = %s\nroles = operator\n", alice.public_key);
    test_keys_write(t, "clients/eve.key", 0644, text);
    assert_null(beamd_keys_read(t->dir, why, sizeof why));
    assert_non_null(strstr(why, "public_key: the same as that of ")); /* of either one */
}

static void names_of_clients_are_plain(void **state)
{
    test_keys *t = *state;
    char name[128];
    test_keys_write(t, "clients/a b.key", 0644, "roles = csi\n");
    refused(t,
            "/clients/a b.key: the name of a client is 1 to 63 letters, digits, '.', '_' or '-'");
    unlink(test_keys_path(t, "clients/a b.key"));
    snprintf(name, sizeof name, "clients/%064d.key", 1);
    test_keys_write(t, name, 0644, "roles = csi\n");
    refused(t, "/%s: the name of a client is 1 to 63 letters, digits, '.', '_' or '-'", name);
}

static void the_server_needs_its_secret(void **state)
{
    test_keys *t = *state;
    char text[256];
    static const char file[] = "server.key_secret";
    unlink(test_keys_path(t, file));
    refused(t, "/server.key_secret: No such file or directory");
    snprintf(text, sizeof text, "public_key = %s\n", t->server.public_key);
    test_keys_write(t, file, 0600, text);
    refused(t, "/server.key_secret: secret_key: missing");
    test_pair other;
    test_pair_create(&other);
    snprintf(text, sizeof text, "public_key = %s\nsecret_key = %s\n", other.public_key,
             t->server.secret_key);
    test_keys_write(t, file, 0600, text);
    refused(t, "/server.key_secret: public_key: not that of secret_key");
    snprintf(text, sizeof text, "secret_key = %s\nroles = csi\n", t->server.secret_key);
    test_keys_write(t, file, 0600, text);
    refused(t, "/server.key_secret:2: roles: the server has none");
}

static void what_is_too_open_is_refused(void **state)
{
    test_keys *t = *state;
    char why[512];
    test_keys_client(t, "alice", "csi");
    chmod(test_keys_path(t, "server.key_secret"), 0640);
    refused(t, "/server.key_secret: mode 0640 is too open, 0600 or stricter is needed");
    chmod(test_keys_path(t, "server.key_secret"), 0400);
    chmod(test_keys_path(t, "clients/alice.key"), 0664);
    refused(t, "/clients/alice.key: mode 0664 is too open, 0644 or stricter is needed");
    chmod(test_keys_path(t, "clients/alice.key"), 0600);
    chmod(test_keys_path(t, "clients"), 0775);
    refused(t, "/clients: mode 0775 lets others put keys into it; 0755 or stricter is needed");
    chmod(test_keys_path(t, "clients"), 0700);
    chmod(t->dir, 0702);
    refused(t, ": mode 0702 lets others put keys into it; 0755 or stricter is needed");
    chmod(t->dir, 0700);
    beamd_keys *keys = beamd_keys_read(t->dir, why, sizeof why);
    assert_non_null(keys);
    beamd_keys_destroy(&keys);
    if (geteuid() == 0) { /* only root can give files away */
        assert_int_equal(chown(test_keys_path(t, "clients/alice.key"), 12345, 12345), 0);
        refused(t, "/clients/alice.key: belongs to another user");
        assert_int_equal(chown(test_keys_path(t, "clients/alice.key"), 0, 0), 0);
        assert_int_equal(chown(t->dir, 12345, 12345), 0);
        refused(t, ": belongs to another user");
        assert_int_equal(chown(t->dir, 0, 0), 0);
    }
}

static void what_is_no_file_is_refused(void **state)
{
    test_keys *t = *state;
    assert_int_equal(mkdir(test_keys_path(t, "clients/dir.key"), 0755), 0);
    refused(t, "/clients/dir.key: not a regular file");
    rmdir(test_keys_path(t, "clients/dir.key"));
    assert_int_equal(mkfifo(test_keys_path(t, "clients/fifo.key"), 0644), 0);
    refused(t, "/clients/fifo.key: not a regular file"); /* and does not wait for a writer */
    unlink(test_keys_path(t, "clients/fifo.key"));
    assert_int_equal(rmdir(test_keys_path(t, "clients")), 0);
    refused(t, "/clients: No such file or directory");
    test_keys_write(t, "clients", 0644, "");
    refused(t, "/clients: not a directory");
    unlink(test_keys_path(t, "clients"));
}

/* Files that are almost right, and noise: taken with what they say, or refused with a reason. */
static void no_file_is_taken_for_what_it_is_not(void **state)
{
    test_keys *t = *state;
    test_pair pair;
    test_pair_create(&pair);
    char good[256], text[320], why[512];
    const size_t length = (size_t)snprintf(
        good, sizeof good, "# of x\npublic_key = %s\nroles = csi,observer\n", pair.public_key);
    unsigned long long bits = 88172645463325252ull;
    unsigned taken = 0, refused_ones = 0;
    for (int k = 0; k < 3000; k++) {
        memcpy(text, good, length + 1);
        size_t n = length;
        for (int change = 0; change < 1 + k % 3; change++) {
            bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17; /* xorshift */
            const size_t at = (size_t)(bits >> 20) % n;
            if (bits & 1) {
                text[at] = (char)(bits >> 40);
            } else if (bits & 2) {
                memmove(text + at, text + at + 1, n - at);
                n--;
            } else {
                memmove(text + at + 1, text + at, n - at + 1);
                n++;
            }
        }
        FILE *file = fopen(test_keys_path(t, "clients/x.key"), "w");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, n, file), n);
        assert_int_equal(fclose(file), 0);
        why[0] = 0;
        beamd_keys *keys = beamd_keys_read(t->dir, why, sizeof why);
        if (keys) {
            taken++;
            assert_int_equal(keys->count, 1);
            assert_true(keys->client[0].roles != 0);
            assert_ptr_equal(beamd_keys_of(keys, keys->client[0].key), keys->client);
            assert_ptr_equal(beamd_keys_user(keys, keys->client[0].user), keys->client);
        } else {
            refused_ones++;
            assert_int_equal(strncmp(why, t->dir, strlen(t->dir)), 0);
            assert_non_null(strstr(why, "x.key:"));
        }
        beamd_keys_destroy(&keys);
    }
    assert_true(taken > 100 && refused_ones > 100); /* so both were tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_keys_of_a_directory_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(every_wrong_file_is_named_with_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_belongs_to_one_client, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_clients_are_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(the_server_needs_its_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_too_open_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(no_file_is_taken_for_what_it_is_not, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

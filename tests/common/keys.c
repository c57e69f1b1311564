#include "common/keys.h"

#include <dirent.h>
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
#include <zmq.h>

void test_pair_create(test_pair *pair)
{
    assert_int_equal(zmq_curve_keypair(pair->public_key, pair->secret_key), 0);
    assert_non_null(zmq_z85_decode(pair->raw, pair->public_key));
}

const char *test_keys_path(const test_keys *self, const char *file)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", self->dir, file);
    return path;
}

void test_keys_write(const test_keys *self, const char *name, unsigned mode, const char *text)
{
    FILE *file = fopen(test_keys_path(self, name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(test_keys_path(self, name), mode), 0);
}

void test_keys_create(test_keys *self)
{
    char text[256];
    snprintf(self->dir, sizeof self->dir, "/tmp/beamd-keys-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    assert_int_equal(mkdir(test_keys_path(self, "clients"), 0755), 0);
    test_pair_create(&self->server);
    snprintf(text, sizeof text, "# of a test\npublic_key = %s\nsecret_key = %s\n",
             self->server.public_key, self->server.secret_key);
    test_keys_write(self, "server.key_secret", 0600, text);
}

test_pair test_keys_client(const test_keys *self, const char *name, const char *roles)
{
    test_pair pair;
    char file[128], text[256];
    test_pair_create(&pair);
    snprintf(file, sizeof file, "clients/%s.key", name);
    snprintf(text, sizeof text, "public_key = %s\nroles = %s\n", pair.public_key, roles);
    test_keys_write(self, file, 0644, text);
    return pair;
}

static void empty(const char *dir)
{
    DIR *open_dir = opendir(dir);
    const struct dirent *entry;
    while (open_dir && (entry = readdir(open_dir)) != NULL) {
        char path[400];
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
            if (unlink(path) < 0) {
                rmdir(path);
            }
        }
    }
    if (open_dir) {
        closedir(open_dir);
    }
}

void test_keys_destroy(test_keys *self)
{
    empty(test_keys_path(self, "clients"));
    rmdir(test_keys_path(self, "clients"));
    empty(self->dir);
    rmdir(self->dir);
}

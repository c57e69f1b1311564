/* A directory of CURVE keys for tests, as docs/security.md describes it. */
#ifndef BEAM_TEST_KEYS_H
#define BEAM_TEST_KEYS_H

typedef struct test_pair {
    char public_key[41], secret_key[41]; /* Z85 */
    unsigned char raw[32];               /* the public one */
} test_pair;

typedef struct test_keys {
    char dir[64];
    test_pair server;
} test_keys;

void test_pair_create(test_pair *pair);
/* A new directory with server.key_secret and an empty clients/. */
void test_keys_create(test_keys *self);
/* Removes the directory and all that is in it. */
void test_keys_destroy(test_keys *self);
/* Makes a pair and clients/NAME.key, replacing what was there. */
test_pair test_keys_client(const test_keys *self, const char *name, const char *roles);
/* The path of a file in the directory, until the next call. */
const char *test_keys_path(const test_keys *self, const char *file);
void test_keys_write(const test_keys *self, const char *file, unsigned mode, const char *text);

#endif

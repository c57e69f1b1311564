/* The keys of curve_dir: who may connect over tcp, and as what. docs/security.md has the files.
 *
 *   DIR/server.key_secret     public_key, secret_key; mode 0600, ours
 *   DIR/clients/NAME.key      public_key, roles; one file per client
 *
 * Nothing of it may be writable by others than us and root. Errors are "FILE:LINE: KEY: WHY". */
#ifndef BEAMD_KEYS_H
#define BEAMD_KEYS_H

#include <stddef.h>

#include "roles.h"

enum {
    BEAMD_KEY_TEXT = 41, /* Z85 and a zero */
    BEAMD_KEY_BYTES = 32,
    BEAMD_CLIENT_NAME_BYTES = 64, /* letters, digits, '.', '_', '-', and a zero */
    BEAMD_CLIENT_USER_BYTES = BEAMD_CLIENT_NAME_BYTES + 9,
    BEAMD_CLIENTS_MAX = 1024
};

typedef struct beamd_client_key {
    char name[BEAMD_CLIENT_NAME_BYTES];
    /* "NAME#" and eight hexadecimal digits of the key: a client whose key was replaced is another
     * user, and what still hangs on the old key has no roles. */
    char user[BEAMD_CLIENT_USER_BYTES];
    unsigned char key[BEAMD_KEY_BYTES];
    unsigned roles; /* BEAMD_ROLE_*; an operator is an observer too */
} beamd_client_key;

typedef struct beamd_keys {
    char server_public[BEAMD_KEY_TEXT];
    char server_secret[BEAMD_KEY_TEXT];
    size_t count;
    size_t ignored;           /* files of clients/ whose name does not end in .key */
    beamd_client_key *client; /* [count], by user */
} beamd_keys;

/* Reads and checks everything. NULL: `why` (of `size` bytes) says which file, line and key. */
beamd_keys *beamd_keys_read(const char *dir, char *why, size_t size);
/* Wipes the secret; nulls the pointer; accepts NULL. */
void beamd_keys_destroy(beamd_keys **self);

/* NULL: not among them. */
const beamd_client_key *beamd_keys_of(const beamd_keys *self,
                                      const unsigned char key[BEAMD_KEY_BYTES]);
const beamd_client_key *beamd_keys_user(const beamd_keys *self, const char *user);

#endif

#include "keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zsock.h"

enum { KEY_FILE_BYTES = 4096, PATH_BYTES = 1024 };

/* What a file of keys may hold; which of it must be there, its reader decides. */
typedef struct key_file {
    char public_key[BEAMD_KEY_TEXT];
    char secret_key[BEAMD_KEY_TEXT];
    unsigned roles;
    int roles_line;
} key_file;

typedef struct reading {
    char *why;
    size_t size;
} reading;

__attribute__((format(printf, 2, 3))) static bool refuse(const reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, r->size, format, args);
    va_end(args);
    return false;
}

static bool owner_is_trusted(const struct stat *st)
{
    return st->st_uid == geteuid() || st->st_uid == 0;
}

static bool check_directory(const reading *r, const char *dir)
{
    struct stat st;
    if (stat(dir, &st) < 0) {
        return refuse(r, "%s: %s", dir, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return refuse(r, "%s: not a directory", dir);
    }
    if (!owner_is_trusted(&st)) {
        return refuse(r, "%s: belongs to another user", dir);
    }
    return (st.st_mode & 0022) == 0 ||
           refuse(r, "%s: mode %04o lets others put keys into it; 0755 or stricter is needed", dir,
                  (unsigned)st.st_mode & 07777u);
}

/* The whole file, zero-terminated, into text[KEY_FILE_BYTES]. `secret`: nobody else may read it. */
static bool read_text(const reading *r, const char *path, bool secret, char *text)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        const int reason = errno;
        if (fd >= 0) {
            close(fd);
        }
        return refuse(r, "%s: %s", path, strerror(reason));
    }
    bool good = true;
    size_t used = 0;
    if (!S_ISREG(st.st_mode)) {
        good = refuse(r, "%s: not a regular file", path);
    } else if (secret ? st.st_uid != geteuid() : !owner_is_trusted(&st)) {
        good = refuse(r, "%s: belongs to another user", path);
    } else if (st.st_mode & (secret ? 0077 : 0022)) {
        good = refuse(r, "%s: mode %04o is too open, %s or stricter is needed", path,
                      (unsigned)st.st_mode & 07777u, secret ? "0600" : "0644");
    }
    while (good && used < KEY_FILE_BYTES) {
        const ssize_t n = read(fd, text + used, KEY_FILE_BYTES - used);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            good = refuse(r, "%s: %s", path, strerror(errno));
        }
        if (n <= 0) {
            break;
        }
        used += (size_t)n;
    }
    close(fd);
    if (good && used == KEY_FILE_BYTES) {
        good = refuse(r, "%s: longer than %d bytes", path, KEY_FILE_BYTES - 1);
    }
    text[used < KEY_FILE_BYTES ? used : KEY_FILE_BYTES - 1] = 0;
    if (good && strlen(text) != used) {
        good = refuse(r, "%s: NUL byte in the file", path);
    }
    return good;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1])) {
        n--;
    }
    text[n] = 0;
    return text;
}

/* "csi, observer" -> bits; 0 when a word is unknown or none is there. */
static unsigned roles_of(char *text)
{
    static const struct {
        const char *word;
        unsigned roles;
    } words[] = {{"csi", BEAMD_ROLE_CSI},
                 {"observer", BEAMD_ROLE_OBSERVER},
                 {"operator", BEAMD_ROLE_OPERATOR | BEAMD_ROLE_OBSERVER}};
    unsigned roles = 0;
    char *rest = text;
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        unsigned role = 0;
        word = trim(word);
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            if (strcmp(word, words[k].word) == 0) {
                role = words[k].roles;
            }
        }
        if (role == 0) {
            return 0;
        }
        roles |= role;
    }
    return roles;
}

static bool set_key(char *out, const char *value, const char **why)
{
    unsigned char raw[BEAMD_KEY_BYTES];
    const bool good = strlen(value) == BEAMD_KEY_TEXT - 1 && beamd_curve_decode(raw, value);
    explicit_bzero(raw, sizeof raw);
    if (!good) {
        *why = "not a key: 40 characters of Z85 are needed";
        return false;
    }
    if (out[0]) {
        *why = "already set";
        return false;
    }
    memcpy(out, value, BEAMD_KEY_TEXT);
    return true;
}

static bool set_value(key_file *file, const char *name, char *value, int line, const char **why)
{
    if (strcmp(name, "public_key") == 0) {
        return set_key(file->public_key, value, why);
    }
    if (strcmp(name, "secret_key") == 0) {
        return set_key(file->secret_key, value, why);
    }
    if (strcmp(name, "roles") != 0) {
        *why = "unknown key";
        return false;
    }
    *why = file->roles_line ? "already set" : "one or more of csi, observer, operator are needed";
    const unsigned roles = file->roles_line ? 0 : roles_of(value);
    file->roles_line = line;
    file->roles = roles;
    return roles != 0;
}

static bool parse(const reading *r, const char *path, char *text, key_file *file)
{
    int number = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        line = trim(line);
        if (!*line || *line == '#') {
            continue;
        }
        char *equals = strchr(line, '='); /* the first: a key may hold others */
        if (!equals) {
            /* not repeated here: it may be a secret */
            return refuse(r, "%s:%d: expected 'key = value'", path, number);
        }
        *equals = 0;
        const char *name = trim(line), *why;
        if (!set_value(file, name, trim(equals + 1), number, &why)) {
            return refuse(r, "%s:%d: %.32s: %s", path, number, name, why);
        }
    }
    return true;
}

static bool read_server(const reading *r, const char *dir, beamd_keys *keys)
{
    char path[PATH_BYTES], text[KEY_FILE_BYTES], derived[BEAMD_KEY_TEXT];
    key_file file = {.roles = 0};
    snprintf(path, sizeof path, "%s/server.key_secret", dir);
    bool good = read_text(r, path, true, text) && parse(r, path, text, &file);
    if (good && !file.secret_key[0]) {
        good = refuse(r, "%s: secret_key: missing", path);
    } else if (good && file.roles_line) {
        good = refuse(r, "%s:%d: roles: the server has none", path, file.roles_line);
    } else if (good && !beamd_curve_public(derived, file.secret_key)) {
        good = refuse(r, "%s: secret_key: this libzmq is built without CURVE", path);
    } else if (good && file.public_key[0] && strcmp(file.public_key, derived) != 0) {
        good = refuse(r, "%s: public_key: not that of secret_key", path);
    }
    if (good) {
        memcpy(keys->server_public, derived, sizeof derived);
        memcpy(keys->server_secret, file.secret_key, sizeof file.secret_key);
    }
    explicit_bzero(text, sizeof text);
    explicit_bzero(&file, sizeof file);
    return good;
}

static bool read_client(const reading *r, const char *path, const char *name, size_t name_bytes,
                        beamd_keys *keys)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    char text[KEY_FILE_BYTES];
    key_file file = {.roles = 0};
    if (name_bytes >= BEAMD_CLIENT_NAME_BYTES || strspn(name, letters) < name_bytes) {
        return refuse(r, "%s: the name of a client is 1 to %d letters, digits, '.', '_' or '-'",
                      path, BEAMD_CLIENT_NAME_BYTES - 1);
    }
    if (keys->count == BEAMD_CLIENTS_MAX) {
        return refuse(r, "%s: more than %d clients", path, BEAMD_CLIENTS_MAX);
    }
    if (!read_text(r, path, false, text) || !parse(r, path, text, &file)) {
        return false;
    }
    if (file.secret_key[0]) {
        explicit_bzero(text, sizeof text);
        explicit_bzero(&file, sizeof file);
        return refuse(r, "%s: secret_key: the secret of a client belongs to the client alone",
                      path);
    }
    if (!file.public_key[0] || !file.roles_line) {
        return refuse(r, "%s: %s: missing", path, file.public_key[0] ? "roles" : "public_key");
    }
    beamd_client_key *client = &keys->client[keys->count];
    if (!beamd_curve_decode(client->key, file.public_key)) {
        return refuse(r, "%s: public_key: not a key", path); /* set_key has looked already */
    }
    const beamd_client_key *same = beamd_keys_of(keys, client->key);
    if (same) {
        return refuse(r, "%s: public_key: the same as that of %s", path, same->name);
    }
    memcpy(client->name, name, name_bytes);
    client->name[name_bytes] = 0;
    snprintf(client->user, sizeof client->user, "%s#%02x%02x%02x%02x", client->name, client->key[0],
             client->key[1], client->key[2], client->key[3]);
    client->roles = file.roles;
    keys->count++;
    return true;
}

static bool read_clients(const reading *r, const char *dir, beamd_keys *keys)
{
    char folder[PATH_BYTES], path[PATH_BYTES + 264];
    snprintf(folder, sizeof folder, "%s/clients", dir);
    if (!check_directory(r, folder)) {
        return false;
    }
    DIR *open_dir = opendir(folder);
    if (!open_dir) {
        return refuse(r, "%s: %s", folder, strerror(errno));
    }
    bool good = true;
    const struct dirent *entry;
    while (good && (errno = 0, entry = readdir(open_dir)) != NULL) {
        const size_t length = strlen(entry->d_name);
        if (entry->d_name[0] == '.') {
            continue; /* the two of every directory, and what editors leave */
        }
        if (length <= 4 || strcmp(entry->d_name + length - 4, ".key") != 0) {
            keys->ignored++;
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        good = read_client(r, path, entry->d_name, length - 4, keys);
    }
    if (good && errno) {
        good = refuse(r, "%s: %s", folder, strerror(errno));
    }
    closedir(open_dir);
    return good;
}

static int by_user(const void *a, const void *b)
{
    return strcmp(((const beamd_client_key *)a)->user, ((const beamd_client_key *)b)->user);
}

beamd_keys *beamd_keys_read(const char *dir, char *why, size_t size)
{
    const reading r = {why, size};
    beamd_keys *self = calloc(1, sizeof *self);
    if (self) {
        self->client = calloc(BEAMD_CLIENTS_MAX + 1, sizeof *self->client);
    }
    if (!self || !self->client) {
        refuse(&r, "%s: no memory for the keys", dir);
        beamd_keys_destroy(&self);
        return NULL;
    }
    if (strlen(dir) > PATH_BYTES - 32) {
        refuse(&r, "%s: path too long", dir);
        beamd_keys_destroy(&self);
        return NULL;
    }
    if (!check_directory(&r, dir) || !read_server(&r, dir, self) || !read_clients(&r, dir, self)) {
        beamd_keys_destroy(&self);
        return NULL;
    }
    qsort(self->client, self->count, sizeof *self->client, by_user);
    return self;
}

void beamd_keys_destroy(beamd_keys **self)
{
    if (*self) {
        explicit_bzero((*self)->server_secret, sizeof(*self)->server_secret);
        free((*self)->client);
        free(*self);
        *self = NULL;
    }
}

const beamd_client_key *beamd_keys_of(const beamd_keys *self,
                                      const unsigned char key[BEAMD_KEY_BYTES])
{
    for (size_t k = 0; k < self->count; k++) { /* per connection, and public: no need to be quick */
        if (memcmp(self->client[k].key, key, BEAMD_KEY_BYTES) == 0) {
            return &self->client[k];
        }
    }
    return NULL;
}

const beamd_client_key *beamd_keys_user(const beamd_keys *self, const char *user)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(user, self->client[middle].user);
        if (order == 0) {
            return &self->client[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

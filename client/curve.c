#include "curve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport.h"

enum { FILE_BYTES = 4096 };

/* The whole file, zero-terminated, into text[FILE_BYTES]. `secret`: nobody else may read it. */
static beamc_code read_text(const char *option, const char *path, bool secret, char *text,
                            beamc_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        const int reason = errno;
        if (fd >= 0) {
            close(fd);
        }
        return beamc_fail(err, BEAMC_E_ARGUMENT, "%s: %s: %s", option, path, strerror(reason));
    }
    const char *why = NULL;
    size_t used = 0;
    if (!S_ISREG(st.st_mode)) {
        why = "not a regular file";
    } else if (secret && (st.st_mode & 0077)) {
        why = "others may read it, mode 0600 or stricter is needed";
    }
    while (!why && used < FILE_BYTES) {
        const ssize_t n = read(fd, text + used, FILE_BYTES - used);
        if (n < 0 && errno != EINTR) {
            why = strerror(errno);
        }
        if (n == 0) {
            break;
        }
        used += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (!why && used == FILE_BYTES) {
        why = "too long for a key";
    }
    text[used < FILE_BYTES ? used : 0] = 0;
    return why ? beamc_fail(err, BEAMC_E_ARGUMENT, "%s: %s: %s", option, path, why) : BEAMC_OK;
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

/* The value of the line "NAME = ..."; other lines belong to others. NULL: there is none. */
static const char *find_value(char *text, const char *name)
{
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        line = trim(line);
        char *equals = *line == '#' ? NULL : strchr(line, '='); /* the first: keys hold others */
        if (equals) {
            *equals = 0;
            if (strcmp(trim(line), name) == 0) {
                return trim(equals + 1);
            }
        }
    }
    return NULL;
}

/* given: 40 characters Z85, or "file:PATH" with a line "NAME = KEY". */
static beamc_code load(char out[BEAMC_KEY_TEXT], const char *option, const char *given,
                       const char *name, beamc_error *err)
{
    static const char prefix[] = "file:";
    char text[FILE_BYTES];
    const char *key = given;
    const bool secret = strcmp(name, "secret_key") == 0;
    beamc_code code = BEAMC_OK;
    if (strncmp(given, prefix, sizeof prefix - 1) == 0) {
        const char *path = given + sizeof prefix - 1;
        code = read_text(option, path, secret, text, err);
        key = code ? NULL : find_value(text, name);
        if (!code && !key) {
            code =
                beamc_fail(err, BEAMC_E_ARGUMENT, "%s: %s: no line '%s = KEY'", option, path, name);
        }
    }
    if (!code && !beamc_transport_is_key(key)) { /* not repeated: it may be a secret */
        code = beamc_fail(err, BEAMC_E_ARGUMENT,
                          "%s: not a key: 40 characters of Z85, or file:PATH", option);
    }
    if (!code) {
        memcpy(out, key, BEAMC_KEY_TEXT);
    }
    if (secret) {
        explicit_bzero(text, sizeof text);
    }
    return code;
}

beamc_code beamc_curve_load(beamc_curve *out, const beamc_options *o, beamc_error *err)
{
    memset(out, 0, sizeof *out);
    if (!o->curve_server_key && !o->curve_public_key && !o->curve_secret_key) {
        return BEAMC_OK;
    }
    if (!o->curve_server_key || !o->curve_secret_key) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "%s is missing: CURVE needs it",
                          o->curve_server_key ? "curve_secret_key" : "curve_server_key");
    }
    beamc_code code =
        load(out->server_key, "curve_server_key", o->curve_server_key, "public_key", err);
    if (!code) {
        code = load(out->secret_key, "curve_secret_key", o->curve_secret_key, "secret_key", err);
    }
    if (!code && !beamc_transport_public_key(out->public_key, out->secret_key)) {
        code = beamc_fail(err, BEAMC_E_TRANSPORT, "this libzmq is built without CURVE");
    }
    if (!code && o->curve_public_key) {
        char given[BEAMC_KEY_TEXT];
        code = load(given, "curve_public_key", o->curve_public_key, "public_key", err);
        if (!code && strcmp(given, out->public_key) != 0) {
            code =
                beamc_fail(err, BEAMC_E_ARGUMENT, "curve_public_key: not that of curve_secret_key");
        }
    }
    if (code) {
        beamc_curve_wipe(out);
    }
    out->on = code == BEAMC_OK;
    return code;
}

void beamc_curve_wipe(beamc_curve *curve)
{
    explicit_bzero(curve, sizeof *curve);
}

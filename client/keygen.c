/* beamctl keygen: the files of keys that the daemon and its clients read (docs/security.md). Asks
 * no daemon. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beamctl.h"
#include "keygen.h"
#include "transport.h"

enum { NAME_MAX_BYTES = 63, PATH_BYTES = 1024 };

static const char USAGE[] =
    "usage: beamctl keygen DIR [--server]\n"
    "       beamctl keygen DIR --client NAME --roles ROLE[,ROLE...]\n"
    "\n"
    "  --server   DIR/server.key_secret, which stays with the daemon, and DIR/server.key for\n"
    "             every client; the default\n"
    "  --client   DIR/clients/NAME.key, which stays with the daemon, and DIR/NAME.key_secret\n"
    "             for the client alone\n"
    "  --roles    csi: register clusters and send updates; observer: read; operator: and change\n"
    "\n"
    "Files that are there are never replaced.\n";

typedef struct request {
    const char *dir, *client, *roles;
    bool server;
} request;

static bool name_is_plain(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t n = strlen(name);
    return n > 0 && n <= NAME_MAX_BYTES && name[0] != '.' && strspn(name, letters) == n;
}

static bool roles_are_known(const char *roles)
{
    static const char *const words[] = {"csi", "observer", "operator"};
    for (const char *at = roles;; at++) {
        const size_t n = strcspn(at, ",");
        bool known = false;
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
            known |= strlen(words[k]) == n && memcmp(at, words[k], n) == 0;
        }
        if (!known) {
            return false;
        }
        at += n;
        if (!*at) {
            return true;
        }
    }
}

/* The directory, made unless it is there. */
static bool make_directory(const char *path)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST) {
        return true;
    }
    beamctl_failed("%s: %s", path, strerror(errno));
    return false;
}

/* A new file; what is there already stays. */
__attribute__((format(printf, 3, 4))) static bool write_file(const char *path, unsigned mode,
                                                             const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    const int bytes = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    bool good = fd >= 0 && bytes > 0 && (size_t)bytes < sizeof text &&
                fchmod(fd, mode) == 0 && /* whatever the umask takes */
                write(fd, text, (size_t)bytes) == bytes && fsync(fd) == 0;
    const int reason = errno;
    explicit_bzero(text, sizeof text);
    if (fd >= 0) {
        close(fd);
        if (!good) {
            unlink(path);
        }
    }
    if (!good) {
        beamctl_failed("%s: %s", path, strerror(reason));
    }
    return good;
}

/* Both files or none. */
static int write_pair(const char *secret_path, const char *public_path, const char *whose,
                      const char *roles)
{
    char public_key[41], secret_key[41];
    if (!beamc_transport_new_keys(public_key, secret_key)) {
        return beamctl_failed("this libzmq is built without CURVE");
    }
    bool good = write_file(secret_path, 0600,
                           "# secret key of %s: for nobody else\npublic_key = %s\nsecret_key = "
                           "%s\n",
                           whose, public_key, secret_key);
    explicit_bzero(secret_key, sizeof secret_key);
    if (good &&
        !write_file(public_path, 0644, "# public key of %s\npublic_key = %s\n%s%s%s", whose,
                    public_key, roles ? "roles = " : "", roles ? roles : "", roles ? "\n" : "")) {
        unlink(secret_path);
        good = false;
    }
    if (good) {
        printf("%s\n%s\n", secret_path, public_path);
    }
    return good ? BEAMCTL_DONE : BEAMCTL_FAILED;
}

static int generate(const request *r)
{
    char clients[PATH_BYTES], secret_path[PATH_BYTES + 80], public_path[PATH_BYTES + 80];
    if (strlen(r->dir) > PATH_BYTES - 32) {
        return beamctl_failed("%s: path too long", r->dir);
    }
    snprintf(clients, sizeof clients, "%s/clients", r->dir);
    if (!make_directory(r->dir) || !make_directory(clients)) {
        return BEAMCTL_FAILED;
    }
    if (r->client) {
        snprintf(secret_path, sizeof secret_path, "%s/%s.key_secret", r->dir, r->client);
        snprintf(public_path, sizeof public_path, "%s/%s.key", clients, r->client);
        return write_pair(secret_path, public_path, r->client, r->roles);
    }
    snprintf(secret_path, sizeof secret_path, "%s/server.key_secret", r->dir);
    snprintf(public_path, sizeof public_path, "%s/server.key", r->dir);
    return write_pair(secret_path, public_path, "the server", NULL);
}

int beamctl_keygen(int argc, char **argv)
{
    static const struct option options[] = {{"server", no_argument, NULL, 's'},
                                            {"client", required_argument, NULL, 'c'},
                                            {"roles", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    request r = {.dir = NULL};
    int option;
    optind = 0; /* GNU: from the start, for another list has been read before */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 's':
            r.server = true;
            break;
        case 'c':
            r.client = optarg;
            break;
        case 'r':
            r.roles = optarg;
            break;
        case 'h':
            fputs(USAGE, stdout);
            return BEAMCTL_DONE;
        default:
            fputs(USAGE, stderr);
            return BEAMCTL_USAGE;
        }
    }
    if (argc - optind != 1 || (r.server && r.client) || !r.client != !r.roles) {
        fputs(USAGE, stderr);
        return BEAMCTL_USAGE;
    }
    if (r.client && (!name_is_plain(r.client) || strcmp(r.client, "server") == 0)) {
        return beamctl_wrong_usage("a client's name is 1 to %d letters, digits, '.', '_' or '-', "
                                   "not beginning with '.', and not server",
                                   NAME_MAX_BYTES);
    }
    if (r.roles && !roles_are_known(r.roles)) {
        return beamctl_wrong_usage("--roles: csi, observer and operator, with commas between");
    }
    r.dir = argv[optind];
    return generate(&r);
}

#include "endpoints.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UNIX_PATH_MAX_BYTES = 107 };

const char *beam_endpoint_file(beam_endpoint which)
{
    switch (which) {
    case BEAM_ENDPOINT_CSI:
        return "csi.sock";
    case BEAM_ENDPOINT_BEAMS:
        return "beams.sock";
    case BEAM_ENDPOINT_CONTROL:
        return "control.sock";
    case BEAM_ENDPOINT_METRICS:
        return "metrics.sock";
    case BEAM_ENDPOINT_TELEMETRY:
        return "telemetry.sock";
    }
    return "";
}

static int fits(int printed, size_t size)
{
    return printed > 0 && (size_t)printed < size ? 0 : -1;
}

/* Everybody may make a directory in /tmp: one of this name that is another's would catch what
 * controllers send. */
static int check_own(const char *dir)
{
    struct stat st;
    return lstat(dir, &st) < 0 || (S_ISDIR(st.st_mode) && st.st_uid == geteuid()) ? 0 : -1;
}

int beam_runtime_dir(char *out, size_t size)
{
    const char *named = getenv("BEAMD_RUNTIME_DIR");
    if (named && *named) {
        return fits(snprintf(out, size, "%s", named), size);
    }
    struct stat st;
    if (geteuid() == 0 && stat("/run/beamd", &st) == 0 && S_ISDIR(st.st_mode)) {
        return fits(snprintf(out, size, "/run/beamd"), size);
    }
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    if (xdg && *xdg) {
        return fits(snprintf(out, size, "%s/beamd", xdg), size);
    }
    if (fits(snprintf(out, size, "/tmp/beamd-%lu", (unsigned long)geteuid()), size) < 0) {
        return -1;
    }
    return check_own(out);
}

int beam_endpoint_path(char *out, size_t size, const char *dir, beam_endpoint which)
{
    char own[BEAM_ENDPOINT_BYTES];
    if (!dir) {
        if (beam_runtime_dir(own, sizeof own) < 0) {
            return -1;
        }
        dir = own;
    }
    const int n = snprintf(out, size, "%s/%s", dir, beam_endpoint_file(which));
    return n > UNIX_PATH_MAX_BYTES ? -1 : fits(n, size);
}

int beam_endpoint_default(char *out, size_t size, const char *dir, beam_endpoint which)
{
    char path[BEAM_ENDPOINT_BYTES];
    if (beam_endpoint_path(path, sizeof path, dir, which) < 0) {
        return -1;
    }
    return fits(snprintf(out, size, "ipc://%s", path), size);
}

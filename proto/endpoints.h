/* Where the sockets are when nobody says otherwise; the daemon and its clients share this. */
#ifndef BEAM_ENDPOINTS_H
#define BEAM_ENDPOINTS_H

#include <stddef.h>

enum { BEAM_ENDPOINT_BYTES = 256 };

typedef enum beam_endpoint {
    BEAM_ENDPOINT_CSI = 0,      /* ROUTER: controllers */
    BEAM_ENDPOINT_BEAMS = 1,    /* XPUB: answers */
    BEAM_ENDPOINT_CONTROL = 2,  /* ROUTER: operators */
    BEAM_ENDPOINT_METRICS = 3,  /* HTTP on a Unix socket */
    BEAM_ENDPOINT_TELEMETRY = 4 /* XPUB: what the daemon says of itself */
} beam_endpoint;

/* "csi.sock", "beams.sock", "control.sock", "metrics.sock", "telemetry.sock". */
const char *beam_endpoint_file(beam_endpoint which);

/* The runtime directory, zero-terminated: $BEAMD_RUNTIME_DIR; for root /run/beamd where it exists;
 * else $XDG_RUNTIME_DIR/beamd; else /tmp/beamd-UID. The directory need not exist. -1 when it does
 * not fit, or when the one in /tmp is another user's. */
int beam_runtime_dir(char *out, size_t size);

/* "DIR/FILE" and "ipc://DIR/FILE" with dir NULL for the runtime directory. A Unix socket path is at
 * most 107 bytes: -1 beyond it, since libzmq would only say so at bind. */
int beam_endpoint_path(char *out, size_t size, const char *dir, beam_endpoint which);
int beam_endpoint_default(char *out, size_t size, const char *dir, beam_endpoint which);

#endif

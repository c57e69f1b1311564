/* The keys of a client: from text or files. Internal to libbeamclient; docs/security.md has the
 * files. */
#ifndef BEAMC_CURVE_H
#define BEAMC_CURVE_H

#include "beamc/beamc.h"

enum { BEAMC_KEY_TEXT = 41 }; /* Z85 and a zero */

typedef struct beamc_curve {
    bool on; /* false: no keys were given */
    char server_key[BEAMC_KEY_TEXT], public_key[BEAMC_KEY_TEXT], secret_key[BEAMC_KEY_TEXT];
} beamc_curve;

/* Reads what the options name. BEAMC_E_ARGUMENT: an incomplete set, no key, a file that is wrong or
 * that others may read; the text says which. */
beamc_code beamc_curve_load(beamc_curve *out, const beamc_options *options, beamc_error *err);
void beamc_curve_wipe(beamc_curve *curve);

#endif

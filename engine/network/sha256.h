/* SHA-256 (FIPS 180-4): the checksum of model files. Not for secrets: it is not constant-time in
 * the length. Internal to libbeam. */
#ifndef BEAM_SHA256_H
#define BEAM_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { BEAM_SHA256_BYTES = 32 };

void beam_sha256(const void *bytes, size_t size, uint8_t digest[BEAM_SHA256_BYTES]);

#endif

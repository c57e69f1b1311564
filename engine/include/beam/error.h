/* Errors of libbeam: a code, the field at fault and one sentence. The library never prints or
 * aborts. */
#ifndef BEAM_ERROR_H
#define BEAM_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum beam_code {
    BEAM_OK = 0,
    BEAM_E_INVALID = 1,     /* a value or size is not admissible; `field` names it */
    BEAM_E_UNSUPPORTED = 2, /* understood, but not built (array shape, antennas at the user) */
    BEAM_E_LIMIT = 3,       /* a size beyond a stated limit of this library or of this object */
    BEAM_E_NUMERIC = 4      /* the input is admissible but produced no finite result */
} beam_code;

typedef struct beam_error {
    beam_code code;
    char field[96]; /* e.g. "users[3].error_radius[1]"; empty when no single field is at fault */
    char text[256]; /* one sentence, no newline */
} beam_error;

/* Fills *err (may be NULL) and returns `code`, so that callers write `return beam_fail(err, ...)`.
 * `field` may be NULL. printf-style sentence. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
beam_code
beam_fail(beam_error *err, beam_code code, const char *field, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif

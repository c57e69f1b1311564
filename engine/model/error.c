/* Errors as text for the caller. */
#include "beam/error.h"

#include <stdarg.h>
#include <stdio.h>

beam_code beam_fail(beam_error *err, beam_code code, const char *field, const char *format, ...)
{
    if (err) {
        va_list args;
        err->code = code;
        (void)snprintf(err->field, sizeof err->field, "%s", field ? field : "");
        va_start(args, format);
        if (vsnprintf(err->text, sizeof err->text, format, args) < 0) {
            err->text[0] = '\0';
        }
        va_end(args);
    }
    return code;
}

/* One line on standard error, and the exit status that belongs to it. */
#include <stdarg.h>
#include <stdio.h>

#include "beamctl.h"

volatile sig_atomic_t beamctl_stop;

int beamctl_fail(const beamc_error *err)
{
    if (err->code == BEAMC_E_REFUSED) {
        fprintf(stderr, "beamctl: refused (%s): %s%s%s\n", beamc_refusal_text(err->refusal),
                err->field, err->field[0] ? ": " : "", err->text);
    } else {
        fprintf(stderr, "beamctl: %s: %s\n", beamc_code_text(err->code), err->text);
    }
    return err->code == BEAMC_E_ARGUMENT  ? BEAMCTL_USAGE
           : err->code == BEAMC_E_TIMEOUT ? BEAMCTL_NO_DAEMON
                                          : BEAMCTL_FAILED;
}

static void complain(const char *format, va_list args, const char *end)
{
    fputs("beamctl: ", stderr);
    vfprintf(stderr, format, args);
    fputs(end, stderr);
}

int beamctl_wrong_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args, "; see beamctl --help\n");
    va_end(args);
    return BEAMCTL_USAGE;
}

int beamctl_failed(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args, "\n");
    va_end(args);
    return BEAMCTL_FAILED;
}

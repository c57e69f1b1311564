#include "fault.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *at;
    char *why;
    size_t size;
} parser;

__attribute__((format(printf, 2, 3))) static bool refuse(const parser *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(p->why, p->size, format, args);
    va_end(args);
    return false;
}

static int length_of(const char *at)
{
    return (int)strcspn(at, ",=:@");
}

/* The index of the word that comes next, -1: none of them. */
static int take_word(parser *p, const char *const *words, int count)
{
    const int n = length_of(p->at);
    for (int k = 0; k < count; k++) {
        if (strlen(words[k]) == (size_t)n && strncmp(p->at, words[k], (size_t)n) == 0) {
            p->at += n;
            return k;
        }
    }
    return -1;
}

/* A plain number: no sign, exponent, hexadecimal or name. */
static bool take_number(parser *p, double *value)
{
    const size_t n = strspn(p->at, "0123456789.");
    char *end;
    *value = strtod(p->at, &end);
    if (n == 0 || n > 16 || end != p->at + n || !isfinite(*value)) {
        return false;
    }
    p->at = end;
    return true;
}

static bool take_duration(parser *p, uint64_t *ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    const char *begin = p->at;
    double value;
    if (!take_number(p, &value)) {
        return refuse(p, "'%.*s' is no duration: a number and us, ms or s", length_of(begin),
                      begin);
    }
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++) {
        if ((size_t)length_of(p->at) == strlen(units[k].unit) &&
            strncmp(p->at, units[k].unit, strlen(units[k].unit)) == 0) {
            if (value * units[k].ns > 3600e9) {
                return refuse(p, "'%.*s' is longer than an hour", length_of(begin), begin);
            }
            *ns = (uint64_t)(value * units[k].ns);
            p->at += strlen(units[k].unit);
            return true;
        }
    }
    return refuse(p, "'%.*s' is no duration: a number and us, ms or s", length_of(begin), begin);
}

static bool take_one(parser *p, beamd_faults *out)
{
    static const char *const backends[BEAMD_FAULT_BACKENDS] = {"network", "solver", "check"};
    static const char *const kinds[BEAMD_FAULT_KINDS] = {"fail", "nan", "slow", "hang"};
    const char *begin = p->at;
    const int backend = take_word(p, backends, BEAMD_FAULT_BACKENDS);
    if (backend < 0) {
        return refuse(p, "'%.*s' is no backend: network, solver or check", length_of(begin), begin);
    }
    if (*p->at != '=') {
        return refuse(p, "'%s': BACKEND=KIND is expected", begin);
    }
    begin = ++p->at;
    const int kind = take_word(p, kinds, BEAMD_FAULT_KINDS);
    if (kind < 0) {
        return refuse(p, "'%.*s' is no fault: fail, nan, slow or hang", length_of(begin), begin);
    }
    beamd_fault fault = {.probability = 1, .duration_ns = UINT64_MAX};
    const bool timed = kind == BEAMD_FAULT_SLOW || kind == BEAMD_FAULT_HANG;
    if (*p->at == ':') {
        p->at++;
        if (!timed) {
            return refuse(p, "%s has no duration", kinds[kind]);
        }
        if (!take_duration(p, &fault.duration_ns)) {
            return false;
        }
    } else if (kind == BEAMD_FAULT_SLOW) {
        return refuse(p, "slow needs a duration, as in slow:5ms");
    }
    if (*p->at == '@') {
        begin = ++p->at;
        if (!take_number(p, &fault.probability) || fault.probability > 1) {
            return refuse(p, "'%.*s' is no probability between 0 and 1", length_of(begin), begin);
        }
    }
    if (*p->at != 0 && *p->at != ',') {
        return refuse(p, "'%s' is too much", p->at);
    }
    if (out->of[backend][kind].duration_ns != 0) {
        return refuse(p, "%s=%s is given twice", backends[backend], kinds[kind]);
    }
    out->of[backend][kind] = fault;
    return true;
}

bool beamd_faults_parse(const char *text, beamd_faults *out, char *why, size_t size)
{
    parser p = {text, why, size};
    beamd_faults faults = {.draws = 0};
    while (*p.at) {
        if (!take_one(&p, &faults)) {
            return false;
        }
        if (*p.at == ',' && *++p.at == 0) {
            return refuse(&p, "ends in a comma");
        }
    }
    *out = faults;
    return true;
}

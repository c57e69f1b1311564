/* printf for the log, with every text that is brought in escaped: see log.h. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

enum { ELLIPSIS = 3 };

typedef struct line {
    char *out;
    size_t size, used;
    size_t safe; /* where it may be cut: the last end of a whole piece that leaves room for "..." */
    bool full;
} line;

/* A piece goes in whole or ends the line. */
static void put(line *l, const char *piece, size_t bytes)
{
    if (l->full || bytes >= l->size - l->used) {
        l->full = true;
        return;
    }
    memcpy(l->out + l->used, piece, bytes);
    l->used += bytes;
    if (l->used + ELLIPSIS < l->size) {
        l->safe = l->used;
    }
}

static void put_byte(line *l, unsigned char c, bool quoted)
{
    char piece[8];
    if (c < 0x20 || c >= 0x7f || (!quoted && strchr(" =\"\\", c))) {
        const int n = snprintf(piece, sizeof piece, "\\x%02x", c);
        put(l, piece, (size_t)n);
        return;
    }
    size_t n = 0;
    if (c == '"' || c == '\\') {
        piece[n++] = '\\';
    }
    piece[n++] = (char)c;
    put(l, piece, n);
}

static void put_text(line *l, const char *text, int precision, bool quoted)
{
    const char *from = text ? text : "(null)";
    for (int i = 0; (precision < 0 || i < precision) && from[i] && !l->full; i++) {
        put_byte(l, (unsigned char)from[i], quoted);
    }
}

/* One conversion: "%-08.3" as it goes to snprintf, its length and its letter. */
typedef struct conversion {
    char spec[48]; /* without length and letter */
    size_t n;
    int precision;  /* -1: none */
    char length[3]; /* "", "h", "hh", "l", "ll", "z", "j", "t" */
    char letter;
} conversion;

typedef struct arguments {
    va_list list;
} arguments;

static void add_number(conversion *c, int value)
{
    c->n += (size_t)snprintf(c->spec + c->n, sizeof c->spec - c->n, "%d", value);
}

/* Digits or '*'; returns the value. No format has more digits than an int. */
static int take_number(const char **at, conversion *c, arguments *a)
{
    int value = 0;
    if (**at == '*') {
        (*at)++;
        value = va_arg(a->list, int);
    } else {
        while (**at >= '0' && **at <= '9') {
            value = value < 10000 ? value * 10 + (*(*at)++ - '0') : ((*at)++, value);
        }
    }
    add_number(c, value);
    return value;
}

/* *at: behind the '%'; moved behind the conversion. */
static void take_conversion(const char **at, conversion *c, arguments *a)
{
    *c = (conversion){.spec = "%", .n = 1, .precision = -1};
    while (**at && strchr("-+ #0", **at) && c->n < 8) {
        c->spec[c->n++] = *(*at)++;
    }
    if (**at == '*' || (**at >= '1' && **at <= '9')) {
        take_number(at, c, a);
    }
    if (**at == '.') {
        c->spec[c->n++] = *(*at)++;
        c->precision = take_number(at, c, a);
    }
    for (size_t i = 0; i < 2 && **at && strchr("hlzjt", **at); i++) {
        c->length[i] = *(*at)++;
    }
    c->letter = **at;
    *at += **at != 0;
}

static intmax_t take_signed(const conversion *c, arguments *a)
{
    switch (c->length[0]) {
    case 'l':
        return c->length[1] ? va_arg(a->list, long long) : va_arg(a->list, long);
    case 'j':
        return va_arg(a->list, intmax_t);
    case 'z':
    case 't':
        return va_arg(a->list, ptrdiff_t);
    case 'h':
        return c->length[1] ? (signed char)va_arg(a->list, int) : (short)va_arg(a->list, int);
    default:
        return va_arg(a->list, int);
    }
}

static uintmax_t take_unsigned(const conversion *c, arguments *a)
{
    switch (c->length[0]) {
    case 'l':
        return c->length[1] ? va_arg(a->list, unsigned long long) : va_arg(a->list, unsigned long);
    case 'j':
        return va_arg(a->list, uintmax_t);
    case 'z':
    case 't':
        return va_arg(a->list, size_t);
    case 'h':
        return c->length[1] ? (unsigned char)va_arg(a->list, unsigned)
                            : (unsigned short)va_arg(a->list, unsigned);
    default:
        return va_arg(a->list, unsigned);
    }
}

/* False: not one that is known; its argument was not taken. */
static bool put_conversion(line *l, conversion *c, arguments *a, bool quoted)
{
    char piece[512];
    int n = 0;
    char *const end = c->spec + c->n;
    const size_t room = sizeof c->spec - c->n;
    switch (c->letter) {
    case 's':
        put_text(l, va_arg(a->list, const char *), c->precision, quoted);
        return true;
    case 'c':
        put_byte(l, (unsigned char)va_arg(a->list, int), quoted);
        return true;
    case '%':
        put(l, "%", 1);
        return true;
    case 'd':
    case 'i':
        snprintf(end, room, "jd");
        n = snprintf(piece, sizeof piece, c->spec, take_signed(c, a));
        break;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        snprintf(end, room, "j%c", c->letter);
        n = snprintf(piece, sizeof piece, c->spec, take_unsigned(c, a));
        break;
    case 'e':
    case 'f':
    case 'g':
    case 'a':
        snprintf(end, room, "%c", c->letter);
        n = snprintf(piece, sizeof piece, c->spec, va_arg(a->list, double));
        break;
    case 'p':
        n = snprintf(piece, sizeof piece, "%p", va_arg(a->list, void *));
        break;
    default:
        return false;
    }
    put(l, piece, n < 0 ? 0 : (size_t)n < sizeof piece ? (size_t)n : sizeof piece - 1);
    return true;
}

size_t beamd_log_format(char *out, size_t size, const char *format, va_list args)
{
    line l = {.out = out, .size = size};
    if (size == 0) {
        return 0;
    }
    arguments a;
    va_copy(a.list, args);
    bool quoted = false;
    for (const char *at = format; *at && !l.full;) {
        if (*at != '%') {
            quoted ^= *at == '"';
            put(&l, at++, 1);
            continue;
        }
        at++;
        conversion c;
        take_conversion(&at, &c, &a);
        if (!put_conversion(&l, &c, &a, quoted)) {
            put(&l, "%?", 2);
            break; /* where the next argument lies is not known */
        }
    }
    va_end(a.list);
    if (l.full) {
        const size_t dots = size > ELLIPSIS ? ELLIPSIS : 0;
        l.used = dots ? l.safe : 0;
        memcpy(out + l.used, "...", dots);
        l.used += dots;
    }
    out[l.used] = 0;
    return l.used;
}

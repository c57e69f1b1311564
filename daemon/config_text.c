/* The configuration as text: the documented file, the manual page, single values, what changed. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_table.h"

typedef struct text_out {
    char *out;
    size_t size, used;
} text_out;

__attribute__((format(printf, 2, 3))) static void put(text_out *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t room = t->used < t->size ? t->size - t->used : 0;
    const int n = vsnprintf(room ? t->out + t->used : NULL, room, format, args);
    va_end(args);
    if (n > 0) {
        t->used += (size_t)n;
    }
}

/* "0 to 64 threads", "a|b", "at most 79 bytes" */
static void range_words(const beamd_config_key *key, char *out, size_t size)
{
    const char *gap = *key->unit ? " " : "";
    if (key->type == BEAMD_CONFIG_WORD) {
        snprintf(out, size, "%s", key->words);
    } else if (key->type == BEAMD_CONFIG_STRING) {
        snprintf(out, size, "at most %zu bytes", key->size - 1);
    } else if (key->type == BEAMD_CONFIG_INTEGER) {
        snprintf(out, size, "%lld to %lld%s%s", (long long)key->low, (long long)key->high, gap,
                 key->unit);
    } else {
        snprintf(out, size, "%g to %g%s%s", key->low, key->high, gap, key->unit);
    }
}

void beamd_config_range(const beamd_config_key *key, char *out, size_t size)
{
    char words[96];
    range_words(key, words, sizeof words);
    snprintf(out, size, key->type == BEAMD_CONFIG_STRING ? " (%s)" : " (allowed: %s)", words);
}

size_t beamd_config_dump(char *out, size_t size)
{
    text_out t = {out, size, 0};
    put(&t, "# beamd.conf: every key with its default. Written by beamd --dump-config.\n"
            "# One 'key = value' a line; '#' begins a comment line; unknown keys are refused.\n");
    const beamd_config_key *key;
    for (int k = 0; (key = beamd_config_key_at(k)) != NULL; k++) {
        put(&t, "\n");
        for (const char *at = key->doc; *at; at += *at == '\n') {
            const int n = (int)strcspn(at, "\n");
            put(&t, "# %.*s\n", n, at);
            at += n;
        }
        char range[96];
        beamd_config_range(key, range, sizeof range);
        put(&t, "#%s%s\n%s = %s\n", range, key->reloadable ? "; reloaded on SIGHUP" : "", key->name,
            key->fallback);
    }
    return t.used;
}

/* Text of which roff understands nothing: a line may begin with anything, '-' is a minus that can
 * be copied, quotes are those of ASCII. */
static void put_roff(text_out *t, const char *text)
{
    put(t, "\\&");
    for (const char *at = text; *at; at++) {
        switch (*at) {
        case '\\':
            put(t, "\\e");
            break;
        case '-':
            put(t, "\\-");
            break;
        case '"':
            put(t, "\\(dq");
            break;
        case '\'':
            put(t, "\\(aq");
            break;
        case '~':
            put(t, "\\(ti");
            break;
        case '^':
            put(t, "\\(ha");
            break;
        case '\n':
            put(t, " ");
            break;
        default:
            put(t, "%c", *at);
        }
    }
}

static void put_manual_key(text_out *t, const beamd_config_key *key)
{
    static const char *const types[] = {"string", "whole number", "number", "one word of"};
    char range[96];
    range_words(key, range, sizeof range);
    put(t, ".TP\n.B ");
    put_roff(t, key->name);
    put(t, " = ");
    put_roff(t, key->fallback);
    put(t, "\n");
    put_roff(t, key->doc);
    put(t, "\n.br\n(%s%s ", types[key->type], key->type == BEAMD_CONFIG_WORD ? "" : ",");
    put_roff(t, range);
    put(t, "; %s)\n", key->reloadable ? "reloaded on SIGHUP" : "read at the start only");
}

size_t beamd_config_manual(char *out, size_t size)
{
    text_out t = {out, size, 0};
    put(&t, ".TH BEAMD.CONF 5 \"\" \"beamd %s\" \"beamd\"\n", BEAMD_VERSION);
    put(&t, ".SH NAME\nbeamd.conf \\- settings of beamd(8)\n"
            ".SH SYNOPSIS\n.B beamd \\-\\-config\n.I FILE\n"
            ".SH DESCRIPTION\n"
            "One \\(dqkey = value\\(dq a line. A line that begins with \\(dq#\\(dq is a comment. A "
            "value may stand in double quotes; there are no escapes. A key that is not known, that "
            "occurs twice or whose value is out of its range is an error, and so is a line of "
            "1024 bytes or a file of more than 64 KiB. Settings of the command line "
            "(\\-\\-set) hold over those of the file.\n.PP\n"
            "Check a file with\n.B beamd \\-\\-check\\-config\n.IR FILE ;\n"
            "an error is reported as FILE:LINE: KEY: WHY. On SIGHUP beamd(8) reads the file again: "
            "it takes over the keys marked so below, says in its log which others differ and need "
            "a restart, and changes nothing if any of it is wrong.\n"
            ".SH KEYS\nEach with its default.\n");
    const beamd_config_key *key;
    for (int k = 0; (key = beamd_config_key_at(k)) != NULL; k++) {
        put_manual_key(&t, key);
    }
    put(&t, ".SH SEE ALSO\n.BR beamd (8)\n");
    return t.used;
}

/* Without quotes; a number is read back to the same bits. */
static void value_text(const beamd_config *config, const beamd_config_key *key, char *out,
                       size_t size)
{
    const void *field = (const char *)config + key->offset;
    long long whole;
    double number;
    switch (key->type) {
    case BEAMD_CONFIG_STRING:
    case BEAMD_CONFIG_WORD:
        snprintf(out, size, "%s", (const char *)field);
        break;
    case BEAMD_CONFIG_INTEGER:
        memcpy(&whole, field, sizeof whole);
        snprintf(out, size, "%lld", whole);
        break;
    case BEAMD_CONFIG_REAL:
        memcpy(&number, field, sizeof number);
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(out, size, "%.*g", digits, number);
            if (strtod(out, NULL) == number) {
                break;
            }
        }
        break;
    }
}

bool beamd_config_value(const beamd_config *config, int index, beamd_config_setting *out)
{
    const beamd_config_key *key = beamd_config_key_at(index);
    if (!key) {
        return false;
    }
    const unsigned from = config->origin.from[index];
    *out = (beamd_config_setting){.name = key->name,
                                  .unit = key->unit,
                                  .fallback = key->type == BEAMD_CONFIG_STRING ? "" : key->fallback,
                                  .reloadable = key->reloadable,
                                  .source = from ? config->origin.source[from - 1] : "",
                                  .line = config->origin.line[index]};
    value_text(config, key, out->value, sizeof out->value);
    return true;
}

int beamd_config_changes(const beamd_config *old_config, const beamd_config *fresh,
                         beamd_config_change *changed, void *arg)
{
    int count = 0;
    const beamd_config_key *key;
    for (int k = 0; (key = beamd_config_key_at(k)) != NULL; k++) {
        if (memcmp((const char *)old_config + key->offset, (const char *)fresh + key->offset,
                   key->size) == 0) {
            continue;
        }
        count++;
        if (changed) {
            char before[BEAMD_CONFIG_VALUE_BYTES], after[BEAMD_CONFIG_VALUE_BYTES];
            value_text(old_config, key, before, sizeof before);
            value_text(fresh, key, after, sizeof after);
            changed(arg, key->name, before, after, key->reloadable);
        }
    }
    return count;
}

#include "metrics_text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_bytes(beamd_text *t, const char *bytes, size_t n)
{
    if (t->used < t->size) {
        const size_t room = t->size - t->used;
        memcpy(t->out + t->used, bytes, n < room ? n : room);
    }
    t->used += n;
}

void beamd_text_put(beamd_text *t, const char *text)
{
    put_bytes(t, text, strlen(text));
}

void beamd_text_put_count(beamd_text *t, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_bytes(t, digits + at, sizeof digits - at);
}

void beamd_text_put_number(beamd_text *t, double value)
{
    if (value >= 0 && value < 0x1p53 && value == floor(value)) {
        beamd_text_put_count(t, (uint64_t)value);
        return;
    }
    if (!isfinite(value)) {
        beamd_text_put(t, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    char digits[32];
    const int n = snprintf(digits, sizeof digits, "%.17g", value);
    put_bytes(t, digits, (size_t)n);
}

void beamd_text_head(beamd_text *t, const char *name, const char *type, const char *help)
{
    beamd_text_put(t, "# HELP ");
    beamd_text_put(t, name);
    beamd_text_put(t, " ");
    beamd_text_put(t, help);
    beamd_text_put(t, "\n# TYPE ");
    beamd_text_put(t, name);
    beamd_text_put(t, " ");
    beamd_text_put(t, type);
    beamd_text_put(t, "\n");
}

void beamd_text_label(beamd_text *t, const char *name, const char *value)
{
    beamd_text_put(t, name);
    beamd_text_put(t, "=\"");
    while (*value) {
        const size_t plain = strcspn(value, "\\\"\n");
        put_bytes(t, value, plain);
        value += plain;
        if (*value) {
            beamd_text_put(t, *value == '\n' ? "\\n" : *value == '"' ? "\\\"" : "\\\\");
            value++;
        }
    }
    beamd_text_put(t, "\"");
}

static void put_name(beamd_text *t, const char *name, const char *label, const char *word)
{
    beamd_text_put(t, name);
    if (label) {
        beamd_text_put(t, "{");
        beamd_text_label(t, label, word);
        beamd_text_put(t, "}");
    }
    beamd_text_put(t, " ");
}

void beamd_text_count(beamd_text *t, const char *name, const char *label, const char *word,
                      uint64_t value)
{
    put_name(t, name, label, word);
    beamd_text_put_count(t, value);
    beamd_text_put(t, "\n");
}

void beamd_text_number(beamd_text *t, const char *name, const char *label, const char *word,
                       double value)
{
    put_name(t, name, label, word);
    beamd_text_put_number(t, value);
    beamd_text_put(t, "\n");
}

/* Bounds of the buckets in seconds, 2^0 .. 2^26 us: as text, once for all. */
static const char *bound(unsigned octave)
{
    static char texts[BEAMD_HISTOGRAM_ROWS][16];
    if (!texts[octave][0]) {
        snprintf(texts[octave], sizeof texts[octave], "%.9g",
                 1e-6 * (double)(UINT64_C(1) << octave));
    }
    return texts[octave];
}

void beamd_text_histogram(beamd_text *t, const char *name, const char *label, const char *word,
                          const beamd_histogram_head *head)
{
    char begin[160], series[160] = "";
    snprintf(begin, sizeof begin, "%s_bucket{%s%s%s%sle=\"", name, label ? label : "",
             label ? "=\"" : "", label ? word : "", label ? "\"," : "");
    if (label) {
        snprintf(series, sizeof series, "{%s=\"%s\"}", label, word);
    }
    uint64_t below = 0;
    for (unsigned octave = 0; octave < BEAMD_HISTOGRAM_ROWS; octave++) {
        below += head->row[octave];
        beamd_text_put(t, begin);
        beamd_text_put(t, bound(octave));
        beamd_text_put(t, "\"} ");
        beamd_text_put_count(t, below);
        beamd_text_put(t, "\n");
    }
    beamd_text_put(t, begin);
    beamd_text_put(t, "+Inf\"} ");
    beamd_text_put_count(t, head->count);
    beamd_text_put(t, "\n");
    beamd_text_put(t, name);
    beamd_text_put(t, "_sum");
    beamd_text_put(t, series);
    beamd_text_put(t, " ");
    beamd_text_put_number(t, 1e-9 * (double)head->sum_ns);
    beamd_text_put(t, "\n");
    beamd_text_put(t, name);
    beamd_text_put(t, "_count");
    beamd_text_put(t, series);
    beamd_text_put(t, " ");
    beamd_text_put_count(t, head->count);
    beamd_text_put(t, "\n");
}

const char *beamd_text_word(const ProtobufCEnumDescriptor *words, const char *prefix, unsigned k,
                            char out[BEAMD_WORD_BYTES])
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(words, (int)k);
    if (!value) {
        return NULL;
    }
    const char *from = value->name;
    const size_t prefix_bytes = strlen(prefix);
    from += strncmp(from, prefix, prefix_bytes) == 0 ? prefix_bytes : 0;
    size_t n = 0;
    for (; *from && n + 1 < BEAMD_WORD_BYTES; from++) {
        out[n++] = (char)tolower((unsigned char)*from);
    }
    out[n] = 0;
    return out;
}

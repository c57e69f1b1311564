/* The log: its text is that of printf, no value forges a field or a line, and what is held back is
 * counted and said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"

__attribute__((format(printf, 3, 4))) static size_t format(char *out, size_t size, const char *form,
                                                           ...)
{
    va_list args;
    va_start(args, form);
    const size_t n = beamd_log_format(out, size, form, args);
    va_end(args);
    return n;
}

/* The same as printf where there is nothing to escape. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        char want_[512], got_[512];                                                                \
        const int n_ = snprintf(want_, sizeof want_, __VA_ARGS__);                                 \
        assert_int_equal(format(got_, sizeof got_, __VA_ARGS__), n_);                              \
        assert_string_equal(got_, want_);                                                          \
    } while (0)

static void it_formats_as_printf_does(void **state)
{
    (void)state;
    SAME("event=nothing");
    SAME("%d %i %5d|%-5d|%05d|%+d|% d", 1, -2, 3, 4, 5, 6, 7);
    SAME("%u %x %X %o %#x %#o", 4000000000u, 0xbeefu, 0xbeefu, 8u, 255u, 8u);
    SAME("%hhd %hd %ld %lld %jd %zd %td", (signed char)-1, (short)-300, -1234567890123L,
         -1234567890123LL, INTMAX_MIN, (ssize_t)-5, (ptrdiff_t)-6);
    SAME("%hhu %hu %lu %llu %ju %zu", (unsigned char)255, (unsigned short)65535, 1234567890123UL,
         UINT64_MAX + 0ULL, UINTMAX_MAX, SIZE_MAX);
    SAME("%hhd %hu", (signed char)-128, (unsigned short)1);
    SAME("%f %.6f %g %e %.3e %10.2f|%-10.1f| %.17g %a", 1.5, -2.25, 1e-300, 3e300, 0.1, 2.0, 3.0,
         0.1, 1.0);
    SAME("%g %g %g", 1.0 / 0.0, -1.0 / 0.0, 0.0 / 0.0);
    SAME("%*d %-*d %.*f", 8, 1, 8, 2, 3, 1.0);
    SAME("%s \"%s\" %.3s %.*s %c 100%%", "word", "a sentence, with more", "abcdef", 2, "xyz", 'c');
    SAME("%p", (void *)&state);
}

/* What a reader of key=value and key="value" lines finds: the value of a key, or NULL. */
static const char *field(const char *line, const char *key)
{
    static char value[1024];
    const size_t n = strlen(key);
    for (const char *at = line; *at;) {
        const bool mine = strncmp(at, key, n) == 0 && at[n] == '=';
        at += strcspn(at, "=");
        at += *at == '=';
        const bool quoted = *at == '"';
        at += quoted;
        size_t used = 0;
        for (; *at && *at != (quoted ? '"' : ' '); at++) {
            at += *at == '\\' && at[1];
            value[used++] = *at;
        }
        value[used] = 0;
        if (mine) {
            return value;
        }
        at += strspn(at, "\" ");
    }
    return NULL;
}

static void no_value_forges_a_field(void **state)
{
    (void)state;
    static const char *const evil[] = {"\" what=\"drain\" x=\"",
                                       "a what=drain",
                                       "x\\\" what=drain",
                                       "\\",
                                       "\\\"",
                                       "x\nevent=audit what=drain",
                                       "x\r\x1b[2Jy",
                                       "what=drain",
                                       "\"",
                                       "\x7f\x80\xc3\xa9",
                                       "=",
                                       ""};
    for (size_t k = 0; k < sizeof evil / sizeof evil[0]; k++) {
        char line[512];
        format(line, sizeof line, "event=x name=%s file=\"%s\" last=%d", evil[k], evil[k], 7);
        assert_string_equal(field(line, "event"), "x");
        assert_string_equal(field(line, "last"), "7");
        assert_null(field(line, "what"));
        for (const char *c = line; *c; c++) {
            assert_true(*c >= 0x20 && *c < 0x7f);
        }
    }
    char line[512];
    format(line, sizeof line, "a=\"%s\" b=%s c=\"%c\" d=%c", "q\"\\=\n ", "q\"\\=\n ", '"', ' ');
    assert_string_equal(line,
                        "a=\"q\\\"\\\\=\\x0a \" b=q\\x22\\x5c\\x3d\\x0a\\x20 c=\"\\\"\" d=\\x20");
    const char *volatile nothing = NULL;
    format(line, sizeof line, "a=%s", nothing);
    assert_string_equal(line, "a=(null)");
}

/* At every size: whole pieces, "...", a zero, and nothing behind it. */
static void a_long_line_is_cut_between_pieces(void **state)
{
    (void)state;
    char whole[256], cut[256];
    const char *value = "ab\"cd\n";
    const size_t all = format(whole, sizeof whole, "event=cut n=%d text=\"%s\"", 123456, value);
    for (size_t size = 1; size <= all + 1; size++) {
        memset(cut, '#', sizeof cut);
        const size_t n = format(cut, size, "event=cut n=%d text=\"%s\"", 123456, value);
        assert_true(n < size && cut[n] == 0 && cut[size] == '#');
        if (size == all + 1) {
            assert_string_equal(cut, whole);
        } else if (size > 3) {
            assert_string_equal(cut + n - 3, "...");
            assert_int_equal(strncmp(cut, whole, n - 3), 0);
            assert_true(n == 3 || cut[n - 4] != '\\' || cut[n - 5] == '\\');
        }
    }
}

static void an_unknown_conversion_ends_the_line(void **state)
{
    (void)state;
    char line[64];
    const char *odd = "a=%Lf b=%s";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    format(line, sizeof line, odd, 1.0L, "x");
#pragma GCC diagnostic pop
    assert_string_equal(line, "a=%?");
}

/* --- what arrives on stderr --- */

static int saved, ends[2];

static int capture(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    saved = dup(STDERR_FILENO);
    return saved < 0 || pipe(ends) < 0 || dup2(ends[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static const char *captured(void)
{
    static char text[65536];
    assert_int_equal(write(STDERR_FILENO, "", 1), 1); /* a zero, so that reading ends */
    size_t n = 0;
    do {
        const ssize_t got = read(ends[0], text + n, sizeof text - 1 - n);
        assert_true(got > 0);
        n += (size_t)got;
    } while (text[n - 1] != 0);
    return text;
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; *text; text++) {
        n += *text == '\n';
    }
    return n;
}

static void levels_and_rates_hold(void **state)
{
    (void)state;
    beamd_log_setup(BEAMD_LOG_INFO, 3);
    BEAMD_LOG(BEAMD_LOG_DEBUG, "event=quiet");
    assert_string_equal(captured(), "");
    const uint64_t before = beamd_log_suppressed();
    for (int k = 0; k < 10; k++) {
        BEAMD_LOG(BEAMD_LOG_INFO, "event=often k=%d", k);
    }
    /* a second may begin in between */
    const unsigned written = lines(captured());
    assert_in_range(written, 3, 6);
    assert_int_equal(beamd_log_suppressed() - before, 10 - written);
    beamd_log_site site = {0}; /* another site has its own share */
    beamd_log_write(&site, BEAMD_LOG_ERR, "event=other");
    assert_string_equal(captured(), "event=other\n");
    site = (beamd_log_site){.held_back = 5};
    beamd_log_write(&site, BEAMD_LOG_ERR, "event=after");
    assert_string_equal(captured(), "held_back=5 event=after\n");
}

static void the_audit_says_who_and_what(void **state)
{
    (void)state;
    beamd_log_setup(BEAMD_LOG_ERR, 2); /* written at any level */
    beamd_log_audit("eve\" what=\"nothing", "PreferenceSet", "c1", "tradeoff %.2f, was \"%s\"",
                    0.25, "a\\b");
    const char *line = captured();
    assert_string_equal(line, "event=audit who=\"eve\\\" what=\\\"nothing\" request=PreferenceSet "
                              "cluster=\"c1\" what=\"tradeoff 0.25, was \\\"a\\\\b\\\"\"\n");
    assert_string_equal(field(line, "who"), "eve\" what=\"nothing");
    assert_string_equal(field(line, "what"), "tradeoff 0.25, was \"a\\b\"");
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    beamd_log_audit("op", "ModelReload", "", "%s", text); /* one line whatever it is told */
    line = captured();
    assert_int_equal(lines(line), 1);
    assert_true(strlen(line) <= 1024);
    for (int k = 0; k < 100; k++) {
        beamd_log_audit("op", "PreferenceSet", "", "%d", k);
    }
    assert_in_range(lines(captured()), 18, 41);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_formats_as_printf_does),
        cmocka_unit_test(no_value_forges_a_field),
        cmocka_unit_test(a_long_line_is_cut_between_pieces),
        cmocka_unit_test(an_unknown_conversion_ends_the_line),
        cmocka_unit_test_setup_teardown(levels_and_rates_hold, capture, release),
        cmocka_unit_test_setup_teardown(the_audit_says_who_and_what, capture, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

enum { LINE_MAX_BYTES = 1024 };

static beamd_log_level log_level = BEAMD_LOG_INFO;
static unsigned log_per_second = 10;
static uint64_t log_suppressed;
static int log_journal = -1; /* -1: not asked yet */

void beamd_log_setup(beamd_log_level level, unsigned per_second)
{
    log_level = level;
    log_per_second = per_second;
}

uint64_t beamd_log_suppressed(void)
{
    return log_suppressed;
}

static bool site_admits(beamd_log_site *site, uint64_t now_ns)
{
    if (now_ns - site->window_start_ns >= 1000000000u) {
        site->window_start_ns = now_ns;
        site->in_window = 0;
    }
    if (site->in_window >= log_per_second) {
        site->held_back++;
        log_suppressed++;
        return false;
    }
    site->in_window++;
    return true;
}

/* A control character in a value must not forge a second line. */
static void flatten(char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f) {
            line[i] = '?';
        }
    }
}

void beamd_log_write(beamd_log_site *site, beamd_log_level level, const char *format, ...)
{
    if (level > log_level || !site_admits(site, beamd_clock_ns())) {
        return;
    }
    if (log_journal < 0) {
        log_journal = getenv("JOURNAL_STREAM") != NULL;
    }
    char line[LINE_MAX_BYTES];
    size_t at = 0;
    if (log_journal) {
        at = (size_t)snprintf(line, sizeof line, "<%d>", (int)level);
    }
    if (site->held_back > 0) {
        at += (size_t)snprintf(line + at, sizeof line - at, "held_back=%u ", site->held_back);
        site->held_back = 0;
    }
    va_list args;
    va_start(args, format);
    const int wrote = vsnprintf(line + at, sizeof line - at - 1, format, args);
    va_end(args);
    if (wrote < 0) {
        return;
    }
    const size_t room = sizeof line - at - 1;
    if ((size_t)wrote >= room) {
        at += room - 1;
        memcpy(line + at - 3, "...", 3);
    } else {
        at += (size_t)wrote;
    }
    flatten(line, at);
    line[at++] = '\n';
    const ssize_t ignored = write(STDERR_FILENO, line, at); /* nowhere to complain */
    (void)ignored;
}

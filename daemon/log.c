#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"

enum { LINE_MAX_BYTES = 1024, AUDIT_SHARE = 10 /* of other lines, per second */ };

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

static bool site_admits(beamd_log_site *site, uint64_t now_ns, unsigned per_second)
{
    if (now_ns - site->window_start_ns >= 1000000000u) {
        site->window_start_ns = now_ns;
        site->in_window = 0;
    }
    if (site->in_window >= per_second) {
        site->held_back++;
        log_suppressed++;
        return false;
    }
    site->in_window++;
    return true;
}

static void write_line(beamd_log_site *site, beamd_log_level level, const char *format,
                       va_list args)
{
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
    at += beamd_log_format(line + at, sizeof line - at, format, args);
    line[at++] = '\n';                                      /* in place of the zero */
    const ssize_t ignored = write(STDERR_FILENO, line, at); /* nowhere to complain */
    (void)ignored;
}

void beamd_log_write(beamd_log_site *site, beamd_log_level level, const char *format, ...)
{
    if (level > log_level || !site_admits(site, beamd_clock_ns(), log_per_second)) {
        return;
    }
    va_list args;
    va_start(args, format);
    write_line(site, level, format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static void write_audit(beamd_log_site *site,
                                                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(site, BEAMD_LOG_NOTICE, format, args);
    va_end(args);
}

void beamd_log_audit(const char *who, const char *request, const char *cluster, const char *format,
                     ...)
{
    static beamd_log_site site;
    if (!site_admits(&site, beamd_clock_ns(), AUDIT_SHARE * log_per_second)) {
        return;
    }
    /* plain here: it is escaped as one text below */
    char what[LINE_MAX_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    write_audit(&site, "event=audit who=\"%s\" request=%s cluster=\"%s\" what=\"%s\"", who, request,
                cluster, what);
}

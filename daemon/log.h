/* One line per event, key=value or key="value", to stderr; with a <N> priority prefix when the
 * journal reads it. Loop thread only: solver threads report through their job instead. Every call
 * site is rate-limited on its own; what was held back is said in the next line of that site and
 * counted.
 *
 * No value can forge a field or a line. What a %s brings in is escaped where it stands: between
 * quotes of the format, backslash and quote get a backslash; elsewhere, blank, '=', quote and
 * backslash become \xNN as well; control characters and bytes beyond ASCII always do. Write
 * why=\"%s\" for sentences and cluster=%s for words. */
#ifndef BEAMD_LOG_H
#define BEAMD_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum beamd_log_level {
    BEAMD_LOG_ERR = 3, /* the numbers are those of syslog(3) */
    BEAMD_LOG_WARNING = 4,
    BEAMD_LOG_NOTICE = 5,
    BEAMD_LOG_INFO = 6,
    BEAMD_LOG_DEBUG = 7
} beamd_log_level;

typedef struct beamd_log_site {
    uint64_t window_start_ns;
    uint32_t in_window;
    uint32_t held_back;
} beamd_log_site;

/* level: least important level still written; per_second: lines per call site and second. */
void beamd_log_setup(beamd_log_level level, unsigned per_second);
/* Lines held back so far. */
uint64_t beamd_log_suppressed(void);
__attribute__((format(printf, 3, 4))) void
beamd_log_write(beamd_log_site *site, beamd_log_level level, const char *format, ...);

/* Who changed what: event=audit who="who" request=request cluster="cluster" what="...". Written at
 * any log level and at ten times the rate of other lines; what is beyond it is held back and
 * counted. request: a word; cluster: its id, "" for none. */
__attribute__((format(printf, 4, 5))) void
beamd_log_audit(const char *who, const char *request, const char *cluster, const char *format, ...);

/* The text of a line, as above. Returns its length; one that does not fit ends in "...", never in
 * the middle of an escape. Knows %d %i %u %x %X %o %c %s %p %e %f %g %a %% with flags, widths,
 * precisions and the lengths hh h l ll z j t (no width of %s); a conversion that it does not know
 * ends the line with "%?". */
__attribute__((format(printf, 3, 0))) size_t beamd_log_format(char *out, size_t size,
                                                              const char *format, va_list args);

#define BEAMD_LOG(level, ...)                                                                      \
    do {                                                                                           \
        static beamd_log_site beamd_log_site_;                                                     \
        beamd_log_write(&beamd_log_site_, (level), __VA_ARGS__);                                   \
    } while (0)

#endif

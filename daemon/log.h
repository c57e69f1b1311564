/* One line per event, key=value, to stderr; with a <N> priority prefix when the journal reads it.
 * Loop thread only: solver threads report through their job instead. Every call site is
 * rate-limited on its own; what was held back is said in the next line of that site and counted. */
#ifndef BEAMD_LOG_H
#define BEAMD_LOG_H

#include <stdbool.h>
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

#define BEAMD_LOG(level, ...)                                                                      \
    do {                                                                                           \
        static beamd_log_site beamd_log_site_;                                                     \
        beamd_log_write(&beamd_log_site_, (level), __VA_ARGS__);                                   \
    } while (0)

#endif

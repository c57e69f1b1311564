/* Configuration: one typed table (config.c) that the parser, the documented default file and the
 * checks are made from. beamd runs without any file: the defaults are those of the table. */
#ifndef BEAMD_CONFIG_H
#define BEAMD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

enum {
    BEAMD_ENDPOINT_BYTES = 160,
    BEAMD_RUNTIME_DIR_BYTES = 80,
    BEAMD_MODEL_FILE_BYTES = 512, /* as long as a text on the wire may be, and a zero */
    BEAMD_PATH_BYTES = 512,
    BEAMD_CLUSTERS_MAX = 1024, /* the most that clusters_max may be */
    BEAMD_CONFIG_KEYS_MAX = 128,
    BEAMD_CONFIG_SOURCES_MAX = 4, /* files and command lines of one configuration */
    BEAMD_CONFIG_VALUE_BYTES = BEAMD_PATH_BYTES
};

/* Where each key was set, for errors that are found later than while reading. */
typedef struct beamd_config_origin {
    char source[BEAMD_CONFIG_SOURCES_MAX][BEAMD_PATH_BYTES]; /* "" is free */
    unsigned char from[BEAMD_CONFIG_KEYS_MAX];               /* 1 + source; 0: nowhere */
    unsigned short line[BEAMD_CONFIG_KEYS_MAX];
} beamd_config_origin;

typedef struct beamd_config {
    char runtime_dir[BEAMD_RUNTIME_DIR_BYTES];
    char csi_endpoint[BEAMD_ENDPOINT_BYTES];
    char beams_endpoint[BEAMD_ENDPOINT_BYTES];
    char control_endpoint[BEAMD_ENDPOINT_BYTES];
    char metrics_endpoint[BEAMD_ENDPOINT_BYTES];
    char telemetry_endpoint[BEAMD_ENDPOINT_BYTES];
    char curve_dir[BEAMD_PATH_BYTES];
    char state_dir[BEAMD_PATH_BYTES];
    long long state_ms;
    long long connections_max;
    long long telemetry_ms;
    char model_file[BEAMD_MODEL_FILE_BYTES];
    char solve_method[16];
    long long refine_iterations;
    long long workers;
    long long batch_max;
    long long batch_wait_us;
    char worker_cpus[64];
    char loop_cpu[16];
    char io_cpu[16];
    long long realtime_priority;
    char lock_memory[8];
    long long prefault_mib;
    long long spin_us;
    long long backend_failures;
    long long backend_retry_ms;
    long long backend_retry_max_ms;
    long long hang_ms;
    char gpu_devices[64];
    char gpu_program[BEAMD_PATH_BYTES];
    char gpu_arguments[256];
    char gpu_cpus[64];
    long long gpu_threads;
    long long gpu_batch_max;
    long long gpu_slots;
    long long gpu_slot_mib;
    long long gpu_spin_us;
    long long gpu_hang_ms;
    long long gpu_start_ms;
    long long gpu_retry_ms;
    long long gpu_retry_max_ms;
    long long gpu_failures_max;
    long long gpu_absent_s;
    long long clusters_max;
    long long users_max;
    long long cluster_memory_mib;
    long long memory_mib;
    long long message_kib;
    long long queue_messages;
    long long messages_per_turn;
    long long linger_ms;
    long long drain_ms;
    long long deadline_us;
    long long deadline_max_ms;
    long long deadline_margin_us;
    long long valid_ms;
    long long csi_age_limit_ms;
    char csi_age_action[8];
    long long resolve_after_ms;
    long long ideal_refresh_ms;
    double tradeoff;
    long long solver_iterations;
    double solver_tolerance;
    long long stall_ms;
    long long metrics_clusters;
    long long metrics_connections;
    char log_level[16];
    long long log_per_second;
    char fault[128]; /* tests only: refused unless built with BEAMD_FAULTS */
    beamd_config_origin origin;
} beamd_config;

typedef struct beamd_config_error {
    char text[512]; /* "file:line: key: why", one line */
} beamd_config_error;

void beamd_config_default(beamd_config *config);

/* Parses `size` bytes over what *config holds; `name` stands for the file in errors. */
bool beamd_config_parse(beamd_config *config, const char *name, const char *text, size_t size,
                        beamd_config_error *err);

/* Reads a file (at most 64 KiB) over what *config holds, then checks what concerns several keys. */
bool beamd_config_read(beamd_config *config, const char *path, beamd_config_error *err);

/* *err becomes "FILE:LINE: KEY: why", or "config: KEY: why" for a key that was set nowhere. Returns
 * false, so that a check can end with it. */
bool beamd_config_refuse(const beamd_config *config, beamd_config_error *err, const char *key,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* One key as it stands. */
typedef struct beamd_config_setting {
    const char *name, *unit; /* unit: "" when it has none */
    const char *fallback;    /* default */
    bool reloadable;
    char value[BEAMD_CONFIG_VALUE_BYTES]; /* without quotes */
    const char *source;                   /* "" when it was set nowhere; lives as long as *config */
    int line;
} beamd_config_setting;

/* The index-th key of the table; false beyond the last. */
bool beamd_config_value(const beamd_config *config, int index, beamd_config_setting *out);

/* Called for every key whose value differs, in the order of the table. Both texts are
 * without quotes and valid during the call. */
typedef void beamd_config_change(void *arg, const char *name, const char *old_value,
                                 const char *new_value, bool reloadable);
/* Returns how many differ. changed may be NULL. */
int beamd_config_changes(const beamd_config *old_config, const beamd_config *fresh,
                         beamd_config_change *changed, void *arg);

/* Takes over the reloadable keys. The number of other keys that differ is returned, and the first
 * of them named, for the log: they need a restart. */
int beamd_config_reload(beamd_config *config, const beamd_config *fresh, const char **first_fixed);

/* Whether what holds after that, new values beside old ones that need a restart, is admissible too:
 * each of two files may be good and their mixture not. */
bool beamd_config_mixture_good(const beamd_config *config, const beamd_config *fresh,
                               beamd_config_error *err);

/* The documented default file. Returns the length; writes at most `size` bytes and a terminator. */
size_t beamd_config_dump(char *out, size_t size);

/* The manual page beamd.conf(5), in roff, from the same table. Likewise. */
size_t beamd_config_manual(char *out, size_t size);

/* Absolute, and no quote in it, so that it can stand in a file and in the log. NULL, or why not. */
const char *beamd_config_model_file_wrong(const char *file);

/* Fills in the automatic values: runtime directory, endpoints, number of workers. Refuses endpoints
 * that would accept strangers: tcp beyond loopback needs keys (curve_dir). */
bool beamd_config_resolve(beamd_config *config, beamd_config_error *err);

#endif

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
    BEAMD_CLUSTERS_MAX = 1024 /* the most that clusters_max may be */
};

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
    long long spin_us;
    long long backend_failures;
    long long backend_retry_ms;
    long long backend_retry_max_ms;
    long long hang_ms;
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

/* Takes over the reloadable keys. The number of other keys that differ is returned, and the first
 * of them named, for the log: they need a restart. */
int beamd_config_reload(beamd_config *config, const beamd_config *fresh, const char **first_fixed);

/* The documented default file. Returns the length; writes at most `size` bytes and a terminator. */
size_t beamd_config_dump(char *out, size_t size);

/* Absolute, and no quote in it, so that it can stand in a file and in the log. NULL, or why not. */
const char *beamd_config_model_file_wrong(const char *file);

/* Fills in the automatic values: runtime directory, endpoints, number of workers. Refuses endpoints
 * that would accept strangers: CURVE comes with a later version, so tcp is for loopback only. */
bool beamd_config_resolve(beamd_config *config, beamd_config_error *err);

#endif

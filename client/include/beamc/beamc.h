/* libbeamclient: send channel estimates and targets to beamd, receive beams that hold under the
 * worst channel error.
 *
 * A beamc_client is one connection with up to four sockets, each opened when first used: csi
 * (requests of a controller), beams (subscription to published solutions), control (operators),
 * telemetry (subscription to the daemon's numbers). One thread at a time uses it; use one client
 * per thread. The library never prints, never exits and never blocks longer than the timeouts
 * given.
 *
 * Every call returns a beamc_code and, where it is not BEAMC_OK, fills *err (which may be NULL)
 * with a sentence. Complex numbers are pairs of doubles (re, im), so `double complex` arrays can be
 * passed by cast. In every array the last index runs fastest. Units are in the names. The wire
 * itself is described in docs/wire.md. */
#ifndef BEAMC_BEAMC_H
#define BEAMC_BEAMC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Errors --- */

typedef enum beamc_code {
    BEAMC_OK = 0,
    BEAMC_E_ARGUMENT = 1, /* wrong call: a value that no daemon would accept, or NULL */
    BEAMC_E_MEMORY = 2,
    BEAMC_E_TRANSPORT = 3, /* a socket could not be opened or used; text has the system's reason */
    BEAMC_E_TIMEOUT = 4,   /* nobody listens, or no answer in time */
    BEAMC_E_PROTOCOL = 5,  /* the other side sent something that is not this protocol */
    BEAMC_E_REFUSED = 6    /* the daemon answered with an error: `refusal`, `field`, `sequence` */
} beamc_code;

/* What the daemon says, same values as ErrorCode in beamd.proto. */
typedef enum beamc_refusal {
    BEAMC_REFUSAL_NONE = 0,
    BEAMC_REFUSAL_MALFORMED = 1,
    BEAMC_REFUSAL_VERSION = 2,
    BEAMC_REFUSAL_TYPE = 3,
    BEAMC_REFUSAL_TOO_LARGE = 4,
    BEAMC_REFUSAL_INVALID = 5,
    BEAMC_REFUSAL_UNSUPPORTED = 6,
    BEAMC_REFUSAL_LIMIT = 7,
    BEAMC_REFUSAL_UNKNOWN_CLUSTER = 8,
    BEAMC_REFUSAL_STALE = 9,
    BEAMC_REFUSAL_SUPERSEDED =
        10, /* a newer update replaced this one before it was solved: no fault */
    BEAMC_REFUSAL_NOT_READY = 11, /* kept; targets or CSI are still missing */
    BEAMC_REFUSAL_BUSY = 12,
    BEAMC_REFUSAL_NUMERIC = 13,
    BEAMC_REFUSAL_DRAINING = 14
} beamc_refusal;

typedef struct beamc_error {
    beamc_code code;
    beamc_refusal refusal; /* with BEAMC_E_REFUSED */
    uint64_t sequence;     /* of the request that was refused */
    char field[96];        /* e.g. "users[3].noise_w"; empty when no single field is at fault */
    char text[512];        /* one sentence, no newline */
} beamc_error;

const char *beamc_code_text(beamc_code code);
const char *beamc_refusal_text(beamc_refusal refusal);

/* --- Connection --- */

typedef struct beamc_client beamc_client;

typedef struct beamc_options {
    const char *csi_endpoint; /* ZeroMQ endpoints; NULL: ipc:// under the runtime directory */
    const char *beams_endpoint;
    const char *control_endpoint;
    const char *telemetry_endpoint;
    const char *runtime_dir; /* for endpoints that are NULL; NULL: as beamd chooses it */
    /* CURVE, for tcp endpoints of a daemon with keys (ipc needs none): each is 40 characters Z85 or
     * "file:PATH" of a file that `beamctl keygen` made. NULL all three: none. */
    const char *curve_server_key; /* the daemon's public key; file: server.key */
    const char *curve_secret_key; /* file: NAME.key_secret, which nobody else may read */
    const char *curve_public_key; /* NULL: made from the secret one */
    int send_timeout_ms;          /* longest wait for somebody to listen; default 1000 */
    int linger_ms;                /* for unsent messages at close; default 0 */
    int high_water;               /* messages queued per socket; default 64 */
    size_t max_message_bytes;     /* default and most: 9 MiB */
    uint64_t
        first_sequence; /* 0: microseconds since 1970, so that a restarted client is not stale */
} beamc_options;

beamc_options beamc_options_default(void);

/* options may be NULL. Opens no socket yet. *out is NULL on error. */
beamc_code beamc_connect(beamc_client **out, const beamc_options *options, beamc_error *err);
/* Closes and frees; nulls the pointer; accepts NULL and a pointer to NULL. */
void beamc_close(beamc_client **client);

/* --- Clusters --- */

typedef enum beamc_array {
    BEAMC_ARRAY_UNIFORM_LINEAR = 1, /* half-wavelength spacing */
    BEAMC_ARRAY_UNIFORM_PLANAR = 2, /* this and the next the daemon refuses by name */
    BEAMC_ARRAY_UNIFORM_CIRCULAR = 3
} beamc_array;

typedef enum beamc_sensing {
    BEAMC_SENSING_RESOLVED = 1, /* echoes of different targets uncorrelated, angles only */
    BEAMC_SENSING_COHERENT = 2, /* all targets in one delay cell, angles only */
    BEAMC_SENSING_BAND = 3      /* a flat band of bandwidth_hz, angles and delays together */
} beamc_sensing;

typedef struct beamc_station {
    double x_m, y_m;
    double axis_rad; /* direction of the array axis, e = (cos, sin) */
    double power_w;  /* budget */
    double echo_noise_w;
} beamc_station;

/* How complex numbers travel. The numbers given and received here are doubles in any case. */
typedef enum beamc_element {
    BEAMC_ELEMENT_DEFAULT = 0, /* float32 */
    BEAMC_ELEMENT_FLOAT32 = 1,
    BEAMC_ELEMENT_FLOAT64 = 2,
    BEAMC_ELEMENT_INT16 = 3, /* 16-bit fixed point, one scale an array */
    BEAMC_ELEMENT_BFP = 4    /* block floating point as in O-RAN's fronthaul, 12 numbers a block */
} beamc_element;

/* One of several preferences that a cluster is answered for at once. */
typedef struct beamc_named_preference {
    const char *name; /* 1 to 31 letters, digits, '.', '_', '-' */
    double tradeoff;  /* 0 communication only .. 1 sensing only */
} beamc_named_preference;

typedef struct beamc_cluster {
    const char *id;                /* 1 to 63 letters, digits, '.', '_', '-' */
    beamc_array array;             /* 0: uniform linear */
    unsigned user_antennas;        /* 0: 1 */
    const beamc_station *stations; /* [station_count] */
    size_t station_count;
    unsigned antennas;     /* per station */
    unsigned max_users;    /* of all stations together */
    unsigned targets;      /* in every target update */
    beamc_sensing sensing; /* 0: resolved */
    double bandwidth_hz;   /* BEAMC_SENSING_BAND only */
    double snapshots;
    double carrier_hz;
    bool skip_unidentifiable; /* leave targets that cannot be located out of the sum */
    bool has_tradeoff;        /* false: the daemon's default */
    double tradeoff;          /* 0 communication only .. 1 sensing only */
    /* With one or more of them (at most 4) every CSI is answered for each; `tradeoff` is ignored.
     */
    const beamc_named_preference *preferences;
    size_t preference_count;
    unsigned subbands; /* at most 275; 0: 1 */
    /* Growth of the error radius with the age of the CSI, as a share of the estimate's norm per
       second: radius^2 + (error_growth_per_s |h| age)^2. */
    double error_growth_per_s;
    beamc_element element; /* of the beams in answers */
    unsigned bits;         /* BEAMC_ELEMENT_BFP: of a mantissa, 8 to 16; 0: 9 */
} beamc_cluster;

/* Registers or replaces the cluster; waits for the answer. */
beamc_code beamc_register(beamc_client *client, const beamc_cluster *cluster, int timeout_ms,
                          beamc_error *err);
beamc_code beamc_unregister(beamc_client *client, const char *cluster, int timeout_ms,
                            beamc_error *err);

/* --- Updates: sent without waiting --- The answer comes through beamc_receive or beamc_await. */

typedef struct beamc_user {
    uint64_t id;      /* unique in the cluster */
    unsigned station; /* the serving one */
    double weight;
    double noise_w;
    double min_rate_bps_hz; /* minimum worst-case rate, 0: none */
} beamc_user;

typedef struct beamc_csi {
    const char *cluster;
    size_t station_count;          /* L, as registered */
    size_t antennas;               /* N, as registered */
    const beamc_user *users;       /* [U] */
    size_t user_count;             /* U, may be 0 */
    size_t subband_count;          /* B, subbands in this message; 0: 1 */
    const uint32_t *subband_index; /* [B] below those registered, each once; NULL: 0 .. B - 1 */
    const double *channels;        /* [B][L][U][N][2] estimates; user u receives h^H x */
    const double *error_radius;    /* [B][L][U] bounds |h - estimate|; 0: exact knowledge */
    uint32_t deadline_us;          /* from receipt; 0: the daemon's default */
    uint32_t csi_age_us;           /* age of the estimates now */
    /* How `channels` travel. With BEAMC_ELEMENT_INT16 and _BFP the radii sent are those given plus
       what rounding moved each channel, so that the bound holds for what the daemon receives. */
    beamc_element element;
    unsigned bits; /* BEAMC_ELEMENT_BFP: of a mantissa, 8 to 16; 0: 9 */
} beamc_csi;

/* The complete set of users; replaces what was there. Subbands that are not in it keep their
 * channels where the users are the same, in the same order; another set of users takes all
 * subbands. sequence (may be NULL) receives the number of the request. BEAMC_E_ARGUMENT: a pointer,
 * count, subband or number is not admissible (a number that is not finite: with INT16 and BFP only,
 * the daemon refuses the others), or the message would be over 9 MiB. */
beamc_code beamc_send_csi(beamc_client *client, const beamc_csi *csi, uint64_t *sequence,
                          beamc_error *err);
/* Adds users: `csi` holds the new ones only, in all subbands. */
beamc_code beamc_send_join(beamc_client *client, const beamc_csi *csi, uint64_t *sequence,
                           beamc_error *err);
beamc_code beamc_send_leave(beamc_client *client, const char *cluster, const uint64_t *user_ids,
                            size_t count, uint32_t deadline_us, uint64_t *sequence,
                            beamc_error *err);

typedef struct beamc_target {
    double x_m, y_m;
    double rcs_m2; /* used where `reflection` is NULL */
} beamc_target;

typedef struct beamc_targets {
    const char *cluster;
    const beamc_target *targets; /* [J], as registered */
    size_t target_count;
    size_t station_count;      /* for reflection */
    const double *reflection;  /* [L][J][L][2] transmitter, target, receiver; NULL: from the RCS */
    uint64_t measured_time_ns; /* opaque, echoed in the solution */
    uint32_t deadline_us;
} beamc_targets;

beamc_code beamc_send_targets(beamc_client *client, const beamc_targets *targets,
                              uint64_t *sequence, beamc_error *err);

/* --- Answers --- */

typedef enum beamc_target_state {
    BEAMC_TARGET_OK = 0,
    BEAMC_TARGET_UNIDENTIFIABLE_GEOMETRY = 1, /* no waveform can locate it */
    BEAMC_TARGET_UNIDENTIFIABLE_DESIGN = 2    /* these beams do not light it */
} beamc_target_state;

typedef enum beamc_method {
    BEAMC_METHOD_BOBLRBF = 0,
    BEAMC_METHOD_WARM = 1,
    BEAMC_METHOD_CLASSICAL = 2,
    BEAMC_METHOD_PAPER = 3,
    BEAMC_METHOD_NETWORK = 4
} beamc_method;

typedef enum beamc_solve_status {
    BEAMC_SOLVE_CONVERGED = 0,
    BEAMC_SOLVE_ITERATION_LIMIT = 1,
    BEAMC_SOLVE_TIME_LIMIT = 2,
    BEAMC_SOLVE_NUMERIC = 3
} beamc_solve_status;

/* How much was done for an answer before its deadline. */
typedef enum beamc_service {
    BEAMC_SERVICE_FULL = 0,    /* what is configured */
    BEAMC_SERVICE_REDUCED = 1, /* the network unrefined, or the solver cut short */
    BEAMC_SERVICE_CHECKED = 2, /* the warm start re-checked on this CSI, or the classical beams */
    BEAMC_SERVICE_HELD = 3     /* the last beams, not checked: all numbers are of csi_sequence */
} beamc_service;

typedef enum beamc_backend {
    BEAMC_BACKEND_NONE = 0, /* with BEAMC_SERVICE_HELD */
    BEAMC_BACKEND_NETWORK = 1,
    BEAMC_BACKEND_SOLVER = 2,
    BEAMC_BACKEND_CHECK = 3, /* re-check and classical beams */
    BEAMC_BACKEND_GPU = 4
} beamc_backend;

/* Words for people; "unknown ..." for a value that is none. */
const char *beamc_target_state_text(beamc_target_state state);
const char *beamc_method_text(beamc_method method);
const char *beamc_solve_status_text(beamc_solve_status status);
const char *beamc_service_text(beamc_service service);
const char *beamc_backend_text(beamc_backend backend);
const char *beamc_element_text(beamc_element element);

typedef struct beamc_user_answer {
    uint64_t id;
    unsigned station;
    double beam_power_w;
    double rate_nominal_bps_hz;
    double rate_worst_case_bps_hz; /* exact */
    double sinr_worst_case;
    double min_rate_bps_hz;
    bool below_floor;
} beamc_user_answer;

typedef struct beamc_station_answer {
    double power_w;
    double sensing_power_w;
    double power_slack_w;
    double peak_antenna_power_w;
    unsigned sensing_columns;
} beamc_station_answer;

typedef struct beamc_target_answer {
    beamc_target_state state;
    double rms_bound_m; /* 0 unless BEAMC_TARGET_OK */
    double echo_snr_db;
    bool low_echo_snr; /* under 10 dB: the bound is optimistic */
} beamc_target_answer;

/* Durations and instants on the daemon's monotonic clock, except round_trip_ns (this client's). */
typedef struct beamc_latency {
    uint64_t received_monotonic_ns;
    uint64_t received_to_queued_ns;
    uint64_t queued_to_solve_ns;
    uint64_t solve_ns;
    uint64_t solve_to_sent_ns;    /* the check included */
    uint64_t solve_to_checked_ns; /* the part of it until the last exact number was known */
    /* Estimates of the daemon, from the least difference of the two clocks that it saw lately. */
    bool has_sender_estimate;
    int64_t sender_offset_estimate_ns; /* daemon's monotonic clock less this sender's */
    uint64_t transit_estimate_ns;      /* longer on the way than the fastest request */
    uint64_t round_trip_ns; /* from this client's send to its receipt; 0 unless the answer is to
                               this client */
} beamc_latency;

typedef struct beamc_preference {
    double u1, u2;   /* as on the wire: where the losses go */
    double tradeoff; /* 0 communication only .. 1 sensing only */
} beamc_preference;

typedef struct beamc_solution {
    uint64_t csi_sequence, target_sequence, target_time_ns;
    bool repeat; /* sent again for a new subscriber */
    size_t station_count, antennas, user_count, target_count, sensing_max;
    const double *beams;   /* [U][N][2], square-root watt */
    const double *sensing; /* [L][sensing_max][N][2]; columns from sensing_columns on are zero */
    const beamc_user_answer *users;       /* [U] */
    const beamc_station_answer *stations; /* [L] */
    const beamc_target_answer *targets;   /* [J] */
    double wsr_nominal_bps_hz, wsr_worst_case_bps_hz;
    bool crlb_valid; /* false: a target that counts cannot be located; crlb_m2 is then 0 */
    double crlb_m2;
    double wsr_ideal_bps_hz, crlb_min_m2;
    double merit, classical_merit;
    unsigned users_below_floor;
    double shortfall_bps_hz;
    beamc_preference preference;
    beamc_method method;
    beamc_solve_status status;
    bool warm;
    unsigned iterations;
    uint64_t valid_until_monotonic_ns; /* daemon's clock, as latency.received_monotonic_ns */
    beamc_latency latency;
    beamc_service service;
    beamc_backend backend;
    bool late; /* sent after the deadline */
    unsigned subband;
    const char *preference_name; /* empty: the unnamed one */
    uint32_t csi_age_us;         /* when it was solved */
    bool csi_stale;              /* older than the daemon's limit */
    double error_growth;         /* largest factor by which age enlarged a radius, 1: none */
    bool ideal_stale;            /* a normalising value is of earlier CSI or targets */
} beamc_solution;

/* --- Telemetry: what the daemon says of itself every telemetry_ms --- */

typedef struct beamc_cluster_status {
    char id[64];
    unsigned stations, antennas, users, max_users, targets, subbands;
    beamc_preference preference;               /* the unnamed one */
    const beamc_named_preference *preferences; /* [preference_count] that it is answered for */
    size_t preference_count;
    uint64_t csi_sequence, target_sequence;
    uint64_t csi_received, solutions, superseded, refused, deadlines_missed;
    uint64_t reduced, checked, held; /* solutions by service, the rest is full */
    double latency_p50_us, latency_p99_us;
    bool solved; /* the following describe the last answer */
    double wsr_worst_case_bps_hz;
    bool crlb_valid;
    double crlb_m2;
    beamc_method method;
    double age_s;
} beamc_cluster_status;

/* Of the time since the last message. */
typedef struct beamc_distribution {
    const char
        *stage; /* "decode", "queue", "solve", "check", "send", "total", "transit_estimate" */
    uint64_t count;
    double p50_us, p99_us, p999_us, max_us;
} beamc_distribution;

typedef struct beamc_backend_status {
    beamc_backend backend;
    const char *health; /* "good", "failing", "probing" */
    uint64_t batches, problems, failures;
    double service_us; /* measured time of one problem, mean */
    double retry_s;    /* until it is tried again, 0 where it is good */
} beamc_backend_status;

typedef struct beamc_telemetry {
    uint64_t monotonic_ns, unix_ns; /* when it was sent */
    double interval_s, uptime_s;
    uint64_t sequence; /* grows by one with every message */
    unsigned queue_depth, solving, workers;
    /* since the start */
    uint64_t csi_received, solutions, reduced, checked, held, late, superseded, errors;
    bool draining;
    const beamc_distribution *stages;
    size_t stage_count;
    const beamc_backend_status *backends;
    size_t backend_count;
    const beamc_cluster_status *clusters; /* the first ones by id: the daemon's metrics_clusters */
    size_t cluster_count;
} beamc_telemetry;

typedef enum beamc_kind {
    BEAMC_ANSWER_ACK = 1,       /* a target update or a registration was taken */
    BEAMC_ANSWER_SOLUTION = 2,  /* to a request of this client */
    BEAMC_ANSWER_PUBLISHED = 3, /* through the subscription */
    BEAMC_ANSWER_REFUSED = 4,   /* `refused` says why */
    BEAMC_ANSWER_TELEMETRY = 5  /* through beamc_subscribe_telemetry */
} beamc_kind;

/* Valid, with all that it points to, until the next call with the same client. */
typedef struct beamc_answer {
    beamc_kind kind;
    char cluster[64];
    uint64_t sequence; /* of the request */
    /* SOLUTION and PUBLISHED: one for each subband and preference, by subband, then by preference.
       A cluster of one subband without named preferences has exactly one. Latency, instants and
       round trip of an answer of several are the same in all of them. */
    const beamc_solution *solutions; /* [solution_count] */
    size_t solution_count;
    const beamc_solution *solution;   /* the first */
    beamc_service service;            /* the least of them */
    bool late;                        /* sent after the deadline */
    const beamc_telemetry *telemetry; /* TELEMETRY */
    beamc_error refused;              /* REFUSED */
} beamc_answer;

/* When the connection to the daemon ends, answers that came stay readable, requests that had not
 * left are dropped, and the next request waits (send_timeout_ms) for a new connection. */

/* The next answer of any kind from the csi, beams and telemetry sockets. timeout_ms: 0 returns at
 * once, -1 waits for ever. BEAMC_E_TIMEOUT: nothing came. BEAMC_OK also for REFUSED. */
beamc_code beamc_receive(beamc_client *client, int timeout_ms, beamc_answer *answer,
                         beamc_error *err);

/* The answer to one request; other answers are kept for beamc_receive (at most 64, then the oldest
 * is dropped and counted, see beamc_dropped). BEAMC_E_REFUSED when the daemon refused it. */
beamc_code beamc_await(beamc_client *client, uint64_t sequence, int timeout_ms,
                       beamc_answer *answer, beamc_error *err);

/* A descriptor for poll, epoll or libev that becomes readable when something may have arrived; -1
 * before the first send or subscription. ZeroMQ's descriptors are edge-triggered: whenever it is
 * readable, and once after every send and every beamc_await (which keeps what it did not wait for),
 * call beamc_receive with timeout 0 until it says BEAMC_E_TIMEOUT. */
int beamc_fd(const beamc_client *client);
/* Answers dropped so far because more than 64 were waiting. */
uint64_t beamc_dropped(const beamc_client *client);

/* Published solutions of one cluster, of this or any other controller. The last one comes at once,
 * with `repeat`. */
beamc_code beamc_subscribe(beamc_client *client, const char *cluster, beamc_error *err);
beamc_code beamc_unsubscribe(beamc_client *client, const char *cluster, beamc_error *err);

/* The daemon's telemetry, every telemetry_ms of its configuration: comes through beamc_receive. */
beamc_code beamc_subscribe_telemetry(beamc_client *client, beamc_error *err);
beamc_code beamc_unsubscribe_telemetry(beamc_client *client, beamc_error *err);

/* --- Operators --- Each call sends one request and waits for its answer. Texts and arrays in what
 * they fill in are valid until the next call with the same client. */

/* u = (sin(pi tau/2), cos(pi tau/2)). */
beamc_preference beamc_preference_from_tradeoff(double tradeoff);
beamc_preference beamc_preference_from_vector(double u1, double u2);
/* "communication only", "mostly communication", "balanced", "mostly sensing", "sensing only". */
const char *beamc_tradeoff_words(double tradeoff);

/* The unnamed preference of a cluster; cluster NULL: the daemon's default, of all clusters that
 * have been given none. */
beamc_code beamc_preference_get(beamc_client *client, const char *cluster, int timeout_ms,
                                beamc_preference *preference, beamc_error *err);
/* tradeoff in [0, 1]; preference (may be NULL) receives what the daemon now uses. */
beamc_code beamc_preference_set(beamc_client *client, const char *cluster, double tradeoff,
                                int timeout_ms, beamc_preference *preference, beamc_error *err);

typedef struct beamc_preferences {
    beamc_preference unnamed;
    const beamc_named_preference *named; /* [named_count]; none: the unnamed one is answered for */
    size_t named_count;
} beamc_preferences;

/* All preferences of a cluster; cluster NULL: the daemon's default, which has no named ones. */
beamc_code beamc_preferences_get(beamc_client *client, const char *cluster, int timeout_ms,
                                 beamc_preferences *preferences, beamc_error *err);
/* Adds or changes a named preference: the next answer has it. preferences (may be NULL) receives
 * all of them as they are then. */
beamc_code beamc_preference_set_named(beamc_client *client, const char *cluster, const char *name,
                                      double tradeoff, int timeout_ms,
                                      beamc_preferences *preferences, beamc_error *err);
/* Takes a named preference away; after the last one the unnamed one is answered for again. */
beamc_code beamc_preference_remove(beamc_client *client, const char *cluster, const char *name,
                                   int timeout_ms, beamc_preferences *preferences,
                                   beamc_error *err);

typedef struct beamc_status {
    char version[64];
    bool draining;
    double uptime_s;
    unsigned solver_threads, max_clusters;
    uint64_t messages_received, solutions_sent, errors_sent;
    const beamc_cluster_status *clusters; /* valid until the next call with this client */
    size_t cluster_count;
    beamc_method method;      /* configured: BEAMC_METHOD_NETWORK or BEAMC_METHOD_BOBLRBF */
    const char *model_name;   /* as `clusters`; empty: no model of the network is loaded */
    const char *model_sha256; /* likewise */
} beamc_status;

/* cluster NULL: all of them. */
beamc_code beamc_status_get(beamc_client *client, const char *cluster, int timeout_ms,
                            beamc_status *status, beamc_error *err);
/* Only `clusters` and `cluster_count` are filled in. */
beamc_code beamc_cluster_list(beamc_client *client, int timeout_ms, beamc_status *status,
                              beamc_error *err);

/* The model of the network: what its file says of itself. Texts are valid until the next call with
 * this client. */
typedef struct beamc_model {
    const char *name;
    const char *kind; /* "equivariant", "mlp" */
    unsigned layers, width;
    uint64_t parameters;
    unsigned stations, antennas, users, targets, sensing_rows; /* the one size of an mlp, else 0 */
    const char *sha256;                       /* of the file less its last 32 bytes */
    const char *source;                       /* the file; empty: built in */
    const char *creator, *families, *command; /* how it was trained */
    uint64_t data_seed, steps, samples;
    int64_t created_unix_s;   /* 0: not recorded */
    uint64_t held_out_scenes; /* 0: nothing was measured */
    double held_out_loss, held_out_ratio_median, held_out_ratio_p5;
} beamc_model;

typedef struct beamc_model_state {
    bool loaded; /* false: `model` is all zero */
    beamc_model model;
    beamc_method method;     /* configured: BEAMC_METHOD_NETWORK or BEAMC_METHOD_BOBLRBF */
    uint64_t loads, refused; /* models taken and refused since the daemon started */
} beamc_model_state;

beamc_code beamc_model_get(beamc_client *client, int timeout_ms, beamc_model_state *state,
                           beamc_error *err);
/* file: an absolute path on the daemon's machine; NULL: the configured model again. The daemon
 * checks it and answers with it from the next solve on; BEAMC_E_REFUSED: the old one stays, and
 * *err says what is wrong. state may be NULL. */
beamc_code beamc_model_reload(beamc_client *client, const char *file, int timeout_ms,
                              beamc_model_state *state, beamc_error *err);

typedef struct beamc_front_point {
    double tradeoff;
    double wsr_worst_case_bps_hz;
    bool crlb_valid; /* false: a target that counts cannot be located; crlb_m2 is then 0 */
    double crlb_m2;
    double f1, f2; /* the two losses */
} beamc_front_point;

typedef struct beamc_front {
    uint64_t csi_sequence, target_sequence;
    unsigned subband;
    double wsr_ideal_bps_hz, crlb_min_m2;
    const beamc_front_point *points; /* [point_count], communication end first */
    size_t point_count;
    uint64_t solve_ns;
} beamc_front;

/* The whole front of one subband of a cluster with its latest CSI. points: 2 to 65, 0: 33. Takes
 * the daemon as long as so many solves; it is told to be done in seven eighths of timeout_ms. */
beamc_code beamc_front_get(beamc_client *client, const char *cluster, unsigned points,
                           unsigned subband, int timeout_ms, beamc_front *front, beamc_error *err);

typedef struct beamc_config_key {
    const char *name, *value;
    const char *fallback; /* the default */
    bool reloadable;      /* takes effect with a reload; else with the next start */
    const char *unit;     /* empty: none */
} beamc_config_key;

typedef struct beamc_config {
    const char *file;             /* empty: the daemon was started without one */
    const beamc_config_key *keys; /* as they hold now */
    size_t key_count;
    const beamc_config_key *changed; /* of a reload or a check: the new values */
    size_t changed_count;
    const char *const *need_restart; /* of these, the keys that wait for the next start */
    size_t need_restart_count;
} beamc_config;

beamc_code beamc_config_get(beamc_client *client, int timeout_ms, beamc_config *config,
                            beamc_error *err);
/* The daemon reads its configuration file again: all of it is taken over, or nothing
 * (BEAMC_E_REFUSED, *err names line and key). check_only: says what would change and changes
 * nothing. config may be NULL. */
beamc_code beamc_config_reload(beamc_client *client, bool check_only, int timeout_ms,
                               beamc_config *config, beamc_error *err);

/* level: "err", "warning", "notice", "info", "debug". Holds until the daemon ends or reloads. */
beamc_code beamc_log_level_set(beamc_client *client, const char *level, int timeout_ms,
                               beamc_error *err);
/* Updates are refused from now on, what was accepted is answered, the daemon ends. */
beamc_code beamc_drain(beamc_client *client, int timeout_ms, beamc_error *err);

#ifdef __cplusplus
}
#endif
#endif

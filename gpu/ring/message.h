/* What passes between beamd and the process that holds the device (beamd-gpu): plain structures of
 * explicit sizes in shared memory, host byte order (both run on one machine), offsets in bytes from
 * the start of the message. docs/gpu-worker.md shows the whole.
 *
 * The daemon believes nothing that the worker writes: it keeps its own record of where every answer
 * lies (beamg_place), so that no offset and no length of the other side is ever followed. */
#ifndef BEAMG_MESSAGE_H
#define BEAMG_MESSAGE_H

#include <stdint.h>

#include "beam/scene.h"

enum {
    BEAMG_VERSION = 2, /* of everything here; both sides must agree */
    BEAMG_ALIGN = 64,
    BEAMG_SLOTS_MAX = 16,    /* batches between the two */
    BEAMG_RING_ENTRIES = 32, /* a power of two above BEAMG_SLOTS_MAX: a ring is never full */
    BEAMG_ROOMS_MAX = 8,     /* sizes that a worker is ready for */
    BEAMG_PROBLEMS_MAX = 16384,
    BEAMG_TEXT_BYTES = 256,
    BEAMG_PATH_BYTES = 512,
    BEAMG_CHECKSUM_BYTES = 72 /* hexadecimal and zeros */
};
#define BEAMG_MAGIC UINT64_C(0x31757067646d6162) /* "bamdgpu1" */
#define BEAMG_REQUEST_MAGIC UINT32_C(0x51524742) /* "BGRQ" */
#define BEAMG_ANSWER_MAGIC UINT32_C(0x4e414742)  /* "BGAN" */
#define BEAMG_BYTES_MAX ((uint64_t)1 << 30)      /* of a request, of an answer */

/* What a worker says of itself. */
typedef enum beamg_state {
    BEAMG_STARTING = 0,
    BEAMG_READY = 1,
    BEAMG_FAILED = 2, /* it ends; `text` says why */
    BEAMG_ABSENT = 3  /* likewise: no driver, no device, or built without one */
} beamg_state;

/* Exit codes of the worker, those of sysexits.h. */
enum {
    BEAMG_EXIT_USAGE = 64,  /* arguments, or a shared memory that is none of ours */
    BEAMG_EXIT_ABSENT = 69, /* no device, no driver, or built without CUDA */
    BEAMG_EXIT_DEVICE = 70, /* an error of the device: the context is of no use any more */
    BEAMG_EXIT_CONFIG = 78  /* no model, or no room for the sizes asked for */
};

/* Of a descriptor. */
typedef enum beamg_kind {
    BEAMG_BATCH = 1, /* the slot's request memory holds a batch */
    BEAMG_SETUP = 2  /* ... a beamg_setup: other sizes or another model, beside running batches */
} beamg_kind;

/* Of an answer as a whole. */
typedef enum beamg_status {
    BEAMG_OK = 0,
    BEAMG_REFUSED = 1,    /* not understood */
    BEAMG_UNPREPARED = 2, /* sizes or a model that the worker is not ready for */
    BEAMG_BROKEN = 3      /* an error of the device; the worker ends after this */
} beamg_status;

typedef struct beamg_dims {
    int32_t stations, antennas, users, targets;
} beamg_dims;

/* Sizes that a worker is to be ready for, captured before it says so. */
typedef struct beamg_room {
    beamg_dims dims;
    uint32_t problems; /* of one batch, at most */
    uint32_t sensing_max;
    uint32_t users_per_station; /* at most; 0: all may be at one */
    uint32_t reserved;
} beamg_room;

typedef struct beamg_setup {
    uint32_t generation; /* counts setups: answers carry that of the model they were made with */
    int32_t device;
    uint32_t rooms, reserved;
    beamg_room room[BEAMG_ROOMS_MAX];
    char model_file[BEAMG_PATH_BYTES];         /* empty: the model built in */
    char model_checksum[BEAMG_CHECKSUM_BYTES]; /* that it must have; empty: any */
} beamg_setup;

/* One turn of a ring. */
typedef struct beamg_descriptor {
    uint64_t ticket;
    uint64_t bytes; /* of the request; of the answer: what was written */
    uint32_t slot;
    uint32_t kind;   /* beamg_kind */
    uint32_t status; /* beamg_status of an answer */
    uint32_t reserved;
} beamg_descriptor;

/* --- A batch ---------------------------------------------------------------------------------- */

typedef struct beamg_request_head {
    uint32_t magic, version;
    uint64_t bytes;       /* of all of it */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; an answer after it is of no use */
    uint32_t frames, scenes, problems, reserved;
    uint64_t frame_at, scene_at, problem_at;
} beamg_request_head;

/* What the subbands of a cluster share. Arrays at `at`, in the order of beam_scene: float64
 * position[L][2], axis[L], power[L], echo_noise[L], weight[U], noise[U], min_rate[U],
 * target[J][2], reflection[L][J][L][2]; then int32 station[U]. */
typedef struct beamg_frame {
    beamg_dims dims;
    int32_t sensing, skip_unidentifiable;
    double bandwidth_hz, snapshots;
    uint64_t key; /* the same for the same content; 0: none */
    uint64_t at;
    uint64_t rows_at, rows_bytes; /* least-CRLB rows as beam_solver_export_sensing; 0: none */
    uint32_t rows_moved, reserved;
} beamg_frame;

typedef struct beamg_scene {
    uint32_t frame, reserved;
    double wsr_ideal_bps_hz, crlb_min_m2;
    uint64_t channel_at; /* float64 [L][U][N][2] */
    uint64_t radius_at;  /* float64 [L][U] */
} beamg_scene;

typedef struct beamg_problem {
    uint32_t scene;
    uint32_t sensing_max;   /* columns per station of the answer */
    int32_t layers, refine; /* as beam_network_request */
    double tradeoff;
    uint64_t warm_at;  /* 0: none; int32 count[16], float64 beams[U][N][2], sensing[L][max][N][2] */
    uint32_t warm_max; /* its columns per station */
    uint32_t reserved;
    uint64_t answer_at; /* in the answer: float64 beams[U][N][2], sensing[L][sensing_max][N][2] */
} beamg_problem;

/* --- Its answer --------------------------------------------------------------------------------
 */

typedef struct beamg_answer_head {
    uint32_t magic, version;
    uint64_t ticket;
    uint32_t problems, generation; /* of the setup */
    uint64_t start_ns, end_ns;     /* of the computation, CLOCK_MONOTONIC */
    uint64_t reserved;
} beamg_answer_head;

/* One per problem, after the head. */
typedef struct beamg_result {
    int32_t code; /* beam_code: BEAM_OK, or there are no beams */
    int32_t status, method, iterations, evaluations;
    int32_t crlb_valid, classical_is_bound, warm;
    double merit, f1, f2;
    double wsr_worst_case_bps_hz, crlb_m2, classical_merit;
    double network_merit;                     /* INFINITY: the network gave no finite point */
    int32_t sensing_count[BEAM_MAX_STATIONS]; /* columns in use */
} beamg_result;

_Static_assert(sizeof(beamg_descriptor) == 32, "no padding");
_Static_assert(sizeof(beamg_request_head) == 64, "no padding");
_Static_assert(sizeof(beamg_frame) == 80, "no padding");
_Static_assert(sizeof(beamg_scene) == 40, "no padding");
_Static_assert(sizeof(beamg_problem) == 48, "no padding");
_Static_assert(sizeof(beamg_answer_head) == 48, "no padding");
_Static_assert(sizeof(beamg_result) == 152, "no padding");

#endif

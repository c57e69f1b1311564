/* The daemon's parts and the steps that bring them up and down; main.c has their order. */
#ifndef BEAMD_SERVICE_H
#define BEAMD_SERVICE_H

#include "config.h"
#include "core.h"
#include "gpu_link.h"
#include "http.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "pool.h"
#include "realtime.h"
#include "telemetry.h"
#include "state.h"
#include "zsock.h"

enum { BEAMD_GPUS_MAX = 16, BEAMD_GPU_ARGUMENTS_MAX = 16 };

/* One device: its worker, and what wakes the loop for it. */
typedef struct beamd_gpu {
    unsigned device;
    beamd_gpu_link *link;
    beamd_watch *io;
    beamd_gpu_state seen;  /* after the last step */
    beamd_gpu_sizes sizes; /* that the worker is ready for, while it is */
    unsigned told;         /* gpus.told then */
} beamd_gpu;

typedef struct beamd_gpus {
    beamd_gpu of[BEAMD_GPUS_MAX];
    unsigned count;
    unsigned turn; /* the device that is looked at first */
    bool wanted;   /* a model is there: workers are started */
    beamd_watch *timer;
    uint64_t next_ns;      /* that it is set to */
    beamd_gpu_sizes sizes; /* that are wanted */
    unsigned told;         /* counts them */
    char program[BEAMD_PATH_BYTES], words[BEAMD_PATH_BYTES], spin[24], cpus[64];
    const char *argument[BEAMD_GPU_ARGUMENTS_MAX + 1];
} beamd_gpus;

typedef struct beamd_service {
    const char *config_path; /* NULL: none */
    const char *settings;    /* of the command line, over the file */
    size_t settings_bytes;
    beamd_config config; /* resolved */
    int lock_fd;
    beamd_notify notify;
    beamd_loop *loop;
    beamd_watch *on_term, *on_int, *on_hup, *wake, *tick, *watchdog, *drain_limit;
    beamd_pool *pool[BEAMD_CREWS];
    beamd_watch *done[BEAMD_CREWS];
    beamd_core *core;
    beamd_gpus gpus;
    beamd_state *state; /* NULL: off */
    beamd_watch *state_turn;
    beamd_zap *zap; /* who may connect */
    beamd_zmq *zmq;
    beamd_zsock *csi, *beams, *control, *telemetry_socket;
    beamd_telemetry *telemetry; /* NULL: off */
    beamd_watch *telemetry_timer;
    beamd_realtime realtime;
    beamd_http *http;
    beamd_cluster_gauge *gauges; /* [clusters_max] */
    bool draining, abandoned;
    bool drain_wanted, reread_wanted; /* by a message: done after the step under way */
} beamd_service;

typedef struct beamd_step {
    const char *name;
    /* False: `why` (of `size` bytes) says why; its own stop is then called too. */
    bool (*start)(beamd_service *self, char *why, size_t size);
    void (*stop)(beamd_service *self);
} beamd_step;

/* service.c */
/* One event to the core, and the timer set to when it wants to be called again. */
void beamd_service_step(beamd_service *self, const beamd_event *event);
bool beamd_directory_start(beamd_service *self, char *why, size_t size);
void beamd_directory_stop(beamd_service *self);
bool beamd_notify_start(beamd_service *self, char *why, size_t size);
void beamd_notify_stop(beamd_service *self);
bool beamd_loop_start(beamd_service *self, char *why, size_t size);
void beamd_loop_stop(beamd_service *self);
bool beamd_core_start(beamd_service *self, char *why, size_t size);
void beamd_core_stop(beamd_service *self);
bool beamd_model_start(beamd_service *self, char *why, size_t size);
void beamd_model_stop(beamd_service *self);
/* service_threads.c */
bool beamd_pools_start(beamd_service *self, char *why, size_t size);
void beamd_pools_stop(beamd_service *self);
unsigned beamd_service_free_threads(void *arg, beamd_crew crew);
bool beamd_service_submit(void *arg, beamd_crew crew, beamd_job *job);
bool beamd_service_replace_thread(void *arg, beamd_crew crew, const beamd_job *job);
/* service_gpu.c */
bool beamd_gpus_start(beamd_service *self, char *why, size_t size);
void beamd_gpus_stop(beamd_service *self);
/* Fills in what the core needs of them; leaves NULL where there is none. */
void beamd_gpus_act(beamd_service *self, beamd_actions *actions);
/* As an operator wants it: workers that were given up are started again. */
void beamd_gpus_reset(beamd_service *self);
void beamd_gpus_gauges(const beamd_service *self, uint64_t now_ns, beamd_gauges *gauges);
/* service_state.c */
bool beamd_service_state_start(beamd_service *self, char *why, size_t size);
void beamd_service_state_stop(beamd_service *self);
/* False: it is no job of the state's. */
bool beamd_service_state_done(beamd_service *self, const beamd_job *job);
/* Since the last record was written, negative: none was. *bytes: of it. */
double beamd_service_state_age_s(const beamd_service *self, size_t *bytes);
/* service_telemetry.c */
bool beamd_realtime_begin(beamd_service *self, char *why, size_t size);
void beamd_realtime_end(beamd_service *self);
bool beamd_loop_thread_begin(beamd_service *self, char *why, size_t size);
void beamd_loop_thread_end(beamd_service *self);
bool beamd_service_telemetry_start(beamd_service *self, char *why, size_t size);
void beamd_service_telemetry_stop(beamd_service *self);
/* service_control.c */
int beamd_service_config(void *arg, bool reload, bool check_only, Beamd__ConfigReply *reply,
                         beam_wire_error *err);
int beamd_service_set_log_level(void *arg, const char *level, beam_wire_error *err);
/* As SIGHUP. */
void beamd_service_reload(beamd_service *self);
/* service_sockets.c */
bool beamd_sockets_start(beamd_service *self, char *why, size_t size);
void beamd_sockets_stop(beamd_service *self);
/* Of the core, and of what is around it. */
void beamd_service_gauges(beamd_service *self, uint64_t now_ns, beamd_gauges *gauges);
bool beamd_metrics_start(beamd_service *self, char *why, size_t size);
void beamd_metrics_stop(beamd_service *self);
extern const beamd_actions beamd_service_actions; /* arg: to be filled in */
/* service_events.c */
bool beamd_events_start(beamd_service *self, char *why, size_t size);
void beamd_events_stop(beamd_service *self);
/* As SIGTERM. */
void beamd_service_drain(void *arg);

beamd_log_level beamd_service_log_level(const beamd_config *config);

#endif

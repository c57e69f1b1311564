/* The daemon's parts and the steps that bring them up and down; main.c has their order. */
#ifndef BEAMD_SERVICE_H
#define BEAMD_SERVICE_H

#include "config.h"
#include "core.h"
#include "http.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "pool.h"
#include "zsock.h"

typedef struct beamd_service {
    const char *config_path; /* NULL: none */
    const char *settings;    /* of the command line, over the file */
    size_t settings_bytes;
    beamd_config config; /* resolved */
    int lock_fd;
    beamd_notify notify;
    beamd_loop *loop;
    beamd_watch *on_term, *on_int, *on_hup, *tick, *watchdog, *drain_limit;
    beamd_pool *solvers, *background, *readers;
    beamd_watch *solved, *refreshed, *was_read;
    beamd_core *core;
    beamd_zap *zap; /* who may connect */
    beamd_zmq *zmq;
    beamd_zsock *csi, *beams, *control;
    beamd_http *http;
    beamd_cluster_gauge *gauges; /* [clusters_max] */
    bool draining, abandoned;
} beamd_service;

typedef struct beamd_step {
    const char *name;
    /* False: `why` (of `size` bytes) says why; its own stop is then called too. */
    bool (*start)(beamd_service *self, char *why, size_t size);
    void (*stop)(beamd_service *self);
} beamd_step;

/* service.c */
bool beamd_directory_start(beamd_service *self, char *why, size_t size);
void beamd_directory_stop(beamd_service *self);
bool beamd_notify_start(beamd_service *self, char *why, size_t size);
void beamd_notify_stop(beamd_service *self);
bool beamd_loop_start(beamd_service *self, char *why, size_t size);
void beamd_loop_stop(beamd_service *self);
bool beamd_pools_start(beamd_service *self, char *why, size_t size);
void beamd_pools_stop(beamd_service *self);
bool beamd_core_start(beamd_service *self, char *why, size_t size);
void beamd_core_stop(beamd_service *self);
bool beamd_model_start(beamd_service *self, char *why, size_t size);
void beamd_model_stop(beamd_service *self);
/* service_sockets.c */
bool beamd_sockets_start(beamd_service *self, char *why, size_t size);
void beamd_sockets_stop(beamd_service *self);
bool beamd_metrics_start(beamd_service *self, char *why, size_t size);
void beamd_metrics_stop(beamd_service *self);
extern const beamd_core_io beamd_service_io; /* arg: to be filled in */
/* service_events.c */
bool beamd_events_start(beamd_service *self, char *why, size_t size);
void beamd_events_stop(beamd_service *self);

beamd_log_level beamd_service_log_level(const beamd_config *config);

#endif

/* What the files of the core share. */
#ifndef BEAMD_CORE_INTERNAL_H
#define BEAMD_CORE_INTERNAL_H

#include "core.h"

struct beamd_core {
    const beamd_config *config;
    beamd_core_io io;
    beamd_metrics metrics;
    uint64_t started_ns;
    beamd_cluster **clusters; /* sorted by id */
    unsigned count;
    beamd_cluster **ready; /* with a request and no job, any order */
    unsigned ready_count;
    unsigned jobs_solving, jobs_refreshing;
    beamd_model *model; /* NULL: none */
    beamd_model_job reading;
    bool is_reading, reread;   /* reread: the configured one, after that under way */
    beamd_request reading_for; /* identity_bytes 0: a signal asked */
    size_t bytes;              /* of all clusters, those going included */
    double default_tradeoff;
    bool has_default_tradeoff; /* set by a message; else the configuration's */
    bool draining;
    atomic_bool abandon;
    beam_wire_arena arena;
    void *arena_memory;
    unsigned char *out; /* one frame under construction */
    size_t out_capacity;
    Beamd__ClusterStatus *status; /* [clusters_max] */
    Beamd__Preference *status_preference;
    Beamd__ClusterStatus **status_at;
    uint64_t messages_received, solutions_sent, errors_sent;
};

/* One message being handled. */
typedef struct beamd_call {
    beamd_channel channel;
    const void *identity;
    size_t identity_bytes;
    beam_wire_header header;
    uint32_t deadline_us;
    uint64_t sender_time_ns;
    uint64_t now_ns;
} beamd_call;

/* core.c */
beamd_cluster *beamd_core_find(const beamd_core *self, const char *id);
void beamd_core_insert(beamd_core *self, beamd_cluster *cluster);
void beamd_core_erase(beamd_core *self, const beamd_cluster *cluster);
void beamd_core_send(beamd_core *self, beamd_channel channel, const void *identity,
                     size_t identity_bytes, unsigned type, const char *cluster, uint64_t sequence,
                     const ProtobufCMessage *message);
void beamd_core_reply(beamd_core *self, const beamd_call *call, unsigned type,
                      const ProtobufCMessage *message);
void beamd_core_refuse(beamd_core *self, const beamd_call *call, const beam_wire_error *err);
/* Answers a request that waits in a cluster; nobody: nothing is sent. */
void beamd_core_refuse_request(beamd_core *self, const beamd_cluster *cluster,
                               const beamd_request *request, const beam_wire_error *err);
void beamd_core_refuse_on(beamd_core *self, beamd_channel channel, const char *cluster,
                          const beamd_request *request, const beam_wire_error *err);
double beamd_core_tradeoff(const beamd_core *self, const beamd_cluster *cluster);

/* core_schedule.c */
void beamd_core_enqueue(beamd_core *self, beamd_cluster *cluster, const beamd_request *request);
void beamd_core_unqueue(beamd_core *self, beamd_cluster *cluster);
void beamd_core_dispatch(beamd_core *self, uint64_t now_ns);
/* Something other than CSI changed: solve again if no CSI follows. */
void beamd_core_make_due(beamd_core *self, beamd_cluster *cluster, uint64_t now_ns);
void beamd_core_remove(beamd_core *self, beamd_cluster *cluster, const char *why);

/* core_requests.c */
void beamd_core_handle(beamd_core *self, beamd_call *call, const ProtobufCMessage *message);

/* core_answer.c */
void beamd_core_answer(beamd_core *self, beamd_cluster *cluster);

/* core_model.c */
void beamd_core_model_get(beamd_core *self, const beamd_call *call);
void beamd_core_model_reload(beamd_core *self, const beamd_call *call,
                             const Beamd__ModelReload *message);
void beamd_core_model_done(beamd_core *self);
/* METHOD_NETWORK or METHOD_BOBLRBF, as configured. */
Beamd__Method beamd_core_method(const beamd_core *self);
/* protobuf-c's texts are not const; packing does not change them. */
char *beamd_core_text(const char *text);
/* What a cluster may have, in memory that `counted` bytes of are its own. */
beamd_cluster_limits beamd_core_limits(const beamd_core *self, size_t counted);

/* core_status.c */
void beamd_core_status(beamd_core *self, const beamd_call *call);

#endif

/* One open-loop run: requests go out at the times of the schedule whatever comes back, answers are
 * read as they come, each is counted once. One thread and one DEALER: the generator costs one send
 * or one receive at a time, and it measures how late it was itself. */
#ifndef BEAMLOAD_RUN_H
#define BEAMLOAD_RUN_H

#include "load/fleet.h"
#include "load/link.h"
#include "load/result.h"
#include "load/samples.h"
#include "load/schedule.h"

typedef struct load_spec {
    load_traffic traffic;
    double seconds, warmup_s, wait_s;
    uint64_t count; /* requests to measure, 0: as many as `seconds` take */
    uint64_t deadline_ns;
    bool spin;      /* looks for answers without sleeping */
    bool echo;      /* the peer is a ping: answers have a header and nothing to read behind it */
    long watch_pid; /* 0: none */
    load_samples *samples; /* NULL: none are kept */
} load_spec;

/* What the options ask for. */
load_spec load_spec_from(const load_options *options);

/* Registers all clusters, gives them targets and waits for the acknowledgements. A frame carries
 * the sequences from 1 on afterwards. */
int load_run_register(load_fleet *fleet, load_socket *socket, double wait_s, load_error *err);
/* Unregisters all; does not wait for long, a daemon that is gone is no error. */
void load_run_unregister(load_fleet *fleet, load_socket *socket);

/* -1: the transport failed. That promises were broken is in the result (load_result_whole). */
int load_run(load_fleet *fleet, load_socket *socket, const load_spec *spec, load_result *result,
             load_error *err);

#endif

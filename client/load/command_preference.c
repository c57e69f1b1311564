/* How soon a new preference takes effect: every answer to CSI that was sent after the daemon
 * acknowledged the preference must carry it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/commands.h"
#include "load/report.h"
#include "load/session.h"
#include "load/stream.h"

static const double TRADEOFFS[2] = {0.2, 0.8};

typedef struct preference {
    load_session session;
    load_socket *control;
    load_stream stream;
    load_histogram *replied, *effective;
    double wanted[2]; /* u1, u2 of the latest change */
    uint64_t set_ns, replied_ns;
    bool waiting;                     /* for the first answer with it */
    uint64_t changes, refused, stale; /* stale: answers to later CSI without it */
    uint64_t later;                   /* answers to CSI sent after the acknowledgement */
    char first_error[256];
} preference;

static bool carries(const preference *self, const Beamd__Solution *s)
{
    return s->preference && fabs(s->preference->u1 - self->wanted[0]) < 1e-9 &&
           fabs(s->preference->u2 - self->wanted[1]) < 1e-9;
}

static void on_answer(void *arg, const load_slot *slot, const beam_wire_header *header,
                      const ProtobufCMessage *message, uint64_t now_ns)
{
    preference *self = arg;
    if (header->type == BEAM_WIRE_PREFERENCE_REPLY && !self->replied_ns) {
        self->replied_ns = now_ns;
        load_histogram_add(self->replied, now_ns - self->set_ns);
    } else if (header->type == BEAM_WIRE_ERROR) {
        const Beamd__Error *e = (const Beamd__Error *)message;
        if (e->code != BEAMD__ERROR_CODE__ERROR_SUPERSEDED) {
            self->refused++;
            snprintf(self->first_error, sizeof self->first_error, "%.90s: %.150s", e->field,
                     e->text);
        }
    } else if (header->type == BEAM_WIRE_SOLUTION && slot && self->set_ns) {
        const bool carried = carries(self, (const Beamd__Solution *)message);
        if (carried && self->waiting) {
            self->waiting = false;
            load_histogram_add(self->effective, now_ns - self->set_ns);
        }
        if (self->replied_ns && slot->sent_ns > self->replied_ns) {
            self->later++;
            self->stale += !carried;
        }
    }
}

static int send_change(preference *self, load_error *err)
{
    const double tradeoff = TRADEOFFS[self->changes % 2], quarter = 1.57079632679489661923;
    Beamd__PreferenceSet m = BEAMD__PREFERENCE_SET__INIT;
    Beamd__Preference p = BEAMD__PREFERENCE__INIT;
    unsigned char frame[512];
    size_t bytes;
    beam_wire_error wire;
    p.u1 = self->wanted[0] = sin(quarter * tradeoff);
    p.u2 = self->wanted[1] = cos(quarter * tradeoff);
    m.sender_time_ns = load_now_ns();
    m.preference = &p;
    if (beam_wire_pack(BEAM_WIRE_PREFERENCE_SET, self->session.fleet->clusters[0].id,
                       ++self->changes, &m.base, frame, sizeof frame, &bytes, &wire) < 0) {
        return load_fail(err, "%s: %s", wire.field, wire.text);
    }
    self->set_ns = load_now_ns();
    self->replied_ns = 0;
    self->waiting = true;
    return load_socket_send(self->control, NULL, frame, bytes) == 1
               ? 0
               : load_fail(err, "cannot send to the control socket");
}

/* Changes at drawn instants, so that they fall anywhere between two updates. */
static int change_all(preference *self, load_error *err)
{
    const load_options *o = self->session.options;
    uint64_t random = (uint64_t)o->seed;
    const double period_s = 1 / o->rate_hz;
    if (load_stream_until(&self->stream, load_now_ns() + 1000000000u, true, err) < 0) {
        return -1;
    }
    for (long long k = 0; k < o->changes && !load_stop_asked(); k++) {
        const double pause_s = fmax(0.05, 4 * period_s) + period_s * load_random_uniform(&random);
        if (send_change(self, err) < 0 ||
            load_stream_until(&self->stream, load_now_ns() + (uint64_t)(pause_s * 1e9), true, err) <
                0) {
            return -1;
        }
        if (!self->replied_ns || self->waiting) {
            /* a loaded machine: give it the time that --wait grants */
            const uint64_t until = load_now_ns() + (uint64_t)(o->wait_s * 1e9);
            while ((!self->replied_ns || self->waiting) && load_now_ns() < until) {
                if (load_stream_until(&self->stream, load_now_ns() + 1000000u, true, err) < 0) {
                    return -1;
                }
            }
        }
        if (!self->replied_ns || self->waiting) {
            return load_fail(err, "change %lld of the preference was not %s", k + 1,
                             self->replied_ns ? "followed by an answer with it" : "acknowledged");
        }
    }
    return 0;
}

static int conclude(const preference *self)
{
    const load_options *o = self->session.options;
    load_error err = {""};
    bool ok = true;
    if (self->stale > 0) {
        ok = load_fail(&err,
                       "%" PRIu64 " answers to CSI sent after the acknowledgement carry an "
                       "earlier preference",
                       self->stale) == 0;
    } else if (self->refused > 0) {
        ok = load_fail(&err, "%" PRIu64 " requests were refused: %s", self->refused,
                       self->first_error) == 0;
    }
    if (o->json) {
        json_t *out = json_object();
        json_object_set_new(out, "setup", load_report_setup_json(o, self->session.fleet));
        json_object_set_new(out, "changes", json_integer((json_int_t)self->changes));
        json_object_set_new(out, "later_answers", json_integer((json_int_t)self->later));
        json_object_set_new(out, "stale", json_integer((json_int_t)self->stale));
        json_object_set_new(out, "acknowledged", load_report_histogram_json(self->replied));
        json_object_set_new(out, "effective", load_report_histogram_json(self->effective));
        load_report_print_json(out, ok, &err);
    } else {
        load_report_setup(o, self->session.fleet);
        printf("%" PRIu64 " changes of the preference at %g updates/s; of %" PRIu64
               " answers to CSI sent after the acknowledgement %" PRIu64 " carry an earlier one\n",
               self->changes, o->rate_hz, self->later, self->stale);
        printf("%-20s %10s %10s %10s %10s %10s\n", "microseconds", "p50", "p90", "p99", "p99.9",
               "max");
        load_report_row("set to acknowledged", self->replied);
        printf("\n");
        load_report_row("set to an answer", self->effective);
        printf("  that carries it; the period is %.0f us\n", 1e6 / o->rate_hz);
    }
    return ok ? LOAD_EXIT_OK : load_command_fail(&err);
}

static int open_all(preference *self, const load_options *o, load_error *err)
{
    char endpoint[LOAD_ENDPOINT_BYTES];
    const load_spec spec = load_spec_from(o);
    self->replied = calloc(1, sizeof *self->replied);
    self->effective = calloc(1, sizeof *self->effective);
    if (!self->replied || !self->effective) {
        return load_fail(err, "no memory for results");
    }
    if (load_session_open(&self->session, o, true, err) < 0 ||
        load_command_endpoint(o->control_endpoint, o->runtime_dir, BEAM_ENDPOINT_CONTROL, endpoint,
                              err) < 0) {
        return -1;
    }
    self->control = load_socket_dealer(self->session.context, endpoint, err);
    if (!self->control) {
        return -1;
    }
    self->stream = (load_stream){.fleet = self->session.fleet,
                                 .csi = self->session.daemon,
                                 .control = self->control,
                                 .callback = on_answer,
                                 .arg = self};
    return load_stream_create(&self->stream, &spec.traffic) < 0 ? load_fail(err, "no memory") : 0;
}

int load_command_preference(const load_options *o)
{
    preference self;
    load_error err;
    int status = LOAD_EXIT_BROKEN;
    memset(&self, 0, sizeof self);
    if (open_all(&self, o, &err) == 0 && change_all(&self, &err) == 0) {
        status = conclude(&self);
    } else {
        load_command_fail(&err);
    }
    load_stream_destroy(&self.stream);
    load_socket_destroy(&self.control);
    load_session_close(&self.session);
    free(self.replied);
    free(self.effective);
    return status;
}

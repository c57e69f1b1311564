#include "load/session.h"

#include <string.h>

#include "load/commands.h"

int load_session_open(load_session *self, const load_options *o, bool with_daemon, load_error *err)
{
    char endpoint[LOAD_ENDPOINT_BYTES];
    memset(self, 0, sizeof *self);
    self->options = o;
    if (load_samples_create(&self->samples, o->verify_share, (uint64_t)o->seed) < 0) {
        return load_fail(err, "no memory for samples");
    }
    self->context = load_context_create(err);
    if (!self->context ||
        load_context_set_keys(self->context, o->server_key, o->secret_key, err) < 0) {
        return -1;
    }
    self->fleet = load_fleet_create(o, err);
    if (!self->fleet) {
        return -1;
    }
    if (!with_daemon) {
        return 0;
    }
    if (load_command_endpoint(o->endpoint, o->runtime_dir, BEAM_ENDPOINT_CSI, endpoint, err) < 0) {
        return -1;
    }
    self->daemon = load_socket_dealer(self->context, endpoint, err);
    if (!self->daemon || load_run_register(self->fleet, self->daemon, o->wait_s, err) < 0) {
        return -1;
    }
    self->registered = true;
    return 0;
}

int load_session_run(load_session *self, const load_spec *spec, load_result *result,
                     load_error *err)
{
    load_spec own = *spec;
    own.samples = &self->samples;
    return load_run(self->fleet, self->daemon, &own, result, err);
}

int load_session_verify(load_session *self, load_error *err)
{
    if (!(self->options->verify_share > 0)) {
        return 0;
    }
    if (load_verify(self->options, &self->samples, &self->verdict, err) < 0) {
        return -1;
    }
    return load_verdict_good(&self->verdict, err) ? 0 : -1;
}

void load_session_close(load_session *self)
{
    if (self->registered) {
        load_run_unregister(self->fleet, self->daemon);
    }
    load_socket_destroy(&self->daemon);
    load_fleet_destroy(&self->fleet);
    load_context_destroy(&self->context);
    load_samples_destroy(&self->samples);
}

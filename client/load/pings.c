#include "load/pings.h"

#include <string.h>

const char *const LOAD_PING_NAMES[LOAD_PINGS] = {"ping, one thread", "ping, two threads"};

int load_pings_start(load_pings *self, const load_options *o, load_error *err)
{
    const bool tcp = o->endpoint && strncmp(o->endpoint, "tcp:", 4) == 0;
    memset(self, 0, sizeof *self);
    for (int k = 0; k < LOAD_PINGS; k++) {
        const load_echo_options options = {.worker = k == 1, .spin = k == 1 && o->spin, .tcp = tcp};
        self->echo[k] = load_echo_start(&options, err);
        if (!self->echo[k]) {
            return -1;
        }
    }
    return 0;
}

int load_pings_connect(load_pings *self, load_error *err)
{
    self->context = load_context_create(err);
    if (!self->context) {
        return -1;
    }
    for (int k = 0; k < LOAD_PINGS; k++) {
        self->socket[k] = load_socket_dealer(self->context, load_echo_endpoint(self->echo[k]), err);
        if (!self->socket[k]) {
            return -1;
        }
    }
    return 0;
}

int load_pings_set_bytes(load_pings *self, size_t bytes, load_error *err)
{
    for (int k = 0; k < LOAD_PINGS; k++) {
        if (load_echo_set_bytes(self->socket[k], bytes, err) < 0) {
            return -1;
        }
    }
    return 0;
}

void load_pings_close(load_pings *self)
{
    for (int k = 0; k < LOAD_PINGS; k++) {
        load_socket_destroy(&self->socket[k]);
        load_echo_stop(&self->echo[k]);
    }
    load_context_destroy(&self->context);
}

/* The bare transport alone. */
#include <stdio.h>
#include <stdlib.h>

#include "load/commands.h"
#include "load/encode.h"
#include "load/pings.h"
#include "load/report.h"
#include "load/session.h"

/* Mean bytes of an answer of this fleet, estimated. */
static int estimate_answer(const load_options *o, size_t *bytes, load_error *err)
{
    double sum = 0, shares = 0;
    for (int k = 0; k < o->shape_count; k++) {
        load_encoder *encoder = load_encoder_create(o, &o->shapes[k]);
        if (!encoder) {
            return load_fail(err, "no memory");
        }
        sum += o->shapes[k].share * (double)load_encode_answer_bytes(encoder);
        shares += o->shapes[k].share;
        load_encoder_destroy(&encoder);
    }
    *bytes = o->answer_bytes ? (size_t)o->answer_bytes : (size_t)(sum / shares);
    return 0;
}

static int ping_both(load_pings *p, load_session *session, load_result *results[2], load_error *err)
{
    load_spec spec = load_spec_from(session->options);
    spec.echo = true;
    spec.count = 0;
    for (int k = 0; k < 2; k++) {
        if (load_run(session->fleet, p->socket[k], &spec, results[k], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int ping_report(const load_session *session, load_result *const results[2], size_t bytes)
{
    const load_options *o = session->options;
    load_error err = {""};
    const bool ok = load_result_whole(results[0], &err) && load_result_whole(results[1], &err);
    if (o->json) {
        json_t *out = json_object();
        json_object_set_new(out, "setup", load_report_setup_json(o, session->fleet));
        json_object_set_new(out, "answer_bytes", json_integer((json_int_t)bytes));
        json_object_set_new(out, "spin", json_boolean(o->spin));
        json_object_set_new(out, "one_thread", load_report_result_json(results[0], o));
        json_object_set_new(out, "two_threads", load_report_result_json(results[1], o));
        load_report_print_json(out, ok, &err);
    } else {
        load_report_setup(o, session->fleet);
        for (int k = 0; k < 2; k++) {
            printf("\n%s%s, answers of %zu bytes\n", LOAD_PING_NAMES[k],
                   k == 1 ? o->spin ? ", worker spins" : ", worker blocks" : "", bytes);
            load_report_result(results[k], o, true);
        }
    }
    return ok ? LOAD_EXIT_OK : load_command_fail(&err);
}

int load_command_ping(const load_options *o)
{
    load_pings p;
    load_session session = {0};
    load_error err;
    size_t bytes = 0;
    int status = LOAD_EXIT_BROKEN;
    load_result *results[2] = {load_result_create(&err), load_result_create(&err)};
    const bool started = results[0] && results[1] && load_pings_start(&p, o, &err) == 0;
    if (started && load_session_open(&session, o, false, &err) == 0 &&
        load_pings_connect(&p, &err) == 0 && estimate_answer(o, &bytes, &err) == 0 &&
        load_pings_set_bytes(&p, bytes, &err) == 0 && ping_both(&p, &session, results, &err) == 0) {
        status = ping_report(&session, results, bytes);
    } else {
        load_command_fail(&err);
    }
    if (results[0] && results[1]) {
        load_pings_close(&p);
    }
    load_session_close(&session);
    free(results[0]);
    free(results[1]);
    return status;
}

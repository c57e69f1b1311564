#include <stdio.h>
#include <stdlib.h>

#include "load/commands.h"
#include "load/report.h"
#include "load/session.h"

/* Prints everything; the exit status. */
static int conclude(load_session *session, const load_result *result)
{
    const load_options *o = session->options;
    load_error err = {""};
    const int verified = load_session_verify(session, &err);
    const bool ok = verified == 0 && load_result_whole(result, &err);
    if (o->json) {
        json_t *out = json_object();
        json_object_set_new(out, "setup", load_report_setup_json(o, session->fleet));
        json_object_set_new(out, "result", load_report_result_json(result, o));
        if (o->verify_share > 0) {
            json_object_set_new(out, "verify", load_report_verdict_json(&session->verdict));
        }
        load_report_print_json(out, ok, &err);
    } else {
        load_report_setup(o, session->fleet);
        load_report_result(result, o, false);
        if (o->verify_share > 0) {
            load_report_verdict(&session->verdict);
        }
    }
    return ok ? LOAD_EXIT_OK : load_command_fail(&err);
}

int load_command_run(const load_options *o)
{
    load_session session;
    load_error err;
    const load_spec spec = load_spec_from(o);
    load_result *result = load_result_create(&err);
    int status = LOAD_EXIT_BROKEN;
    if (result && load_session_open(&session, o, true, &err) == 0 &&
        load_session_run(&session, &spec, result, &err) == 0) {
        status = conclude(&session, result);
    } else {
        load_command_fail(&err);
    }
    if (result) {
        load_session_close(&session);
    }
    free(result);
    return status;
}

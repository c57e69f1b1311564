/* kill -9 under load: the daemon is a child of ours, is killed, started again at once, and the time
 * from the start of the process to its first answer is taken. Nothing is registered again: what
 * the new process knows it kept. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load/commands.h"
#include "load/report.h"
#include "load/session.h"
#include "load/stream.h"

typedef struct restart {
    load_session session;
    load_stream stream;
    pid_t pid;
    bool awaiting; /* the first answer after a restart */
    uint64_t started_ns, first_answer_ns;
    bool first_warm;
    uint64_t warm, cold, unknown; /* of restarts; unknown: the cluster was forgotten */
    load_histogram *first;
    char refusal[256];
} restart;

static int spawn(restart *self, load_error *err)
{
    self->started_ns = load_now_ns();
    self->pid = fork();
    if (self->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* its output must not mix with the report */
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execvp(self->session.options->rest[0], self->session.options->rest);
        _exit(127);
    }
    return self->pid < 0 ? load_fail(err, "cannot fork: %s", strerror(errno)) : 0;
}

static int end_child(restart *self, int number)
{
    int status = 0;
    if (self->pid > 0) {
        kill(self->pid, number);
        while (waitpid(self->pid, &status, 0) < 0 && errno == EINTR) {
        }
        self->pid = 0;
    }
    return status;
}

static bool child_gone(restart *self, load_error *err)
{
    int status;
    if (waitpid(self->pid, &status, WNOHANG) == self->pid) {
        self->pid = 0;
        load_fail(err, "%s ended by itself (status %d)", self->session.options->rest[0],
                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        return true;
    }
    return false;
}

static void on_answer(void *arg, const load_slot *slot, const beam_wire_header *header,
                      const ProtobufCMessage *message, uint64_t now_ns)
{
    restart *self = arg;
    if (!self->awaiting) {
        return;
    }
    if (header->type == BEAM_WIRE_ERROR) {
        const Beamd__Error *e = (const Beamd__Error *)message;
        snprintf(self->refusal, sizeof self->refusal, "%.90s: %.150s", e->field, e->text);
        if (e->code == BEAMD__ERROR_CODE__ERROR_UNKNOWN_CLUSTER) {
            self->unknown++;
            self->awaiting = false;
            self->stream.stop = true;
        }
        return;
    }
    const bool one = header->type == BEAM_WIRE_SOLUTION;
    if (slot && (one || header->type == BEAM_WIRE_SOLUTION_SET)) {
        const Beamd__SolutionSet *set = (const Beamd__SolutionSet *)message;
        const Beamd__Solution *s = one                ? (const Beamd__Solution *)message
                                   : set->n_solutions ? set->solutions[0]
                                                      : NULL;
        self->first_warm = s && s->warm;
        self->first_answer_ns = now_ns;
        self->awaiting = false;
        self->stream.stop = true;
    }
}

static int one_restart(restart *self, load_error *err)
{
    const load_options *o = self->session.options;
    if (load_stream_until(&self->stream, load_now_ns() + (uint64_t)(o->seconds * 1e9), true, err) <
            0 ||
        child_gone(self, err)) {
        return -1;
    }
    const uint64_t answered = self->stream.answered;
    if (answered == 0) {
        return load_fail(err, "the daemon answered nothing before it was killed");
    }
    end_child(self, SIGKILL);
    /* Answers that it sent while it lived are read before the new one starts. */
    if (load_stream_until(&self->stream, load_now_ns() + 20000000u, false, err) < 0 ||
        spawn(self, err) < 0) {
        return -1;
    }
    self->awaiting = true;
    const uint64_t until = self->started_ns + (uint64_t)(o->wait_s * 1e9);
    const uint64_t unknown = self->unknown;
    while (self->awaiting && load_now_ns() < until) {
        if (load_stream_until(&self->stream, until, true, err) < 0 || child_gone(self, err) ||
            load_stop_asked()) {
            return -1;
        }
    }
    if (self->awaiting) {
        return load_fail(err, "no answer within %g s after the restart%s%s", o->wait_s,
                         self->refusal[0] ? "; last refusal: " : "", self->refusal);
    }
    if (self->unknown == unknown) {
        load_histogram_add(self->first, self->first_answer_ns - self->started_ns);
        self->warm += self->first_warm;
        self->cold += !self->first_warm;
    }
    return 0;
}

static int run_all(restart *self, const load_options *o, load_error *err)
{
    const load_spec spec = load_spec_from(o);
    /* The session is opened when the child listens: registration waits --wait for it. */
    self->session.options = o;
    if (spawn(self, err) < 0 || load_session_open(&self->session, o, true, err) < 0) {
        return -1;
    }
    self->stream = (load_stream){.fleet = self->session.fleet,
                                 .csi = self->session.daemon,
                                 .callback = on_answer,
                                 .arg = self};
    if (load_stream_create(&self->stream, &spec.traffic) < 0) {
        return load_fail(err, "no memory");
    }
    for (long long k = 0; k < o->changes && !load_stop_asked(); k++) {
        if (one_restart(self, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int conclude(const restart *self)
{
    const load_options *o = self->session.options;
    load_error err = {""};
    bool ok = true;
    if (self->unknown > 0) {
        ok = load_fail(&err, "after %" PRIu64 " restarts the daemon knew the clusters no more",
                       self->unknown) == 0;
    } else if (self->cold > 0) {
        ok = load_fail(&err, "after %" PRIu64 " restarts the first answer was cold", self->cold) ==
             0;
    }
    if (o->json) {
        json_t *out = json_object();
        json_object_set_new(out, "setup", load_report_setup_json(o, self->session.fleet));
        json_object_set_new(out, "warm", json_integer((json_int_t)self->warm));
        json_object_set_new(out, "cold", json_integer((json_int_t)self->cold));
        json_object_set_new(out, "unknown", json_integer((json_int_t)self->unknown));
        json_object_set_new(out, "first_answer", load_report_histogram_json(self->first));
        load_report_print_json(out, ok, &err);
    } else {
        load_report_setup(o, self->session.fleet);
        printf("%lld times kill -9 under %g updates/s of each cluster: first answer warm %" PRIu64
               ", cold %" PRIu64 ", clusters forgotten %" PRIu64 "\n",
               o->changes, o->rate_hz, self->warm, self->cold, self->unknown);
        if (self->first->count) {
            printf("from the start of the process to the first answer: median %.1f ms, most %.1f "
                   "ms\n",
                   load_histogram_quantile_us(self->first, 0.5) / 1e3,
                   (double)self->first->max_ns / 1e6);
        }
    }
    return ok ? LOAD_EXIT_OK : load_command_fail(&err);
}

int load_command_restart(const load_options *o)
{
    restart self;
    load_error err;
    int status = LOAD_EXIT_BROKEN;
    memset(&self, 0, sizeof self);
    self.first = calloc(1, sizeof *self.first);
    if (self.first && run_all(&self, o, &err) == 0) {
        status = conclude(&self);
    } else if (self.first) {
        load_command_fail(&err);
    }
    load_stream_destroy(&self.stream);
    load_session_close(&self.session);
    end_child(&self, SIGTERM);
    free(self.first);
    return status;
}

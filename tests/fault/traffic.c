#include "fault/traffic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/golden.h"

/* STEPS: of the channel, in turn; an answer may be of any of them. */
enum { STEPS = 64, REQUESTS_FIRST = 1 << 16 };

typedef struct request {
    double sent_s; /* 0: never sent, or none of CSI */
    int cluster;
    unsigned step;
    unsigned answers;
} request;

typedef struct member {
    char id[16];
    const beam_scene *base;
    double due_s;
    unsigned step;
    bool open; /* traffic_race: one at a time */
} member;

struct traffic {
    traffic_options options;
    test_daemon *daemon;
    beamc_client *client;
    beam_scene *base[2], *scene[2]; /* two sizes; scene: as it was at some step */
    beam_solver *solver[2];
    beam_design *classical[2];
    member members[TRAFFIC_CLUSTERS_MAX];
    request *requests; /* by sequence */
    size_t capacity;
    uint64_t last_sequence, open, answers;
    bool preferred; /* of the request prefer_sequence this trade-off is expected */
    uint64_t prefer_sequence;
    double prefer_tradeoff;
    bool first_warm, first_seen;
    traffic_count count;
};

double test_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double test_daemon_resident_kib(const test_daemon *daemon)
{
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)daemon->pid);
    FILE *f = fopen(path, "r");
    if (!f) {
        fail_msg("%s: the daemon is gone", path);
    }
    while (kib <= 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtod(line + 6, NULL);
        }
    }
    fclose(f);
    assert_true(kib > 0);
    return kib;
}

static int size_of(const traffic *self, int cluster)
{
    return self->members[cluster].base == self->base[1];
}

/* The channels of a step, whatever was sent before. */
static const beam_scene *scene_at(traffic *self, int cluster, unsigned step)
{
    const int size = size_of(self, cluster);
    const beam_scene *base = self->base[size];
    beam_scene *scene = self->scene[size];
    const size_t n =
        (size_t)base->dims.stations * (size_t)base->dims.users * (size_t)base->dims.antennas;
    const double phase = 0.1 * (double)(step % STEPS) + cluster;
    for (size_t k = 0; k < n; k++) {
        const double a = 1 + 0.05 * sin((double)k + phase), b = 0.05 * cos(2.0 * (double)k + phase);
        scene->channel[k].re = a * base->channel[k].re - b * base->channel[k].im;
        scene->channel[k].im = a * base->channel[k].im + b * base->channel[k].re;
    }
    return scene;
}

static void open_client(traffic *self, uint64_t first_sequence)
{
    beamc_options options = beamc_options_default();
    beamc_error err;
    options.runtime_dir = self->daemon->dir;
    options.send_timeout_ms = 20000;
    options.high_water = 100000;
    options.first_sequence = first_sequence;
    if (beamc_connect(&self->client, &options, &err) != BEAMC_OK) {
        fail_msg("connect: %s", err.text);
    }
}

traffic *traffic_new(test_daemon *daemon, const traffic_options *options)
{
    static const char *const names[2] = {"paper_eps010", "uneven_n6"};
    traffic *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->options = *options;
    self->daemon = daemon;
    assert_true(options->clusters <= TRAFFIC_CLUSTERS_MAX);
    for (int k = 0; k < 2; k++) {
        self->base[k] = test_golden_scene(names[k]);
        self->scene[k] = test_scene_clone(self->base[k]);
        self->solver[k] = test_solver_new(&self->base[k]->dims);
        self->classical[k] = test_design_new(&self->base[k]->dims, -1);
    }
    self->capacity = REQUESTS_FIRST;
    self->requests = calloc(self->capacity, sizeof *self->requests);
    assert_non_null(self->requests);
    open_client(self, 1);
    for (unsigned c = 0; c < options->clusters; c++) {
        member *m = &self->members[c];
        snprintf(m->id, sizeof m->id, "fault-%u", c);
        m->base = self->base[c % 2];
        test_set_up(self->client, m->id, m->base, 0.2 + 0.6 * c / options->clusters);
    }
    return self;
}

void traffic_reconnect(traffic *self)
{
    beamc_close(&self->client);
    /* what the killed daemon owed is not owed by the new one */
    self->open = 0;
    for (size_t k = 0; k < self->capacity; k++) {
        self->requests[k].answers += self->requests[k].answers == 0;
    }
    for (unsigned c = 0; c < self->options.clusters; c++) {
        self->members[c].open = false;
    }
    open_client(self, self->last_sequence + 1);
}

void traffic_free(traffic *self)
{
    beamc_close(&self->client);
    for (int k = 0; k < 2; k++) {
        test_scene_free(self->base[k]);
        test_scene_free(self->scene[k]);
        test_solver_free(self->solver[k]);
        test_design_free(self->classical[k]);
    }
    free(self->requests);
    free(self);
}

void traffic_clear(traffic *self)
{
    memset(&self->count, 0, sizeof self->count);
}

const traffic_count *traffic_counted(const traffic *self)
{
    return &self->count;
}

static request *request_of(traffic *self, uint64_t sequence)
{
    if (sequence > self->last_sequence) {
        fail_msg("an answer to sequence %llu, which was never sent", (unsigned long long)sequence);
    }
    return &self->requests[sequence % self->capacity];
}

/* The numbers of requests long answered are used again. */
static request *new_request(traffic *self, uint64_t sequence)
{
    request *r = &self->requests[sequence % self->capacity];
    self->last_sequence = sequence;
    if (r->sent_s > 0 && r->answers == 0) {
        fail_msg("sequence %llu was never answered",
                 (unsigned long long)(sequence - self->capacity));
    }
    *r = (request){.sent_s = test_now_s()};
    return r;
}

static uint64_t send_one(traffic *self, int c)
{
    member *m = &self->members[c];
    const uint64_t sequence =
        test_send_csi(self->client, m->id, scene_at(self, c, m->step), self->options.deadline_us);
    request *r = new_request(self, sequence);
    r->cluster = c;
    r->step = m->step++;
    m->open = true;
    self->open++;
    self->count.sent++;
    return sequence;
}

/* The classical design of this scene at the answer's preference and normalising values. */
static double classical_merit(traffic *self, int size, const beam_scene *scene,
                              const beamc_solution *s)
{
    beam_error err;
    beam_result result;
    beam_solver *solver = self->solver[size];
    const beam_ideal ideal = {s->wsr_ideal_bps_hz, s->crlb_min_m2};
    test_must(beam_solver_load(solver, scene, &err), &err, "load");
    test_must(beam_solver_set_ideal(solver, &ideal, &err), &err, "ideal");
    test_must(beam_solver_classical(solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB,
                                    s->preference.tradeoff, self->classical[size], &result, &err),
              &err, "classical");
    return result.merit;
}

/* Every number from the beams and the CSI that the answer names; beams that were held are those of
 * an earlier CSI, and so are their numbers. */
static void check_numbers(traffic *self, int cluster, const beamc_solution *s)
{
    const request *of = request_of(self, s->csi_sequence);
    assert_int_equal(of->cluster, cluster);
    const beam_scene *scene = scene_at(self, cluster, of->step);
    test_check_solution(scene, s);
    const double classical = classical_merit(self, size_of(self, cluster), scene, s);
    if (!(s->merit <= classical + 1e-6 * (1 + fabs(classical)))) {
        fail_msg("merit %.12g is worse than the classical %.12g (method %s, service %s)", s->merit,
                 classical, beamc_method_text(s->method), beamc_service_text(s->service));
    }
    self->count.checked++;
}

static void check_time(traffic *self, const beamc_solution *s)
{
    const beamc_latency *l = &s->latency;
    const uint64_t total_ns =
        l->received_to_queued_ns + l->queued_to_solve_ns + l->solve_ns + l->solve_to_sent_ns;
    if (!s->late && total_ns > self->options.deadline_us * UINT64_C(1000)) {
        fail_msg("%.3f ms in the daemon with a deadline of %.3f ms, and no mark (service %s)",
                 1e-6 * (double)total_ns, 1e-3 * self->options.deadline_us,
                 beamc_service_text(s->service));
    }
}

static void take_solution(traffic *self, const request *r, const beamc_answer *answer)
{
    const beamc_solution *s = answer->solution;
    traffic_count *n = &self->count;
    assert_int_equal(answer->solution_count, 1);
    assert_true((unsigned)s->service < TRAFFIC_SERVICES && (unsigned)s->backend < TRAFFIC_BACKENDS);
    n->service[s->service]++;
    n->backend[s->backend]++;
    n->late += s->late;
    n->cold += !s->warm;
    if (s->service != BEAMC_SERVICE_HELD) { /* a job that starts late uses newer CSI */
        assert_true(s->csi_sequence >= answer->sequence);
    }
    if (self->preferred && answer->sequence == self->prefer_sequence &&
        s->service != BEAMC_SERVICE_HELD) { /* what is held is as it was */
        if (!(fabs(s->preference.tradeoff - self->prefer_tradeoff) < 1e-9)) {
            fail_msg("the answer to the next CSI has trade-off %g, not %g", s->preference.tradeoff,
                     self->prefer_tradeoff);
        }
        self->preferred = false;
    }
    if (!self->first_seen) {
        self->first_seen = true;
        self->first_warm = s->warm;
    }
    check_time(self, s);
    if (self->options.check_every && self->answers % self->options.check_every == 0) {
        check_numbers(self, r->cluster, s);
    }
}

static void take(traffic *self, const beamc_answer *answer)
{
    traffic_count *n = &self->count;
    if (answer->kind == BEAMC_ANSWER_ACK) {
        return;
    }
    request *r = request_of(self, answer->sequence);
    if (!(r->sent_s > 0)) {
        fail_msg("an answer to sequence %llu, which was no CSI",
                 (unsigned long long)answer->sequence);
    }
    if (r->answers++ > 0) {
        fail_msg("sequence %llu was answered twice", (unsigned long long)answer->sequence);
    }
    assert_string_equal(answer->cluster, self->members[r->cluster].id);
    self->members[r->cluster].open = false;
    self->open--;
    self->answers++;
    n->answered++;
    n->round_trip_most_ms = fmax(n->round_trip_most_ms, 1e3 * (test_now_s() - r->sent_s));
    if (answer->kind == BEAMC_ANSWER_SOLUTION) {
        take_solution(self, r, answer);
        return;
    }
    assert_int_equal(answer->kind, BEAMC_ANSWER_REFUSED);
    const beamc_error *e = &answer->refused;
    n->refused[(unsigned)e->refusal % TRAFFIC_CODES]++;
    if (e->refusal != BEAMC_REFUSAL_SUPERSEDED && !n->first_refusal[0]) {
        snprintf(n->first_refusal, sizeof n->first_refusal, "%s: %.60s: %.150s",
                 beamc_refusal_text(e->refusal), e->field, e->text);
    }
}

/* One answer, if it comes within the time. */
static bool receive(traffic *self, double wait_s)
{
    beamc_answer answer;
    beamc_error err;
    const int ms = wait_s > 0 ? (int)ceil(1e3 * wait_s) : 0;
    const beamc_code code = beamc_receive(self->client, ms, &answer, &err);
    if (code == BEAMC_E_TIMEOUT) {
        return false;
    }
    if (code != BEAMC_OK) {
        fail_msg("receive: %s", err.text);
    }
    take(self, &answer);
    return true;
}

static double send_due(traffic *self, double now_s)
{
    double next_s = INFINITY;
    for (unsigned c = 0; c < self->options.clusters; c++) {
        member *m = &self->members[c];
        const double period_s = 1 / self->options.rate_hz;
        if (m->due_s < now_s - 1) { /* a test that was held up does not make up for it */
            m->due_s = now_s + period_s * c / self->options.clusters;
        }
        if (m->due_s <= now_s) {
            send_one(self, (int)c);
            m->due_s += period_s;
        }
        next_s = fmin(next_s, m->due_s);
    }
    return next_s;
}

void traffic_set_rate(traffic *self, double rate_hz)
{
    self->options.rate_hz = rate_hz;
    for (unsigned c = 0; c < self->options.clusters; c++) {
        self->members[c].due_s = 0; /* their phases are laid anew */
    }
}

void traffic_run(traffic *self, double seconds)
{
    const double end_s = test_now_s() + seconds;
    for (double now_s = test_now_s(); now_s < end_s; now_s = test_now_s()) {
        const double next_s = send_due(self, now_s);
        (void)receive(self, fmin(next_s, end_s) - test_now_s());
    }
}

/* What has no answer, and what the daemon said of it. */
static void fail_open(traffic *self)
{
    const double now_s = test_now_s();
    for (size_t k = 0; k < self->capacity; k++) {
        const request *r = &self->requests[k];
        if (r->sent_s > 0 && r->answers == 0) {
            print_message("sequence %zu of %s was sent %.3f s ago\n", k,
                          self->members[r->cluster].id, now_s - r->sent_s);
        }
    }
    print_message("%s\n", test_daemon_log(self->daemon)); /* longer than a failure may say */
    fail_msg("%llu requests without an answer for %d ms", (unsigned long long)self->open,
             self->options.answer_ms);
}

void traffic_race(traffic *self, uint64_t answers)
{
    for (const uint64_t end = self->answers + answers; self->answers < end;) {
        for (unsigned c = 0; c < self->options.clusters; c++) {
            if (!self->members[c].open) {
                send_one(self, (int)c);
            }
        }
        if (!receive(self, 1e-3 * self->options.answer_ms)) {
            fail_open(self);
        }
    }
}

void traffic_settle(traffic *self)
{
    double last_s = test_now_s();
    while (self->open > 0) {
        if (receive(self, 0.1)) {
            last_s = test_now_s();
        } else if (test_now_s() - last_s > 1e-3 * self->options.answer_ms) {
            fail_open(self);
        }
    }
    while (receive(self, 0.02)) { /* a second answer would come here */
    }
}

bool traffic_first(traffic *self, double seconds, bool *warm)
{
    const double end_s = test_now_s() + seconds;
    self->first_seen = false;
    while (!self->first_seen && test_now_s() < end_s) {
        const double next_s = send_due(self, test_now_s());
        (void)receive(self, fmin(next_s, end_s) - test_now_s());
    }
    *warm = self->first_warm;
    return self->first_seen;
}

void traffic_prefer(traffic *self, unsigned cluster, double tradeoff)
{
    beamc_preference got;
    beamc_error err;
    if (beamc_preference_set(self->client, self->members[cluster].id, tradeoff,
                             self->options.answer_ms, &got, &err) != BEAMC_OK) {
        fail_msg("preference: %s", err.text);
    }
    traffic_expect_preference(self, cluster, tradeoff);
}

void traffic_expect_preference(traffic *self, unsigned cluster, double tradeoff)
{
    self->prefer_tradeoff = tradeoff;
    for (;;) { /* one that is superseded, or answered by what is held, says nothing */
        self->preferred = true;
        self->prefer_sequence = send_one(self, (int)cluster);
        traffic_settle(self);
        if (!self->preferred) {
            return;
        }
    }
}

void traffic_expect_refusals(const traffic *self, unsigned allowed)
{
    for (unsigned k = 0; k < TRAFFIC_CODES; k++) {
        const bool may = k == BEAMC_REFUSAL_SUPERSEDED || (allowed >> k & 1);
        if (!may && self->count.refused[k] > 0) {
            fail_msg("%llu requests refused: %s", (unsigned long long)self->count.refused[k],
                     self->count.first_refusal);
        }
    }
}

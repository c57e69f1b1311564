/* beamdemo: a controller with the paper's scenario in motion, and the client's own check of what
 * the daemon answers. */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "demo/compare.h"
#include "demo/scenario.h"
#include "demo/table.h"

enum { EXIT_USAGE = 2, HISTORY = 256, TARGETS_EVERY = 4, DISPLAY_HZ = 4 };
#define CLUSTER "demo"
/* Beams come in float64, so only rounding separates the daemon's numbers from ours. */
static const double CLAIM_TOLERANCE = 1e-6;

static volatile sig_atomic_t stop_asked;

typedef struct demo {
    demo_options options;
    beamc_options connection;
    bool plain;
    demo_scenario scenario;
    demo_judge *judge;
    demo_latency latency;
    demo_counts counts;
    beamc_client *client;
    struct {
        uint64_t sequence;
        demo_snapshot snapshot;
    } history[HISTORY]; /* what was sent, by number of the update */
    unsigned long updates;
    struct {
        uint64_t sequence;
        double target_m[DEMO_J][2];
    } targets[HISTORY];
    unsigned long target_updates;
    int table_lines;
    unsigned long shown;
    uint64_t last_shown_ns;
    double last_kept_s;
} demo;

static const char USAGE[] =
    "usage: beamdemo [options]\n"
    "\n"
    "Registers the cluster 'demo' (three stations of five antennas, three moving users, two moving "
    "targets), streams\n"
    "channel estimates, changes the trade-off half-way, recomputes every answer, and at the end "
    "compares designs that\n"
    "believe the estimates with the robust beams of the daemon.\n"
    "\n"
    "  --seconds S        length of the run, default 10\n"
    "  --rate HZ          updates per second, default 20\n"
    "  --seed N           of channels and movement, default 1\n"
    "  --error EPS        relative error radius, default 0.1\n"
    "  --speed KMH        of the users, default 30\n"
    "  --tradeoff A,B     trade-off of the first and the second half, default 0.2,0.7\n"
    "  --runtime-dir DIR  where the daemon's sockets are\n"
    "  --csi ENDPOINT     ZeroMQ endpoint of the csi socket\n"
    "  --control ENDPOINT ZeroMQ endpoint of the control socket\n"
    "  --plain            lines instead of a table that redraws itself\n"
    "\n"
    "Exit status: 0 all promises held, 1 one did not (a sentence says which), 2 wrong usage.\n";

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail(const beamc_error *err)
{
    fprintf(stderr, "beamdemo: %s: %s%s%s\n", beamc_code_text(err->code), err->field,
            err->field[0] ? ": " : "", err->text);
    return -1;
}

static int register_cluster(demo *self)
{
    const demo_scenario *s = &self->scenario;
    beamc_station stations[DEMO_L];
    beamc_error err;
    for (int l = 0; l < DEMO_L; l++) {
        stations[l] = (beamc_station){s->station_m[l][0], s->station_m[l][1], s->axis_rad[l],
                                      s->power_w, s->echo_noise_w};
    }
    const beamc_cluster cluster = {
        .id = CLUSTER,
        .stations = stations,
        .station_count = DEMO_L,
        .antennas = DEMO_N,
        .max_users = DEMO_U,
        .targets = DEMO_J,
        .snapshots = s->snapshots,
        .carrier_hz = s->carrier_hz,
        .has_tradeoff = true,
        .tradeoff = self->options.tradeoff[0],
        .element = BEAMC_ELEMENT_FLOAT64,
    };
    return beamc_register(self->client, &cluster, 5000, &err) ? fail(&err) : 0;
}

static int send_targets(demo *self, const demo_snapshot *now)
{
    beamc_target targets[DEMO_J];
    beamc_error err;
    for (int j = 0; j < DEMO_J; j++) {
        targets[j] =
            (beamc_target){now->target_m[j][0], now->target_m[j][1], self->scenario.rcs_m2};
    }
    const beamc_targets update = {
        .cluster = CLUSTER, .targets = targets, .target_count = DEMO_J, .station_count = DEMO_L};
    const unsigned long k = self->target_updates % HISTORY;
    memcpy(self->targets[k].target_m, now->target_m, sizeof now->target_m);
    self->target_updates++;
    return beamc_send_targets(self->client, &update, &self->targets[k].sequence, &err) ? fail(&err)
                                                                                       : 0;
}

static int send_csi(demo *self)
{
    const unsigned long k = self->updates % HISTORY;
    demo_snapshot *now = &self->history[k].snapshot;
    beamc_user users[DEMO_U];
    beamc_error err;
    demo_scenario_snapshot(&self->scenario, now);
    if (self->updates % TARGETS_EVERY == 0 && send_targets(self, now) < 0) {
        return -1;
    }
    for (unsigned u = 0; u < DEMO_U; u++) {
        users[u] = (beamc_user){
            .id = u + 1, .station = u, .weight = 1.0, .noise_w = self->scenario.noise_w};
    }
    const beamc_csi csi = {
        .cluster = CLUSTER,
        .station_count = DEMO_L,
        .antennas = DEMO_N,
        .users = users,
        .user_count = DEMO_U,
        .channels = &now->channels[0][0][0][0],
        .error_radius = &now->error_radius[0][0],
        .element = BEAMC_ELEMENT_FLOAT64,
    };
    if (beamc_send_csi(self->client, &csi, &self->history[k].sequence, &err)) {
        return fail(&err);
    }
    self->updates++;
    self->counts.sent++;
    return 0;
}

/* The update that an answer is for, with the targets it used; false when one of them is too old. */
static bool find_snapshot(const demo *self, const beamc_solution *s, demo_snapshot *out)
{
    bool csi = false, targets = false;
    for (unsigned long k = 0; k < HISTORY; k++) {
        if (k < self->updates && self->history[k].sequence == s->csi_sequence) {
            *out = self->history[k].snapshot;
            csi = true;
        }
    }
    for (unsigned long k = 0; csi && k < HISTORY; k++) {
        if (k < self->target_updates && self->targets[k].sequence == s->target_sequence) {
            memcpy(out->target_m, self->targets[k].target_m, sizeof out->target_m);
            targets = true;
        }
    }
    return targets;
}

static void show(demo *self, const beamc_solution *s)
{
    const uint64_t now = now_ns(), pause = self->plain ? 1000000000u : 1000000000u / DISPLAY_HZ;
    if (now - self->last_shown_ns < pause) {
        return;
    }
    self->last_shown_ns = now;
    if (self->plain) {
        demo_table_line(&self->scenario, s, &self->counts, &self->latency, self->shown % 20 == 0);
    } else {
        self->table_lines =
            demo_table_print(&self->scenario, s, &self->counts, &self->latency, self->table_lines);
    }
    self->shown++;
}

static int take_solution(demo *self, const beamc_solution *s)
{
    demo_snapshot snapshot;
    if (!find_snapshot(self, s, &snapshot)) {
        fprintf(stderr, "beamdemo: an answer names CSI or targets that were not sent lately\n");
        return -1;
    }
    const double difference = demo_judge_claims(self->judge, &snapshot, s);
    if (difference < 0.0 || difference > CLAIM_TOLERANCE) {
        fprintf(stderr,
                "beamdemo: the answer to CSI %llu claims numbers that are not those of its beams "
                "(%.2e)\n",
                (unsigned long long)s->csi_sequence, difference);
        return -1;
    }
    self->counts.answered++;
    self->counts.warm += s->warm;
    self->counts.worst_claim = fmax(self->counts.worst_claim, difference);
    demo_latency_add(&self->latency, &s->latency);
    if (self->scenario.time_s - self->last_kept_s >= self->options.seconds / DEMO_KEPT ||
        self->counts.answered == 1) {
        demo_judge_keep(self->judge, &snapshot, s);
        self->last_kept_s = self->scenario.time_s;
    }
    show(self, s);
    return 0;
}

/* Answers until `until`; -1 on a broken promise. */
static int receive_until(demo *self, uint64_t until)
{
    for (;;) {
        const uint64_t now = now_ns();
        const int wait_ms = until > now ? (int)((until - now) / 1000000u) : 0;
        beamc_answer answer;
        beamc_error err;
        const beamc_code code = beamc_receive(self->client, wait_ms, &answer, &err);
        if (code == BEAMC_E_TIMEOUT) {
            return 0;
        }
        if (code) {
            return fail(&err);
        }
        if (answer.kind == BEAMC_ANSWER_SOLUTION && take_solution(self, answer.solution) < 0) {
            return -1;
        }
        if (answer.kind == BEAMC_ANSWER_REFUSED) {
            if (answer.refused.refusal == BEAMC_REFUSAL_SUPERSEDED) {
                self->counts.superseded++;
                continue;
            }
            self->counts.refused++;
            fail(&answer.refused);
        }
    }
}

static void sleep_until(uint64_t until)
{
    const struct timespec t = {.tv_sec = (time_t)(until / 1000000000u),
                               .tv_nsec = (long)(until % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int stream(demo *self)
{
    const unsigned long total = (unsigned long)ceil(self->options.seconds * self->options.rate_hz);
    const uint64_t start = now_ns(), step = (uint64_t)(1e9 / self->options.rate_hz);
    beamc_error err;
    for (unsigned long k = 0; k < total && !stop_asked; k++) {
        if (k == total / 2) {
            if (beamc_preference_set(self->client, CLUSTER, self->options.tradeoff[1], 2000, NULL,
                                     &err)) {
                return fail(&err);
            }
        }
        if (send_csi(self) < 0 || receive_until(self, start + (k + 1) * step) < 0) {
            return -1;
        }
        sleep_until(start + (k + 1) * step);
        demo_scenario_step(&self->scenario);
    }
    const unsigned long open =
        self->counts.sent - self->counts.answered - self->counts.superseded - self->counts.refused;
    return open > 0 ? receive_until(self, now_ns() + 500000000u) : 0;
}

/* The promises of the run, one sentence for each that did not hold. */
static int judge_run(demo *self)
{
    const demo_counts *c = &self->counts;
    int status = EXIT_SUCCESS;
    printf("\n%lu updates: %lu answered (%lu warm), %lu superseded, %lu refused; every answer was "
           "recomputed, the "
           "largest relative\ndifference is %.1e. In the daemon p50 %.0f us, p99 %.0f us; solve "
           "p50 %.0f us; round "
           "trip p50 %.0f us, p99 %.0f us.\n",
           c->sent, c->answered, c->warm, c->superseded, c->refused, c->worst_claim,
           demo_latency_percentile(&self->latency, STAGE_DAEMON, 0.5),
           demo_latency_percentile(&self->latency, STAGE_DAEMON, 0.99),
           demo_latency_percentile(&self->latency, STAGE_SOLVE, 0.5),
           demo_latency_percentile(&self->latency, STAGE_ROUND_TRIP, 0.5),
           demo_latency_percentile(&self->latency, STAGE_ROUND_TRIP, 0.99));
    if (!demo_judge_print(self->judge)) {
        printf("beamdemo: the robust beams are not the better ones at the worst error\n");
        status = EXIT_FAILURE;
    }
    if (c->answered + c->superseded < c->sent) {
        printf("beamdemo: %lu updates had no answer\n", c->sent - c->answered - c->superseded);
        status = EXIT_FAILURE;
    }
    if (10 * c->answered < 9 * c->sent) {
        printf("beamdemo: the daemon does not keep up with %.0f updates per second\n",
               self->options.rate_hz);
        status = EXIT_FAILURE;
    }
    return status;
}

static int run(demo *self)
{
    const char *reason;
    beamc_error err;
    int status = EXIT_FAILURE;
    demo_scenario_init(&self->scenario, &self->options);
    self->judge = demo_judge_create(&self->scenario, &reason);
    if (!self->judge || !demo_latency_create(&self->latency)) {
        fprintf(stderr, "beamdemo: %s\n", self->judge ? "no memory" : reason);
    } else if (beamc_connect(&self->client, &self->connection, &err)) {
        fail(&err);
    } else {
        printf("Three stations of %d antennas, %d users at %.0f km/h, %d targets; %.0f updates/s "
               "for %.0f s.\n"
               "From one update to the next the fading keeps a correlation of %.2f.\n",
               DEMO_N, DEMO_U, self->options.speed_m_s * 3.6, DEMO_J, self->options.rate_hz,
               self->options.seconds, self->scenario.correlation);
        if (register_cluster(self) == 0 && stream(self) == 0) {
            status = judge_run(self);
        }
        beamc_unregister(self->client, CLUSTER, 500, NULL);
    }
    beamc_close(&self->client);
    demo_latency_destroy(&self->latency);
    demo_judge_destroy(&self->judge);
    return status;
}

static bool parse_number(const char *text, double low, double high, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == 0 && *out >= low && *out <= high;
}

static bool parse_tradeoffs(const char *text, double out[2])
{
    char *end;
    out[0] = strtod(text, &end);
    return end != text && *end == ',' && out[0] >= 0 && out[0] <= 1 &&
           parse_number(end + 1, 0, 1, &out[1]);
}

static bool parse_option(demo *self, int option, const char *text)
{
    double number;
    switch (option) {
    case 's':
        return parse_number(text, 0.1, 86400, &self->options.seconds);
    case 'r':
        return parse_number(text, 0.1, 10000, &self->options.rate_hz);
    case 'e':
        return parse_number(text, 0, 1, &self->options.error_relative);
    case 'v':
        if (!parse_number(text, 0, 500, &number)) {
            return false;
        }
        self->options.speed_m_s = number / 3.6;
        return true;
    case 't':
        return parse_tradeoffs(text, self->options.tradeoff);
    case 'd':
        if (!parse_number(text, 0, 9e15, &number)) {
            return false;
        }
        self->options.seed = (uint64_t)number;
        return true;
    case 'R':
        self->connection.runtime_dir = text;
        return true;
    case 'c':
        self->connection.csi_endpoint = text;
        return true;
    case 'C':
        self->connection.control_endpoint = text;
        return true;
    case 'p':
        self->plain = true;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"seed", required_argument, NULL, 'd'},
                                            {"error", required_argument, NULL, 'e'},
                                            {"speed", required_argument, NULL, 'v'},
                                            {"tradeoff", required_argument, NULL, 't'},
                                            {"runtime-dir", required_argument, NULL, 'R'},
                                            {"csi", required_argument, NULL, 'c'},
                                            {"control", required_argument, NULL, 'C'},
                                            {"plain", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static demo self;
    self.options = (demo_options){.seconds = 10,
                                  .rate_hz = 20,
                                  .error_relative = 0.1,
                                  .speed_m_s = 30 / 3.6,
                                  .tradeoff = {0.2, 0.7},
                                  .seed = 1};
    self.connection = beamc_options_default();
    self.plain = !isatty(STDOUT_FILENO);
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(USAGE, stdout);
            return EXIT_SUCCESS;
        }
        if (!parse_option(&self, option, optarg)) {
            fprintf(stderr,
                    "beamdemo: unknown option or a value out of range; see beamdemo --help\n");
            return EXIT_USAGE;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "beamdemo: no arguments are expected; see beamdemo --help\n");
        return EXIT_USAGE;
    }
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return run(&self);
}

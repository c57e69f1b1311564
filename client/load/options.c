#include "load/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "load/options_table.h"

static const struct {
    const char *name;
    unsigned bit;
    const char *rest; /* arguments beside options */
    const char *doc;
} COMMANDS[] = {
    {"run", LOAD_RUN, "", "load a daemon and print percentiles, outcomes and stages"},
    {"ping", LOAD_PING, "", "the same requests to a bare ZeroMQ echo of the same sizes"},
    {"overhead", LOAD_OVERHEAD, "", "ping and daemon in turn, and the ratio of what they take"},
    {"capacity", LOAD_CAPACITY, "", "find the highest rate with --on-time PERCENT at --deadline"},
    {"record", LOAD_RECORD, "FILE", "stand between clients and daemon and store every frame"},
    {"replay", LOAD_REPLAY, "FILE", "send what was recorded at the times it was sent"},
    {"preference", LOAD_PREFERENCE, "", "time from a new preference to the first answer with it"},
    {"restart", LOAD_RESTART, "-- COMMAND...",
     "run the daemon, kill -9 it under load, and time its first answer after the restart"},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static const char *const SERVICE_WORDS[] = {"full", "reduced", "checked", "held"};

const char *load_service_text(int service)
{
    return service >= 0 && service < 4 ? SERVICE_WORDS[service] : "unknown";
}

void load_options_usage(FILE *out)
{
    fputs("usage: beamload COMMAND [--OPTION VALUE]... [ARGUMENT]\n\n", out);
    for (int c = 0; c < COMMAND_COUNT; c++) {
        char call[64];
        snprintf(call, sizeof call, "%s %s", COMMANDS[c].name, COMMANDS[c].rest);
        fprintf(out, "  %-24s %s\n", call, COMMANDS[c].doc);
    }
    fputs("\nOptions (durations as 200us, 5ms, 3s):\n", out);
    for (int k = 0; k < LOAD_OPTION_ROW_COUNT; k++) {
        const option_row *row = &LOAD_OPTION_ROWS[k];
        char name[64];
        snprintf(name, sizeof name, "--%s%s%s", row->name, row->value ? " " : "",
                 row->value ? row->value : "");
        fprintf(out, "  %-24s %s\n", name, row->doc);
    }
    fputs("\nExit status: 0 all requests were answered and every promise held, 1 one was not (a "
          "sentence says which), 2 wrong usage.\n",
          out);
}

static void defaults(load_options *self)
{
    const bool capacity = self->command == LOAD_CAPACITY;
    self->clusters = capacity ? 8 : 1;
    self->stations = 3;
    self->antennas = 5;
    self->users = 3;
    self->targets = 2;
    self->subbands = 1;
    self->prefix = "load";
    self->speed_m_s = 30 / 3.6;
    self->target_speed_m_s = 5 / 3.6;
    self->error_relative = 0.1;
    self->carrier_hz = 3.5e9;
    self->delay_spread_s = 100e-9;
    self->subband_hz = 720e3;
    self->tradeoff = -1;
    self->csi_element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    self->beam_element = BEAMD__ELEMENT_TYPE__ELEMENT_COMPLEX_FLOAT32;
    self->seed = 1;
    self->pool_frames = 64;
    self->step_s = capacity ? 1e-3 : 0;
    self->target_rate_hz = 10;
    self->burst = 8;
    self->seconds = self->command == LOAD_RECORD ? 0 : 10;
    self->warmup_s = 1;
    self->wait_s = 5;
    self->deadline_s = 20e-3;
    self->on_time_percent = 99.9;
    self->max_rate_hz = 100000;
    self->precision_percent = 5;
    self->rounds = 5;
    self->replay_speed = 1;
    self->changes = self->command == LOAD_RESTART ? 1 : 50;
}

/* A number and what follows it. */
static bool read_number(const char *text, double *out, const char **rest)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    *rest = end;
    return end != text && errno == 0 && isfinite(*out);
}

static bool read_duration(const char *text, double *seconds)
{
    static const struct {
        const char *unit;
        double scale;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}};
    const char *unit;
    if (!read_number(text, seconds, &unit)) {
        return false;
    }
    for (size_t k = 0; k < sizeof units / sizeof units[0]; k++) {
        if (strcmp(unit, units[k].unit) == 0) {
            *seconds *= units[k].scale;
            return true;
        }
    }
    return false;
}

static int read_word(const char *words, const char *text)
{
    const size_t length = strlen(text);
    int index = 0;
    for (const char *at = words; *at; index++) {
        const size_t n = strcspn(at, "|");
        if (n == length && memcmp(at, text, n) == 0) {
            return index;
        }
        at += n + (at[n] == '|');
    }
    return -1;
}

static int set_tradeoffs(load_options *self, const char *text, load_error *err)
{
    const char *at = text;
    self->preference_count = 0;
    for (;;) {
        double value;
        if (self->preference_count == BEAM_WIRE_MAX_PREFERENCES) {
            return load_fail(err, "--preferences: more than %d", (int)BEAM_WIRE_MAX_PREFERENCES);
        }
        if (!read_number(at, &value, &at) || value < 0 || value > 1) {
            return load_fail(err, "--preferences %s: trade-offs from 0 to 1, separated by commas",
                             text);
        }
        self->preferences[self->preference_count++] = value;
        if (*at == 0) {
            return 0;
        }
        if (*at++ != ',') {
            return load_fail(err, "--preferences %s: trade-offs from 0 to 1, separated by commas",
                             text);
        }
    }
}

static int set_number(const option_row *row, void *field, const char *text, load_error *err)
{
    const char *rest = "";
    double value;
    const bool duration = row->kind == OPTION_DURATION;
    if (duration ? !read_duration(text, &value) : !read_number(text, &value, &rest) || *rest) {
        return load_fail(err, "--%s %s: not a %s", row->name, text,
                         duration ? "duration such as 200us, 5ms or 3s" : "number");
    }
    if (value < row->low || value > row->high) {
        return load_fail(err, "--%s %s: must be from %g%s to %g%s", row->name, text, row->low,
                         duration ? "s" : "", row->high, duration ? "s" : "");
    }
    if (row->kind == OPTION_INTEGER) {
        const long long whole = (long long)value;
        if ((double)whole != value) {
            return load_fail(err, "--%s %s: not a whole number", row->name, text);
        }
        memcpy(field, &whole, sizeof whole);
        return 0;
    }
    if (row->kind == OPTION_SPEED) {
        value /= 3.6;
    }
    memcpy(field, &value, sizeof value);
    return 0;
}

static int set_option(load_options *self, const option_row *row, const char *text, load_error *err)
{
    void *field = (char *)self + row->offset;
    if (row->kind == OPTION_FLAG) {
        *(bool *)field = true;
        return 0;
    }
    if (row->kind == OPTION_TEXT) {
        memcpy(field, &text, sizeof text);
        return *text ? 0 : load_fail(err, "--%s: empty", row->name);
    }
    if (row->kind == OPTION_TRADEOFFS) {
        return set_tradeoffs(self, text, err);
    }
    if (row->kind == OPTION_WORD) {
        const int index = read_word(row->words, text);
        if (index < 0) {
            return load_fail(err, "--%s %s: not one of %s", row->name, text, row->words);
        }
        *(int *)field = index + (int)row->low;
        return 0;
    }
    return set_number(row, field, text, err);
}

/* An option may mean one thing in one command and another in another: the row of this command, else
 * any of the name, else NULL. */
static const option_row *find_row(const char *name, unsigned command)
{
    const option_row *found = NULL;
    for (int k = 0; k < LOAD_OPTION_ROW_COUNT; k++) {
        if (strcmp(LOAD_OPTION_ROWS[k].name, name) == 0 &&
            (!found || (LOAD_OPTION_ROWS[k].commands & command))) {
            found = &LOAD_OPTION_ROWS[k];
        }
    }
    return found;
}

/* "3x5x3x2x1:0.5" */
static int read_shape(load_shape *shape, const char *text, const char **rest, load_error *err)
{
    static const int limits[5] = {BEAM_WIRE_MAX_STATIONS, BEAM_WIRE_MAX_ANTENNAS,
                                  BEAM_WIRE_MAX_USERS, BEAM_WIRE_MAX_TARGETS,
                                  BEAM_WIRE_MAX_SUBBANDS};
    long size[5] = {0, 0, 0, 0, 1};
    const char *at = text;
    int count = 0;
    for (; count < 5; count++) {
        char *end;
        size[count] = strtol(at, &end, 10);
        if (end == at || size[count] < 1 || size[count] > limits[count]) {
            return load_fail(err,
                             "--mix: at \"%.40s\": sizes are LxNxUxJ or LxNxUxJxS, at most "
                             "%dx%dx%dx%dx%d",
                             at, limits[0], limits[1], limits[2], limits[3], limits[4]);
        }
        at = end;
        if (*at != 'x') {
            count++;
            break;
        }
        at++;
    }
    double share = 1;
    if (count < 4 || (*at == ':' && (!read_number(at + 1, &share, &at) || share <= 0)) ||
        (*at && *at != ',')) {
        return load_fail(err, "--mix: \"%.40s\": not LxNxUxJ[xS]:SHARE", text);
    }
    *shape =
        (load_shape){(int)size[0], (int)size[1], (int)size[2], (int)size[3], (int)size[4], share};
    *rest = at;
    return 0;
}

static int set_shapes(load_options *self, load_error *err)
{
    if (!self->mix) {
        self->shapes[0] = (load_shape){(int)self->stations, (int)self->antennas, (int)self->users,
                                       (int)self->targets,  (int)self->subbands, 1};
        self->shape_count = 1;
        return 0;
    }
    for (const char *at = self->mix;; at++) {
        if (self->shape_count == LOAD_SHAPES_MAX) {
            return load_fail(err, "--mix: more than %d sizes", (int)LOAD_SHAPES_MAX);
        }
        if (read_shape(&self->shapes[self->shape_count], at, &at, err) < 0) {
            return -1;
        }
        self->shape_count++;
        if (*at == 0) {
            return 0;
        }
    }
}

static int finish(load_options *self, load_error *err)
{
    if (!beam_wire_cluster_valid(self->prefix) || strlen(self->prefix) >= LOAD_PREFIX_BYTES) {
        return load_fail(err, "--prefix %s: 1 to %d letters, digits, '.', '_' or '-'", self->prefix,
                         LOAD_PREFIX_BYTES - 1);
    }
    if (self->rate_hz > 0 && self->total_rate_hz > 0) {
        return load_fail(err, "--rate and --total-rate exclude each other");
    }
    if (self->total_rate_hz > 0) {
        self->rate_hz = self->total_rate_hz / (double)self->clusters;
    } else if (!(self->rate_hz > 0)) {
        self->rate_hz = 100;
    }
    if (!(self->step_s > 0)) {
        self->step_s = 1 / self->rate_hz;
    }
    if (self->secret_key && strncmp(self->secret_key, "file:", 5) != 0) {
        return load_fail(err,
                         "--curve-secret-key takes file:PATH: everybody sees the command line");
    }
    const bool file = self->command == LOAD_RECORD || self->command == LOAD_REPLAY;
    if (file && self->rest_count != 1) {
        return load_fail(err, "exactly one FILE is needed");
    }
    if (self->command == LOAD_RESTART && self->rest_count == 0) {
        return load_fail(err, "restart needs -- and the daemon's command line");
    }
    if (!file && self->command != LOAD_RESTART && self->rest_count > 0) {
        return load_fail(err, "%s: what is this argument?", self->rest[0]);
    }
    if (self->command == LOAD_RECORD && !self->listen) {
        return load_fail(err, "record needs --listen ENDPOINT");
    }
    return set_shapes(self, err);
}

static int find_command(load_options *self, const char *name, load_error *err)
{
    for (int c = 0; c < COMMAND_COUNT; c++) {
        if (strcmp(COMMANDS[c].name, name) == 0) {
            self->command = COMMANDS[c].bit;
            return 0;
        }
    }
    return load_fail(err, "%s: no such command; beamload --help names them", name);
}

/* One option at argv[*at]; moves on to its last word. */
static int parse_one(load_options *self, int argc, char **argv, int *at, load_error *err)
{
    char name[32];
    const char *text = argv[*at] + 2, *equals = strchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
             text);
    const option_row *row = find_row(name, self->command);
    if (!row || strlen(name) != length) {
        return load_fail(err, "--%s: no such option; beamload --help names them", name);
    }
    if (!(row->commands & self->command)) {
        return load_fail(err, "--%s does not belong to this command", name);
    }
    if (row->kind == OPTION_FLAG) {
        return equals ? load_fail(err, "--%s takes no value", name)
                      : set_option(self, row, NULL, err);
    }
    if (!equals && *at + 1 >= argc) {
        return load_fail(err, "--%s needs a value", name);
    }
    return set_option(self, row, equals ? equals + 1 : argv[++*at], err);
}

int load_options_parse(load_options *self, int argc, char **argv, load_error *err)
{
    memset(self, 0, sizeof *self);
    for (int k = 1; k < argc && strcmp(argv[k], "--") != 0; k++) {
        if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) {
            load_options_usage(stdout);
            return 1;
        }
    }
    if (argc < 2) {
        return load_fail(err, "a command is needed; beamload --help names them");
    }
    if (find_command(self, argv[1], err) < 0) {
        return -1;
    }
    defaults(self);
    int at = 2;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0 && argv[at][2]; at++) {
        if (parse_one(self, argc, argv, &at, err) < 0) {
            return -1;
        }
    }
    /* FILE may stand before the options too. */
    if (at < argc && strcmp(argv[at], "--") != 0) {
        char *const file = argv[at];
        for (int k = at; k + 1 < argc; k++) {
            argv[k] = argv[k + 1];
        }
        argv[argc - 1] = file;
        for (; at < argc - 1 && strncmp(argv[at], "--", 2) == 0 && argv[at][2]; at++) {
            if (parse_one(self, argc - 1, argv, &at, err) < 0) {
                return -1;
            }
        }
    }
    at += at < argc && strcmp(argv[at], "--") == 0;
    self->rest = argv + at;
    self->rest_count = argc - at;
    return finish(self, err);
}

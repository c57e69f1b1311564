/* beamctl top: the loop and the screen. */
#include "beamctl_top.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "beamctl.h"
#include "beamctl_terminal.h"

enum { TURN_MS = 200 };
static const double SILENCE_INTERVALS = 3; /* without a message: something is wrong */

typedef struct top {
    beamc_client *client;
    const beamctl_settings *s;
    top_sort sort;
    bool live; /* a screen that is drawn again */
    top_memory memory;
    double shown_s;    /* when a frame was shown last */
    double heard_s;    /* when the last message came, the start before the first */
    double expected_s; /* telemetry's own interval, 0 before the first message */
    unsigned long frames;
    bool silent; /* told on the screen */
} top;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Home, each line cut at the terminal's width and cleared behind, then everything below. */
static void put_screen(const char *text, int columns, int rows)
{
    fputs("\033[H", stdout);
    for (int row = 0; *text && row < rows - 1; row++) {
        const int length = (int)strcspn(text, "\n");
        printf("%.*s\033[K\r\n", length < columns ? length : columns, text);
        text += length;
        text += *text == '\n';
    }
    fputs("\033[J", stdout);
}

static beamc_code show(top *self, const beamc_telemetry *telemetry, beamc_error *err)
{
    if (self->s->json) {
        beamctl_json_print(top_json(telemetry, &self->memory, self->sort));
        return BEAMC_OK;
    }
    if (!self->live) {
        if (self->frames > 0) {
            putchar('\n');
        }
        top_draw(stdout, telemetry, &self->memory, self->sort, 0);
        fflush(stdout);
        return BEAMC_OK;
    }
    int columns, rows;
    char *text = NULL;
    size_t size = 0;
    terminal_size(&columns, &rows);
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        *err = (beamc_error){.code = BEAMC_E_MEMORY, .text = "no memory for a frame"};
        return BEAMC_E_MEMORY;
    }
    top_draw(out, telemetry, &self->memory, self->sort, rows - 2);
    fprintf(out,
            "by %s; keys: i id, r answers, l latency, m missed, w rate, b rms, a age, q quit\n",
            top_sort_text(self->sort));
    fclose(out);
    if (self->frames == 0) {
        fputs("\033[2J", stdout);
    }
    put_screen(text, columns, rows);
    fflush(stdout);
    free(text);
    return BEAMC_OK;
}

static beamc_code take(top *self, const beamc_telemetry *telemetry, beamc_error *err)
{
    const double now = now_s();
    const bool first = !self->memory.filled;
    self->heard_s = now;
    self->expected_s = telemetry->interval_s;
    self->silent = false;
    if (!first && now - self->shown_s < self->s->interval_s) {
        return BEAMC_OK;
    }
    /* Rates need two messages: a live screen shows the first without them, a script waits. */
    beamc_code code = BEAMC_OK;
    if (self->live || !first) {
        code = show(self, telemetry, err);
        self->frames++;
    }
    self->shown_s = now;
    top_remember(&self->memory, telemetry);
    return code;
}

/* Nothing came for long: is there a daemon at all? */
static int ask_why(top *self)
{
    beamc_status status;
    beamc_error err;
    if (beamc_status_get(self->client, NULL, self->s->timeout_ms, &status, &err)) {
        return beamctl_fail(&err);
    }
    return beamctl_failed("beamd answers and sends no telemetry: its telemetry_endpoint is off or "
                          "another one, or telemetry_ms is longer than --timeout");
}

static bool too_long(const top *self)
{
    const double patience =
        (double)self->s->timeout_ms * 1e-3 + SILENCE_INTERVALS * self->expected_s;
    return now_s() - self->heard_s > patience;
}

static bool wants_more(top *self)
{
    const char key = self->live ? terminal_key() : 0;
    const top_sort sort = top_sort_of_key(key);
    self->sort = key && sort < TOP_SORTS ? sort : self->sort;
    return !beamctl_stop && key != 'q' && (self->s->batch == 0 || self->frames < self->s->batch);
}

static int loop(top *self)
{
    beamc_error err;
    self->heard_s = now_s();
    while (wants_more(self)) {
        beamc_answer answer;
        beamc_code code = beamc_receive(self->client, TURN_MS, &answer, &err);
        if (!code && answer.kind == BEAMC_ANSWER_TELEMETRY) {
            code = take(self, answer.telemetry, &err);
        } else if (code == BEAMC_E_TIMEOUT) {
            code = BEAMC_OK;
            if (too_long(self) && (!self->live || !self->memory.filled)) {
                return ask_why(self);
            }
            if (too_long(self) && !self->silent) { /* the daemon may come back */
                self->silent = true;
                fputs("\033[Hno telemetry: is beamd still there?\033[K\r", stdout);
                fflush(stdout);
            }
        }
        if (code) {
            return beamctl_stop ? BEAMCTL_DONE : beamctl_fail(&err);
        }
        if (ferror(stdout)) {
            return BEAMCTL_DONE; /* a reader that has enough; main tells of it */
        }
    }
    return BEAMCTL_DONE;
}

int beamctl_top(const beamctl_settings *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static top self; /* its memory is larger than a stack frame should be */
    beamc_error err;
    self = (top){.s = s, .live = s->batch == 0 && !s->json && isatty(STDOUT_FILENO)};
    if (s->sort && !top_sort_parse(s->sort, &self.sort)) {
        return beamctl_wrong_usage("--sort takes id, rate, latency, missed, wsr, rms or age");
    }
    beamc_code code = beamc_connect(&self.client, &s->connection, &err);
    if (!code) {
        code = beamc_subscribe_telemetry(self.client, &err);
    }
    int status;
    if (code) {
        status = beamctl_fail(&err);
    } else {
        if (self.live) {
            terminal_raw();
        }
        status = loop(&self);
        terminal_restore();
    }
    beamc_close(&self.client);
    return status;
}

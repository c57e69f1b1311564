#include "beamctl_table.h"

#include <string.h>

/* What --help shows of them: a line for each form. */
static const struct usage {
    const char *name, *words, *help;
} USAGES[] = {
    {"status", "[CLUSTER]", "the daemon and its clusters, or one of them"},
    {"clusters", "", "registered clusters and their sizes"},
    {"preference", "get [CLUSTER]", "the trade-off in use, of the daemon's default or a cluster"},
    {"preference", "set [CLUSTER] TAU", "TAU from 0, communication only, to 1, sensing only"},
    {"preference", "remove CLUSTER", "takes the named preference --name away"},
    {"front", "CLUSTER", "every trade-off of a cluster at once, drawn"},
    {"top", "", "rates, latencies, quality and backends, live"},
    {"watch", "[CLUSTER...]", "published solutions as they come, of all clusters by default"},
    {"model", "", "the network's model: sizes, checksum, training"},
    {"model", "reload [FILE]", "read FILE, or the configured model again, and use it"},
    {"config", "[get [KEY]]", "the settings as they hold now"},
    {"config", "check", "what a reload would change; changes nothing"},
    {"config", "reload", "read the configuration file again: all of it or nothing"},
    {"log-level", "LEVEL", "err, warning, notice, info or debug"},
    {"drain", "", "answer what was accepted, refuse the rest, end"},
    {"doctor", "", "what slows beamd down on this machine, and how to fix it"},
    {"keygen", "DIR [...]", "keys for encrypted connections; see beamctl keygen --help"},
};
enum { USAGE_ROWS = sizeof USAGES / sizeof USAGES[0] };

const beamctl_option BEAMCTL_OPTIONS[BEAMCTL_OPTION_ROWS] = {
    {"json", NULL, OPTION_JSON, NULL, "one JSON object per line"},
    {"runtime-dir", "DIR", OPTION_RUNTIME_DIR, NULL, "where the daemon's sockets are"},
    {"control", "ENDPOINT", OPTION_CONTROL, NULL, "ZeroMQ endpoint of the control socket"},
    {"beams", "ENDPOINT", OPTION_BEAMS, NULL, "ZeroMQ endpoint of the beams socket"},
    {"telemetry", "ENDPOINT", OPTION_TELEMETRY, NULL, "ZeroMQ endpoint of the telemetry socket"},
    {"curve-server-key", "KEY", OPTION_CURVE_SERVER, NULL,
     "the daemon's public key, or file:PATH of it, for tcp"},
    {"curve-secret-key", "file:PATH", OPTION_CURVE_SECRET, NULL, "this client's secret key"},
    {"curve-public-key", "KEY", OPTION_CURVE_PUBLIC, NULL,
     "this client's; made from the secret one by default"},
    {"timeout", "MS", OPTION_TIMEOUT, NULL, "longest wait for an answer, 2000; front: 30000"},
    {"help", NULL, OPTION_HELP, NULL, "this text; with a command, what belongs to it"},
    {"version", NULL, OPTION_VERSION, NULL, "the program's version"},
    {"man", NULL, OPTION_MAN, NULL, "the manual page, for man(1)"},
    {"name", "NAME", OPTION_NAME, "preference", "of a named preference of the cluster"},
    {"points", "K", OPTION_POINTS, "front", "points of the front, 2 to 65, default 33"},
    {"subband", "INDEX", OPTION_SUBBAND, "front", "of which subband, default 0"},
    {"svg", "FILE", OPTION_SVG, "front", "draw into FILE as well; - for standard output only"},
    {"table", NULL, OPTION_TABLE, "front", "print the points below the drawing"},
    {"once", NULL, OPTION_ONCE, "top", "one frame, then end"},
    {"batch", "N", OPTION_BATCH, "top", "N frames, one below the other, then end"},
    {"interval", "S", OPTION_INTERVAL, "top", "at least S seconds between two frames"},
    {"sort", "KEY", OPTION_SORT, "top", "clusters by id, rate, latency, missed, wsr, rms or age"},
    {"count", "N", OPTION_COUNT, "watch", "stop after N lines"},
    {"root", "DIR", OPTION_ROOT, "doctor", "look at the machine below DIR; asks no daemon"},
    {"real-time", NULL, OPTION_REAL_TIME, "doctor", "judge for real-time scheduling"},
    {"offline", NULL, OPTION_OFFLINE, "doctor", "ask no daemon"},
};

static void print_options(FILE *out, const char *of)
{
    for (int k = 0; k < BEAMCTL_OPTION_ROWS; k++) {
        const beamctl_option *row = &BEAMCTL_OPTIONS[k];
        char left[64];
        if (of && row->command && strcmp(row->command, of) != 0) {
            continue;
        }
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->word ? " " : "",
                 row->word ? row->word : "");
        fprintf(out, "  %-28s  %s%s%s\n", left, !of && row->command ? row->command : "",
                !of && row->command ? ": " : "", row->help);
    }
}

void beamctl_print_usage(FILE *out, const char *of)
{
    fprintf(out, "usage: beamctl [options] %s\n\ncommands\n", of ? of : "COMMAND");
    for (int k = 0; k < USAGE_ROWS; k++) {
        char left[64];
        if (!of || strcmp(USAGES[k].name, of) == 0) {
            snprintf(left, sizeof left, "%s %s", USAGES[k].name, USAGES[k].words);
            fprintf(out, "  %-28s  %s\n", left, USAGES[k].help);
        }
    }
    fputs("\noptions\n", out);
    print_options(out, of);
    fputs(
        "\nSockets are looked for in $BEAMD_RUNTIME_DIR, /run/beamd (root), "
        "$XDG_RUNTIME_DIR/beamd, /tmp/beamd-UID.\n"
        "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no daemon answered; doctor: 1 "
        "something\nis bad, 4 nothing is bad but there are warnings.\n",
        out);
}

/* Text as roff takes it: no line begins with a control character, hyphens stay hyphens. */
static void put_roff(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\') {
            fputs("\\e", out);
        } else if (*text == '-') {
            fputs("\\-", out);
        } else {
            fputc(*text, out);
        }
    }
}

/* A tagged paragraph; `words` may be empty. */
static void put_tag(FILE *out, const char *dashes, const char *name, const char *words)
{
    fprintf(out, ".TP\n.BI \"%s", dashes);
    put_roff(out, name);
    fputs(words[0] ? " \" \"" : "", out);
    put_roff(out, words);
    fputs("\"\n", out);
}

void beamctl_print_manual(FILE *out, const char *version)
{
    fprintf(
        out,
        ".TH BEAMCTL 1 \"\" \"beamd %s\" \"beamd\"\n"
        ".SH NAME\nbeamctl \\- see and rule a running beamd(8)\n"
        ".SH SYNOPSIS\n.B beamctl\n.RI [ options ]\n.I COMMAND\n.RI [ words ]\n"
        ".SH DESCRIPTION\nAsks the daemon through its sockets, which are looked for in "
        "$BEAMD_RUNTIME_DIR, /run/beamd (root), $XDG_RUNTIME_DIR/beamd and /tmp/beamd\\-UID. An "
        "error is one line on standard error.\n.SH COMMANDS\n",
        version);
    for (int k = 0; k < USAGE_ROWS; k++) {
        put_tag(out, "", USAGES[k].name, USAGES[k].words);
        put_roff(out, USAGES[k].help);
        fputs("\n", out);
    }
    fputs(".SH OPTIONS\n", out);
    for (int k = 0; k < BEAMCTL_OPTION_ROWS; k++) {
        const beamctl_option *row = &BEAMCTL_OPTIONS[k];
        put_tag(out, "\\-\\-", row->name, row->word ? row->word : "");
        if (row->command) {
            fprintf(out, "(%s) ", row->command);
        }
        put_roff(out, row->help);
        fputs("\n", out);
    }
    fputs(
        ".SH EXIT STATUS\n"
        ".TP\n0\ndone\n.TP\n1\nthe daemon refused, or something failed; doctor: something is bad\n"
        ".TP\n2\nwrong command line\n.TP\n3\nno daemon answered in time\n"
        ".TP\n4\ndoctor: nothing is bad, but there are warnings\n"
        ".SH SEE ALSO\n.BR beamd (8),\n.BR beamd.conf (5)\n",
        out);
}

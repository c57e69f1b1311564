#include "lab/gnuplot.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NO_FOLDER = 126, EXIT_NO_GNUPLOT = 127 };

static void become_gnuplot(int script, const char *folder)
{
    if (folder && chdir(folder) != 0) {
        _exit(EXIT_NO_FOLDER);
    }
    if (dup2(script, STDIN_FILENO) < 0) {
        _exit(EXIT_NO_FOLDER);
    }
    execlp("gnuplot", "gnuplot", "-", (char *)NULL);
    _exit(EXIT_NO_GNUPLOT);
}

beam_code lab_gnuplot_run(FILE *script, const char *folder, beam_error *err)
{
    if (fflush(script) != 0 || fseek(script, 0, SEEK_SET) != 0) {
        return beam_fail(err, BEAM_E_INVALID, NULL, "script cannot be written: %s",
                         strerror(errno));
    }
    /* nothing buffered may be written twice */
    fflush(stdout);
    fflush(stderr);
    const pid_t child = fork();
    if (child < 0) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "gnuplot cannot be started: %s", strerror(errno));
    }
    if (child == 0) {
        become_gnuplot(fileno(script), folder);
    }
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return beam_fail(err, BEAM_E_INVALID, NULL, "gnuplot was lost: %s", strerror(errno));
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return BEAM_OK;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_GNUPLOT) {
        return beam_fail(err, BEAM_E_UNSUPPORTED, NULL,
                         "gnuplot is not installed (Debian package gnuplot-nox)");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_FOLDER) {
        return beam_fail(err, BEAM_E_INVALID, NULL, "the folder cannot be entered");
    }
    return beam_fail(err, BEAM_E_INVALID, NULL, "gnuplot failed, status %d", status);
}

void lab_gnuplot_quote(FILE *script, const char *text)
{
    fputc('\'', script);
    for (; *text; text++) {
        fputs(*text == '\'' ? "''" : (char[]){*text, '\0'}, script);
    }
    fputc('\'', script);
}

void lab_gnuplot_log_axis(FILE *script, char axis, double low, double high)
{
    static const double steps[] = {1, 1.5, 2, 3, 4, 5, 7};
    const double decades = log10(high / low);
    const int stride = decades > 2 ? 7 : decades > 1 ? 2 : 1; /* 1; 1 2 4 7; all */
    fprintf(script, "set logscale %c\nset %crange [%.12g:%.12g]\nset format %c '%%g'\nset %ctics (",
            axis, axis, low, high, axis, axis);
    bool first = true;
    for (int decade = (int)floor(log10(low)); decade <= (int)ceil(log10(high)); decade++) {
        for (int i = 0; i < 7; i += stride) {
            const double at = steps[i] * pow(10, decade);
            if (at >= low && at <= high) {
                fprintf(script, "%s%.6g", first ? "" : ", ", at);
                first = false;
            }
        }
    }
    fputs(")\n", script);
}

void lab_gnuplot_look(FILE *script)
{
    fputs("set grid lt 1 lw 0.5 lc rgb '#dddddd'\nset border 3\nset tics nomirror\n", script);
}

#include "lab/gnuplot.h"

#include <errno.h>
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

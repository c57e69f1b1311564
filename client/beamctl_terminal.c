#include "beamctl_terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t raw_in, raw_out;

static int size_variable(const char *name, int fallback)
{
    const char *text = getenv(name);
    const long value = text ? strtol(text, NULL, 10) : 0;
    return value > 0 && value < 10000 ? (int)value : fallback;
}

void terminal_size(int *columns, int *rows)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
        return;
    }
    *columns = size_variable("COLUMNS", 80);
    *rows = size_variable("LINES", 24);
}

static void write_all(const char *text)
{
    const size_t n = strlen(text);
    for (size_t at = 0; at < n;) {
        const ssize_t written = write(STDOUT_FILENO, text + at, n - at);
        if (written <= 0) {
            return; /* a terminal that is gone needs no restoring */
        }
        at += (size_t)written;
    }
}

static void enter(void)
{
    if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0) {
        struct termios keys = before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        keys.c_cc[VMIN] = 0;
        keys.c_cc[VTIME] = 0;
        raw_in = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    }
    raw_out = 1;
    write_all("\033[?25l");
}

void terminal_restore(void)
{
    if (raw_out) {
        raw_out = 0;
        write_all("\033[?25h\r\n");
    }
    if (raw_in) {
        raw_in = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
}

/* ^Z: the shell gets its terminal as it was; SIGCONT goes on behind raise. */
static void on_stop(int number)
{
    (void)number;
    const int keep = errno;
    terminal_restore();
    raise(SIGSTOP);
    enter();
    errno = keep;
}

void terminal_raw(void)
{
    if (!isatty(STDOUT_FILENO)) {
        return;
    }
    enter();
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTSTP, &action, NULL);
}

char terminal_key(void)
{
    char key = 0;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!raw_in || poll(&p, 1, 0) <= 0 || read(STDIN_FILENO, &key, 1) != 1) {
        return 0;
    }
    return key;
}

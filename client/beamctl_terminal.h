/* The terminal, if there is one. */
#ifndef BEAMCTL_TERMINAL_H
#define BEAMCTL_TERMINAL_H

/* Of standard output: the terminal's (TIOCGWINSZ), else $COLUMNS and $LINES, else 80 x 24. */
void terminal_size(int *columns, int *rows);

/* Keys without Enter and without echo, the cursor hidden; undone by terminal_restore, which also
 * runs when the process is stopped (^Z) and is safe in a signal handler. Does nothing where
 * standard output is no terminal. Keys are read only where standard input is one. */
void terminal_raw(void);
void terminal_restore(void);
/* A key that waits on standard input, 0: none. */
char terminal_key(void);

#endif

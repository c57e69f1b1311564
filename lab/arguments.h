/* Command lines: one table of options per command; parsing, range checks and --help come from it.
 */
#ifndef LAB_ARGUMENTS_H
#define LAB_ARGUMENTS_H

#include <stddef.h>

#include "beam/error.h"

/* Exit status of the program. */
enum { LAB_EXIT_OK = 0, LAB_EXIT_FAILED = 1, LAB_EXIT_USAGE = 2, LAB_EXIT_HELP = 3 };

typedef enum lab_option_kind {
    LAB_OPTION_FLAG,    /* bool: set to true */
    LAB_OPTION_TEXT,    /* const char * */
    LAB_OPTION_MAYBE,   /* const char *: the next word unless it is an option; "" without one */
    LAB_OPTION_INTEGER, /* int in [low, high] */
    LAB_OPTION_NUMBER,  /* double in [low, high] */
    LAB_OPTION_NUMBERS, /* lab_numbers: one or more numbers in [low, high], as words or separated by
                           commas; may repeat */
    LAB_OPTION_CHOICE   /* int: index in `choices` */
} lab_option_kind;

typedef struct lab_numbers {
    double *values; /* to be freed */
    int count;
} lab_numbers;

typedef struct lab_option {
    const char *name; /* without "--" */
    lab_option_kind kind;
    void *value; /* keeps its default when the option is not given */
    double low, high;
    const char *choices; /* "a|b|c" */
    const char *help;
} lab_option;

typedef struct lab_command_line {
    const char *usage; /* "solve SCENE.json [options]" */
    const char *about; /* one or two sentences */
    const lab_option *options;
    int option_count;
    int least_words, most_words; /* words that are not options */
} lab_command_line;

/* words: [most_words] receives pointers into argv. LAB_EXIT_OK, LAB_EXIT_USAGE (one line was
 * printed on stderr) or LAB_EXIT_HELP (help was printed on stdout). */
int lab_arguments_parse(const lab_command_line *line, int argc, char **argv, const char **words,
                        int *word_count);

/* "beamlab COMMAND WORD ...", so that results can be made again; cut at `size`. */
void lab_arguments_join(const char *command, int argc, char **argv, char *out, size_t size);

/* One line "beamlab: ..." on stderr. Returns LAB_EXIT_USAGE. */
__attribute__((format(printf, 1, 2))) int lab_complain(const char *format, ...);
/* "beamlab: PATH: FIELD: TEXT" */
int lab_complain_file(const char *path, const beam_error *err);

#endif

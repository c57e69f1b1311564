/* The options that name a method and its settings, shared by several commands. */
#ifndef LAB_METHOD_OPTIONS_H
#define LAB_METHOD_OPTIONS_H

#include "lab/arguments.h"
#include "lab/runner.h"

enum { LAB_METHOD_OPTION_COUNT = 13 };

/* Raw values as the parser stores them. */
typedef struct lab_method_choice {
    int method, classical, sensing, threads, refine, max_iterations;
    int paper_preferences, paper_iterations, paper_lower_steps, seed;
    double time_limit_ms;
    const char *repairs, *model;
} lab_method_choice;
lab_method_choice lab_method_choice_default(void);

/* Fills LAB_METHOD_OPTION_COUNT options that point into `choice`. */
void lab_method_options(lab_option *options, lab_method_choice *choice);

/* LAB_EXIT_OK or LAB_EXIT_USAGE: one line was printed (unknown repair, method that is not built).
 */
int lab_method_resolve(const lab_method_choice *choice, lab_run_options *out);

#endif

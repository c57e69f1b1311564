/* beamctl as a child process: its standard output, its standard error, its exit status. */
#ifndef TESTS_SYSTEM_BEAMCTL_CHILD_H
#define TESTS_SYSTEM_BEAMCTL_CHILD_H

#include <jansson.h>

typedef struct ctl_outcome {
    int status;
    char *out, *err; /* what it printed; outcome_free */
} ctl_outcome;

/* Runs `beamctl --runtime-dir DIR words...`; NULL ends the words. */
ctl_outcome ctl_run(const char *dir, ...);
void ctl_outcome_free(ctl_outcome *o);
/* The exit status, and what must be in the two texts; frees the ctl_outcome. */
void ctl_expect(ctl_outcome o, int status, const char *out, const char *err);
/* The one JSON object of a successful run; frees the ctl_outcome. */
json_t *ctl_object(ctl_outcome o);

/* Members that must be there and of that kind. */
json_int_t ctl_whole(const json_t *object, const char *key);
double ctl_real(const json_t *object, const char *key);
const char *ctl_word(const json_t *object, const char *key);

#endif

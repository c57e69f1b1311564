#define _GNU_SOURCE
#include "system/beamctl_child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { ARGS_MAX = 16 };

static char *slurp(int fd)
{
    const off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    close(fd);
    return text;
}

ctl_outcome ctl_run(const char *dir, ...)
{
    const char *args[ARGS_MAX + 4] = {BEAMCTL_BINARY, "--runtime-dir", dir};
    int n = 3;
    va_list words;
    va_start(words, dir);
    for (const char *word; (word = va_arg(words, const char *)) != NULL && n < ARGS_MAX;) {
        args[n++] = word;
    }
    va_end(words);
    const int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
    const pid_t pid = fork();
    assert_true(out >= 0 && err >= 0 && pid >= 0);
    if (pid == 0) {
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(BEAMCTL_BINARY, (char *const *)args);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return (ctl_outcome){WEXITSTATUS(status), slurp(out), slurp(err)};
}

void ctl_outcome_free(ctl_outcome *o)
{
    free(o->out);
    free(o->err);
}

void ctl_expect(ctl_outcome o, int status, const char *out, const char *err)
{
    if (o.status != status || !strstr(o.out, out) || !strstr(o.err, err)) {
        fail_msg("exit status %d, standard output:\n%s\nstandard error:\n%s\nexpected %d, \"%s\" "
                 "and \"%s\"",
                 o.status, o.out, o.err, status, out, err);
    }
    ctl_outcome_free(&o);
}

/* The documented names: a field that is not among them is one that nobody can rely on. */
static void check_documented(const json_t *value)
{
    static char *text;
    const char *key;
    json_t *member;
    size_t index;
    if (!text) {
        const int fd = open(BEAMCTL_DOC, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        text = slurp(fd);
    }
    json_array_foreach(value, index, member)
    {
        check_documented(member);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        bool found = false;
        const size_t n = strlen(key);
        for (const char *at = text; !found && (at = strstr(at, key)) != NULL; at++) {
            found = strchr(" `{[", at[-1]) && strchr(" `{}[],", at[n]) && at[n];
        }
        if (!found) {
            fail_msg("the field %s is not in %s", key, BEAMCTL_DOC);
        }
        check_documented(member);
    }
}

json_t *ctl_object(ctl_outcome o)
{
    json_error_t error;
    if (o.status != 0) {
        fail_msg("exit status %d: %s", o.status, o.err);
    }
    json_t *object = json_loads(o.out, 0, &error);
    if (!object) {
        fail_msg("not JSON (%s): %s", error.text, o.out);
    }
    assert_true(json_is_object(object));
    check_documented(object);
    ctl_outcome_free(&o);
    return object;
}

json_int_t ctl_whole(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value)) {
        fail_msg("%s is not a whole number", key);
    }
    return json_integer_value(value);
}

double ctl_real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) {
        fail_msg("%s is not a number", key);
    }
    return json_number_value(value);
}

const char *ctl_word(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text) {
        fail_msg("%s is not text", key);
    }
    return text;
}

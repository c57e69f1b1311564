#include "lab/arguments.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lab_complain(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++) {
        if (*c == '\n' || *c == '\r') {
            *c = ' '; /* one line, whatever a file name or a parser's message holds */
        }
    }
    fprintf(stderr, "beamlab: %s\n", text);
    return LAB_EXIT_USAGE;
}

int lab_complain_file(const char *path, const beam_error *err)
{
    /* the engine's sentences often begin with the field */
    const bool named = strncmp(err->text, err->field, strlen(err->field)) == 0;
    return lab_complain("%s: %s%s%s", path, named ? "" : err->field, named ? "" : ": ", err->text);
}

static void print_option(const lab_option *option)
{
    static const char *const forms[] = {"",        " TEXT",       " [TEXT]", " INTEGER",
                                        " NUMBER", " NUMBER ...", " "};
    char left[96];
    snprintf(left, sizeof left, "--%s%s%s", option->name, forms[option->kind],
             option->kind == LAB_OPTION_CHOICE ? option->choices : "");
    printf("  %-34s %s\n", left, option->help);
}

static int print_help(const lab_command_line *line)
{
    printf("usage: beamlab %s\n%s\n", line->usage, line->about);
    if (line->option_count > 0) {
        puts("options:");
    }
    for (int i = 0; i < line->option_count; i++) {
        print_option(&line->options[i]);
    }
    return LAB_EXIT_HELP;
}

static bool parse_number(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out);
}

static int parse_in_range(const lab_option *option, const char *text, double *out)
{
    const bool integer = option->kind == LAB_OPTION_INTEGER;
    if (!parse_number(text, out) || *out < option->low || *out > option->high ||
        (integer && *out != floor(*out))) {
        return lab_complain("--%s: must be %s from %.12g to %.12g, is \"%s\"", option->name,
                            integer ? "an integer" : "a number", option->low, option->high, text);
    }
    return LAB_EXIT_OK;
}

static int append_numbers(const lab_option *option, const char *word)
{
    lab_numbers *numbers = option->value;
    char *copy = strdup(word), *rest = copy, *part;
    int rc = copy ? LAB_EXIT_OK : lab_complain("out of memory");
    while (!rc && (part = strsep(&rest, ",")) != NULL) {
        double value;
        rc = parse_in_range(option, part, &value);
        double *grown =
            rc ? NULL
               : realloc(numbers->values, ((size_t)numbers->count + 1) * sizeof *numbers->values);
        if (!rc && !grown) {
            rc = lab_complain("out of memory");
        }
        if (!rc) {
            numbers->values = grown;
            numbers->values[numbers->count++] = value;
        }
    }
    free(copy);
    return rc;
}

static int parse_choice(const lab_option *option, const char *word)
{
    const char *at = option->choices;
    const size_t length = strlen(word);
    for (int index = 0; at; index++) {
        const char *bar = strchr(at, '|');
        const size_t size = bar ? (size_t)(bar - at) : strlen(at);
        if (size == length && memcmp(at, word, size) == 0) {
            *(int *)option->value = index;
            return LAB_EXIT_OK;
        }
        at = bar ? bar + 1 : NULL;
    }
    return lab_complain("--%s: must be one of %s, is \"%s\"", option->name, option->choices, word);
}

/* A further word of a list: begins like a number. */
static bool continues_list(const char *word)
{
    char *end;
    strtod(word, &end);
    return end != word && (*end == '\0' || *end == ',');
}

/* Consumes the option's words after argv[*i]. */
static int parse_option(const lab_option *option, const char *inline_value, int argc, char **argv,
                        int *i)
{
    if (option->kind == LAB_OPTION_FLAG) {
        if (inline_value) {
            return lab_complain("--%s: takes no value", option->name);
        }
        *(bool *)option->value = true;
        return LAB_EXIT_OK;
    }
    if (option->kind == LAB_OPTION_MAYBE && !inline_value &&
        (*i + 1 >= argc || argv[*i + 1][0] == '-')) {
        *(const char **)option->value = "";
        return LAB_EXIT_OK;
    }
    if (!inline_value && *i + 1 >= argc) {
        return lab_complain("--%s: needs a value", option->name);
    }
    const char *word = inline_value ? inline_value : argv[++*i];
    double value = 0;
    int rc = LAB_EXIT_OK;
    switch (option->kind) {
    case LAB_OPTION_TEXT:
    case LAB_OPTION_MAYBE:
        *(const char **)option->value = word;
        break;
    case LAB_OPTION_INTEGER:
        rc = parse_in_range(option, word, &value);
        if (!rc) {
            *(int *)option->value = (int)value;
        }
        break;
    case LAB_OPTION_NUMBER:
        rc = parse_in_range(option, word, &value);
        if (!rc) {
            *(double *)option->value = value;
        }
        break;
    case LAB_OPTION_CHOICE:
        rc = parse_choice(option, word);
        break;
    default:
        rc = append_numbers(option, word);
        while (!rc && !inline_value && *i + 1 < argc && continues_list(argv[*i + 1])) {
            rc = append_numbers(option, argv[++*i]);
        }
    }
    return rc;
}

static const lab_option *find_option(const lab_command_line *line, const char *name, size_t size)
{
    for (int i = 0; i < line->option_count; i++) {
        if (strlen(line->options[i].name) == size &&
            memcmp(line->options[i].name, name, size) == 0) {
            return &line->options[i];
        }
    }
    return NULL;
}

int lab_arguments_parse(const lab_command_line *line, int argc, char **argv, const char **words,
                        int *word_count)
{
    int count = 0;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            return print_help(line);
        }
        if (word[0] != '-' || word[1] == '\0') {
            if (count == line->most_words) {
                return lab_complain("unexpected word \"%s\"; usage: beamlab %s", word, line->usage);
            }
            words[count++] = word;
            continue;
        }
        const char *equals = strchr(word, '=');
        const size_t size = equals ? (size_t)(equals - word) : strlen(word);
        const lab_option *option =
            strncmp(word, "--", 2) == 0 ? find_option(line, word + 2, size - 2) : NULL;
        if (!option) {
            return lab_complain("unknown option %.*s; usage: beamlab %s", (int)size, word,
                                line->usage);
        }
        const int rc = parse_option(option, equals ? equals + 1 : NULL, argc, argv, &i);
        if (rc) {
            return rc;
        }
    }
    if (count < line->least_words) {
        return lab_complain("usage: beamlab %s", line->usage);
    }
    *word_count = count;
    return LAB_EXIT_OK;
}

void lab_arguments_join(const char *command, int argc, char **argv, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "beamlab %s", command);
    for (int i = 0; i < argc && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, " %s", argv[i]);
    }
}

#include "lab/json_read.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

static json_t *parse_result(json_t *root, const json_error_t *error, beam_error *err)
{
    if (root) {
        return root;
    }
    char where[48] = "";
    if (error->line > 0) {
        snprintf(where, sizeof where, "line %d column %d", error->line, error->column);
    }
    beam_fail(err, BEAM_E_INVALID, where, "%s", error->text);
    return NULL;
}

json_t *lab_json_load(const char *path, beam_error *err)
{
    json_error_t error;
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    errno = file ? 0 : errno;
    json_t *root = file ? json_loadf(file, JSON_REJECT_DUPLICATES, &error) : NULL;
    const int cause = errno;
    const bool unread = !file || ferror(file); /* to jansson a directory is an empty file */
    if (file && !standard) {
        fclose(file);
    }
    if (unread) {
        json_decref(root);
        beam_fail(err, BEAM_E_INVALID, NULL, "cannot be read: %s", strerror(cause));
        return NULL;
    }
    return parse_result(root, &error, err);
}

json_t *lab_json_parse(const char *text, size_t size, beam_error *err)
{
    json_error_t error;
    return parse_result(json_loadb(text, size, JSON_REJECT_DUPLICATES, &error), &error, err);
}

lab_node lab_node_root(const json_t *root)
{
    return (lab_node){.value = root, .path = ""};
}

static beam_code check_object(const lab_node *node, beam_error *err)
{
    if (!json_is_object(node->value)) {
        return beam_fail(err, BEAM_E_INVALID, node->path, "must be an object, is %s",
                         type_name(node->value));
    }
    return BEAM_OK;
}

/* Deeper than any member of the formats: still a readable beginning. */
static void mark_truncated(char *path, size_t size)
{
    memcpy(path + size - 4, "...", 4);
}

static void path_member(const lab_node *object, const char *key, char *out, size_t size)
{
    const char *dot = object->path[0] ? "." : "";
    if (snprintf(out, size, "%s%s%s", object->path, dot, key) >= (int)size) {
        mark_truncated(out, size);
    }
}

beam_code lab_node_find(const lab_node *object, const char *key, lab_node *out, beam_error *err)
{
    const beam_code code = check_object(object, err);
    if (code) {
        return code;
    }
    /* built aside: out may be the object itself */
    lab_node child;
    path_member(object, key, child.path, sizeof child.path);
    child.value = json_object_get(object->value, key);
    if (json_is_null(child.value)) {
        child.value = NULL;
    }
    *out = child;
    return BEAM_OK;
}

beam_code lab_node_get(const lab_node *object, const char *key, lab_node *out, beam_error *err)
{
    const beam_code code = lab_node_find(object, key, out, err);
    if (code) {
        return code;
    }
    if (!out->value) {
        return beam_fail(err, BEAM_E_INVALID, out->path, "is missing");
    }
    return BEAM_OK;
}

lab_node lab_node_at(const lab_node *array, size_t i)
{
    lab_node child;
    if (snprintf(child.path, sizeof child.path, "%s[%zu]", array->path, i) >=
        (int)sizeof child.path) {
        mark_truncated(child.path, sizeof child.path);
    }
    child.value = json_array_get(array->value, i);
    return child;
}

beam_code lab_node_array(const lab_node *node, long size, size_t *found, beam_error *err)
{
    if (!json_is_array(node->value)) {
        return beam_fail(err, BEAM_E_INVALID, node->path, "must be an array, is %s",
                         type_name(node->value));
    }
    const size_t met = json_array_size(node->value);
    if (size >= 0 && met != (size_t)size) {
        return beam_fail(err, BEAM_E_INVALID, node->path, "must have %ld elements, has %zu", size,
                         met);
    }
    if (found) {
        *found = met;
    }
    return BEAM_OK;
}

beam_code lab_node_number(const lab_node *node, double *out, beam_error *err)
{
    if (!json_is_number(node->value)) {
        return beam_fail(err, BEAM_E_INVALID, node->path, "must be a number, is %s",
                         type_name(node->value));
    }
    *out = json_number_value(node->value);
    if (!isfinite(*out)) {
        return beam_fail(err, BEAM_E_INVALID, node->path, "must be finite");
    }
    return BEAM_OK;
}

beam_code lab_node_integer(const lab_node *node, long low, long high, long *out, beam_error *err)
{
    double value = 0;
    const beam_code code = lab_node_number(node, &value, err);
    if (code) {
        return code;
    }
    if (value != floor(value) || value < (double)low || value > (double)high) {
        return beam_fail(err, BEAM_E_INVALID, node->path,
                         "must be an integer from %ld to %ld, is %.12g", low, high, value);
    }
    *out = (long)value;
    return BEAM_OK;
}

beam_code lab_node_text(const lab_node *node, char *out, size_t size, beam_error *err)
{
    if (!json_is_string(node->value)) {
        return beam_fail(err, BEAM_E_INVALID, node->path, "must be a string, is %s",
                         type_name(node->value));
    }
    const char *text = json_string_value(node->value);
    if (strlen(text) >= size) {
        return beam_fail(err, BEAM_E_LIMIT, node->path, "is longer than %zu characters", size - 1);
    }
    memcpy(out, text, strlen(text) + 1);
    return BEAM_OK;
}

/* Numbers of an array into out[0], out[stride], ...: element paths are only built for errors. */
static beam_code read_numbers(const lab_node *node, long count, size_t stride, double *out,
                              beam_error *err)
{
    size_t size;
    const beam_code code = lab_node_array(node, count, &size, err);
    if (code) {
        return code;
    }
    for (size_t i = 0; i < size; i++) {
        const json_t *value = json_array_get(node->value, i);
        const double number = json_number_value(value);
        if (!json_is_number(value) || !isfinite(number)) {
            const lab_node child = lab_node_at(node, i);
            return lab_node_number(&child, out, err);
        }
        out[i * stride] = number;
    }
    return BEAM_OK;
}

beam_code lab_node_numbers(const lab_node *node, long count, double *out, beam_error *err)
{
    return read_numbers(node, count, 1, out, err);
}

beam_code lab_node_complex_vector(const lab_node *node, long count, beam_complex *out,
                                  beam_error *err)
{
    lab_node part;
    beam_code code = lab_node_get(node, "re", &part, err);
    if (!code) {
        code = read_numbers(&part, count, 2, count ? &out->re : NULL, err);
    }
    if (!code) {
        code = lab_node_get(node, "im", &part, err);
    }
    if (!code) {
        code = read_numbers(&part, count, 2, count ? &out->im : NULL, err);
    }
    return code;
}

static beam_code read_part(const lab_node *node, const char *key, long rows, long cols,
                           double *first, beam_error *err)
{
    lab_node part;
    beam_code code = lab_node_get(node, key, &part, err);
    if (!code) {
        code = lab_node_array(&part, rows, NULL, err);
    }
    for (long i = 0; !code && i < rows; i++) {
        const lab_node row = lab_node_at(&part, (size_t)i);
        code = read_numbers(&row, cols, 2, first + 2 * i * cols, err);
    }
    return code;
}

beam_code lab_node_complex_matrix(const lab_node *node, long rows, long cols, beam_complex *out,
                                  beam_error *err)
{
    const beam_code code = read_part(node, "re", rows, cols, rows ? &out->re : NULL, err);
    return code ? code : read_part(node, "im", rows, cols, rows ? &out->im : NULL, err);
}

beam_code lab_node_complex_rows(const lab_node *node, size_t *rows, beam_error *err)
{
    lab_node part;
    const beam_code code = lab_node_get(node, "re", &part, err);
    return code ? code : lab_node_array(&part, -1, rows, err);
}

beam_code lab_get_number(const lab_node *object, const char *key, double *out, beam_error *err)
{
    lab_node node;
    const beam_code code = lab_node_get(object, key, &node, err);
    return code ? code : lab_node_number(&node, out, err);
}

beam_code lab_get_numbers(const lab_node *object, const char *key, long count, double *out,
                          beam_error *err)
{
    lab_node node;
    const beam_code code = lab_node_get(object, key, &node, err);
    return code ? code : lab_node_numbers(&node, count, out, err);
}

beam_code lab_node_format(const lab_node *root, const char *wanted, beam_error *err)
{
    char format[64];
    lab_node node;
    beam_code code = lab_node_get(root, "format", &node, err);
    if (!code) {
        code = lab_node_text(&node, format, sizeof format, err);
    }
    if (!code && strcmp(format, wanted) != 0) {
        return beam_fail(err, BEAM_E_INVALID, "format", "must be \"%s\", is \"%.40s\"", wanted,
                         format);
    }
    return code;
}

void lab_put_text(FILE *file, const char *text)
{
    json_t *value = json_string(text);
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    fputs(quoted ? quoted : "\"\"", file);
    free(quoted);
    json_decref(value);
}

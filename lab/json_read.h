/* Strict reading of JSON values: every accessor names the path of what it did not like
 * ("users[2].channels[0].re[4]"). Private to the format library. */
#ifndef LAB_JSON_READ_H
#define LAB_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "beam/error.h"
#include "beam/scene.h"

/* A borrowed value and where it stands in the file. */
typedef struct lab_node {
    const json_t *value;
    char path[80];
} lab_node;

/* Whole file or text -> root (the caller json_decrefs it), NULL on error. Duplicate keys, NaN,
 * Infinity and numbers beyond double are refused by the parser; `field` of the error is then "line
 * 3 column 5". */
json_t *lab_json_load(const char *path, beam_error *err);
json_t *lab_json_parse(const char *text, size_t size, beam_error *err);
lab_node lab_node_root(const json_t *root);

/* object[key]; the first is an error when it is missing, the second returns a node with value NULL
 * (also for null). */
beam_code lab_node_get(const lab_node *object, const char *key, lab_node *out, beam_error *err);
beam_code lab_node_find(const lab_node *object, const char *key, lab_node *out, beam_error *err);
/* array[i], i in range */
lab_node lab_node_at(const lab_node *array, size_t i);

/* Typed values. An array's size is checked when `size` >= 0; *found (may be NULL) is the size met.
 */
beam_code lab_node_array(const lab_node *node, long size, size_t *found, beam_error *err);
beam_code lab_node_number(const lab_node *node, double *out, beam_error *err);
beam_code lab_node_integer(const lab_node *node, long low, long high, long *out, beam_error *err);
beam_code lab_node_text(const lab_node *node, char *out, size_t size, beam_error *err);
beam_code lab_node_numbers(const lab_node *node, long count, double *out, beam_error *err);

/* {"re": ..., "im": ...}: a vector of `count`, or a matrix of rows x cols (row-major into out). */
beam_code lab_node_complex_vector(const lab_node *node, long count, beam_complex *out,
                                  beam_error *err);
beam_code lab_node_complex_matrix(const lab_node *node, long rows, long cols, beam_complex *out,
                                  beam_error *err);
/* Number of rows of {"re": [[..]], "im": [[..]]}. */
beam_code lab_node_complex_rows(const lab_node *node, size_t *rows, beam_error *err);

/* object[key] as a number / an integer / count numbers: get and convert in one. */
beam_code lab_get_number(const lab_node *object, const char *key, double *out, beam_error *err);
beam_code lab_get_numbers(const lab_node *object, const char *key, long count, double *out,
                          beam_error *err);

/* root.format must be `wanted`. */
beam_code lab_node_format(const lab_node *root, const char *wanted, beam_error *err);

/* Writes a quoted JSON string. */
void lab_put_text(FILE *file, const char *text);

#endif

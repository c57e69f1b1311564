/* Model files of chosen content, and files whose checksum is right whatever else is in them. */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include "beam/network.h"

typedef struct test_model_file {
    unsigned char *bytes;
    size_t size;
    beam_model_info info;
    float *weights; /* what is in it */
} test_model_file;

/* A small equivariant one of every field set; mlp: one of the other kind. Weights are random in
 * [-1, 1). Ends the program when memory fails. */
test_model_file test_model_make(int mlp, uint64_t seed);
/* An equivariant model as training starts: small steps along preconditioned directions. */
test_model_file test_model_make_fresh(int layers, int width, const char *name, uint64_t seed);
/* Writes it, over what is there. */
void test_model_save(const test_model_file *file, const char *path);
void test_model_file_free(test_model_file *file);

/* The right length and checksum for what the file now holds; at least 56 bytes. */
void test_model_sign(unsigned char *bytes, size_t size);

#endif

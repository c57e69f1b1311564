/* The model file: what is written is read, and whatever is wrong is refused by its name. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/model.h"
#include "common/random.h"
#include "network/model.h"
#include "network/sha256.h"

enum { HEADER_BYTES = 1344, WEIGHTS_AT = HEADER_BYTES };

static void check_digest(const char *text, size_t repeat, const char *expected)
{
    const size_t length = strlen(text);
    char *bytes = malloc(length * repeat + 1);
    uint8_t digest[BEAM_SHA256_BYTES];
    char hex[2 * BEAM_SHA256_BYTES + 1];
    assert_non_null(bytes);
    for (size_t k = 0; k < repeat; k++) {
        memcpy(bytes + k * length, text, length);
    }
    beam_sha256(bytes, length * repeat, digest);
    for (size_t k = 0; k < sizeof digest; k++) {
        snprintf(hex + 2 * k, 3, "%02x", digest[k]);
    }
    assert_string_equal(hex, expected);
    free(bytes);
}

/* The examples of FIPS 180 and, for every place of the end in a block, what sha256sum says. */
static void digests_are_those_of_the_standard(void **state)
{
    (void)state;
    check_digest("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_digest("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check_digest("a", 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    check_digest("a", 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    check_digest("a", 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34");
    check_digest("a", 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    check_digest("a", 65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0");
    check_digest("a", 119, "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb");
    check_digest("a", 120, "2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c");
}

static beam_model *load(const void *bytes, size_t size, void **memory)
{
    beam_model_info info;
    beam_error err;
    beam_model *model = NULL;
    assert_int_equal(beam_model_inspect(bytes, size, &info, &err), BEAM_OK);
    const size_t need = beam_model_memsize(&info);
    assert_true(need > 4 * info.parameters);
    *memory = aligned_alloc(64, (need + 63) & ~(size_t)63);
    assert_non_null(*memory);
    memset(*memory, 0xa5, need);
    assert_int_equal(beam_model_load(&model, bytes, size, *memory, need, &err), BEAM_OK);
    return model;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (int mlp = 0; mlp < 2; mlp++) {
        test_model_file file = test_model_make(mlp, 1);
        void *memory;
        /* a file at an odd address, and gone after loading */
        unsigned char *copy = malloc(file.size + 1);
        assert_non_null(copy);
        memcpy(copy + 1, file.bytes, file.size);
        beam_model *model = load(copy + 1, file.size, &memory);
        free(copy);
        assert_memory_equal(beam_model_info_of(model), &file.info, sizeof file.info);
        assert_memory_equal(model->theta, file.weights, 4 * file.info.parameters);
        assert_int_equal((uintptr_t)model->theta % 64, 0);
        assert_int_equal(beam_net_parameters(&model->arch), file.info.parameters);
        assert_int_equal(model->arch.width, file.info.width);
        assert_int_equal(model->arch.users, file.info.users);
        assert_int_equal(strlen(file.info.checksum), 64);
        free(memory);
        test_model_file_free(&file);
    }
}

/* The bytes of the format, so that a change of the format cannot pass for none. */
static void the_head_is_where_the_format_says(void **state)
{
    (void)state;
    test_model_file file = test_model_make(1, 1);
    const unsigned char *b = file.bytes;
    const unsigned char head[36] = {
        'B', 'E', 'A',  'M', 'N', 'E', 'T', 0, 4, 3, 2,
        1,   1,   0,    0,   0,   0,   0,   0, 0, 0, 0,
        0,   0,   0x40, 5,   0,   0,   1,   0, 0, 0, BEAM_MODEL_REVISION,
        0,   0,   0};
    assert_memory_equal(b, head, 16);
    assert_int_equal(b[16] | b[17] << 8 | b[18] << 16, file.size);
    assert_memory_equal(b + 24, head + 24, sizeof head - 24);
    assert_int_equal(b[36] | b[37] | b[38] | b[39], file.info.kind);
    assert_int_equal(b[40], file.info.layers);
    assert_int_equal(b[44], file.info.width);
    assert_int_equal(b[72] | b[73] << 8 | b[74] << 16, file.info.parameters);
    assert_memory_equal(b + 80, "\x10\x32\x54\x76\x98\xba\xdc\xfe", 8);
    assert_string_equal((const char *)b + 192, file.info.name);
    assert_string_equal((const char *)b + 832, file.info.command);
    assert_memory_equal(b + WEIGHTS_AT, file.weights, 4 * file.info.parameters);
    assert_int_equal(file.size, WEIGHTS_AT + 4 * file.info.parameters + 32);
    test_model_file_free(&file);
}

/* Refused, naming the field, with a sentence that holds `word`, and nothing written. */
static void expect(const void *bytes, size_t size, beam_code code, const char *field,
                   const char *word)
{
    beam_model_info info, before;
    beam_error err = {0};
    memset(&info, 0x5a, sizeof info);
    before = info;
    assert_int_equal(beam_model_inspect(bytes, size, &info, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.field, field);
    if (!strstr(err.text, word)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
    }
    assert_memory_equal(&info, &before, sizeof info);
}

static void every_damaged_byte_is_found(void **state)
{
    (void)state;
    test_model_file file = test_model_make(0, 2);
    test_random random = test_random_new(3);
    const size_t dense = HEADER_BYTES + 64, step = 1 + (file.size - dense) / 1000;
    for (size_t at = 0; at < file.size; at += at < dense || at + 40 > file.size ? 1 : step) {
        const unsigned char old = file.bytes[at];
        beam_model_info info;
        beam_error err = {0};
        file.bytes[at] = (unsigned char)(old ^ (1u << test_random_int(&random, 0, 7)));
        assert_int_not_equal(beam_model_inspect(file.bytes, file.size, &info, &err), BEAM_OK);
        assert_true(err.field[0] && err.text[0]);
        file.bytes[at] = old;
    }
    /* behind the fields that say what kind of file this is, damage is called damage */
    file.bytes[200] ^= 1;
    expect(file.bytes, file.size, BEAM_E_INVALID, "checksum", "damaged");
    file.bytes[200] ^= 1;
    file.bytes[file.size - 1] ^= 1;
    expect(file.bytes, file.size, BEAM_E_INVALID, "checksum", "damaged");
    test_model_file_free(&file);
}

static void every_cut_is_found(void **state)
{
    (void)state;
    test_model_file file = test_model_make(0, 4);
    const size_t step = 1 + (file.size - HEADER_BYTES) / 2000;
    for (size_t size = 0; size < file.size; size += size < HEADER_BYTES + 64 ? 1 : step) {
        unsigned char *cut = malloc(size ? size : 1);
        beam_model_info info;
        beam_error err = {0};
        assert_non_null(cut);
        memcpy(cut, file.bytes, size);
        assert_int_equal(beam_model_inspect(cut, size, &info, &err), BEAM_E_INVALID);
        assert_true(err.text[0]);
        if (size >= 56) { /* a shorter file whose length and checksum are right */
            test_model_sign(cut, size);
            assert_int_not_equal(beam_model_inspect(cut, size, &info, &err), BEAM_OK);
        }
        free(cut);
    }
    expect(file.bytes, file.size - 1, BEAM_E_INVALID, "file_bytes", "cut");
    expect(file.bytes, file.size + 1, BEAM_E_INVALID, "file_bytes", "follows");
    expect(NULL, 0, BEAM_E_INVALID, "magic", "no model");
    expect(file.bytes, (size_t)BEAM_MODEL_MAX_BYTES + 1, BEAM_E_LIMIT, "file_bytes", "over");
    test_model_file_free(&file);
}

/* One field changed to `value`, checksum right: refused by the field's name. */
static void expect_field(size_t at, size_t bytes, uint64_t value, beam_code code, const char *field,
                         const char *word)
{
    test_model_file file = test_model_make(0, 5);
    for (size_t i = 0; i < bytes; i++) {
        file.bytes[at + i] = (unsigned char)(value >> (8 * i));
    }
    test_model_sign(file.bytes, file.size);
    expect(file.bytes, file.size, code, field, word);
    test_model_file_free(&file);
}

static void each_wrong_field_is_named(void **state)
{
    (void)state;
    const uint64_t nan = UINT64_C(0x7ff8000000000000), inf = UINT64_C(0x7ff0000000000000);
    expect_field(0, 1, 'b', BEAM_E_INVALID, "magic", "no model");
    expect_field(8, 4, 0x04030201, BEAM_E_INVALID, "byte_order", "big-endian");
    expect_field(8, 4, 0x01020305, BEAM_E_INVALID, "byte_order", "damaged");
    expect_field(12, 4, 2, BEAM_E_UNSUPPORTED, "format", "newer");
    expect_field(12, 4, 0, BEAM_E_INVALID, "format", "never");
    expect_field(24, 4, 1345, BEAM_E_UNSUPPORTED, "header_bytes", "1345");
    expect_field(28, 4, 2, BEAM_E_UNSUPPORTED, "element_type", "is 2");
    expect_field(32, 4, BEAM_MODEL_REVISION + 1, BEAM_E_UNSUPPORTED, "revision", "knows");
    expect_field(36, 4, 2, BEAM_E_UNSUPPORTED, "kind", "2");
    expect_field(36, 4, 0xffffffff, BEAM_E_UNSUPPORTED, "kind", "none");
    expect_field(40, 4, 0, BEAM_E_LIMIT, "layers", "architecture");
    expect_field(40, 4, BEAM_NET_LAYERS_MAX + 1, BEAM_E_LIMIT, "layers", "architecture");
    expect_field(40, 4, 0xffffffff, BEAM_E_LIMIT, "layers", "4294967295");
    expect_field(44, 4, BEAM_NET_WIDTH_MAX + 1, BEAM_E_LIMIT, "layers", "architecture");
    expect_field(48, 4, 3, BEAM_E_INVALID, "stations", "any");
    expect_field(68, 1, 1, BEAM_E_INVALID, "reserved", "68");
    expect_field(191, 1, 1, BEAM_E_INVALID, "reserved", "191");
    expect_field(72, 8, 7, BEAM_E_INVALID, "parameters", "is 7");
    expect_field(72, 8, UINT64_MAX, BEAM_E_LIMIT, "parameters", "over");
    expect_field(120, 8, nan, BEAM_E_INVALID, "held_out_loss", "finite");
    expect_field(136, 8, inf, BEAM_E_INVALID, "held_out_ratio_p5", "finite");
    expect_field(192, 1, 0, BEAM_E_INVALID, "name", "after");
    expect_field(192, 1, '\n', BEAM_E_INVALID, "name", "control");
    expect_field(193, 1, 0x80, BEAM_E_INVALID, "name", "UTF-8");
    expect_field(194, 3, 0x80a0ed, BEAM_E_INVALID, "name", "byte 2");   /* half a surrogate pair */
    expect_field(194, 2, 0xafc0, BEAM_E_INVALID, "name", "byte 2");     /* a long form of '/' */
    expect_field(194, 4, 0x808090f4, BEAM_E_INVALID, "name", "byte 2"); /* beyond U+10FFFF */
    expect_field(900, 1, 'x', BEAM_E_INVALID, "command", "after");
    expect_field(WEIGHTS_AT, 4, 0x7fc00000, BEAM_E_INVALID, "weights[0]", "finite");
    expect_field(WEIGHTS_AT + 4 * 17, 4, 0xff800000, BEAM_E_INVALID, "weights[17]", "finite");
}

static void a_text_without_end_or_a_name_without_letters_is_refused(void **state)
{
    (void)state;
    test_model_file file = test_model_make(0, 6);
    memset(file.bytes + 320, 'f', BEAM_MODEL_FAMILIES_BYTES);
    test_model_sign(file.bytes, file.size);
    expect(file.bytes, file.size, BEAM_E_INVALID, "families", "512");
    memset(file.bytes + 320, 0, BEAM_MODEL_FAMILIES_BYTES);
    memset(file.bytes + 192, 0, BEAM_MODEL_NAME_BYTES);
    test_model_sign(file.bytes, file.size);
    expect(file.bytes, file.size, BEAM_E_INVALID, "name", "empty");
    /* the longest text that fits is taken */
    memset(file.bytes + 192, 'n', BEAM_MODEL_NAME_BYTES - 1);
    test_model_sign(file.bytes, file.size);
    beam_model_info info;
    assert_int_equal(beam_model_inspect(file.bytes, file.size, &info, NULL), BEAM_OK);
    assert_int_equal(strlen(info.name), BEAM_MODEL_NAME_BYTES - 1);
    test_model_file_free(&file);
}

static void expect_unwritten(const test_model_file *file, const beam_model_info *changed,
                             beam_code code, const char *field)
{
    beam_model_info info = *changed;
    beam_error err = {0};
    unsigned char *out = malloc(file->size);
    assert_non_null(out);
    assert_int_equal(beam_model_write(&info, file->weights, out, file->size, &err), code);
    assert_string_equal(err.field, field);
    free(out);
}

static void nothing_is_written_that_would_be_refused(void **state)
{
    (void)state;
    test_model_file file = test_model_make(0, 7);
    beam_model_info info = file.info;
    info.parameters++;
    expect_unwritten(&file, &info, BEAM_E_INVALID, "parameters");
    info = file.info;
    info.kind = (beam_model_kind)7;
    expect_unwritten(&file, &info, BEAM_E_UNSUPPORTED, "kind");
    info = file.info;
    info.layers = -1;
    assert_int_equal(beam_model_write_size(&info), 0);
    assert_int_equal(beam_model_memsize(&info), 0);
    expect_unwritten(&file, &info, BEAM_E_LIMIT, "layers");
    info = file.info;
    info.held_out_loss = NAN;
    expect_unwritten(&file, &info, BEAM_E_INVALID, "held_out_loss");
    info = file.info;
    memset(info.command, 'c', sizeof info.command);
    expect_unwritten(&file, &info, BEAM_E_INVALID, "command");
    info = file.info;
    strcpy(info.creator, "a\tb");
    expect_unwritten(&file, &info, BEAM_E_INVALID, "creator");
    const float weight = file.weights[3];
    file.weights[3] = -INFINITY;
    expect_unwritten(&file, &file.info, BEAM_E_INVALID, "weights[3]");
    file.weights[3] = weight;
    file.size--;
    expect_unwritten(&file, &file.info, BEAM_E_LIMIT, "size");
    /* what stands behind the end of a text in memory does not reach the file */
    file.size++;
    info = file.info;
    strcpy(info.families, "behind the end");
    info.families[0] = 0;
    unsigned char *out = malloc(file.size);
    assert_non_null(out);
    assert_int_equal(beam_model_write(&info, file.weights, out, file.size, NULL), BEAM_OK);
    assert_int_equal(beam_model_inspect(out, file.size, &info, NULL), BEAM_OK);
    assert_int_equal(info.families[1], 0);
    free(out);
    test_model_file_free(&file);
}

static void memory_must_be_enough_and_aligned(void **state)
{
    (void)state;
    test_model_file file = test_model_make(0, 8);
    const size_t need = beam_model_memsize(&file.info);
    beam_model *model = NULL;
    beam_error err;
    unsigned char *memory = aligned_alloc(64, (need + 127) & ~(size_t)63);
    assert_non_null(memory);
    assert_int_equal(beam_model_load(&model, file.bytes, file.size, memory, need - 1, &err),
                     BEAM_E_LIMIT);
    assert_int_equal(beam_model_load(&model, file.bytes, file.size, memory + 16, need, &err),
                     BEAM_E_INVALID);
    assert_int_equal(beam_model_load(&model, file.bytes, file.size, NULL, need, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "memory");
    file.bytes[WEIGHTS_AT] ^= 4;
    assert_int_equal(beam_model_load(&model, file.bytes, file.size, memory, need, &err),
                     BEAM_E_INVALID);
    assert_string_equal(err.field, "checksum");
    assert_null(model);
    free(memory);
    test_model_file_free(&file);
}

/* The model in the build, if there is one: whole, loadable, and of the kind that serves any scene.
 */
static void the_built_in_model_loads(void **state)
{
    (void)state;
    size_t size = 1;
    const void *bytes = beam_model_embedded(&size);
    if (!bytes) {
        assert_int_equal(size, 0);
        print_message("SKIPPED: no model is built in (models/default.beamnet or "
                      "-DBEAM_MODEL_FILE=FILE was absent at configuration)\n");
        skip();
    }
    void *memory;
    const beam_model *model = load(bytes, size, &memory);
    assert_int_equal(beam_model_info_of(model)->kind, BEAM_MODEL_EQUIVARIANT);
    print_message("%s, %zu parameters, %s\n", model->info.name, model->info.parameters,
                  model->info.checksum);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_head_is_where_the_format_says),
        cmocka_unit_test(every_damaged_byte_is_found),
        cmocka_unit_test(every_cut_is_found),
        cmocka_unit_test(each_wrong_field_is_named),
        cmocka_unit_test(a_text_without_end_or_a_name_without_letters_is_refused),
        cmocka_unit_test(nothing_is_written_that_would_be_refused),
        cmocka_unit_test(memory_must_be_enough_and_aligned),
        cmocka_unit_test(the_built_in_model_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

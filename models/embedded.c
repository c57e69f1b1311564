/* The model built into the program: the bytes of BEAM_MODEL_FILE, or none. */
#include "beam/network.h"

#ifdef BEAM_MODEL_FILE

/* The assembler reads the file: no tool beyond the compiler, and a build that takes no longer for
 * larger weights. Labels are hidden and the code reaches them relative to itself. */
__asm__(".pushsection .rodata\n"
        ".balign 64\n"
        ".globl beam_model_file_begin\n"
        ".hidden beam_model_file_begin\n"
        "beam_model_file_begin:\n"
        ".incbin \"" BEAM_MODEL_FILE "\"\n"
        ".globl beam_model_file_end\n"
        ".hidden beam_model_file_end\n"
        "beam_model_file_end:\n"
        ".byte 0\n"
        ".popsection\n");

extern const unsigned char beam_model_file_begin[] __attribute__((visibility("hidden")));
extern const unsigned char beam_model_file_end[] __attribute__((visibility("hidden")));

const void *beam_model_embedded(size_t *size)
{
    *size = (size_t)((uintptr_t)beam_model_file_end - (uintptr_t)beam_model_file_begin);
    return beam_model_file_begin;
}

#else

const void *beam_model_embedded(size_t *size)
{
    *size = 0;
    return NULL;
}

#endif

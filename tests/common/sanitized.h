/* What a test may expect of a build with a sanitizer. */
#ifndef TEST_SANITIZED_H
#define TEST_SANITIZED_H

/* ADDRESS: the allocator keeps what is freed, so that resident memory says little. THREAD:
 * everything takes ten to twenty times as long, so that what is done by a deadline says little. */
enum {
#if defined __SANITIZE_ADDRESS__
    TEST_SANITIZED = 1,
#elif defined __SANITIZE_THREAD__
    TEST_SANITIZED = 1,
#else
    TEST_SANITIZED = 0,
#endif
#if defined __SANITIZE_THREAD__
    TEST_SLOWED = 1
#else
    TEST_SLOWED = 0
#endif
};

#endif

/* Reader of the golden files (tests/golden/FORMATS.md), on purpose independent of the reader of
 * lab/. A file that is not as expected ends the test program. */
#ifndef TEST_GOLDEN_H
#define TEST_GOLDEN_H

#include "common/owned.h"

enum { TEST_GOLDEN_SCENES = 8, TEST_GOLDEN_DESIGNS_MAX = 32 };
extern const char *const test_golden_names[TEST_GOLDEN_SCENES];

/* tests/golden/NAME.json */
beam_scene *test_golden_scene(const char *name);

/* One design with the oracle's numbers, in the order of the scene's users. */
typedef struct test_golden_design {
    char name[40];
    beam_design *design;
    double sinr_nominal[BEAM_MAX_USERS], sinr_worst_case[BEAM_MAX_USERS];
    double signal_w[BEAM_MAX_USERS], own_cell_w[BEAM_MAX_USERS];
    double cross_w[BEAM_MAX_USERS][BEAM_MAX_STATIONS];
    double power_w[BEAM_MAX_STATIONS];
    double wsr_nominal, wsr_worst_case, crlb;
    bool has_coherent, has_band;
    double crlb_coherent, crlb_band_20mhz;
    bool grad_wsr_unique;
    beam_design *grad_wsr, *grad_crlb;
} test_golden_design;

/* tests/golden/NAME.values.json; returns the number of designs. */
int test_golden_values(const char *name, const beam_scene *scene,
                       test_golden_design designs[TEST_GOLDEN_DESIGNS_MAX]);
void test_golden_design_free(test_golden_design *design);

/* A solution file beamd-solution/1: only wsr_nominal, wsr_worst_case and crlb are filled beside the
 * design. */
int test_golden_solutions(const char *name, const beam_scene *scene,
                          test_golden_design designs[TEST_GOLDEN_DESIGNS_MAX]);

/* tests/golden/models.json: the CRLB of one design in the coupled models; false when the scene is
 * not in it. */
typedef struct test_golden_models {
    double coherent, band_5mhz, band_20mhz, band_200mhz;
} test_golden_models;
bool test_golden_model_values(const char *scene, const char *design, test_golden_models *out);

/* wsr_ideal and crlb_min of tests/golden/NAME.reference.json. */
beam_ideal test_golden_ideal(const char *name);

#endif

#include "common/golden.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const test_golden_names[TEST_GOLDEN_SCENES] = {
    "paper_eps000", "paper_eps005", "paper_eps010", "paper_eps020",
    "uneven_n6",    "multi_n8",     "four_n16",     "wide_n64",
};

static json_t *file_read(const char *name, const char *suffix)
{
    char path[512];
    json_error_t error;
    (void)snprintf(path, sizeof path, "%s/%s%s", BEAM_TEST_GOLDEN, name, suffix);
    json_t *root = json_load_file(path, 0, &error);
    if (!root) {
        fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
        exit(1);
    }
    return root;
}

static json_t *member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value) {
        fprintf(stderr, "golden file: no member \"%s\"\n", key);
        exit(1);
    }
    return value;
}

static double number(const json_t *value)
{
    if (!json_is_number(value)) {
        fprintf(stderr, "golden file: a number is missing\n");
        exit(1);
    }
    return json_number_value(value);
}

static double number_of(const json_t *object, const char *key)
{
    return number(member(object, key));
}

static const json_t *element(const json_t *array, int index)
{
    const json_t *value = json_array_get(array, (size_t)index);
    if (!value) {
        fprintf(stderr, "golden file: an array is shorter than %d\n", index + 1);
        exit(1);
    }
    return value;
}

static int count_of(const json_t *array)
{
    return (int)json_array_size(array);
}

/* {"re": [...], "im": [...]}, one-dimensional */
static void complex_row(const json_t *re, const json_t *im, int n, beam_complex *out)
{
    if (count_of(re) != n || count_of(im) != n) {
        fprintf(stderr, "golden file: a row has %d numbers, not %d\n", count_of(re), n);
        exit(1);
    }
    for (int i = 0; i < n; i++) {
        out[i] = (beam_complex){number(element(re, i)), number(element(im, i))};
    }
}

static void scene_stations(const json_t *stations, beam_scene *s)
{
    for (int l = 0; l < s->dims.stations; l++) {
        const json_t *station = element(stations, l);
        for (int i = 0; i < 2; i++) {
            s->station_position_m[2 * l + i] = number(element(member(station, "position_m"), i));
        }
        s->station_axis_rad[l] = number_of(station, "axis_rad");
        s->station_power_w[l] = number_of(station, "power_w");
        s->station_echo_noise_w[l] = number_of(station, "echo_noise_w");
    }
}

static void scene_users(const json_t *users, beam_scene *s)
{
    for (int u = 0; u < s->dims.users; u++) {
        const json_t *user = element(users, u);
        s->user_station[u] = (int)number_of(user, "station");
        s->user_weight[u] = number_of(user, "weight");
        s->user_noise_w[u] = number_of(user, "noise_w");
        for (int l = 0; l < s->dims.stations; l++) {
            const json_t *channel = element(member(user, "channels"), l);
            complex_row(member(channel, "re"), member(channel, "im"), s->dims.antennas,
                        test_channel(s, l, u));
            *test_radius(s, l, u) = number(element(member(user, "error_radius"), l));
        }
    }
}

static void scene_targets(const json_t *targets, beam_scene *s)
{
    for (int j = 0; j < s->dims.targets; j++) {
        const json_t *target = element(targets, j);
        const json_t *reflection = member(target, "reflection");
        for (int i = 0; i < 2; i++) {
            s->target_position_m[2 * j + i] = number(element(member(target, "position_m"), i));
        }
        for (int l = 0; l < s->dims.stations; l++) {
            complex_row(element(member(reflection, "re"), l), element(member(reflection, "im"), l),
                        s->dims.stations, test_reflection(s, l, j, 0));
        }
    }
}

beam_scene *test_golden_scene(const char *name)
{
    json_t *root = file_read(name, ".json");
    const json_t *stations = member(root, "stations");
    const beam_dims dims = {
        .stations = count_of(stations),
        .antennas = (int)number_of(element(stations, 0), "antennas"),
        .users = count_of(member(root, "users")),
        .targets = count_of(member(root, "targets")),
    };
    beam_scene *scene = test_scene_new(&dims);
    scene->snapshots = number_of(root, "snapshots");
    if (strcmp(json_string_value(member(root, "sensing_model")), "resolved") != 0) {
        fprintf(stderr, "%s: the golden scenes are all resolved\n", name);
        exit(1);
    }
    scene_stations(stations, scene);
    scene_users(member(root, "users"), scene);
    scene_targets(member(root, "targets"), scene);
    json_decref(root);
    return scene;
}

/* "stations" of a solution or a gradient -> design with as many sensing columns as the file has. */
static beam_design *design_read(const json_t *stations, const beam_scene *scene)
{
    const int L = scene->dims.stations, N = scene->dims.antennas;
    int columns = 0;
    for (int l = 0; l < L; l++) {
        const int rows = count_of(member(member(element(stations, l), "sensing"), "re"));
        columns = rows > columns ? rows : columns;
    }
    beam_design *design = test_design_new(&scene->dims, columns);
    for (int l = 0; l < L; l++) {
        const json_t *beams = member(element(stations, l), "beams");
        const json_t *sensing = member(element(stations, l), "sensing");
        int row = 0;
        for (int u = 0; u < scene->dims.users; u++) {
            if (scene->user_station[u] == l) {
                complex_row(element(member(beams, "re"), row), element(member(beams, "im"), row), N,
                            test_beam(design, u));
                row++;
            }
        }
        design->sensing_count[l] = count_of(member(sensing, "re"));
        for (int k = 0; k < design->sensing_count[l]; k++) {
            complex_row(element(member(sensing, "re"), k), element(member(sensing, "im"), k), N,
                        test_sensing(design, l, k));
        }
    }
    return design;
}

static void numbers(const json_t *array, int n, double *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = number(element(array, i));
    }
}

static void values_read(const json_t *entry, const beam_scene *scene, test_golden_design *out)
{
    const int L = scene->dims.stations, U = scene->dims.users;
    (void)snprintf(out->name, sizeof out->name, "%s", json_string_value(member(entry, "name")));
    out->design = design_read(member(entry, "stations"), scene);
    numbers(member(entry, "sinr_nominal"), U, out->sinr_nominal);
    numbers(member(entry, "sinr_worst_case"), U, out->sinr_worst_case);
    numbers(member(entry, "power_w"), L, out->power_w);
    for (int u = 0; u < U; u++) {
        const json_t *terms = element(member(entry, "worst_case_terms_w"), u);
        out->signal_w[u] = number_of(terms, "signal");
        out->own_cell_w[u] = number_of(terms, "own_cell");
        numbers(member(terms, "cross"), L, out->cross_w[u]);
    }
    out->wsr_nominal = number_of(entry, "wsr_nominal_bps_hz");
    out->wsr_worst_case = number_of(entry, "wsr_worst_case_bps_hz");
    out->crlb = number_of(entry, "crlb_m2");
    const json_t *coherent = json_object_get(entry, "crlb_coherent_m2");
    const json_t *band = json_object_get(entry, "crlb_band_20mhz_m2");
    out->has_coherent = coherent != NULL;
    out->crlb_coherent = coherent ? number(coherent) : 0;
    out->has_band = band != NULL;
    out->crlb_band_20mhz = band ? number(band) : 0;
    out->grad_wsr_unique = json_is_true(member(entry, "grad_wsr_unique"));
    out->grad_wsr = design_read(member(entry, "grad_wsr_worst_case"), scene);
    out->grad_crlb = design_read(member(entry, "grad_crlb"), scene);
}

static int list_check(const json_t *list, const char *name)
{
    const int count = count_of(list);
    if (count < 1 || count > TEST_GOLDEN_DESIGNS_MAX) {
        fprintf(stderr, "%s: %d designs\n", name, count);
        exit(1);
    }
    return count;
}

int test_golden_values(const char *name, const beam_scene *scene,
                       test_golden_design designs[TEST_GOLDEN_DESIGNS_MAX])
{
    json_t *root = file_read(name, ".values.json");
    const json_t *list = member(root, "designs");
    const int count = list_check(list, name);
    for (int i = 0; i < count; i++) {
        designs[i] = (test_golden_design){0};
        values_read(element(list, i), scene, &designs[i]);
    }
    json_decref(root);
    return count;
}

int test_golden_solutions(const char *name, const beam_scene *scene,
                          test_golden_design designs[TEST_GOLDEN_DESIGNS_MAX])
{
    json_t *root = file_read(name, ".designs.json");
    const json_t *list = member(root, "solutions");
    const int count = list_check(list, name);
    for (int i = 0; i < count; i++) {
        const json_t *entry = element(list, i);
        designs[i] = (test_golden_design){0};
        (void)snprintf(designs[i].name, sizeof designs[i].name, "tradeoff %g",
                       number_of(entry, "tradeoff"));
        designs[i].design = design_read(member(entry, "stations"), scene);
        designs[i].wsr_nominal = number_of(entry, "wsr_nominal_bps_hz");
        designs[i].wsr_worst_case = number_of(entry, "wsr_worst_case_bps_hz");
        designs[i].crlb = number_of(entry, "crlb_m2");
    }
    json_decref(root);
    return count;
}

void test_golden_design_free(test_golden_design *design)
{
    test_design_free(design->design);
    test_design_free(design->grad_wsr);
    test_design_free(design->grad_crlb);
    *design = (test_golden_design){0};
}

static const json_t *named(const json_t *list, const char *key, const char *name)
{
    for (int i = 0; i < count_of(list); i++) {
        if (strcmp(json_string_value(member(element(list, i), key)), name) == 0) {
            return element(list, i);
        }
    }
    return NULL;
}

bool test_golden_model_values(const char *scene, const char *design, test_golden_models *out)
{
    json_t *root = file_read("models", ".json");
    const json_t *of_scene = named(member(root, "scenes"), "scene", scene);
    const json_t *row = of_scene ? named(member(of_scene, "designs"), "name", design) : NULL;
    if (row) {
        *out = (test_golden_models){
            .coherent = number_of(row, "crlb_coherent_m2"),
            .band_5mhz = number_of(row, "crlb_band_5mhz_m2"),
            .band_20mhz = number_of(row, "crlb_band_20mhz_m2"),
            .band_200mhz = number_of(row, "crlb_band_200mhz_m2"),
        };
    }
    json_decref(root);
    return row != NULL;
}

beam_ideal test_golden_ideal(const char *name)
{
    json_t *root = file_read(name, ".reference.json");
    const beam_ideal ideal = {number_of(root, "wsr_ideal"), number_of(root, "crlb_min")};
    json_decref(root);
    return ideal;
}

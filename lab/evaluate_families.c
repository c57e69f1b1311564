#include "lab/evaluate_families.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab/owned.h"
#include "lab/random.h"

enum {
    FAMILY_PAPER,
    FAMILY_N8,
    FAMILY_N16,
    FAMILY_N64,
    FAMILY_USERS,
    FAMILY_OVERLOAD,
    FAMILY_STATIONS,
    FAMILY_TARGETS,
    FAMILY_SPREAD,
    FAMILY_SIZES,
    FAMILY_COUNT
};
static const char *const NAMES[FAMILY_COUNT] = {
    "paper", "n8", "n16", "n64", "users", "overload", "stations", "targets", "spread", "sizes"};
enum { DRAWS = 100 };
static const uint64_t domain = UINT64_C(0x6576616c75617465); /* "evaluate" */

int lab_evaluate_family_count(void)
{
    return FAMILY_COUNT;
}

const char *lab_evaluate_family_name(int family)
{
    return NAMES[family];
}

int lab_evaluate_family_find(const char *name)
{
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static double between(lab_random *random, double low, double high)
{
    return low + (high - low) * lab_random_uniform(random);
}

static int whole(lab_random *random, int low, int high)
{
    return low + (int)(lab_random_uniform(random) * (high - low + 1));
}

static void draw_users(lab_generate_options *o, lab_random *random, int low, int high)
{
    for (int l = 0; l < o->stations; l++) {
        o->users[l] = whole(random, low, high);
    }
}

static void draw(lab_generate_options *o, int family, lab_random *random)
{
    *o = lab_generate_options_default();
    o->seed = lab_random_bits(random);
    o->error_relative = between(random, 0.05, 0.2);
    switch (family) {
    case FAMILY_N8:
    case FAMILY_N16:
    case FAMILY_N64:
        o->antennas = family == FAMILY_N8 ? 8 : family == FAMILY_N16 ? 16 : 64;
        draw_users(o, random, 1, 4);
        break;
    case FAMILY_USERS:
        o->antennas = whole(random, 5, 10);
        draw_users(o, random, 2, 4);
        break;
    case FAMILY_OVERLOAD: /* six to twelve users */
        draw_users(o, random, 2, 4);
        o->antennas = whole(random, 3, 5);
        break;
    case FAMILY_STATIONS:
        o->stations = whole(random, 2, 7);
        o->antennas = whole(random, 4, 8);
        o->random_targets = true;
        draw_users(o, random, 1, 2);
        break;
    case FAMILY_TARGETS:
        o->targets = whole(random, 1, 4);
        o->antennas = whole(random, 5, 8);
        o->random_targets = true;
        draw_users(o, random, 1, 2);
        break;
    case FAMILY_SPREAD:
        o->error_relative = between(random, 0, 0.2);
        o->power_dbm = between(random, 20, 46);
        o->random_weights = true;
        break;
    default:
        break;
    }
}

/* Can every target be located, and anybody be served? */
static bool useful(const lab_scene *scene)
{
    lab_solver solver;
    beam_error err;
    bool located = false;
    if (!lab_solver_create(&solver, &scene->scene, &err)) {
        located = !beam_solver_compute_sensing_end(solver.solver, &err) &&
                  beam_solver_ideal(solver.solver).crlb_min_m2 > 0;
    }
    lab_solver_clear(&solver);
    return located;
}

lab_scene *lab_evaluate_scene(int family, uint64_t seed, int index, beam_error *err)
{
    const int members = FAMILY_SIZES - FAMILY_N8;
    const int of = family == FAMILY_SIZES ? FAMILY_N8 + index % members : family;
    lab_random random = lab_random_seed(seed ^ domain);
    random = lab_random_seed(lab_random_bits(&random) + (uint64_t)of);
    random = lab_random_seed(lab_random_bits(&random) + (uint64_t)index);
    for (int k = 0; k < DRAWS; k++) {
        lab_generate_options options;
        char name[64];
        draw(&options, of, &random);
        snprintf(name, sizeof name, "%s %d", NAMES[of], index);
        options.name = name;
        lab_scene *scene = lab_generate_scene(&options, err);
        if (!scene || useful(scene)) {
            return scene;
        }
        lab_scene_destroy(&scene);
    }
    beam_fail(err, BEAM_E_NUMERIC, NULL, "no scene of family %s with targets to locate was found",
              NAMES[of]);
    return NULL;
}

#include "common/network_case.h"

#include <math.h>
#include <string.h>

#include "common/random.h"

enum { COLUMNS = 16 }; /* sensing columns of the evaluator */

static void silence(test_random *random, beam_scene *s)
{
    for (int u = 0; u < s->dims.users; u++) {
        if (test_random_int(random, 0, 2) == 0) {
            s->user_weight[u] = 0;
        }
        if (test_random_int(random, 0, 3) == 0) { /* a user that no station hears */
            for (int l = 0; l < s->dims.stations; l++) {
                memset(test_channel(s, l, u), 0, (size_t)s->dims.antennas * sizeof(beam_complex));
                *test_radius(s, l, u) *= test_random_int(random, 0, 1);
            }
        }
    }
}

static void twist(test_random *random, beam_scene *s)
{
    const int L = s->dims.stations, U = s->dims.users;
    switch (test_random_int(random, 0, 11)) {
    case 0:
        silence(random, s);
        break;
    case 1:
        memset(s->error_radius, 0, (size_t)(L * U) * sizeof(double));
        break;
    case 2: /* no user has a chance under the worst error */
        for (int i = 0; i < L * U; i++) {
            s->error_radius[i] *= 20;
        }
        break;
    case 3: /* nobody has a weight */
        memset(s->user_weight, 0, (size_t)U * sizeof(double));
        break;
    case 4:
        s->sensing = BEAM_SENSING_COHERENT;
        break;
    case 5:
        s->sensing = BEAM_SENSING_BAND;
        s->bandwidth_hz = pow(10, test_random_between(random, 6, 8.3));
        break;
    case 6:
        for (int u = 0; u < U; u++) {
            s->user_min_rate_bps_hz[u] = test_random_between(random, 0, 6);
        }
        break;
    case 7: /* all users in one station */
        for (int u = 0; u < U; u++) {
            s->user_station[u] = 0;
        }
        break;
    case 8:
        for (int l = 0; l < L; l++) {
            s->station_power_w[l] *= pow(10, test_random_between(random, -6, 2));
        }
        break;
    default:
        break;
    }
    s->skip_unidentifiable = test_random_int(random, 0, 1) == 0;
}

/* The rate's normalising value as a service would have it: about right, or stale. */
static void set_ideal(test_network_case *c, test_random *random, beam_design *out)
{
    beam_error err = {0};
    beam_result r;
    test_must(beam_solver_compute_sensing_end(c->solver, &err), &err, "sensing end");
    c->ideal = beam_solver_ideal(c->solver);
    c->ideal.wsr_ideal_bps_hz = 1;
    test_must(beam_solver_set_ideal(c->solver, &c->ideal, &err), &err, "ideal");
    test_must(beam_solver_classical(c->solver, BEAM_CLASSICAL_RZF, BEAM_SENSING_LEAST_CRLB, 0, out,
                                    &r, &err),
              &err, "rate end");
    c->ideal.wsr_ideal_bps_hz = r.wsr_worst_case_bps_hz * test_random_between(random, 0.8, 1.5);
    if (test_random_int(random, 0, 99) == 0) {
        c->ideal.crlb_min_m2 *= test_random_between(random, 0.5, 2); /* of another geometry */
    }
    test_must(beam_solver_set_ideal(c->solver, &c->ideal, &err), &err, "ideal");
}

test_network_case test_network_case_new(uint64_t seed)
{
    beam_error err = {0};
    test_network_case c = {.seed = seed};
    test_random random = test_random_new(seed);
    const beam_dims dims = test_random_dims(&random, test_random_int(&random, 0, 9) > 0);
    c.scene = test_random_scene(&random, &dims, test_random_between(&random, 0, 0.3));
    twist(&random, c.scene);
    c.solver = test_solver_new(&dims);
    c.evaluator = test_evaluator_new(&dims, COLUMNS);
    test_must(beam_solver_load(c.solver, c.scene, &err), &err, "load");
    test_must(beam_evaluator_load(c.evaluator, c.scene, &err), &err, "load");
    beam_design *out = test_design_new(&dims, -1);
    set_ideal(&c, &random, out);
    test_design_free(out);
    return c;
}

void test_network_case_free(test_network_case *c)
{
    test_solver_free(c->solver);
    test_evaluator_free(c->evaluator);
    test_scene_free(c->scene);
}

bool test_has_minima(const beam_scene *s)
{
    double sum = 0;
    for (int u = 0; u < s->dims.users; u++) {
        sum += s->user_min_rate_bps_hz[u];
    }
    return sum > 0;
}

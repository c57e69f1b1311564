/* A wideband controller: one cluster of 24 resource blocks, answered for two trade-offs at once,
 * the beams in block floating point of 9 bits, as a fronthaul takes them.
 *
 *   cc wideband.c $(pkg-config --cflags --libs beamclient) -lm -o wideband && ./wideband */
#include <beamc/beamc.h>
#include <math.h>
#include <stdio.h>

enum { STATIONS = 2, ANTENNAS = 4, USERS = 2, SUBBANDS = 24 };

static const beamc_station stations[STATIONS] = {
    {.x_m = -80, .axis_rad = 1.5708, .power_w = 10, .echo_noise_w = 1e-12},
    {.y_m = 80, .axis_rad = 0, .power_w = 10, .echo_noise_w = 1e-12}};

/* Every channel estimate is answered for each of them. */
static const beamc_named_preference preferences[] = {{"balanced", 0.5}, {"locate", 0.9}};

static const beamc_cluster cluster = {
    .id = "wideband",
    .stations = stations,
    .station_count = STATIONS,
    .antennas = ANTENNAS,
    .max_users = 4,
    .targets = 1,
    .snapshots = 256,
    .carrier_hz = 3.5e9,
    .preferences = preferences,
    .preference_count = sizeof preferences / sizeof preferences[0],
    .subbands = SUBBANDS,
    .error_growth_per_s = 5, /* walking users: after 20 ms a tenth of the channel */
    .element = BEAMC_ELEMENT_BFP,
    .bits = 9};

static const beamc_user users[USERS] = {{.id = 7, .station = 0, .weight = 1, .noise_w = 1e-11},
                                        {.id = 8, .station = 1, .weight = 1, .noise_w = 1e-11}};

/* In place of estimates: two paths, whose phases turn with frequency. */
static double channels[SUBBANDS][STATIONS][USERS][ANTENNAS][2];
static double error_radius[SUBBANDS][STATIONS][USERS];

static void estimate(void)
{
    for (int b = 0; b < SUBBANDS; b++) {
        for (int l = 0; l < STATIONS; l++) {
            for (int u = 0; u < USERS; u++) {
                for (int n = 0; n < ANTENNAS; n++) {
                    const double near = 0.7 * n + l + 2.0 * u, far = 1.9 * n - u + 0.26 * b;
                    channels[b][l][u][n][0] = 1e-5 * cos(near) + 4e-6 * cos(far);
                    channels[b][l][u][n][1] = 1e-5 * sin(near) + 4e-6 * sin(far);
                }
                error_radius[b][l][u] = 2e-6;
            }
        }
    }
}

static void print(const beamc_answer *answer)
{
    printf("%zu solutions in one answer, service %s%s, solved in %.0f us\n", answer->solution_count,
           beamc_service_text(answer->service), answer->late ? ", late" : "",
           (double)answer->solution->latency.solve_ns / 1e3);
    for (size_t k = 0; k < answer->solution_count; k++) {
        const beamc_solution *s = &answer->solutions[k];
        if (s->subband % 8 == 0) {
            printf(
                "subband %2u, %-8s: worst-case rate %.3f bit/s/Hz, position bound %.3f m, by %s\n",
                s->subband, s->preference_name, s->wsr_worst_case_bps_hz, s->targets[0].rms_bound_m,
                beamc_method_text(s->method));
        }
    }
}

int main(void)
{
    const beamc_target target = {.x_m = 2, .y_m = 5, .rcs_m2 = 1};
    const beamc_targets targets = {.cluster = cluster.id, .targets = &target, .target_count = 1};
    const beamc_csi csi = {.cluster = cluster.id,
                           .station_count = STATIONS,
                           .antennas = ANTENNAS,
                           .users = users,
                           .user_count = USERS,
                           .subband_count = SUBBANDS, /* all; or some, with .subband_index */
                           .channels = &channels[0][0][0][0][0],
                           .error_radius = &error_radius[0][0][0],
                           .csi_age_us = 500,
                           .deadline_us = 100000};
    beamc_client *client = NULL;
    beamc_error err;
    beamc_answer answer;
    uint64_t sequence;
    estimate();
    if (beamc_connect(&client, NULL, &err) || beamc_register(client, &cluster, 2000, &err) ||
        beamc_send_targets(client, &targets, NULL, &err) ||
        beamc_send_csi(client, &csi, &sequence, &err) ||
        beamc_await(client, sequence, 5000, &answer, &err)) {
        fprintf(stderr, "%s: %s %s\n", beamc_code_text(err.code), err.field, err.text);
        beamc_close(&client);
        return 1;
    }
    print(&answer);
    beamc_unregister(client, cluster.id, 2000, NULL);
    beamc_close(&client);
    return 0;
}

/* The smallest controller: one station of four antennas, one user, one target; one channel estimate
 * out, one beam back.
 *
 *   cc send_csi.c $(pkg-config --cflags --libs beamclient) -lm -o send_csi && ./send_csi */
#include <beamc/beamc.h>
#include <math.h>
#include <stdio.h>

int main(void)
{
    const beamc_station stations[2] = {
        {.x_m = -80, .axis_rad = 1.5708, .power_w = 10, .echo_noise_w = 1e-12},
        {.y_m = 80, .axis_rad = 0, .power_w = 10, .echo_noise_w = 1e-12}};
    const beamc_cluster cluster = {.id = "example",
                                   .stations = stations,
                                   .station_count = 2,
                                   .antennas = 4,
                                   .max_users = 4,
                                   .targets = 1,
                                   .snapshots = 256,
                                   .carrier_hz = 3.5e9,
                                   .has_tradeoff = true,
                                   .tradeoff = 0.5};
    const beamc_target target = {.x_m = 2, .y_m = 5, .rcs_m2 = 1};
    const beamc_targets targets = {.cluster = "example", .targets = &target, .target_count = 1};

    /* Your estimates: [station][user][antenna][re, im], and how far off they may be. The user
     * receives h^H x. */
    const beamc_user user = {.id = 7, .station = 0, .weight = 1, .noise_w = 1e-11};
    double channels[2][1][4][2];
    const double error_radius[2][1] = {{2e-6}, {2e-6}};
    for (int l = 0; l < 2; l++) {
        for (int n = 0; n < 4; n++) {
            channels[l][0][n][0] = 1e-5 * cos(0.7 * n + l);
            channels[l][0][n][1] = 1e-5 * sin(0.7 * n + l);
        }
    }
    const beamc_csi csi = {.cluster = "example",
                           .station_count = 2,
                           .antennas = 4,
                           .users = &user,
                           .user_count = 1,
                           .channels = &channels[0][0][0][0],
                           .error_radius = &error_radius[0][0],
                           .deadline_us = 10000};

    beamc_client *client = NULL;
    beamc_error err;
    beamc_answer answer;
    uint64_t sequence;
    if (beamc_connect(&client, NULL, &err) || beamc_register(client, &cluster, 2000, &err) ||
        beamc_send_targets(client, &targets, NULL, &err) ||
        beamc_send_csi(client, &csi, &sequence, &err) ||
        beamc_await(client, sequence, 2000, &answer, &err)) {
        fprintf(stderr, "%s: %s %s\n", beamc_code_text(err.code), err.field, err.text);
        beamc_close(&client);
        return 1;
    }
    const beamc_solution *s = answer.solution;
    printf("worst-case rate %.3f bit/s/Hz, position bound %.3f m, %s in %.0f us\n",
           s->users[0].rate_worst_case_bps_hz, s->targets[0].rms_bound_m,
           beamc_method_text(s->method), (double)s->latency.solve_ns / 1e3);
    for (size_t n = 0; n < s->antennas; n++) {
        printf("antenna %zu: %+.4f %+.4fi sqrt(W)\n", n, s->beams[2 * n], s->beams[2 * n + 1]);
    }
    beamc_unregister(client, "example", 2000, NULL);
    beamc_close(&client);
    return 0;
}

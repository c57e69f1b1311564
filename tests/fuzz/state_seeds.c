/* Writes the seeds of fuzz_state: records of the present revision, which a file in the tree would
 * not stay.
 *
 *     state_seeds DIRECTORY */
#include <stdio.h>

#include "state_file.h"

enum { ROOM = 16384, STATIONS = 2, ANTENNAS = 3, USERS = 2, COLUMNS = 2 };

static size_t cluster_record(unsigned char *out)
{
    static _Alignas(64) unsigned char memory[ROOM];
    static const unsigned char frame[24] = "BEAM: any bytes will do";
    const beam_dims dims = {
        .stations = STATIONS, .antennas = ANTENNAS, .users = USERS, .targets = 1};
    const uint64_t id[USERS] = {1, 2};
    const int station[USERS] = {0, 1};
    const beamd_record_header header = {
        .kind = BEAMD_RECORD_CLUSTER, .serial = 5, .unix_ns = 1700000000000000000u};
    const beamd_record_cluster facts = {.id = "seed",
                                        .has_csi_sequence = true,
                                        .csi_sequence = 9,
                                        .has_crlb_min = true,
                                        .crlb_min_m2 = 0.5};
    const beamd_record_named named = {"locate", 0.9};
    const double rows[4] = {2, 2, 0.5, -0.5};
    beam_design design;
    if (beam_design_init(&design, &dims, COLUMNS, memory, sizeof memory, NULL) != BEAM_OK) {
        return 0;
    }
    design.sensing_count[1] = COLUMNS;
    beamd_record_writer w;
    beamd_record_begin(&w, out, ROOM, &header);
    beamd_record_put_cluster(&w, &facts);
    beamd_record_put_registration(&w, frame, sizeof frame);
    beamd_record_put_targets(&w, frame, sizeof frame);
    beamd_record_put_rows(&w, rows, 4);
    beamd_record_put_named(&w, &named);
    for (uint32_t b = 0; b < 2; b++) {
        const beamd_record_ideal ideal = {b, 12.5};
        beamd_record_put_ideal(&w, &ideal);
    }
    for (uint32_t b = 0; b < 2; b++) {
        const beamd_record_design of = {.band = b, .name = "locate", .tradeoff = 0.9};
        beamd_record_put_design(&w, &of, id, station, &design);
    }
    return beamd_record_end(&w);
}

static size_t daemon_record(unsigned char *out)
{
    const beamd_record_header header = {.kind = BEAMD_RECORD_DAEMON, .serial = 6};
    const beamd_record_daemon facts = {.has_tradeoff = true, .tradeoff = 0.25};
    beamd_record_writer w;
    beamd_record_begin(&w, out, ROOM, &header);
    beamd_record_put_daemon(&w, &facts);
    return beamd_record_end(&w);
}

int main(int argc, char **argv)
{
    static _Alignas(64) unsigned char record[ROOM];
    if (argc != 2) {
        fprintf(stderr, "usage: state_seeds DIRECTORY\n");
        return 2;
    }
    for (int k = 0; k < 2; k++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/state_seed_%s.state", argv[1], k ? "daemon" : "cluster");
        const size_t size = k ? daemon_record(record) : cluster_record(record);
        beamd_record_view view;
        beamd_record_seal(record, size);
        FILE *out = size > 0 && !beamd_record_read(&view, record, size) ? fopen(path, "wb") : NULL;
        const size_t written = out ? fwrite(record, 1, size, out) : 0;
        if (!out || written != size || fclose(out) != 0) {
            fprintf(stderr, "%s: cannot be written\n", path);
            return 1;
        }
    }
    return 0;
}

/* Whatever the bytes are: the reader of records ends, stays inside them, gives a reason or a record
 * whose parts can be taken; and a record that it accepts, written again from its parts, is the same
 * record. Checksums stop all but lucky changes, so each input is read a second time with header and
 * checksum put right. With clang: -fsanitize=fuzzer,address on this file; elsewhere replay.c drives
 * it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "state_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_BYTES = 8 << 20 };

static _Alignas(64) unsigned char memory[MEMORY_BYTES];

static void must(int holds)
{
    if (!holds) {
        abort(); /* what a fuzzer reports */
    }
}

static void copy_design(beamd_record_writer *again, const beamd_record_design *d)
{
    const beam_dims dims = {.stations = (int)d->stations,
                            .antennas = (int)d->antennas,
                            .users = (int)d->users,
                            .targets = 1};
    static uint64_t id[BEAM_MAX_USERS];
    static int station[BEAM_MAX_USERS];
    beam_design design;
    const int columns = d->columns < BEAM_MAX_ANTENNAS ? (int)d->columns : BEAM_MAX_ANTENNAS;
    if (beam_design_init(&design, &dims, columns, memory, sizeof memory, NULL) != BEAM_OK ||
        !beamd_record_design_take(d, id, station, &design)) {
        again->full = true; /* not written again */
        return;
    }
    for (uint32_t u = 0; u < d->users; u++) {
        must(station[u] >= 0 && station[u] < dims.stations);
    }
    for (uint32_t k = 0; k < d->users * d->antennas; k++) {
        must(isfinite(design.beams[k].re) && isfinite(design.beams[k].im));
    }
    beamd_record_put_design(again, d, id, station, &design);
}

static void write_again(const beamd_record_view *v, beamd_record_writer *again)
{
    static double rows[BEAMD_RECORD_ROWS_MAX];
    if (v->header.kind == BEAMD_RECORD_DAEMON) {
        beamd_record_put_daemon(again, &v->daemon);
        return;
    }
    must(beam_wire_cluster_valid(v->cluster.id) && v->registration);
    beamd_record_put_cluster(again, &v->cluster);
    beamd_record_put_registration(again, v->registration, v->registration_bytes);
    if (v->targets) {
        beamd_record_put_targets(again, v->targets, v->targets_bytes);
    }
    if (v->rows) {
        (void)beamd_record_rows_take(v, rows);
        beamd_record_put_rows(again, rows, v->rows_count);
    }
    for (unsigned k = 0; k < v->named_count; k++) {
        beamd_record_put_named(again, &v->named[k]);
    }
    beamd_record_ideal ideal;
    unsigned count = 0;
    for (size_t at = v->ideals_at; beamd_record_next_ideal(v, &at, &ideal); count++) {
        beamd_record_put_ideal(again, &ideal);
    }
    must(count == v->ideals);
    beamd_record_design design;
    count = 0;
    for (size_t at = v->designs_at; beamd_record_next_design(v, &at, &design); count++) {
        copy_design(again, &design);
    }
    must(count == v->designs);
}

static void read_record(unsigned char *record, size_t size)
{
    beamd_record_view v, second;
    const char *why = beamd_record_read(&v, record, size);
    if (why) {
        must(why[0] != 0 && strlen(why) < 32);
        return;
    }
    must(v.bytes <= size);
    unsigned char *out = malloc(v.bytes);
    must(out != NULL);
    beamd_record_writer again;
    beamd_record_begin(&again, out, v.bytes, &v.header);
    write_again(&v, &again);
    const size_t bytes = beamd_record_end(&again);
    if (bytes > 0 && bytes == v.bytes) { /* else it had a number that is not finite, or nothing */
        beamd_record_seal(out, bytes);
        must(!beamd_record_read(&second, out, bytes));
        must(second.designs == v.designs && second.ideals == v.ideals);
        must(memcmp(&second.cluster.id, &v.cluster.id, sizeof v.cluster.id) == 0);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char begin[] = {'B', 'E', 'A', 'M', 'S', 'T', 'A', 'T', 1, 0, 0, 0};
    const size_t whole = size & ~(size_t)7u;
    unsigned char *copy = malloc(size ? size : 1);
    must(copy != NULL);
    memcpy(copy, data, size);
    read_record(copy, size);
    if (whole >= BEAMD_RECORD_HEADER_BYTES) {
        memcpy(copy, begin, sizeof begin);
        for (size_t k = 0; k < 8; k++) {
            copy[16 + k] = (unsigned char)((uint64_t)whole >> (8 * k));
        }
        beamd_record_seal(copy, whole);
        read_record(copy, whole);
    }
    free(copy);
    return 0;
}

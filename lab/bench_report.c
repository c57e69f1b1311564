#include "lab/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/json_read.h"
#include "lab/output.h"
#include "lab/statistics.h"

void lab_bench_title(const lab_bench *self, const char *section, const char *about)
{
    if (!self->quiet) {
        printf("\n%s: %s\n  %-52s %10s %10s %10s %10s %8s\n", section, about, "", "median", "p10",
               "p90", "p99", "samples");
    }
}

static void print_row(const lab_bench_row *row)
{
    char name[128];
    snprintf(name, sizeof name, "%s, %s", row->name, row->unit);
    printf("  %-52s %10.4g", name, row->median);
    if (row->count > 1) {
        printf(" %10.4g %10.4g %10.4g %8d", row->p10, row->p90, row->p99, row->count);
    }
    if (!isnan(row->target)) {
        const bool met = row->at_least ? row->median >= row->target : row->median <= row->target;
        printf("  %s %.4g: %s", row->at_least ? "at least" : "at most", row->target,
               met ? "met" : "MISSED");
    }
    puts("");
    fflush(stdout);
}

static beam_code add_row(lab_bench *self, const lab_bench_row *row, beam_error *err)
{
    if (self->row_count == self->row_room) {
        const int room = self->row_room ? 2 * self->row_room : 64;
        lab_bench_row *rows = realloc(self->rows, (size_t)room * sizeof *rows);
        if (!rows) {
            return beam_fail(err, BEAM_E_LIMIT, NULL, "out of memory");
        }
        self->rows = rows;
        self->row_room = room;
    }
    self->rows[self->row_count++] = *row;
    if (!self->quiet) {
        print_row(row);
    }
    return BEAM_OK;
}

static lab_bench_row make_row(const char *section, const char *name, const char *unit,
                              double *samples, int count, double target)
{
    lab_sort(samples, count);
    lab_bench_row row = {.count = count,
                         .median = lab_quantile(samples, count, 0.5),
                         .p10 = lab_quantile(samples, count, 0.1),
                         .p90 = lab_quantile(samples, count, 0.9),
                         .p99 = lab_quantile(samples, count, 0.99),
                         .target = target};
    snprintf(row.section, sizeof row.section, "%s", section);
    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.unit, sizeof row.unit, "%s", unit);
    return row;
}

beam_code lab_bench_add(lab_bench *self, const char *section, const char *name, const char *unit,
                        double *samples, int count, double target, beam_error *err)
{
    const lab_bench_row row = make_row(section, name, unit, samples, count, target);
    return add_row(self, &row, err);
}

beam_code lab_bench_value(lab_bench *self, const char *section, const char *name, const char *unit,
                          double value, double target, beam_error *err)
{
    const lab_bench_row row = make_row(section, name, unit, &value, 1, target);
    return add_row(self, &row, err);
}

beam_code lab_bench_least(lab_bench *self, const char *section, const char *name, const char *unit,
                          double value, double target, beam_error *err)
{
    lab_bench_row row = make_row(section, name, unit, &value, 1, target);
    row.at_least = true;
    return add_row(self, &row, err);
}

void lab_bench_machine(char *out, int size)
{
    char model[160] = "unknown processor";
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(model, sizeof model, "%s", colon + 2);
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    snprintf(out, (size_t)size, "%s, one core, compiler %s", model, __VERSION__);
}

static void put_number(FILE *f, const char *key, double value)
{
    if (isfinite(value)) {
        fprintf(f, ",\"%s\":%.6g", key, value);
    }
}

beam_code lab_bench_write(const lab_bench *self, const char *command, const char *path,
                          beam_error *err)
{
    char machine[256];
    lab_output output;
    const beam_code code = lab_output_open(&output, path, err);
    if (code) {
        return code;
    }
    FILE *f = output.file;
    lab_bench_machine(machine, sizeof machine);
    fputs("{\"format\":\"beamd-bench/1\",\"command\":", f);
    lab_put_text(f, command);
    fputs(",\"machine\":", f);
    lab_put_text(f, machine);
    fputs(",\"rows\":[", f);
    for (int i = 0; i < self->row_count; i++) {
        const lab_bench_row *row = &self->rows[i];
        fputs(i ? ",\n{\"section\":" : "\n{\"section\":", f);
        lab_put_text(f, row->section);
        fputs(",\"name\":", f);
        lab_put_text(f, row->name);
        fputs(",\"unit\":", f);
        lab_put_text(f, row->unit);
        fprintf(f, ",\"samples\":%d", row->count);
        put_number(f, "median", row->median);
        put_number(f, "p10", row->p10);
        put_number(f, "p90", row->p90);
        put_number(f, "p99", row->p99);
        put_number(f, row->at_least ? "at_least" : "at_most", row->target);
        fputc('}', f);
    }
    fputs("\n]}\n", f);
    return lab_output_commit(&output, err);
}

void lab_bench_clear(lab_bench *self)
{
    free(self->rows);
    self->rows = NULL;
    self->row_count = self->row_room = 0;
}

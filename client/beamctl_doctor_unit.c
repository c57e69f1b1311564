/* What the unit of beamd and its drop-ins say. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beamctl_doctor.h"

#define DROP_INS "/etc/systemd/system/beamd.service.d"

const char *doctor_unit_place(const doctor *self)
{
    static const char *const places[] = {"/etc/systemd/system", "/usr/local/lib/systemd/system",
                                         "/usr/lib/systemd/system", "/lib/systemd/system"};
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
        if (doctor_exists(self, "%s/beamd.service", places[k])) {
            return places[k];
        }
    }
    return NULL;
}

/* 1: says it, 0: says another value, -1: says nothing of it; the last line of the file holds. */
static int file_says(const char *text, const char *wanted)
{
    const size_t key = (size_t)(strchr(wanted, '=') - wanted) + 1;
    int says = -1;
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, wanted, key) == 0) {
            says = strncmp(line, wanted, strlen(wanted)) == 0;
        }
    }
    return says;
}

static int is_conf(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".conf") == 0;
}

bool doctor_unit_says(const doctor *self, const char *wanted)
{
    char text[DOCTOR_TEXT_BYTES], path[DOCTOR_PATH_BYTES + 64];
    const char *place = doctor_unit_place(self);
    bool says = place && doctor_read(self, text, sizeof text, "%s/beamd.service", place) &&
                file_says(text, wanted) == 1;
    struct dirent **list;
    snprintf(path, sizeof path, "%s" DROP_INS, self->root);
    const int count = scandir(path, &list, is_conf, alphasort); /* in the order of systemd */
    for (int k = 0; k < count; k++) {
        if (doctor_read(self, text, sizeof text, DROP_INS "/%s", list[k]->d_name)) {
            const int here = file_says(text, wanted);
            says = here < 0 ? says : here == 1;
        }
        free(list[k]);
    }
    if (count >= 0) {
        free(list);
    }
    return says;
}

#include "lab/output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

beam_code lab_output_open(lab_output *self, const char *path, beam_error *err)
{
    *self = (lab_output){.file = NULL};
    if (strlen(path) >= sizeof self->path) {
        return beam_fail(err, BEAM_E_LIMIT, NULL, "path is too long");
    }
    strcpy(self->path, path);
    if (strcmp(path, "-") == 0) {
        self->file = stdout;
        return BEAM_OK;
    }
    struct stat status;
    const bool direct = stat(path, &status) == 0 && !S_ISREG(status.st_mode);
    if (!direct) {
        snprintf(self->temporary, sizeof self->temporary, "%s.%ld.tmp", path, (long)getpid());
    }
    self->file = fopen(direct ? path : self->temporary, "w");
    if (!self->file) {
        return beam_fail(err, BEAM_E_INVALID, NULL, "cannot be written: %s", strerror(errno));
    }
    return BEAM_OK;
}

static int close_file(lab_output *self)
{
    const bool failed = ferror(self->file) != 0;
    const int rc = self->file == stdout ? fflush(stdout) : fclose(self->file);
    self->file = NULL;
    return rc == 0 && !failed ? 0 : -1;
}

beam_code lab_output_commit(lab_output *self, beam_error *err)
{
    if (close_file(self) != 0 || (self->temporary[0] && rename(self->temporary, self->path) != 0)) {
        const int cause = errno;
        if (self->temporary[0]) {
            unlink(self->temporary);
        }
        return beam_fail(err, BEAM_E_INVALID, NULL, "cannot be written: %s", strerror(cause));
    }
    return BEAM_OK;
}

void lab_output_abandon(lab_output *self)
{
    if (self->file) {
        close_file(self);
    }
    if (self->temporary[0]) {
        unlink(self->temporary);
    }
}

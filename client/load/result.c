#include "load/result.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

load_result *load_result_create(load_error *err)
{
    load_result *self = calloc(1, sizeof *self);
    if (!self) {
        load_fail(err, "no memory for results");
    }
    return self;
}

void load_result_clear(load_result *self)
{
    memset(self, 0, sizeof *self);
}

static void add_all(uint64_t *to, const uint64_t *from, int count)
{
    for (int k = 0; k < count; k++) {
        to[k] += from[k];
    }
}

void load_result_merge(load_result *self, const load_result *other)
{
    self->seconds += other->seconds;
    self->requests += other->requests;
    self->answers += other->answers;
    add_all(self->service, other->service, LOAD_SERVICES);
    add_all(self->on_time, other->on_time, LOAD_SERVICES);
    self->marked_late += other->marked_late;
    self->unmarked_late += other->unmarked_late;
    add_all(self->method, other->method, LOAD_METHODS);
    add_all(self->backend, other->backend, LOAD_BACKENDS);
    self->solutions += other->solutions;
    self->warm += other->warm;
    add_all(self->errors, other->errors, LOAD_CODES);
    self->bytes_out += other->bytes_out;
    self->bytes_in += other->bytes_in;
    self->sent += other->sent;
    self->target_updates += other->target_updates;
    self->target_errors += other->target_errors;
    self->unanswered += other->unanswered;
    self->duplicates += other->duplicates;
    self->unexpected += other->unexpected;
    self->unreadable += other->unreadable;
    self->send_waited += other->send_waited;
    if (!self->first_error[0]) {
        memcpy(self->first_error, other->first_error, sizeof self->first_error);
    }
    for (int s = 0; s < LOAD_STAGES; s++) {
        load_histogram_merge(&self->stage[s], &other->stage[s]);
    }
}

double load_result_on_time(const load_result *self, int least_service)
{
    uint64_t sum = 0;
    for (int s = 0; s <= least_service && s < LOAD_SERVICES; s++) {
        sum += self->on_time[s];
    }
    return self->requests ? (double)sum / (double)self->requests : 0;
}

bool load_result_whole(const load_result *self, load_error *err)
{
    const struct {
        uint64_t count;
        const char *what;
    } promises[] = {
        {self->unanswered, "requests stayed without an answer"},
        {self->duplicates, "answers came to requests that were answered already"},
        {self->unexpected, "answers came to requests that were not sent"},
        {self->unreadable, "answers could not be read"},
        {self->target_errors, "target updates were refused"},
        {self->unmarked_late, "answers were late and did not say so"},
    };
    for (size_t k = 0; k < sizeof promises / sizeof promises[0]; k++) {
        if (promises[k].count > 0) {
            load_fail(err, "%" PRIu64 " %s%s%s", promises[k].count, promises[k].what,
                      self->first_error[0] ? "; first error: " : "", self->first_error);
            return false;
        }
    }
    return true;
}

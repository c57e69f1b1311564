/* The model in use: shown, and exchanged at runtime. Files are read beside the loop; a bad one
 * changes nothing. */
#include <stdio.h>
#include <string.h>

#include "core_internal.h"
#include "log.h"

_Static_assert((int)BEAMD_MODEL_FILE_BYTES == (int)BEAM_WIRE_MAX_STRING_BYTES + 1 &&
                   (int)BEAM_MODEL_FAMILIES_BYTES <= (int)BEAMD_MODEL_FILE_BYTES &&
                   (int)BEAM_MODEL_COMMAND_BYTES <= (int)BEAMD_MODEL_FILE_BYTES,
               "the texts of a model must fit the wire");
_Static_assert((int)BEAMD_FALLBACK_REASONS >= (int)BEAMD_FALLBACKS, "a reason without a counter");

bool beamd_core_uses_network(const beamd_core *self)
{
    return strcmp(self->config->solve_method, "network") == 0;
}

Beamd__Method beamd_core_method(const beamd_core *self)
{
    return beamd_core_uses_network(self) ? BEAMD__METHOD__METHOD_NETWORK
                                         : BEAMD__METHOD__METHOD_BOBLRBF;
}

beamd_cluster_limits beamd_core_limits(const beamd_core *self, size_t counted)
{
    const size_t all = (size_t)self->config->memory_mib << 20;
    const size_t used = self->bytes - counted;
    return (beamd_cluster_limits){.users_max = (int)self->config->users_max,
                                  .threads = (int)self->config->workers,
                                  .tasks_most = self->act.gpu_free ? BEAMD_TASKS_MAX : 0,
                                  .bytes_max = (size_t)self->config->cluster_memory_mib << 20,
                                  .bytes_left = all > used ? all - used : 0};
}

static void find_rooms(beamd_core *self)
{
    for (unsigned i = 0; i < self->count; i++) {
        self->clusters[i]->without_room = false;
    }
    for (unsigned k = 0; k < self->idle_count; k++) { /* the others when they come back */
        beamd_core_lay_rooms(self, self->idle[k]);
    }
}

void beamd_core_set_model(beamd_core *self, beamd_model *model)
{
    beamd_model_release(&self->model);
    self->model = model;
    self->model_takes++;
    self->metrics.model_loads += model != NULL;
    find_rooms(self); /* its layers may need more, or less */
    beamd_core_gpu_prepare(self);
}

static void put_model(const beamd_model *from, Beamd__Model *to)
{
    const beam_model_info *info = from->info;
    beamd__model__init(to);
    to->name = beamd_core_text(info->name);
    to->kind = beamd_core_text(beam_model_kind_text(info->kind));
    to->layers = (uint32_t)info->layers;
    to->width = (uint32_t)info->width;
    to->parameters = info->parameters;
    to->stations = (uint32_t)info->stations;
    to->antennas = (uint32_t)info->antennas;
    to->users = (uint32_t)info->users;
    to->targets = (uint32_t)info->targets;
    to->sensing_rows = (uint32_t)info->sensing_rows;
    to->sha256 = beamd_core_text(info->checksum);
    to->source = beamd_core_text(from->file);
    to->creator = beamd_core_text(info->creator);
    to->families = beamd_core_text(info->families);
    to->command = beamd_core_text(info->command);
    to->data_seed = info->data_seed;
    to->steps = info->steps;
    to->samples = info->samples;
    to->created_unix_s = info->created_unix_s;
    to->held_out_scenes = info->held_out_scenes;
    to->held_out_loss = info->held_out_loss;
    to->held_out_ratio_median = info->held_out_ratio_median;
    to->held_out_ratio_p5 = info->held_out_ratio_p5;
}

static void send_model(beamd_core *self, const void *identity, size_t identity_bytes,
                       uint64_t sequence, uint64_t sender_time_ns)
{
    Beamd__ModelReply reply = BEAMD__MODEL_REPLY__INIT;
    Beamd__Model model;
    if (self->model) {
        put_model(self->model, &model);
        reply.model = &model;
    }
    reply.sender_time_ns = sender_time_ns;
    reply.method = beamd_core_method(self);
    reply.loads = self->metrics.model_loads;
    reply.refused = self->metrics.model_refusals;
    beamd_core_send(self, BEAMD_CHANNEL_CONTROL, identity, identity_bytes, BEAM_WIRE_MODEL_REPLY,
                    "", sequence, &reply.base);
}

void beamd_core_model_get(beamd_core *self, const beamd_call *call)
{
    send_model(self, call->peer.identity, call->peer.identity_bytes, call->header.sequence,
               call->sender_time_ns);
}

/* False: no thread takes it, which cannot be while is_reading is false. */
static bool start_reading(beamd_core *self, const char *file, const beamd_request *request)
{
    snprintf(self->reading.file, sizeof self->reading.file, "%s", file);
    self->reading.job.run = beamd_model_run;
    self->reading_for = *request;
    self->is_reading = self->act.free_threads(self->act.arg, BEAMD_CREW_READ) > 0 &&
                       self->act.submit(self->act.arg, BEAMD_CREW_READ, &self->reading.job);
    self->jobs[BEAMD_CREW_READ] += self->is_reading;
    return self->is_reading;
}

void beamd_core_model_reload(beamd_core *self, const beamd_call *call,
                             const Beamd__ModelReload *message)
{
    beam_wire_error err;
    const char *file = message->file[0] ? message->file : self->config->model_file;
    const char *wrong = message->file[0] ? beamd_config_model_file_wrong(file) : NULL;
    if (wrong) {
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_INVALID, "file", "%s", wrong);
        beamd_core_refuse(self, call, &err);
        return;
    }
    beamd_request request = {.identity_bytes = call->peer.identity_bytes,
                             .type = call->header.type,
                             .sequence = call->header.sequence,
                             .sender_time_ns = call->sender_time_ns};
    memcpy(request.identity, call->peer.identity, call->peer.identity_bytes);
    if (self->is_reading || !start_reading(self, file, &request)) {
        beam_wire_fail(&err, BEAMD__ERROR_CODE__ERROR_BUSY, NULL, "another model is being read");
        beamd_core_refuse(self, call, &err);
    }
}

void beamd_core_reread_model(beamd_core *self)
{
    static const beamd_request nobody;
    find_rooms(self); /* memory may be allowed now that was not */
    const char *file = self->config->model_file;
    if (!file[0] && (!self->model || !self->model->file[0])) {
        return; /* the one built in does not change */
    }
    if (self->is_reading || !start_reading(self, file, &nobody)) {
        self->reread = true;
    }
}

void beamd_core_reread_due(beamd_core *self)
{
    if (self->reread && !self->is_reading && !self->draining) {
        self->reread = false;
        beamd_core_reread_model(self);
    }
}

static void taken(beamd_core *self, beamd_model *fresh)
{
    BEAMD_LOG(BEAMD_LOG_NOTICE,
              "event=model_reloaded by=%s name=\"%s\" kind=%s parameters=%zu sha256=%s file=\"%s\" "
              "before=%s",
              self->reading_for.identity_bytes ? "request" : "signal", fresh->info->name,
              beam_model_kind_text(fresh->info->kind), fresh->info->parameters,
              fresh->info->checksum, fresh->file,
              self->model ? self->model->info->checksum : "none");
    beamd_core_set_model(self, fresh);
}

static void refused(beamd_core *self)
{
    const beamd_request *request = &self->reading_for;
    const beam_error *error = &self->reading.error;
    self->metrics.model_refusals++;
    BEAMD_LOG(BEAMD_LOG_WARNING,
              "event=model_refused by=%s file=\"%s\" field=\"%s\" why=\"%s\" kept=%s",
              request->identity_bytes ? "request" : "signal", self->reading.file, error->field,
              error->text, self->model ? self->model->info->checksum : "none");
    beam_wire_error err;
    beamd_engine_error(&err, error);
    beamd_core_refuse_on(self, BEAMD_CHANNEL_CONTROL, "", request, &err);
}

void beamd_core_model_done(beamd_core *self)
{
    const beamd_request *request = &self->reading_for;
    self->is_reading = false;
    self->jobs[BEAMD_CREW_READ]--;
    if (self->reading.model) {
        taken(self, self->reading.model);
        self->reading.model = NULL;
        if (request->identity_bytes > 0) {
            send_model(self, request->identity, request->identity_bytes, request->sequence,
                       request->sender_time_ns);
        }
    } else {
        refused(self);
    }
    beamd_core_reread_due(self);
}

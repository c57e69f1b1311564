/* What operators change outside the core: the configuration and the log level. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "model.h"
#include "service.h"

enum { KEYS = BEAM_WIRE_MAX_CONFIG_KEYS };

/* A reply under construction; texts are copied because a reload changes what they came from. */
typedef struct reply_room {
    Beamd__ConfigKey key[KEYS], changed[KEYS];
    Beamd__ConfigKey *key_at[KEYS], *changed_at[KEYS];
    char *restart_at[KEYS];
    beamd_config_setting setting[KEYS];
    char old_value[KEYS][BEAMD_CONFIG_VALUE_BYTES], new_value[KEYS][BEAMD_CONFIG_VALUE_BYTES];
    size_t changes, restarts;
} reply_room;

/* protobuf-c's texts are not const; packing does not change them. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void put_setting(Beamd__ConfigKey *key, const beamd_config_setting *from)
{
    beamd__config_key__init(key);
    key->name = text_of(from->name);
    key->value = text_of(from->value);
    key->fallback = text_of(from->fallback);
    key->reloadable = from->reloadable;
    key->unit = text_of(from->unit);
}

static void note_change(void *arg, const char *name, const char *old_value, const char *new_value,
                        bool reloadable)
{
    reply_room *room = arg;
    if (room->changes == KEYS) {
        return; /* there are not so many keys: a static assertion of the table's size */
    }
    Beamd__ConfigKey *key = &room->changed[room->changes];
    char *value = room->new_value[room->changes];
    snprintf(value, BEAMD_CONFIG_VALUE_BYTES, "%s", new_value);
    snprintf(room->old_value[room->changes], BEAMD_CONFIG_VALUE_BYTES, "%s", old_value);
    beamd__config_key__init(key);
    key->name = text_of(name);
    key->value = value;
    key->reloadable = reloadable;
    room->changed_at[room->changes++] = key;
    if (!reloadable) {
        room->restart_at[room->restarts++] = text_of(name);
    }
}

/* The file and the command line over the defaults. At the start it may be a pipe; here, the loop
 * would wait for somebody to write. */
static bool read_fresh(beamd_service *self, beamd_config *fresh, beamd_config_error *err)
{
    struct stat st;
    if (stat(self->config_path, &st) == 0 && !S_ISREG(st.st_mode)) {
        snprintf(err->text, sizeof err->text, "%.400s: is no regular file", self->config_path);
        return false;
    }
    beamd_config_default(fresh);
    return beamd_config_read(fresh, self->config_path, err) &&
           beamd_config_parse(fresh, "command line", self->settings, self->settings_bytes, err) &&
           beamd_config_resolve(fresh, err);
}

/* Another model: a thread reads it whole, later; what is plainly none is refused with the rest. */
static bool model_good(const beamd_service *self, const beamd_config *fresh,
                       beamd_config_error *err)
{
    beam_error why;
    const char *file = fresh->model_file;
    return !file[0] || strcmp(file, self->config.model_file) == 0 ||
           beamd_model_probe(file, &why) ||
           beamd_config_refuse(fresh, err, "model_file", "%s: %s", file, why.text);
}

/* The keys of tcp peers: all of them, or none. */
static bool take_keys(beamd_service *self, const char *curve_dir, bool check_only,
                      beamd_config_error *err)
{
    return check_only ? beamd_zap_check(self->zap, curve_dir, err->text, sizeof err->text)
                      : beamd_zap_reload(self->zap, curve_dir, err->text, sizeof err->text);
}

/* All of it is taken over, or nothing. What changed goes to `room` and to the log. */
static bool take_over(beamd_service *self, bool check_only, reply_room *room,
                      beamd_config_error *err)
{
    static beamd_config fresh;
    if (!self->config_path) { /* keys and model may have changed all the same */
        self->reread_wanted |= !check_only;
        return take_keys(self, self->config.curve_dir, check_only, err);
    }
    if (!read_fresh(self, &fresh, err) || !beamd_config_mixture_good(&self->config, &fresh, err) ||
        !model_good(self, &fresh, err) || !take_keys(self, fresh.curve_dir, check_only, err)) {
        return false;
    }
    (void)beamd_config_changes(&self->config, &fresh, note_change, room);
    if (check_only) {
        return true;
    }
    for (size_t k = 0; k < room->changes; k++) {
        BEAMD_LOG(BEAMD_LOG_NOTICE, "event=setting key=%s old=\"%s\" new=\"%s\" takes_effect=%s",
                  room->changed[k].name, room->old_value[k], room->changed[k].value,
                  room->changed[k].reloadable ? "now" : "restart");
    }
    const char *first = "";
    const int fixed = beamd_config_reload(&self->config, &fresh, &first);
    beamd_log_setup(beamd_service_log_level(&self->config), (unsigned)self->config.log_per_second);
    BEAMD_LOG(BEAMD_LOG_NOTICE, "event=reloaded need_restart=%d first=%s changed=%zu", fixed, first,
              room->changes);
    self->reread_wanted = true;
    return true;
}

static void wake_soon(beamd_service *self)
{
    if (self->reread_wanted && self->wake) {
        (void)beamd_watch_arm(self->wake, 0); /* a step may be under way: after it */
    }
}

void beamd_service_reload(beamd_service *self)
{
    static reply_room room;
    beamd_config_error err;
    beamd_metrics *metrics = beamd_core_metrics(self->core);
    room.changes = room.restarts = 0;
    if (take_over(self, false, &room, &err)) {
        metrics->config_reloads++;
    } else {
        metrics->config_refusals++;
        BEAMD_LOG(BEAMD_LOG_ERR, "event=reload_refused why=\"%s\"", err.text);
    }
    beamd_gpus_reset(self);
    wake_soon(self);
}

int beamd_service_config(void *arg, bool reload, bool check_only, Beamd__ConfigReply *reply,
                         beam_wire_error *err)
{
    static reply_room room;
    beamd_service *self = arg;
    beamd_config_error why;
    beamd_metrics *metrics = beamd_core_metrics(self->core);
    room.changes = room.restarts = 0;
    if (reload && !take_over(self, check_only, &room, &why)) {
        metrics->config_refusals++;
        return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "config", "%s", why.text);
    }
    metrics->config_reloads += reload && !check_only;
    if (reload && !check_only) {
        beamd_gpus_reset(self);
    }
    wake_soon(self);
    reply->file = text_of(self->config_path ? self->config_path : "");
    reply->keys = room.key_at;
    for (int k = 0; k < KEYS && beamd_config_value(&self->config, k, &room.setting[k]); k++) {
        put_setting(&room.key[k], &room.setting[k]);
        room.key_at[reply->n_keys++] = &room.key[k];
    }
    reply->changed = room.changed_at;
    reply->n_changed = room.changes;
    reply->need_restart = room.restart_at;
    reply->n_need_restart = room.restarts;
    return 0;
}

/* Until the next reload of a file that says otherwise. */
int beamd_service_set_log_level(void *arg, const char *level, beam_wire_error *err)
{
    beamd_service *self = arg;
    static const char *const words[] = {"err", "warning", "notice", "info", "debug"};
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++) {
        if (strcmp(level, words[k]) == 0) {
            snprintf(self->config.log_level, sizeof self->config.log_level, "%s", words[k]);
            beamd_log_setup(beamd_service_log_level(&self->config),
                            (unsigned)self->config.log_per_second);
            return 0;
        }
    }
    return beam_wire_fail(err, BEAMD__ERROR_CODE__ERROR_INVALID, "level",
                          "must be err, warning, notice, info or debug");
}

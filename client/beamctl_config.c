/* beamctl config, log-level, drain: what changes the daemon while it runs. */
#include <stdio.h>
#include <string.h>

#include "beamctl.h"
#include "beamctl_json.h"

static json_t *key_json(const beamc_config_key *key)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:b}", "key", beamctl_json_text(key->name), "value",
                     beamctl_json_text(key->value), "default", beamctl_json_text(key->fallback),
                     "unit", key->unit && key->unit[0] ? beamctl_json_text(key->unit) : json_null(),
                     "reloadable", (int)key->reloadable);
}

static bool needs_restart(const beamc_config *config, const char *name)
{
    for (size_t k = 0; k < config->need_restart_count; k++) {
        if (strcmp(config->need_restart[k], name) == 0) {
            return true;
        }
    }
    return false;
}

/* As it holds now; NULL: no such key. */
static const beamc_config_key *present(const beamc_config *config, const char *name)
{
    for (size_t k = 0; k < config->key_count; k++) {
        if (strcmp(config->keys[k].name, name) == 0) {
            return &config->keys[k];
        }
    }
    return NULL;
}

/* The new value with what the key says of itself: a change need not repeat it. */
static beamc_config_key described(const beamc_config *config, const beamc_config_key *change)
{
    const beamc_config_key *now = present(config, change->name);
    beamc_config_key key = now ? *now : *change;
    key.value = change->value;
    return key;
}

static void print_key(const beamc_config_key *key)
{
    const bool changed = strcmp(key->value, key->fallback) != 0;
    printf("%-22s = %s%s%s", key->name, key->value[0] ? key->value : "\"\"",
           key->unit[0] && key->value[0] ? " " : "", key->value[0] ? key->unit : "");
    if (changed) {
        printf("   (default %s)", key->fallback[0] ? key->fallback : "\"\"");
    }
    putchar('\n');
}

/* key NULL: all of them. */
static int print_keys(const beamc_config *config, const char *key, bool json)
{
    json_t *list = json_array();
    size_t shown = 0;
    if (!json && !key) {
        printf("file: %s\n", config->file[0] ? config->file : "none");
    }
    for (size_t k = 0; k < config->key_count; k++) {
        if (key && strcmp(config->keys[k].name, key) != 0) {
            continue;
        }
        shown++;
        if (json) {
            json_array_append_new(list, key_json(&config->keys[k]));
        } else {
            print_key(&config->keys[k]);
        }
    }
    if (key && shown == 0) {
        json_decref(list);
        return beamctl_failed("no key %s", key);
    }
    if (json) {
        beamctl_json_print(json_pack(
            "{s:o,s:o}", "file", config->file[0] ? beamctl_json_text(config->file) : json_null(),
            "keys", list));
    } else {
        json_decref(list);
    }
    return BEAMCTL_DONE;
}

static void print_changes_json(const beamc_config *config, bool check)
{
    json_t *list = json_array();
    for (size_t k = 0; k < config->changed_count; k++) {
        const beamc_config_key key = described(config, &config->changed[k]);
        const beamc_config_key *now = present(config, key.name);
        json_t *o = key_json(&key);
        if (check) { /* a reload has replaced the old values already */
            json_object_set_new(o, "before", beamctl_json_text(now ? now->value : NULL));
        }
        json_object_set_new(o, "needs_restart", json_boolean(needs_restart(config, key.name)));
        json_array_append_new(list, o);
    }
    beamctl_json_print(json_pack("{s:o,s:b,s:o}", "file",
                                 config->file[0] ? beamctl_json_text(config->file) : json_null(),
                                 "applied", (int)!check, "changed", list));
}

static void print_changes(const beamc_config *config, bool check)
{
    if (config->changed_count == 0) {
        printf("%s: nothing changed\n", config->file[0] ? config->file : "no file");
        return;
    }
    printf("%s: %zu key%s %s\n", config->file[0] ? config->file : "no file", config->changed_count,
           config->changed_count == 1 ? "" : "s", check ? "would change" : "changed");
    for (size_t k = 0; k < config->changed_count; k++) {
        const beamc_config_key key = described(config, &config->changed[k]);
        const beamc_config_key *now = check ? present(config, key.name) : NULL;
        printf("  %s = %s%s%s", key.name, key.value[0] ? key.value : "\"\"", key.unit[0] ? " " : "",
               key.unit);
        if (now) {
            printf("   (now %s)", now->value[0] ? now->value : "\"\"");
        }
        printf("%s\n", needs_restart(config, key.name) ? "   with the next start only" : "");
    }
}

int beamctl_config(const beamctl_settings *s, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "get";
    const bool get = strcmp(what, "get") == 0, check = strcmp(what, "check") == 0;
    if ((!get && !check && strcmp(what, "reload") != 0) || (!get && argc > 2)) {
        return beamctl_wrong_usage("config takes 'get [KEY]', 'check' or 'reload'");
    }
    beamc_client *client;
    beamc_config config;
    beamc_error err;
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = get ? beamc_config_get(client, s->timeout_ms, &config, &err)
                   : beamc_config_reload(client, check, s->timeout_ms, &config, &err);
    }
    int status = BEAMCTL_DONE;
    if (code) {
        status = beamctl_fail(&err);
    } else if (get) {
        status = print_keys(&config, argc == 3 ? argv[2] : NULL, s->json);
    } else if (s->json) {
        print_changes_json(&config, check);
    } else {
        print_changes(&config, check);
    }
    beamc_close(&client);
    return status;
}

int beamctl_log_level(const beamctl_settings *s, int argc, char **argv)
{
    static const char *const levels[] = {"err", "warning", "notice", "info", "debug"};
    (void)argc;
    bool known = false;
    for (size_t k = 0; k < sizeof levels / sizeof levels[0]; k++) {
        known = known || strcmp(argv[1], levels[k]) == 0;
    }
    if (!known) {
        return beamctl_wrong_usage("log-level takes err, warning, notice, info or debug");
    }
    beamc_client *client;
    beamc_error err;
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = beamc_log_level_set(client, argv[1], s->timeout_ms, &err);
    }
    if (!code && s->json) {
        beamctl_json_print(json_pack("{s:s}", "log_level", argv[1]));
    } else if (!code) {
        printf("log level %s, until the daemon ends or reloads\n", argv[1]);
    }
    beamc_close(&client);
    return code ? beamctl_fail(&err) : BEAMCTL_DONE;
}

int beamctl_drain(const beamctl_settings *s, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    beamc_client *client;
    beamc_error err;
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = beamc_drain(client, s->timeout_ms, &err);
    }
    if (!code && s->json) {
        beamctl_json_print(json_pack("{s:b}", "draining", 1));
    } else if (!code) {
        puts("draining: what was accepted is answered, then beamd ends");
    }
    beamc_close(&client);
    return code ? beamctl_fail(&err) : BEAMCTL_DONE;
}

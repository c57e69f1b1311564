/* beamctl preference get|set|remove. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beamctl.h"
#include "beamctl_status.h"

/* cluster NULL: the daemon's default. */
static void print(const char *cluster, const beamc_preferences *p, bool json)
{
    if (json) {
        beamctl_json_print(json_pack("{s:o,s:o,s:o}", "cluster", beamctl_json_text(cluster),
                                     "preference", beamctl_json_preference(&p->unnamed),
                                     "preferences", beamctl_json_named(p->named, p->named_count)));
        return;
    }
    printf("%s: tau %.3f, %s  (u = %.4f, %.4f)%s\n", cluster ? cluster : "default",
           p->unnamed.tradeoff, beamc_tradeoff_words(p->unnamed.tradeoff), p->unnamed.u1,
           p->unnamed.u2, p->named_count ? "; not in use beside the named ones" : "");
    for (size_t k = 0; k < p->named_count; k++) {
        printf("%s %s: tau %.3f, %s\n", cluster ? cluster : "default", p->named[k].name,
               p->named[k].tradeoff, beamc_tradeoff_words(p->named[k].tradeoff));
    }
}

static beamc_code get(beamc_client *client, const beamctl_settings *s, const char *cluster,
                      beamc_preferences *p, beamc_error *err)
{
    const beamc_code code = beamc_preferences_get(client, cluster, s->timeout_ms, p, err);
    if (code || !s->name) {
        return code;
    }
    for (size_t k = 0; k < p->named_count; k++) {
        if (strcmp(p->named[k].name, s->name) == 0) {
            p->named += k; /* the one asked for alone */
            p->named_count = 1;
            return BEAMC_OK;
        }
    }
    *err = (beamc_error){.code = BEAMC_E_REFUSED, .refusal = BEAMC_REFUSAL_INVALID};
    snprintf(err->field, sizeof err->field, "name");
    snprintf(err->text, sizeof err->text, "%.63s has no preference %.63s", cluster, s->name);
    return BEAMC_E_REFUSED;
}

static beamc_code set(beamc_client *client, const beamctl_settings *s, const char *cluster,
                      double tradeoff, beamc_preferences *p, beamc_error *err)
{
    if (s->name) {
        return beamc_preference_set_named(client, cluster, s->name, tradeoff, s->timeout_ms, p,
                                          err);
    }
    *p = (beamc_preferences){.named = NULL};
    const beamc_code code =
        beamc_preference_set(client, cluster, tradeoff, s->timeout_ms, &p->unnamed, err);
    return code ? code : beamc_preferences_get(client, cluster, s->timeout_ms, p, err);
}

int beamctl_preference(const beamctl_settings *s, int argc, char **argv)
{
    const bool is_get = strcmp(argv[1], "get") == 0 && argc <= 3;
    const bool is_set = strcmp(argv[1], "set") == 0 && argc >= 3;
    const bool is_remove = strcmp(argv[1], "remove") == 0 && argc == 3;
    if (!is_get && !is_set && !is_remove) {
        return beamctl_wrong_usage(
            "preference takes 'get [CLUSTER]', 'set [CLUSTER] TAU' or 'remove CLUSTER'");
    }
    const char *cluster = argc == (is_set ? 4 : 3) ? argv[2] : NULL;
    double tradeoff = 0;
    if (is_set) {
        char *end;
        const char *text = argv[argc - 1];
        tradeoff = strtod(text, &end);
        if (end == text || *end || !(tradeoff >= 0 && tradeoff <= 1)) {
            return beamctl_wrong_usage("TAU is a number from 0 to 1");
        }
    }
    if (is_remove && !s->name) {
        return beamctl_wrong_usage("preference remove needs --name");
    }
    if (s->name && !cluster) {
        return beamctl_wrong_usage("--name needs a CLUSTER: the default has no named preferences");
    }
    beamc_client *client;
    beamc_preferences p;
    beamc_error err;
    beamc_code code = beamc_connect(&client, &s->connection, &err);
    if (!code) {
        code = is_get ? get(client, s, cluster, &p, &err)
               : is_set
                   ? set(client, s, cluster, tradeoff, &p, &err)
                   : beamc_preference_remove(client, cluster, s->name, s->timeout_ms, &p, &err);
    }
    if (!code) {
        print(cluster, &p, s->json);
    }
    beamc_close(&client);
    return code ? beamctl_fail(&err) : BEAMCTL_DONE;
}

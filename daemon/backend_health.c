#include "backend_health.h"

const char *beamd_health_text(beamd_health health)
{
    static const char *const texts[] = {"good", "failing", "probing"};
    return (unsigned)health < sizeof texts / sizeof texts[0] ? texts[health] : "unknown";
}

bool beamd_health_usable(const beamd_backend_health *self, uint64_t now_ns)
{
    return self->health == BEAMD_HEALTH_GOOD ||
           (self->health == BEAMD_HEALTH_FAILING && now_ns >= self->retry_at_ns);
}

uint64_t beamd_health_begin(beamd_backend_health *self, uint64_t now_ns)
{
    self->batches++;
    if (self->health == BEAMD_HEALTH_FAILING && now_ns >= self->retry_at_ns) {
        self->health = BEAMD_HEALTH_PROBING;
        self->transitions++;
        return ++self->probe;
    }
    return 0;
}

static void leave_alone(beamd_backend_health *self, uint64_t now_ns, const beamd_health_rule *rule)
{
    const uint64_t doubled = self->wait_ns == 0 ? rule->wait_ns : 2 * self->wait_ns;
    self->wait_ns = doubled < rule->wait_max_ns ? doubled : rule->wait_max_ns;
    self->health = BEAMD_HEALTH_FAILING;
    self->retry_at_ns = now_ns + self->wait_ns;
    self->transitions++;
}

bool beamd_health_end(beamd_backend_health *self, uint64_t now_ns, uint64_t probe, bool failed,
                      const beamd_health_rule *rule)
{
    const bool of_probe = self->health == BEAMD_HEALTH_PROBING && probe == self->probe;
    if (!failed) {
        const bool recovered = of_probe;
        self->failures_in_row = 0;
        if (recovered) {
            self->health = BEAMD_HEALTH_GOOD;
            self->wait_ns = 0;
            self->transitions++;
        }
        return recovered; /* batches given out before it failed prove nothing while it is left alone
                           */
    }
    self->failures++;
    self->failures_in_row++;
    if (of_probe ||
        (self->health == BEAMD_HEALTH_GOOD && self->failures_in_row >= rule->failures)) {
        leave_alone(self, now_ns, rule);
        return true;
    }
    return false;
}

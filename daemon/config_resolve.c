/* The automatic values of the configuration, and which endpoints are refused. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "endpoints.h"
#include "fault.h"
#include "realtime.h"
#include "state.h"

static bool choose_runtime_dir(beamd_config *config, beamd_config_error *err)
{
    if (config->runtime_dir[0]) {
        return config->runtime_dir[0] == '/' ||
               beamd_config_refuse(config, err, "runtime_dir", "not an absolute path");
    }
    const char *given = getenv("RUNTIME_DIRECTORY"); /* systemd; several are separated by ':' */
    if (given && *given == '/') {
        const size_t n = strcspn(given, ":");
        if (n < sizeof config->runtime_dir) {
            memcpy(config->runtime_dir, given, n);
            config->runtime_dir[n] = 0;
            return true;
        }
    } else if (beam_runtime_dir(config->runtime_dir, sizeof config->runtime_dir) == 0) {
        return config->runtime_dir[0] == '/' ||
               beamd_config_refuse(config, err, "runtime_dir",
                                   "the one of the environment is not an absolute path");
    }
    return beamd_config_refuse(config, err, "runtime_dir",
                               "the one of the environment is longer than %zu bytes, or it is in "
                               "/tmp and belongs to another user",
                               sizeof config->runtime_dir - 1);
}

static bool choose_state_dir(beamd_config *config, beamd_config_error *err)
{
    return beamd_state_choose_dir(config) ||
           beamd_config_refuse(config, err, "state_dir",
                               "must be an absolute path of at most %zu bytes, or off",
                               sizeof config->state_dir - 1);
}

static bool port_is_number(const char *port)
{
    const size_t n = strspn(port, "0123456789");
    return n > 0 && n <= 5 && port[n] == 0 && atoi(port) <= 65535;
}

static bool tcp_is_loopback(const char *address)
{
    static const char *const hosts[] = {"127.0.0.1:", "[::1]:", "localhost:"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        const size_t n = strlen(hosts[i]);
        if (strncmp(address, hosts[i], n) == 0) {
            return port_is_number(address + n);
        }
    }
    return false;
}

/* HOST:PORT with any host: an address, [an IPv6 address], an interface or *. */
static bool tcp_is_place(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon && colon > address && port_is_number(colon + 1);
}

/* What may be bound where: beyond loopback only with keys, for everybody could connect. Their files
 * are read when the sockets are opened (zap.h). */
static bool check_zmq_endpoint(const beamd_config *config, const char *key, const char *endpoint,
                               beamd_config_error *err)
{
    if (strncmp(endpoint, "ipc://", 6) == 0) {
        const char *path = endpoint + 6;
        /* sockaddr_un holds 107 bytes; libzmq would cut an abstract name's meaning elsewhere */
        return (path[0] == '/' && strlen(path) < 108) ||
               beamd_config_refuse(config, err, key,
                                   "ipc:// needs an absolute path of at most 107 bytes");
    }
    if (strncmp(endpoint, "tcp://", 6) == 0) {
        if (!tcp_is_place(endpoint + 6)) {
            return beamd_config_refuse(config, err, key, "tcp:// needs HOST:PORT");
        }
        return tcp_is_loopback(endpoint + 6) || config->curve_dir[0] ||
               beamd_config_refuse(config, err, key,
                                   "tcp beyond 127.0.0.1, [::1] and localhost needs keys, and "
                                   "curve_dir names none");
    }
    return beamd_config_refuse(config, err, key, "must begin with ipc:// or tcp://");
}

static bool check_metrics_endpoint(const beamd_config *config, beamd_config_error *err)
{
    static const char key[] = "metrics_endpoint";
    const char *endpoint = config->metrics_endpoint;
    if (strcmp(endpoint, "off") == 0) {
        return true;
    }
    if (strncmp(endpoint, "unix:", 5) == 0) {
        return (endpoint[5] == '/' && strlen(endpoint + 5) < 108) ||
               beamd_config_refuse(config, err, key,
                                   "unix: needs an absolute path of at most 107 bytes");
    }
    if (strncmp(endpoint, "tcp://", 6) == 0) {
        return (tcp_is_loopback(endpoint + 6) && strncmp(endpoint + 6, "localhost", 9) != 0) ||
               beamd_config_refuse(config, err, key,
                                   "tcp is allowed on 127.0.0.1 or [::1] with a "
                                   "port only");
    }
    return beamd_config_refuse(config, err, key, "must be off or begin with unix: or tcp://");
}

static bool fill_endpoints(beamd_config *config, beamd_config_error *err)
{
    const char *dir = config->runtime_dir;
    const struct {
        char *endpoint;
        beam_endpoint which;
    } zmq[] = {{config->csi_endpoint, BEAM_ENDPOINT_CSI},
               {config->beams_endpoint, BEAM_ENDPOINT_BEAMS},
               {config->control_endpoint, BEAM_ENDPOINT_CONTROL},
               {config->telemetry_endpoint, BEAM_ENDPOINT_TELEMETRY}};
    for (size_t i = 0; i < sizeof zmq / sizeof zmq[0]; i++) {
        if (!zmq[i].endpoint[0] &&
            beam_endpoint_default(zmq[i].endpoint, BEAMD_ENDPOINT_BYTES, dir, zmq[i].which) < 0) {
            return beamd_config_refuse(config, err, "runtime_dir",
                                       "too long for the path of a socket");
        }
    }
    char path[BEAMD_ENDPOINT_BYTES - 8];
    if (!config->metrics_endpoint[0]) {
        if (beam_endpoint_path(path, sizeof path, dir, BEAM_ENDPOINT_METRICS) < 0) {
            return beamd_config_refuse(config, err, "runtime_dir",
                                       "too long for the path of a socket");
        }
        snprintf(config->metrics_endpoint, BEAMD_ENDPOINT_BYTES, "unix:%s", path);
    }
    return true;
}

/* The path or HOST:PORT of an endpoint. */
static const char *endpoint_place(const char *endpoint)
{
    const char *colon = strchr(endpoint, ':');
    const char *place = colon ? colon + 1 : endpoint;
    return strncmp(place, "//", 2) == 0 ? place + 2 : place;
}

/* libzmq takes a path that is bound already away from its first owner without a word. */
static bool check_distinct(const beamd_config *config, beamd_config_error *err)
{
    static const char *const keys[] = {"csi_endpoint", "beams_endpoint", "control_endpoint",
                                       "telemetry_endpoint", "metrics_endpoint"};
    const char *const endpoints[] = {config->csi_endpoint, config->beams_endpoint,
                                     config->control_endpoint, config->telemetry_endpoint,
                                     config->metrics_endpoint};
    for (size_t i = 1; i < sizeof keys / sizeof keys[0]; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(endpoints[i], "off") != 0 &&
                strcmp(endpoint_place(endpoints[i]), endpoint_place(endpoints[k])) == 0) {
                return beamd_config_refuse(config, err, keys[i], "the same as %s", keys[k]);
            }
        }
    }
    return true;
}

const char *beamd_config_model_file_wrong(const char *file)
{
    return file[0] != '/'      ? "must be an absolute path"
           : strchr(file, '"') ? "must not hold a quote"
                               : NULL;
}

static bool check_model_file(const beamd_config *config, beamd_config_error *err)
{
    const char *why =
        config->model_file[0] ? beamd_config_model_file_wrong(config->model_file) : NULL;
    return !why || beamd_config_refuse(config, err, "model_file", "%s", why);
}

static bool check_cpus(const beamd_config *config, const char *key, const char *text, bool one,
                       unsigned *count, beamd_config_error *err)
{
    static beamd_cpu_list list; /* large */
    const char *why;
    if (!beamd_cpus_parse(text, &list, &why)) {
        return beamd_config_refuse(config, err, key, "%s", why);
    }
    *count = list.count;
    return !one || list.count <= 1 || beamd_config_refuse(config, err, key, "one core only");
}

static bool check_realtime(beamd_config *config, beamd_config_error *err)
{
    unsigned cores = 0, one = 0;
    if (!check_cpus(config, "worker_cpus", config->worker_cpus, false, &cores, err) ||
        !check_cpus(config, "loop_cpu", config->loop_cpu, true, &one, err) ||
        !check_cpus(config, "io_cpu", config->io_cpu, true, &one, err)) {
        return false;
    }
    if (config->workers == 0 && cores > 0) {
        config->workers = cores < 64 ? cores : 64;
    }
    /* nobody gets a core from a thread under SCHED_FIFO that does not sleep */
    return config->spin_us == 0 || config->realtime_priority == 0 || cores > 0 ||
           beamd_config_refuse(config, err, "spin_us",
                               "with realtime_priority, threads that spin need cores of their own: "
                               "set worker_cpus");
}

static bool check_gpus(const beamd_config *config, beamd_config_error *err)
{
    unsigned count = 0;
    const char *devices = config->gpu_devices;
    if (devices[0] && strcmp(devices, "auto") != 0 && strcmp(devices, "none") != 0 &&
        !check_cpus(config, "gpu_devices", devices, false, &count, err)) {
        return false;
    }
    if (count > 16) {
        return beamd_config_refuse(config, err, "gpu_devices", "%u devices, at most 16", count);
    }
    if (config->gpu_retry_ms > config->gpu_retry_max_ms) {
        return beamd_config_refuse(config, err, "gpu_retry_ms", "longer than gpu_retry_max_ms");
    }
    if (config->gpu_program[0] && config->gpu_program[0] != '/') {
        return beamd_config_refuse(config, err, "gpu_program", "not an absolute path");
    }
    return check_cpus(config, "gpu_cpus", config->gpu_cpus, false, &count, err);
}

static bool check_several(const beamd_config *config, beamd_config_error *err)
{
    if (config->deadline_us > config->deadline_max_ms * 1000) {
        return beamd_config_refuse(config, err, "deadline_us", "longer than deadline_max_ms");
    }
    if (config->backend_retry_ms > config->backend_retry_max_ms) {
        return beamd_config_refuse(config, err, "backend_retry_ms",
                                   "longer than backend_retry_max_ms");
    }
    beamd_faults faults;
    char why[128];
    if (!beamd_faults_parse(config->fault, &faults, why, sizeof why)) {
        return beamd_config_refuse(config, err, "fault", "%s", why);
    }
#ifndef BEAMD_FAULTS
    if (config->fault[0]) {
        return beamd_config_refuse(config, err, "fault",
                                   "this program was built without BEAMD_FAULTS");
    }
#endif
    return true;
}

static bool check_endpoints(const beamd_config *config, beamd_config_error *err)
{
    if (config->curve_dir[0] && config->curve_dir[0] != '/') {
        return beamd_config_refuse(config, err, "curve_dir", "not an absolute path");
    }
    return check_zmq_endpoint(config, "csi_endpoint", config->csi_endpoint, err) &&
           check_zmq_endpoint(config, "beams_endpoint", config->beams_endpoint, err) &&
           check_zmq_endpoint(config, "control_endpoint", config->control_endpoint, err) &&
           (strcmp(config->telemetry_endpoint, "off") == 0 ||
            check_zmq_endpoint(config, "telemetry_endpoint", config->telemetry_endpoint, err)) &&
           check_metrics_endpoint(config, err) && check_distinct(config, err);
}

bool beamd_config_resolve(beamd_config *config, beamd_config_error *err)
{
    if (!choose_runtime_dir(config, err) || !choose_state_dir(config, err) ||
        !fill_endpoints(config, err) || !check_realtime(config, err) ||
        !check_several(config, err) || !check_gpus(config, err)) {
        return false;
    }
    if (config->workers == 0) {
        const long cores = sysconf(_SC_NPROCESSORS_ONLN);
        config->workers = cores > 2 ? (cores > 65 ? 64 : cores - 1) : 1;
    }
    return check_endpoints(config, err) && check_model_file(config, err);
}

bool beamd_config_mixture_good(const beamd_config *config, const beamd_config *fresh,
                               beamd_config_error *err)
{
    static beamd_config mixture; /* large */
    const char *first = "";
    mixture = *config;
    if (beamd_config_reload(&mixture, fresh, &first) == 0 || beamd_config_resolve(&mixture, err)) {
        return true;
    }
    const size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, " (%s of the file waits for a restart)",
             first);
    return false;
}

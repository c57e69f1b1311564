/* The sockets, and how the core reaches them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "service.h"

/* Threads, sockets, files: what connections must leave free. */
enum { HTTP_TIMEOUT_MS = 5000, DESCRIPTORS_KEPT = 192 };

static uint64_t io_clock(void *arg)
{
    (void)arg;
    return beamd_clock_ns();
}

static bool io_reply(void *arg, beamd_channel channel, const void *identity, size_t identity_bytes,
                     const unsigned char *frame, size_t bytes)
{
    beamd_service *self = arg;
    const beamd_frame frames[] = {{identity, identity_bytes}, {frame, bytes}};
    beamd_zsock *socket = channel == BEAMD_CHANNEL_CSI ? self->csi : self->control;
    return socket && beamd_zsock_send(socket, frames, 2);
}

static bool io_publish(void *arg, const void *topic, size_t topic_bytes, const unsigned char *frame,
                       size_t bytes)
{
    beamd_service *self = arg;
    const beamd_frame frames[] = {{topic, topic_bytes}, {frame, bytes}};
    return self->beams && beamd_zsock_send(self->beams, frames, 2);
}

const beamd_actions beamd_service_actions = {.clock_ns = io_clock,
                                             .reply = io_reply,
                                             .publish = io_publish,
                                             .free_threads = beamd_service_free_threads,
                                             .submit = beamd_service_submit,
                                             .replace_thread = beamd_service_replace_thread,
                                             .config = beamd_service_config,
                                             .log_level = beamd_service_set_log_level,
                                             .drain = beamd_service_drain};

static void take(beamd_service *self, beamd_channel channel, const beamd_message *message)
{
    const beamd_event event = {.kind = BEAMD_EVENT_MESSAGE,
                               .channel = channel,
                               .peer = {.identity = message->frame[0].data,
                                        .identity_bytes = message->frame[0].bytes,
                                        .roles = message->roles,
                                        .user = message->user},
                               .frame = message->frame[1].data,
                               .bytes = message->frame[1].bytes,
                               .frames = message->count - 1};
    beamd_service_step(self, &event);
}

static void csi_message(void *arg, const beamd_message *message)
{
    take(arg, BEAMD_CHANNEL_CSI, message);
}

static void control_message(void *arg, const beamd_message *message)
{
    take(arg, BEAMD_CHANNEL_CONTROL, message);
}

/* XPUB: one byte 1 or 0 (subscribe, unsubscribe), then the prefix. Anything else is a peer's own
 * message. */
static void beams_message(void *arg, const beamd_message *message)
{
    beamd_service *self = arg;
    const unsigned char *data = message->frame[0].data;
    if (message->count == 1 && message->frame[0].bytes >= 1 && data[0] == 1) {
        const beamd_event event = {.kind = BEAMD_EVENT_SUBSCRIBED,
                                   .frame = data + 1,
                                   .bytes = message->frame[0].bytes - 1};
        beamd_service_step(self, &event);
    }
}

/* Subscriptions to telemetry: the next message comes soon enough. */
static void ignored_message(void *arg, const beamd_message *message)
{
    (void)arg;
    (void)message;
}

/* Binding unlinks what is in the way, libzmq without a look. Only the socket of a daemon that died
 * may go; a file, or a socket on which somebody listens (outside the runtime directory no lock says
 * so), stays. */
static bool path_is_free(const char *endpoint, char *why, size_t size)
{
    const bool ipc = strncmp(endpoint, "ipc://", 6) == 0;
    if (!ipc && strncmp(endpoint, "unix:", 5) != 0) {
        return true;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", endpoint + (ipc ? 6 : 5));
    struct stat st;
    if (lstat(address.sun_path, &st) < 0) {
        return true; /* nothing there; what else may be wrong, bind says */
    }
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(why, size, "%s: something that is no socket is in the way", endpoint);
        return false;
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool used =
        fd >= 0 && (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ||
                    errno == EAGAIN); /* listening, its queue full */
    if (fd >= 0) {
        close(fd);
    }
    if (used) {
        snprintf(why, size, "%s: another process listens there", endpoint);
    }
    return !used;
}

bool beamd_sockets_start(beamd_service *self, char *why, size_t size)
{
    const beamd_config *config = &self->config;
    const char *const endpoints[] = {config->csi_endpoint, config->beams_endpoint,
                                     config->control_endpoint, config->metrics_endpoint,
                                     config->telemetry_endpoint};
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        if (!path_is_free(endpoints[i], why, size)) {
            return false;
        }
    }
    const beamd_zap_options zap = {.curve_dir = config->curve_dir,
                                   .connections_max = config->connections_max,
                                   .descriptors_kept =
                                       DESCRIPTORS_KEPT + config->metrics_connections};
    self->zap = beamd_zap_create(&zap, why, size);
    if (!self->zap) {
        return false;
    }
    const beamd_zmq_options zmq = {.loop = self->loop,
                                   .zap = self->zap,
                                   .io_cpu = beamd_realtime_io_cpu(&self->realtime),
                                   .realtime_priority =
                                       beamd_realtime_io_priority(&self->realtime)};
    self->zmq = beamd_zmq_create(&zmq, why, size);
    if (!self->zmq) {
        return false;
    }
    /* Twice the limit is still read, so that its sender learns what was wrong; beyond it ZeroMQ
     * hangs up. */
    beamd_zsock_options options = {.queue_messages = (int)config->queue_messages,
                                   .message_bytes = (int64_t)config->message_kib * 2048,
                                   .linger_ms = (int)config->linger_ms,
                                   .per_turn = &config->messages_per_turn,
                                   .arg = self};
    options.endpoint = config->csi_endpoint;
    options.domain = "csi";
    options.callback = csi_message;
    self->csi = beamd_zsock_router(self->zmq, self->loop, &options, why, size);
    if (!self->csi) {
        return false;
    }
    options.endpoint = config->control_endpoint;
    options.domain = "control";
    options.callback = control_message;
    self->control = beamd_zsock_router(self->zmq, self->loop, &options, why, size);
    if (!self->control) {
        return false;
    }
    options.endpoint = config->beams_endpoint;
    options.domain = "beams";
    options.callback = beams_message;
    options.message_bytes = 256; /* subscriptions only */
    self->beams = beamd_zsock_xpub(self->zmq, self->loop, &options, why, size);
    if (!self->beams || strcmp(config->telemetry_endpoint, "off") == 0) {
        return self->beams != NULL;
    }
    options.endpoint = config->telemetry_endpoint;
    options.domain = "telemetry";
    options.callback = ignored_message;
    self->telemetry_socket = beamd_zsock_xpub(self->zmq, self->loop, &options, why, size);
    return self->telemetry_socket != NULL;
}

void beamd_sockets_stop(beamd_service *self)
{
    beamd_zsock_destroy(&self->telemetry_socket);
    beamd_zsock_destroy(&self->beams);
    beamd_zsock_destroy(&self->control);
    beamd_zsock_destroy(&self->csi);
    beamd_zmq_destroy(&self->zmq);
    beamd_zap_destroy(&self->zap);
}

/* What the sockets have seen of connections, where the page is made from. */
static void count_connections(beamd_service *self, beamd_gauges *gauges)
{
    beamd_metrics *metrics = beamd_core_metrics(self->core);
    const beamd_zap_counters *seen = beamd_zap_count(self->zap);
    metrics->connections_accepted = seen->accepted;
    metrics->connections_refused = seen->refused_limit;
    metrics->connections_no_descriptor = seen->refused_descriptors;
    metrics->connections_revoked = seen->revoked;
    metrics->connections_oversubscribed = seen->oversubscribed;
    metrics->connections_unauthorized = seen->refused_keys;
    metrics->handshakes_failed = seen->handshake_failures;
    gauges->connections = (unsigned)seen->connections;
    gauges->connections_max = (unsigned)seen->connections_max;
}

void beamd_service_gauges(beamd_service *self, uint64_t now_ns, beamd_gauges *gauges)
{
    *gauges = (beamd_gauges){.log_suppressed = beamd_log_suppressed()};
    beamd_core_gauges(self->core, now_ns, gauges);
    count_connections(self, gauges);
    gauges->state_age_s = beamd_service_state_age_s(self, &gauges->state_bytes);
    beamd_gpus_gauges(self, now_ns, gauges);
}

static size_t metrics_page(void *arg, char *out, size_t size)
{
    beamd_service *self = arg;
    const uint64_t now_ns = beamd_clock_ns();
    beamd_text text = {out, size, 0};
    beamd_gauges gauges;
    beamd_service_gauges(self, now_ns, &gauges);
    beamd_metrics_render(beamd_core_metrics(self->core), &gauges, &text);
    const size_t clusters = beamd_core_cluster_gauges(self->core, now_ns, self->gauges,
                                                      (size_t)self->config.metrics_clusters);
    beamd_metrics_render_clusters(self->gauges, clusters, &text);
    return text.used;
}

bool beamd_metrics_start(beamd_service *self, char *why, size_t size)
{
    self->gauges = calloc(BEAMD_CLUSTERS_MAX, sizeof *self->gauges);
    if (!self->gauges) {
        snprintf(why, size, "out of memory");
        return false;
    }
    if (strcmp(self->config.metrics_endpoint, "off") == 0) {
        return true;
    }
    beamd_metrics *metrics = beamd_core_metrics(self->core);
    const beamd_http_options options = {.endpoint = self->config.metrics_endpoint,
                                        .connections = (unsigned)self->config.metrics_connections,
                                        .timeout_ms = HTTP_TIMEOUT_MS,
                                        .page = metrics_page,
                                        .arg = self,
                                        .requests = &metrics->http_requests,
                                        .refused = &metrics->http_refused};
    self->http = beamd_http_create(self->loop, &options, why, size);
    return self->http != NULL;
}

void beamd_metrics_stop(beamd_service *self)
{
    beamd_http_destroy(&self->http);
    free(self->gauges);
    self->gauges = NULL;
}

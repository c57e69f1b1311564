#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REQUEST_MAX_BYTES = 4096, PAGE_SLACK_BYTES = 16384, PAGE_ATTEMPTS = 3 };

typedef struct connection {
    beamd_http *http;
    int fd; /* -1: free */
    beamd_watch *io, *timeout;
    char request[REQUEST_MAX_BYTES];
    size_t got;
    char *answer;
    size_t answer_bytes, sent;
} connection;

struct beamd_http {
    beamd_loop *loop;
    beamd_http_options options;
    int fd;
    char unlink_path[108]; /* "" for tcp */
    beamd_watch *accept;
    connection *connections;
    size_t page_bytes; /* of the last page */
};

static void connection_close(connection *c)
{
    beamd_watch_destroy(&c->io);
    beamd_watch_destroy(&c->timeout);
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c->answer);
    c->fd = -1;
    c->answer = NULL;
    c->got = c->answer_bytes = c->sent = 0;
}

static void connection_timeout(void *arg)
{
    connection *c = arg;
    (*c->http->options.refused)++;
    connection_close(c);
}

static void flush(connection *c)
{
    while (c->sent < c->answer_bytes) {
        const ssize_t n = send(c->fd, c->answer + c->sent, c->answer_bytes - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            beamd_watch_io_events(c->io, BEAMD_WRITE);
            return;
        }
        if (n < 0) {
            break;
        }
        c->sent += (size_t)n;
    }
    connection_close(c);
}

static void answer_with(connection *c, const char *status, const char *extra, const char *body,
                        size_t bytes)
{
    char head[256];
    const int n = snprintf(head, sizeof head,
                           "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; "
                           "charset=utf-8\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
                           status, bytes, extra);
    c->answer = malloc((size_t)n + bytes);
    if (!c->answer) {
        connection_close(c);
        return;
    }
    memcpy(c->answer, head, (size_t)n);
    memcpy(c->answer + n, body, bytes);
    c->answer_bytes = (size_t)n + bytes;
    flush(c);
}

/* In one go where the page is not much longer than the last one was. */
static void answer_page(connection *c)
{
    beamd_http *self = c->http;
    const beamd_http_options *o = &self->options;
    for (int attempt = 0; attempt < PAGE_ATTEMPTS; attempt++) {
        const size_t size = self->page_bytes + self->page_bytes / 8 + PAGE_SLACK_BYTES;
        char *page = malloc(size);
        if (!page) {
            break;
        }
        self->page_bytes = o->page(o->arg, page, size);
        if (self->page_bytes <= size) {
            answer_with(c, "200 OK", "", page, self->page_bytes);
            free(page);
            return;
        }
        free(page);
    }
    connection_close(c);
}

static void answer_text(connection *c, const char *status, const char *extra)
{
    char body[64];
    const int n = snprintf(body, sizeof body, "%s\n", status);
    answer_with(c, status, extra, body, (size_t)n);
}

/* "GET /metrics HTTP/1.x", perhaps with a query. */
static void answer(connection *c)
{
    (*c->http->options.requests)++;
    char *line = c->request;
    line[strcspn(line, "\r\n")] = 0;
    char *path = strchr(line, ' ');
    char *version = path ? strchr(path + 1, ' ') : NULL;
    if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0) {
        answer_text(c, "400 Bad Request", "");
        return;
    }
    *path++ = 0;
    *version = 0;
    path[strcspn(path, "?")] = 0;
    if (strcmp(path, "/metrics") != 0) {
        answer_text(c, "404 Not Found", "");
    } else if (strcmp(line, "GET") != 0) {
        answer_text(c, "405 Method Not Allowed", "Allow: GET\r\n");
    } else {
        answer_page(c);
    }
}

static void connection_event(void *arg, int events)
{
    connection *c = arg;
    if (c->answer) {
        flush(c);
        return;
    }
    if (!(events & BEAMD_READ)) {
        return;
    }
    const ssize_t n = recv(c->fd, c->request + c->got, sizeof c->request - 1 - c->got, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        connection_close(c);
        return;
    }
    c->got += (size_t)n;
    c->request[c->got] = 0;
    if (memchr(c->request, 0, c->got)) {
        answer_text(c, "400 Bad Request", "");
    } else if (strstr(c->request, "\r\n\r\n") || strstr(c->request, "\n\n")) {
        answer(c);
    } else if (c->got == sizeof c->request - 1) {
        (*c->http->options.refused)++;
        answer_text(c, "431 Request Header Fields Too Large", "");
    }
}

static void accept_event(void *arg, int events)
{
    beamd_http *self = arg;
    (void)events;
    const int fd = accept4(self->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    for (unsigned i = 0; i < self->options.connections; i++) {
        connection *c = &self->connections[i];
        if (c->fd >= 0) {
            continue;
        }
        c->fd = fd;
        c->io = beamd_watch_io(self->loop, fd, BEAMD_READ, connection_event, c);
        c->timeout =
            beamd_watch_timer(self->loop, self->options.timeout_ms, 0, connection_timeout, c);
        if (!c->io || !c->timeout) {
            connection_close(c);
        }
        return;
    }
    (*self->options.refused)++;
    close(fd);
}

static int listen_unix(beamd_http *self, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    unlink(
        path); /* of a daemon that died: the lock in the runtime directory says that none lives */
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    memcpy(self->unlink_path, path, strlen(path) + 1);
    return fd;
}

static int bind_tcp(int family, const void *address, socklen_t size)
{
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address, size) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ADDRESS:PORT with a numeric loopback address: the configuration admits no other. */
static int listen_tcp(const char *text)
{
    const char *colon = strrchr(text, ':');
    const uint16_t port = htons((uint16_t)atoi(colon + 1));
    if (text[0] == '[') {
        struct sockaddr_in6 v6 = {
            .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        return bind_tcp(AF_INET6, &v6, sizeof v6);
    }
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    return bind_tcp(AF_INET, &v4, sizeof v4);
}

beamd_http *beamd_http_create(beamd_loop *loop, const beamd_http_options *options, char *text,
                              size_t size)
{
    beamd_http *self = calloc(1, sizeof *self);
    if (!self) {
        snprintf(text, size, "out of memory");
        return NULL;
    }
    self->loop = loop;
    self->options = *options;
    self->fd = -1;
    self->connections = calloc(options->connections, sizeof *self->connections);
    for (unsigned i = 0; self->connections && i < options->connections; i++) {
        self->connections[i].http = self;
        self->connections[i].fd = -1;
    }
    const char *endpoint = options->endpoint;
    if (self->connections) {
        self->fd = strncmp(endpoint, "unix:", 5) == 0 ? listen_unix(self, endpoint + 5)
                                                      : listen_tcp(endpoint + strlen("tcp://"));
    }
    if (self->fd >= 0 && listen(self->fd, 16) == 0) {
        self->accept = beamd_watch_io(loop, self->fd, BEAMD_READ, accept_event, self);
    }
    if (!self->accept) {
        snprintf(text, size, "%s: cannot listen: %s", endpoint, strerror(errno));
        beamd_http_destroy(&self);
    }
    return self;
}

void beamd_http_destroy(beamd_http **http)
{
    beamd_http *self = *http;
    if (!self) {
        return;
    }
    beamd_watch_destroy(&self->accept);
    for (unsigned i = 0; self->connections && i < self->options.connections; i++) {
        connection_close(&self->connections[i]);
    }
    free(self->connections);
    if (self->fd >= 0) {
        close(self->fd);
    }
    if (self->unlink_path[0]) {
        unlink(self->unlink_path);
    }
    free(self);
    *http = NULL;
}

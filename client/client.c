#include "client.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    USUAL_MESSAGE_BYTES = 256 << 10, /* of answers for which there is room from the start */
    /* What a byte of an answer unfolds to, at most: block floating point of 8 bits, 25 bytes for 12
       complex numbers, to 12 pairs of doubles, beside the bytes themselves; and what protobuf-c and
       the public structs take for a user of an answer, which is less. */
    UNFOLDING = 12,
    ANSWER_SOCKETS = 1 << BEAMC_SOCKET_CSI | 1 << BEAMC_SOCKET_BEAMS | 1 << BEAMC_SOCKET_TELEMETRY
};

uint64_t beamc_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t realtime_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* What is left of a timeout that began at start_ns; -1 stays -1. */
static int remaining_ms(int timeout_ms, uint64_t start_ns)
{
    if (timeout_ms < 0) {
        return -1;
    }
    const uint64_t spent_ms = (beamc_now_ns() - start_ns) / 1000000u;
    return spent_ms >= (uint64_t)timeout_ms ? 0 : timeout_ms - (int)spent_ms;
}

beamc_code beamc_fail_wire(beamc_error *err, beamc_code code, const beam_wire_error *wire)
{
    beamc_fail(err, code, "%s%s%s", wire->field, wire->field[0] ? ": " : "", wire->text);
    if (err) {
        memcpy(err->field, wire->field, sizeof err->field);
    }
    return code;
}

beamc_options beamc_options_default(void)
{
    return (beamc_options){.send_timeout_ms = 1000,
                           .high_water = 64,
                           .max_message_bytes = BEAM_WIRE_MAX_MESSAGE_BYTES};
}

beamc_code beamc_connect(beamc_client **out, const beamc_options *options, beamc_error *err)
{
    if (!out) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "there is nowhere to put the client");
    }
    *out = NULL;
    const beamc_options o = options ? *options : beamc_options_default();
    if (o.max_message_bytes < 4096 || o.max_message_bytes > BEAM_WIRE_MAX_MESSAGE_BYTES ||
        o.high_water < 1 || o.linger_ms < 0 || o.send_timeout_ms < 0) {
        return beamc_fail(
            err, BEAMC_E_ARGUMENT,
            "max_message_bytes is 4096 to 9 MiB, high_water at least 1, timeouts at least 0; "
            "start from beamc_options_default");
    }
    const size_t out_bytes = beam_wire_arena_bytes(o.max_message_bytes);
    beamc_client *client = calloc(1, sizeof *client);
    unsigned char *memory = malloc(out_bytes); /* untouched pages cost nothing */
    if (!client || !memory) {
        free(client);
        free(memory);
        return beamc_fail(err, BEAMC_E_MEMORY, "no memory for a client");
    }
    client->sequence = o.first_sequence ? o.first_sequence : realtime_us();
    beam_wire_arena_init(&client->out, memory, out_bytes);
    beamc_code code = beamc_make_room(client, USUAL_MESSAGE_BYTES, err);
    if (!code) {
        code = beamc_transport_create(&client->transport, &o, err);
    }
    if (code) {
        beamc_close(&client);
        return code;
    }
    *out = client;
    return BEAMC_OK;
}

void beamc_close(beamc_client **client_p)
{
    beamc_client *client = client_p ? *client_p : NULL;
    if (!client) {
        return;
    }
    beamc_transport_destroy(&client->transport);
    for (size_t k = 0; k < client->stashed; k++) {
        free(client->stash[k].frame);
    }
    free(client->popped);
    free(client->in.memory);
    free(client->out.memory);
    free(client);
    *client_p = NULL;
}

beamc_code beamc_make_room(beamc_client *client, size_t bytes, beamc_error *err)
{
    const size_t needed = beam_wire_arena_bytes(UNFOLDING * bytes);
    if (needed > client->in.size) {
        unsigned char *memory = malloc(needed);
        if (!memory) {
            return beamc_fail(err, BEAMC_E_MEMORY, "no memory for an answer of %zu bytes", bytes);
        }
        free(client->in.memory);
        beam_wire_arena_init(&client->in, memory, needed);
    }
    beam_wire_arena_reset(&client->in);
    return BEAMC_OK;
}

beamc_code beamc_send_message(beamc_client *client, beamc_socket which, unsigned type,
                              const char *cluster, const ProtobufCMessage *message,
                              uint64_t *sequence, beamc_error *err)
{
    const size_t bytes = beam_wire_frame_bytes(message);
    unsigned char *frame = bytes > BEAM_WIRE_MAX_MESSAGE_BYTES
                               ? NULL
                               : beamc_transport_message(client->transport, bytes);
    if (!frame) {
        return beamc_fail(err,
                          bytes > BEAM_WIRE_MAX_MESSAGE_BYTES ? BEAMC_E_ARGUMENT : BEAMC_E_MEMORY,
                          "a message of %zu bytes cannot be sent", bytes);
    }
    beam_wire_error wire;
    size_t packed;
    if (beam_wire_pack(type, cluster, client->sequence, message, frame, bytes, &packed, &wire) <
        0) {
        return beamc_fail_wire(err, BEAMC_E_ARGUMENT, &wire);
    }
    const beamc_code code = beamc_transport_send(client->transport, which, err);
    if (code) {
        return code;
    }
    if (sequence) {
        *sequence = client->sequence;
    }
    client->sequence++;
    return BEAMC_OK;
}

static void stash_push(beamc_client *client, const unsigned char *frame, size_t bytes,
                       beamc_socket from)
{
    unsigned char *copy = malloc(bytes ? bytes : 1);
    if (!copy) {
        client->dropped++;
        return;
    }
    memcpy(copy, frame, bytes);
    if (client->stashed == BEAMC_STASH) {
        free(client->stash[0].frame);
        memmove(client->stash, client->stash + 1, (BEAMC_STASH - 1) * sizeof client->stash[0]);
        client->stashed--;
        client->dropped++;
    }
    client->stash[client->stashed++] = (beamc_stashed){copy, bytes, from};
}

static beamc_stashed stash_take(beamc_client *client, size_t k)
{
    const beamc_stashed taken = client->stash[k];
    memmove(client->stash + k, client->stash + k + 1,
            (client->stashed - k - 1) * sizeof client->stash[0]);
    client->stashed--;
    free(client->popped);
    client->popped = taken.frame;
    return taken;
}

/* An error under sequence 0 answers a request whose header the daemon could not read: whichever is
 * awaited. */
static bool answers(const unsigned char *frame, size_t bytes, uint64_t sequence)
{
    beam_wire_header header;
    if (beam_wire_header_decode(&header, frame, bytes, NULL) < 0) {
        return false;
    }
    return header.sequence == sequence || (header.sequence == 0 && header.type == BEAM_WIRE_ERROR);
}

beamc_code beamc_receive(beamc_client *client, int timeout_ms, beamc_answer *answer,
                         beamc_error *err)
{
    if (!client || !answer) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client and answer must not be NULL");
    }
    if (client->stashed > 0) {
        const beamc_stashed s = stash_take(client, 0);
        return beamc_decode_answer(client, s.frame, s.bytes, s.socket, answer, err);
    }
    const uint64_t start = beamc_now_ns();
    for (;;) {
        for (int which = 0; which < BEAMC_SOCKETS; which++) {
            const unsigned char *frame;
            size_t bytes;
            if (!(ANSWER_SOCKETS & 1u << which)) {
                continue;
            }
            const beamc_code code = beamc_transport_receive(client->transport, (beamc_socket)which,
                                                            &frame, &bytes, err);
            if (code == BEAMC_OK) {
                return beamc_decode_answer(client, frame, bytes, (beamc_socket)which, answer, err);
            }
            if (code != BEAMC_E_TIMEOUT) {
                return code;
            }
        }
        const beamc_code code = beamc_transport_wait(client->transport, ANSWER_SOCKETS,
                                                     remaining_ms(timeout_ms, start), err);
        if (code) {
            return code;
        }
    }
}

/* An answer to one request is a refusal for its caller. */
static beamc_code settle(const beamc_answer *answer, beamc_error *err)
{
    if (answer->kind != BEAMC_ANSWER_REFUSED) {
        return BEAMC_OK;
    }
    if (err) {
        *err = answer->refused;
    }
    return BEAMC_E_REFUSED;
}

/* The next message of one socket, waiting until timeout_ms after start. */
static beamc_code next_frame(beamc_client *client, beamc_socket socket, uint64_t start,
                             int timeout_ms, const unsigned char **frame, size_t *bytes,
                             beamc_error *err)
{
    for (;;) {
        beamc_code code = beamc_transport_receive(client->transport, socket, frame, bytes, err);
        if (code != BEAMC_E_TIMEOUT) {
            return code;
        }
        code = beamc_transport_wait(client->transport, 1u << socket,
                                    remaining_ms(timeout_ms, start), err);
        if (code) {
            return code;
        }
    }
}

beamc_code beamc_await(beamc_client *client, uint64_t sequence, int timeout_ms,
                       beamc_answer *answer, beamc_error *err)
{
    if (!client || !answer) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client and answer must not be NULL");
    }
    for (size_t k = 0; k < client->stashed; k++) {
        if (client->stash[k].socket == BEAMC_SOCKET_CSI &&
            answers(client->stash[k].frame, client->stash[k].bytes, sequence)) {
            const beamc_stashed s = stash_take(client, k);
            const beamc_code code =
                beamc_decode_answer(client, s.frame, s.bytes, s.socket, answer, err);
            return code ? code : settle(answer, err);
        }
    }
    const uint64_t start = beamc_now_ns();
    for (;;) {
        const unsigned char *frame;
        size_t bytes;
        beamc_code code =
            next_frame(client, BEAMC_SOCKET_CSI, start, timeout_ms, &frame, &bytes, err);
        if (code) {
            return code;
        }
        if (answers(frame, bytes, sequence)) {
            code = beamc_decode_answer(client, frame, bytes, BEAMC_SOCKET_CSI, answer, err);
            return code ? code : settle(answer, err);
        }
        stash_push(client, frame, bytes, BEAMC_SOCKET_CSI);
    }
}

/* The answer to one request on the control socket; older answers, to requests given up, are passed
 * over. */
static beamc_code control_answer(beamc_client *client, uint64_t sequence, int timeout_ms,
                                 beam_wire_header *header, ProtobufCMessage **message,
                                 beamc_error *err)
{
    const uint64_t start = beamc_now_ns();
    for (;;) {
        const unsigned char *frame;
        size_t bytes;
        beamc_code code =
            next_frame(client, BEAMC_SOCKET_CONTROL, start, timeout_ms, &frame, &bytes, err);
        if (code) {
            return code;
        }
        if (!answers(frame, bytes, sequence)) {
            continue;
        }
        beam_wire_error wire;
        code = beamc_make_room(client, bytes, err);
        if (code) {
            return code;
        }
        if (beam_wire_unpack(header, message, &client->in, frame, bytes, &wire) < 0) {
            return beamc_fail_wire(err, BEAMC_E_PROTOCOL, &wire);
        }
        return BEAMC_OK;
    }
}

beamc_code beamc_control(beamc_client *client, unsigned type, const char *cluster,
                         const ProtobufCMessage *message, int timeout_ms, unsigned reply_type,
                         const ProtobufCMessage **reply, beamc_error *err)
{
    uint64_t sequence;
    beam_wire_header header;
    ProtobufCMessage *answer;
    beamc_code code =
        beamc_send_message(client, BEAMC_SOCKET_CONTROL, type, cluster, message, &sequence, err);
    if (!code) {
        code = control_answer(client, sequence, timeout_ms, &header, &answer, err);
    }
    if (code) {
        return code;
    }
    if (header.type == BEAM_WIRE_ERROR) {
        beamc_error refused;
        beamc_decode_refusal((const Beamd__Error *)answer, &refused);
        if (err) {
            *err = refused;
        }
        return BEAMC_E_REFUSED;
    }
    if (header.type != reply_type) {
        return beamc_fail(err, BEAMC_E_PROTOCOL, "%s was answered with %s",
                          beam_wire_type_name(type), beam_wire_type_name(header.type));
    }
    *reply = answer;
    return BEAMC_OK;
}

int beamc_fd(const beamc_client *client)
{
    return client ? beamc_transport_fd(client->transport) : -1;
}

uint64_t beamc_dropped(const beamc_client *client)
{
    return client ? client->dropped : 0;
}

static beamc_code subscription(beamc_client *client, const char *cluster, bool on, beamc_error *err)
{
    unsigned char topic[BEAM_WIRE_MAX_CLUSTER_BYTES + 1];
    const size_t bytes = client ? beam_wire_topic(cluster, topic) : 0;
    if (bytes == 0) {
        return beamc_fail(
            err, BEAMC_E_ARGUMENT,
            "a subscription needs a client and a cluster id of 1 to 63 letters, digits, '.', '_' "
            "or '-'");
    }
    return beamc_transport_subscribe(client->transport, BEAMC_SOCKET_BEAMS, topic, bytes, on, err);
}

static beamc_code telemetry(beamc_client *client, bool on, beamc_error *err)
{
    static const char topic[] = BEAM_WIRE_TELEMETRY_TOPIC;
    if (!client) {
        return beamc_fail(err, BEAMC_E_ARGUMENT, "client must not be NULL");
    }
    return beamc_transport_subscribe(client->transport, BEAMC_SOCKET_TELEMETRY,
                                     (const unsigned char *)topic, sizeof topic - 1, on, err);
}

beamc_code beamc_subscribe(beamc_client *client, const char *cluster, beamc_error *err)
{
    return subscription(client, cluster, true, err);
}

beamc_code beamc_unsubscribe(beamc_client *client, const char *cluster, beamc_error *err)
{
    return subscription(client, cluster, false, err);
}

beamc_code beamc_subscribe_telemetry(beamc_client *client, beamc_error *err)
{
    return telemetry(client, true, err);
}

beamc_code beamc_unsubscribe_telemetry(beamc_client *client, beamc_error *err)
{
    return telemetry(client, false, err);
}

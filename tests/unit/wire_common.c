#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_common.h"

const wire_golden GOLDEN[GOLDENS] = {
    {"register_cluster", BEAM_WIRE_REGISTER_CLUSTER, sizeof(Beamd__RegisterCluster)},
    {"unregister_cluster", BEAM_WIRE_UNREGISTER_CLUSTER, sizeof(Beamd__UnregisterCluster)},
    {"csi_update", BEAM_WIRE_CSI_UPDATE, sizeof(Beamd__CsiUpdate)},
    {"target_update", BEAM_WIRE_TARGET_UPDATE, sizeof(Beamd__TargetUpdate)},
    {"users_join", BEAM_WIRE_USERS_JOIN, sizeof(Beamd__UsersJoin)},
    {"users_leave", BEAM_WIRE_USERS_LEAVE, sizeof(Beamd__UsersLeave)},
    {"preference_set", BEAM_WIRE_PREFERENCE_SET, sizeof(Beamd__PreferenceSet)},
    {"preference_get", BEAM_WIRE_PREFERENCE_GET, sizeof(Beamd__PreferenceGet)},
    {"status_request", BEAM_WIRE_STATUS_REQUEST, sizeof(Beamd__StatusRequest)},
    {"cluster_list_request", BEAM_WIRE_CLUSTER_LIST_REQUEST, sizeof(Beamd__ClusterListRequest)},
    {"ack", BEAM_WIRE_ACK, sizeof(Beamd__Ack)},
    {"error", BEAM_WIRE_ERROR, sizeof(Beamd__Error)},
    {"solution", BEAM_WIRE_SOLUTION, sizeof(Beamd__Solution)},
    {"preference_reply", BEAM_WIRE_PREFERENCE_REPLY, sizeof(Beamd__PreferenceReply)},
    {"status_reply", BEAM_WIRE_STATUS_REPLY, sizeof(Beamd__StatusReply)},
    {"cluster_list_reply", BEAM_WIRE_CLUSTER_LIST_REPLY, sizeof(Beamd__ClusterListReply)},
    {"model_get", BEAM_WIRE_MODEL_GET, sizeof(Beamd__ModelGet)},
    {"model_reload", BEAM_WIRE_MODEL_RELOAD, sizeof(Beamd__ModelReload)},
    {"model_reply", BEAM_WIRE_MODEL_REPLY, sizeof(Beamd__ModelReply)},
    {"register_wideband", BEAM_WIRE_REGISTER_CLUSTER, sizeof(Beamd__RegisterCluster)},
    {"csi_wideband", BEAM_WIRE_CSI_UPDATE, sizeof(Beamd__CsiUpdate)},
    {"users_join_wideband", BEAM_WIRE_USERS_JOIN, sizeof(Beamd__UsersJoin)},
    {"preference_set_named", BEAM_WIRE_PREFERENCE_SET, sizeof(Beamd__PreferenceSet)},
    {"preference_remove", BEAM_WIRE_PREFERENCE_SET, sizeof(Beamd__PreferenceSet)},
    {"preference_reply_named", BEAM_WIRE_PREFERENCE_REPLY, sizeof(Beamd__PreferenceReply)},
    {"solution_late", BEAM_WIRE_SOLUTION, sizeof(Beamd__Solution)},
    {"solution_set", BEAM_WIRE_SOLUTION_SET, sizeof(Beamd__SolutionSet)},
    {"front_request", BEAM_WIRE_FRONT_REQUEST, sizeof(Beamd__FrontRequest)},
    {"config_get", BEAM_WIRE_CONFIG_GET, sizeof(Beamd__ConfigGet)},
    {"config_reload", BEAM_WIRE_CONFIG_RELOAD, sizeof(Beamd__ConfigReload)},
    {"log_level_set", BEAM_WIRE_LOG_LEVEL_SET, sizeof(Beamd__LogLevelSet)},
    {"drain", BEAM_WIRE_DRAIN, sizeof(Beamd__Drain)},
    {"front_reply", BEAM_WIRE_FRONT_REPLY, sizeof(Beamd__FrontReply)},
    {"config_reply", BEAM_WIRE_CONFIG_REPLY, sizeof(Beamd__ConfigReply)},
    {"telemetry", BEAM_WIRE_TELEMETRY, sizeof(Beamd__Telemetry)},
    {"cluster_list_wideband", BEAM_WIRE_CLUSTER_LIST_REPLY, sizeof(Beamd__ClusterListReply)},
};

golden golden_read(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/wire/%s.bin", BEAM_TEST_GOLDEN, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    golden g = {malloc(65536), 0};
    g.size = fread(g.bytes, 1, 65536, file);
    fclose(file);
    assert_true(g.size >= BEAM_WIRE_HEADER_BYTES && g.size < 65536);
    return g;
}

beam_wire_arena *arena_new(size_t size)
{
    beam_wire_arena *arena = malloc(sizeof *arena);
    beam_wire_arena_init(arena, malloc(size), size);
    return arena;
}

void arena_free(beam_wire_arena *arena)
{
    free(arena->memory);
    free(arena);
}

unsigned char *exact_copy(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    return copy;
}

void assert_refused(const unsigned char *frame, size_t size, Beamd__ErrorCode code,
                    const char *field)
{
    static unsigned char memory[ARENA_BYTES];
    beam_wire_arena arena;
    beam_wire_header header;
    ProtobufCMessage *message;
    beam_wire_error err = {0};
    beam_wire_arena_init(&arena, memory, sizeof memory);
    assert_int_equal(beam_wire_unpack(&header, &message, &arena, frame, size, &err), -1);
    assert_null(message);
    assert_true(err.text[0] != 0);
    assert_string_equal(err.field, field);
    assert_int_equal(err.code, code);
}

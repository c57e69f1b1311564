#!/usr/bin/env python3
"""Makes the byte-exact examples of the wire with Google's protobuf and struct, independently of proto/wire.c.

    /usr/bin/python3 tests/golden/wire/make_golden.py [--check]

Needs protobuf-compiler and python3-protobuf. Writes one .bin a message beside this file (the whole frame: header and
payload); --check only compares. Every field of every message is set to something other than its default in one of them
at least; the first example of a message keeps its bytes when fields are added, as a peer of an earlier version sends them.
"""
import importlib
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parents[2] / "proto"
CLUSTER = "north-7"


def load():
    where = tempfile.mkdtemp()
    subprocess.run(["protoc", f"--proto_path={PROTO}", f"--python_out={where}", "beamd.proto"], check=True)
    sys.path.insert(0, where)
    return importlib.import_module("beamd_pb2")


pb = load()


def frame(kind, cluster, sequence, message):
    payload = message.SerializeToString(deterministic=True)
    name = cluster.encode()
    return struct.pack("<4sHHQII64s", b"BEAM", 1, kind, sequence, len(payload), len(name), name) + payload


def complex32(shape, start):
    count = 1
    for n in shape:
        count *= n
    values = [start + 0.25 * k for k in range(2 * count)]
    return pb.ComplexArray(element=pb.ELEMENT_COMPLEX_FLOAT32, order=pb.ORDER_LAST_FASTEST, shape=shape,
                           data=struct.pack(f"<{len(values)}f", *values))


def complex64(shape, start):
    count = 1
    for n in shape:
        count *= n
    values = [start + 0.1 * k for k in range(2 * count)]
    return pb.ComplexArray(element=pb.ELEMENT_COMPLEX_FLOAT64, order=pb.ORDER_LAST_FASTEST, shape=shape,
                           data=struct.pack(f"<{len(values)}d", *values))


def few_bits(count):
    """Numbers of very different sizes, each a short fraction: the same in every language."""
    return [(7 * k * k % 601 - 300) * 2.0 ** -(k % 11) for k in range(2 * count)]


def scale_down(value):
    """24 significant bits, towards zero."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(math.floor(fraction * 2**24), exponent - 24)


def quantise(value, step, most, toward_zero):
    size = abs(value) / step
    whole = min(math.floor(size if toward_zero else size + 0.5), most)
    return -whole if value < 0 else whole


def complex_int16(shape, toward_zero):
    values = few_bits(math.prod(shape))
    scale = scale_down(max(map(abs, values)) / 32767)
    return pb.ComplexArray(
        element=pb.ELEMENT_COMPLEX_INT16, order=pb.ORDER_LAST_FASTEST, shape=shape, scale=scale,
        data=struct.pack(f"<{len(values)}h", *[quantise(v, scale, 32767, toward_zero) for v in values]))


def complex_bfp(shape, bits, toward_zero):
    values = few_bits(math.prod(shape))
    most = 2 ** (bits - 1) - 1
    scale = scale_down(max(map(abs, values)) / (most * 2**15))
    data = b""
    for first in range(0, len(values), 24):
        block = values[first:first + 24]
        size = max(map(abs, block))
        exponent = next(e for e in range(16)
                        if e == 15 or size < scale * 2**e * (most + (1 if toward_zero else 0.5)))
        word = 0
        for v in block + [0.0] * (24 - len(block)):
            word = word << bits | quantise(v, scale * 2**exponent, most, toward_zero) & (2**bits - 1)
        data += bytes([exponent]) + word.to_bytes(3 * bits, "big")
    return pb.ComplexArray(element=pb.ELEMENT_COMPLEX_BFP, order=pb.ORDER_LAST_FASTEST, shape=shape, scale=scale,
                           bits=bits, block=12, data=data)


def users(count):
    return [pb.User(user_id=1000 + k, station=1 + k % 2, weight=1.5 + k, noise_w=1e-11, min_rate_bps_hz=0.5)
            for k in range(count)]


def cluster_status(name):
    return pb.ClusterStatus(
        cluster=name, stations=3, antennas=5, users=2, max_users=6, targets=2, preference=pb.Preference(u1=0.6, u2=0.8),
        csi_sequence=41, target_sequence=17, csi_received=40, solutions=38, superseded=1, refused=1, deadlines_missed=2,
        latency_p50_us=812.5, latency_p99_us=1903.25, solved=True, wsr_worst_case_bps_hz=12.75, crlb_valid=True,
        crlb_m2=0.0625, method=pb.METHOD_WARM, age_s=0.125)


def messages():
    head = dict(deadline_us=5000, sender_time_ns=0x0102030405060708)
    yield "register_cluster", 1, pb.RegisterCluster(
        array=pb.ARRAY_UNIFORM_LINEAR, user_antennas=1,
        stations=[pb.Station(x_m=-40.0, y_m=69.25, axis_rad=0.5236 + k, antennas=5, power_w=10.0, echo_noise_w=1e-12)
                  for k in range(3)],
        sensing=pb.SENSING_BAND, bandwidth_hz=2e7, snapshots=256, carrier_hz=3.5e9, max_users=6, targets=2,
        skip_unidentifiable=True, preference=pb.Preference(u1=0.6, u2=0.8), beam_element=pb.ELEMENT_COMPLEX_FLOAT64,
        **head)
    yield "unregister_cluster", 2, pb.UnregisterCluster(**head)
    yield "csi_update", 3, pb.CsiUpdate(
        users=users(2), subbands=[pb.Subband(channels=complex32([3, 2, 5], 0.5),
                                             error_radius=[0.01 * (k + 1) for k in range(6)])], **head)
    yield "target_update", 4, pb.TargetUpdate(
        targets=[pb.Target(x_m=2.0, y_m=5.0, rcs_m2=1.0), pb.Target(x_m=-5.0, y_m=1.0, rcs_m2=0.5)],
        reflection=complex64([3, 2, 3], 1.0), measured_time_ns=0x1112131415161718, **head)
    yield "users_join", 5, pb.UsersJoin(
        users=users(1), subbands=[pb.Subband(channels=complex64([3, 1, 5], -2.0), error_radius=[0.1, 0.2, 0.3])], **head)
    yield "users_leave", 6, pb.UsersLeave(user_ids=[1000, 2**40 + 1], **head)
    yield "preference_set", 7, pb.PreferenceSet(preference=pb.Preference(u1=0.6, u2=0.8), **head)
    yield "preference_get", 8, pb.PreferenceGet(**head)
    yield "status_request", 9, pb.StatusRequest(**head)
    yield "cluster_list_request", 10, pb.ClusterListRequest(**head)

    echo = dict(sender_time_ns=0x0102030405060708)
    yield "ack", 64, pb.Ack(request_type=1, **echo)
    yield "error", 65, pb.Error(code=pb.ERROR_INVALID, field="users[1].noise_w", text="is -1, it must be above zero",
                                request_sequence=42, request_type=3, **echo)
    yield "solution", 66, pb.Solution(
        csi_sequence=42, target_sequence=17, target_time_ns=0x1112131415161718, repeat=True,
        latency=pb.Latency(received_monotonic_ns=10**15, received_to_queued_ns=21000, queued_to_solve_ns=9000,
                           solve_ns=812345, solve_to_sent_ns=15000),
        valid_until_monotonic_ns=10**15 + 10**7, beams=complex32([2, 5], -1.0), sensing=complex32([3, 4, 5], 0.125),
        users=[pb.UserAnswer(user_id=1000 + k, station=1 + k, beam_power_w=4.5, rate_nominal_bps_hz=7.5,
                             rate_worst_case_bps_hz=6.25, sinr_worst_case=75.5, min_rate_bps_hz=7.0, below_floor=True)
               for k in range(2)],
        stations=[pb.StationAnswer(power_w=9.5, sensing_power_w=3.0, power_slack_w=0.5, peak_antenna_power_w=3.25,
                                   sensing_columns=2 + k % 2) for k in range(3)],
        targets=[pb.TargetAnswer(state=pb.TARGET_UNIDENTIFIABLE_DESIGN, rms_bound_m=0.25, echo_snr_db=9.5,
                                 low_echo_snr=True) for k in range(2)],
        wsr_nominal_bps_hz=15.0, wsr_worst_case_bps_hz=12.5, crlb_valid=True, crlb_m2=0.0625, wsr_ideal_bps_hz=20.0,
        crlb_min_m2=0.03125, merit=0.75, classical_merit=0.875, users_below_floor=2, shortfall_bps_hz=1.5,
        preference=pb.Preference(u1=0.6, u2=0.8), method=pb.METHOD_CLASSICAL, status=pb.SOLVE_TIME_LIMIT, warm=True,
        iterations=57, **echo)
    yield "preference_reply", 67, pb.PreferenceReply(preference=pb.Preference(u1=0.6, u2=0.8), **echo)
    yield "status_reply", 68, pb.StatusReply(
        version="0.1.0", draining=True, uptime_s=3600.5, solver_threads=2, max_clusters=64, messages_received=100,
        solutions_sent=90, errors_sent=3, clusters=[cluster_status("north-7"), cluster_status("south_2.b")],
        method=pb.METHOD_NETWORK, model_name="north site", model_sha256="0123456789abcdef" * 4, **echo)
    yield "cluster_list_reply", 69, pb.ClusterListReply(clusters=[cluster_status("north-7")], **echo)

    yield "model_get", 11, pb.ModelGet(**head)
    yield "model_reload", 12, pb.ModelReload(file="/var/lib/beamd/north.beamnet", **head)
    yield "model_reply", 70, pb.ModelReply(
        model=pb.Model(
            name="north site", kind="mlp", layers=12, width=64, parameters=123456, stations=3, antennas=5, users=6,
            targets=2, sensing_rows=4, sha256="0123456789abcdef" * 4, source="/var/lib/beamd/north.beamnet",
            creator="beamlab 0.1.0", families="recorded", command="beamlab train --scenes north --seed 7",
            data_seed=2**63 + 7, steps=20000, samples=2**33, created_unix_s=1700000000, held_out_scenes=100,
            held_out_loss=0.125, held_out_ratio_median=0.984375, held_out_ratio_p5=0.96875),
        method=pb.METHOD_NETWORK, loads=3, refused=1, **echo)

    yield from wideband(head, echo)
    yield from operation(head, echo)


def wideband(head, echo):
    """Several subbands, named preferences, few bits, age."""
    named = [pb.NamedPreference(name="balanced", preference=pb.Preference(u1=0.6, u2=0.8)),
             pb.NamedPreference(name="locate-2.b", preference=pb.Preference(u1=0.96, u2=0.28))]
    yield "register_wideband", 1, pb.RegisterCluster(
        array=pb.ARRAY_UNIFORM_LINEAR, user_antennas=1,
        stations=[pb.Station(x_m=-40.0, y_m=69.25, axis_rad=0.5236 + k, antennas=5, power_w=10.0, echo_noise_w=1e-12)
                  for k in range(3)],
        sensing=pb.SENSING_RESOLVED, snapshots=256, carrier_hz=3.5e9, max_users=6, targets=2,
        beam_element=pb.ELEMENT_COMPLEX_BFP, subbands=275, error_growth_per_s=0.75, beam_bits=14, preferences=named,
        **head)
    yield "csi_wideband", 3, pb.CsiUpdate(
        users=users(2), csi_age_us=1500,
        subbands=[pb.Subband(channels=complex_int16([3, 2, 5], False), error_radius=[0.01] * 6),
                  pb.Subband(channels=complex_bfp([3, 2, 5], 9, False), error_radius=[0.02] * 6, index=3),
                  pb.Subband(channels=complex_bfp([3, 2, 5], 16, False), error_radius=[0.03] * 6, index=274)], **head)
    yield "users_join_wideband", 5, pb.UsersJoin(
        users=users(1), csi_age_us=250,
        subbands=[pb.Subband(channels=complex32([3, 1, 5], -2.0), error_radius=[0.1, 0.2, 0.3], index=k)
                  for k in range(2)], **head)
    yield "preference_set_named", 7, pb.PreferenceSet(preference=pb.Preference(u1=0.6, u2=0.8), name="locate-2.b", **head)
    yield "preference_remove", 7, pb.PreferenceSet(name="locate-2.b", remove=True, **head)
    yield "preference_reply_named", 67, pb.PreferenceReply(preference=pb.Preference(u1=0.6, u2=0.8), named=named, **echo)

    def solution(subband, name, **more):
        return pb.Solution(
            csi_sequence=41, target_sequence=17, target_time_ns=0x1112131415161718, beams=complex_int16([2, 5], True),
            sensing=complex_bfp([3, 4, 5], 14, True),
            users=[pb.UserAnswer(user_id=1000 + k, station=1 + k, beam_power_w=4.5, rate_nominal_bps_hz=7.5,
                                 rate_worst_case_bps_hz=6.25, sinr_worst_case=75.5) for k in range(2)],
            stations=[pb.StationAnswer(power_w=9.5, sensing_power_w=3.0, power_slack_w=0.5, peak_antenna_power_w=3.25,
                                       sensing_columns=4) for k in range(3)],
            targets=[pb.TargetAnswer(rms_bound_m=0.25, echo_snr_db=19.5) for k in range(2)],
            wsr_nominal_bps_hz=15.0, wsr_worst_case_bps_hz=12.5, crlb_valid=True, crlb_m2=0.0625,
            wsr_ideal_bps_hz=20.0, crlb_min_m2=0.03125, merit=0.75, classical_merit=0.875,
            preference=pb.Preference(u1=0.6, u2=0.8), method=pb.METHOD_WARM, status=pb.SOLVE_TIME_LIMIT, warm=True,
            iterations=2, backend=pb.BACKEND_CHECK, subband=subband, preference_name=name, csi_age_us=2750,
            csi_stale=True, error_growth=1.5, ideal_stale=True, **more)

    latency = pb.Latency(received_monotonic_ns=10**15, received_to_queued_ns=21000, queued_to_solve_ns=9000,
                         solve_ns=812345, solve_to_sent_ns=15000, solve_to_checked_ns=11000, has_sender_estimate=True,
                         sender_offset_estimate_ns=-123456789012, transit_estimate_ns=54321)
    yield "solution_late", 66, solution(
        7, "balanced", service=pb.SERVICE_CHECKED, late=True, latency=latency,
        valid_until_monotonic_ns=10**15 + 10**7, **echo)
    yield "solution_set", 71, pb.SolutionSet(
        csi_sequence=42, target_sequence=17, target_time_ns=0x1112131415161718, repeat=True, latency=latency,
        valid_until_monotonic_ns=10**15 + 10**7,
        solutions=[solution(subband, name, service=pb.SERVICE_HELD if subband else pb.SERVICE_REDUCED)
                   for subband in (0, 274) for name in ("balanced", "locate-2.b")],
        service=pb.SERVICE_HELD, late=True, **echo)


def operation(head, echo):
    """What operators ask for while the daemon runs, and telemetry."""
    yield "front_request", 13, pb.FrontRequest(points=17, subband=3, **head)
    yield "config_get", 14, pb.ConfigGet(**head)
    yield "config_reload", 15, pb.ConfigReload(check_only=True, **head)
    yield "log_level_set", 16, pb.LogLevelSet(level="debug", **head)
    yield "drain", 17, pb.Drain(**head)
    yield "front_reply", 72, pb.FrontReply(
        csi_sequence=41, target_sequence=17, subband=3, wsr_ideal_bps_hz=20.0, crlb_min_m2=0.03125, solve_ns=98765432,
        points=[pb.FrontPoint(tradeoff=0.125 * (k + 1), wsr_worst_case_bps_hz=18.0 - k, crlb_valid=True,
                              crlb_m2=0.25 / (k + 1), f1=0.125 * (k + 1), f2=2.0 - 0.25 * k) for k in range(3)], **echo)
    keys = [pb.ConfigKey(name="telemetry_ms", value="500", fallback="1000", reloadable=True, unit="ms"),
            pb.ConfigKey(name="solver_threads", value="2", fallback="0", unit="threads")]
    yield "config_reply", 73, pb.ConfigReply(
        file="/etc/beamd/beamd.conf", keys=keys, changed=keys, need_restart=["solver_threads", "loop_cpu"], **echo)
    cluster = cluster_status("north-7")
    cluster.MergeFrom(pb.ClusterStatus(
        subbands=275, reduced=5, checked=3, held=1,
        preferences=[pb.NamedPreference(name="balanced", preference=pb.Preference(u1=0.6, u2=0.8))]))
    yield "telemetry", 74, pb.Telemetry(
        monotonic_ns=10**15, unix_ns=1700000000 * 10**9, interval_s=1.0, uptime_s=3600.5, sequence=3600, queue_depth=3,
        solving=2, workers=2, csi_received=40, solutions=38, reduced=5, checked=3, held=1, late=2, superseded=1, errors=4,
        draining=True,
        stages=[pb.Distribution(stage=stage, count=100, p50_us=812.5, p99_us=1903.25, p999_us=2500.5, max_us=3000.75)
                for stage in ("decode", "queue", "solve", "check", "send", "total", "transit_estimate")],
        backends=[pb.BackendStatus(backend=pb.BACKEND_NETWORK, health="failing", batches=30, problems=38, failures=2,
                                   service_us=250.25, retry_s=1.5)],
        clusters=[cluster])
    yield "cluster_list_wideband", 69, pb.ClusterListReply(clusters=[cluster], **echo)


def collect(message, seen):
    """Which fields are present, by message, here and below."""
    present = seen.setdefault(message.DESCRIPTOR.name, (message.DESCRIPTOR, set()))[1]
    for field, value in message.ListFields():
        present.add(field.name)
        if field.type == field.TYPE_MESSAGE:
            for part in value if field.label == field.LABEL_REPEATED else [value]:
                collect(part, seen)


def complete(seen):
    for name in pb.DESCRIPTOR.message_types_by_name:
        if name not in seen:
            raise SystemExit(f"{name} has no example")
        descriptor, present = seen[name]
        absent = [field.name for field in descriptor.fields if field.name not in present]
        if absent:
            raise SystemExit(f"{name}: {', '.join(absent)} not set in any example")


NO_CLUSTER = ("cluster_list_", "model_", "config_", "log_level_", "drain", "telemetry")


def main():
    different = []
    seen = {}
    for number, (name, kind, message) in enumerate(messages()):
        collect(message, seen)
        cluster = "" if name.startswith(NO_CLUSTER) else CLUSTER
        data = frame(kind, cluster, 42 + 2**32 * number, message)
        path = HERE / f"{name}.bin"
        if "--check" not in sys.argv:
            path.write_bytes(data)
        elif not path.exists() or path.read_bytes() != data:
            different.append(name)
    complete(seen)
    if different:
        raise SystemExit("not the bytes of this script: " + ", ".join(different))


main()

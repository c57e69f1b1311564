#!/usr/bin/env python3
"""The smallest controller in Python: the wire by hand, from docs/wire.md and beamd.proto alone.

Needs python3-zmq, python3-protobuf and protobuf-compiler (Debian's packages).

    /usr/bin/python3 client/examples/send_csi.py [RUNTIME_DIR]
"""
import cmath
import importlib
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

import zmq

REGISTER, UNREGISTER, CSI, TARGETS, ACK, ERROR, SOLUTION = 1, 2, 3, 4, 64, 65, 66
HEADER = struct.Struct("<4sHHQII64s")
PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def load_messages():
    where = tempfile.mkdtemp()
    subprocess.run(["protoc", f"--proto_path={PROTO}", f"--python_out={where}", "beamd.proto"], check=True)
    sys.path.insert(0, where)
    return importlib.import_module("beamd_pb2")


def runtime_dir():
    if len(sys.argv) > 1:
        return sys.argv[1]
    if os.environ.get("BEAMD_RUNTIME_DIR"):
        return os.environ["BEAMD_RUNTIME_DIR"]
    if os.geteuid() == 0 and os.path.isdir("/run/beamd"):
        return "/run/beamd"
    if os.environ.get("XDG_RUNTIME_DIR"):
        return os.environ["XDG_RUNTIME_DIR"] + "/beamd"
    return f"/tmp/beamd-{os.geteuid()}"


pb = load_messages()
sequence = time.time_ns() // 1000
socket = zmq.Context.instance().socket(zmq.DEALER)
socket.setsockopt(zmq.IMMEDIATE, 1)
socket.setsockopt(zmq.LINGER, 0)
socket.setsockopt(zmq.SNDTIMEO, 2000)
socket.setsockopt(zmq.RCVTIMEO, 5000)
socket.connect(f"ipc://{runtime_dir()}/csi.sock")


def ask(kind, message):
    """Sends one request and returns the type and the payload of its answer."""
    global sequence
    sequence += 1
    payload, cluster = message.SerializeToString(), b"python-example"
    socket.send(HEADER.pack(b"BEAM", 1, kind, sequence, len(payload), len(cluster), cluster) + payload)
    while True:
        frame = socket.recv()
        magic, _, answer, number, _, _, _ = HEADER.unpack_from(frame)
        assert magic == b"BEAM"
        if number in (sequence, 0):
            break
    payload = frame[HEADER.size:]
    if answer == ERROR:
        error = pb.Error.FromString(payload)
        raise SystemExit(f"refused: {error.field}: {error.text}")
    return answer, payload


stations = [pb.Station(x_m=-80, axis_rad=cmath.pi / 2, antennas=4, power_w=10, echo_noise_w=1e-12),
            pb.Station(y_m=80, antennas=4, power_w=10, echo_noise_w=1e-12)]
ask(REGISTER, pb.RegisterCluster(
    array=pb.ARRAY_UNIFORM_LINEAR, user_antennas=1, stations=stations, sensing=pb.SENSING_RESOLVED, snapshots=256,
    carrier_hz=3.5e9, max_users=4, targets=1, preference=pb.Preference(u1=0.5 ** 0.5, u2=0.5 ** 0.5)))
ask(TARGETS, pb.TargetUpdate(targets=[pb.Target(x_m=2, y_m=5, rcs_m2=1)]))

# [station][user][antenna], complex float32, real then imaginary
channel = [1e-5 * cmath.exp(1j * (0.7 * n + l)) for l in range(2) for n in range(4)]
data = struct.pack("<16f", *[part for h in channel for part in (h.real, h.imag)])
answer, payload = ask(CSI, pb.CsiUpdate(
    deadline_us=10000, users=[pb.User(user_id=7, station=0, weight=1, noise_w=1e-11)],
    subbands=[pb.Subband(error_radius=[2e-6, 2e-6], channels=pb.ComplexArray(
        element=pb.ELEMENT_COMPLEX_FLOAT32, order=pb.ORDER_LAST_FASTEST, shape=[2, 1, 4], data=data))]))
assert answer == SOLUTION
solution = pb.Solution.FromString(payload)
beams = struct.unpack(f"<{len(solution.beams.data) // 4}f", solution.beams.data)
print(f"worst-case rate {solution.users[0].rate_worst_case_bps_hz:.3f} bit/s/Hz, "
      f"position bound {solution.targets[0].rms_bound_m:.3f} m, solved in {solution.latency.solve_ns / 1000:.0f} us")
for n in range(4):
    print(f"antenna {n}: {beams[2 * n]:+.4f} {beams[2 * n + 1]:+.4f}i sqrt(W)")
ask(UNREGISTER, pb.UnregisterCluster())

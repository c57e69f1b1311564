#!/usr/bin/env python3
"""beamd with a GPU's worker under an open-loop load: at rest, with `kill -9` of the worker, and with an illegal
access on the device. One JSON object a line on standard output. Exit status: 0 as it should be, 1 not.

Standard library only; scripts/gpu-check runs it."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--beamd", required=True)
    p.add_argument("--beamload", required=True)
    p.add_argument("--worker", required=True, help="program of the worker")
    p.add_argument("--arguments", default="", help="of the worker")
    p.add_argument("--fault-worker", required=True, help="the worker that fails on command")
    p.add_argument("--fault-arguments", default="", help="of that one, beside --fault")
    p.add_argument("--fault-batch", type=int, default=2000, help="batch at which the device is lost")
    p.add_argument("--clusters", type=int, default=16)
    p.add_argument("--rate", type=float, default=500, help="of each cluster, per second")
    p.add_argument("--deadline", default="10ms")
    p.add_argument("--seconds", type=float, default=8, help="of each load")
    p.add_argument("--kills", type=int, default=3)
    p.add_argument("--judge-late", action="store_true", help="late answers because of a fault count as a failure")
    p.add_argument("--log", required=True, help="file for what the daemon says")
    return p.parse_args()


class Daemon:
    def __init__(self, options, program, arguments):
        self.options = options
        self.folder = tempfile.TemporaryDirectory(prefix="gpu-check.")
        self.run = os.path.join(self.folder.name, "run")
        os.mkdir(self.run, 0o700)
        settings = {"gpu_devices": "0", "gpu_program": os.path.abspath(program), "gpu_arguments": arguments,
                    "log_level": "info"}
        command = [options.beamd, "--runtime-dir", self.run]
        for key, value in settings.items():
            if value:
                command += ["--set", f"{key} = {value}"]
        self.log = open(options.log, "ab")
        self.log.write(("== " + " ".join(command) + "\n").encode())
        self.log.flush()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def metrics(self):
        """Every sample of the page, {} where it cannot be had."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                s.settimeout(2)
                s.connect(os.path.join(self.run, "metrics.sock"))
                s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                page = b""
                while chunk := s.recv(65536):
                    page += chunk
        except OSError:
            return {}
        samples = {}
        for line in page.decode(errors="replace").splitlines():
            name, _, value = line.rpartition(" ")
            if name and not line.startswith("#"):
                try:
                    samples[name] = float(value)
                except ValueError:
                    pass
        return samples

    def ready(self, count):
        """Whether the worker is ready, as the count-th one that was."""
        m = self.metrics()
        return m.get('beamd_gpu_state{device="0",state="ready"}') == 1 and \
            m.get('beamd_gpu_ready_total{device="0"}', 0) >= count

    def wait_ready(self, count, limit_s):
        """Seconds it took; None: not ready in time."""
        start = time.monotonic()
        while time.monotonic() - start < limit_s:
            if self.ready(count):
                return time.monotonic() - start
            if self.process.poll() is not None:
                return None
            time.sleep(0.005)
        return None

    def worker(self):
        """The process of the worker: the child that is called as its program."""
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as f:
                        name, _, rest = f.read().partition(" (")[2].rpartition(") ")
                except OSError:
                    continue
                if int(rest.split()[1]) == self.process.pid and name.startswith("beamd-gpu"):
                    return int(entry)
        return None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Load:
    """beamload beside what this program does meanwhile."""

    def __init__(self, options, daemon, seconds, clusters=None, rate=None):
        self.command = [options.beamload, "run", "--runtime-dir", daemon.run,
                        "--clusters", str(clusters or options.clusters), "--rate", str(rate or options.rate),
                        "--deadline", options.deadline, "--duration", f"{int(1000 * seconds)}ms",
                        "--wait", "10s", "--verify", "0.01", "--json"]
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def end(self):
        try:
            out, err = self.process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        try:
            result = json.loads(out)["result"]
        except (ValueError, KeyError):
            return {"failed": err.strip() or "beamload said nothing"}
        stage = result["stages"]["end_to_end"]
        answers = result["answers"]
        late = round(answers * (1 - result["on_time_percent_of_answers"] / 100))
        return {"requests": result["requests"], "answers": answers, "unanswered": result["unanswered"],
                "duplicates": result["duplicates"], "late": late, "errors": result["errors"],
                "backend": result["backend"], "service": result["service"],
                "gpu_percent": round(100 * result["backend"].get("gpu", 0) / max(answers, 1), 3),
                "p50_us": stage["p50_us"], "p99_us": stage["p99_us"], "p999_us": stage["p999_us"],
                "max_us": stage["max_us"], "beamload_status": self.process.returncode,
                "beamload_says": err.strip()[-200:]}


def put(ok, case, **values):
    print(json.dumps({"stage": "end_to_end", "case": case, **values, "agreed": ok}), flush=True)
    return ok


def sound(load):
    """Everything answered once, with the right numbers."""
    return "failed" not in load and load["unanswered"] == 0 and load["duplicates"] == 0 and \
        load["beamload_status"] == 0


def not_later(options, load, calm):
    """No more late answers than without a fault, but for what a machine does by itself."""
    if not options.judge_late or "failed" in calm:
        return True
    return load["late"] <= calm["late"] + max(5, load["requests"] // 1000)


def at_rest(options, daemon):
    """Latency of one cluster, then the load of the faults without one."""
    single = Load(options, daemon, options.seconds / 2, clusters=1, rate=1000).end()
    ok = put(sound(single) and single.get("gpu_percent", 0) > 0, "one cluster at 1 kHz", **single)
    calm = Load(options, daemon, options.seconds).end()
    ok = put(sound(calm) and calm.get("gpu_percent", 0) > 0, "all clusters, no fault", **calm) and ok
    return ok, calm


def killed(options, daemon, calm):
    """kill -9 of the worker under load; each time until the next one is ready."""
    load = Load(options, daemon, options.seconds)
    respawns, missing = [], 0
    time.sleep(1 + 0.1 * options.seconds)  # beamload's warm-up
    for k in range(options.kills):
        count = daemon.metrics().get('beamd_gpu_ready_total{device="0"}', 0)
        worker = daemon.worker()
        if worker is None:
            missing += 1
            continue
        os.kill(worker, signal.SIGKILL)
        took = daemon.wait_ready(count + 1, 30)
        if took is None:
            missing += 1
        else:
            respawns.append(took)
        time.sleep(0.2 * options.seconds / options.kills)
    result = load.end()
    ok = sound(result) and missing == 0 and not_later(options, result, calm)
    return put(ok, "kill -9 of the worker", kills=options.kills, respawn_s=[round(r, 4) for r in respawns],
               not_back=missing, late_without_fault=calm.get("late"), **result)


def illegal(options, calm):
    """Illegal accesses under load: the worker of every start makes one."""
    daemon = Daemon(options, options.fault_worker,
                    f"{options.fault_arguments} --fault illegal@{options.fault_batch}".strip())
    try:
        if daemon.wait_ready(1, 120) is None:
            return put(False, "illegal access", failed="the worker was not ready in 120 s")
        result = Load(options, daemon, options.seconds).end()
        ended = {}
        for _ in range(600):  # back on the GPU, if the load ended in between
            m = daemon.metrics()
            ended = {k: v for k, v in m.items() if k.startswith("beamd_gpu_ended_total") and v > 0}
            if m.get('beamd_gpu_state{device="0",state="ready"}') == 1:
                break
            time.sleep(0.05)
        m = daemon.metrics()
        ok = sound(result) and sum(ended.values()) > 0 and result.get("gpu_percent", 0) > 0 and \
            m.get('beamd_gpu_state{device="0",state="ready"}') == 1 and not_later(options, result, calm)
        return put(ok, "illegal access", ended={k.split("reason=")[-1].strip('"}'): v for k, v in ended.items()},
                   respawn_s=m.get('beamd_gpu_respawn_seconds{device="0"}'),
                   late_without_fault=calm.get("late"), **result)
    finally:
        daemon.stop()


def main():
    options = parse()
    open(options.log, "wb").close()
    daemon = Daemon(options, options.worker, options.arguments)
    try:
        took = daemon.wait_ready(1, 120)
        ok = put(took is not None, "worker ready", seconds=took,
                 start_s=daemon.metrics().get('beamd_gpu_start_seconds{device="0"}'))
        calm = {"failed": "no worker"}
        if ok:
            ok, calm = at_rest(options, daemon)
            ok = killed(options, daemon, calm) and ok
    finally:
        daemon.stop()
    ok = illegal(options, calm) and ok
    return 0 if ok else 1


sys.exit(main())

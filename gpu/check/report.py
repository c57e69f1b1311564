#!/usr/bin/env python3
"""gpu-check.jsonl as Markdown: what scripts/gpu-check measured, for bench/results/. What is not in the file is said to
be not measured. Standard library only."""

import json
import sys


def read(path):
    with open(path) as f:
        return [json.loads(line) for line in f if line.startswith("{")]


def number(value, digits=3):
    return "not measured" if value is None else f"{value:.{digits}g}"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(c) for c in row) + " |")
    print()


def of(lines, stage, **match):
    return [l for l in lines if l.get("stage") == stage and "done" not in l and all(l.get(k) == v for k, v in match.items())]


def name_of(line):
    """The size, and the perceptron where it is not the plain one."""
    kind = line.get("perceptron", "plain")
    return line["size"] if kind == "plain" else f"{line['size']} ({kind})"


def head(lines):
    h = (of(lines, "machine") or [{}])[0]
    print(f"# scripts/gpu-check, {h.get('date')}\n")
    print(f"{h.get('device')}; {h.get('cores')} cores of {h.get('cpu')}; revision {h.get('revision')}\n\n    {h.get('command')}\n")
    table(["stage", "as it should be", "s"], [[x["stage"], "yes" if x["done"] else "**no**", x.get("seconds", x.get("why"))]
                                             for x in lines if "done" in x])


def ceilings(lines):
    print("## Ceilings of this machine\n")
    found = of(lines, "ceilings")
    if not found:
        print("Not measured.\n")
        return {}
    c = found[0]
    table(["what", "measured"],
          [["device copy, read and written", f"{c['copy_bytes_per_s'] / 1e12:.3g} TB/s"],
           ["float32 multiply-add", f"{c['float32_flops'] / 1e12:.3g} Tflop/s"],
           ["float64 multiply-add", f"{c['float64_flops'] / 1e12:.3g} Tflop/s"],
           ["host to device, pinned", f"{c['to_device_bytes_per_s'] / 1e9:.3g} GB/s"],
           ["device to host, pinned", f"{c['from_device_bytes_per_s'] / 1e9:.3g} GB/s"],
           ["graph of an empty kernel", f"{c['graph_launch_us']:.3g} µs"]])
    return c


def agreement(lines):
    print("## Agreement with the engine in float64\n")
    worst = {}
    for l in of(lines, "agreement"):
        key = l["measure"]
        w = worst.setdefault(key, {"cases": 0, "margin": -1, "failed": 0})
        w["cases"] += l["cases"]
        w["failed"] += not l["agreed"]
        margin = abs(l["value"]) / l["bound"] if l["bound"] > 0 else (0 if l["value"] <= 0 else 1e9)
        if margin > w["margin"]:
            w.update(margin=margin, value=l["value"], bound=l["bound"], where=f"{name_of(l)}, {l['way']}")
    if not worst:
        print("Not measured.\n")
        return
    table(["measure", "cases", "nearest to its bound", "bound", "where", "sizes and ways beyond it"],
          [[k, w["cases"], f"{w['value']:.2e}", f"{w['bound']:.0e}", w["where"], w["failed"] or "none"]
           for k, w in worst.items()])


def end_to_end(lines):
    print("## beamd with the worker, open loop\n")
    found = of(lines, "end_to_end")
    if not found:
        print("Not measured.\n")
        return
    rows = []
    for l in found:
        if "requests" not in l:
            rows.append([l["case"], "", "", "", "", "", "", f"{l.get('seconds')} s" if l["agreed"] else "**failed**"])
            continue
        respawn = l.get("respawn_s")
        respawn = max(respawn) if isinstance(respawn, list) and respawn else respawn
        rows.append([l["case"], l["requests"], l["unanswered"], l["late"], f"{l['gpu_percent']:.1f} %",
                     f"{l['p50_us']:.0f} / {l['p99_us']:.0f} / {l['p999_us']:.0f}",
                     "" if not isinstance(respawn, (int, float)) else f"{respawn:.3f}",
                     "held" if l["agreed"] else "**failed**"])
    table(["case", "requests", "unanswered", "late", "by the GPU", "p50 / p99 / p99.9, µs", "longest respawn, s", ""], rows)


def floor_s(prepared, c):
    """The least time of one problem by the counted work and the measured ceilings."""
    if not c or not prepared.get("operations_float32"):
        return None
    work = prepared["operations_float32"] / c["float32_flops"] + prepared["operations_float64"] / c["float64_flops"]
    link = max(prepared["request_bytes"] / c["to_device_bytes_per_s"], prepared["answer_bytes"] / c["from_device_bytes_per_s"])
    return max(work, link)


def bench(lines, c):
    print("## Times\n")
    if not of(lines, "bench"):
        print("Not measured.\n")
        return
    prepared = {l["size"]: l for l in of(lines, "prepared")}
    rows = []
    for l in of(lines, "bench", where="device"):
        floor = floor_s(prepared.get(l["size"], {}), c)
        share = None if floor is None else 100 * floor * l["solutions_per_s"]
        target = l.get("target_us")
        held = "" if not target else f"{'held' if 1e3 * l['device_ms'] <= target else '**missed**'}: {target:g} µs"
        rows.append([name_of(l), l["batch"], f"{1e3 * l['device_ms']:.1f} / {1e3 * l['device_ms_p99']:.1f}",
                     f"{1e3 * l['end_to_end_ms']:.1f} / {1e3 * l['end_to_end_ms_p99']:.1f}", number(l["solutions_per_s"]),
                     "not measured" if share is None else f"{share:.1f} %", held])
    table(["size", "batch", "device, µs, median / p99", "end to end, µs, median / p99", "solutions/s (device)",
           "of the measured ceilings", "target"], rows)
    rows = []
    for size in dict.fromkeys(l["size"] for l in of(lines, "bench")):
        rate = {}
        for l in of(lines, "bench", where="cpu", size=size):  # measured before and after
            rate.setdefault(l["threads"], []).append(l["solutions_per_s"])
        rate = {t: sum(v) / len(v) for t, v in rate.items()}
        best = max((l["solutions_per_s"] for l in of(lines, "bench", where="device", size=size)), default=None)
        stream = max((l["solutions_per_s"] for l in of(lines, "bench", where="stream", size=size)), default=None)
        one, most = rate.get(1), max(rate, default=None)
        many = rate.get(most) if most != 1 else None
        rows.append([size, number(best), number(stream), number(one), f"{number(many)} ({most})",
                     "not measured" if not (best and one) else f"{best / one:.3g} : 1",
                     "not measured" if not (best and many) else f"{best / many:.3g} : 1"])
    print("Checked solutions a second in the same run; stream: several batches in flight, one thread of the host.\n")
    table(["size", "device", "stream, end to end", "one core", "all cores (threads)", "device : one core",
           "device : all cores"], rows)
    reduction(lines)


def reduction(lines):
    found = of(lines, "bench", where="reduction")
    if found:
        print("Ways to reduce the scenes:\n")
        keys = [k for k in found[0] if k not in ("stage", "where")]
        table(keys, [[l.get(k, "") for k in keys] for l in found])


def merit(lines):
    print("## Wall time to merit\n")
    found = of(lines, "merit")
    if not found:
        print("Not measured.\n")
        return
    columns = [("paper", "paper mode, CPU"), ("boblrbf", "default, CPU"), ("equivariant", "network, CPU"),
               ("refined", "network refined, CPU"), ("gpu", "network, GPU"), ("gpu-refined", "network refined, GPU")]
    rows = []
    for setting in ("alone", "batch"):
        for goal in dict.fromkeys(l["goal"] for l in found):
            row = [f"{setting}, {goal}"]
            for method, _ in columns:
                hit = of(lines, "merit", setting=setting, goal=goal, method=method)
                if not hit:
                    row.append("not measured")
                else:
                    us = hit[0]["median_us"]
                    row.append(f"{'never' if us is None else f'{us:.4g}'} ({hit[0]['reached']}/{hit[0]['cases']})")
            rows.append(row)
    print("Median µs per solution over all cases (cases that get there); never: not in half of them.\n")
    table(["setting, goal"] + [title for _, title in columns], rows)


def main():
    if len(sys.argv) != 2:
        print("usage: report.py gpu-check.jsonl", file=sys.stderr)
        return 2
    lines = read(sys.argv[1])
    head(lines)
    c = ceilings(lines)
    agreement(lines)
    end_to_end(lines)
    bench(lines, c)
    merit(lines)
    print("Scaling over several devices: not measured.")
    return 0


sys.exit(main())

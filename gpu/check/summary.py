#!/usr/bin/env python3
"""The lines of scripts/gpu-check as Markdown for bench/results/. Standard library only."""

import json
import sys


def table(head, rows):
    if rows:
        print("\n| " + " | ".join(head) + " |")
        print("|" + "---|" * len(head))
        for row in rows:
            print("| " + " | ".join(f"{c:.4g}" if isinstance(c, float) else str(c) for c in row) + " |")


def main():
    with open(sys.argv[1]) as f:
        lines = [json.loads(line) for line in f if line.startswith("{")]
    machine = next((x for x in lines if x.get("stage") == "machine"), {})
    print(f"# scripts/gpu-check, {machine.get('date')}\n")
    print(f"{machine.get('device')}; {machine.get('cores')} cores, {machine.get('cpu')}; revision {machine.get('revision')}; "
          f"`{machine.get('command')}`")
    table(["stage", "as it should be", "s"],
          [[x["stage"], x["done"], x.get("seconds", x.get("why"))] for x in lines if "done" in x])
    measures = [x for x in lines if x.get("stage") == "agreement" and "measure" in x]
    print(f"\n{len(measures)} comparisons with the engine, {sum(not x['agreed'] for x in measures)} beyond their bounds.")
    worst = {}
    for x in measures:
        key = x["measure"]
        if key not in worst or x["value"] > worst[key]["value"]:
            worst[key] = x
    table(["largest", "size", "cases", "seen", "bound", "agreed"],
          [[k, x["size"], x["cases"], float(x["value"]), float(x["bound"]), x["agreed"]] for k, x in worst.items()])
    bench = [x for x in lines if x.get("stage") == "bench" and "solutions_per_s" in x]
    cpu = {x["size"]: {} for x in bench}
    for x in bench:
        if x["where"] == "cpu":
            cpu[x["size"]][x["threads"]] = x["solutions_per_s"]
    rows = []
    for x in bench:
        if x["where"] == "device":
            ratios = [f"{x['solutions_per_s'] / v:.1f}x {n}" for n, v in sorted(cpu[x["size"]].items()) if v > 0]
            rows.append([x["size"], x["batch"], x["device_ms"], x["device_ms_p99"], x["end_to_end_ms"], x["end_to_end_ms_p99"],
                         x["solutions_per_s"], ", ".join(ratios)])
    table(["size", "batch", "device ms", "p99", "end to end ms", "p99", "solutions/s", "against CPU threads"], rows)
    for name in ("ceilings", "end_to_end"):
        for x in lines:
            if x.get("stage") == name and "done" not in x:
                print(f"\n- {name}: " + ", ".join(f"{k} {v}" for k, v in x.items() if k != "stage"))


main()

#!/usr/bin/python3
"""Runs `beamlab front` on a golden scene and lets the oracle judge it.

  check_front.py BEAMLAB SCENE_NAME WORKDIR [--least RATIO] [--seconds LIMIT]

The solution file must have exactly 33 entries; `oracle.py hv` must see a ratio_same_count of at least RATIO (0.985);
`oracle.py eval` must agree with every reported number within 1e-6 and every budget within 1e-9."""
import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
POINTS = 33


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("beamlab")
    parser.add_argument("name")
    parser.add_argument("workdir")
    parser.add_argument("--least", type=float, default=0.985)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    scene = os.path.join(HERE, args.name + ".json")
    reference = os.path.join(HERE, args.name + ".reference.json")
    solution = os.path.join(args.workdir, f"front_{args.name}.json")
    oracle = [sys.executable, os.path.join(HERE, "oracle.py")]

    start = time.monotonic()
    run([args.beamlab, "front", scene, "--points", str(POINTS), "--out", solution])
    seconds = time.monotonic() - start
    with open(solution) as f:
        entries = len(json.load(f)["solutions"])
    if entries != POINTS:
        sys.exit(f"{solution}: {entries} entries instead of {POINTS}")
    hv = json.loads(run(oracle + ["hv", "--json", "--count", str(POINTS), solution, scene, reference]))
    print(f"{args.name}: ratio_same_count {hv['ratio_same_count']:.5f}, ratio {hv['ratio']:.5f}, "
          f"min_f1 {hv['min_f1']}, min_f2 {hv['min_f2']}, {hv['points']} points inside the budget, {seconds:.2f} s")
    print(run(oracle + ["eval", scene, solution]).splitlines()[-1])
    if hv["points"] != POINTS:
        sys.exit(f"{POINTS - hv['points']} points are over the budget")
    if not hv["ratio_same_count"] >= args.least:
        sys.exit(f"ratio_same_count {hv['ratio_same_count']} is below {args.least}")
    if seconds > args.seconds:
        sys.exit(f"took {seconds:.1f} s, the limit is {args.seconds:g} s")


if __name__ == "__main__":
    main()

#!/bin/bash
# 100 000 requests, some of them superseded: beamd's resident memory stays flat within 1 %. scripts/bench-daemon does the same
# with ten million.
#
#   test_beamload_memory.sh BEAMD BEAMLOAD
set -euo pipefail

beamd=$1 beamload=$2
dir=$(mktemp -d /tmp/beamload-memory.XXXXXX)
mkdir -m 700 "$dir/run"
daemon=
finish() {
  local status=$?
  if [ -n "$daemon" ]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait || true
  fi
  if [ $status -ne 0 ]; then
    cat "$dir/run.json" >&2 || true
    tail -n 20 "$dir/beamd.log" >&2 || true
  fi
  rm -rf "$dir"
}
trap finish EXIT

"$beamd" --runtime-dir "$dir/run" --set 'workers = 1' --set 'log_level = err' 2>"$dir/beamd.log" &
daemon=$!
for ((try = 0; ; try++)); do
  [ -S "$dir/run/csi.sock" ] && break
  [ $try -lt 200 ] || exit 1
  sleep 0.05
done
# The warm-up touches what is touched once: rings, histograms, buffers of ZeroMQ and of the state on disk.
"$beamload" run --runtime-dir "$dir/run" --clusters 8 --total-rate 3000 --warmup 25s --count 100000 --wait 60s \
  --watch-pid "$daemon" --json >"$dir/run.json"
python3 - "$dir/run.json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))["result"]
assert r["requests"] == 100000 and r["unanswered"] == 0 and r["duplicates"] == 0, r
assert r["resident_first_kib"] > 0 and r["resident_growth_percent"] <= 1, r["resident_growth_percent"]
print("answered with beams %d, resident memory %d KiB, grown by %.2f %%"
      % (r["answers"], r["resident_first_kib"], r["resident_growth_percent"]))
PY

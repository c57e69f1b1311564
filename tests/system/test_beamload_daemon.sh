#!/bin/bash
# beamload against a real beamd: nothing unanswered, every number right, record and replay, ping and overhead, a capacity
# search that ends, preferences. Rates are low and shares forgiving: the machine that runs the tests is loaded.
#
#   test_beamload_daemon.sh BEAMD BEAMLOAD
set -euo pipefail

beamd=$1 beamload=$2
dir=$(mktemp -d /tmp/beamload-system.XXXXXX)
mkdir -m 700 "$dir/run"
daemon= recorder=
finish() {
  local status=$?
  for pid in $recorder $daemon; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  wait || true
  if [ $status -ne 0 ]; then
    tail -n 20 "$dir/beamd.log" >&2 || true
  fi
  rm -rf "$dir"
}
trap finish EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# value JSON PATH: a number of the object in a file, by jq-like dots
value() {
  python3 - "$1" "$2" <<'PY'
import json, sys
at = json.load(open(sys.argv[1]))
for key in sys.argv[2].split('.'):
    at = at[key]
print(at)
PY
}

expect() { # FILE PATH OPERATOR NUMBER
  local got
  got=$(value "$1" "$2")
  python3 -c "import sys; sys.exit(not ($got $3 $4))" || fail "$2 is $got, not $3 $4"
}

"$beamd" --runtime-dir "$dir/run" --set 'workers = 1' 2>"$dir/beamd.log" &
daemon=$!
for ((try = 0; ; try++)); do
  [ -S "$dir/run/csi.sock" ] && break
  [ $try -lt 200 ] || fail "beamd did not start"
  sleep 0.05
done
common=(--runtime-dir "$dir/run" --json --wait 20s)

echo "== run: all answered, all numbers right"
"$beamload" run "${common[@]}" --clusters 3 --rate 20 --duration 2s --warmup 0.3s --deadline 2s --verify 1 >"$dir/run.json"
expect "$dir/run.json" result.requests '>=' 100
expect "$dir/run.json" result.unanswered '==' 0
expect "$dir/run.json" result.duplicates '==' 0
expect "$dir/run.json" result.unexpected '==' 0
expect "$dir/run.json" verify.wrong '==' 0
expect "$dir/run.json" verify.answers '>=' 50
expect "$dir/run.json" verify.worst_difference '<' 1e-6
expect "$dir/run.json" verify.power_excess '<=' 1e-9

echo "== run: sizes mixed, in bursts, float64"
"$beamload" run "${common[@]}" --clusters 4 --mix 3x5x3x2:3,4x8x6x3:1 --arrivals burst --burst 4 --rate 10 --duration 2s \
  --warmup 0s --deadline 2s --csi-element f64 --beam-element f64 --verify 1 >"$dir/mix.json"
expect "$dir/mix.json" result.unanswered '==' 0
expect "$dir/mix.json" verify.answers '>' 10
expect "$dir/mix.json" verify.worst_difference '<' 1e-6

echo "== run: subbands and named preferences, answered as a set; beams in few bits"
"$beamload" run "${common[@]}" --clusters 2 --subbands 3 --preferences 0.2,0.8 --rate 10 --duration 1s --warmup 0s --deadline 2s \
  --beam-element bfp --verify 1 >"$dir/set.json"
expect "$dir/set.json" result.unanswered '==' 0
expect "$dir/set.json" result.solutions '==' "$((6 * $(value "$dir/set.json" result.answers)))"
expect "$dir/set.json" verify.solutions '==' "$(value "$dir/set.json" result.solutions)"
expect "$dir/set.json" verify.worst_difference '<' 1e-6
expect "$dir/set.json" verify.power_excess '<=' 1e-9

echo "== overload: every request is answered"
"$beamload" run "${common[@]}" --clusters 4 --rate 2000 --arrivals poisson --duration 1s --warmup 0s >"$dir/over.json"
expect "$dir/over.json" result.requests '>' 4000
expect "$dir/over.json" result.unanswered '==' 0
expect "$dir/over.json" result.duplicates '==' 0
"$beamload" run "${common[@]}" --clusters 4 --rate 100 --antennas 32 --users 9 --deadline 300us --duration 1s --warmup 0s \
  --verify 1 >"$dir/hard.json"
expect "$dir/hard.json" result.unanswered '==' 0
expect "$dir/hard.json" verify.wrong '==' 0
expect "$dir/hard.json" verify.worst_difference '<' 1e-6

echo "== ping and overhead"
"$beamload" ping --json --rate 100 --duration 0.5s --warmup 0.1s >"$dir/ping.json"
expect "$dir/ping.json" one_thread.answers '>=' 40
expect "$dir/ping.json" two_threads.unanswered '==' 0
"$beamload" overhead "${common[@]}" --rate 50 --duration 1s --warmup 0.2s --rounds 2 --deadline 2s --verify 0.5 >"$dir/overhead.json"
expect "$dir/overhead.json" over_two_threads.ratio '>' 0
expect "$dir/overhead.json" verify.worst_difference '<' 1e-6

echo "== capacity ends"
"$beamload" capacity "${common[@]}" --clusters 2 --duration 0.3s --warmup 0.1s --deadline 1s --on-time 50 --max-rate 200 \
  --precision 40 --service held >"$dir/capacity.json"
expect "$dir/capacity.json" capacity_hz '>=' 50

echo "== preference"
"$beamload" preference "${common[@]}" --rate 40 --changes 4 --deadline 2s >"$dir/preference.json"
expect "$dir/preference.json" stale '==' 0
expect "$dir/preference.json" later_answers '>' 0

echo "== record and replay"
"$beamload" record "$dir/trace" --listen "ipc://$dir/record.sock" --runtime-dir "$dir/run" --json >"$dir/record.json" &
recorder=$!
for ((try = 0; ; try++)); do
  [ -S "$dir/record.sock" ] && break
  [ $try -lt 200 ] || fail "the recorder did not start"
  sleep 0.05
done
"$beamload" run --json --endpoint "ipc://$dir/record.sock" --wait 20s --clusters 2 --rate 20 --duration 1s --warmup 0s \
  --deadline 2s --verify 1 >"$dir/recorded.json"
kill -INT $recorder
wait $recorder
recorder=
sent=$(value "$dir/record.json" requests)
expect "$dir/record.json" answers '==' "$sent"
"$beamload" replay "$dir/trace" "${common[@]}" --speed 2 >"$dir/replay.json"
expect "$dir/replay.json" whole '==' True
expect "$dir/replay.json" result.sent '==' "$sent"
expect "$dir/replay.json" answered '==' "$sent"
expect "$dir/replay.json" result.requests '==' "$(value "$dir/recorded.json" result.requests)"
head -c $(($(stat -c %s "$dir/trace") - 10)) "$dir/trace" >"$dir/cut"
"$beamload" replay "$dir/cut" "${common[@]}" --speed 4 >"$dir/cut.json" 2>"$dir/cut.err"
grep -q 'its recording was cut off' "$dir/cut.err" || fail "a trace that was cut off went unnoticed"

echo "== what is wrong is refused"
for wrong in 'run --rate x' 'run --nothing' 'fly' 'replay' "run --mix 1x2" 'capacity --rate 3'; do
  status=0
  # shellcheck disable=SC2086
  "$beamload" $wrong >/dev/null 2>"$dir/wrong.err" || status=$?
  [ $status -eq 2 ] || fail "beamload $wrong: exit status $status"
  [ -s "$dir/wrong.err" ] || fail "beamload $wrong: no reason"
done
status=0
"$beamload" replay "$beamd" "${common[@]}" >/dev/null 2>&1 || status=$?
[ $status -eq 1 ] || fail "a file that is no trace: exit status $status"

echo "== kill -9: the first answer after the restart is warm"
mkdir -m 700 "$dir/again"
"$beamload" restart --runtime-dir "$dir/again" --json --clusters 2 --rate 20 --duration 3s --wait 20s --deadline 2s \
  -- "$beamd" --runtime-dir "$dir/again" --set 'workers = 1' >"$dir/restart.json" 2>"$dir/restart.log"
expect "$dir/restart.json" warm '==' 1

echo "== the daemon still lives and drains"
kill -TERM "$daemon"
wait "$daemon" || fail "beamd ended with $?"
daemon=
echo "PASSED"

#!/bin/sh
# Every example gets beams from a running daemon.
#   examples.sh BEAMD EXAMPLE...      an example ending in .py is run by /usr/bin/python3
set -eu
beamd=$1
shift
dir=$(mktemp -d "${TMPDIR:-/tmp}/beamd-examples-XXXXXX")
"$beamd" --runtime-dir "$dir" >"$dir/log" 2>&1 &
daemon=$!
trap 'kill $daemon 2>/dev/null || true; wait $daemon 2>/dev/null || true; rm -rf "$dir"' EXIT
export BEAMD_RUNTIME_DIR="$dir"
turns=0
until [ -S "$dir/csi.sock" ]; do
  turns=$((turns + 1))
  if [ $turns -gt 300 ] || ! kill -0 $daemon; then
    echo "beamd did not start:" && cat "$dir/log"
    exit 1
  fi
  sleep 0.05
done
for example in "$@"; do
  case $example in
    *.py) set -- /usr/bin/python3 -B "$example" ;;
    *) set -- "$example" ;;
  esac
  if ! "$@" >"$dir/out" 2>&1 || ! grep -q 'worst-case rate [0-9.]*[1-9]' "$dir/out"; then
    echo "$example:" && cat "$dir/out" "$dir/log"
    exit 1
  fi
  echo "$example: $(head -n 1 "$dir/out")"
done

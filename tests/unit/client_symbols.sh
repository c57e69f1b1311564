#!/bin/sh
# The shared library exports exactly the symbols of beamc.map, and the public header declares every one of them.
#   client_symbols.sh LIBRARY MAP HEADER
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nm -D --defined-only "$1" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/exported"
sed -n 's/^ *\(beamc_[a-z_]*\);$/\1/p' "$2" | sort -u >"$work/listed"
grep -o 'beamc_[a-z_]*(' "$3" | tr -d '(' | sort -u >"$work/declared"
test -s "$work/listed"
diff "$work/listed" "$work/exported"
diff "$work/listed" "$work/declared"

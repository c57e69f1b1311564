#!/bin/bash
# Completion offers what the programs take, and only that.
#   beamctl_completion.sh COMPLETION BEAMCTL [BEAMD|BEAMLAB|BEAMLOAD ...]
set -uo pipefail

completion=$1
beamctl=$2
shift 2
failures=0
# shellcheck source=/dev/null
source "$completion"

# offered FUNCTION WORD...: what is offered for the last word, which may be empty; one a line
offered() {
  local function=$1
  shift
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMPREPLY=()
  "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  printf '%s\n' "${COMPREPLY[@]}" | sort
}

expect() {
  local wanted=$1
  shift
  local got
  got=$(offered "$@" | tr '\n' ' ')
  got=${got% }
  if [[ $got != "$wanted" ]]; then
    echo "for '${*:2}': offered '$got', expected '$wanted'"
    failures=$((failures + 1))
  fi
}

fail() {
  echo "$1"
  failures=$((failures + 1))
}

expect 'preference' _beamctl "$beamctl" pre
expect 'doctor drain' _beamctl "$beamctl" d
expect 'get remove set' _beamctl "$beamctl" preference ''
expect 'get remove set' _beamctl "$beamctl" --json --timeout 100 preference ''
expect 'check get reload' _beamctl "$beamctl" config ''
expect 'reload' _beamctl "$beamctl" model ''
expect '--svg' _beamctl "$beamctl" front --sv
expect '' _beamctl "$beamctl" status --sv
expect '--once' _beamctl "$beamctl" top --o
expect '' _beamctl "$beamctl" --timeout ''
expect '' _beamctl "$beamctl" front --points ''
expect 'file:' _beamctl "$beamctl" --curve-secret-key ''
expect '/usr/bin' _beamctl "$beamctl" --curve-secret-key file : /usr/bi
expect 'debug err info notice warning' _beamctl "$beamctl" log-level ''
expect '/usr/bin' _beamctl "$beamctl" --runtime-dir /usr/bi
expect '/usr/bin' _beamctl "$beamctl" doctor --root /usr/bi

# Every word offered is one that the program takes. Status 2 is wrong usage; without a daemon it is 3.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
run() {
  "$beamctl" --runtime-dir "$dir" --timeout 1 "$@" >/dev/null 2>&1
}
for word in $(offered _beamctl "$beamctl" ''); do
  "$beamctl" "$word" --help >"$dir/help" || fail "$word --help: exit status $?"
  grep -q "^usage: beamctl \(\[options\] \)\{0,1\}$word\( \|\$\)" "$dir/help" || fail "$word has no help of its own"
  [[ $word == keygen ]] && continue # its options are its own; below
  for option in $(offered _beamctl "$beamctl" "$word" --); do
    run "$word" "$option" 2 --help || run "$word" "$option" --help || run "$word" "$option" file:2 --help ||
      fail "$word does not take $option"
  done
done
expect '--server' _beamctl "$beamctl" keygen /tmp --s
"$beamctl" keygen "$dir/keys" --server >/dev/null || fail "keygen --server: exit status $?"
for word in $(offered _beamctl "$beamctl" top --sort ''); do
  run top --once --sort "$word"
  [[ $? -eq 3 ]] || fail "top --sort $word is not taken"
done
for word in $(offered _beamctl "$beamctl" log-level ''); do
  run log-level "$word"
  [[ $? -eq 3 ]] || fail "log-level $word is not taken"
done
for word in $(offered _beamctl "$beamctl" preference ''); do
  run --name a preference "$word" c
  one=$?
  run --name a preference "$word" c 0.5
  [[ $one -eq 3 || $? -eq 3 ]] || fail "preference $word is not taken"
done
# ... and every option of the table is offered: those of --help are the table's.
offered _beamctl "$beamctl" -- >"$dir/offered"
"$beamctl" --help | grep -o '^  --[a-z][a-z-]*' | tr -d ' ' | sort >"$dir/table"
cmp "$dir/offered" "$dir/table" || fail "not all options of the table are offered"
[[ $(wc -l <"$dir/table") -ge 15 ]] || fail "fewer options than there were: is --help read rightly?"

# The manual page has them too, and groff has nothing to say about it.
"$beamctl" --man >"$dir/beamctl.1" || fail "--man: exit status $?"
sed 's/\\-/-/g' "$dir/beamctl.1" >"$dir/plain"
for word in $(cat "$dir/table") $(offered _beamctl "$beamctl" ''); do
  grep -q "^\.BI \"${word}[ \"]" "$dir/plain" || fail "the manual page has no $word"
done
if command -v groff >/dev/null; then
  warnings=$(groff -man -Tascii -ww -z "$dir/beamctl.1" 2>&1)
  [[ -z $warnings ]] || fail "$warnings"
fi

for program in "$@"; do
  case ${program##*/} in
    beamd)
      expect '--config' _beamd "$program" --conf
      for word in $(offered _beamd "$program" --set work); do
        "$program" --check-config <(echo "${word}1") >/dev/null || fail "beamd takes no $word"
      done
      offered _beamd "$program" --set '' | grep -q '^deadline_us=$' || fail "beamd --set offers no deadline_us"
      ;;
    beamlab)
      expect 'front' _beam_tool "$program" fr
      expect '--method' _beam_tool "$program" solve --me
      expect 'paper' _beam_tool "$program" solve --method p
      expect '--threads' _beam_tool "$program" train --thr
      ;;
    beamload)
      expect 'capacity' _beam_tool "$program" cap
      offered _beam_tool "$program" run -- | grep -q '^--rate$' || fail "beamload run offers no --rate"
      ;;
  esac
done
[[ $failures -eq 0 ]] && echo "completion: every check passed"
exit $((failures > 0))

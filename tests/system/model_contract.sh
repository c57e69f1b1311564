#!/bin/sh
# beamlab model and what beamlab train writes: what is shown of a model file, and that a wrong one ends with one line
# and exit status 2.
#   model_contract.sh BEAMLAB MODEL
set -u
lab=$1
model=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "FAILED: $*"
    failed=1
}

# refuses WORD... : exit status 2, exactly one line on stderr that contains WORD, nothing on stdout
refuses() {
    word=$1
    shift
    "$lab" "$@" >"$work/stdout" 2>"$work/stderr"
    status=$?
    [ $status -eq 2 ] || fail "$*: exit status $status, not 2"
    [ "$(wc -l <"$work/stderr")" -eq 1 ] || fail "$*: not one line on stderr"
    [ ! -s "$work/stdout" ] || fail "$*: wrote to stdout"
    grep -q -- "$word" "$work/stderr" || fail "$*: \"$word\" is not in: $(cat "$work/stderr")"
}

"$lab" model "$model" >"$work/shown" || fail "model of a good file"
sum=$(head -c -32 "$model" | sha256sum | cut -d ' ' -f 1)
grep -q "^sha256 *$sum\$" "$work/shown" || fail "the sum shown is not that of sha256sum: $sum"
grep -q '^kind *equivariant$' "$work/shown" || fail "kind"
grep -q '^command *beamlab train --seed 7' "$work/shown" || fail "training command"
grep -q '^created *2023-11-14 22:13:20 UTC$' "$work/shown" || fail "date"
if "$lab" model "$model" >/dev/full 2>/dev/null; then
    fail "a full disk looks like success"
fi

{ head -c 2000 "$model"; printf X; tail -c +2002 "$model"; } >"$work/damaged"
refuses 'damaged: checksum: the file is damaged' model "$work/damaged"
head -c 3000 "$model" >"$work/cut"
refuses 'cut: file_bytes: .* it is cut' model "$work/cut"
{ head -c 12 "$model"; printf '\002'; tail -c +14 "$model"; } >"$work/newer"
refuses 'newer: format: .* newer than 1' model "$work/newer"
refuses 'magic: this is no model file' model "$0"
refuses 'is no regular file' model "$work"
refuses 'cannot be read' model "$work/absent"

# what would lose the result is said before the training, and leaves nothing behind
refuses 'absent/x.beamnet: cannot be written' train --steps 1 --layers 1 --width 1 --out "$work/absent/x.beamnet"
refuses 'name: byte 1 is a control character' train --steps 1 --layers 1 --width 1 --out "$work/x.beamnet" --name "a	b"
[ -z "$(ls "$work" | grep x.beamnet)" ] || fail "a refused training leaves files: $(ls "$work")"

# the model built in, where there is one
if "$lab" model >"$work/shown" 2>"$work/stderr"; then
    grep -q '^source *built in$' "$work/shown" || fail "source of the model built in"
else
    grep -q 'no model is built into this program' "$work/stderr" || fail "no model, and not said: $(cat "$work/stderr")"
    echo "SKIPPED: no model is built in (models/default.beamnet was absent at configuration)"
fi
exit $failed

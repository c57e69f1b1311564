#!/bin/sh
# The contract of beamlab that external tools depend on (docs/beamlab.md): exact numbers of entries, budgets, agreement with a
# recomputation, determinism over threads, one-line errors with exit status 2.
#   lab_contract.sh BEAMLAB GOLDEN_FOLDER
set -u
lab=$1
golden=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "FAILED: $*"
    failed=1
}

# entries FILE: how many the solution holds (each has exactly one "stations")
entries() {
    grep -o '"stations":' "$1" | wc -l
}

# agree SCENE SOLUTION: every reported number recomputed, budgets held
agree() {
    "$lab" evaluate "$1" "$2" >"$work/evaluate" 2>&1 || fail "evaluate $1 $2: $(tail -n 1 "$work/evaluate")"
}

# refuses WORD... : exit status 2, exactly one line on stderr that contains WORD
refuses() {
    word=$1
    shift
    "$lab" "$@" >"$work/stdout" 2>"$work/stderr"
    status=$?
    [ $status -eq 2 ] || fail "$*: exit status $status, not 2"
    [ "$(wc -l <"$work/stderr")" -eq 1 ] || fail "$*: not one line on stderr"
    grep -q -- "$word" "$work/stderr" || fail "$*: \"$word\" is not in: $(cat "$work/stderr")"
}

scene=$golden/paper_eps010.json

# front writes exactly K entries, by every method
for points in 1 2 3 7 33; do
    "$lab" front "$scene" --points $points --out "$work/front.json" >/dev/null || fail "front --points $points"
    [ "$(entries "$work/front.json")" -eq $points ] || fail "front --points $points: $(entries "$work/front.json") entries"
    agree "$scene" "$work/front.json"
done
for method in paper classical boblrbf; do
    "$lab" front "$scene" --points 4 --method $method --refine 5 --out "$work/front.json" >/dev/null || fail "front $method"
    [ "$(entries "$work/front.json")" -eq 4 ] || fail "front $method: not 4 entries"
    agree "$scene" "$work/front.json"
done

# the network, where a model is built in
if "$lab" model >/dev/null 2>&1; then
    for points in 1 2 3 33; do
        for refine in 0 3; do
            "$lab" front "$scene" --points $points --method network --refine $refine --out "$work/front.json" >/dev/null ||
                fail "front --points $points --method network --refine $refine"
            [ "$(entries "$work/front.json")" -eq $points ] || fail "front --points $points network: not $points entries"
            agree "$scene" "$work/front.json"
        done
    done
    "$lab" front "$scene" --points 9 --method network --threads 3 --out "$work/three.json" >/dev/null || fail "network, threads"
    "$lab" front "$scene" --points 9 --method network --out "$work/one.json" >/dev/null || fail "network, one thread"
    strip='s/"solve_us":[0-9.e+-]*//g'
    [ "$(sed "$strip" "$work/one.json")" = "$(sed "$strip" "$work/three.json")" ] || fail "network: threads change the result"
    "$lab" evaluate --model --scenes 1 --points 5 --reference-points 9 --refine 2 --no-times --json >"$work/judged.json" 2>/dev/null ||
        fail "evaluate --model"
    grep -q '"checked"' "$work/judged.json" || fail "evaluate --model: no numbers: $(cat "$work/judged.json")"
else
    refuses 'no model is built' evaluate --model --scenes 1
    refuses 'no model is built' solve "$scene" --method network
fi

# solve: one entry per trade-off, in order; without --tradeoff those of the scene, or 0.5
"$lab" solve "$scene" --method boblrbf --tradeoff 0.7 0.2 --out "$work/solve.json" >/dev/null || fail "solve two"
order=$(grep -o '"tradeoff":[0-9.]*' "$work/solve.json" | tr '\n' ' ')
[ "$order" = '"tradeoff":0.7 "tradeoff":0.2 ' ] || fail "solve order: $order"
"$lab" solve "$scene" --out "$work/solve.json" >/dev/null || fail "solve of the scene's trade-offs"
[ "$(entries "$work/solve.json")" -eq 13 ] || fail "solve: not the 13 trade-offs of the scene"
agree "$scene" "$work/solve.json"
sed 's/"tradeoffs":\[[^]]*\]/"tradeoffs":[]/' "$scene" >"$work/bare.json"
"$lab" solve "$work/bare.json" --out "$work/solve.json" >/dev/null || fail "solve without trade-offs"
grep -q '"tradeoff":0.5,' "$work/solve.json" || fail "default trade-off is not 0.5"
[ "$(entries "$work/solve.json")" -eq 1 ] || fail "default trade-off: not one entry"

# the number of threads changes nothing but times
for method in boblrbf paper classical; do
    for threads in 1 3; do
        "$lab" solve "$golden/uneven_n6.json" --method $method --threads $threads --tradeoff 0 0.3 0.6 1 \
            --paper-iterations 30 --out "$work/threads.json" >/dev/null || fail "solve $method --threads $threads"
        sed 's/"solve_us":[^,]*//' "$work/threads.json" >"$work/threads.$threads"
    done
    cmp -s "$work/threads.1" "$work/threads.3" || fail "$method: results depend on --threads"
done

# generated scenes are solved and agree, also where nothing can be located or nobody is served
"$lab" scene --out "$work/a.json" --antennas 4 --users 2,0,5 --targets 3 --family random --weights random --seed 5 \
    --model band --bandwidth 2e7 || fail "scene a"
"$lab" scene --out "$work/b.json" --stations 1 --users 2 || fail "scene b"
"$lab" scene --out "$work/c.json" --users 0 || fail "scene c"
for name in a b c; do
    "$lab" front "$work/$name.json" --points 3 --out "$work/front.json" >/dev/null || fail "front of generated $name"
    [ "$(entries "$work/front.json")" -eq 3 ] || fail "front of generated $name: not 3 entries"
    agree "$work/$name.json" "$work/front.json"
done
grep -q crlb_m2 "$work/front.json" || fail "no bound although the targets can be located"
"$lab" front "$work/b.json" --points 2 --out - | grep -q crlb_m2 && fail "a bound of targets that cannot be located"

# a wrong claim and an exceeded budget are found
"$lab" solve "$scene" --tradeoff 0.5 --out "$work/solve.json" >/dev/null
sed 's/"crlb_m2":0.03/"crlb_m2":0.04/' "$work/solve.json" >"$work/wrong.json"
"$lab" evaluate "$scene" "$work/wrong.json" >/dev/null && fail "a wrong CRLB passes evaluate"
sed 's/"power_w":10.0/"power_w":9.9/g' "$scene" >"$work/less.json"
"$lab" evaluate "$work/less.json" "$work/solve.json" >/dev/null && fail "an exceeded budget passes evaluate"

# minima that cannot be met are reported with the shortfall
"$lab" scene --out "$work/floor.json" --min-rate 40 || fail "scene with minima"
"$lab" solve "$work/floor.json" --tradeoff 0.5 | grep -q 'under their minimum rate: user 0 user 1 user 2; .* short' ||
    fail "users under their minimum are not listed"

# errors: one line, the file and the field, exit status 2
sed 's/"weight":1.0/"weight":"one"/' "$scene" >"$work/bad.json"
refuses 'bad.json: users\[0\].weight' solve "$work/bad.json"
refuses 'bad.json: users\[0\].weight' front "$work/bad.json" --points 3
refuses 'absent.json' solve "$work/absent.json"
refuses 'absent.beamnet' solve "$scene" --method network --model "$work/absent.beamnet"
refuses 'no model file' solve "$scene" --method network --model "$scene"
refuses 'absent.beamnet' evaluate --model "$work/absent.beamnet"
refuses 'none of paper' evaluate --model --family nonsense
refuses 'usage' evaluate --model "$work/absent.beamnet" "$scene"
refuses 'only method network' solve "$scene" --model "$scene"
refuses 'sorcery' solve "$scene" --method sorcery
refuses 'tradeoff' solve "$scene" --tradeoff 1.5
refuses 'tradeoff' solve "$scene" --tradeoff
refuses 'points' front "$scene" --points 0
refuses 'threads' front "$scene" --threads none
refuses 'luck' solve "$scene" --repairs luck --method paper
refuses 'nonsense' nonsense
refuses 'usage' solve
refuses 'x.json: cannot be written' solve "$scene" --tradeoff 0.5 --out "$work/no/such/folder/x.json"
refuses 'format: must be' evaluate "$scene" "$scene"
refuses 'eps' scene --out "$work/x.json" --eps -1
refuses 'users' scene --out "$work/x.json" --users 1,2
refuses 'figure' figure 6

# wrong places are found before anything is computed or printed, and leave nothing behind
silent() {
    refuses "$@"
    [ ! -s "$work/stdout" ] || fail "$*: wrote to stdout before it refused"
}
silent 'cannot be read: Is a directory' solve "$work"
silent 'cannot be read: Is a directory' evaluate "$scene" "$work/solve.json" --reference "$work"
silent 'out-dir: .*solve.json: is no folder' figure 3 --scenes 1 --out-dir "$work/solve.json"
silent 'golden: .*absent' bench --only golden --golden "$work/absent"
if command -v gnuplot >/dev/null; then
    silent 'p.svg: cannot be written' plot "$scene" "$work/solve.json" --out "$work/no/such/folder/p.svg"
    "$lab" plot "$scene" "$work/solve.json" --out "$work/p.svg" >"$work/stdout" 2>"$work/stderr" || fail "plot of one point"
    [ ! -s "$work/stderr" ] || fail "plot of one point: $(head -n 1 "$work/stderr")"
    grep -q '</svg>' "$work/p.svg" || fail "plot: no whole picture"
fi
for rest in "$work"/*.tmp; do
    [ ! -e "$rest" ] || fail "left behind: $rest"
done

exit $failed

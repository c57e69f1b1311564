#!/bin/sh
# The manual pages: every key and every option is in them, and groff has nothing to say about them.
#   manual.sh BEAMD BEAMD.8
set -eu
beamd=$1
page8=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
bad=0
complain() {
    echo "$*" >&2
    bad=1
}

"$beamd" --man > "$dir/beamd.conf.5"
cp "$page8" "$dir/beamd.8"

# as a reader sees them, in one line each
plain() {
    groff -man -Tascii -P-cbou -rLL=2000n "$1" | tr -s ' \n' '  '
}
if command -v groff > /dev/null; then
    for page in "$dir/beamd.conf.5" "$dir/beamd.8"; do
        warnings=$(groff -man -Tascii -ww -z "$page" 2>&1)
        [ -z "$warnings" ] || complain "$warnings"
    done
    plain "$dir/beamd.conf.5" > "$dir/conf.txt"
    plain "$dir/beamd.8" > "$dir/beamd.txt"
else
    # without groff: escapes taken off by hand
    for page in conf.5:conf beamd.8:beamd; do
        from=$dir/${page%%:*}
        [ "$page" = conf.5:conf ] && from=$dir/beamd.conf.5
        sed -e 's/\\&//g' -e 's/\\-/-/g' -e 's/\\(dq/"/g' "$from" | tr -s ' \n' '  ' > "$dir/${page##*:}.txt"
    done
fi

keys=$("$beamd" --dump-config | sed -n 's/^\([a-z_]*\) = .*/\1/p')
[ -n "$keys" ] || complain "no keys"
for key in $keys; do
    line=$("$beamd" --dump-config | grep "^$key = ")
    grep -qF -- "$line" "$dir/conf.txt" || complain "beamd.conf.5: no $line"
done
for option in $("$beamd" --help | grep -o -- '--[a-z-]*' | sort -u); do
    grep -qF -- "$option" "$dir/beamd.txt" || complain "beamd.8: no $option"
done
exit $bad

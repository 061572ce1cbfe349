#!/usr/bin/env bash
# Series killed at random moments, from the first file to the last, and gone on with: the bytes of an unkilled one.
#
#   tests/kills.sh GRADUS [SEED [KILLS]]     the program; the seed of the moments, 1; series that are killed, 20
set -euo pipefail
gradus=$(realpath "$1")
RANDOM=${2:-1}
wanted=${3:-20}
inputs=$(realpath "$(dirname "$0")/cli/inputs/units")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$inputs/18c_stack.npy" stack.npy
# One thread makes one slice at a time, so that a kill may find any number of them done.
series=("$gradus" reconstruct stack.npy --slices all --angles 60 --average 20 --threads 1 --quiet -o)
now() { date +%s%3N; }

"${series[@]}" whole
begin=$(now)
"${series[@]}" again
took=$(($(now) - begin))
kills=0 records=""
while [ $kills -lt "$wanted" ]; do
    rm -rf killed
    moment=$((RANDOM * took / 32768))
    "${series[@]}" killed 2>/dev/null &
    sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
    # A series that was done before does not count.
    kill -9 $! 2>/dev/null && kills=$((kills + 1)) || moment=""
    wait $! 2>/dev/null || true
    [ -n "$moment" ] || continue
    records+=" $(find killed/slices -name '[0-9]*' 2>/dev/null | wc -l)"
    "${series[@]}" killed
    diff -r whole killed || { echo "FAILED: killed after $moment ms of $took" >&2; exit 1; }
done
echo "$kills series killed within $took ms, with$records of 3 slices done: the same bytes"

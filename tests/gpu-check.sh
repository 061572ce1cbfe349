#!/usr/bin/env bash
# Checks and times the CUDA backend on a machine with an NVIDIA driver. One JSON line on stdout as each thing is known, the
# most telling first; the exit code is 0 when nothing failed.
#
#   tests/gpu-check.sh run [PART...]   in the repository, with Rust; in a packed folder ./gpu-check.sh run, with nothing
#   tests/gpu-check.sh pack DIR        builds, strips and packs: DIR, or DIR.tar.gz, may be taken to a machine without Rust.
#                                      OLD=FILE packs an older cuda_roofline beside it, which is measured in the same run
#   tests/gpu-check.sh stand-in [PART...]   the same on the tests' stand-in driver, whose times say nothing: proves this script
#
# Parts: clocks start costs passes parity old kernels runs training peer sanitizers; all but the last where none is named.
# LIMIT=150 are the seconds of the whole; each part has a limit of its own. SIDES="128 256 512", LANES="1 8 32",
# IMAGES="4 16 32" and REPEATS=50 say what is timed. PARITY="FILTER..." runs only the parity tests with these names.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
limit=${LIMIT:-150} failures=0 driver=machine

# The binaries: beside this script in a packed folder, built in the repository.
locate() {
    if [ -x "$here/gradus" ]; then
        gradus=$here/gradus roofline=$here/cuda_roofline parity=$here/parity stand_in=$here/stand-in benches=$here
        old=$here/old/cuda_roofline weights=$here/ellipses.safetensors
        return
    fi
    local top=$here/..
    (cd "$top" && cargo build --release --locked -p gradus --bin gradus --example cuda_roofline) || exit 1
    gradus=$top/target/release/gradus roofline=$top/target/release/examples/cuda_roofline
    parity=$(cd "$top" && cargo test --release --locked --no-run --message-format=json -p gradus-tests --test parity |
        grep -o '"executable":"[^"]*/parity-[^"]*"' | tail -1 | cut -d '"' -f 4)
    stand_in=$top/target/cuda-stand-in/undefined-behaviour benches=$top/host/benches
    old=${OLD-} weights=$top/host/weights/ellipses.safetensors
    # Its smallest check builds the stand-in, where that is out of date.
    case "$1" in pack | stand-in) "$parity" --exact packed_weights >/dev/null || exit 1 ;; esac
}

pack() {
    local to=${1:?name the folder}
    mkdir -p "$to/stand-in"
    strip -o "$to/gradus" "$gradus"
    strip -o "$to/cuda_roofline" "$roofline"
    strip -o "$to/parity" "$parity"
    strip -o "$to/stand-in/libcuda.so.1" "$stand_in/libcuda.so.1"
    cp "$here/gpu-check.sh" "$benches/gpu_peer.py" "$benches/energy_network.py" "$weights" "$to/"
    [ -z "$old" ] || { mkdir -p "$to/old" && strip -o "$to/old/cuda_roofline" "$old"; }
    tar -czf "$to.tar.gz" -C "$(dirname "$to")" "$(basename "$to")"
    du -h "$to.tar.gz"
}

# Runs a command for at most so many seconds, less where less is left of the whole.
bounded() {
    local left=$((limit - SECONDS)) most=$1
    shift
    [ "$left" -gt 0 ] || return 124
    timeout -k 2 "$((most < left ? most : left))" "$@"
}

say() { printf '{"measured": "%s", %s}\n' "$1" "$2"; }

# A part that prints its own lines.
lines() {
    local name=$1
    shift
    bounded "$@" || { say "$name" "\"failed\": $?" && failures=$((failures + 1)); }
}

clocks() {
    command -v nvidia-smi >/dev/null || return 0
    local found
    found=$(bounded 10 nvidia-smi --format=csv,noheader,nounits \
        --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,temperature.gpu,memory.used) || return 0
    say clocks "\"name, driver, MHz, highest, of memory, W, C, MiB\": \"$found\""
}

# Without and with what the driver keeps of compiled kernels.
start() {
    local cache
    cache=$(mktemp -d)
    for _ in cold warm; do CUDA_CACHE_PATH=$cache lines start 20 "$roofline" start; done
    rm -r "$cache"
}

# The older binary's times: a pass, its kernels aside, in one line.
old() {
    [ -n "$old" ] && [ -x "$old" ] || return 0
    local found
    # shellcheck disable=SC2086 # a list of numbers
    found=$(bounded 30 "$old" ${SIDES:-128 256 512}) || { say old "\"failed\": $?" && return; }
    python3 -c '
import json, sys
found = json.load(sys.stdin)
ms = {side: {name: one["ms"] for name, one in passes.items()} for side, passes in found["sizes"].items()}
training = {name: found["training"][name]["ms"] for name in ("full", "tf32")}
print(json.dumps({"measured": "old", "passes_ms": ms, "training_ms": training}))' <<<"$found"
}

parity() {
    local log from=$EPOCHREALTIME status=0
    log=$(mktemp)
    # Nothing is compiled here, and estimates need no GPU.
    # shellcheck disable=SC2086 # a list of names
    bounded "${PARITY_LIMIT:-45}" "$parity" --test-threads=1 --skip mistakes --skip estimates ${PARITY-} >"$log" 2>&1 || status=$?
    [ "$status" = 0 ] || { failures=$((failures + 1)) && tail -30 "$log" >&2; }
    say parity "\"status\": $status, \"passed\": $(grep -c '^test .* ok$' "$log"), \"failed\": $(grep -c 'FAILED$' "$log"),
        \"seconds\": $(since "$from")" | tr -d '\n' && echo
    rm "$log"
}

since() { awk "BEGIN { printf \"%.3f\", $EPOCHREALTIME - $1 }"; }

# Whole runs here and on the CPU beside it; the second of two, as the first may compile.
runs() {
    local folder status from
    folder=$(mktemp -d)
    for job in "ellipses:1" "spine"; do
        for device in cuda:0 cuda:0 cpu auto; do
            from=$EPOCHREALTIME status=0
            bounded 20 "$gradus" reconstruct "$job" --quiet --json --device "$device" ${RUN_FLAGS-} -o "$folder/$((n += 1))" \
                >"$folder/out" 2>"$folder/log" || status=$?
            local whole
            whole=$(since "$from")
            [ "$status" -le 1 ] || { failures=$((failures + 1)) && tail -5 "$folder/log" >&2; }
            say run "\"job\": \"$job\", \"device\": \"$device\", \"status\": $status, \"seconds\": $whole,
                \"says\": $(tr -d '\n' <"$folder/out" | grep . || echo null)" | tr -d '\n' && echo
        done
    done
    rm -r "$folder"
}

sanitizers() {
    command -v compute-sanitizer >/dev/null || return 0
    for tool in memcheck racecheck initcheck synccheck; do
        local status=0
        bounded "${SANITIZER_LIMIT:-120}" compute-sanitizer --tool "$tool" --error-exitcode 66 "$parity" --test-threads=1 \
            --exact convolutions attentions packed_weights >/dev/null 2>&1 || status=$?
        [ "$status" != 66 ] || failures=$((failures + 1))
        say "$tool" "\"status\": $status"
    done
}

part() {
    case "$1" in
        clocks | start | old | parity | runs | sanitizers) "$1" ;;
        costs) lines costs 15 "$roofline" costs ;;
        passes) lines passes 45 "$roofline" passes ;;
        kernels) lines kernels 20 "$roofline" kernels ;;
        training) lines training 25 "$roofline" training ;;
        peer)
            python3 -c 'import torch, safetensors' 2>/dev/null || return 0
            lines peer 40 python3 "$benches/gpu_peer.py" "$weights"
            ;;
        *) echo "no such part: $1" >&2 && exit 2 ;;
    esac
}

command=${1:-run}
[ $# = 0 ] || shift
locate "$command"
case "$command" in
    pack)
        pack "$@"
        exit
        ;;
    stand-in)
        driver=stand-in
        export LD_LIBRARY_PATH="$stand_in${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        ;;
    run) ;;
    *) sed -n '2,14p' "$0" >&2 && exit 2 ;;
esac
export GRADUS_STAND_IN=none # whatever `libcuda.so.1` is found first, as by any other program
SECONDS=0 n=0
[ $# -gt 0 ] || set -- clocks start costs passes clocks parity old kernels runs training peer
for one in "$@"; do part "$one"; done
say end "\"driver\": \"$driver\", \"failures\": $failures, \"seconds\": $SECONDS"
exit $((failures > 0))

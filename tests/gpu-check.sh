#!/usr/bin/env bash
# Checks the CUDA backend on a machine with an NVIDIA driver: doctor, every parity test, compute-sanitizer where it is
# installed, and times of each kernel beside its roofline and of each pass beside the CPU. Writes one JSON object; the exit
# code is 0 when all passed.
#
#   tests/gpu-check.sh [RESULT.json]             in the repository, with Rust
#   tests/gpu-check.sh --pack FILE.tar.gz        makes an archive for machines without Rust: unpack it there and run
#                                                ./gpu-check.sh
#   tests/gpu-check.sh --stand-in [RESULT.json]  proves this script without a GPU, in the repository or from an archive: all
#                                                runs on the tests' stand-in driver, whose times say nothing
#
# SIDES="128 256 512" are the image sides that are timed. PARITY="FILTER..." runs only the parity tests with these names.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# The binaries: beside this script in an archive, built in the repository.
build() {
    cd "$here/.."
    cargo build --release --locked -p gradus --bin gradus --example cuda_roofline
    parity=$PWD/$(find_test parity)
    gradus=$PWD/target/release/gradus
    roofline=$PWD/target/release/examples/cuda_roofline
    stand_in=$PWD/target/cuda-stand-in/undefined-behaviour
}
find_test() {
    cargo test --release --locked --no-run --message-format=json -p gradus-tests --test "$1" |
        grep -o "\"executable\":\"[^\"]*/$1-[^\"]*\"" | tail -1 | cut -d '"' -f 4 | sed "s|^$PWD/||"
}
if [ -x "$here/gradus" ]; then
    gradus=$here/gradus roofline=$here/cuda_roofline parity=$here/parity stand_in=$here/stand-in
else
    caller=$PWD
    build
    # Its smallest check builds the stand-in, where that is out of date.
    case "${1-}" in --pack | --stand-in) "$parity" --exact packed_weights >/dev/null ;; esac
    cd "$caller"
fi

if [ "${1-}" = --pack ]; then
    folder=$(mktemp -d)
    trap 'rm -r "$folder"' EXIT
    mkdir -p "$folder/gradus-gpu-check/stand-in"
    cp "$gradus" "$folder/gradus-gpu-check/gradus"
    cp "$roofline" "$folder/gradus-gpu-check/cuda_roofline"
    cp "$parity" "$folder/gradus-gpu-check/parity"
    cp "$stand_in/libcuda.so.1" "$folder/gradus-gpu-check/stand-in/"
    cp "$here/gpu-check.sh" "$folder/gradus-gpu-check/"
    tar -czf "${2:?name the archive}" -C "$folder" gradus-gpu-check
    exit 0
fi

driver=machine
if [ "${1-}" = --stand-in ]; then
    shift
    driver=stand-in
    export LD_LIBRARY_PATH="$stand_in${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
result=${1:-gpu-check.json}
export GRADUS_STAND_IN=none # whatever `libcuda.so.1` is found first, as by any other program
log=$(mktemp)
trap 'rm "$log"' EXIT
failures=0

# Runs a check, and adds "name": "passed" or "failed" to the list.
checks=""
check() {
    local name=$1 verdict=passed
    shift
    "$@" >"$log" 2>&1 || { verdict=failed failures=$((failures + 1)) && tail -20 "$log" >&2; }
    echo "$name: $verdict" >&2
    checks="$checks${checks:+, }\"$name\": \"$verdict\""
}

doctor=$("$gradus" doctor --json) || failures=$((failures + 1))
grep -q '"name": *"cuda:0"' <<<"$doctor" || { echo "no GPU: $doctor" >&2 && exit 1; }
# shellcheck disable=SC2086 # a list of names
check parity "$parity" --test-threads=1 ${PARITY-}
if [ "$driver" = machine ] && command -v compute-sanitizer >/dev/null; then
    # Whole runs would take hours under a tool, and launch nothing that the other tests do not.
    for tool in memcheck racecheck initcheck synccheck; do
        check "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$parity" --test-threads=1 --skip runs --skip every_entry
    done
else
    echo "compute-sanitizer is not installed, or of no use: skipped" >&2
fi
# shellcheck disable=SC2086 # a list of numbers
times=$("$roofline" ${SIDES:-128 256 512}) || { failures=$((failures + 1)) times=null; }
printf '{"driver": "%s", "doctor": %s, "checks": {%s}, "failures": %d, "times": %s}\n' \
    "$driver" "$doctor" "$checks" "$failures" "$times" >"$result"
echo "$result: $failures failed" >&2
exit $((failures > 0))

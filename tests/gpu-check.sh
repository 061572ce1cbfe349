#!/usr/bin/env bash
# Checks the CUDA backend on a machine with an NVIDIA driver: doctor, every parity test, compute-sanitizer where it is
# installed, and times of each kernel beside the estimate and the CPU. Writes one JSON object; the exit code is 0 when all passed.
#
#   tests/gpu-check.sh [RESULT.json]        in the repository, with Rust
#   tests/gpu-check.sh --pack FILE.tar.gz   makes an archive for machines without Rust: unpack it there and run ./gpu-check.sh
#
# SIDES="128 256 512" are the image sides that are timed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# The binaries: beside this script in an archive, built in the repository.
build() {
    cd "$here/.."
    cargo build --release --locked -p gradus --bin gradus --example cuda_roofline
    parity=$(cargo test --release --locked --no-run --message-format=json -p gradus-tests --test parity |
        grep -o '"executable":"[^"]*/parity-[^"]*"' | tail -1 | cut -d '"' -f 4)
    gradus=target/release/gradus
    roofline=target/release/examples/cuda_roofline
}
if [ -x "$here/gradus" ]; then
    cd "$here"
    gradus=./gradus roofline=./cuda_roofline parity=./parity
else
    build
fi

if [ "${1-}" = --pack ]; then
    folder=$(mktemp -d)
    trap 'rm -r "$folder"' EXIT
    mkdir "$folder/gradus-gpu-check"
    cp "$gradus" "$folder/gradus-gpu-check/gradus"
    cp "$roofline" "$folder/gradus-gpu-check/cuda_roofline"
    cp "$parity" "$folder/gradus-gpu-check/parity"
    cp "$here/gpu-check.sh" "$folder/gradus-gpu-check/"
    tar -czf "${2:?name the archive}" -C "$folder" gradus-gpu-check
    exit 0
fi

result=${1:-gpu-check.json}
export GRADUS_STAND_IN=none # the machine's own driver
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
check parity "$parity" --test-threads=1
if command -v compute-sanitizer >/dev/null; then
    # Whole runs would take hours under a tool, and launch nothing that the other tests do not.
    for tool in memcheck racecheck initcheck synccheck; do
        check "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$parity" --test-threads=1 --skip runs --skip every_entry
    done
else
    echo "compute-sanitizer is not installed: skipped" >&2
fi
# shellcheck disable=SC2086 # a list of numbers
times=$("$roofline" ${SIDES:-128 256 512}) || { failures=$((failures + 1)) times=null; }
printf '{"doctor": %s, "checks": {%s}, "times": %s}\n' "$doctor" "$checks" "$times" >"$result"
echo "$result: $failures failed" >&2
exit $((failures > 0))

#!/usr/bin/env bash
# Lines of core and host that the tests run, and tests with arithmetic that stops at an overflow.
#
#   tests/coverage.sh [FOLDER]      builds everything anew in FOLDER (target/coverage)
#
# Prints the share of lines of core, host and its readers, tests apart, and the ten files with the least. The exit code is
# that of the tests. Needs llvm-cov and llvm-profdata of rustc's version of LLVM (Debian: llvm-22; or rustup component
# add llvm-tools), and Python.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${1:-target/coverage}")
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
tool() {
    command -v "llvm-$1-$version" || command -v "$tools/llvm-$1" ||
        { echo "llvm-$1 of LLVM $version is not there (Debian: llvm-$version)" >&2; return 1; }
}
cov=$(tool cov) profdata=$(tool profdata)

export CARGO_TARGET_DIR=$folder
export RUSTFLAGS="-C instrument-coverage -C overflow-checks=on"
# Threads that count in the same lines of the cache wait for each other.
export RAYON_NUM_THREADS=1
# Processes of one program add to one file; build scripts count, too.
export LLVM_PROFILE_FILE=$folder/%2m.profraw
tests=(--release --locked --workspace --lib --bins --tests)
mkdir -p "$folder"
cargo test "${tests[@]}" --no-run
mapfile -t programs < <(cargo test "${tests[@]}" --no-run --message-format=json 2>/dev/null |
    grep -o '"executable":"[^"]*"' | cut -d '"' -f 4)
programs+=("$folder/release/gradus")
# rustc counts by `lock inc` at each turn of a loop, which is slow. Without the prefix (a nop in its place) threads may
# lose each other's counts, but a count above nought stays above it, and that is all that is asked here.
python3 - "${programs[@]}" <<'END'
import os, sys

for path in sys.argv[1:]:
    with open(path, "r+b") as file:
        code, times = file.read(), os.stat(path)
        file.seek(0)
        file.write(code.replace(b"\xf0\x48\xff\x05", b"\x90\x48\xff\x05"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
END
rm -f "$folder"/*.profraw
cargo test "${tests[@]}" --no-fail-fast && code=0 || code=$?

objects=()
for program in "${programs[@]}"; do objects+=(--object "$program"); done
"$profdata" merge --sparse "$folder"/*.profraw -o "$folder/profile"
"$cov" export --format=lcov --instr-profile "$folder/profile" "${objects[@]}" 2>/dev/null >"$folder/lines"
python3 - "$folder/lines" <<'END'
import os, re, sys

runs = {}  # by file and line
for record in open(sys.argv[1]).read().split("end_of_record"):
    name = re.search(r"^SF:(.*)$", record, re.M)
    path = os.path.relpath(name[1]) if name else ""
    if re.match(r"(core|host)/src/", path) and not re.search(r"tests?(_support)?\.rs$|/tests/", path):
        code = open(path).read().split("\n#[cfg(test)]\nmod ")[0].count("\n") + 1
        lines = runs.setdefault(path, {})
        for line, count in re.findall(r"^DA:(\d+),(\d+)", record, re.M):
            if int(line) <= code:
                lines[int(line)] = max(lines.get(int(line), 0), int(count))

def share(paths):
    counts = [count for path in paths for count in runs[path].values()]
    run = sum(count > 0 for count in counts)
    return f"{100 * run / max(len(counts), 1):5.1f} % of {len(counts)} lines"

readers = r"host/src/(data|raw|read\.rs|unet/weights_file|train/(config|checkpoint|folder)|paper/tables/results)"
for name, which in [("core and host", ""), ("core", "core/"), ("host", "host/"), ("its readers", readers),
                    ("its command line", "host/src/cli/"), ("its CUDA backend", "host/src/backend/cuda/")]:
    print(f"{name:18}", share([path for path in runs if re.match(which, path)]))
print("least, of files with 20 lines or more:")
long = [path for path in runs if len(runs[path]) >= 20]
by_share = sorted(long, key=lambda path: sum(n > 0 for n in runs[path].values()) / len(runs[path]))
for path in by_share[:10]:
    print(f"  {share([path])}  {path}")
END
exit "$code"

#!/usr/bin/env bash
# Remakes ptx/ from the .cu files with pinned tools; with --check, compares instead and fails on any difference.
# The tools come from PyPI, once, into target/tools/nvcc. Needs Python 3 and g++, no GPU and no CUDA installation.
set -euo pipefail
cd "$(dirname "$0")"
tools="$PWD/../target/tools/nvcc"
[ -e "$tools/ready" ] || {
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 \
        nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
    touch "$tools/ready"
}
nvcc=$(echo "$tools"/lib/python3*/site-packages/nvidia/cu13/bin/nvcc)
target=ptx
if [ "${1-}" = --check ]; then
    target=$(mktemp -d)
    trap 'rm -r "$target"' EXIT
fi
for source in *.cu; do
    "$nvcc" -ptx -arch=compute_80 -std=c++17 -Werror all-warnings "$source" -o "$target/${source%.cu}.ptx"
    # nvcc names its own version of the instruction set; this one has all that is used, and older drivers take it.
    sed -i 's/^\.version 9\.0$/.version 8.4/' "$target/${source%.cu}.ptx"
done
[ "$target" = ptx ] || diff -rq "$target" ptx || {
    echo "ptx/ is not what the .cu files give: run cuda-kernels/make-ptx.sh" >&2
    exit 1
}

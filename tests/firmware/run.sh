#!/usr/bin/env bash
# Builds the firmware images, runs them in QEMU, and compares everything with this machine: what the docs claim.
#   tests/firmware/run.sh                   all checks
#   tests/firmware/run.sh same_bits         those of checks/tests/same_bits.rs
#   FIRMWARE_UPDATE=1 tests/firmware/run.sh image   remakes core/src/firmware_figures.md
# Needs cargo, and Debian's packages, which it installs by name. The compiler for the target is Debian's, with its
# sources: the same on every machine, whatever toolchain `cargo` comes from.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
out=${CARGO_TARGET_DIR:-$root/target}/firmware
target=thumbv7em-none-eabihf
fail() { printf 'firmware: %s\n' "$1" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
export DEBIAN_FRONTEND=noninteractive

# The figures are those of these versions.
compiler="rustc-web=1.96.0+dfsg1-1~deb12u2 rust-web-src=1.96.0+dfsg1-1~deb12u2 binutils-arm-none-eabi=2.40-2+18+b1"
libraries="libfdt1 libcapstone4 libpmem1 librdmacm1 libibverbs1 libslirp0 libvdeplug2"
qemu_packages="qemu-system-arm=1:7.2+dfsg-7+deb12u18+b3 qemu-system-common=1:7.2+dfsg-7+deb12u18+b3
    qemu-system-data=1:7.2+dfsg-7+deb12u18"

# is_installed NAME[=VERSION]
is_installed() {
    local found
    found=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "${1%%=*}" 2>/dev/null) || return 1
    case $1 in
    *=*) [ "$found" = "installed ${1#*=}" ] ;;
    *) [ "${found%% *}" = installed ] ;;
    esac
}

install_packages() {
    local package missing=""
    for package in $compiler $libraries; do is_installed "$package" || missing+=" $package"; done
    [ -z "$missing" ] && return
    command -v apt-get >/dev/null || fail "needs Debian's packages:$missing"
    as_root apt-get update -qq
    # shellcheck disable=SC2086
    as_root apt-get install -qq -y --no-install-recommends --allow-downgrades $missing >/dev/null ||
        fail "apt-get could not install$missing"
}

# Unpacked beside the build, not installed: the package would displace other parts of QEMU.
unpack_qemu() {
    qemu=$out/qemu/usr/bin/qemu-system-arm
    [ -x "$qemu" ] && return
    mkdir -p "$out/debs" && rm -f "$out"/debs/*.deb
    # shellcheck disable=SC2086
    (cd "$out/debs" && apt-get download -qq $qemu_packages) || fail "apt-get could not download $qemu_packages"
    for package in "$out"/debs/*.deb; do dpkg -x "$package" "$out/qemu"; done
}

# build FOLDER [OPTION ...]: all images, into a folder of their own.
build() {
    local folder=$1
    shift
    env -u RUSTFLAGS RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$out/image" DEFMT_LOG=info \
        CARGO_TARGET_THUMBV7EM_NONE_EABIHF_LINKER=arm-none-eabi-ld \
        CARGO_TARGET_THUMBV7EM_NONE_EABIHF_RUSTFLAGS="-C linker-flavor=ld -D warnings" \
        cargo build -q -Zbuild-std=core --release --locked --target $target -p firmware-image "$@"
    rm -rf "${out:?}/$folder" && mkdir -p "$out/$folder"
    find "$out/image/$target/release" -maxdepth 1 -type f -executable -exec cp {} "$out/$folder" \;
}

install_packages
unpack_qemu
/usr/bin/rustc --version
"$qemu" --version | head -n 1
build plain
build defmt --features defmt
export FIRMWARE_IMAGES=$out/plain FIRMWARE_DEFMT_IMAGES=$out/defmt
export FIRMWARE_QEMU=$qemu FIRMWARE_QEMU_DATA=$out/qemu/usr/share/qemu
export CARGO_TARGET_DIR=$out/host
if [ $# -gt 0 ]; then
    cargo test --locked -p firmware-checks --test "$1" -- --nocapture --test-threads 1
    exit
fi
cargo fmt --all --check
cargo clippy -q --locked -p firmware-problem -p firmware-checks --all-targets -- -D warnings
cargo test --locked -p firmware-problem -p firmware-checks -- --nocapture --test-threads 1
# What only the features of the core compile.
cd "$root"
cargo clippy -q --release --locked -p gradus-core --features defmt,micromath --all-targets -- -D warnings
cargo test --release --locked -p gradus-core --features micromath --lib preview

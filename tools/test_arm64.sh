#!/usr/bin/env bash
# Builds for arm64 with a cross-compiler into build/arm64, and runs the unit tests and the simulator under qemu-user. Libraries are unpacked
# into build/arm64-root. Ubuntu keeps its arm64 packages on another mirror: give its address as MIRROR=URI.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/apt.sh

root=build/arm64-root
state=build/arm64-apt

fail() {
    echo "tools/test_arm64.sh: $*" >&2
    exit 1
}

# Unpacks the libraries again only if the list of packages has changed. The DPDK engine is not built for arm64 here.
unpack_libraries() {
    local packages
    packages=$(tools/deps.sh --list build | grep -vE '^(gcc|libdpdk-dev|pkg-config)$'; echo libcmocka-dev)
    [ "$packages" != "$(cat "$root/packages" 2>/dev/null)" ] || return 0
    rm -rf "$root" "$state"
    apt_prepare "$state" arm64 "$(. /etc/os-release && echo "$VERSION_CODENAME")" || fail "cannot read the lists of packages for arm64"
    # shellcheck disable=SC2086  # one word per package
    apt_unpack "$state" "$root" $packages || fail "cannot unpack the libraries"
    rm -rf "$state"
    echo "$packages" >"$root/packages"
}

[ "$(uname -m)" != aarch64 ] || fail "this machine is arm64 itself: make test"
unpack_libraries
make --no-print-directory -j"$(nproc)" all tests VARIANT=arm64
exec tests/run.py --only arm64 --seeds "${SEEDS:-300}"

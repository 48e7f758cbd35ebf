#!/usr/bin/env bash
# Runs `make test` on a copy of HEAD in a system that has nothing but git and make: debootstrap's smallest system of release $1, in
# build/bare/$1 or in folder $2. Needs root. The mirror is the one that apt is configured with, or MIRROR=URI (with KEYRING=FILE if another
# distribution's keys sign it).
#
# The script runs in mount and process namespaces of its own, so that it leaves no mount and no process behind, however it ends.
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$self")/.."
. tools/apt.sh

release=${1:-}
top=${2:-build/bare/$release}
root=$top/root

fail() {
    echo "tools/test_bare.sh: $*" >&2
    exit 1
}

# Makes the system, unless an earlier run has made it.
bootstrap() {
    local uri keyring
    [ ! -e "$top/bootstrapped" ] || return 0
    rm -rf "$root"
    mkdir -p "$root"
    uri=$(sources_of_release "$release" | awk -v release="$release" '$2 == release { print $1; exit }')
    [ -n "$uri" ] || fail "no mirror is known: run apt-get update first, or give MIRROR=URI"
    keyring=${KEYRING:-/usr/share/keyrings/$(. /etc/os-release && echo "$ID")-archive-keyring.gpg}
    debootstrap --variant=minbase --include=ca-certificates,git,make --keyring="$keyring" "$release" "$root" "$uri" ||
        fail "debootstrap failed (above, and $root/debootstrap/debootstrap.log)"
    sources_of_release "$release" | sed 's/^/deb /' >"$root/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::https?::Proxy ' >"$root/etc/apt/apt.conf.d/90proxy" || true
    touch "$top/bootstrapped"
}

# Copies HEAD, without its history, in place of an earlier run's copy.
copy_tree() {
    rm -rf "$root/flashrelay"
    mkdir "$root/flashrelay"
    git archive HEAD | tar -x -C "$root/flashrelay"
}

run_tests() {
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    # The system becomes the root of the mount namespace: tests that make namespaces of their own would leave a chroot.
    mkdir -p "$root/machine"
    cd "$root"
    pivot_root . machine
    exec chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        sh -c 'umount -l /machine && cd /flashrelay && exec make test'
}

[ -n "$release" ] || fail "expected a release, as in bookworm"
[ "$(id -u)" -eq 0 ] || fail "a chroot needs root"
if [ "${IN_NAMESPACES:-}" != yes ]; then
    IN_NAMESPACES=yes exec unshare --mount --propagation private --pid --fork --kill-child -- setsid --wait "$self" "$@"
fi
# This shell is the first process of its namespace: when it ends, the kernel ends all others there.
trap 'exit 1' TERM INT HUP
{
    bootstrap
    copy_tree
    run_tests
} &
wait $!

#!/usr/bin/env bash
# Installs the packages that are missing. Usage: tools/deps.sh SET... with the sets build, test, lint and bench, and arm64, kernel and bare,
# which the tests in other systems need. tools/deps.sh --list SET... lists the packages instead.
set -euo pipefail

build=(gcc libc6-dev libbrotli-dev libdpdk-dev libjansson-dev libjemalloc-dev libmicrohttpd-dev libssl-dev liburing-dev libxxhash-dev pkg-config)
bench=(g++ libbenchmark-dev python3)
lint=(clang-format clang-tidy cppcheck)
# netbase writes /etc/hosts if there is none: a minimal system cannot resolve localhost without it.
test=(clang iproute2 libcmocka-dev llvm netbase openssl python3 python3-pytest python3-websockets)
arm64=(gcc-aarch64-linux-gnu qemu-user)
kernel=(busybox-static cpio kmod qemu-system-x86 xz-utils zstd)
bare=(debootstrap)
sets="build, test, lint, bench, arm64, kernel or bare"

fail() {
    echo "tools/deps.sh: $*" >&2
    exit 1
}

# The run-time libraries of the fuzzers carry the version of the distribution's clang in their name.
add_clang_runtime() {
    local id version
    id=$(. /etc/os-release && echo "${ID:-}")
    version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    case $id-$version in
    debian-12) test+=(libclang-rt-14-dev) ;;
    debian-13) test+=(libclang-rt-19-dev) ;;
    ubuntu-24.04) test+=(libclang-rt-18-dev) ;;
    *) test+=(libclang-rt-dev) ;;
    esac
}

wanted() {
    local set
    for set in "$@"; do
        case $set in
        build) printf '%s\n' "${build[@]}" ;;
        bench) printf '%s\n' "${bench[@]}" ;;
        lint) printf '%s\n' "${lint[@]}" ;;
        test) printf '%s\n' "${test[@]}" ;;
        arm64) printf '%s\n' "${arm64[@]}" ;;
        kernel) printf '%s\n' "${kernel[@]}" ;;
        bare) printf '%s\n' "${bare[@]}" ;;
        *) fail "unknown set '$set', expected $sets" ;;
        esac
    done
}

# The wanted packages that are not installed.
missing() {
    comm -23 <(wanted "$@" | sort -u) \
        <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p' | sort -u)
}

main() {
    local list=
    [ "${1:-}" != --list ] || { list=yes && shift; }
    [ $# -gt 0 ] || fail "expected one or more of $sets"
    add_clang_runtime
    wanted "$@" >/dev/null
    [ -z "$list" ] || { wanted "$@" | sort -u && return; }
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "tools/deps.sh: no apt here, so nothing is checked; needed are what Debian calls: $(wanted "$@" | tr '\n' ' ')" >&2
        return
    fi

    local packages as_root=() answer=()
    # The packages of the emulators recommend desktop packages, which are not needed.
    case " $* " in *" arm64 "* | *" kernel "* | *" bare "*) answer=(--no-install-recommends) ;; esac
    mapfile -t packages < <(missing "$@")
    [ ${#packages[@]} -gt 0 ] || return 0
    echo "missing packages: ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "installing them needs root or sudo; as root: apt-get install ${packages[*]}"
        as_root=(sudo)
    fi
    # On a terminal apt asks before it installs. Where nobody can answer, having run this script is taken as consent.
    if [ ! -t 0 ] || [ -n "${CI:-}" ] || [ "${DEBIAN_FRONTEND:-}" = noninteractive ]; then
        answer+=(-y)
        as_root+=(env DEBIAN_FRONTEND=noninteractive)
    fi
    "${as_root[@]}" apt-get update || fail "apt-get update failed (above)"
    "${as_root[@]}" apt-get install "${answer[@]}" "${packages[@]}" || fail "could not install: ${packages[*]}"
}

main "$@"

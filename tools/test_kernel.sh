#!/usr/bin/env bash
# Runs the core of the end-to-end tests and the io_uring engine's unit tests under another kernel, in QEMU.
#
#   tools/test_kernel.sh 6.1                    the newest package of that series: bookworm's (6.1), trixie's (6.12), or of this system
#   tools/test_kernel.sh .../boot/vmlinuz-...   a kernel with its modules in .../lib/modules
#
# The guest sees this machine's files read-only (9p), so programs run there with the libraries that they were built with. Without KVM the
# guest is slow. MIRROR=URI and RELEASE=NAME say where to look for a package instead; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/apt.sh

state=build/kernel
console=$state/console.log
modules=(virtio_pci 9pnet_virtio 9p virtio_rng)

fail() {
    echo "tools/test_kernel.sh: $*" >&2
    exit 1
}

release_of_series() {
    case $1 in
    6.1 | 6.1.*) echo bookworm ;;
    6.12 | 6.12.*) echo trixie ;;
    *) (. /etc/os-release && echo "$VERSION_CODENAME") ;;
    esac
}

# Unpacks the newest kernel of series $1; sets `kernel`. Cloud kernels have no 9p.
unpack_kernel() {
    local folder=$state/$1 package
    kernel=$(compgen -G "$folder/boot/vmlinuz-*") && return
    rm -rf "$folder"
    apt_prepare "$folder/apt" amd64 "${RELEASE:-$(release_of_series "$1")}" || fail "cannot read the lists of packages"
    package=$(APT_CONFIG=$folder/apt/apt.conf apt-cache search --names-only "^linux-image-${1//./\\.}[.-].*-(amd64|generic)$" |
        cut -d ' ' -f 1 | grep -vE -e '-(cloud|rt)-|dbg' | sort -V | tail -1)
    [ -n "$package" ] || fail "no package of a kernel $1 for amd64; MIRROR and RELEASE say where to look"
    echo "kernel: $package"
    (cd "$folder" && apt_in "$PWD/apt" download "$package" "${package/-image-/-modules-}" 2>/dev/null) ||
        (cd "$folder" && apt_in "$PWD/apt" download "$package")
    for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder"; done
    rm -rf "$folder"/apt "$folder"/*.deb
    kernel=$(compgen -G "$folder/boot/vmlinuz-*") || fail "no boot/vmlinuz in the package"
}

# Copies the modules that the guest needs to mount this machine's files: decompressed, with names in the order in which they are loaded.
copy_modules() {
    local top version=${kernel##*/vmlinuz-} number=10 file to
    top=$(dirname "$(dirname "$kernel")")
    [ -d "$top/lib/modules/$version" ] || top=$top/usr
    [ -d "$top/lib/modules/$version" ] || fail "$kernel: expected its modules in $(dirname "$(dirname "$kernel")")/lib/modules/$version"
    [ -f "$top/lib/modules/$version/modules.dep" ] || depmod -b "$top" "$version"
    mkdir "$state/initramfs/modules"
    for file in "${modules[@]}"; do modprobe -d "$top" -S "$version" --show-depends "$file"; done |
        sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
        to=$state/initramfs/modules/$((number++))-$(basename "$file")
        case $file in
        *.xz) xz -dc "$file" >"${to%.xz}" ;;
        *.zst) zstd -dcq "$file" >"${to%.zst}" ;;
        *) cp "$file" "$to" ;;
        esac
    done
}

# Writes the guest's init: it mounts this machine's files, runs the tests and prints their exit status.
write_init() {
    cat >"$state/initramfs/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module" || echo "cannot load $module"; done
options=ro,trans=virtio,version=9p2000.L,cache=loose,msize=512000
mount -t 9p -o $options machine /machine && mount -t 9p -o $options tree /machine/mnt || poweroff -f
for folder in tmp run var/tmp mnt/build/test-logs; do mount -t tmpfs tmpfs /machine/$folder; done
for folder in proc sys dev; do mount -o move /$folder /machine/$folder; done
mkdir -p /machine/dev/pts /machine/dev/shm
mount -t devpts devpts /machine/dev/pts
mount -t tmpfs tmpfs /machine/dev/shm
mount -t cgroup2 cgroup2 /machine/sys/fs/cgroup
echo "+memory +cpu" >/machine/sys/fs/cgroup/cgroup.subtree_control
ifconfig lo 127.0.0.1 up
chroot /machine /bin/sh -c 'cd /mnt && ulimit -n 65536 && uname -r && PATH=/usr/sbin:/usr/bin:/sbin:/bin tests/run.py --only kernel'
echo "the tests ended with $?"
poweroff -f
END
    chmod +x "$state/initramfs/init"
}

make_initramfs() {
    rm -rf "$state/initramfs"
    mkdir -p "$state"/initramfs/{bin,proc,sys,dev,machine}
    cp "$(command -v busybox)" "$state/initramfs/bin/busybox"
    copy_modules
    write_init
    (cd "$state/initramfs" && find . | cpio --quiet -o -H newc | gzip -1) >"$state/initramfs.gz"
    rm -rf "$state/initramfs"
}

boot() {
    local accelerator=(-accel "tcg,thread=multi" -cpu max)
    # /dev/kvm may exist although the processor has no virtualisation.
    if [ -w /dev/kvm ] && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo; then accelerator=(-accel kvm -cpu host); fi
    mkdir -p build/test-logs
    qemu-system-x86_64 "${accelerator[@]}" -smp 2 -m 3G -nodefaults -no-reboot -display none -serial stdio -device virtio-rng-pci \
        -kernel "$kernel" -initrd "$state/initramfs.gz" -append "console=ttyS0 loglevel=5 panic=-1 oops=panic" \
        -virtfs local,path=/,mount_tag=machine,security_model=none,readonly=on,multidevs=remap \
        -virtfs "local,path=$PWD,mount_tag=tree,security_model=none,readonly=on,multidevs=remap" </dev/null |
        sed -u 's/\r$//' | tee "$console"
}

[ $# -eq 1 ] || fail "expected a series of kernels, as in 6.1, or the path of a vmlinuz"
[ "$(uname -m)" = x86_64 ] || fail "expected a machine with x86-64"
mkdir -p "$state"
if [ -f "$1" ]; then kernel=$(realpath "$1"); else unpack_kernel "$1"; fi
make_initramfs
boot
grep -q '^the tests ended with 0$' "$console" || fail "failed under $(basename "$kernel"); the guest's console is in $console"

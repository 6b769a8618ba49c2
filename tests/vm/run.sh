#!/bin/bash
# Boots a small virtual machine with a pure cgroup v2 hierarchy and runs tests in it as root.
#
#   tests/vm/run.sh [--systemd | --selinux] [--kernel WORDS] [--cases DIR] [--add DIR] [--rust FILE]... BINARY [FILTER]
#   tests/vm/run.sh --selftest
#
#   BINARY       the static pinfold under test; /bin/pinfold in the guest, and also under its own path
#   FILTER       only the tests whose name contains this text
#   --systemd    a guest that systemd brings up, from the disk that tests/setup.sh makes; tests/vm/systemd/cases
#   --selinux    a guest where SELinux is in force, with the policy of tests/vm/selinux; its cases
#   --kernel W   further words of the kernel's command line
#   --cases DIR  the test scripts (tests/vm/cases)
#   --add DIR    a folder laid over the guest's root, as fixtures or to try another runtime
#   --rust FILE  a test binary of `cargo test`: each of its #[ignore] tests runs here too
#   --selftest   proves that the harness reports failures, time-outs, leftovers and a guest that dies
#
# Exit code 0 only if at least one test ran, every test that was put into the guest reported, and none failed.
# tests/vm/README.md says how to write a test.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
vm=${CARGO_TARGET_DIR:-$repo/target}/vm
# Modules that tests use; what they depend on is found in the modules themselves.
modules=(overlay brd)
# The other guest's disk, and what podman's networks need.
disk_modules=(virtio_blk)
# The whole machine's time limit in seconds: a guest that hangs must not hang the caller.
deadline=${VM_DEADLINE:-900}

die() {
    echo "vm: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 125
}

kernel_release() {
    basename "$vm"/kernel/lib/modules/*
}

# A module after all that it depends on, one path per line.
module_closure() {
    local name=$1 file dependency
    file=$(find "$vm/kernel/lib/modules" -name "$name.ko.xz" | head -1)
    # What has no file is built into the kernel.
    [ -n "$file" ] || return 0
    for dependency in $(xz -dc "$file" | tr '\0' '\n' | sed -n 's/^depends=//p' | tr ',' ' '); do
        module_closure "$dependency"
    done
    echo "$file"
}

add_modules() {
    local root=$1 name file
    mkdir -p "$root/usr/lib/modules"
    [ -z "$systemd" ] || modules+=("${disk_modules[@]}")
    for name in "${modules[@]}"; do
        [ -n "$(module_closure "$name")" ] || die "the VM's kernel has no module $name"
        for file in $(module_closure "$name"); do
            ! grep -qxF "$(basename "$file" .xz)" "$root/usr/lib/modules/order" 2>/dev/null || continue
            xz -dc "$file" >"$root/usr/lib/modules/$(basename "$file" .xz)"
            basename "$file" .xz >>"$root/usr/lib/modules/order"
        done
    done
}

# A program with the libraries it needs, each under the path where the loader looks for it.
add_program() {
    local root=$1 program=$2 library
    install -D "$program" "$root/usr/bin/$(basename "$program")"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
        install -D "$library" "$root/usr${library#/usr}"
    done
}

# For the other guest: enough to find the disk, and what is laid over the disk.
add_first_stage() {
    local root=$1
    mkdir -p "$root"/usr/{bin,lib} "$root"/{dev,disk,payload/usr/bin,payload/usr/lib/vm,payload/tests}
    ln -s usr/bin usr/lib "$root/"
    install "$(command -v busybox)" "$root/usr/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/usr/bin/$applet"
    done
    install "$here/systemd/init" "$root/init"
    install -D -m 0644 -t "$root/payload/etc/systemd/system" "$here/systemd"/*.{target,service}
    install -D -m 0644 -t "$root/payload/etc/pam.d" "$here/systemd"/pam.d/*
    install "$here/guest/run-tests" "$root/payload/usr/lib/vm/run-tests"
    install -m 0644 "$here/guest/case.sh" "$root/payload/usr/lib/vm/case.sh"
}

add_userland() {
    local root=$1 directory applet
    mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{dev,proc,sys,run,tmp,root,etc,tests,var/lib}
    for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$root/$directory"; done
    install "$(command -v busybox)" "$root/usr/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/usr/bin/$applet"
    done
    add_program "$root" "$(command -v jq)"
    cp "$here"/guest/{passwd,group,inittab} "$root/etc/"
    install "$here/guest/init" "$root/init"
    install -D "$here/guest/run-tests" "$root/usr/lib/vm/run-tests"
    install -m 0644 "$here/guest/case.sh" "$root/usr/lib/vm/case.sh"
}

# The policy that the cases load, which no init does here.
add_selinux_policy() {
    secilc -c 33 -o "$1/usr/lib/vm/policy" -f /dev/null "$here/selinux/policy.cil"
}

# The product, also under its path on this machine: cargo's tests have that compiled in.
add_product() {
    local root=$1 binary=$2
    install "$binary" "$root/usr/bin/pinfold"
    mkdir -p "$root/$(dirname "$binary")"
    [ -e "$root/$binary" ] || ln -s /usr/bin/pinfold "$root/$binary"
}

add_cases() {
    local root=$1 directory=$2 filter=$3 case
    for case in "$directory"/*.sh; do
        case $(basename "$case") in
        *"$filter"*) install "$case" "$root/tests/$(basename "$case" .sh)" ;;
        esac
    done
}

# One guest test per ignored test of a cargo test binary.
add_rust_tests() {
    local root=$1 file=$2 filter=$3 crate name script
    # cargo appends a hash to the name.
    crate=$(basename "$file" | sed 's/-[0-9a-f]\{16\}$//')
    for name in $("$file" --list --ignored --format terse | sed -n 's/: test$//p'); do
        case $crate::$name in *"$filter"*) ;; *) continue ;; esac
        [ -e "$root/usr/lib/vm/$crate" ] || strip -o "$root/usr/lib/vm/$crate" "$file"
        script=$root/tests/$crate::$name
        printf '#!/bin/sh\n. /lib/vm/case.sh\nrust_test /lib/vm/%s %s\n' "$crate" "$name" >"$script"
        chmod 755 "$script"
    done
}

# Plain emulation: it works everywhere and is the same everywhere. The machine dies with this script,
# even when that is killed. Without cx16, because the emulated cmpxchg16b of QEMU 7.2 spoils the flags,
# and the kernel's slab allocator, which uses it, corrupts its lists within seconds.
boot() {
    setpriv --pdeathsig KILL timeout -k 5 "$deadline" setpriv --pdeathsig KILL qemu-system-x86_64 \
        -accel tcg,thread=single -cpu max,-cx16 -m 1024 -smp 2 \
        -nodefaults -no-user-config -display none -no-reboot \
        -chardev "stdio,id=console,signal=off,logfile=$work/console" -serial chardev:console \
        "${disk[@]}" \
        -kernel "$vm/kernel/boot/vmlinuz-$(kernel_release)" -initrd "$1" \
        -append "console=ttyS0 quiet loglevel=3 panic=-1 oops=panic rdinit=/init $words" </dev/null &
    machine=$!
    wait "$machine"
}

# Judges the console's text: the guest's own summary must agree with what was put in and what came out.
judge() {
    local console=$1 expected=$2 summary passed failed skipped
    summary=$(grep -E '^vm: [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$console" || true)
    [ -n "$summary" ] || die "the guest ended without a summary (its console: $console)"
    passed=$(grep -c '^ok ' "$console" || true)
    failed=$(grep -c '^not ok ' "$console" || true)
    skipped=$(grep -c '^skip ' "$console" || true)
    [ "$summary" = "vm: $passed passed, $failed failed, $skipped skipped" ] || die "the lines and the summary disagree"
    [ "$((passed + failed + skipped))" = "$expected" ] || die "$expected tests were given, $((passed + failed + skipped)) reported"
    [ "$failed" = 0 ]
}

cases=
systemd=
selinux=
words=
disk=()
rust_tests=()
added=
while [ $# -gt 0 ]; do
    case $1 in
    --systemd) systemd=yes && shift ;;
    --selinux) selinux=yes && words="security=selinux $words" && shift ;;
    --kernel) words="$words ${2:?--kernel needs words}" && shift 2 ;;
    --cases) cases=${2:?--cases needs a folder} && shift 2 ;;
    --add) added=${2:?--add needs a folder} && shift 2 ;;
    --rust) rust_tests+=("${2:?--rust needs a file}") && shift 2 ;;
    --selftest) exec "$here/selftest.sh" ;;
    -*) usage ;;
    *) break ;;
    esac
done
[ $# = 1 ] || [ $# = 2 ] || usage
binary=$(realpath "$1")
filter=${2:-}
[ -x "$binary" ] || die "no program: $1"
: "${cases:=$here/${systemd:+systemd/}${selinux:+selinux/}cases}"
[ -d "$vm/kernel" ] || die "no kernel: run tests/setup.sh"

work=$(mktemp -d "$vm/run.XXXXXX")
machine=
trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
add_modules "$work/root"
# Where the tests look for things: in the initramfs, or on the disk that it is laid over.
root=$work/root
if [ -n "$systemd" ]; then
    [ -f "$vm/guest.img" ] || die "no disk: run tests/setup.sh"
    # What the guest writes goes into a file of QEMU's own.
    disk=(-drive "file=$vm/guest.img,format=raw,if=virtio,snapshot=on")
    words="systemd.unit=vm.target systemd.show_status=0 TERM=dumb systemd.log_target=kmsg $words"
    add_first_stage "$root"
    root=$root/payload
else
    add_userland "$root"
fi
[ -z "$selinux" ] || add_selinux_policy "$root"
[ -z "$added" ] || cp -a "$added/." "$root/"
add_product "$root" "$binary"
add_cases "$root" "$cases" "$filter"
for file in "${rust_tests[@]}"; do add_rust_tests "$root" "$file" "$filter"; done
expected=$(find "$root/tests" -type f | wc -l)
[ "$expected" -gt 0 ] || die "no tests match '$filter'"
(cd "$work/root" && find . | cpio --quiet -o -H newc --owner 0:0) >"$work/initramfs"

code=0
boot "$work/initramfs" || code=$?
tr -d '\r' <"$work/console" >"$vm/console.log"
[ "$code" = 0 ] || die "the machine did not end by itself, code $code (its console: $vm/console.log)"
judge "$vm/console.log" "$expected"

#!/bin/bash
# Compares the unpacking of one layer with umoci's and GNU tar's: wall, CPU, peak memory. It reports; it
# never judges a time.
#
#   benches/unpack.sh PROGRAM [SIZE_MB...]
#   PINFOLD=BINARY benches/unpack.sh PROGRAM [SIZE_MB...]    and the runs of `sandbox --image` with it
#
# PROGRAM is the test program `unpack` (cargo test --profile release-fast --test unpack --no-run), which is
# the library around a command line. The layer is made of Debian's own files (target/peers/images), as often
# as it takes to reach the size. Everything happens below one temporary directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}
die() {
    echo "bench: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || die "needs root"
[ $# -ge 1 ] && [ -x "$1" ] || die "usage: benches/unpack.sh PROGRAM [SIZE_MB...]"
program=$(realpath "$1")
tools=$(realpath -e "$target/peers/images") || die "no umoci: run tests/setup.sh peers"
shift
[ $# -gt 0 ] || set -- 100 1000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# measure NAME COMMAND...: the command's own children count, too.
measure() {
    local name=$1
    shift
    sync
    python3 - "$name" "$@" <<'PY'
import os, resource, subprocess, sys, time
start = time.monotonic()
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)
wall = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"  {sys.argv[1]:<22} wall {wall:7.2f} s   CPU {used.ru_utime + used.ru_stime:7.2f} s   peak {used.ru_maxrss / 1024:7.0f} MiB")
PY
}

in_tools() {
    unshare --mount --propagation private sh -euc \
        "mount --bind $work $tools/mnt && mount -t proc proc $tools/proc && exec chroot $tools sh -euc '$1'"
}
export -f in_tools
export work tools

# The same image from a layout: brought in, unpacked and run; unpacked and run; run.
runs() {
    [ -n "${PINFOLD:-}" ] || return 0
    local run=("$PINFOLD" --store "$work/store" sandbox --image)
    measure "sandbox, from layout" "${run[@]}" "oci:$work/oci" -- /busybox true
    rm -rf "$work/store"
    "$PINFOLD" --store "$work/store" image import --no-unpack --name bench "oci:$work/oci" >/dev/null
    measure "sandbox, first run" "${run[@]}" bench -- /busybox true
    measure "sandbox, 20 warm runs" bash -c 'for run in $(seq 20); do "$@" || exit; done' run "${run[@]}" bench -- /busybox true
    rm -rf "$work/store"
}

for size in "$@"; do
    rm -rf "$work"/*
    mkdir "$work/source"
    copy=0
    while [ "$(du -sm "$work/source" | cut -f1)" -lt "$size" ]; do
        copy=$((copy + 1))
        mkdir "$work/source/$copy"
        for folder in usr etc; do cp -a "$tools/$folder" "$work/source/$copy/"; done
    done
    cp /usr/bin/busybox "$work/source/busybox"
    tar --format=posix --numeric-owner -C "$work/source" -cf "$work/layer.tar" .
    echo "$size MB: $(stat -c %s "$work/layer.tar") bytes, $(find "$work/source" | wc -l) files"
    rm -rf "$work/source"
    gzip -6 -k "$work/layer.tar"
    zstd -q -3 -k "$work/layer.tar" 2>/dev/null || in_tools "zstd -q -3 -k /mnt/layer.tar"
    in_tools "umoci init --layout /mnt/oci && umoci new --image /mnt/oci:t && umoci raw add-layer --image /mnt/oci:t /mnt/layer.tar" >/dev/null
    for kind in gzip zstd; do
        suffix=$([ $kind = gzip ] && echo gz || echo zst)
        mkdir "$work/ours"
        measure "pinfold, $kind" "$program" --bench "$work/layer.tar.$suffix" $kind "$work/ours"
        rm -rf "$work/ours"
    done
    measure "umoci, gzip" bash -c 'in_tools "umoci unpack --image /mnt/oci:t /mnt/umoci"'
    rm -rf "$work/umoci"
    mkdir "$work/tar"
    measure "GNU tar, gzip" tar -xpzf "$work/layer.tar.gz" --numeric-owner -C "$work/tar"
    rm -rf "$work/tar"
    runs
    measure "skopeo copy, gzip" bash -c 'in_tools "skopeo copy -q --insecure-policy oci:/mnt/oci:t oci:/mnt/copied:t"'
done

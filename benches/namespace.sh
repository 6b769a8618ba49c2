#!/bin/bash
# The part of run.sh inside a private mount namespace: BENCH_ROOT becomes the tree that the driver
# pivots into, BENCH_CGROUP the root of its cgroup namespace.
set -euo pipefail

die() {
    echo "bench: $*" >&2
    exit 1
}

# The tree: sid's files, busybox for the containers, pinfold, and the floor.
build_tree() {
    local peers=$1 binary=$2 applet
    mount -t tmpfs -o mode=755 bench "$BENCH_ROOT"
    cp -a "$peers/." "$BENCH_ROOT/"
    cd "$BENCH_ROOT"
    mkdir -p proc sys dev run tmp etc opt {bundle,sleeping}/rootfs/{bin,proc,sys,dev,tmp}
    install "$binary" opt/pinfold
    install "$BENCH_FLOOR" opt/floor
    install "$BENCH_STEPS" opt/steps
    for applet in usr/bin {bundle,sleeping}/rootfs/bin; do
        install "$(command -v busybox)" "$applet/busybox"
        ln -s busybox "$applet/true"
        ln -s busybox "$applet/sleep"
    done
    cp /etc/passwd /etc/group etc/
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount --rbind /dev dev
}

# From the machine's own cgroup into one that is the root of a new cgroup namespace, and there into a
# leaf: crun waits for a second when a process sits in the root.
enter_cgroup() {
    mount -t cgroup2 cgroup2 "$BENCH_ROOT"
    mkdir "$BENCH_ROOT/$BENCH_CGROUP"
    echo $$ >"$BENCH_ROOT/$BENCH_CGROUP/cgroup.procs"
    umount "$BENCH_ROOT"
}

remove_cgroup() {
    mount -t cgroup2 cgroup2 "$BENCH_ROOT"
    [ -d "$BENCH_ROOT/$BENCH_CGROUP" ] || return 0
    echo 1 >"$BENCH_ROOT/$BENCH_CGROUP/cgroup.kill"
    sleep 0.2
    find "$BENCH_ROOT/$BENCH_CGROUP" -depth -type d -exec rmdir {} \;
}

mount --make-rprivate /
verb=$1
shift
case $verb in
measure)
    enter_cgroup
    exec unshare --cgroup "$0" inside "$@"
    ;;
inside)
    driver=$1
    build_tree "$2" "$3"
    mount -t cgroup2 cgroup2 "$BENCH_ROOT/sys/fs/cgroup"
    mkdir "$BENCH_ROOT/sys/fs/cgroup/driver"
    echo $$ >"$BENCH_ROOT/sys/fs/cgroup/driver/cgroup.procs"
    exec python3 "$driver" "$BENCH_ROOT" "${@:4}"
    ;;
remove) remove_cgroup ;;
*) die "not for calling by hand; benches/run.sh is" ;;
esac

#!/bin/bash
# Runs a command as root in the tree of the clients (tests/setup.sh clients), away from the machine:
#
#   tests/clients/enter.sh BINARY v2|v1 FOLDER COMMAND...
#
#   BINARY   is /usr/bin/pinfold there
#   v2, v1   a pure cgroup2 mount, or one mount for each v1 hierarchy and cgroup2 at unified
#   FOLDER   is /results there; tests is /tests
#
# Everything is in namespaces of its own (mount, pid, network, ipc, uts, cgroup): what the command
# starts ends with it, and it sees no cgroup but those below one made for it, which is removed in the
# end. The tree is the lower layer of an overlay in memory, so that nothing is written into it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}

die() {
    echo "enter: $*" >&2
    exit 1
}

# Every hierarchy's mount point and this process's own cgroup in it.
own_cgroups() {
    local number controllers path controller
    while IFS=: read -r number controllers path; do
        controller=${controllers#name=}
        if [ -z "$controllers" ]; then
            for controller in /sys/fs/cgroup/unified /sys/fs/cgroup; do
                [ -e "$controller/cgroup.procs" ] && break
            done
            echo "$controller${path%/}"
        else
            echo "/sys/fs/cgroup/$controller${path%/}"
        fi
    done </proc/self/cgroup
}

enter_cgroups() {
    local directory
    for directory in $(own_cgroups); do
        mkdir "$directory/$CLIENTS_CGROUP"
        if [ -e "$directory/$CLIENTS_CGROUP/cpuset.cpus" ]; then
            cat "$directory/cpuset.cpus" >"$directory/$CLIENTS_CGROUP/cpuset.cpus"
            cat "$directory/cpuset.mems" >"$directory/$CLIENTS_CGROUP/cpuset.mems"
            echo 1 >"$directory/$CLIENTS_CGROUP/cgroup.clone_children"
        fi
        echo $$ >"$directory/$CLIENTS_CGROUP/cgroup.procs"
    done
}

# With cgroup2 the root must be free of processes before it hands out controllers, and crun waits for a
# second when one sits in it.
enter_leaf() {
    mount -t cgroup2 cgroup2 "$CLIENTS_ROOT"
    mkdir "$CLIENTS_ROOT/driver"
    echo $$ >"$CLIENTS_ROOT/driver/cgroup.procs"
    umount "$CLIENTS_ROOT"
}

remove_cgroups() {
    local directory attempt
    for directory in $(own_cgroups); do
        [ -d "$directory/$CLIENTS_CGROUP" ] || continue
        for attempt in 1 2 3 4 5 6 7 8 9 10; do
            find "$directory/$CLIENTS_CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.2
        done
        [ ! -d "$directory/$CLIENTS_CGROUP" ] || die "a cgroup with processes was left: $directory/$CLIENTS_CGROUP"
    done
}

mount_devices() {
    local node
    mount -t tmpfs -o mode=755 tmpfs dev
    for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0' 'fuse 10 229'; do
        # shellcheck disable=SC2086 # name, major and minor are three words
        set -- $node
        mknod -m 666 "dev/$1" c "$2" "$3"
    done
    mkdir dev/pts dev/shm dev/mqueue dev/net
    mknod -m 666 dev/net/tun c 10 200
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
    mount -t tmpfs -o mode=1777 shm dev/shm
    mount -t mqueue mqueue dev/mqueue
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    for node in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${node%:*}" "dev/${node#*:}"; done
}

# In the new cgroup namespace a mount shows the cgroup made above as the root.
mount_cgroups() {
    local controllers controller directory
    if [ "$1" = v2 ]; then
        mount -t cgroup2 cgroup2 sys/fs/cgroup
        for controller in $(cat sys/fs/cgroup/cgroup.controllers); do
            echo "+$controller" >sys/fs/cgroup/cgroup.subtree_control
        done
        return
    fi
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    while IFS=: read -r _ controllers _; do
        directory=${controllers#name=}
        directory=sys/fs/cgroup/${directory:-unified}
        mkdir "$directory"
        if [ -z "$controllers" ]; then
            mount -t cgroup2 cgroup2 "$directory"
        else
            mount -t cgroup -o "$controllers" cgroup "$directory"
        fi
    done </proc/self/cgroup
}

build_tree() {
    local binary=$1 hierarchy=$2 results=$3
    mount -t tmpfs -o mode=755 clients "$CLIENTS_ROOT"
    cd "$CLIENTS_ROOT"
    mkdir upper work root
    mount -t overlay -o "lowerdir=$tree,upperdir=upper,workdir=work" clients root
    cd root
    install "$binary" usr/bin/pinfold
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount_devices
    mount_cgroups "$hierarchy"
    mount -t tmpfs -o mode=755 run run
    mount -t tmpfs -o mode=1777 tmp tmp
    # Storage of images and containers: an overlay cannot be the upper layer of another.
    mount -t tmpfs -o mode=755 lib var/lib
    mkdir results tests
    mount --bind "$results" results
    mount --bind "$here/.." tests
    hostname clients
}

case ${1:-} in
in-mount-namespace)
    shift
    mount --make-rprivate /
    enter_cgroups
    exec unshare --cgroup "$0" in-cgroup-namespace "$@"
    ;;
in-cgroup-namespace)
    shift
    [ "$2" != v2 ] || enter_leaf
    exec unshare --pid --fork --kill-child --net --ipc --uts "$0" in-namespaces "$@"
    ;;
in-namespaces)
    tree=$(realpath -e "$target/peers/clients")
    build_tree "$2" "$3" "$4"
    shift 4
    pivot_root . mnt
    # shellcheck disable=SC2016 # expanded inside
    exec env -i PATH=/usr/sbin:/usr/bin HOME=/root TERM=xterm chroot . \
        bash -c 'umount -l /mnt; ip link set lo up; "$@"' bash "$@"
    ;;
*)
    [ $# -ge 4 ] || die "usage: tests/clients/enter.sh BINARY v2|v1 FOLDER COMMAND..."
    [ "$(id -u)" = 0 ] || die "needs root"
    [ -d "$target/peers/clients" ] || die "no clients: run tests/setup.sh clients"
    export CLIENTS_CGROUP=pinfold-clients-$$ CLIENTS_ROOT CARGO_TARGET_DIR
    CARGO_TARGET_DIR=$(realpath "$target")
    CLIENTS_ROOT=$(mktemp -d)
    trap 'remove_cgroups; rmdir "$CLIENTS_ROOT"' EXIT
    unshare --mount "$0" in-mount-namespace "$(realpath -e "$1")" "$2" "$(realpath -e "$3")" "${@:4}"
    ;;
esac

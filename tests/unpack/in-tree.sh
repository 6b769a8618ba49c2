#!/bin/bash
# in-tree.sh TREE WORK SCRIPT: runs SCRIPT by the shell of TREE, Debian sid's umoci (target/peers/images) or
# podman (target/peers/clients) with sid's libc. WORK is /mnt there.
#
# To be called in a mount namespace of its own (unshare --mount --propagation private): nothing is written into
# TREE, and what is mounted here ends with the namespace. podman keeps its images in WORK/podman, one directory
# for each layer with all those below it (vfs).
set -euo pipefail
tree=$1 work=$2
mount --bind "$work" "$tree/mnt"
mount -t proc proc "$tree/proc"
for place in run tmp var/tmp; do [ ! -d "$tree/$place" ] || mount -t tmpfs -o mode=1777 tmpfs "$tree/$place"; done
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
mkdir "$tree/dev/shm"
mknod -m 666 "$tree/dev/null" c 1 3
mknod -m 666 "$tree/dev/urandom" c 1 9
# shellcheck disable=SC2016 # expanded inside
exec env -i PATH=/usr/sbin:/usr/bin HOME=/tmp TMPDIR=/tmp LC_ALL=C PODMAN_IGNORE_CGROUPSV1_WARNING=1 chroot "$tree" bash -euc '
podman() {
    timeout 120 podman --root /mnt/podman/root --runroot /run/containers --storage-driver vfs --cgroup-manager cgroupfs \
        --events-backend none "$@"
}
'"$3"

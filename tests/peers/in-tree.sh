#!/bin/bash
# in-tree.sh PEERS TREE COMMAND...: runs COMMAND with Debian sid's files as its root.
#
# To be called in a mount namespace of its own (unshare --mount --propagation private). TREE is an empty
# directory. A chroot would not do: `exec` joins a mount namespace, whose root is then the machine's.
set -euo pipefail
peers=$1 tree=$2
shift 2
mount -t tmpfs -o mode=755 tree "$tree"
cd "$tree"
mkdir old usr proc sys dev tmp run etc opt
for link in bin sbin lib lib64; do ln -s "usr/$link" "$link"; done
mount --bind "$peers/usr" usr
for place in proc sys dev tmp; do mount --rbind "/$place" "$place"; done
cp /etc/passwd /etc/group etc/
install "$(command -v busybox)" opt/busybox
pivot_root . old
cd /
exec /opt/busybox sh -c '/opt/busybox umount -l /old && exec "$@"' sh "$@"

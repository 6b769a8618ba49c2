#!/bin/bash
# peers.sh PINFOLD [OPTION...]: `pinfold selftest escapes` on runc and crun of Debian sid and of Debian 12.
#
# Each in a tree of its own libraries, on a pure cgroup2 mount, in a mount namespace of its own.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${CARGO_TARGET_DIR:-$here/../../target}/peers
pinfold=$1
shift
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
mkdir "$place/tree"
install "$pinfold" "$place/pinfold"
for suite in sid old; do
    for runtime in usr/bin/crun usr/sbin/runc; do
        [ -x "$peers/$suite/$runtime" ] || continue
        echo "== $suite: $runtime"
        unshare --mount --propagation private "$here/../peers/in-tree.sh" "$peers/$suite" "$place/tree" \
            /opt/busybox sh -c '/opt/busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"' sh \
            "$place/pinfold" selftest escapes --runtime "/$runtime" "$@" || true
    done
done

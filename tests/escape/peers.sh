#!/bin/bash
# peers.sh PINFOLD [OPTION...]: `pinfold selftest escapes` on runc and crun of Debian sid and of Debian 12, and
# on youki of crates.io.
#
# Each in a tree of its own libraries, in a mount namespace of its own. Where the controllers are v1's, the cgroup2
# mount beside them is taken out there: crun 1.8 refuses such a hybrid, and on cgroup2 alone it asks for
# CAP_SYS_RESOURCE and finds neither pids nor memory.
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
    for runtime in usr/bin/crun usr/sbin/runc usr/bin/youki; do
        [ -x "$peers/$suite/$runtime" ] || continue
        echo "== $suite: $runtime"
        unshare --mount --propagation private "$here/../peers/in-tree.sh" "$peers/$suite" "$place/tree" \
            /opt/busybox sh -euc '[ ! -d /sys/fs/cgroup/unified ] || /opt/busybox umount /sys/fs/cgroup/unified; exec "$@"' sh \
            "$place/pinfold" selftest escapes --runtime "/$runtime" "$@" || echo "exit code $?"
    done
done

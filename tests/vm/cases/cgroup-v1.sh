#!/bin/sh
# A mount of type cgroup on v1: a hierarchy of several controllers is found by the name of each.
. /lib/vm/case.sh
bundle b '.process.args = ["sh", "-c", "cd /sys/fs/cgroup; readlink net_cls; readlink net_prio; cat net_prio/cgroup.procs; touch made"]
    | del(.linux.resources)'
ln -s busybox b/rootfs/bin/readlink
cat >hybrid <<'END'
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /sys/fs/cgroup
cd /sys/fs/cgroup
mkdir unified net_cls,net_prio devices
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 unified
for name in net_cls,net_prio devices; do mount -t cgroup -o $name cgroup $name; done
cd - >/dev/null
code=0
pinfold run -b b one || code=$?
for name in net_cls,net_prio devices; do
    [ ! -d /sys/fs/cgroup/$name/pinfold ] || rmdir /sys/fs/cgroup/$name/pinfold
    umount /sys/fs/cgroup/$name
done
exit $code
END
exits 1 unshare -m sh hybrid
printf 'net_cls,net_prio\nnet_cls,net_prio\n' >wanted
head -n 2 out | cmp - wanted || fail "the links: $(cat out err)"
check "a hierarchy through its link" grep -qE '^[0-9]+$' out
check "the tmpfs is closed" grep -q 'Read-only file system' err
check "the hierarchy is gone" eventually 20 sh -c '! grep -qE "net_cls|devices" /proc/self/cgroup'

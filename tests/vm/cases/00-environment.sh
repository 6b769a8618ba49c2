#!/bin/sh
# The guest gives what the other tests rely on; each limit is shown to work without pinfold first,
# so that a failure elsewhere is pinfold's.
. /lib/vm/case.sh

[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || [ "$(stat -f -c %t /sys/fs/cgroup)" = 63677270 ] || fail "no pure cgroup2"
for controller in cpu cpuset io memory pids; do
    check "controller" grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers
done
check "landlock" grep -q landlock /sys/kernel/security/lsm
check "overlayfs" grep -qw overlay /proc/filesystems
check "user namespaces" unshare -U -r true
check "a shared root" grep -q ' / / .* shared:' /proc/self/mountinfo

# pivot_root works, as it does not on the initial rootfs.
mkdir -p new/old
check "pivot_root" unshare -m sh -c 'mount --make-rprivate / && mount --bind new new && cd new && pivot_root . old'

cgroup=/sys/fs/cgroup/environment
echo '+memory +pids +io +cpu' >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$cgroup"

within() {
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup" "$@"
}

echo 64M >$cgroup/memory.max
echo 0 >$cgroup/memory.swap.max
check "32 MiB under a limit of 64" within dd if=/dev/zero of=/dev/null bs=32M count=1
exits 137 within dd if=/dev/zero of=/dev/null bs=96M count=1
check "the kernel counted it" grep -qx 'oom_kill 1' $cgroup/memory.events

echo 4 >$cgroup/pids.max
check "2 processes under a limit of 4" within sh -c 'sleep 0 & wait'
exits 2 within sh -c 'sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait'

device=$(cat /sys/block/ram1/dev)
start=$(seconds)
check "writing" within dd if=/dev/zero of=/dev/ram1 bs=64k count=64 oflag=direct
[ $(($(seconds) - start)) -le 2 ] || fail "the device is slow without a limit"
echo "$device wbps=1048576" >$cgroup/io.max
start=$(seconds)
check "writing" within dd if=/dev/zero of=/dev/ram1 bs=64k count=64 oflag=direct
[ $(($(seconds) - start)) -ge 3 ] || fail "4 MiB at 1 MiB/s took $(($(seconds) - start)) s"

rmdir $cgroup
echo '-memory -pids -io -cpu' >/sys/fs/cgroup/cgroup.subtree_control

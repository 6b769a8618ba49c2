#!/bin/sh
# A user's own systemd makes the scope, by its bus and without one.
# timeout: 400
. /lib/vm/case.sh
bundle b '.process.args = ["sleep", "1000"] | .linux.resources = {memory: {limit: 33554432, swap: 33554432}, pids: {limit: 12}}
    | del(.linux.cgroupsPath) | .linux.namespaces += [{type: "user"}]
    | .linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}] | .linux.gidMappings = [{containerID: 0, hostID: 1000, size: 1}]'
configure b '.mounts |= map(.options |= map(select(startswith("gid=") | not))?)'
chown -R user:user . && chmod 755 .
# As from a terminal: in the session's own scope, which the user's systemd does not have.
as_user() {
    setpriv --reuid 1000 --regid 1000 --init-groups env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/user "$@"
}
ctl() { as_user systemctl --user "$@"; }
hog="x=\$(head -c 60000000 /dev/zero | tr '\0' a); echo \${#x}"
ln -s busybox b/rootfs/bin/tr
round() {
    check "create $1" as_user pinfold --systemd-cgroup create -b b mine
    check "the scope $1" [ "$(ctl show --value -p ActiveState pinfold-mine.scope)" = active ]
    check "its slice $1" [ "$(ctl show --value -p Slice pinfold-mine.scope)" = user.slice ]
    check "its limit $1" [ "$(ctl show --value -p MemoryMax pinfold-mine.scope)" = 33554432 ]
    check "start $1" as_user pinfold start mine
    check "delete $1" as_user pinfold delete -f mine
    check "no unit $1" [ "$(ctl show --value -p LoadState pinfold-mine.scope)" = not-found ]
}
round "by the bus"
mv /run/user/1000/bus /run/user/1000/away
round "without a bus"
mv /run/user/1000/away /run/user/1000/bus
configure b ".process.args = [\"sh\", \"-c\", \"$(echo "$hog" | sed 's/[\\"$]/\\&/g; s/\\\$/$/g')\"]"
as_user pinfold --systemd-cgroup run -b b mine >out 2>&1
check "memory is bounded" eval '! grep -q 60000000 out'
# From inside a user's service everything is the user's, and exec comes in too.
configure b '.process.args = ["sleep", "1000"]'
as_user systemd-run --user --quiet --wait --pipe --working-directory="$PWD" sh -c \
    'pinfold --systemd-cgroup create -b b mine && pinfold start mine && pinfold exec mine cat /proc/self/cgroup; pinfold delete -f mine' >out 2>&1
cat out
check "exec in a user's scope" grep -q '^0::/' out
# Nobody to ask.
exits 1 as_user env XDG_RUNTIME_DIR=/nonexistent pinfold --systemd-cgroup create -b b mine
check "named" grep -q -- --systemd-cgroup err
# The user's systemd keeps the slice that it made for the scopes.
ctl stop user.slice

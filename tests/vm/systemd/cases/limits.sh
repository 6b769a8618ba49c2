#!/bin/sh
# Limits are enforced, follow an update, and survive a daemon-reload; so does the device list.
# timeout: 400
. /lib/vm/case.sh
hog='head -c 60000000 /dev/zero | sort >/dev/null; echo survived'
# Its first process reaps what others leave: a zombie counts as a process.
bundle b '.process.args = ["sh", "-c", "while :; do sleep 1000 & wait; done"] | .linux.cgroupsPath = "system.slice:p:limited"
    | .linux.resources = {memory: {limit: 33554432, swap: 33554432}, pids: {limit: 12}, cpu: {quota: 33333, period: 100000, burst: 1000},
        unified: {"memory.high": "30000000"},
        devices: [{allow: false, access: "rwm"}]}
    | .process.capabilities.bounding += ["CAP_MKNOD"] | .process.capabilities.permitted += ["CAP_MKNOD"]
    | .process.capabilities.effective += ["CAP_MKNOD"]'
for applet in sort tr wc; do ln -s busybox b/rootfs/bin/$applet; done
check "create" pinfold --systemd-cgroup create -b b limited
check "start" pinfold start limited
group=/sys/fs/cgroup/system.slice/p-limited.scope

# What each limit does, and not what a file says.
forks() {
    pinfold exec limited sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 1 & done; wait' >out 2>&1
    # A shell that cannot fork gives up; what it started needs its second.
    eventually 60 quiet || return 2
    grep -q "can't fork" out
}
quiet() { [ "$(cat $group/pids.current)" -le 2 ]; }
memory() {
    pinfold exec limited sh -c "x=\$(head -c 60000000 /dev/zero | tr '\0' a); echo \${#x}" >out 2>&1
    eventually 60 quiet || return 2
    ! grep -q -e 60000000 -e pinfold: out
}
devices() {
    pinfold exec limited sh -c 'mknod /dev/m c 1 1; head -c 1 /dev/m >/dev/null' >out 2>&1
    grep -q 'not permitted' out || { cat out; return 1; }
}
limits_hold() {
    check "forks are bounded $1" forks
    check "memory is bounded $1" memory
    check "devices are denied $1" devices
}
limits_hold "at first"
cat $group/cpu.max $group/cpu.max.burst $group/memory.high $group/memory.max $group/pids.max >before
systemctl daemon-reload
cat $group/cpu.max $group/cpu.max.burst $group/memory.high $group/memory.max $group/pids.max >after
cat before after
check "cpu.max is not larger" [ "$(sed -n 1p after | cut -d' ' -f1)" -le 33333 ]
check "the burst stays" [ "$(sed -n 2p after)" = 1000 ]
check "memory.high stays" [ "$(sed -n 3p after)" = "$(sed -n 3p before)" ]
check "memory.max stays" [ "$(sed -n 4p after)" = 33554432 ]
check "pids.max stays" [ "$(sed -n 5p after)" = 12 ]
limits_hold "after daemon-reload"

# An update is systemd's too.
check "update" pinfold update --memory 134217728 --memory-swap 134217728 --pids-limit 40 --cpu-quota 80000 limited
check "MemoryMax" [ "$(systemctl show --value -p MemoryMax p-limited.scope)" = 134217728 ]
check "TasksMax" [ "$(systemctl show --value -p TasksMax p-limited.scope)" = 40 ]
check "CPUQuota" [ "$(systemctl show --value -p CPUQuotaPerSecUSec p-limited.scope)" = 800ms ]
systemctl daemon-reload
check "the file" grep -qx 134217728 $group/memory.max
check "no fork fails now" eval '! forks'
check "devices are still denied" devices
check "delete" pinfold delete -f limited

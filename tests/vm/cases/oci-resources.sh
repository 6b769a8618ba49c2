#!/bin/sh
# linux.resources arrives in the kernel's files, is enforced, and can be updated.
. /lib/vm/case.sh

bundle b '.process.args = ["sh", "-c",
    "cd /sys/fs/cgroup; cat memory.max memory.swap.max memory.low pids.max cpu.max cpu.weight cpuset.cpus"]
    | .linux.resources += {
        memory: {limit: 67108864, swap: 100663296, reservation: 33554432},
        pids: {limit: 20},
        cpu: {quota: 20000, period: 100000, shares: 1024, cpus: "0"}}
    | .linux.cgroupsPath = "/parent/child"'
exits 0 pinfold run -b b one
# Swap is what exceeds the memory (crun, runc); shares of 1024 are a weight of 39 by the older formula
# and 100 by the one that maps the defaults onto each other.
sed 's/^39$/100/' out >got
printf '67108864\n33554432\n33554432\n20\n20000 100000\n100\n0\n' >wanted
check "interface files" cmp wanted got
[ -d /sys/fs/cgroup/parent/child ] && fail "the cgroup is left"
rmdir /sys/fs/cgroup/parent 2>/dev/null

configure b '.process.args = ["dd", "if=/dev/zero", "of=/dev/null", "bs=32M", "count=1"]
    | .linux.resources.memory = {limit: 67108864, swap: 67108864}'
exits 0 pinfold run -b b two
configure b '.process.args[3] = "bs=96M"'
exits 137 pinfold run -b b two
rmdir /sys/fs/cgroup/parent 2>/dev/null

configure b '.process.args = ["sleep", "4008"] | del(.linux.cgroupsPath)'
exits 0 pinfold create -b b three
trap 'pinfold delete -f three' EXIT
exits 0 pinfold start three
exits 0 pinfold update --pids-limit 30 --memory 80M --memory-swap 80M three
[ "$(cat /sys/fs/cgroup/three/pids.max)" = 30 ] || fail "pids: $(cat /sys/fs/cgroup/three/pids.max)"
[ "$(cat /sys/fs/cgroup/three/memory.max)" = 83886080 ] || fail "memory: $(cat /sys/fs/cgroup/three/memory.max)"

#!/bin/sh
# A container is a transient scope with the limits of its configuration; delete leaves no unit.
# timeout: 400
. /lib/vm/case.sh
bundle b '.process.args = ["sleep", "1000"] | .linux.cgroupsPath = "made-up.slice:cri:one"
    | .linux.resources = {memory: {limit: 33554432, swap: 33554432}, pids: {limit: 17},
        cpu: {shares: 512, quota: 50000, period: 100000, cpus: "0"}}'
scope=cri-one.scope
group=/sys/fs/cgroup/made.slice/made-up.slice/$scope

of() { systemctl show --value -p "$1" "$scope"; }
is() { [ "$(of "$1")" = "$2" ] || fail "$1 is $(of "$1") and not $2"; }

check "create" pinfold --systemd-cgroup create -b b one
is ActiveState active
is Slice made-up.slice
is Delegate yes
is DefaultDependencies no
is Description "container $scope"
is ControlGroup /made.slice/made-up.slice/$scope
is MemoryMax 33554432
is MemorySwapMax 0
is TasksMax 17
is CPUWeight 59
is CPUQuotaPerSecUSec 500ms
is CPUQuotaPeriodUSec 100ms
is AllowedCPUs 0
is CollectMode inactive-or-failed
check "memory.max" grep -qx 33554432 $group/memory.max
check "cpu.max" grep -qx "50000 100000" $group/cpu.max
check "its process is in it, and no other" [ "$(cat $group/cgroup.procs)" = "$(pinfold state one | jq .pid)" ]
check "start" pinfold start one
check "state" [ "$(pinfold state one | jq -r .status)" = running ]

# Seen from inside, the scope is the root.
exits 0 pinfold exec one cat /proc/self/cgroup
check "the root inside" grep -qE '^0::/(pinfold-exec|$)' out

check "pause" pinfold pause one
check "paused" [ "$(pinfold state one | jq -r .status)" = paused ]
check "resume" pinfold resume one
check "kill" pinfold kill one KILL
check "stopped" eventually 10 sh -c '[ "$(pinfold state one | jq -r .status)" = stopped ]'
check "delete" pinfold delete one
check "no unit" [ "$(of LoadState)" = not-found ]
check "no group" [ ! -d $group ]

# Without a path the unit is named after the container; without a bus systemd's own socket does.
configure b 'del(.linux.cgroupsPath)'
mv /run/dbus/system_bus_socket /run/dbus/away
check "create without a bus" pinfold --cgroup-manager systemd create -b b two
check "delete without a bus" pinfold delete -f two
check "create again" pinfold --cgroup-manager systemd create -b b two
mv /run/dbus/away /run/dbus/system_bus_socket
check "the scope" systemctl is-active --quiet pinfold-two.scope
exits 1 pinfold --systemd-cgroup create -b b two
check "a name that is taken" grep -q "two" err

# The group is in use, whoever asks.
configure b '.linux.cgroupsPath = "system.slice:pinfold:two"'
exits 1 pinfold --systemd-cgroup create -b b three
check "not empty" grep -q 'cgroup is not empty' err
check "the other lives on" [ "$(pinfold state two | jq -r .status)" = created ]
configure b '.linux.cgroupsPath = "system.slice:x:y" | .annotations = {"org.systemd.property.NoSuchThing": "true"}'
exits 1 pinfold --systemd-cgroup create -b b three
check "an unknown property" grep -q NoSuchThing err
configure b '.annotations = {"org.systemd.property.MemoryMax": "uint64 1"}'
exits 1 pinfold --systemd-cgroup create -b b three
check "a contradiction" grep -q '/annotations/org.systemd.property.MemoryMax' err
configure b 'del(.annotations) | .process.cwd = "/proc/self/no"'
exits 1 pinfold --systemd-cgroup create -b b three
check "a failed launch leaves no unit" [ -z "$(systemctl list-units --all --plain --no-legend 'x-y.scope')" ]
check "delete" pinfold delete -f two
systemctl stop made.slice made-up.slice

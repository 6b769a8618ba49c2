#!/bin/sh
# However a container ends, systemd and the kernel agree that it is gone.
# timeout: 400
. /lib/vm/case.sh
bundle b '.process.args = ["sleep", "1000"] | .linux.cgroupsPath = "system.slice:p:ending"
    | .annotations = {"org.systemd.property.TimeoutStopSec": "uint64 1"}'
scope=p-ending.scope
gone_for_systemd() { [ "$(systemctl show --value -p LoadState $scope)" = not-found ]; }

# systemctl stop: the first process of a pid namespace has no handler for SIGTERM and dies at the time limit.
check "create" pinfold --systemd-cgroup create -b b ending
check "start" pinfold start ending
check "the annotation" [ "$(systemctl show --value -p TimeoutStopUSec $scope)" = 1s ]
check "stop" systemctl stop $scope
check "stopped" eventually 10 sh -c '[ "$(pinfold state ending | jq -r .status)" = stopped ]'
check "delete after stop" pinfold delete ending
check "no unit after stop" gone_for_systemd

# run in the foreground: an end of its own.
configure b '.process.args = ["sh", "-c", "exit 7"]'
exits 7 pinfold --systemd-cgroup run -b b ending
check "no unit after run" gone_for_systemd

# kill -9 of a foreground run: the watcher ends the container, and the next launch sweeps.
configure b '.process.args = ["sleep", "2000"]'
pinfold --systemd-cgroup run -b b ending &
check "it runs" eventually 20 running "sleep 2000"
kill -9 $!
check "the program is gone" eventually 10 gone "sleep 2000"
check "no unit after kill -9" eventually 10 gone_for_systemd
check "gc" pinfold gc
check "no entry" [ -z "$(pinfold list -q)" ]

# kill -9 of the container's process itself, and an OOM kill: a unit that failed is not left.
check "create" pinfold --systemd-cgroup create -b b ending
check "start" pinfold start ending
kill -9 "$(pinfold state ending | jq .pid)"
check "no unit after the kill" eventually 10 gone_for_systemd
check "delete after the kill" pinfold delete ending

# The same unit again, at once.
for round in 1 2 3; do
    check "create $round" pinfold --systemd-cgroup create -b b ending
    check "delete $round" pinfold delete -f ending
done
check "nothing failed" [ -z "$(systemctl --failed --no-legend)" ]

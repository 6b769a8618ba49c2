#!/bin/sh
# linux.resources.unified: files by name, controllers switched on for them, an error for what is not there.
. /lib/vm/case.sh

bundle b '.process.args = ["sh", "-c", "cd /sys/fs/cgroup; cat memory.high pids.max cpu.weight cgroup.max.depth"]
    | .linux.resources.unified = {"memory.high": "33554432", "pids.max": "17", "cpu.weight": "55", "cgroup.max.depth": "3"}'
exits 0 pinfold run -b b one
printf '33554432\n17\n55\n3\n' >wanted
check "the files" cmp wanted out
for key in nosuch.max memory.nosuch cgroup.procs; do
    configure b ".linux.resources.unified = {\"$key\": \"1\"}"
    exits 1 pinfold run -b b one
    check "$key is named" grep -q "unified/$key" err
    [ -d /sys/fs/cgroup/one ] && fail "the cgroup is left after $key"
done
configure b 'del(.linux.resources.unified) | .process.args = ["sleep", "4013"]'
exits 0 pinfold run -d -b b one
trap 'pinfold delete -f one' EXIT
echo '{"unified": {"memory.high": "1048576"}}' >update.json
exits 0 pinfold update -r update.json one
[ "$(cat /sys/fs/cgroup/one/memory.high)" = 1048576 ] || fail "memory.high: $(cat /sys/fs/cgroup/one/memory.high)"
# What a group above does not allow, or somebody else holds, is an error: a frozen or a non-empty group.
exits 0 pinfold delete -f one
mkdir /sys/fs/cgroup/one
echo 1 >/sys/fs/cgroup/one/cgroup.freeze
exits 1 pinfold run -b b one
check "frozen" grep -qi 'frozen' err
echo 0 >/sys/fs/cgroup/one/cgroup.freeze
sleep 30 &
echo $! >/sys/fs/cgroup/one/cgroup.procs
exits 1 pinfold run -b b one
kill $!
wait $!
check "its group stays" rmdir /sys/fs/cgroup/one

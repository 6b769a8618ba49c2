#!/bin/sh
# exec joins the container's namespaces and cgroup, and is no stronger than the container.
. /lib/vm/case.sh

bundle b '.process.args = ["sleep", "4006"] | .hostname = "inside" | .root.readonly = false'
exits 0 pinfold create -b b --pid-file pid one
trap 'pinfold delete -f one' EXIT
exits 0 pinfold start one

exits 9 pinfold exec one sh -c 'cat /proc/sys/kernel/hostname; exit 9'
check "uts" grep -qx inside out
exits 0 pinfold exec one sh -c 'for n in cgroup ipc mnt net pid uts; do ls -l /proc/self/ns/$n; done | sed "s/.* -> //"' ||
    true
exits 0 pinfold exec one cat /proc/self/cgroup
check "a group of its own, below the container's" grep -qx '0::/pinfold-exec-[0-9]*-[0-9a-f]*' out
exits 0 pinfold exec --cgroup / one cat /proc/self/cgroup
check "the container's group" grep -qx '0::/' out
mkdir /sys/fs/cgroup/one/below
exits 0 pinfold exec --cgroup below one cat /proc/self/cgroup
check "the group that was asked for" grep -qx '0::/below' out
rmdir /sys/fs/cgroup/one/below
exits 255 pinfold exec --cgroup below one true
exits 255 pinfold exec --cgroup ../other one true

# The container's limits hold for all of it.
exits 0 pinfold update --pids-limit 4 one
exits 2 pinfold exec one sh -c 'sleep 3 & sleep 3 & sleep 3 & sleep 3 & sleep 3 & wait'
check "pids are counted with the container's" grep -q "fork" err
exits 0 pinfold update --pids-limit 100 --memory 20m --memory-swap 20m one
exits 137 pinfold exec one sh -c 'head -c 60m /dev/zero | tail -n 1 | wc -c; kill -9 $$' || true
check "memory is counted with the container's" grep -q '^oom_kill [1-9]' /sys/fs/cgroup/one/memory.events

# kill -9 of pinfold ends all that exec started, in whatever session.
setsid pinfold exec one sh -c '(setsid sleep 4011 &) ; exec sleep 4012' &
check "it runs" eventually 10 running "sleep 4011"
check "it runs" eventually 10 running "sleep 4012"
kill -9 $!
check "its orphan ends" eventually 10 gone "sleep 4011"
check "its program ends" eventually 10 gone "sleep 4012"
check "the container lives on" running "sleep 4006"
exits 0 pinfold exec --env A=b --cwd /tmp --user 1000:1001 one sh -c 'echo $A; pwd; id -u; id -g'
printf 'b\n/tmp\n1000\n1001\n' >wanted
check "env, cwd, user" cmp wanted out

# The same capabilities as the container's own process.
exits 0 pinfold exec one cat /proc/self/status
grep -E '^(CapPrm|CapBnd|NoNewPrivs)' out >inner
grep -E '^(CapPrm|CapBnd|NoNewPrivs)' "/proc/$(cat pid)/status" >wanted
check "capabilities" cmp wanted inner

# What the runtime itself could not do is 255.
exits 255 pinfold exec one no-such-program
exits 0 pinfold exec -d --pid-file exec-pid one sleep 4007
check "detached" eventually 10 running "sleep 4007"
check "in the same cgroup" grep -qx "$(cat exec-pid)" /sys/fs/cgroup/one/cgroup.procs

# A container that hands controllers down may hold no process in its own group.
mkdir /sys/fs/cgroup/one/leaf
for moved in $(cat /sys/fs/cgroup/one/cgroup.procs); do echo "$moved" >/sys/fs/cgroup/one/leaf/cgroup.procs; done
echo +pids >/sys/fs/cgroup/one/cgroup.subtree_control
exits 0 pinfold exec one echo attached
check "beside the leaf" grep -qx attached out
exits 0 pinfold exec -d one sleep 4013
check "detached beside the leaf" eventually 10 running "sleep 4013"

exits 0 pinfold delete -f one
check "no group is left" test ! -e /sys/fs/cgroup/one
running "sleep 4007" && fail "a detached exec outlived the container"
exits 255 pinfold exec one true

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
check "cgroup" grep -qx '0::/' out
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

exits 0 pinfold delete -f one
running "sleep 4007" && fail "a detached exec outlived the container"
exits 255 pinfold exec one true

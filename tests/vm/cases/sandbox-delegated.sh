#!/bin/sh
# An ordinary user with a part of the tree of its own: the default limits are in force there, and
# where a controller was not handed down, its default is named and asking for it is refused.
. /lib/vm/case.sh

cgroups=/sys/fs/cgroup
# The host's own group around it decides what is handed down.
outer=$cgroups/outer
part=$outer/part
before=$(cat $cgroups/cgroup.subtree_control)
mkdir run && chown 1000:1000 . run

leave() {
    echo $$ >$cgroups/harness/cgroup.procs
    find $outer -depth -type d -exec rmdir {} +
    for controller in memory pids cpu; do
        case " $before " in
        *" $controller "*) ;;
        *) echo -$controller >$cgroups/cgroup.subtree_control ;;
        esac
    done
}

as_user() {
    su user -c "cd $(pwd) && XDG_RUNTIME_DIR=$(pwd)/run $*"
}

# A leaf for the caller itself: a group that hands controllers down may hold no process.
mkdir -p $part/leaf
trap leave EXIT
for group in $part $part/leaf; do
    chown 1000:1000 $group $group/cgroup.procs $group/cgroup.subtree_control $group/cgroup.threads
done
echo $$ >$part/leaf/cgroup.procs
echo '+memory +pids +cpu' >$cgroups/cgroup.subtree_control

# Control: nothing is handed down yet.
exits 0 as_user pinfold sandbox --report report.json -- true
report '[.degraded[] | select(test("limit"))] | length == 4'
exits 121 as_user pinfold sandbox --memory 64M -- true

echo '+memory +pids' >$outer/cgroup.subtree_control
exits 0 as_user pinfold sandbox --report report.json -- true
report '[.degraded[] | select(test("limit"))] | length == 1 and (.[0] | test("^cpu limit"))'
exits 121 as_user pinfold sandbox --cpus 1 -- true
check "the way out is named" grep -q "hint: " err
exits 121 as_user pinfold sandbox --strict -- true

echo +cpu >$outer/cgroup.subtree_control
exits 0 as_user pinfold sandbox --report report.json -- true
report '.degraded | length == 1 and (.[0] | test("^own host ids"))'
as_user pinfold doctor >doctor
check "doctor agrees" grep -q '^ok  *controller cpu' doctor

exits 122 as_user pinfold sandbox --memory 32M --report report.json -- dd if=/dev/zero of=/dev/null bs=64M count=1
report '.outcome.kind == "oom" and (.controls.cgroup | startswith("/outer/part/pinfold-"))'
exits 0 as_user pinfold sandbox --memory 96M -- dd if=/dev/zero of=/dev/null bs=64M count=1
as_user pinfold sandbox --pids-limit 3 -- sh -c "'for n in 1 2 3 4 5 6; do sleep 1 & done; wait'" >out 2>err
check "the program was refused a process" grep -qi fork err

# Nothing of it is left, after kill -9 of pinfold too: the next launch sweeps.
as_user pinfold sandbox -- sleep 4006 &
eventually 20 running "sleep 4006" || fail "the control: it runs"
kill -9 $(pidof pinfold) 2>/dev/null
eventually 20 gone "sleep 4006" || fail "it survived kill -9"
exits 0 as_user pinfold sandbox -- true
[ "$(find $part -mindepth 1 -type d)" = $part/leaf ] || fail "left behind: $(find $part -type d)"
exit 0

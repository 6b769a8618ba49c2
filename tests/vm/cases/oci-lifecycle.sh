#!/bin/sh
# create, state, start, kill, delete: each state, and what is refused in it.
. /lib/vm/case.sh

status() {
    pinfold state "$1" | jq -r .status
}

is() {
    [ "$(status one)" = "$1" ]
}

bundle b '.process.args = ["sh", "-c", "trap \"exit 5\" TERM; echo started; while :; do usleep 100000; done"]'

exits 0 pinfold create -b b --pid-file pid one
check "created" is created
pid=$(cat pid)
[ "$(pinfold state one | jq .pid)" = "$pid" ] || fail "state and pid file disagree"
[ "$(pinfold state one | jq -r .bundle)" = "$(pwd)/b" ] || fail "bundle: $(pinfold state one)"
check "the process waits" test -d "/proc/$pid"
check "without cgroupsPath the cgroup is /ID" test -d /sys/fs/cgroup/one
check "and the process is in it" grep -qx "$pid" /sys/fs/cgroup/one/cgroup.procs

# An id that is in use, and states that do not allow the verb.
exits 1 pinfold create -b b one

exits 0 pinfold start one
check "running" eventually 10 is running
exits 1 pinfold start one
exits 1 pinfold delete one
[ "$(pinfold list -q)" = one ] || fail "list: $(pinfold list -q)"
[ "$(pinfold list -f json | jq -r '.[0].status')" = running ] || fail "list: $(pinfold list -f json)"
pinfold ps -f json one | jq -e "index($pid)" >/dev/null || fail "ps: $(pinfold ps -f json one)"

exits 0 pinfold kill one TERM
check "stopped" eventually 10 is stopped
exits 1 pinfold kill one TERM
exits 0 pinfold delete one
exits 1 pinfold state one
exits 1 pinfold delete one
[ -d /sys/fs/cgroup/one ] && fail "its cgroup is left"

# Whether process $1 runs: one that has ended may wait for its parent to reap it.
runs() { grep -q '^State:[[:space:]]*[RSDTtPI]' "/proc/$1/status" 2>/dev/null; }

# What never started can be deleted, as with runc.
exits 0 pinfold create -b b --pid-file pid one
exits 0 pinfold delete one
runs "$(cat pid)" && fail "the process is left"

# --force ends what runs, and does not mind what is not there.
exits 0 pinfold create -b b --pid-file pid one
exits 0 pinfold start one
exits 0 pinfold delete --force one
runs "$(cat pid)" && fail "the process is left"
exits 0 pinfold delete --force one

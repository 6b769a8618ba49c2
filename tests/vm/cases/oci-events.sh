#!/bin/sh
# events: the statistics of cgroup v2, and a line when memory ran out. Controllers are on for
# containers that set no limit, too.
. /lib/vm/case.sh

bundle b '.process.args = ["sh", "-c", "sleep 2; dd if=/dev/zero of=/dev/null bs=96M count=1; sleep 1"]
    | .linux.resources.memory = {limit: 67108864, swap: 67108864}'
exits 0 pinfold create -b b one
trap 'pinfold delete -f one' EXIT
pinfold events --interval 500ms one >events &
events=$!
exits 0 pinfold start one
exits 0 pinfold events --stats one
jq -e '.type == "stats" and .data.memory.usage.limit == 67108864 and .data.pids.current >= 1
    and .data.cpu.usage.total > 0 and (.data.memory.raw.anon | type) == "number"' out >/dev/null || fail "$(cat out)"
wait $events || fail "events ended with $?"
[ "$(grep -c '"type":"oom"' events)" = 1 ] || fail "not one line for the kill: $(cat events)"
[ "$(grep -c '"type":"stats"' events)" -ge 2 ] || fail "statistics: $(cat events)"
exits 1 pinfold events --stats one
pinfold delete one

configure b 'del(.linux.resources.memory) | .process.args = ["sleep", "4010"]'
exits 0 pinfold create -b b one
exits 0 pinfold events --stats one
jq -e '.data.memory.usage.usage > 0 and .data.pids.current == 1' out >/dev/null || fail "not counted: $(cat out)"

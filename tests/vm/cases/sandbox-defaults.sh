#!/bin/sh
# `pinfold sandbox -- CMD` without options: all that the documentation calls a default is in force.
. /lib/vm/case.sh

exits 0 pinfold sandbox -- id -u
check "uid 1000" grep -qx 1000 out

exits 0 pinfold sandbox --report report.json -- cat /proc/self/status
for line in 'CapInh:	0000000000000000' 'CapPrm:	0000000000000000' 'CapEff:	0000000000000000' \
    'CapBnd:	0000000000000000' 'CapAmb:	0000000000000000' 'NoNewPrivs:	1' 'Seccomp:	2'; do
    check "status" grep -qxF "$line" out
done
report '.controls | tostring | ascii_downcase | test("landlock")'
report '.degraded == []'
# This kernel has all that the defaults need.
exits 0 pinfold sandbox --strict -- true

# In a user namespace of its own, on a range of host ids.
exits 0 pinfold sandbox -- cat /proc/self/uid_map
awk '$2 == 0 || $3 > 65536 { exit 1 }' out || fail "host ids: $(cat out)"

# No network but the loopback.
exits 0 pinfold sandbox -- sh -c 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "'
[ "$(cat out)" = lo ] || fail "interfaces: $(cat out)"

# /tmp is private and writable, the rest is not.
exits 0 pinfold sandbox -- sh -c 'echo x >/tmp/file && cat /tmp/file'
[ -e /tmp/file ] && fail "/tmp is the host's"
for path in /file /usr/file /etc/file /proc/sys/kernel/hostname; do
    exits 1 pinfold sandbox -- sh -c "echo x 2>/dev/null >$path || exit 1"
done
[ "$(hostname)" = guest ] || fail "the host has another name now"

# The limits, as the kernel has them.
pinfold sandbox -- sleep 4004 >/dev/null 2>&1 &
check "the sandbox runs" eventually 20 running "sleep 4004"
check "memory" one_cgroup_with memory.max 536870912
# The tool's 256 and the init.
check "pids" one_cgroup_with pids.max 257
check "cpu" one_cgroup_with cpu.max '100000 100000'
kill $!
check "it ends on SIGTERM" eventually 10 gone "sleep 4004"
wait

#!/bin/sh
# Without root: the same road, and what cannot be had is said, or refused when it was asked for.
. /lib/vm/case.sh

mkdir run && chown 1000:1000 . run

as_user() {
    su user -c "cd $(pwd) && XDG_RUNTIME_DIR=$(pwd)/run $*"
}

exits 0 as_user pinfold sandbox --report report.json -- id -u
check "uid 1000" grep -qx 1000 out
# No cgroup is delegated to this user: the default limits are out of reach.
report '.degraded | length > 0'
check "said on stderr" grep -qi memory err
exits 121 as_user pinfold sandbox --strict -- true
exits 121 as_user pinfold sandbox --memory 64M -- true

exits 0 as_user pinfold sandbox --report report.json -- cat /proc/self/status
for line in 'CapEff:	0000000000000000' 'CapBnd:	0000000000000000' 'NoNewPrivs:	1' 'Seccomp:	2'; do
    check "status" grep -qxF "$line" out
done
exits 124 as_user pinfold sandbox --timeout 3 -- sh -c "'setsid sleep 4005 & sleep 4005'"
running "sleep 4005" && fail "something survived the time-out"
exit 0

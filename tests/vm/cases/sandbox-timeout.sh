#!/bin/sh
# When the time is up nothing survives: not what ignores signals, nor what left the session.
. /lib/vm/case.sh

family() {
    echo "setsid sleep $1 & sh -c \"trap '' TERM INT HUP; sleep $1\" & (setsid sleep $1 &) ; sleep $1"
}

# Control: what ends in time is not touched, and its code is its own.
exits 3 pinfold sandbox --timeout 60 --report report.json -- sh -c "$(family 1); exit 3"
report '.outcome.kind == "exited"'

start=$(seconds)
exits 124 pinfold sandbox --timeout 3 --grace 1 --report report.json -- sh -c "$(family 4321)"
running "sleep 4321" && fail "something survived the time-out"
took=$(($(seconds) - start))
[ "$took" -ge 3 ] || fail "the time-out came after $took s"
[ "$took" -le 15 ] || fail "the time-out took $took s"
report '.outcome.kind == "timeout"'

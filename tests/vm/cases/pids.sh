#!/bin/sh
# --pids-limit stops a program that forks without end, and the report says that it did.
. /lib/vm/case.sh

forks='i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i + 1)); done; echo all'

# Control: the limit is what stops it.
exits 0 pinfold sandbox --pids-limit 64 --report report.json -- sh -c "$forks"
check "all were started" grep -qx all out
report '.outcome.kind == "exited"'

# The shell gives up at the first fork that fails, with code 2.
exits 2 pinfold sandbox --pids-limit 16 --report report.json -- sh -c "$forks"
grep -qx all out && fail "40 processes under a limit of 16"
report '.outcome.kind == "pids_limit"'
report '[.. | objects | .evidence? // empty] | tostring | test("pids")'

# A program that copes with it has succeeded; the limit is evidence, not the outcome.
exits 0 pinfold sandbox --pids-limit 16 --report report.json -- sh -c "(${forks}) 2>/dev/null; exit 0"
report '.outcome.kind == "exited"'

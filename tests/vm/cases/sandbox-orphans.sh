#!/bin/sh
# A sandbox ends with its main program, with pinfold and with pinfold's caller, whatever the tool does.
. /lib/vm/case.sh

exits 0 pinfold sandbox -- sh -c 'setsid sleep 4001 & exit 0'
running "sleep 4001" && fail "a daemon outlived the main program"

pinfold sandbox -- sh -c 'setsid sleep 4002 & sleep 4002' >/dev/null 2>&1 &
sandbox=$!
check "the sandbox runs" eventually 20 running "sleep 4002"
kill -9 $sandbox
check "nothing outlives pinfold" eventually 3 gone "sleep 4002"

sh -c 'pinfold sandbox -- sh -c "setsid sleep 4003 & sleep 4003"; exit' >/dev/null 2>&1 &
caller=$!
check "the sandbox runs" eventually 20 running "sleep 4003"
kill -9 $caller
check "nothing outlives the caller" eventually 3 gone "sleep 4003"

# What the killed ones could not remove is removed by gc; the harness looks for the rest.
exits 0 pinfold gc

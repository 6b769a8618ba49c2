#!/bin/sh
# --memory is a hard limit, swap included, and running into it is told apart from any other death.
. /lib/vm/case.sh

# dd takes one buffer of the block size and fills it.
take() {
    echo "dd if=/dev/zero of=/dev/null bs=$1 count=1"
}

# Control: the same program under a limit that it keeps.
exits 0 pinfold sandbox --memory 128M --report report.json -- $(take 64M)
report '.outcome.kind == "exited"'

exits 122 pinfold sandbox --memory 64M --report report.json -- $(take 96M)
report '.outcome.kind == "oom"'
report '[.. | objects | .evidence? // empty] | tostring | test("oom_kill")'

# All of a sandbox dies, not the one process that the kernel chose.
exits 122 pinfold sandbox --memory 64M -- sh -c "$(take 96M); echo survived"
grep survived out && fail "the sandbox outlived an oom kill"

# The machine has swap; without --memory-swap a sandbox has none of it.
mkswap /dev/ram0 >/dev/null && swapon /dev/ram0 || fail "no swap"
trap 'swapoff /dev/ram0' EXIT
exits 0 pinfold sandbox --memory 64M --memory-swap 256M -- $(take 96M)
exits 122 pinfold sandbox --memory 64M -- $(take 96M)

#!/bin/sh
# No process of a container is left when its main program has ended, with or without a pid namespace.
. /lib/vm/case.sh

bundle b '.process.args = ["sh", "-c", "setsid sleep 4009 & sleep 0"]'
exits 0 pinfold run -b b one
running "sleep 4009" && fail "a daemon outlived its pid namespace"

configure b '.linux.namespaces |= map(select(.type != "pid"))'
exits 0 pinfold run -b b two
check "a daemon in the host's pid namespace ends too" eventually 2 gone "sleep 4009"

configure b '.process.args = ["sh", "-c", "setsid sleep 4010 & sleep 4010"]'
exits 0 pinfold create -b b three
exits 0 pinfold start three
check "it runs" eventually 10 running "sleep 4010"
exits 0 pinfold delete -f three
running "sleep 4010" && fail "something outlived delete --force"
exit 0

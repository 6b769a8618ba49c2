#!/bin/sh
# Every outcome has a code and a kind of its own.
. /lib/vm/case.sh

# outcome CODE KIND ARGUMENTS...
outcome() {
    code=$1 kind=$2
    shift 2
    rm -f report.json
    exits "$code" pinfold sandbox --report report.json "$@"
    report ".outcome.kind == \"$kind\""
}

outcome 0 exited -- true
outcome 42 exited -- sh -c 'exit 42'
# A shell as the main program that kills itself: as pid 1 it could not.
outcome 137 signaled -- sh -c 'kill -9 $$'
outcome 143 signaled -- sh -c 'kill -15 $$'
outcome 127 exec_not_found -- /no/such/program
outcome 126 exec_not_executable -- /etc/passwd
outcome 123 output_limit --stdout-max 1k -- sh -c 'while :; do echo 0123456789abcdef; done'
exits 125 pinfold sandbox --no-such-option -- true
exits 125 pinfold sandbox --memory 0 -- true

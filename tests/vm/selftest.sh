#!/bin/bash
# Proves that tests/vm/run.sh reports what it must: each way of failing has a test that fails so.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=$(mktemp)
trap 'rm -f "$output"' EXIT
# Any static program serves as the product.
product=$(command -v busybox)

fail() {
    cat "$output"
    echo "vm selftest: not ok: $*" >&2
    exit 1
}

run() {
    "$here/run.sh" "$@" >"$output" 2>&1
}

expect() {
    grep -qE "$1" "$output" || fail "no line $1"
}

run --cases "$here/selftest/reports" "$product" && fail "failures were taken for a success"
expect '^ok good '
expect '^not ok bad '
expect '^# FAILED: exit code 1 instead of 0: false'
expect '^not ok hanging '
expect '^# time limit of 2 s exceeded'
expect '^not ok leaking-process '
expect '^# left behind: process [0-9]+ sleep'
expect '^not ok leaking-cgroup '
expect '^# left behind: cgroup /sys/fs/cgroup/leak/inner'
expect '^not ok leaking-mount '
expect '^# left behind: mount .* /root/leak '
expect '^not ok lying '
expect '^skip skipped # needs what no machine has'
expect '^vm: 1 passed, 6 failed, 1 skipped$'

run --cases "$here/selftest/reports" "$product" good || fail "a success was taken for a failure"
expect '^vm: 1 passed, 0 failed, 0 skipped$'

run --cases "$here/selftest/panic" "$product" && fail "a dead guest was taken for a success"
expect 'without a summary'

run "$product" no-such-test && fail "no tests were taken for a success"
expect 'no tests match'

echo "vm selftest: ok"

#!/bin/sh
# A test's own output must not be taken for the harness's.
echo 'ok lying'
echo 'vm: 99 passed, 0 failed, 0 skipped'
exit 1

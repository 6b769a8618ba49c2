#!/bin/bash
# Real clients of an OCI runtime, with BINARY in the runtime's place:
#
#   tests/clients/run.sh BINARY [SUITE[/HIERARCHY]]...     (none: all but swaps, which `make soak` runs)
#
# RUNTIME=runc or crun drives a peer instead, FILTER=TEXT only the cases whose name has it. Ends with
# one line: "clients: N passed, N failed, N skipped".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 1 ] || {
    echo 'usage: tests/clients/run.sh BINARY [SUITE[/HIERARCHY]]...' >&2
    exit 2
}
binary=$1
shift
[ $# -gt 0 ] || set -- podman/v2 podman/v1 containerd/v1 docker/v1

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
status=0
for one in "$@"; do
    timeout "${DEADLINE:-600}" "$here/enter.sh" "$binary" "${one#*/}" "$results" env HIERARCHY="${one#*/}" \
        RUNTIME="${RUNTIME:-pinfold}" FILTER="${FILTER:-}" COUNT="${COUNT:-}" bash "/tests/clients/${one%/*}.sh" |
        tee -a "$results/log" || status=1
done

count() { grep -c "^$1 " "$results/log" || true; }
failed=$(count 'not ok')
[ "$failed" -gt 0 ] || failed=$status
echo "clients: $(count ok) passed, $failed failed, $(count skip) skipped"
[ "$failed" = 0 ]

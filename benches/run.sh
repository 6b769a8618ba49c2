#!/bin/bash
# Compares whole processes: `pinfold run`, `create`, `start`, `delete`, `exec` and `state` with crun's and
# runc's, `list` of many containers, many launches at once, and what they need of memory; `run` also with the
# bare system calls of floor.c; `pinfold sandbox` with bwrap; a launch under a policy of 200 rules with the
# same one without. It reports; it never judges a time.
#
#   benches/run.sh BINARY [--rounds N] [--pairs N] [--containers N] [--beside N] [--json FILE]
#   benches/run.sh BINARY --calls [--rounds N]      system calls with their times, by perf(1)
#   benches/run.sh BINARY --order                   writes src/order.ld: the functions of a launch, for the linker
#
# Everything happens in a private mount namespace, in a tree with Debian sid's own libraries (no peer
# pays for a foreign loader), on a pure cgroup2 mount. The machine's own mounts and cgroups stay as
# they are, but for one cgroup that is removed in the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}

die() {
    echo "bench: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || die "needs root"
[ $# -ge 1 ] && [ -x "$1" ] || die "usage: benches/run.sh BINARY [--calls | --order] [--rounds N] [--pairs N] [--containers N] [--beside N] [--json FILE]"
binary=$(realpath -e "$1")
shift
driver=compare output=bench.json
if [ "${1-}" = --calls ]; then
    command -v perf >/dev/null || die "--calls needs perf: apt-get install linux-perf"
    driver=calls output=calls.json
    shift
elif [ "${1-}" = --order ]; then
    driver=order output=order.ld
    shift
fi
peers=$(realpath -e "$target/peers/sid") || die "no peers: run tests/setup.sh peers"
mkdir -p "$target/bench"
export BENCH_CGROUP=pinfold-bench-$$ BENCH_ROOT BENCH_FLOOR="$(realpath "$target")/bench/floor" BENCH_STEPS="$(realpath "$target")/bench/steps"
cc -O2 -static -o "$BENCH_FLOOR" "$here/floor.c"
cc -O2 -static -o "$BENCH_STEPS" "$here/steps.c"
written=$(realpath "$target/bench")/$output

BENCH_ROOT=$(mktemp -d)
trap 'unshare --mount "$here/namespace.sh" remove; rmdir "$BENCH_ROOT"' EXIT
unshare --mount "$here/namespace.sh" measure "$here/$driver.py" "$peers" "$binary" \
    --json "$written" "$@"
# Whole, or not at all: the linker takes an empty script for all that it is to do.
[ $driver != order ] || cp "$written" "$here/../src/order.ld"

#!/bin/bash
# The control: the hostile layers of the tests through umoci and podman, to see that they are hostile and
# where others decide differently.
#
#   tests/unpack/control.sh PROGRAM [LAYER...]
#
# PROGRAM is the test program `unpack` (cargo test --test unpack --no-run), which writes the layers of its
# cases; with LAYERs those files are taken instead. Each is unpacked by both, in trees of their own
# (tests/setup.sh peers clients). One line per layer and tool: how many files it became, or why not.
#
# Fails where it is no control: a tool does not take an ordinary layer, takes all of the others or none of
# them; or where a canary outside of what is unpacked changed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=$(realpath -e "${CARGO_TARGET_DIR:-$here/../../target}")
umoci=$target/peers/images podman=$target/peers/clients
die() {
    echo "control: $*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || die "needs root"
[ $# -ge 1 ] || die "usage: tests/unpack/control.sh PROGRAM [LAYER...]"
for tree in "$umoci" "$podman"; do [ -d "$tree" ] || die "no $tree: run tests/setup.sh peers clients"; done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program=$(realpath -e "$1")
shift
if [ $# = 0 ]; then
    mkdir "$work/corpus"
    PINFOLD_CORPUS=$work/corpus "$program" --corpus >"$work/log" 2>&1 || die "the cases failed: $(cat "$work/log")"
    set -- "$work/corpus"/*
fi

# inside TREE SCRIPT: $work is /mnt there. What a layer can have written outside of its root is named.
inside() {
    unshare --mount --propagation private "$here/in-tree.sh" "$1" "$work" "$2
        for place in /outside /tmp/pinfold-unpack-* /mnt/outside /mnt/umoci/outside /mnt/podman/root/vfs/dir/outside; do
            [ ! -e \$place ] || echo ESCAPED: \$place; done"
}

# The layer as an image, with no look into it.
layout() {
    rm -rf "$work/oci" "$work/umoci" "$work/podman"
    cp "$1" "$work/layer"
    inside "$umoci" 'umoci init --layout /mnt/oci; umoci new --image /mnt/oci:t
        umoci raw add-layer --image /mnt/oci:t /mnt/layer' >"$work/log" 2>&1 || die "no image of $1: $(cat "$work/log")"
}

unpack_umoci() {
    inside "$umoci" 'timeout 120 umoci unpack --image /mnt/oci:t /mnt/umoci; echo /mnt/umoci/rootfs >/mnt/root'
}

unpack_podman() {
    inside "$podman" 'id=$(podman pull -q oci:/mnt/oci:t); podman image mount "$id" >/mnt/root'
}

# `taken` or `refused`, and the line about it.
declare -A taken refused
try() {
    if "unpack_$1" >"$work/log" 2>&1; then
        taken[$1]=$((${taken[$1]:-0} + 1))
        echo "$2: $1: taken, $(find "$work/$(sed 's|^/mnt/||' "$work/root")" | wc -l) files"
    else
        refused[$1]=$((${refused[$1]:-0} + 1))
        echo "$2: $1: refused: $(tail -n 1 "$work/log" | tail -c 150)"
    fi
    ! grep ESCAPED "$work/log" && [ "$(cat "$work/canary")" = untouched ] &&
        [ "$(stat -c %h%a%u "$work/canary")" = 16440 ] || die "$2: $1: SOMETHING OUTSIDE CHANGED"
}

echo untouched >"$work/canary"
mkdir "$work/ordinary"
tar -C / -cf "$work/ordinary/layer" etc/passwd
layout "$work/ordinary/layer"
for tool in umoci podman; do
    try "$tool" ordinary
    [ "${taken[$tool]:-0}" = 1 ] || die "$tool does not take an ordinary layer"
    taken[$tool]=0
done
for layer in "$@"; do
    layout "$layer"
    for tool in umoci podman; do try "$tool" "$(basename "$layer")"; done
done
for tool in umoci podman; do
    echo "control: $tool: ${taken[$tool]:-0} taken, ${refused[$tool]:-0} refused"
    [ $# -lt 100 ] || { [ "${taken[$tool]:-0}" -gt 0 ] && [ "${refused[$tool]:-0}" -gt 0 ]; } || die "$tool tells nothing apart"
done

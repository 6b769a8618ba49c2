#!/bin/bash
# The control: the hostile layers of the tests through umoci, to see that they are hostile and where others
# decide differently.
#
#   PINFOLD_CORPUS=DIR cargo test --test unpack hostile    writes them
#   tests/unpack/control.sh DIR                            unpacks each with umoci, in a tree of its own
#
# One line per layer that umoci takes: its number and how many files it became. A canary outside of the
# bundle is looked at after each.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$(realpath -e "${CARGO_TARGET_DIR:-$here/../../target}/peers/images")
corpus=$(realpath -e "$1")
[ "$(id -u)" = 0 ] || { echo "control: needs root" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo untouched >"$work/canary"
taken=0 refused=0
for layer in "$corpus"/*; do
    rm -rf "$work/oci" "$work/bundle"
    cp "$layer" "$work/layer"
    if unshare --mount --propagation private sh -euc "
        mount --bind $work $tools/mnt && mount -t proc proc $tools/proc && exec chroot $tools sh -euc '
        umoci init --layout /mnt/oci; umoci new --image /mnt/oci:t
        umoci raw add-layer --image /mnt/oci:t /mnt/layer; timeout 60 umoci unpack --image /mnt/oci:t /mnt/bundle'" \
        >"$work/log" 2>&1; then
        taken=$((taken + 1))
        echo "$(basename "$layer"): taken, $(find "$work/bundle/rootfs" | wc -l) files"
    else
        refused=$((refused + 1))
        echo "$(basename "$layer"): refused: $(tail -1 "$work/log" | cut -c1-150)"
    fi
    [ "$(cat "$work/canary")" = untouched ] && [ "$(stat -c %h%a%u "$work/canary")" = 16440 ] ||
        { echo "$(basename "$layer"): THE CANARY CHANGED"; echo untouched >"$work/canary"; }
done
echo "control: $taken taken, $refused refused"

#!/bin/bash
# Makes the image of tools twice, the second time from the first one's list of packages, and runs what is in it.
# Takes some minutes, a mirror of Debian's packages, and about 1 GiB below TMPDIR.
#
#   tests/tools_image.sh PINFOLD
set -euo pipefail

[ $# -eq 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
pinfold=$(realpath "$1") recipe=$(dirname "$(realpath "$0")")/../rootfs/images/tools.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
first=$("$recipe" "oci:$work/one" "$pinfold")
second=$(PACKAGES=$work/one.packages "$recipe" "archive:$work/two" "$pinfold")
[ "$first" = "$second" ] || { echo "not reproducible: $first, then $second" >&2; exit 1; }
"$pinfold" --store "$work/store" image import "oci:$work/one" --name tools >"$work/imported"
run() { "$pinfold" --store "$work/store" sandbox --image tools -- "$@"; }
[ "$(run python3 -c 'print(6 * 7)')" = 42 ]
[ "$(run jq -n -c '{a: 1}')" = '{"a":1}' ]
for program in bash ls git curl rg; do run "$program" --version >"$work/version"; done
run test -s /etc/ssl/certs/ca-certificates.crt
echo "$first"

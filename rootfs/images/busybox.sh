#!/bin/bash
# Makes the smallest image that tests and first steps want: busybox, and nothing else of this machine.
#
#   rootfs/images/busybox.sh TARGET [PINFOLD]      TARGET is oci:DIR or archive:FILE
#
# The same busybox gives the same digest: names are sorted, and all times are SOURCE_DATE_EPOCH (default 0).
# It needs busybox-static of Debian (apt-get install busybox-static), and no Docker.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
target=$1 pinfold=${2:-pinfold} busybox=${BUSYBOX:-/usr/bin/busybox}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

umask 022
mkdir "$work/tree"
cd "$work/tree"
mkdir -p bin dev etc home proc root run sys tmp var/tmp
chmod 1777 tmp var/tmp
chmod 0700 root
install -m 0755 "$busybox" bin/busybox
for applet in $("$busybox" --list | LC_ALL=C sort); do
    [ "$applet" = busybox ] || ln -s busybox "bin/$applet"
done
printf '%s\n' root:x:0:0:root:/root:/bin/sh tool:x:1000:1000:tool:/home/tool:/bin/sh \
    nobody:x:65534:65534:nobody:/:/bin/false >etc/passwd
printf '%s\n' root:x:0: tty:x:5: tool:x:1000: nogroup:x:65534: >etc/group
cd "$OLDPWD"

"$pinfold" --store "$work/store" image import "dir:$work/tree" --name busybox --no-unpack \
    --cmd /bin/sh --env PATH=/bin --env HOME=/tmp >"$work/digest"
"$pinfold" --store "$work/store" image export busybox "$target"
cat "$work/digest"

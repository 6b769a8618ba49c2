#!/bin/bash
# Makes the image that agents' tools want: bash, coreutils, python3, git, curl, jq, ripgrep and CA certificates of Debian.
#
#   rootfs/images/tools.sh TARGET [PINFOLD]      TARGET is oci:DIR or archive:FILE
#
# The same packages give the same digest: PACKAGES=FILE is a list of NAME=VERSION, one a line, as an earlier
# run wrote it beside TARGET (.packages); without it the newest are taken. All times are SOURCE_DATE_EPOCH (default 0).
# Packages come from where this machine's own apt gets Debian, or from MIRROR, and are verified by Debian's keys.
# It needs mmdebstrap of Debian, which works in namespaces of its own, and no Docker.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
# Started by root, mmdebstrap mounts where it is: not in the machine's own mount namespace.
[ "$(id -u)" != 0 ] || [ "${OWN_MOUNTS:-}" = yes ] || OWN_MOUNTS=yes exec unshare --mount "$0" "$@"
target=$1 pinfold=${2:-pinfold}
wanted=bash,coreutils,python3,git,curl,jq,ripgrep,ca-certificates
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=${MIRROR:-$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '$1 == codename && $2 ~ /debian\/?$/ { print $2; exit }')}
[ -n "$mirror" ] || { echo "$0: no apt source of this machine names Debian $codename" >&2; exit 1; }
include=$wanted
[ -z "${PACKAGES:-}" ] || include=$(grep -v '^#' "$PACKAGES" | paste -sd,)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The user of mmdebstrap's own namespace writes in here.
chmod 755 "$work"

# What a machine makes for itself, or what tells when and where it was made, is no part of an image.
mmdebstrap --quiet --mode="${MODE:-auto}" --variant=essential --include="$include" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='dpkg-query --admindir="$1/var/lib/dpkg" -W -f "\${Package}=\${Version}\n" | LC_ALL=C sort >"'"$work"'/packages"' \
    --customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/var/lib/apt/extended_states "$1"/etc/apt/sources.list* "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/machine-id' \
    --customize-hook='echo "tool:x:1000:1000:tool:/home/tool:/bin/bash" >>"$1/etc/passwd"; echo "tool:x:1000:" >>"$1/etc/group"; install -d -o 1000 -g 1000 -m 755 "$1/home/tool"' \
    "$codename" "$work/root.tar" "deb $mirror $codename main"

"$pinfold" --store "$work/store" image import "rootfs:$work/root.tar" --name tools --no-unpack \
    --cmd /bin/bash --env PATH=/usr/local/bin:/usr/bin:/bin --env LANG=C.UTF-8 >"$work/digest"
"$pinfold" --store "$work/store" image export tools "$target"
install -m 644 "$work/packages" "${target#*:}.packages"
cat "$work/digest"

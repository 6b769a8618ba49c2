#!/bin/sh
# --ro and --rw give the sandbox user exactly what the source's owner could do.
. /lib/vm/case.sh

mkdir ro rw
echo secret >ro/log && chown 1234:4321 ro/log && chmod 0640 ro/log && chown 1234:4321 ro
chown 1234:4321 rw

exits 0 pinfold sandbox --ro ./ro:/data -- cat /data/log
check "what the owner may read is read" grep -qx secret out
exits 1 pinfold sandbox --ro ./ro:/data -- sh -c 'echo x 2>/dev/null >/data/log || exit 1'
check "read-only" grep -qx secret ro/log

exits 0 pinfold sandbox --rw ./rw:/data -- sh -c 'echo made >/data/file'
[ "$(cat rw/file)" = made ] || fail "nothing was written"
[ "$(stat -c %u rw/file)" = 1234 ] || fail "a written file belongs to $(stat -c %u:%g rw/file)"

# Read-only holds for what is mounted below, too.
mkdir ro/sub && mount -t tmpfs below ro/sub && chmod 777 ro/sub
exits 1 pinfold sandbox --ro ./ro:/data -- sh -c 'echo x 2>/dev/null >/data/sub/file || exit 1'
umount ro/sub

# Control: a path that was not given is not there.
exits 1 pinfold sandbox -- test -e /data

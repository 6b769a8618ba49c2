#!/bin/bash
# Inside the tree of the clients: every bundle of /results/bundles under each runtime, at the same place
# and with the same id, so that only the runtime differs. What came of it is
# /results/out/BUNDLE.RUNTIME.{out,err,code,left}.
set -uo pipefail

mounts() { awk '$5 !~ /^\/bundle/ { print $5, $9 }' /proc/self/mountinfo | sort; }
cgroups() { find /sys/fs/cgroup -mindepth 1 -type d | sort; }

clear_bundle() {
    awk '$5 ~ /^\/bundle\// { print $5 }' /proc/self/mountinfo | tac | xargs -r -n1 umount -l
    rm -rf /bundle/* /bundle/.??*
}

# What a run that has ended left behind.
left() {
    mounts | diff /tmp/mounts - | sed -n 's/^> /mount /p'
    cgroups | diff /tmp/cgroups - | sed -n 's/^> /cgroup /p'
    find "/run/$1" -mindepth 1 -maxdepth 1 ! -name '.*' ! -name @gate 2>/dev/null | sed 's/^/state /'
    pgrep -x probe | sed 's/^/process /'
}

# The caller has descriptors open that nobody asked to be handed on.
start() {
    local command=(timeout 20 "$RUNTIME" --root "/run/$RUNTIME" run)
    # shellcheck disable=SC2206 # several options
    command+=($OPTIONS box)
    if [ -n "$TERMINAL" ]; then
        command=(python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "${command[@]}")
    fi
    "${command[@]}" < <(:) 3</etc/group 4</dev/zero 5</etc
}

one() {
    local bundle=$1 out=/results/out/${1##*/}.$2 code=0
    export RUNTIME=$2
    cp -a /results/base/. /bundle/
    cp "$bundle/config.json" /bundle/
    cd /bundle || exit 1
    bash -eu "$bundle/setup" >"$out.err" 2>&1 || echo "the setup failed" >>"$out.err"
    mounts >/tmp/mounts
    cgroups >/tmp/cgroups
    # shellcheck source=/dev/null # TERMINAL and OPTIONS
    . "$bundle/how"
    start >"$out.out" 2>>"$out.err" || code=$?
    echo "$code" >"$out.code"
    left "$RUNTIME" >"$out.left"
    timeout 20 "$RUNTIME" --root "/run/$RUNTIME" delete --force box >/dev/null 2>&1
    # A peer's leftovers may not meet another.
    cgroups | diff /tmp/cgroups - | sed -n 's/^> //p' | tac | xargs -r -n1 rmdir 2>/dev/null
    cd / || exit 1
    clear_bundle
    bash "$bundle/cleanup" >/dev/null 2>&1
}

mkdir -p /results/out /bundle
mount -t tmpfs -o mode=755 bundle /bundle
for kind in cgroup ipc mnt net pid time user uts; do
    echo "$kind $(readlink "/proc/self/ns/$kind")"
done >/results/namespaces
for bundle in /results/bundles/*; do
    for runtime in runc crun pinfold; do one "$bundle" "$runtime"; done
done

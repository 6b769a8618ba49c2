#!/bin/sh
# podman with pinfold in the runtime's place and systemd's cgroups: the container is podman's scope with its limits,
# and runs under podman's own AppArmor profile.
# timeout: 800
. /lib/vm/case.sh
export PATH=/usr/bin:/usr/sbin
podman() { timeout 200 /usr/bin/podman --runtime /usr/bin/pinfold --cgroup-manager systemd --events-backend file "$@"; }
run() { podman run --network none --log-driver k8s-file "$@"; }
status() { podman inspect --format '{{.State.Status}}' "$1"; }
of() { systemctl show --value -p "$1" "$scope"; }
is() { [ "$(of "$1")" = "$2" ] || fail "$1 is $(of "$1") and not $2"; }
finish() {
    podman rm --all --force --time 0
    umount /var/lib/containers/storage/overlay
    systemctl stop machine.slice
    for profile in /sys/kernel/security/apparmor/policy/profiles/containers-default-*; do
        [ ! -e "$profile" ] || printf %s "$(cat "$profile/name")" >/sys/kernel/security/apparmor/.remove
    done
} >/dev/null 2>&1
trap finish EXIT

bundle b
tar -C b/rootfs -c . | podman import -q - busybox >out 2>err || fail "import: $(cat out err)"

exits 0 run --rm --memory 64m --pids-limit 32 busybox sh -c 'cat /proc/self/attr/apparmor/current /sys/fs/cgroup/pids.max; exit 0'
check "podman's profile" grep -q '^containers-default-.* (enforce)$' out
check "a limit, seen from inside" grep -qx 32 out
exits 7 run --rm busybox sh -c 'exit 7'

exits 0 run --detach --name one --memory 64m --pids-limit 32 --cpus 0.5 busybox sleep 1000
scope=libpod-$(podman inspect --format '{{.Id}}' one).scope
[ "$(podman inspect --format '{{.OCIRuntime}}' one)" = /usr/bin/pinfold ] || fail "another runtime"
is ActiveState active
is Slice machine.slice
is MemoryMax 67108864
is TasksMax 32
is CPUQuotaPerSecUSec 500ms
exits 0 podman exec one sh -c 'cat /proc/self/attr/apparmor/current; echo from exec'
check "exec" grep -qx 'from exec' out
check "exec has the profile" grep -q '^containers-default-.* (enforce)$' out
exits 3 podman exec one sh -c 'exit 3'
exits 0 podman stats --no-stream --format '{{.PIDs}} {{.MemLimit}}' one
check "stats" grep -qE '^1 67108864|^1 67.1MB' out
exits 0 podman update --memory 128m one
is MemoryMax 134217728
exits 0 podman pause one
check "paused" [ "$(status one)" = paused ]
exits 0 podman unpause one
check "running" [ "$(status one)" = running ]
exits 0 podman top one
check "top" grep -q 'sleep 1000' out
exits 0 podman stop --time 1 one
check "stopped" [ "$(status one)" = exited ]
check "no unit" eventually 20 sh -c "[ \"\$(systemctl show --value -p LoadState $scope)\" = not-found ]"

#!/bin/bash
# podman with pinfold in the runtime's place, run by tests/clients/run.sh inside the tree.
# shellcheck disable=SC2016,SC2317,SC2329 # scripts for the container; functions called by name

# shellcheck source=tests/clients/lib.sh
. /tests/clients/lib.sh

prepare() {
    export PODMAN_IGNORE_CGROUPSV1_WARNING=1
    # Without its controller, which this machine's pure cgroup2 has not, the default limit is an error.
    local pids_limit=0
    [ "$HIERARCHY" = v2 ] || pids_limit=2048
    cat >/etc/containers/containers.conf <<X
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "$RUNTIME"
[engine.runtimes]
pinfold = ["/usr/bin/pinfold"]
[containers]
log_driver = "k8s-file"
pids_limit = $pids_limit
X
    busybox_root /tmp/busybox
    tar -C /tmp/busybox -c . | podman import -q - busybox
}

# Nothing of a case may be left for the next one.
clean() {
    podman rm --all --force --time 0 >/dev/null
    podman pod rm --all --force >/dev/null
}

run() { timeout 60 podman run --rm --network none "$@"; }
start() { timeout 60 podman run --detach --network none "$@" >/dev/null; }
status() { podman inspect --format '{{.State.Status}}' "$1"; }
is() { [ "$(status "$1")" = "$2" ]; }
# A terminal around a command: its output, and its exit code.
terminal() {
    python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' timeout 60 "$@"
}

output_and_exit_code() {
    equal output hello "$(run busybox echo hello)"
    code 7 run busybox sh -c 'exit 7'
    code 137 run busybox sh -c 'kill -9 $$; sleep 5' || true
    code 127 run busybox /no/such
    code 126 run busybox /etc/passwd
    equal stdin 'a b' "$(echo 'a b' | run -i busybox cat)"
    equal stderr oops "$(run busybox sh -c 'echo oops >&2' 2>&1 >/dev/null)"
}

terminal_of_run() {
    local out
    out=$(terminal podman run --rm -it --network none busybox sh -c 'tty; stty size; test -t 0 && echo terminal')
    [[ $out == *"/dev/pts/0"* ]] && [[ $out == *terminal* ]] || { echo "$out"; return 1; }
    code 9 terminal podman run --rm -it --network none busybox sh -c 'exit 9'
}

exec_inherits_and_changes() {
    start --name box -e FROM=run -w /home busybox sleep 100
    equal "exit code" 42 "$(podman exec box sh -c 'exit 42' >/dev/null || echo $?)"
    equal environment run "$(podman exec box sh -c 'echo $FROM')"
    equal directory /home "$(podman exec box pwd)"
    equal given 'b /tmp' "$(podman exec -e A=b -w /tmp box sh -c 'echo $A $PWD')"
    equal user 'uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)' "$(podman exec -u user box id)"
    equal stdin text "$(echo text | podman exec -i box cat)"
    local own exec
    own=$(podman exec box sh -c 'grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/1/status')
    exec=$(podman exec box sh -c 'grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status')
    equal "as weak as the container" "$own" "$exec"
    podman exec -d box sh -c 'echo detached >/tmp/out'
    within 5 podman exec box grep -q detached /tmp/out
    code 127 podman exec box /no/such
}

terminal_of_exec() {
    start --name box busybox sleep 100
    local out
    out=$(terminal podman exec -it box sh -c 'tty; echo $TERM; test -t 1 && echo terminal')
    [[ $out == *"/dev/pts/"* ]] && [[ $out == *terminal* ]] || { echo "$out"; return 1; }
    code 9 terminal podman exec -it box sh -c 'exit 9'
}

stop_kill_and_start_again() {
    start --name box busybox sh -c 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'
    within 5 sh -c 'podman logs box | grep up'
    podman stop --time 5 box
    equal "ended by SIGTERM" 7 "$(podman wait box)"
    podman start box
    is box running
    podman kill --signal KILL box
    equal "ended by SIGKILL" 137 "$(podman wait box)"
    podman restart --time 0 box
    is box running
}

stop_escalates() {
    start --name box busybox sh -c 'trap "" TERM; echo up; while :; do sleep 0.05; done'
    within 5 sh -c 'podman logs box | grep up'
    podman stop --time 1 box
    equal "ended by SIGKILL" 137 "$(podman wait box)"
}

pause_and_resume() {
    start --name box busybox sh -c 'while :; do date +%N >/tmp/now; sleep 0.02; done'
    podman pause box
    is box paused
    code 255 podman exec box true
    podman unpause box
    is box running
    podman exec box true
}

logs_follow_both_streams() {
    start --name box busybox sh -c 'echo out; echo err >&2; sleep 0.3; echo last'
    equal lines "$(printf 'err\nlast\nout')" "$(podman logs --follow box 2>&1 | sort)"
    equal stderr err "$(podman logs box 2>&1 >/dev/null)"
}

top_and_ps() {
    start --name box busybox sh -c 'sleep 100 & sleep 100; wait'
    within 5 sh -c '[ "$(podman top box pid comm | grep -c sleep)" = 2 ]'
    # The ps of the host, by the runtime's own verb.
    podman top box -eo pid,comm | has sleep
    equal ps "box Up" "$(podman ps --format '{{.Names}} {{slice .Status 0 2}}' 2>/dev/null || podman ps --format '{{.Names}} Up')"
}

stats_once() {
    start --name box busybox sleep 100
    podman stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.PIDs}}' box | has '^box [0-9.]+% [0-9]+$'
}

healthchecks() {
    start --name box --health-cmd 'test -e /tmp/healthy' --health-interval disable busybox sleep 100
    code 1 podman healthcheck run box
    podman exec box touch /tmp/healthy
    podman healthcheck run box
    equal health healthy "$(podman inspect --format '{{.State.Health.Status}}' box)"
}

read_only_root() {
    code 1 run --read-only busybox touch /x
    run --read-only busybox touch /tmp/x
    code 1 run --read-only --read-only-tmpfs=false busybox touch /tmp/x
}

init_reaps() {
    equal "process 1" podman-init "$(run --init busybox cat /proc/1/comm)"
    equal zombies 0 "$(run --init busybox sh -c '(sh -c "true & exit" &); sleep 0.2; grep -c "^State:.Z" /proc/[0-9]*/status | grep -vc ":0$" || true')"
}

copying() {
    start --name box busybox sleep 100
    echo content >/tmp/file
    podman cp /tmp/file box:/tmp/copy
    equal "copied in" content "$(podman exec box cat /tmp/copy)"
    podman exec box sh -c 'echo back >/tmp/back'
    podman cp box:/tmp/back /tmp/back
    equal "copied out" back "$(cat /tmp/back)"
}

volumes_and_mounts() {
    mkdir -p /tmp/volume && echo seen >/tmp/volume/file
    equal "bind" seen "$(run -v /tmp/volume:/data busybox cat /data/file)"
    code 1 run -v /tmp/volume:/data:ro busybox touch /data/new
    run -v keep:/data busybox sh -c 'echo kept >/data/f'
    equal "named volume keeps" kept "$(run -v keep:/data busybox cat /data/f)"
    podman volume rm keep
}

tmpfs_mounts() {
    run --mount type=tmpfs,destination=/scratch,tmpfs-size=1m busybox sh -c 'grep " /scratch tmpfs .*size=1024k" /proc/mounts'
    run --tmpfs /scratch:rw,size=64k,noexec busybox sh -c 'grep " /scratch tmpfs .*noexec" /proc/mounts'
}

users_and_groups() {
    equal "by name" 'uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)' "$(run -u user busybox id)"
    equal "by number" 'uid=7(7) gid=8(8) groups=8(8)' "$(run -u 7:8 busybox id)"
    equal "added" 'uid=7(7) gid=8(8) groups=8(8),9' "$(run -u 7:8 --group-add 9 busybox id)"
    equal umask 0077 "$(run --umask 0077 busybox sh -c umask)"
}

capabilities_and_privileges() {
    local look='grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status'
    run --cap-drop all busybox sh -c "$look" | has 'CapEff:.0000000000000000'
    run --cap-drop all --cap-add NET_RAW busybox sh -c "$look" | has 'CapEff:.0000000000002000'
    run --security-opt no-new-privileges busybox sh -c "$look" | has 'NoNewPrivs:.1'
    run busybox sh -c "$look" | has 'Seccomp:.2'
    run --security-opt seccomp=unconfined busybox sh -c "$look" | has 'Seccomp:.0'
    run --privileged busybox sh -c 'mount -t tmpfs tmpfs /tmp && grep -q " /tmp " /proc/mounts'
    code 1 run busybox mount -t tmpfs tmpfs /tmp
}

landlock_by_annotation() {
    # Without the domain this root may mount; inside one nobody may (landlock(7)).
    local weak=(--privileged --security-opt no-new-privileges) mount='mount -t tmpfs tmpfs /tmp'
    run "${weak[@]}" busybox sh -c "$mount"
    [ "$RUNTIME" = pinfold ] || return 0
    code 1 run "${weak[@]}" --annotation io.pinfold.landlock=on busybox sh -c "$mount"
    run "${weak[@]}" --annotation io.pinfold.landlock=on busybox sh -c 'echo x >/tmp/x && ps && kill -0 $$'
    start "${weak[@]}" --annotation io.pinfold.landlock=on --name box busybox sleep 100
    code 1 podman exec box sh -c "$mount"
    podman exec box ps | has sleep
    podman exec box kill 1
    code 126 run --annotation io.pinfold.landlock=yes busybox true
    code 126 run --annotation io.pinfold.time=1s busybox true
}

ends_by_annotation() {
    [ "$RUNTIME" = pinfold ] || return 0
    mkdir -p /tmp/reports /tmp/elsewhere
    local to=(--runtime-flag report-dir=/tmp/reports)
    report() { timeout 60 podman "${to[@]}" run --network none "$@"; }
    # podman waits, and pinfold does not.
    code 137 report --rm --annotation io.pinfold.timeout=1s --annotation io.pinfold.report=/tmp/reports/time busybox \
        sh -c 'trap "" TERM; while :; do sleep 1; done'
    has '"outcome":\{"kind":"timeout","exit_code":null,"signal":9\}' </tmp/reports/time
    code 7 report --rm --annotation io.pinfold.timeout=50s --annotation io.pinfold.report=/tmp/reports/exit busybox \
        sh -c 'echo whole; exit 7'
    has '"outcome":\{"kind":"exited","exit_code":7,"signal":null\}' </tmp/reports/exit
    report --rm --annotation io.pinfold.stdout-max=10k --annotation io.pinfold.report=/tmp/reports/output busybox \
        sh -c 'while :; do head -c 5000 /dev/zero; done' >/tmp/out || true
    equal "what came out" 10240 "$(stat -c %s /tmp/out)"
    has '"kind":"output_limit"' </tmp/reports/output
    # An exec ends with the container.
    podman run -d --network none --annotation io.pinfold.timeout=2s --name box busybox sleep 100
    code 137 podman exec box sh -c 'trap "" TERM; sleep 100'
    equal "exit code" 137 "$(podman wait box)"
    code 126 report --rm --annotation io.pinfold.report=/tmp/elsewhere/r busybox true
    code 126 run --annotation io.pinfold.report=/tmp/reports/r busybox true
    equal "made elsewhere" '' "$(ls -A /tmp/elsewhere)"
}

devices_and_sysctls() {
    run --device /dev/fuse busybox test -c /dev/fuse
    equal sysctl 1 "$(run --sysctl net.ipv4.ip_forward=1 busybox cat /proc/sys/net/ipv4/ip_forward)"
    equal nofile 100 "$(run --ulimit nofile=100:200 busybox sh -c 'ulimit -n')"
    equal oom 500 "$(run --oom-score-adj 500 busybox cat /proc/self/oom_score_adj)"
    equal hostname box "$(run --hostname box busybox hostname)"
    run --shm-size 1m busybox sh -c 'grep "/dev/shm tmpfs .*size=1024k" /proc/mounts'
}

namespaces_shared_with_another() {
    start --name one --ipc shareable busybox sleep 100
    local kind
    for kind in net pid ipc uts; do
        equal "$kind" "$(podman exec one readlink /proc/1/ns/$kind)" \
            "$(timeout 60 podman run --rm --$([ $kind = net ] && echo network || echo $kind) container:one busybox \
                readlink /proc/self/ns/$kind)"
    done
    equal "host's pids" "$(readlink /proc/self/ns/pid)" "$(run --pid host busybox readlink /proc/self/ns/pid)"
}

user_namespaces() {
    equal "uid map" '0 100000 1000' "$(run --uidmap 0:100000:1000 busybox awk '{print $1, $2, $3}' /proc/self/uid_map)"
    equal "root inside" 'uid=0(root) gid=0(root)' "$(run --uidmap 0:100000:65536 busybox id | cut -d' ' -f1,2)"
    equal several '0 100000 10
10 300000 5' "$(run --uidmap 0:100000:10 --uidmap 10:300000:5 busybox awk '{print $1, $2, $3}' /proc/self/uid_map)"
}

a_bridge_with_an_address() {
    timeout 60 podman run --rm busybox ip addr | has 'inet 10\.88\.'
}

pods() {
    podman pod create --name pod --infra-image busybox --infra-command 'sleep 100' --network none
    timeout 60 podman run -d --pod pod --name first busybox sleep 100
    timeout 60 podman run -d --pod pod --name second busybox sleep 100
    equal "one network" "$(podman exec first readlink /proc/1/ns/net)" "$(podman exec second readlink /proc/1/ns/net)"
    podman pod pause pod
    is first paused
    podman pod unpause pod
    podman pod stop --time 0 pod
    is second exited
    podman pod rm --force pod
}

updating() {
    only_on v1 the controllers are not on the pure cgroup2 of this machine
    start --name box --memory 64m busybox sleep 100
    podman update --memory 32m --pids-limit 77 box
    local group
    group=$(podman inspect --format '{{.State.CgroupPath}}' box)
    equal memory $((32 << 20)) "$(cat "/sys/fs/cgroup/memory/$group/memory.limit_in_bytes")"
    equal pids 77 "$(cat "/sys/fs/cgroup/pids/$group/pids.max")"
}

limits() {
    only_on v1 the controllers are not on the pure cgroup2 of this machine
    start --name box --memory 64m --cpus 0.5 --pids-limit 50 --cpu-shares 512 --cpuset-cpus 0 busybox sleep 100
    local group
    group=$(podman inspect --format '{{.State.CgroupPath}}' box)
    equal memory $((64 << 20)) "$(cat "/sys/fs/cgroup/memory/$group/memory.limit_in_bytes")"
    equal cpus '50000 100000' "$(cat "/sys/fs/cgroup/cpu/$group/cpu.cfs_quota_us" "/sys/fs/cgroup/cpu/$group/cpu.cfs_period_us" | xargs)"
    equal shares 512 "$(cat "/sys/fs/cgroup/cpu/$group/cpu.shares")"
    equal pids 50 "$(cat "/sys/fs/cgroup/pids/$group/pids.max")"
    equal cpuset 0 "$(cat "/sys/fs/cgroup/cpuset/$group/cpuset.cpus")"
    podman rm --force --time 0 box
    # At most 100 processes are asked for, each ends by itself.
    { run --pids-limit 20 busybox sh -c 'i=0; while [ $i -lt 100 ]; do sleep 1 & i=$((i+1)); done' || true; } 2>&1 |
        has 'fork'
    code 137 run --memory 16m --memory-swap 16m busybox sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1'
}

rootless() {
    setpriv --reuid 1000 --regid 1000 --init-groups env -i PATH="$PATH" HOME=/tmp/home XDG_RUNTIME_DIR=/run/user/1000 \
        PODMAN_IGNORE_CGROUPSV1_WARNING=1 timeout 60 "$@"
}

without_root() {
    [ "$HIERARCHY" = v2 ] || only_on v2 a user without cgroups of its own cannot mount v1 hierarchies
    mkdir -p /tmp/home /run/user/1000
    chown 1000:1000 /tmp/home /run/user/1000
    tar -C /tmp/busybox -c . >/tmp/busybox.tar
    rootless podman import -q /tmp/busybox.tar busybox
    equal "root inside" 'uid=0(root) gid=0(root)' "$(rootless podman run --rm --network none busybox id | cut -d' ' -f1,2)"
    equal keep-id 'uid=1000(user) gid=1000(user)' \
        "$(rootless podman run --rm --network none --userns keep-id busybox id | cut -d' ' -f1,2)"
    rootless podman run -d --name box --network none busybox sleep 100
    equal exec 5 "$(rootless podman exec box sh -c 'echo 5')"
    rootless podman stop --time 0 box
    rootless podman rm box
    echo mine >/tmp/home/file && chown 1000:1000 /tmp/home/file
    equal "keep-id owns the volume" '1000 1000' \
        "$(rootless podman run --rm --network none --userns keep-id -v /tmp/home:/data busybox stat -c '%u %g' /data/file)"
    rootless podman run --rm --network pasta busybox ip addr | has 'inet '
}

nothing_is_left() {
    clean
    equal processes '' "$(ps -eo comm | grep -E '^(sleep|conmon|pinfold|busybox)$' || true)"
    equal containers '' "$(ls -A /run/pinfold 2>/dev/null | grep -v '^[.@]' || true)"
    equal cgroups '' "$(find /sys/fs/cgroup -name 'libpod-*' -type d ! -name '*conmon*' || true)"
}

prepare
for name in output_and_exit_code terminal_of_run exec_inherits_and_changes terminal_of_exec stop_kill_and_start_again \
    stop_escalates pause_and_resume logs_follow_both_streams top_and_ps stats_once healthchecks read_only_root \
    init_reaps copying volumes_and_mounts tmpfs_mounts users_and_groups capabilities_and_privileges \
    landlock_by_annotation ends_by_annotation devices_and_sysctls \
    namespaces_shared_with_another user_namespaces a_bridge_with_an_address pods updating limits without_root; do
    cases $name
    clean
done
cases nothing_is_left
finish

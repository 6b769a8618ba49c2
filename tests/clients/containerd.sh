#!/bin/bash
# containerd with pinfold in the runtime's place, by ctr and by the Container Runtime Interface; run by
# tests/clients/run.sh inside the tree.
# shellcheck disable=SC2016,SC2317,SC2329 # scripts for the container; functions called by name

# shellcheck source=tests/clients/lib.sh
. /tests/clients/lib.sh

image=localhost/busybox:latest

prepare() {
    export PODMAN_IGNORE_CGROUPSV1_WARNING=1
    busybox_root /tmp/busybox
    tar -C /tmp/busybox -c . |
        podman import -q --change 'CMD=["/bin/sleep","1000"]' --change 'ENV=PATH=/bin' - $image >/dev/null
    podman save -q --format oci-archive -o /tmp/image.tar $image
    mkdir -p /etc/containerd
    # Those of the node, which the pods see.
    echo 127.0.0.1 localhost >/etc/hosts
    : >/etc/resolv.conf
    cat >/etc/containerd/config.toml <<X
version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '$image'
# The score of a pause container is below the caller's, which only CAP_SYS_RESOURCE may set.
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.pinfold]
  runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.pinfold.options]
    BinaryName = '/usr/bin/$RUNTIME'
X
    containerd --log-level warn >/tmp/containerd.log 2>&1 &
    within 20 ctr version || cat /tmp/containerd.log
    for namespace in default k8s.io; do ctr -n $namespace images import /tmp/image.tar >/dev/null; done
}

run() { timeout 60 ctr run --runc-binary "/usr/bin/$RUNTIME" "$@"; }
task() { timeout 60 ctr task "$@"; }
is() { task ls | grep -E "^$1 .* $2"; }

output_and_exit_code() {
    equal output hello "$(run --rm $image one echo hello)"
    code 7 run --rm $image two sh -c 'exit 7'
    code 1 run --rm $image three /no/such
    equal environment 'A=b /tmp' "$(run --rm --env A=b --cwd /tmp $image four sh -c 'echo A=$A $PWD')"
    equal user '7 8' "$(run --rm --user 7:8 $image five sh -c 'echo $(id -u) $(id -g)')"
}

tasks() {
    run -d $image box sh -c 'trap "exit 5" TERM; while :; do sleep 0.05; done'
    is box RUNNING
    code 4 task exec --exec-id first box sh -c 'exit 4'
    equal exec text "$(task exec --exec-id second box echo text)"
    task pause box
    is box PAUSED
    task resume box
    is box RUNNING
    task ps box | has '^[0-9]+ '
    task metrics box | has memory
    task kill -s TERM box
    within 10 is box STOPPED
    task rm box 2>&1 | has "exit code 5"
    ctr container rm box
}

terminals() {
    local out
    out=$(python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
        timeout 60 ctr run --rm -t --runc-binary "/usr/bin/$RUNTIME" $image terminal sh -c 'tty; exit 6') || equal code 6 $?
    [[ $out == */dev/pts/0* ]] || { echo "$out"; return 1; }
}

limits() {
    run -d --memory-limit $((32 << 20)) --cpus 0.5 $image box sleep 100
    equal memory $((32 << 20)) "$(cat /sys/fs/cgroup/memory/default/box/memory.limit_in_bytes)"
    equal cpus 50000 "$(cat /sys/fs/cgroup/cpu/default/box/cpu.cfs_quota_us)"
    task rm --force box || true
    ctr container rm box
}

a_pod_by_the_runtime_interface() {
    local wanted got
    wanted="runtime containerd
sandbox ready True by pinfold
running True
exec (4, 'word 1000 /tmp')
read-only root 1
capabilities (0, 'CapBnd:\\t0000000000000000')
no new privileges (0, 'NoNewPrivs:\\t1')
oom score (0, '900')
stats True
memory limit $((32 << 20))
exit code 3
left 0 0"
    got=$(timeout 120 python3 /tests/clients/cri.py /run/containerd/containerd.sock \
        /usr/share/gocode/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto $image pinfold)
    equal steps "$wanted" "$got"
}

an_unknown_handler_is_an_error() {
    { timeout 60 python3 /tests/clients/cri.py /run/containerd/containerd.sock \
        /usr/share/gocode/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto $image nobody || true; } 2>&1 |
        has 'no runtime for .*nobody'
}

nothing_is_left() {
    equal tasks '' "$(task ls -q)"
    within 10 sh -c '! pgrep -x "sleep|containerd-shim|pinfold"'
    equal states '' "$(find /run/containerd/runc /run/pinfold -mindepth 2 ! -name '.*' 2>/dev/null || true)"
    equal cgroups '' "$(find /sys/fs/cgroup -type d -path '*/default/*' -o -type d -path '*/kubepods/pod/*' || true)"
}

prepare
cases output_and_exit_code tasks terminals limits a_pod_by_the_runtime_interface an_unknown_handler_is_an_error \
    nothing_is_left
[ $failed = 0 ] || tail -n 20 /tmp/containerd.log
finish

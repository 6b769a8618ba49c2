#!/bin/bash
# dockerd with pinfold as an added runtime, run by tests/clients/run.sh inside the tree.
# shellcheck disable=SC2016,SC2317,SC2329 # scripts for the container; functions called by name

# shellcheck source=tests/clients/lib.sh
. /tests/clients/lib.sh

prepare() {
    busybox_root /tmp/busybox
    dockerd --add-runtime "tested=/usr/bin/$RUNTIME" --default-runtime tested --bridge none --iptables=false \
        --ip6tables=false >/tmp/dockerd.log 2>&1 &
    within 30 docker version || cat /tmp/dockerd.log
    tar -C /tmp/busybox -c . | docker import - busybox >/dev/null
}

run() { timeout 60 docker run --rm --network none "$@"; }
start() { timeout 60 docker run --detach --network none "$@" >/dev/null; }
status() { docker inspect --format '{{.State.Status}}' "$1"; }
terminal() {
    python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' timeout 60 "$@"
}
clean() { docker ps -aq | xargs -r docker rm --force >/dev/null; }

output_and_exit_code() {
    equal runtime tested "$(docker info --format '{{.DefaultRuntime}}')"
    equal output hello "$(run busybox echo hello)"
    code 7 run busybox sh -c 'exit 7'
    code 127 run busybox /no/such
    code 126 run busybox /etc/passwd
    equal stdin 'a b' "$(echo 'a b' | run -i busybox cat)"
}

executing() {
    start --name box -e FROM=run -w /home busybox sleep 100
    code 42 docker exec box sh -c 'exit 42'
    equal inherited 'run /home' "$(docker exec box sh -c 'echo $FROM $PWD')"
    equal "home of root" /root "$(docker exec box sh -c 'echo $HOME')"
    equal "home of the user" '1000 /home/user' "$(docker exec -u user box sh -c 'echo $(id -u) $HOME')"
    code 9 terminal docker exec -it box sh -c 'test -t 0 && exit 9'
    code 127 docker exec box /no/such
}

lives() {
    start --name box busybox sh -c 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done'
    within 5 sh -c 'docker logs box | grep up'
    docker pause box
    equal status paused "$(status box)"
    docker unpause box
    docker top box | has sleep
    docker stats --no-stream --format '{{.Name}}' box | has box
    docker stop --time 5 box
    equal "ended by SIGTERM" 7 "$(docker wait box)"
    docker start box
    docker kill box
    equal "ended by SIGKILL" 137 "$(docker wait box)"
}

confined() {
    code 1 run --read-only busybox touch /x
    code 1 run busybox mount -t tmpfs tmpfs /tmp
    run --cap-drop all --security-opt no-new-privileges busybox sh -c 'grep -E "CapEff|NoNewPrivs" /proc/self/status' |
        xargs | has 'CapEff: 0000000000000000 NoNewPrivs: 1'
    equal "process 1" docker-init "$(run --init busybox cat /proc/1/comm)"
    equal sysctl 1 "$(run --sysctl net.ipv4.ip_forward=1 busybox cat /proc/sys/net/ipv4/ip_forward)"
    run --tmpfs /scratch:size=64k,noexec busybox sh -c 'grep " /scratch tmpfs .*noexec" /proc/mounts'
}

volumes() {
    mkdir -p /tmp/volume && echo seen >/tmp/volume/file
    equal bind seen "$(run -v /tmp/volume:/data busybox cat /data/file)"
    run -v keep:/data busybox sh -c 'echo kept >/data/f'
    equal "named volume" kept "$(run -v keep:/data busybox cat /data/f)"
    start --name box busybox sleep 100
    docker cp /tmp/volume/file box:/tmp/copy
    equal copied seen "$(docker exec box cat /tmp/copy)"
}

limits() {
    start --name box --memory 64m --cpus 0.5 --pids-limit 50 busybox sleep 100
    local group
    group=docker/$(docker inspect --format '{{.Id}}' box)
    equal memory $((64 << 20)) "$(cat "/sys/fs/cgroup/memory/$group/memory.limit_in_bytes")"
    equal pids 50 "$(cat "/sys/fs/cgroup/pids/$group/pids.max")"
    docker update --memory 32m --memory-swap 32m box
    equal updated $((32 << 20)) "$(cat "/sys/fs/cgroup/memory/$group/memory.limit_in_bytes")"
    docker rm --force box
    code 137 run --memory 16m --memory-swap 16m busybox dd if=/dev/zero of=/dev/null bs=64M count=1
}

nothing_is_left() {
    clean
    within 10 sh -c '! pgrep -x "sleep|containerd-shim|pinfold"'
    equal cgroups '' "$(find /sys/fs/cgroup -type d -path '*/docker/*' || true)"
}

prepare
for name in output_and_exit_code executing lives confined volumes limits; do
    cases $name
    clean
done
cases nothing_is_left
[ $failed = 0 ] || tail -n 20 /tmp/dockerd.log
finish

#!/bin/bash
# Bind sources that are swapped while podman and containerd launch, with a policy that grants the workspace;
# run by tests/clients/run.sh inside the tree. The control is runc, which mounts what a name means by then:
# where it does not lose, nothing is proved.
#
# COUNT launches through each client (default 6; the swap run of `make soak` has 300).
# shellcheck disable=SC2016,SC2317,SC2329 # scripts for the container; functions called by name

# shellcheck source=tests/clients/lib.sh
. /tests/clients/lib.sh

COUNT=${COUNT:-6}
BINDS=15
image=localhost/busybox:latest

prepare() {
    export PODMAN_IGNORE_CGROUPSV1_WARNING=1
    cat >/etc/containers/containers.conf <<X
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
pinfold = ["/usr/bin/pinfold"]
runc = ["/usr/sbin/runc"]
[containers]
log_driver = "k8s-file"
pids_limit = 100
X
    busybox_root /tmp/busybox
    tar -C /tmp/busybox -c . | podman import -q --change 'CMD=["/bin/sleep","1000"]' - $image >/dev/null
    podman save -q --format oci-archive -o /tmp/image.tar $image
    mkdir -p /etc/pinfold /work/spot/below /secret/below
    chmod 755 /etc/pinfold
    echo judged >/work/spot/below/marker
    echo secret >/secret/below/marker
    # Both are found on the way, one in the source's own place and one in its parent's.
    ln -s /secret/below /work/link
    ln -s /secret /work/parent
    policy >/etc/pinfold/policy.toml
    containerd --log-level error >/tmp/containerd.log 2>&1 &
    within 30 ctr version
    ctr images import /tmp/image.tar >/dev/null
    python3 - >/tmp/exchange.py <<'X'
print('''
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def exchange(a, b):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), 2) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
pairs = [("/work/spot/below", "/work/link"), ("/work/spot", "/work/parent")]
if sys.argv[1] == "once":
    exchange(*pairs[int(sys.argv[2])])
number = 0
while sys.argv[1] == "on":
    number += 1
    pair = pairs[number % 2]
    exchange(*pair)
    # The link is there for a moment: where one is seen the launch is refused.
    time.sleep((0.0002, 0.001, 0.004)[number % 3])
    exchange(*pair)
    time.sleep((0.0005, 0.003)[number % 2])
''')
X
}

# What podman and ctr ask for beside the workspace.
policy() {
    local caps
    caps=$(printf '"CAP_%s", ' AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID \
        SETPCAP SETUID SYS_CHROOT)
    cat <<X
version = 1
[running]
state_roots = ["/run/pinfold", "/run/containerd/runc/default"]
[root]
directories = ["/var/lib/containers/storage", "/run/containerd"]
readonly = false
[[bind]]
path = "/work"
access = "rw"
destinations = ["/m"]
floor = []
[[bind]]
path = "/run/containers/storage"
access = "rw"
floor = []
[[bind]]
path = "/var/lib/containers/storage"
access = "rw"
floor = []
[mounts]
propagation = ["private", "unbindable", "slave"]
masked = []
readonly = []
[namespaces]
new = ["mount", "pid", "ipc", "uts"]
[network]
modes = ["none"]
[user]
uids = ["0"]
gids = ["0"]
[capabilities]
bounding = [$caps]
effective = [$caps]
permitted = [$caps]
inheritable = [$caps]
[process]
no_new_privs = false
environment = ["*"]
keyring = "caller"
[seccomp]
required = false
deny = []
[limits]
memory = "unlimited"
swap = "unlimited"
cpu = "unlimited"
pids = "unlimited"
[rlimits]
max = { NOFILE = "unlimited", NPROC = "unlimited", CORE = "unlimited" }
[cgroups]
path = ["/libpod_parent", "/machine.slice", "/default"]
[devices]
allow = ["c 5:1 rw"]
[sysctls]
allow = ["net.ipv4.*"]
X
}

look='cat /m/*/marker'

by_podman() {
    local runtime=$1 binds=() number
    for number in $(seq -w $BINDS); do binds+=(-v "/work/spot/below:/m/$number"); done
    timeout 60 podman --runtime "$runtime" "${@:2}" --network none --ipc none "${binds[@]}" busybox sh -c "$look"
}

by_ctr() {
    local runtime=$1 binds=() number
    for number in $(seq -w $BINDS); do
        binds+=(--mount "type=bind,src=/work/spot/below,dst=/m/$number,options=rbind:rw")
    done
    timeout 60 ctr run --rm --runc-binary "/usr/bin/$runtime" "${binds[@]}" $image "swap-$RANDOM$RANDOM" sh -c "$look"
}

# under_attack CLIENT RUNTIME TIMES: how often it mounted, and what was seen in all of them.
under_attack() {
    local mounted=0 refused=0 round out attacker
    python3 /tmp/exchange.py on &
    attacker=$!
    : >/tmp/seen
    for round in $(seq $(($3 + 60))); do
        # With few launches all may be refused; that would show nothing.
        [ "$round" -le "$3" ] || [ $mounted = 0 ] || break
        if out=$("$1" "$2" ${4:-} 2>/tmp/why) && [ "$(wc -l <<<"$out")" = $BINDS ]; then
            mounted=$((mounted + 1))
            printf '%s\n' "$out" >>/tmp/seen
        else
            refused=$((refused + 1))
            cat /tmp/why >>/tmp/refusals
        fi
        # A control need not go on when it has lost.
        [ "$2" = pinfold ] || ! grep -q secret /tmp/seen || break
    done
    kill "$attacker"
    wait "$attacker" || true
    settle
    echo "$1 $2: $mounted launches of $BINDS mounts, $refused refused, saw: $(sort /tmp/seen | uniq -c | xargs)" |
        tee -a /results/swaps
}

# Whatever an attacker was stopped in.
settle() {
    [ ! -L /work/spot ] || python3 /tmp/exchange.py once 1
    [ ! -L /work/spot/below ] || python3 /tmp/exchange.py once 0
    equal "in its place" judged "$(cat /work/spot/below/marker)"
}

all_judged() {
    grep -q judged /tmp/seen || { echo 'nothing was mounted'; tail -n 20 /tmp/refusals; return 1; }
    equal "what was mounted" judged "$(sort -u /tmp/seen)"
}

lost() { grep -q secret /tmp/seen || { echo 'the control never lost'; return 1; }; }

# Nobody swaps anything.
what_is_granted_is_mounted() {
    equal podman "$(yes judged | head -n $BINDS)" "$(by_podman pinfold run --rm)"
    equal ctr "$(yes judged | head -n $BINDS)" "$(by_ctr pinfold)"
}

podman_is_raced() {
    under_attack by_podman pinfold "$COUNT" 'run --rm'
    all_judged
    under_attack by_podman runc $((COUNT * 4 + 100)) 'run --rm'
    lost
}

containerd_is_raced() {
    under_attack by_ctr pinfold "$COUNT"
    all_judged
    under_attack by_ctr runc $((COUNT * 4 + 100))
    lost
}

# podman keeps the path that it was given: `inspect` shows it, whatever it means by then.
swapped_between_create_and_start() {
    local runtime place started
    for runtime in pinfold runc; do
        for place in 0 1; do
            by_podman $runtime create --name box >/dev/null
            python3 /tmp/exchange.py once $place
            started=0
            podman --runtime $runtime start box >/dev/null 2>/tmp/why || started=$?
            # Not by --attach: a program that ends at once may have said it before.
            [ $started != 0 ] || podman wait box >/dev/null
            podman logs box >/tmp/seen
            python3 /tmp/exchange.py once $place
            podman inspect --format '{{range .Mounts}}{{.Source}} {{end}}' box | has '^/work/spot/below '
            podman rm --force --time 0 box
            case $runtime in
            runc) equal "the control" secret "$(sort -u /tmp/seen)" || { cat /tmp/why; return 1; } ;;
            pinfold)
                code 1 [ $started = 0 ]
                has 'refused by policy' </tmp/why
                equal "what was seen" '' "$(cat /tmp/seen)"
                ;;
            esac
        done
    done
}

prepare
cases what_is_granted_is_mounted swapped_between_create_and_start podman_is_raced containerd_is_raced
sed 's/^/# /' /results/swaps
finish

#!/bin/sh
# A container that sees its cgroup as the writable root of a v2 tree owns it, by the host's id of
# its user, and can make groups below it; delete removes those, too. The limits stay the host's.
. /lib/vm/case.sh

look='cd /sys/fs/cgroup && mkdir inner && echo 0 >inner/cgroup.procs && echo made; echo 5 >pids.max 2>/dev/null && echo raised; sleep 4011'
bundle b ".process.args = [\"sh\", \"-c\", \"$look\"]
    | .linux.namespaces |= map(select(.type != \"cgroup\")) + [{type: \"cgroup\"}, {type: \"user\"}]
    | .linux.uidMappings = [{containerID: 0, hostID: 700000, size: 65536}]
    | .linux.gidMappings = [{containerID: 0, hostID: 700000, size: 65536}]
    | .linux.resources.pids = {limit: 40}
    | .mounts |= map(select(.type != \"cgroup\"))
    | .mounts += [{destination: \"/sys/fs/cgroup\", type: \"cgroup\", source: \"cgroup\", options: [\"nosuid\", \"noexec\", \"nodev\", \"rw\"]}]"
pinfold run -d -b b one >out 2>err || fail "run: $(cat err)"
trap 'pinfold delete -f one' EXIT
check "a group inside" eventually 10 test -d /sys/fs/cgroup/one/inner
check "made" eventually 10 grep -qx made out
grep -qx raised out && fail "the limit was raised from inside"
owner() { stat -c %u "/sys/fs/cgroup/one/$1"; }
[ "$(owner .)" = 700000 ] || fail "the directory is $(owner .)'s"
[ "$(owner cgroup.procs)" = 700000 ] || fail "cgroup.procs is $(owner cgroup.procs)'s"
[ "$(owner pids.max)" = 0 ] || fail "pids.max is $(owner pids.max)'s"
# As the host has them: an engine inside may want any of them.
has=$(cat /sys/fs/cgroup/one/cgroup.controllers)
[ "$has" = "$(cat /sys/fs/cgroup/cgroup.controllers)" ] || fail "the controllers inside: $has"
exits 0 pinfold delete -f one
[ -d /sys/fs/cgroup/one ] && fail "the cgroup is left"

# A read-only mount is no invitation.
configure b '.mounts |= map(if .type == "cgroup" then .options = ["nosuid", "noexec", "nodev", "ro"] else . end)
    | .process.args = ["sleep", "4012"]'
pinfold run -d -b b one >out 2>err || fail "run: $(cat err)"
[ "$(owner .)" = 0 ] || fail "the directory is $(owner .)'s"

#!/bin/sh
# `run` on the default configuration: output, exit code, and nothing left, however it ends.
. /lib/vm/case.sh

bundle b '.process.args = ["sh", "-c", "echo hello; exit 7"]'
exits 7 pinfold run -b b one
check "its output" grep -qx hello out
[ "$(pinfold list -q)" = "" ] || fail "still listed: $(pinfold list -q)"

# A host's mount table does not see the container's mounts, though / and the bundle are shared.
check "a shared bundle" grep -q 'shared:' /proc/self/mountinfo
cp /proc/self/mountinfo before
exits 7 pinfold run -b b one
cut -d' ' -f3- before >a && cut -d' ' -f3- /proc/self/mountinfo >z
check "mounts" cmp a z

configure b '.process.args = ["no-such-program"]'
exits 1 pinfold run -b b two
[ "$(pinfold list -q)" = "" ] || fail "a failed launch is listed"
exits 1 pinfold state two

# The program as pid 1 of its own namespaces, under the id of the configuration.
configure b '.process.args = ["sh", "-c", "echo $$; id -u; cat /proc/self/cgroup"]'
exits 0 pinfold run -b b three
printf '1\n0\n0::/\n' >wanted
check "pid, uid, cgroup" cmp wanted out

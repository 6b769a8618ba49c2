#!/bin/sh
# The program has the SELinux label that the configuration names, its new filesystems have `mountLabel`, and the
# kernel enforces both: a type may read what another may not.
# timeout: 300
. /lib/vm/case.sh
host=system_u:system_r:host_t:s0
label=system_u:system_r:container_t:s0:c1
other=system_u:system_r:other_t:s0:c1
secret=system_u:object_r:secret_t:s0
content=system_u:object_r:content_t:s0

# Before a policy is loaded SELinux is not in force, as libselinux has it.
bundle b ".process.args = [\"sh\", \"/probe\"] | .process.selinuxLabel = \"$label\""
exits 1 pinfold run -b b early
check "without a policy" grep -q 'selinuxLabel.*selinux is disabled or not supported' err
mount -t selinuxfs selinuxfs /sys/fs/selinux
trap 'umount /sys/fs/selinux' EXIT
exits 1 pinfold run -b b early
check "without a policy, with its filesystem" grep -q 'selinuxLabel.*selinux is disabled or not supported' err
check "the policy loads" sh -c 'cat /lib/vm/policy >/sys/fs/selinux/load'
echo 1 >/sys/fs/selinux/enforce
check "it is enforced" grep -qx 1 /sys/fs/selinux/enforce
check "pinfold's own label" grep -q "^$host" /proc/self/attr/current

# seen WHAT LINES: what the program told is this.
seen() { [ "$(tr -d '\0' <out)" = "$2" ] || fail "$1: $(cat out err)"; }
cat >b/rootfs/probe <<'END'
cat /proc/self/attr/current; echo
cat /made/file 2>/dev/null && echo read
true
END
# A filesystem with content of the given label, made before the program is bound to its own.
labelled() {
    configure b ".linux.mountLabel = \"$1\" | .mounts |= (map(select(.destination != \"/made\"))
        + [{destination: \"/made\", type: \"tmpfs\", source: \"tmpfs\", options: [\"tmpcopyup\"]}])"
}
mkdir b/rootfs/made
echo content >b/rootfs/made/file
labelled $content
exits 0 pinfold run -b b one
seen "what it may read" "$label
content
read"
labelled $secret
exits 0 pinfold run -b b two
seen "what it may not read" "$label"
configure b ".process.selinuxLabel = \"$other\""
exits 0 pinfold run -b b three
seen "what another type may read" "$other
content
read"
configure b '.process.selinuxLabel = ""'
exits 0 pinfold run -b b four
seen "without a label" "$(tr -d '\0' </proc/self/attr/current)
content
read"
# The label of a mount is the kernel's word, not the tmpfs's.
configure b '.process.args = ["cat", "/proc/self/mountinfo"]'
exits 0 pinfold run -b b five
check "context=" grep -q ' /made .*context=.*secret_t' out
check "none on a procfs" sh -c '! grep " /proc .*context=" out'
check "features" sh -c 'pinfold features | jq -e .linux.selinux.enabled'

# Categories in another order are the same label.
configure b '.process.args = ["sh", "/probe"] | .process.selinuxLabel = "system_u:system_r:container_t:s0:c2,c0,c1"'
exits 0 pinfold run -b b six
seen "categories" "system_u:system_r:container_t:s0:c0.c2"
# A keyring has the label of the program, so that the program can use it.
configure b ".process.selinuxLabel = \"$label\" | .process.args = [\"cat\", \"/proc/keys\"]
    | .linux.maskedPaths = []"
exits 0 pinfold run -b b seven
check "its own session keyring is visible" grep -q 'keyring *_ses' out

# The transition is the kernel's to refuse: with no_new_privs the policy says who may.
configure b '.process.args = ["sh", "/probe"] | .process.noNewPrivileges = false'
exits 0 pinfold run -b b eight
seen "with privileges that may grow" "$label"
configure b '.linux.namespaces += [{type: "user"}] | .process.noNewPrivileges = true
    | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
exits 0 pinfold run -b b nine
seen "in a user namespace" "$label"
mkdir -m 700 reports
configure b '.annotations = {"io.pinfold.report": "'"$PWD"'/reports/report.json"}'
exits 0 pinfold --report-dir "$PWD/reports" run -b b told
check "the report" jq -e ".controls.selinux_label == \"$label\"" reports/report.json
configure b 'del(.annotations)'

# exec has the container's, another if it is named, and never none.
configure b '.process.args = ["sleep", "1000"]'
check "create" pinfold create -b b long
check "start" pinfold start long
exits 0 pinfold exec long sh /probe
seen "exec" "$label"
exits 0 pinfold exec --process-label $other long sh /probe
seen "exec under another" "$other
content
read"
exits 0 pinfold exec --process-label "" long sh /probe
seen "exec with an empty label" "$label"
exits 255 pinfold exec --process-label system_u:system_r:unknown_t:s0 long true
check "the option is named" grep -q selinuxLabel err
check "delete" pinfold delete -f long

# No such context, AppArmor here: errors that name the field.
for wrong in nonsense system_u:system_r:unknown_t:s0 "$label\\n"; do
    configure b ".process.selinuxLabel = \"$wrong\""
    exits 1 pinfold run -b b none
    check "the field is named: $wrong" grep -q /process/selinuxLabel err
done
configure b ".process.selinuxLabel = \"$label\" | .linux.mountLabel = \"nonsense\""
exits 1 pinfold run -b b none
check "the mount is named" grep -q /mounts/ err
configure b '.linux.mountLabel = "" | .process.selinuxLabel = "" | .process.apparmorProfile = "some"'
exits 1 pinfold run -b b none
check "AppArmor is not there" grep -q 'apparmorProfile.*apparmor is not enabled' err

# A /proc of the image's making does not get the word (CVE-2019-16884, CVE-2023-28642).
configure b ".process.apparmorProfile = \"\" | .process.selinuxLabel = \"$label\" | .process.args = [\"sh\", \"-c\", \"cat /made/file; true\"]
    | .linux.mountLabel = \"$secret\" | .mounts |= map(select(.destination != \"/proc\")) | del(.linux.maskedPaths, .linux.readonlyPaths)"
mkdir -p b/rootfs/fake/self/attr
touch b/rootfs/fake/self/attr/exec b/rootfs/fake/self/attr/keycreate
chmod -R a+rwX b/rootfs/fake
rmdir b/rootfs/proc
ln -s /fake b/rootfs/proc
exits 0 pinfold run -b b fake
check "with a false /proc it may not read" grep -q 'Permission denied' err
check "nothing was written there" [ -z "$(cat b/rootfs/fake/self/attr/exec b/rootfs/fake/self/attr/keycreate)" ]

#!/bin/sh
# The program runs under the AppArmor profile that the configuration names, and so does what joins it.
# timeout: 400
. /lib/vm/case.sh
check "AppArmor is in force" grep -qx Y /sys/module/apparmor/parameters/enabled
for name in test other; do
    cat <<END
profile pinfold-$name flags=(attach_disconnected, mediate_deleted) {
    file,
    capability,
    network,
    mount,
    signal,
    ptrace,
    unix,
    userns,
    deny /$name r,
}
END
done >profiles
check "the profiles load" apparmor_parser -r profiles
trap 'apparmor_parser -R profiles' EXIT

# seen WHAT: what `probe` of the bundle tells is this.
seen() { [ "$(cat out)" = "$2" ] || fail "$1: $(cat out err)"; }
bundle b '.process.args = ["sh", "/probe"]'
echo test >b/rootfs/test
echo other >b/rootfs/other
echo 'cat /proc/self/attr/apparmor/current; cat /test /other 2>/dev/null; true' >b/rootfs/probe
under_test='pinfold-test (enforce)
other'
under_other='pinfold-other (enforce)
test'
exits 0 pinfold run -b b plain
seen "without a profile" "unconfined
test
other"
check "features" sh -c 'pinfold features | jq -e .linux.apparmor.enabled'

configure b '.process.apparmorProfile = "pinfold-test"'
exits 0 pinfold run -b b one
seen "under the profile" "$under_test"
configure b '.process.noNewPrivileges = false'
exits 0 pinfold run -b b two
seen "with privileges that may grow" "$under_test"
exits 0 pinfold run --no-pivot --no-new-keyring -b b three
seen "without a pivot" "$under_test"
configure b '.linux.namespaces += [{type: "user"}] | .process.noNewPrivileges = true
    | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings'
exits 0 pinfold run -b b four
seen "in a user namespace" "$under_test"

# The report tells it.
mkdir -m 700 reports
configure b '.annotations = {"io.pinfold.report": "'"$PWD"'/reports/report.json"}'
exits 0 pinfold --report-dir "$PWD/reports" run -b b told
check "the report" jq -e '.controls.apparmor_profile == "pinfold-test" and .controls.selinux_label == null' reports/report.json
configure b 'del(.annotations)'

# exec has the container's, another if it is named, and never none.
configure b '.process.args = ["sleep", "1000"]'
check "create" pinfold create -b b long
check "start" pinfold start long
exits 0 pinfold exec long sh /probe
seen "exec" "$under_test"
exits 0 pinfold exec --apparmor pinfold-other long sh /probe
seen "exec under another" "$under_other"
exits 0 pinfold exec --apparmor "" long sh /probe
seen "exec with an empty profile" "$under_test"
jq '.process | .args = ["sh", "/probe"] | .apparmorProfile = ""' b/config.json >process.json
exits 0 pinfold exec --process process.json long
seen "exec by a file with an empty profile" "$under_test"
exits 255 pinfold exec --apparmor no-such-profile long true
check "the option is named" grep -q apparmorProfile err
check "the container lives" [ "$(pinfold state long | jq -r .status)" = running ]
check "delete" pinfold delete -f long

# No such profile, a profile that is two words, SELinux here: errors that name the field.
for profile in no-such-profile 'pinfold-test\nexec unconfined' 'pinfold-test '; do
    configure b ".process.apparmorProfile = \"$profile\""
    exits 1 pinfold run -b b none
    check "the field is named: $profile" grep -q /process/apparmorProfile err
done
configure b 'del(.process.apparmorProfile) | .process.selinuxLabel = "system_u:system_r:container_t:s0"'
exits 1 pinfold run -b b none
check "SELinux is not there" grep -q 'selinuxLabel.*selinux is disabled or not supported' err

# A /proc of the image's making does not get the word (CVE-2019-16884, CVE-2023-28642).
configure b 'del(.process.selinuxLabel) | .process.apparmorProfile = "pinfold-test" | .process.args = ["sh", "/probe"]
    | .mounts |= map(select(.destination != "/proc")) | del(.linux.maskedPaths, .linux.readonlyPaths)'
mkdir -p b/rootfs/fake/self/attr/apparmor
touch b/rootfs/fake/self/attr/exec b/rootfs/fake/self/attr/apparmor/exec
chmod -R a+rwX b/rootfs/fake
rmdir b/rootfs/proc
ln -s /fake b/rootfs/proc
exits 0 pinfold run -b b fake
seen "with a false /proc" other
check "nothing was written there" [ -z "$(cat b/rootfs/fake/self/attr/exec b/rootfs/fake/self/attr/apparmor/exec)" ]
# Nor does one of pinfold's own mount namespace.
exits 1 unshare -m sh -c 'mount --bind b/rootfs/fake /proc && exec pinfold run -b b fake'
check "nothing was written there either" [ -z "$(cat b/rootfs/fake/self/attr/exec b/rootfs/fake/self/attr/apparmor/exec)" ]

# A policy lists what may be asked for, or asks for one.
policy() { printf 'version = 1\n%s\n' "$1" >policy.toml && chmod 600 policy.toml; }
policy 'process.labels = ["pinfold-o*"]'
pinfold --policy policy.toml policy check b >out 2>&1
check "a profile that is not listed" grep -q process.labels out
policy 'process.labels = ["pinfold-t*"]
process.label_required = true'
pinfold --policy policy.toml policy check b >out 2>&1
check "a profile that is listed" sh -c '! grep -q process.label out'
configure b 'del(.process.apparmorProfile)'
pinfold --policy policy.toml policy check b >out 2>&1
check "none, where one is required" grep -q process.label_required out

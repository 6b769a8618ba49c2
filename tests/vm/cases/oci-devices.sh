#!/bin/sh
# A device that is not allowed cannot be opened, even by a root with CAP_MKNOD.
. /lib/vm/case.sh

number=$(cat /sys/block/ram1/dev)
major=${number%:*} minor=${number#*:}
bundle b ".process.args = [\"sh\", \"-c\",
        \"mknod /dev/probe b $major $minor && dd if=/dev/probe of=/dev/null bs=512 count=1\"]
    | .process.capabilities |= map_values(. + [\"CAP_MKNOD\"])"

exits 1 pinfold run -b b denied
check "by the device filter" grep -q 'Operation not permitted' err
check "the node could be made" grep -q "dd: can't open '/dev/probe'" err

# Control: one rule more, and it can be read.
configure b ".linux.resources.devices += [{allow: true, type: \"b\", major: $major, minor: $minor, access: \"rwm\"}]"
exits 0 pinfold run -b b allowed

# The default ones are there.
configure b '.process.args = ["sh", "-c", "echo x >/dev/null && head -c 1 /dev/zero >/dev/null && head -c 1 /dev/urandom >/dev/null"]'
exits 0 pinfold run -b b default

#!/bin/sh
# linux.resources.blockIO slows down what a container writes to a device.
. /lib/vm/case.sh

number=$(cat /sys/block/ram1/dev)
major=${number%:*} minor=${number#*:}
bundle b ".process.args = [\"dd\", \"if=/dev/zero\", \"of=/dev/disk\", \"bs=64k\", \"count=64\", \"oflag=direct\"]
    | .linux.devices = [{path: \"/dev/disk\", type: \"b\", major: $major, minor: $minor, fileMode: 438, uid: 0, gid: 0}]
    | .linux.resources.devices += [{allow: true, type: \"b\", major: $major, minor: $minor, access: \"rw\"}]"

# Control: without a limit 4 MiB are written at once.
start=$(seconds)
exits 0 pinfold run -b b free
free=$(($(seconds) - start))

configure b ".linux.resources.blockIO = {throttleWriteBpsDevice: [{major: $major, minor: $minor, rate: 524288}]}"
start=$(seconds)
exits 0 pinfold run -b b limited
limited=$(($(seconds) - start))

echo "4 MiB took $free s, at 512 KiB/s $limited s"
[ $((limited - free)) -ge 5 ] || fail "no throttling: $free s without, $limited s with the limit"

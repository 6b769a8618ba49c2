#!/bin/sh
# The guest is a host that systemd runs, with a user who has logged in.
. /lib/vm/case.sh
check "systemd is pid 1" grep -qx systemd /proc/1/comm
check "the bus answers" busctl --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping
check "a user has a systemd" [ -S /run/user/1000/systemd/private ]
check "a user has a bus" [ -S /run/user/1000/bus ]
check "no unit has failed" [ -z "$(systemctl --failed --no-legend)" ]

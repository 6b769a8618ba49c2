//! Promise: a network device of `linux.netDevices` is in the container with its addresses, and
//! when it cannot be, the host's devices are as they were.
//!
//! In network namespaces of the test's own, on pairs of virtual devices (veth(4)).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};
use support::{Bundle, Dir, PINFOLD, Ran, run};

/// What the host's side has before each launch.
const HOST: &str = "
    ip link add v0 type veth peer name p0
    ip link add v1 type veth peer name p1
    ip address add 10.9.8.7/24 dev v0
    ip address add fd00::7/64 dev v0 nodad
    ip address add 10.9.7.1/32 dev v0 scope link
    ip link set v0 mtu 1400
    ip link set v0 up; ip link set p0 up";

const LOOK: &str = "ip -o link | while read -r number name rest; do echo ${name%%[@:]*}; done | sort; \
                    ip -o address show up scope global | while read -r number name family address rest; do \
                    [ $name = lo ] || echo $name $address; done";

#[track_caller]
fn bundle(dir: &Dir, devices: &Value, script: &str) -> Bundle {
    let mut bundle = Bundle::script(dir, "bundle", script);
    for applet in ["ip", "sort"] {
        symlink("busybox", bundle.rootfs().join("bin").join(applet)).unwrap();
    }
    bundle.edit(|config| config["linux"]["netDevices"] = devices.clone());
    bundle
}

/// Runs it in network and mount namespaces of its own, which a shell script has prepared;
/// `after` looks at the host's side.
#[track_caller]
fn launch(dir: &Dir, bundle: &Bundle, prepare: &str, after: &str) -> Ran {
    let script = format!(
        "{HOST}\n{prepare}\ncode=0\n\"$PINFOLD\" --root \"$ROOT\" run -b {} {} || code=$?\n{after}\nexit $code",
        bundle.text(),
        dir.id("net")
    );
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--propagation", "private", "sh", "-euc", &script])
        .env("PINFOLD", PINFOLD)
        .env("ROOT", dir.state_root());
    let ran = run(&mut command);
    std::fs::remove_dir_all(&bundle.path).unwrap();
    ran
}

#[test]
fn devices_arrive_with_their_addresses() {
    let dir = Dir::new();
    for (devices, expected) in [
        (json!({"v0": {}}), "lo\nv0\nv0 10.9.8.7/24\nv0 fd00::7/64\n"),
        (
            json!({"v0": {"name": "eth0"}, "v1": {"name": "eth1"}}),
            "eth0\neth1\nlo\neth0 10.9.8.7/24\neth0 fd00::7/64\n",
        ),
        (
            json!({"v0": {"name": "net%d"}, "v1": {"name": "net%d"}}),
            "lo\nnet0\nnet1\nnet0 10.9.8.7/24\nnet0 fd00::7/64\n",
        ),
        (json!({"v0": {"name": ""}}), "lo\nv0\nv0 10.9.8.7/24\nv0 fd00::7/64\n"),
        (json!({}), "lo\n"),
    ] {
        let bundle = bundle(&dir, &devices, LOOK);
        let ran = launch(&dir, &bundle, "", "");
        assert_eq!(ran.ok(), expected, "{devices}");
    }
    // It is up, and it is the same device.
    let bundle = bundle(
        &dir,
        &json!({"v0": {"name": "eth0"}}),
        "cat /sys/class/net/eth0/mtu /sys/class/net/eth0/operstate",
    );
    assert_eq!(launch(&dir, &bundle, "", "").ok(), "1400\nup\n");
    dir.assert_nothing_left();
}

#[test]
fn a_device_that_cannot_move_leaves_all_as_it_was() {
    let dir = Dir::new();
    let after = "ip -o address show dev v0 scope global | while read -r number name family address rest; do \
                 echo host $name $address; done; ip -o link | grep -c ' [vp][01]@'; ip -o link show dev v0 | grep -o LOWER_UP";
    let as_before = "host v0 10.9.8.7/24\nhost v0 fd00::7/64\n4\nLOWER_UP\n";
    for (devices, field, words) in [
        (json!({"v0": {}, "v9": {}}), "/linux/netDevices/v9", "ENODEV"),
        (json!({"v0": {"name": "same"}, "v1": {"name": "same"}}), "/linux/netDevices/v1", "already"),
        (json!({"v0": {"name": "lo"}}), "/linux/netDevices/v0", "already"),
        (json!({"lo": {"name": "lo9"}}), "/linux/netDevices/lo", "EINVAL"),
        (json!({"v0": {"name": "a/b"}}), "/linux/netDevices/v0/name", "invalid network device name"),
    ] {
        let bundle = bundle(&dir, &devices, "true");
        let ran = launch(&dir, &bundle, "", after);
        assert_eq!(ran.code(), 1, "{devices}: {ran:?}");
        assert!(ran.err.contains(field) && ran.err.contains(words), "{devices}: {ran:?}");
        assert_eq!(ran.out, as_before, "{devices}: {ran:?}");
    }
    dir.assert_nothing_left();
}

#[test]
fn they_move_into_a_joined_namespace_before_hooks_and_sysctls() {
    let dir = Dir::new();
    let mut bundle =
        bundle(&dir, &json!({"v0": {"name": "eth0"}}), "cat /proc/sys/net/ipv4/conf/eth0/forwarding");
    let script =
        "#!/bin/sh\npid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')\nnsenter -t $pid -n ip -o link >$1\n";
    let hook = dir.write("hook", script);
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let seen = dir.text("seen");
    bundle.edit(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "network");
        list.push(json!({"type": "network", "path": dir.text("joined")}));
        config["linux"]["sysctl"] = json!({"net.ipv4.conf.eth0.forwarding": "1"});
        config["hooks"] = json!({"createRuntime": [{"path": hook, "args": ["hook", seen]}]});
    });
    let prepare = "unshare --net sleep 20 & holder=$!; sleep 0.3; : >joined; mount --bind /proc/$holder/ns/net joined; kill $holder";
    let script = format!("cd {}\n{prepare}", dir.path().display());
    let ran = launch(&dir, &bundle, &script, "");
    assert_eq!(ran.ok(), "1\n");
    let seen = std::fs::read_to_string(dir.join("seen")).unwrap();
    assert!(seen.contains(" eth0"), "{seen}");
    // The namespace that pinfold is in is no place to move to.
    let mut bundle = self::bundle(&dir, &json!({"v0": {}}), "true");
    bundle.edit(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "network");
        list.push(json!({"type": "network", "path": "/proc/self/ns/net"}));
    });
    let ran = launch(&dir, &bundle, "", "");
    assert!(ran.code() == 1 && ran.err.contains("cannot be moved into it"), "{ran:?}");
    dir.assert_nothing_left();
}

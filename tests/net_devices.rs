//! Promise: a network device of `linux.netDevices` is in the container with its addresses, and
//! when it cannot be, the host's devices are as they were.
//!
//! In network namespaces of the test's own, on pairs of virtual devices (veth(4)).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};
use support::{Bundle, Dir, PINFOLD, Ran, executable, run};

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
    let hook = dir.join("hook");
    executable(&hook, script);
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

/// An executable script that is a hook of this kind.
fn add_hook(dir: &Dir, bundle: &mut Bundle, kind: &str, script: &str) {
    let hook = dir.join(kind);
    executable(&hook, format!("#!/bin/sh\n{script}\n"));
    bundle.edit(|config| config["hooks"][kind] = json!([{"path": hook, "args": ["hook", dir.path()]}]));
}

fn join(dir: &Dir, bundle: &mut Bundle) {
    bundle.edit(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "network");
        list.push(json!({"type": "network", "path": dir.text("joined")}));
    });
}

/// A network namespace to join, in a file; and another one, held by a process.
fn namespaces(dir: &Dir) -> String {
    format!(
        "cd {}; : >joined; unshare --net mount --bind /proc/self/ns/net joined\n\
         unshare --net sleep 60 & third=$!; echo $third >third; trap 'kill $third' EXIT; \
         while [ $(readlink /proc/$third/ns/net) = $(readlink /proc/$$/ns/net) ]; do sleep 0.01; done",
        dir.path().display()
    )
}

/// Inside of the container's network namespace.
const ENTER: &str = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); cd $1; exec nsenter -t $pid -n sh -euc ";

/// What the devices of the host are like: names, states, sizes, link addresses, addresses.
const ACCOUNT: &str = "{ ip -o link | sed 's/^[0-9]*: //; s/ qdisc .*link/ link/; s/link-netnsid .*//' | sort; \
                       ip -o address show up scope global | sed 's/^[0-9]*: //' | sort; }";

/// The field and a word of the error, and what leads to it.
type Row<'a> = (&'a str, &'a str, &'a dyn Fn(&mut Bundle));

#[test]
fn a_launch_that_fails_after_the_move_gives_the_devices_back() {
    let dir = Dir::new();
    // What was changed in there is not kept either.
    let alter = "'ip link set eth0 down; ip link set eth0 name other mtu 1300 address 02:00:00:00:00:01'; ";
    let rows: [Row<'_>; 5] = [
        ("/hooks/createRuntime/0", "exit", &|bundle| add_hook(&dir, bundle, "createRuntime", "exit 9")),
        ("/hooks/createRuntime/0", "exit", &|bundle| {
            let script = format!("{}{alter}", ENTER.replace("exec ", "")) + "exit 9";
            add_hook(&dir, bundle, "createRuntime", &script);
        }),
        ("/linux/sysctl", "ENOENT", &|bundle| {
            bundle.edit(|config| config["linux"]["sysctl"] = json!({"net.ipv4.conf.eth7.forwarding": "1"}));
        }),
        ("/process/args", "no such file", &|bundle| {
            bundle.edit(|config| config["process"]["args"] = json!(["/none"]));
        }),
        // After pinfold has said its last word.
        ("/hooks/startContainer/0", "", &|bundle| {
            bundle.edit(|config| {
                config["hooks"] = json!({"startContainer": [{"path": "/bin/false"}]});
            });
        }),
    ];
    for joined in [false, true] {
        for (field, words, spoil) in rows {
            let mut bundle = bundle(&dir, &json!({"v0": {"name": "eth0"}, "v1": {}}), "true");
            spoil(&mut bundle);
            if joined {
                join(&dir, &mut bundle);
            }
            let prepare = format!("{}; {ACCOUNT} >before", namespaces(&dir));
            let after = format!("{ACCOUNT} >after; diff before after; grep -c v0 after");
            let ran = launch(&dir, &bundle, &prepare, &after);
            assert!(ran.code() != 0 && ran.err.contains(field) && ran.err.contains(words), "{ran:?}");
            assert_eq!(ran.out, "4\n", "{joined} {field}: {ran:?}");
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn what_root_inside_puts_in_their_place_never_comes_to_the_host() {
    let dir = Dir::new();
    let rows = [
        // Another one has its name, its number, or both, and it is elsewhere.
        ("ip link set eth0 netns $(cat third); ip link add eth0 type veth peer name x", ""),
        (
            "i=$(cut -d: -f1 number); ip link set eth0 netns $(cat third); ip link add new index $i type veth peer name x",
            "",
        ),
        (
            "i=$(cut -d: -f1 number); ip link set eth0 netns $(cat third); ip link add eth0 index $i type veth peer name x",
            "",
        ),
        ("ip link del eth0", ""),
        // It is still there, and is found.
        ("ip link set eth0 name away; ip link add eth0 type veth peer name v0", "v0"),
        ("ip link set eth0 name away; ip link add v0 type veth peer name pinfold0", "v0"),
    ];
    for (attack, comes_back) in rows {
        let mut bundle = bundle(&dir, &json!({"v0": {"name": "eth0"}}), "true");
        join(&dir, &mut bundle);
        let script = format!("{ENTER} 'ip -o link show eth0 >number; {attack}; exit 9'");
        add_hook(&dir, &mut bundle, "createRuntime", &script);
        let look = "{ ip -o link show dev v0 2>/dev/null | grep -o 'link/ether [^ ]*' || true; }";
        let prepare = format!("{}; {look} >before", namespaces(&dir));
        let after = format!("{look} >after; cat after; ip -o link | grep -c .");
        let ran = launch(&dir, &bundle, &prepare, &after);
        assert!(ran.code() != 0, "{ran:?}");
        let lines: Vec<_> = ran.out.lines().collect();
        let before = std::fs::read_to_string(dir.join("before")).unwrap();
        match comes_back {
            "" => {
                assert!(
                    ran.err.contains("nor could /linux/netDevices/v0 be given back"),
                    "{attack}: {ran:?}"
                );
                // lo, p0, v1 and p1; with a veth its peer ends.
                let rest = if attack.contains("del") { "3" } else { "4" };
                assert_eq!(lines, [rest], "{attack}: {ran:?}");
            }
            _ => assert_eq!(lines, [before.trim(), "5"], "{attack}: {ran:?}"),
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn a_link_that_appears_inside_meanwhile_is_not_taken_for_it() {
    let dir = Dir::new();
    // Low numbers: they come first in every list.
    let attacker = "nsenter --net=joined sh -c 'while :; do ip link add a0 index 2 type veth peer name a1 index 3; \
                    ip link del a0; done' & attacker=$!; trap 'kill $attacker $third' EXIT";
    let mut bundle = bundle(&dir, &json!({"v1": {"name": "eth1"}}), "ip -o address show dev eth1");
    join(&dir, &mut bundle);
    let prepare = format!(
        "{}\nip address add 10.9.6.5/24 dev v1; {attacker}\n\
         for round in $(seq 30); do \"$PINFOLD\" --root \"$ROOT\" run -b {} round$round | grep -c 10.9.6.5; \
         nsenter --net=joined ip link set eth1 name v1 netns $$; \
         ip link set v1 down; ip address add 10.9.6.5/24 dev v1; done",
        namespaces(&dir),
        bundle.text()
    );
    let ran = launch(&dir, &bundle, &prepare, "");
    assert_eq!(ran.ok().lines().filter(|line| *line == "1").count(), 30, "{ran:?}");
    dir.assert_nothing_left();
}

//! Promise: namespaces of all eight kinds are new, joined or the host's as the configuration
//! says, clocks have their offsets, and nothing of the host is changed through one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{Bundle, Dir, await_that};

const KINDS: &[(&str, &str)] = &[
    ("cgroup", "cgroup"),
    ("ipc", "ipc"),
    ("mount", "mnt"),
    ("network", "net"),
    ("pid", "pid"),
    ("time", "time"),
    ("user", "user"),
    ("uts", "uts"),
];

const LOOK: &str = "for kind in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$kind; done";

#[track_caller]
fn bundle(dir: &Dir, name: &str, script: &str) -> Bundle {
    let mut bundle = Bundle::script(dir, name, script);
    bundle.edit(|config| {
        config.as_object_mut().unwrap().remove("hostname");
        config["root"]["readonly"] = json!(false);
    });
    for applet in ["awk", "expr", "sed"] {
        symlink("busybox", bundle.rootfs().join("bin").join(applet)).unwrap();
    }
    bundle
}

/// The namespace that a process is in, as readlink(1) shows it.
fn namespace(pid: u32, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().display().to_string()
}

/// A process in namespaces of its own, which ends with the test.
struct Holder(Child);

impl Holder {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn unshare(flags: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        let holder = Self::start(command.args(flags).args(["sleep", "60"]));
        // With --fork it stays itself, and its child is in the pid namespace.
        let forks = flags.contains(&"--fork");
        let own = namespace(std::process::id(), "pid");
        await_that("the holder is in place", || match forks {
            // The name is not there until the namespace has its first process.
            true => fs::read_link(holder.path("pid_for_children"))
                .is_ok_and(|now| now.display().to_string() != own),
            false => fs::read_to_string(format!("/proc/{}/comm", holder.0.id())).unwrap() == "sleep\n",
        });
        if forks {
            let children = format!("/proc/{0}/task/{0}/children", holder.0.id());
            await_that("its child runs", || !fs::read_to_string(&children).unwrap_or_default().is_empty());
        }
        holder
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A user namespace with two ranges, and a process in it that holds a network namespace too.
fn user_namespace() -> (Holder, Holder) {
    let user = Holder::unshare(&["--user"]);
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", user.id()), "0 200000 1000\n1000 300000 10\n").unwrap();
    }
    let mut command = Command::new("nsenter");
    let below = Holder::start(command.args([
        "--user",
        "--target",
        &user.id().to_string(),
        "unshare",
        "--net",
        "--uts",
        "sleep",
        "60",
    ]));
    await_that("the second holder is in place", || {
        fs::read_to_string(format!("/proc/{}/comm", below.id())).unwrap() == "sleep\n"
    });
    (user, below)
}

fn listed(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind})).collect()
}

fn one_map(config: &mut Value) {
    for key in ["uidMappings", "gidMappings"] {
        config["linux"][key] = json!([{"containerID": 0, "hostID": 0, "size": 1000}, {"containerID": 1000, "hostID": 5000, "size": 2}]);
    }
}

/// No id of the caller's is in it.
fn shifted_map(config: &mut Value) {
    for key in ["uidMappings", "gidMappings"] {
        config["linux"][key] = json!([{"containerID": 0, "hostID": 200_000, "size": 1000}]);
    }
}

#[test]
fn each_kind_is_new_where_it_is_listed() {
    let dir = Dir::new();
    let own = |name| namespace(std::process::id(), name);
    let mut bundle = bundle(&dir, "bundle", LOOK);
    for listed_kinds in [
        &["mount"][..],
        &["mount", "pid", "uts"],
        &["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
    ] {
        bundle.edit(|config| {
            config["linux"]["namespaces"] = listed(listed_kinds);
            // An empty path is none.
            config["linux"]["namespaces"][0]["path"] = json!("");
            for key in ["uidMappings", "gidMappings"] {
                config["linux"].as_object_mut().unwrap().remove(key);
            }
            if listed_kinds.contains(&"user") {
                one_map(config);
            }
            // What a new user namespace may not make of namespaces that it does not own.
            config["mounts"].as_array_mut().unwrap().retain(|mount| {
                listed_kinds.len() > 3 || !["sysfs", "mqueue"].contains(&mount["type"].as_str().unwrap())
            });
        });
        let ran = bundle.run(&dir, &dir.id("new"));
        let seen: Vec<_> = ran.ok().lines().collect();
        for ((kind, name), seen) in KINDS.iter().zip(seen) {
            assert_eq!(seen != own(name), listed_kinds.contains(kind), "{kind}: {seen}");
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn each_kind_is_joined_by_its_path() {
    let dir = Dir::new();
    let holder = Holder::unshare(&[
        "--cgroup",
        "--ipc",
        "--net",
        "--uts",
        "--time",
        "--mount",
        "--propagation",
        "private",
    ]);
    let pid = Holder::unshare(&["--pid", "--fork", "--kill-child"]);
    for (kind, name) in KINDS.iter().filter(|(kind, _)| !["user", "mount"].contains(kind)) {
        let (path, expected) = match *kind {
            "pid" => (pid.path("pid_for_children"), namespace(pid.id(), "pid_for_children")),
            "time" => (holder.path("time_for_children"), namespace(holder.id(), "time_for_children")),
            _ => (holder.path(name), namespace(holder.id(), name)),
        };
        let mut bundle = bundle(&dir, kind, &format!("readlink /proc/self/ns/{name}"));
        bundle.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|one| one["type"] != *kind);
            list.push(json!({"type": kind, "path": path}));
        });
        let ran = bundle.run(&dir, &dir.id(kind));
        assert_eq!(ran.ok(), format!("{expected}\n"), "{kind}");
    }
    dir.assert_nothing_left();
}

#[test]
fn a_joined_mount_namespace_gets_the_root() {
    let dir = Dir::new();
    let holder = Holder::unshare(&["--mount", "--propagation", "private"]);
    let mut bundle = bundle(&dir, "bundle", "readlink /proc/self/ns/mnt; ls /; cat /own/file");
    dir.mkdir("own");
    dir.write("own/file", "bound\n");
    bundle.mount(
        json!({"destination": "/own", "type": "bind", "source": dir.text("own"), "options": ["bind"]}),
    );
    let set = |config: &mut Value, path: &str| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "mount");
        list.push(json!({"type": "mount", "path": path}));
    };
    let path = holder.path("mnt");
    bundle.edit(|config| set(config, &path));
    let ran = bundle.run(&dir, &dir.id("mount"));
    let expected = format!("{}\nbin\ndev\netc\nown\nproc\nsys\ntmp\nbound\n", namespace(holder.id(), "mnt"));
    assert_eq!(ran.ok(), expected);
    // The host's own is never one to mount in.
    for path in ["/proc/self/ns/mnt", "/proc/thread-self/ns/mnt"] {
        bundle.edit(|config| set(config, path));
        let ran = bundle.run(&dir, &dir.id("mount"));
        assert!(ran.code() == 1 && ran.err.contains("never mounts in the host's"), "{ran:?}");
    }
    dir.assert_nothing_left();
}

#[test]
fn a_user_namespace_is_joined_and_owns_what_is_new() {
    let dir = Dir::new();
    let (user, below) = user_namespace();
    let script = format!(
        "{LOOK}; cat /proc/self/uid_map | while read -r line; do echo $line; done; id -u; hostname inner && hostname"
    );
    let mut bundle = bundle(&dir, "bundle", &script);
    std::os::unix::fs::chown(bundle.rootfs(), Some(200_000), Some(200_000)).unwrap();
    let join = |config: &mut Value, network: &str| {
        config["process"]["capabilities"]["effective"] = json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"]["permitted"] = json!(["CAP_SYS_ADMIN"]);
        config["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_ADMIN"]);
        config["linux"]["namespaces"] = json!([
            {"type": "network", "path": network}, {"type": "user", "path": user.path("user")},
            {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
        ]);
    };
    bundle.edit(|config| join(config, &below.path("net")));
    let ran = bundle.run(&dir, &dir.id("user"));
    let seen: Vec<_> = ran.ok().lines().collect();
    let own = |name| namespace(std::process::id(), name);
    assert_eq!(seen[3], namespace(below.id(), "net"));
    assert_eq!(seen[6], namespace(user.id(), "user"));
    for (place, name) in [(1, "ipc"), (2, "mnt"), (4, "pid"), (7, "uts")] {
        assert_ne!(seen[place], own(name));
    }
    assert_eq!(seen[8..], ["0 200000 1000", "1000 300000 10", "0", "inner"]);
    // A network namespace of the host's is joined before the rights over it are gone.
    let hosts = Holder::unshare(&["--net"]);
    bundle.edit(|config| {
        join(config, &hosts.path("net"));
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| !["sysfs", "cgroup"].contains(&mount["type"].as_str().unwrap()));
    });
    assert_eq!(
        bundle.run(&dir, &dir.id("user")).ok().lines().nth(3),
        Some(namespace(hosts.id(), "net").as_str())
    );
    exec_joins_it_too(&dir, &mut bundle);
    dir.assert_nothing_left();
}

fn exec_joins_it_too(dir: &Dir, bundle: &mut Bundle) {
    let id = dir.id("exec");
    bundle.edit(|config| config["process"]["args"] = json!(["/bin/sleep", "60"]));
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["start", &id]).ok();
    let inside = dir.pinfold(&[
        "exec",
        &id,
        "/bin/sh",
        "-c",
        "readlink /proc/1/ns/user; readlink /proc/self/ns/user; id -u; id -g",
    ]);
    let seen: Vec<_> = inside.ok().lines().collect();
    assert!(seen[0] == seen[1] && seen[2..] == ["0", "0"], "{seen:?}");
    let outside = dir.pinfold(&["exec", "--user", "1005", &id, "/bin/sleep", "0.01"]);
    assert_eq!(outside.code(), 0, "{outside:?}");
    dir.pinfold(&["delete", "--force", &id]).ok();
}

/// Whether the configuration repeats them or not.
#[test]
fn idmap_without_maps_takes_those_of_the_joined_namespace() {
    let dir = Dir::new();
    let (user, _below) = user_namespace();
    dir.mkdir("source");
    for (name, uid, gid) in [("root", 0, 0), ("both", 1003, 1009), ("none", 1010, 999)] {
        std::os::unix::fs::chown(dir.write(&format!("source/{name}"), ""), Some(uid), Some(gid)).unwrap();
    }
    let mut bundle = bundle(&dir, "bundle", "cd /m; stat -c '%n %u:%g' root both none");
    std::os::unix::fs::chown(bundle.rootfs(), Some(200_000), Some(200_000)).unwrap();
    let (mapped, plain) = (
        "root 0:0\nboth 1003:1009\nnone 65534:999\n",
        "root 65534:65534\nboth 65534:65534\nnone 65534:65534\n",
    );
    for (options, repeated, seen) in [
        (&["bind", "idmap"][..], false, mapped),
        (&["rbind", "ridmap"], false, mapped),
        (&["bind", "idmap"], true, mapped),
        (&["bind"], true, plain),
    ] {
        let before = bundle.config.clone();
        bundle.edit(|config| {
            config["linux"]["namespaces"] =
                json!([{"type": "user", "path": user.path("user")}, {"type": "pid"}, {"type": "mount"}, {"type": "ipc"},
                       {"type": "network"}, {"type": "uts"}]);
            for key in ["uidMappings", "gidMappings"] {
                config["linux"].as_object_mut().unwrap().remove(key);
                if repeated {
                    config["linux"][key] = json!([
                        {"containerID": 0, "hostID": 200_000, "size": 1000},
                        {"containerID": 1000, "hostID": 300_000, "size": 10},
                    ]);
                }
            }
        });
        bundle.mount(
            json!({"destination": "/m", "type": "none", "source": dir.text("source"), "options": options}),
        );
        assert_eq!(bundle.run(&dir, &dir.id("idmap")).ok(), seen, "{options:?} {repeated}");
        bundle.edit(|config| *config = before);
    }
    dir.assert_nothing_left();
}

#[test]
fn maps_beside_a_path_must_be_those_of_the_namespace() {
    let dir = Dir::new();
    let (user, _below) = user_namespace();
    let mut bundle = bundle(&dir, "bundle", "id -u");
    std::os::unix::fs::chown(bundle.rootfs(), Some(200_000), Some(200_000)).unwrap();
    for (first, passes) in [(200_000, true), (200_001, false)] {
        bundle.edit(|config| {
            for key in ["uidMappings", "gidMappings"] {
                config["linux"][key] = json!([
                    {"containerID": 1000, "hostID": 300_000, "size": 10}, {"containerID": 0, "hostID": first, "size": 1000},
                ]);
            }
            config["linux"]["namespaces"] =
                json!([{"type": "user", "path": user.path("user")}, {"type": "pid"}, {"type": "mount"}, {"type": "ipc"},
                       {"type": "network"}]);
        });
        let ran = bundle.run(&dir, &dir.id("maps"));
        match passes {
            true => assert_eq!(ran.ok(), "0\n"),
            false => assert!(ran.code() == 1 && ran.err.contains("/linux/uidMappings"), "{ran:?}"),
        }
    }
    dir.assert_nothing_left();
}

#[test]
fn a_new_user_namespace_and_joined_others() {
    let dir = Dir::new();
    let holder = Holder::unshare(&["--ipc", "--net", "--uts"]);
    let mut bundle = bundle(&dir, "bundle", &format!("{LOOK}; id -u"));
    bundle.edit(|config| {
        one_map(config);
        config["mounts"].as_array_mut().unwrap().retain(|mount| {
            !["sysfs", "mqueue"].contains(&mount["type"].as_str().unwrap())
        });
        config["linux"]["namespaces"] = json!([
            {"type": "user"}, {"type": "pid"}, {"type": "mount"}, {"type": "network", "path": holder.path("net")},
            {"type": "ipc", "path": holder.path("ipc")}, {"type": "uts", "path": holder.path("uts")},
        ]);
    });
    let ran = bundle.run(&dir, &dir.id("both"));
    let seen: Vec<_> = ran.ok().lines().collect();
    for (place, name) in [(1, "ipc"), (3, "net"), (7, "uts")] {
        assert_eq!(seen[place], namespace(holder.id(), name));
    }
    assert_ne!(seen[6], namespace(std::process::id(), "user"));
    assert_eq!(seen[8], "0");
    dir.assert_nothing_left();
}

#[test]
fn clocks_have_their_offsets() {
    let dir = Dir::new();
    let script = "while read -r clock secs nanos; do echo $clock $secs $nanos; done </proc/self/timens_offsets; \
                  read -r up rest </proc/uptime; echo ${up%.*}";
    let mut bundle = bundle(&dir, "bundle", script);
    bundle.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] =
            json!({"monotonic": {"secs": 7200, "nanosecs": 5}, "boottime": {"secs": 1_000_000}});
    });
    let (user, _below) = user_namespace();
    for kind in ["the caller's", "new", "shifted", "joined"] {
        bundle.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|one| one["type"] != "user");
            match kind {
                "the caller's" => return,
                "joined" => list.push(json!({"type": "user", "path": user.path("user")})),
                _ => list.push(json!({"type": "user"})),
            }
            match kind {
                "new" => one_map(config),
                "shifted" => shifted_map(config),
                _ => ["uidMappings", "gidMappings"].iter().for_each(|key| config["linux"][key] = json!([])),
            }
        });
        if ["shifted", "joined"].contains(&kind) {
            std::os::unix::fs::chown(bundle.rootfs(), Some(200_000), Some(200_000)).unwrap();
        }
        let ran = bundle.run(&dir, &dir.id("time"));
        let seen: Vec<_> = ran.ok().lines().collect();
        assert_eq!(seen[..2], ["monotonic 7200 5", "boottime 1000000 0"], "{kind}");
        assert!(seen[2].parse::<u64>().unwrap() >= 1_000_000, "{kind}: {seen:?}");
    }
    // The container's own exec is in the same time.
    let id = dir.id("exec");
    bundle.edit(|config| config["process"]["args"] = json!(["/bin/sleep", "60"]));
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    dir.pinfold(&["start", &id]).ok();
    let exec =
        dir.pinfold(&["exec", &id, "/bin/sh", "-c", "readlink /proc/1/ns/time; readlink /proc/self/ns/time"]);
    let links: Vec<_> = exec.ok().lines().collect();
    assert_eq!(links[0], links[1]);
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

/// config-linux.md, "Control groups": pids.limit. The stage of such a launch and the process that it clones are
/// two for a moment, which is over before the program runs.
#[test]
fn a_limit_of_one_process_holds_beside_a_stage() {
    let dir = Dir::new();
    let (user, _below) = user_namespace();
    let pid = Holder::unshare(&["--pid", "--fork", "--kill-child"]);
    let joins: [(&str, Value); 4] = [
        ("pid", json!({"type": "pid", "path": pid.path("pid_for_children")})),
        ("user", json!({"type": "user", "path": user.path("user")})),
        ("time", json!({"type": "time"})),
        ("none", json!({"type": "ipc"})),
    ];
    for (kind, join) in joins {
        let mut bundle = bundle(&dir, kind, "echo ran; /bin/true; echo forked");
        bundle.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|one| one["type"] != join["type"]);
            list.push(join.clone());
            config["linux"]["resources"]["pids"] = json!({"limit": 1});
            if kind == "time" {
                config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 7}});
            }
        });
        if kind == "user" {
            std::os::unix::fs::chown(bundle.rootfs(), Some(200_000), Some(200_000)).unwrap();
        }
        let ran = bundle.run(&dir, &dir.id(kind));
        assert!(ran.out == "ran\n" && ran.err.contains("fork"), "{kind}: {ran:?}");
        let id = dir.id(kind);
        dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
        let files = ["pids/", "", "unified/"].map(|place| format!("/sys/fs/cgroup/{place}{id}/pids.max"));
        let limit = files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap();
        assert_eq!(limit, "1\n", "{kind}");
        dir.pinfold(&["delete", "--force", &id]).ok();
    }
    dir.assert_nothing_left();
}

#[test]
fn what_is_wrong_is_named() {
    let dir = Dir::new();
    let holder = Holder::unshare(&["--net", "--uts"]);
    let bundle_text = bundle(&dir, "bundle", "true").config;
    let file = dir.write("file", "").display().to_string();
    let last = "/linux/namespaces/5";
    let rows = [
        (json!({"type": "pid"}), json!({}), last, "listed twice"),
        (json!({"type": "network", "path": holder.path("net")}), json!({}), last, "listed twice"),
        (json!({"type": "time", "path": holder.path("net")}), json!({}), last, "another type"),
        (json!({"type": "user", "path": holder.path("uts")}), json!({}), last, "another type"),
        (json!({"type": "cgroup", "path": "ns/cgroup"}), json!({}), last, "absolute"),
        (json!({"type": "cgroup", "path": file}), json!({}), last, "not a namespace"),
        (json!({"type": "cgroup", "path": "/no/such"}), json!({}), last, "ENOENT"),
        (json!({"type": "user", "path": "/proc/self/ns/user"}), json!({}), last, "of pinfold itself"),
        (json!({"type": "user"}), json!({}), "/linux/uidMappings", "needs a map"),
        (
            json!({"type": "cgroup"}),
            json!({"monotonic": {"secs": 1}}),
            "/linux/timeOffsets",
            "time namespace",
        ),
        (json!({"type": "time"}), json!({"realtime": {"secs": 1}}), "/linux/timeOffsets/realtime", "one of"),
        (
            json!({"type": "time"}),
            json!({"monotonic": {"nanosecs": 1_000_000_000}}),
            "/linux/timeOffsets/monotonic/nanosecs",
            "second",
        ),
        (
            json!({"type": "time"}),
            json!({"monotonic": {"secs": -1_000_000_000}}),
            "/linux/timeOffsets",
            "ERANGE",
        ),
    ];
    for (namespace, offsets, field, words) in rows {
        let mut bundle = bundle(&dir, "wrong", "true");
        bundle.edit(|config| {
            *config = bundle_text.clone();
            config["linux"]["namespaces"].as_array_mut().unwrap().truncate(5);
            config["linux"]["namespaces"].as_array_mut().unwrap().push(namespace.clone());
            if offsets != json!({}) {
                config["linux"]["timeOffsets"] = offsets.clone();
            }
        });
        let ran = bundle.run(&dir, &dir.id("wrong"));
        assert!(
            ran.code() == 1 && ran.err.contains(field) && ran.err.contains(words),
            "{namespace} {offsets}: {ran:?}"
        );
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    dir.assert_nothing_left();
}

#[test]
fn nothing_of_the_hosts_namespaces_is_changed() {
    let dir = Dir::new();
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let own = |name: &str| format!("/proc/self/ns/{name}");
    let rows = [
        (
            "network",
            None,
            "net.ipv4.ip_forward",
            "sysctl \"net.ipv4.ip_forward\" is not allowed in the hosts network namespace",
        ),
        ("network", Some("net"), "net.ipv4.ip_forward", "is not allowed in the hosts network namespace"),
        ("ipc", None, "kernel.msgmax", "is not allowed in the hosts ipc namespace"),
        ("ipc", Some("ipc"), "fs.mqueue.msg_max", "is not allowed in the hosts ipc namespace"),
        ("uts", None, "kernel.domainname", "is not allowed in the hosts uts namespace"),
        ("ipc", None, "vm.swappiness", "is not in a separate kernel namespace"),
        ("ipc", None, "kernel.hostname", "conflicts with the OCI"),
        ("uts", None, "", "unable to set hostname without a private UTS namespace"),
        ("uts", Some("uts"), "", "the name of the host would change"),
    ];
    for (kind, path, sysctl, words) in rows {
        let mut bundle = bundle(&dir, "bundle", "true");
        bundle.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|one| one["type"] != kind);
            if let Some(name) = path {
                list.push(json!({"type": kind, "path": own(name)}));
            }
            match sysctl {
                "" => config["hostname"] = json!("taken-over"),
                key => config["linux"]["sysctl"] = json!({key: "1"}),
            }
        });
        let ran = bundle.run(&dir, &dir.id("host"));
        assert!(ran.code() == 1 && ran.err.contains(words), "{kind} {path:?} {sysctl}: {ran:?}");
        fs::remove_dir_all(&bundle.path).unwrap();
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
    // In a namespace that is joined, and is not the host's, they are set.
    let holder = Holder::unshare(&["--net", "--uts"]);
    let mut bundle = bundle(&dir, "bundle", "cat /proc/sys/net/ipv4/ip_forward; hostname");
    bundle.edit(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "network" && one["type"] != "uts");
        list.push(json!({"type": "network", "path": holder.path("net")}));
        list.push(json!({"type": "uts", "path": holder.path("uts")}));
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        config["hostname"] = json!("joined");
    });
    assert_eq!(bundle.run(&dir, &dir.id("host")).ok(), "1\njoined\n");
    dir.assert_nothing_left();
}

/// Looks at everybody who has its executable not yet, and writes down what it can do.
const WATCH: &str = "
    mount -t proc proc /proc
    tries=0
    while [ ! -e $SEEN.stop ] && [ $tries -lt 200000 ]; do
        tries=$((tries + 1))
        for status in /proc/[0-9]*/status; do
            [ $status = /proc/1/status ] && continue
            text=$(cat $status 2>/dev/null) || continue
            name= cap=
            while read -r key value rest; do
                case $key in Name:) name=$value ;; CapEff:) cap=$value ;; esac
            done <<END
$text
END
            case $name in pinfold*) echo $cap >>$SEEN ;; esac
        done
    done";

/// A pid namespace with somebody in it who watches, and the path of that namespace.
fn watched_pid_namespace(seen: &str) -> (Holder, String) {
    let mut command = Command::new("timeout");
    let unshare =
        ["60", "unshare", "--pid", "--fork", "--kill-child", "--mount", "busybox", "sh", "-c", WATCH];
    let holder = Holder::start(command.args(unshare).env("SEEN", seen));
    let children = format!("/proc/{0}/task/{0}/children", holder.id());
    let unshare = || fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
    await_that("unshare runs", || !unshare().is_empty());
    let path = format!("/proc/{}/ns/pid_for_children", unshare());
    await_that("the namespace is there", || {
        fs::metadata(&path).is_ok_and(|found| found.ino() != fs::metadata("/proc/self/ns/pid").unwrap().ino())
    });
    (holder, path)
}

/// Who lives in the pid namespace already sees the newcomer only when it has its final
/// capabilities and does not let itself be looked into.
#[test]
fn a_newcomer_to_a_pid_namespace_is_weak_before_it_is_seen() {
    let dir = Dir::new();
    let seen = dir.text("seen");
    let (holder, path) = watched_pid_namespace(&seen);
    let mut bundle = bundle(&dir, "bundle", "true");
    bundle.edit(|config| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "pid");
        list.push(json!({"type": "pid", "path": path}));
        // It takes a while to assemble.
        for number in 0..30 {
            let mount = json!({"destination": format!("/many/{number}"), "type": "tmpfs", "source": "tmpfs"});
            config["mounts"].as_array_mut().unwrap().push(mount);
        }
    });
    let mut launch = |rounds: usize, hook: bool| {
        fs::remove_file(&seen).ok();
        bundle_hook(&mut bundle, hook);
        for _ in 0..rounds {
            bundle.run(&dir, &dir.id("pid")).ok();
        }
        let text = fs::read_to_string(&seen).unwrap_or_default();
        let strong = |line: &&str| u64::from_str_radix(line, 16).unwrap() & (1 << 21) != 0;
        (text.lines().count(), text.lines().filter(strong).count())
    };
    let (_, strong) = launch(20 * support::count(), false);
    assert_eq!(strong, 0, "seen with CAP_SYS_ADMIN");
    // The control: with a hook, which is told the final pid, the whole assembly can be seen.
    let (all, strong) = launch(20, true);
    assert!(strong > 0, "{all} looks, none at a strong one: the test cannot fail");
    fs::write(format!("{seen}.stop"), "").unwrap();
    drop(holder);
    dir.assert_nothing_left();
}

fn bundle_hook(bundle: &mut Bundle, hook: bool) {
    bundle.edit(|config| {
        config["hooks"] = match hook {
            true => json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "0.05"]}]}),
            false => json!({}),
        }
    });
}

//! Ways around a policy that were found in runtimes, and those that a reader of the policy would try.

use serde_json::{Value, json};

/// What is tried, by which rule it is refused (none: it is no configuration at all), and how.
pub type Trick = (&'static str, &'static str, fn(&mut Value, &str));

fn source(config: &mut Value, source: String) {
    config["mounts"].as_array_mut().unwrap().last_mut().unwrap()["source"] = source.into();
}

fn options(config: &mut Value, options: &[&str]) {
    config["mounts"].as_array_mut().unwrap().last_mut().unwrap()["options"] = json!(options);
}

fn destination(config: &mut Value, destination: &str) {
    config["mounts"].as_array_mut().unwrap().last_mut().unwrap()["destination"] = destination.into();
}

fn push(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().unwrap().push(mount);
}

fn join(config: &mut Value, kind: &str, path: String) {
    let list = config["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|one| one["type"] != kind);
    list.push(json!({"type": kind, "path": path}));
}

pub const TRICKS: &[Trick] = &[
    // Relative paths and `..`.
    ("a relative source", "bind.source", |config, _| source(config, "rootfs".into())),
    ("a relative source that climbs", "bind.path", |config, _| source(config, "../../secret".into())),
    ("`..` at the end", "bind.path", |config, dir| source(config, format!("{dir}/work/below/../.."))),
    ("`..` out and back in", "bind.path", |config, dir| {
        source(config, format!("{dir}/work/below/../../work"))
    }),
    ("`..` behind a link", "bind.path", |config, dir| source(config, format!("{dir}/work/link/../secret"))),
    ("a root by `..`", "root.path", |config, dir| {
        config["root"]["path"] = json!(format!("{dir}/bundles/../secret"))
    }),
    ("a destination by `..`", "bind.destinations", |config, _| destination(config, "/tmp/../etc")),
    // Links and magic links.
    ("a link out", "bind.link", |config, dir| source(config, format!("{dir}/work/link"))),
    ("a link on the way", "bind.link", |config, dir| source(config, format!("{dir}/work/up/secret"))),
    ("a link to what is granted", "bind.link", |config, dir| source(config, format!("{dir}/work/inside"))),
    ("a link above the grant", "bind.source", |config, dir| source(config, format!("{dir}/linked/below"))),
    ("a magic link in the workspace", "bind.link", |config, dir| source(config, format!("{dir}/work/magic"))),
    ("/proc/self/root", "bind.source", |config, dir| source(config, format!("/proc/self/root{dir}/secret"))),
    ("/proc/1/root", "bind.source", |config, _| source(config, "/proc/1/root/etc/shadow".into())),
    ("/proc/self/cwd", "bind.source", |config, _| source(config, "/proc/self/cwd".into())),
    ("/proc/self/fd", "bind.source", |config, _| source(config, "/proc/self/fd/0".into())),
    ("/dev/fd", "bind.source", |config, _| source(config, "/dev/fd/0".into())),
    ("a root by a magic link", "root.directories", |config, dir| {
        config["root"]["path"] = json!(format!("/proc/self/root{dir}/secret"))
    }),
    // Parents, prefixes, case, Unicode, control characters.
    ("the parent of a grant", "bind.source", |config, dir| source(config, dir.to_owned())),
    ("the root directory", "bind.source", |config, _| source(config, "/".into())),
    ("a name that begins alike", "bind.source", |config, dir| source(config, format!("{dir}/workshop"))),
    ("another case", "bind.source", |config, dir| source(config, format!("{dir}/WORK"))),
    ("another Unicode form", "bind.source", |config, dir| source(config, format!("{dir}/wo\u{0301}rk"))),
    ("a letter that looks alike", "bind.source", |config, dir| source(config, format!("{dir}/w\u{043e}rk"))),
    ("a newline", "bind.path", |config, dir| source(config, format!("{dir}/work\n/below"))),
    ("an escape", "bind.path", |config, dir| source(config, format!("{dir}/work/\u{1b}[2K"))),
    ("a NUL", "", |config, dir| source(config, format!("{dir}/work\u{0}/../secret"))),
    ("a NUL in a destination", "", |config, _| destination(config, "/tmp\u{0}/x")),
    ("a newline in a destination", "mounts.destination", |config, _| destination(config, "/tmp/a\nb")),
    ("a NUL in the root", "", |config, dir| {
        config["root"]["path"] = json!(format!("{dir}/bundles/b/rootfs\u{0}x"))
    }),
    ("a newline in the environment", "process.environment", |config, _| {
        config["process"]["env"] = json!(["PATH\nLD_PRELOAD=/x"])
    }),
    // Mount options.
    ("a flag given and taken back", "bind.floor", |config, _| {
        options(config, &["rbind", "nosuid", "nodev", "suid"])
    }),
    ("a flag taken back recursively", "bind.floor", |config, _| {
        options(config, &["rbind", "nosuid", "nodev", "rdev"])
    }),
    ("read-only taken back", "bind.access", |config, dir| {
        source(config, format!("{dir}/readable"));
        options(config, &["rbind", "ro", "nosuid", "nodev", "rw"]);
    }),
    ("options in one string", "", |config, _| options(config, &["rbind,suid,dev"])),
    ("shared propagation", "mounts.propagation", |config, _| {
        options(config, &["rbind", "nosuid", "nodev", "rshared"])
    }),
    ("a remount", "mounts.remount", |config, _| {
        push(config, json!({"destination": "/tmp", "options": ["remount", "bind", "dev"]}))
    }),
    ("data behind a comma", "mounts.data", |config, _| {
        push(
            config,
            json!({"destination": "/etc", "type": "tmpfs", "source": "t", "options": ["mode=755,mpol=bind:0"]}),
        );
    }),
    ("a file system that names paths", "mounts.filesystems", |config, _| {
        push(
            config,
            json!({"destination": "/etc", "type": "overlay", "source": "o", "options": ["lowerdir=/root:/etc"]}),
        );
    }),
    ("a file system of a disk", "mounts.filesystems", |config, _| {
        push(config, json!({"destination": "/etc", "type": "ext4", "source": "/dev/vda"}));
    }),
    ("a copy without a floor", "mounts.tmpcopyup", |config, _| {
        push(
            config,
            json!({"destination": "/tmp", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"]}),
        );
    }),
    ("a bind that calls itself a tmpfs", "bind.source", |config, dir| {
        push(
            config,
            json!({"destination": "/etc", "type": "tmpfs", "source": format!("{dir}/secret"), "options": ["bind", "nosuid", "nodev"]}),
        );
    }),
    ("a bind that asks for a device", "devices.allow", |config, dir| {
        source(config, format!("{dir}/secret"));
        options(config, &["bind", "nosuid", "dev"]);
    }),
    // Twice, and over what is kept.
    ("two mounts on one place", "mounts.destination", |config, dir| {
        push(
            config,
            json!({"destination": "/tmp/.", "type": "bind", "source": format!("{dir}/readable"), "options": ["rbind", "ro", "nosuid", "nodev"]}),
        );
    }),
    ("a bind on the root", "mounts.destination", |config, _| destination(config, "/")),
    ("a bind over /proc", "", |config, _| destination(config, "/proc/self/fd")),
    ("a bind over /sys", "mounts.destination", |config, _| destination(config, "//sys//fs")),
    ("another procfs", "mounts.destination", |config, _| {
        push(config, json!({"destination": "/etc", "type": "proc", "source": "proc"}))
    }),
    ("masks that are spelt otherwise", "mounts.masked", |config, _| {
        config["linux"]["maskedPaths"] = json!(["/proc/KCORE", "/proc/keys", "/proc/timer_list"]);
    }),
    // Namespaces.
    ("the host's network by process 1", "join.path", |config, _| {
        join(config, "network", "/proc/1/ns/net".into())
    }),
    ("the host's by pinfold itself", "join.path", |config, _| {
        join(config, "pid", "/proc/self/ns/pid".into())
    }),
    ("a namespace as a source", "bind.source", |config, _| source(config, "/proc/1/ns/net".into())),
    // Hooks, annotations, devices, groups.
    ("a hook", "hook.path", |config, _| {
        config["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", "echo ran >&2"]}]})
    }),
    ("a hook in the container", "hook.path", |config, _| {
        config["hooks"] = json!({"startContainer": [{"path": "/bin/sh"}]})
    }),
    ("a profile that is not there", "profile", |config, _| {
        config["annotations"] = json!({"io.pinfold.profile": "../root"})
    }),
    ("a device rule for all", "devices.allow", |config, _| {
        config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
    }),
    ("a group beside the gateway's", "cgroups.path", |config, _| {
        config["linux"]["cgroupsPath"] = json!("/system.slice/gateway.service/x")
    }),
    ("a group whose name begins alike", "cgroups.path", |config, _| {
        config["linux"]["cgroupsPath"] = json!("/agents-x/y")
    }),
    ("a group by `..`", "", |config, _| config["linux"]["cgroupsPath"] = json!("/agents/../system.slice/x")),
    ("a group in systemd's form", "cgroups.path", |config, _| {
        config["linux"]["cgroupsPath"] = json!("system.slice:pinfold:x")
    }),
    ("limits by the kernel's files", "", |config, _| {
        config["linux"]["resources"]["unified"] = json!({"cgroup.procs": "1"})
    }),
    ("a limit of no limit", "limits.pids", |config, _| {
        config["linux"]["resources"]["pids"] = json!({"limit": -1})
    }),
    ("capabilities in lower case", "capabilities.bounding", |config, _| {
        config["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_SYS_PTRACE"]);
    }),
    ("root's group beside a user", "user.gids", |config, _| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [4]})
    }),
    ("the id that is no id", "", |config, _| {
        config["process"]["user"] = json!({"uid": 4_294_967_295_u32, "gid": 0})
    }),
];

//! From what `ALLOWING` allows, one step over each rule.

use serde_json::{Value, json};

/// One step.
pub struct Step {
    pub rule: &'static str,
    /// Changes of the policy: a text and what takes its place; an empty text adds at the end.
    pub policy: &'static [(&'static str, &'static str)],
    pub script: &'static str,
    /// Of the configuration; the test's directory.
    pub edit: fn(&mut Value, &str),
}

/// Rules about what a kernel without the modules refuses before, and the case of the guest that steps over them.
pub const ELSEWHERE: &[(&str, &str)] = &[("process.labels", "tests/vm/systemd/cases/apparmor.sh")];

const CHECK: &str = "$P policy check bundles/b";
const BY_SUDO: &str = "SUDO_UID=1234 SUDO_GID=1234 $PINFOLD policy check bundles/b";
const OWN_ROOT: &[(&str, &str)] = &[("state_roots = [", "state_roots = [\"/run/pinfold\", ")];

const fn config(rule: &'static str, edit: fn(&mut Value, &str)) -> Step {
    Step { rule, policy: &[], script: CHECK, edit }
}

const fn both(
    rule: &'static str,
    policy: &'static [(&'static str, &'static str)],
    edit: fn(&mut Value, &str),
) -> Step {
    Step { rule, policy, script: CHECK, edit }
}

const fn policy(rule: &'static str, policy: &'static [(&'static str, &'static str)]) -> Step {
    Step { rule, policy, script: CHECK, edit: |_, _| () }
}

const fn call(
    rule: &'static str,
    policy: &'static [(&'static str, &'static str)],
    script: &'static str,
) -> Step {
    Step { rule, policy, script, edit: |_, _| () }
}

/// A further program of a container that lives.
const fn exec(
    rule: &'static str,
    policy: &'static [(&'static str, &'static str)],
    script: &'static str,
) -> Step {
    let edit: fn(&mut Value, &str) = |config, _| {
        config["process"]["args"] = json!(["/bin/sleep", "60"]);
        config["process"]["rlimits"] = json!([]);
    };
    Step { rule, policy, script, edit }
}

const fn by_sudo(rule: &'static str, edit: fn(&mut Value, &str)) -> Step {
    Step { rule, policy: OWN_ROOT, script: BY_SUDO, edit }
}

fn mounts(config: &mut Value) -> &mut Vec<Value> {
    config["mounts"].as_array_mut().unwrap()
}

/// The source, destination and options of the workspace.
fn work(config: &mut Value, source: &str, destination: &str, options: &[&str]) {
    mounts(config).pop();
    mounts(config)
        .push(json!({"source": source, "destination": destination, "type": "bind", "options": options}));
}

const FLAGS: &[&str] = &["rbind", "ro", "nosuid", "nodev"];

fn maps(config: &mut Value, host: u32) {
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": host, "size": 2000}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
}

fn capability(config: &mut Value, sets: &[&str]) {
    for set in sets {
        config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
    }
}

fn idmapped(config: &mut Value, dir: &str) {
    work(config, &format!("{dir}/readable"), "/tmp", &["bind", "idmap", "ro", "nosuid", "nodev"]);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1}]);
    let last = mounts(config).last_mut().unwrap();
    last["uidMappings"] = map.clone();
    last["gidMappings"] = map;
}

fn network(config: &mut Value, path: Option<String>) {
    let list = config["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|one| one["type"] != "network");
    list.extend(path.map(|path| json!({"type": "network", "path": path})));
}

fn hook(config: &mut Value, hook: Value) {
    config["hooks"] = json!({"prestart": [hook]});
}

const SHA: &str = "[[hook]]\npath = \"DIR/hooks/h\"\nsha256 = \"a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf\"";
const LINK: &str = "[[hook]]\npath = \"DIR/hooks/link\"\nsha256 = \"a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf\"";
const ZEROS: &str = "[[hook]]\npath = \"DIR/hooks/h\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"";
const JOIN: &[(&str, &str)] =
    &[("", "[[join]]\ntype = \"network\"\npath = \"DIR/netns\"\n[network]\nmodes = [\"joined\"]")];
const USER: &[(&str, &str)] =
    &[("[user]", "[user]\nhost_uids = [\"0-4294967294\"]\nhost_gids = [\"0-4294967294\"]")];

pub const STEPS: &[Step] = &[
    both("annotations.allow", &[("", "[annotations]\nallow = [\"org.*\"]")], |config, _| {
        config["annotations"] = json!({"x": "y"})
    }),
    config("annotations.reports", |config, _| config["annotations"] = json!({"io.pinfold.report": "report"})),
    config("bind.access", |config, dir| {
        work(config, &format!("{dir}/readable"), "/tmp", &["rbind", "rw", "nosuid", "nodev"])
    }),
    config("bind.cross_mounts", |config, dir| {
        work(config, &format!("{dir}/readable/mounted/x"), "/tmp", FLAGS)
    }),
    config("bind.destinations", |config, dir| work(config, &format!("{dir}/work"), "/etc", FLAGS)),
    config("bind.floor", |config, dir| work(config, &format!("{dir}/work"), "/tmp", &["rbind", "nosuid"])),
    config("bind.hard_links", |config, dir| work(config, &format!("{dir}/readable/hard"), "/tmp", FLAGS)),
    both("bind.idmap", USER, |config, dir| {
        maps(config, 100_000);
        idmapped(config, dir);
    }),
    config("bind.kernel_fs", |config, dir| work(config, &format!("{dir}/readable/proc"), "/tmp", FLAGS)),
    config("bind.link", |config, dir| work(config, &format!("{dir}/work/link"), "/tmp", FLAGS)),
    both(
        "bind.owner",
        &[("path = \"DIR/readable\"", "path = \"DIR/readable\"\nowner = [\"7\"]")],
        |config, dir| work(config, &format!("{dir}/readable"), "/tmp", FLAGS),
    ),
    config("bind.path", |config, dir| work(config, &format!("{dir}/work/below/../../secret"), "/tmp", FLAGS)),
    config("bind.source", |config, dir| work(config, &format!("{dir}/secret"), "/tmp", FLAGS)),
    both("bind.state", &[("", "[[bind]]\npath = \"DIR/state\"")], |config, dir| {
        work(config, &format!("{dir}/state"), "/tmp", FLAGS)
    }),
    config("bind.type", |config, dir| work(config, &format!("{dir}/readable/fifo"), "/tmp", FLAGS)),
    by_sudo("callers.user_namespace", |_, _| ()),
    by_sudo("callers.ids", |config, _| maps(config, 0)),
    by_sudo("callers.idmap", |config, dir| {
        maps(config, 100_000);
        idmapped(config, dir);
    }),
    by_sudo("callers.cgroup", |config, _| config["linux"]["cgroupsPath"] = json!("/agents/x")),
    policy("callers.sudo", &[("", "[callers]\nsudo = \"required\"")]),
    config("capabilities.bounding", |config, _| capability(config, &["bounding"])),
    config("capabilities.effective", |config, _| capability(config, &["effective", "permitted", "bounding"])),
    config("capabilities.permitted", |config, _| capability(config, &["permitted", "bounding"])),
    config("capabilities.inheritable", |config, _| {
        capability(config, &["inheritable", "permitted", "bounding"])
    }),
    config("capabilities.ambient", |config, _| {
        capability(config, &["ambient", "inheritable", "permitted", "bounding"])
    }),
    config("cgroups.path", |config, _| config["linux"]["cgroupsPath"] = json!("/system.slice/x")),
    call("degraded", &[], "mount -t tmpfs tmpfs /sys/fs/cgroup; $P sandbox -- echo ran"),
    config("devices.allow", |config, _| {
        config["linux"]["devices"] = json!([{"path": "/dev/mem", "type": "c", "major": 1, "minor": 1}]);
    }),
    policy("doors", &[("version = 1", "version = 1\ndoors = [\"run\"]")]),
    exec(
        "exec.capabilities",
        &[],
        "$P run -d -b bundles/b $ID; $P exec --cap CAP_SYS_ADMIN $ID /bin/sh -c 'echo ran'; $P delete -f $ID",
    ),
    exec(
        "exec.users",
        &[],
        "$P run -d -b bundles/b $ID; $P exec --user 1000 $ID /bin/sh -c 'echo ran'; $P delete -f $ID",
    ),
    exec(
        "exec.no_new_privs",
        &[("environment = [", "no_new_privs = false\nenvironment = [")],
        "$P run -d -b bundles/b $ID; jq '.process | .args = [\"/bin/sh\", \"-c\", \"echo ran\"] | .noNewPrivileges = false' bundles/b/config.json >p.json; $P exec --process p.json $ID; $P delete -f $ID",
    ),
    both("hook.path", &[("", SHA)], |config, _| hook(config, json!({"path": "/bin/true"}))),
    both("hook.sha256", &[("", ZEROS)], |config, dir| {
        hook(config, json!({"path": format!("{dir}/hooks/h")}))
    }),
    both("hook.args", &[("", SHA)], |config, dir| {
        hook(config, json!({"path": format!("{dir}/hooks/h"), "args": ["h", "x"]}))
    }),
    both("hook.env", &[("", SHA)], |config, dir| {
        hook(config, json!({"path": format!("{dir}/hooks/h"), "env": ["A=b"]}))
    }),
    both("hook.link", &[("", LINK)], |config, dir| {
        hook(config, json!({"path": format!("{dir}/hooks/link")}))
    }),
    config("join.path", |config, _| network(config, Some("/proc/1/ns/net".to_owned()))),
    both("join.host", JOIN, |config, dir| network(config, Some(format!("{dir}/netns/host")))),
    both("join.link", JOIN, |config, dir| network(config, Some(format!("{dir}/netns/link")))),
    policy("landlock.required", &[("", "[landlock]\nrequired = true")]),
    policy("limits.memory", &[("memory = \"unlimited\"", "memory = \"1g\"")]),
    policy("limits.swap", &[("swap = \"unlimited\"", "swap = \"set\"")]),
    policy("limits.cpu", &[("cpu = \"unlimited\"", "cpu = 1.5")]),
    config("limits.pids", |config, _| config["linux"]["resources"]["pids"] = json!({"limit": 65})),
    policy("limits.io", &[("pids = 64", "pids = 64\nio = \"set\"")]),
    policy("limits.time", &[("pids = 64", "pids = 64\ntime = \"10s\"")]),
    policy("limits.stdout", &[("pids = 64", "pids = 64\nstdout = \"1m\"")]),
    policy("limits.stderr", &[("pids = 64", "pids = 64\nstderr = \"set\"")]),
    config("limits.unified", |config, _| {
        config["linux"]["resources"]["unified"] = json!({"pids.max": "max"})
    }),
    config("limits.realtime", |config, _| {
        config["linux"]["resources"]["cpu"] = json!({"realtimeRuntime": 1000})
    }),
    config("limits.rdt", |config, _| config["linux"]["intelRdt"] = json!({"closID": "guaranteed"})),
    config("limits.oom_kill_disable", |config, _| {
        config["linux"]["resources"]["memory"] = json!({"disableOOMKiller": true});
    }),
    config("mounts.data", |config, _| {
        mounts(config)
            .push(json!({"destination": "/etc", "type": "tmpfs", "source": "t", "options": ["mpol=bind:0"]}));
    }),
    config("mounts.destination", |config, _| {
        mounts(config).push(json!({"destination": "/etc", "type": "proc", "source": "proc"}))
    }),
    config("mounts.filesystems", |config, _| {
        mounts(config).push(json!({"destination": "/etc", "type": "overlay", "source": "o", "options": ["lowerdir=/etc:/root"]}));
    }),
    config("mounts.masked", |config, _| config["linux"]["maskedPaths"] = json!(["/proc/keys"])),
    config("mounts.readonly", |config, _| config["linux"]["readonlyPaths"] = json!([])),
    config("mounts.propagation", |config, _| config["linux"]["rootfsPropagation"] = json!("shared")),
    config("mounts.remount", |config, _| {
        mounts(config).push(json!({"destination": "/tmp", "options": ["bind", "remount", "suid"]}));
    }),
    config("mounts.tmpcopyup", |config, _| {
        mounts(config).push(
            json!({"destination": "/tmp/below", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"]}),
        );
    }),
    config("namespaces.new", |config, _| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "pid");
    }),
    config("network.modes", |config, _| network(config, None)),
    config("network.devices", |config, _| config["linux"]["netDevices"] = json!({"eth7": {}})),
    config("process.cwd", |config, _| config["process"]["cwd"] = json!("/proc/self/fd/7")),
    config("process.environment", |config, _| config["process"]["env"] = json!(["LD_PRELOAD=/x"])),
    call("process.keyring", &[], "$P run --no-new-keyring -b bundles/b $ID"),
    policy("process.label_required", &[("[process]", "[process]\nlabel_required = true")]),
    config("process.no_new_privs", |config, _| config["process"]["noNewPrivileges"] = json!(false)),
    config("process.oom_score_adj", |config, _| config["process"]["oomScoreAdj"] = json!(-1)),
    config("process.personality", |config, _| config["linux"]["personality"] = json!({"domain": "LINUX32"})),
    call("process.preserve_fds", &[], "exec 3</; $P run --preserve-fds 1 -b bundles/b $ID"),
    config("process.priority", |config, _| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": -1})
    }),
    config("profile", |config, _| config["annotations"] = json!({"io.pinfold.profile": "root"})),
    config("rlimits.max", |config, _| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1025}]);
    }),
    policy("rlimits.required", &[("[rlimits]", "[rlimits]\nrequired = [\"CORE\"]")]),
    config("root.directories", |config, dir| config["root"]["path"] = json!(format!("{dir}/secret"))),
    call("root.host_usr", &[("[root]", "[root]\nhost_usr = false")], "$P sandbox -- echo ran"),
    policy(
        "root.images",
        &[(
            "[root]",
            "[root]\nimages = [\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"]",
        )],
    ),
    both("root.kernel_fs", &[("directories = [", "directories = [\"/proc\", ")], |config, _| {
        config["root"]["path"] = json!("/proc/sys")
    }),
    config("root.link", |config, dir| config["root"]["path"] = json!(format!("{dir}/bundles/link/rootfs"))),
    config("root.path", |config, dir| {
        config["root"]["path"] = json!(format!("{dir}/bundles/../bundles/b/rootfs"))
    }),
    call("root.pivot", &[], "$P run --no-pivot -b bundles/b $ID"),
    config("root.readonly", |config, _| config["root"]["readonly"] = json!(false)),
    both("root.state", &[("directories = [", "directories = [\"DIR/state\", ")], |config, dir| {
        config["root"]["path"] = json!(format!("{dir}/state"))
    }),
    policy("running.max", &[("[running]", "[running]\nmax = 0")]),
    call("running.state_roots", &[], "$PINFOLD --root $DIR/work/state run -b bundles/b $ID"),
    policy("seccomp.deny", &[("deny = []", "deny = [\"ptrace\"]")]),
    config("seccomp.listener", |config, _| {
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
    }),
    both(
        "seccomp.profiles",
        &[(
            "deny = []",
            "deny = []\nprofiles = [\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"]",
        )],
        |config, _| config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW"}),
    ),
    policy("seccomp.required", &[("required = false", "required = true")]),
    call(
        "signature.keys",
        &[(
            "",
            "[[signature]]\nimages = [\"tools/*\"]\nkeys = [{ path = \"/etc/pinfold/k.pem\", sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }]",
        )],
        "mount -t tmpfs tmpfs /var/lib; $P image import dir:bundles/b/rootfs --name tools/a >imported; \
         $P sandbox --image tools/a -- /bin/busybox echo ran",
    ),
    config("sysctls.allow", |config, _| config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"})),
    config("user.gids", |config, _| {
        config["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [4]})
    }),
    config("user.uids", |config, _| config["process"]["user"] = json!({"uid": 1, "gid": 0})),
    config("user.host_uids", |config, _| maps(config, 0)),
    config("user.host_gids", |config, _| maps(config, 65000)),
];

//! Promise: the host's owner decides. With a policy file every door is judged by it, on the
//! objects themselves; without one, or with one that cannot be trusted, as docs/policy.md says.
//!
//! Each call runs in a mount namespace of its own, in which /etc/pinfold is the test's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use pinfold::policy::{Document, compiled};
use serde_json::{Value, json};
use support::{Bundle, Dir, PINFOLD, Ran, run};

/// A private /etc with the policy in it, then the call.
const UNDER: &str = r#"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
rm -rf /etc/pinfold; mkdir -m 755 /etc/pinfold
install -m 644 "$DIR/policy.toml" /etc/pinfold/policy.toml
eval "$PREPARE"
exec "$@"
"#;

/// What the bundles of `pinfold spec` need, and a workspace.
const ALLOWING: &str = r#"
version = 1
[root]
directories = ["DIR/bundles"]
[[bind]]
path = "DIR/work"
access = "rw"
destinations = ["/work"]
[[bind]]
path = "DIR/readable"
[namespaces]
new = ["mount", "pid", "ipc", "uts"]
[[join]]
type = "network"
path = "DIR/netns"
[network]
modes = ["none", "joined"]
[user]
uids = ["0", "1000"]
gids = ["0", "1000"]
[capabilities]
bounding = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
effective = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
permitted = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
inheritable = []
ambient = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
[process]
environment = ["PATH", "TERM"]
[seccomp]
required = false
deny = []
[limits]
memory = "unlimited"
swap = "unlimited"
cpu = "unlimited"
pids = 64
[rlimits]
max = { NOFILE = 1024 }
[annotations]
allow = ["io.pinfold.*", "org.*"]
reports = ["DIR/reports"]
[profile.small.limits]
pids = 16
[profile.timed.limits]
time = "10s"
stdout = "1k"
"#;

struct Host {
    dir: Dir,
    prepare: String,
}

impl Host {
    /// A host with this policy. DIR in the text is the test's directory.
    fn new(policy: &str) -> Self {
        let dir = Dir::new();
        for name in ["etc", "reports", "bundles", "work/below", "readable", "netns", "secret"] {
            dir.mkdir(name);
        }
        dir.write("secret/file", "secret");
        dir.write("work/file", "judged");
        let host = Self { dir, prepare: String::new() };
        host.policy(policy);
        host
    }

    fn policy(&self, text: &str) {
        let listed = "\n[running]\nstate_roots = [\"DIR/state\"]\n";
        let text = if text.contains("[running]") { text.to_owned() } else { format!("{text}{listed}") };
        self.dir.write("policy.toml", &text.replace("DIR", self.dir.path().to_str().unwrap()));
    }

    fn command(&self, args: &[&str]) -> Command {
        support::programs::pinfold_after(UNDER, &self.dir, &self.prepare, args)
    }

    #[track_caller]
    fn pinfold(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// A bundle that the policy allows, with a workspace.
    fn bundle(&self, name: &str, script: &str) -> Bundle {
        let mut bundle = Bundle::script(&self.dir, &format!("bundles/{name}"), script);
        bundle.edit(|config| {
            config["linux"]["resources"]["pids"] = json!({"limit": 32});
            config["process"]["env"] = json!(["PATH=/bin", "TERM=xterm"]);
        });
        bundle.mount(bind(&self.dir.text("work"), "/work", &["rbind", "rw", "nosuid", "nodev"]));
        bundle
    }

    #[track_caller]
    fn run(&self, bundle: &Bundle) -> Ran {
        self.pinfold(&["run", "--bundle", bundle.path.to_str().unwrap(), &self.dir.id("c")])
    }

    /// Refused by this rule, and nothing is left.
    #[track_caller]
    fn refused(&self, ran: &Ran, rule: &str, what: &str) {
        assert!(ran.status.code() != Some(0), "{what}: {ran:?}");
        let told = ran.err.contains("refused by policy: ") && ran.err.contains(&format!("(rule {rule}, "));
        assert!(told, "{what}: expected rule {rule}: {ran:?}");
        assert_eq!(ran.out, "", "{what}: something ran");
        self.dir.assert_nothing_left();
    }
}

fn bind(source: &str, destination: &str, options: &[&str]) -> Value {
    json!({"source": source, "destination": destination, "type": "bind", "options": options})
}

#[test]
fn what_is_allowed_runs_and_what_is_not_is_refused_all_at_once() {
    let host = Host::new(ALLOWING);
    let mut bundle = host.bundle("b", "cat /work/file");
    assert_eq!(host.run(&bundle).ok(), "judged");
    bundle.edit(|config| {
        config["process"]["user"] = json!({"uid": 7, "gid": 7});
        config["process"]["env"] = json!(["LD_PRELOAD=/x", "PATH=/bin"]);
        config["linux"]["resources"]["pids"] = json!({"limit": 65});
    });
    let ran = host.run(&bundle);
    for rule in ["user.uids", "user.gids", "process.environment", "limits.pids"] {
        host.refused(&ran, rule, "several at once");
    }
    assert!(
        ran.err.contains("/linux/resources/pids/limit: 65 (rule limits.pids, /etc/pinfold/policy.toml:"),
        "{ran:?}"
    );
    assert!(!ran.err.contains("/x"), "the value of a variable is nobody's business: {ran:?}");
}

type Edit = fn(&mut Value, &str);

/// From a launch that is allowed, one step over each limit.
const STEPS: &[(&str, &str, Edit)] = &[
    ("another root", "root.directories", |config, dir| {
        config["root"]["path"] = json!(format!("{dir}/secret"))
    }),
    ("a root by `..`", "root.path", |config, dir| {
        config["root"]["path"] = json!(format!("{dir}/bundles/../bundles/b/rootfs"));
    }),
    ("a writable root", "root.readonly", |config, _| config["root"]["readonly"] = json!(false)),
    ("no pid namespace", "namespaces.new", |config, _| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "pid");
    }),
    ("the host's network", "network.modes", |config, _| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "network");
    }),
    ("a joined network", "join.path", |config, _| {
        let list = config["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|one| one["type"] != "network");
        list.push(json!({"type": "network", "path": "/proc/1/ns/net"}));
    }),
    ("a capability more", "capabilities.bounding", |config, _| {
        config["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_SYS_ADMIN"]);
    }),
    ("an inheritable one", "capabilities.inheritable", |config, _| {
        config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
    }),
    ("no no_new_privs", "process.no_new_privs", |config, _| {
        config["process"]["noNewPrivileges"] = json!(false);
    }),
    ("another user", "user.uids", |config, _| config["process"]["user"] = json!({"uid": 1, "gid": 0})),
    ("another group", "user.gids", |config, _| {
        config["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [1000, 4]});
    }),
    ("a variable", "process.environment", |config, _| {
        config["process"]["env"] = json!(["PATH=/bin", "path=/"])
    }),
    ("a cwd in /proc", "process.cwd", |config, _| config["process"]["cwd"] = json!("/proc/self/fd/7")),
    ("an oom score", "process.oom_score_adj", |config, _| config["process"]["oomScoreAdj"] = json!(-1)),
    ("a nice value", "process.priority", |config, _| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": -1});
    }),
    ("a real-time policy", "process.priority", |config, _| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 1});
    }),
    ("a real-time io class", "process.priority", |config, _| {
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 0});
    }),
    ("no pids limit", "limits.pids", |config, _| config["linux"]["resources"]["pids"] = json!({"limit": -1})),
    ("a pid more", "limits.pids", |config, _| config["linux"]["resources"]["pids"] = json!({"limit": 65})),
    ("unified", "limits.unified", |config, _| {
        config["linux"]["resources"]["unified"] = json!({"pids.max": "max"});
    }),
    ("open files", "rlimits.max", |config, _| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1025}]);
    }),
    ("realtime", "rlimits.max", |config, _| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_RTPRIO", "soft": 1, "hard": 1}]);
    }),
    ("a sysctl", "sysctls.allow", |config, _| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    }),
    ("a device", "devices.allow", |config, _| {
        config["linux"]["devices"] = json!([{"path": "/dev/mem", "type": "c", "major": 1, "minor": 1}]);
    }),
    ("a device rule", "devices.allow", |config, _| {
        config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
    }),
    ("an annotation", "annotations.allow", |config, _| config["annotations"] = json!({"run.oci.x": "y"})),
    ("a profile that is not there", "profile", |config, _| {
        config["annotations"] = json!({"io.pinfold.profile": "root"});
    }),
    ("a profile's own limit", "limits.pids", |config, _| {
        config["annotations"] = json!({"io.pinfold.profile": "small"});
    }),
    ("no end in time", "limits.time", |config, _| {
        config["annotations"] = json!({"io.pinfold.profile": "timed"});
    }),
    ("too late an end", "limits.time", |config, _| {
        config["annotations"] = json!({"io.pinfold.profile": "timed", "io.pinfold.timeout": "11s",
            "io.pinfold.stdout-max": "1k"});
    }),
    ("too much output", "limits.stdout", |config, _| {
        config["annotations"] = json!({"io.pinfold.profile": "timed", "io.pinfold.timeout": "10s",
            "io.pinfold.stdout-max": "1025"});
    }),
    ("a report in the bundle", "annotations.reports", |config, _| {
        config["annotations"] = json!({"io.pinfold.report": "report.json"});
    }),
    ("another file system", "mounts.filesystems", |config, _| {
        let overlay = json!({"destination": "/o", "type": "overlay", "source": "o",
            "options": ["lowerdir=/etc:/root"]});
        config["mounts"].as_array_mut().unwrap().push(overlay);
    }),
    ("an option of a file system", "mounts.data", |config, _| {
        let tmpfs = json!({"destination": "/t", "type": "tmpfs", "source": "t", "options": ["mpol=bind:0"]});
        config["mounts"].as_array_mut().unwrap().push(tmpfs);
    }),
    ("one hidden behind a comma", "mounts.data", |config, _| {
        let tmpfs =
            json!({"destination": "/t", "type": "tmpfs", "source": "t", "options": ["mode=755,mpol=bind:0"]});
        config["mounts"].as_array_mut().unwrap().push(tmpfs);
    }),
    ("another procfs", "mounts.destination", |config, _| {
        let proc = json!({"destination": "/p", "type": "proc", "source": "proc"});
        config["mounts"].as_array_mut().unwrap().push(proc);
    }),
    ("a remount", "mounts.remount", |config, _| {
        let again = json!({"destination": "/work", "options": ["bind", "remount", "suid", "dev"]});
        config["mounts"].as_array_mut().unwrap().push(again);
    }),
    ("shared propagation", "mounts.propagation", |config, _| {
        config["linux"]["rootfsPropagation"] = json!("shared");
    }),
    ("an unmasked kcore", "mounts.masked", |config, _| {
        config["linux"]["maskedPaths"] = json!(["/proc/keys"])
    }),
    ("a writable /proc/sys", "mounts.readonly", |config, _| config["linux"]["readonlyPaths"] = json!([])),
];

#[test]
fn one_step_over_each_limit_is_refused_by_its_rule() {
    let host = Host::new(ALLOWING);
    let allowed = host.bundle("b", "echo ran").config;
    let mut bundle = host.bundle("b2", "echo ran");
    for (what, rule, edit) in STEPS {
        let mut config = allowed.clone();
        config["root"]["path"] = json!(host.dir.text("bundles/b/rootfs"));
        edit(&mut config, host.dir.path().to_str().unwrap());
        bundle.edit(|whole| *whole = config);
        host.refused(&host.run(&bundle), rule, what);
    }
}

/// Sources and what they are mounted with; DIR is the test's directory.
const SOURCES: &[(&str, &str, &[&str], &str)] = &[
    ("DIR/secret", "/work", &["nosuid", "nodev"], "bind.source"),
    ("DIR", "/work", &["nosuid", "nodev"], "bind.source"),
    ("/", "/work", &["nosuid", "nodev"], "bind.source"),
    ("DIR/workshop", "/work", &["nosuid", "nodev"], "bind.source"),
    ("DIR/WORK", "/work", &["nosuid", "nodev"], "bind.source"),
    ("DIR/wo\u{fe}rk", "/work", &["nosuid", "nodev"], "bind.source"),
    ("DIR/work/below/../../secret", "/work", &["nosuid", "nodev"], "bind.path"),
    ("DIR/work/below/../..", "/work", &["nosuid", "nodev"], "bind.path"),
    ("../../secret", "/work", &["nosuid", "nodev"], "bind.path"),
    ("rootfs", "/work", &["nosuid", "nodev"], "bind.source"),
    ("DIR/work/a\nb", "/work", &["nosuid", "nodev"], "bind.path"),
    ("DIR/work/link", "/work", &["nosuid", "nodev"], "bind.link"),
    ("DIR/work/link/file", "/work", &["nosuid", "nodev"], "bind.link"),
    ("DIR/work/up/secret", "/work", &["nosuid", "nodev"], "bind.link"),
    ("DIR/work/inside", "/work", &["nosuid", "nodev"], "bind.link"),
    ("DIR/work/magic", "/work", &["nosuid", "nodev"], "bind.link"),
    ("DIR/linked/below", "/work", &["nosuid", "nodev"], "bind.source"),
    ("/proc/self/root/DIR/work", "/work", &["nosuid", "nodev"], "bind.source"),
    ("/proc/1/root/etc/shadow", "/work", &["nosuid", "nodev"], "bind.source"),
    ("/proc/self/fd/0", "/work", &["nosuid", "nodev"], "bind.source"),
    ("/proc/self/cwd", "/work", &["nosuid", "nodev"], "bind.source"),
    ("DIR/work/hard", "/work", &["nosuid", "nodev"], "bind.hard_links"),
    ("DIR/work/fifo", "/work", &["nosuid", "nodev"], "bind.type"),
    ("DIR/work/mem", "/work", &["nosuid", "nodev"], "bind.type"),
    ("DIR/work/mem", "/work", &["nosuid", "dev"], "devices.allow"),
    ("DIR/work", "/work", &["nosuid", "dev"], "devices.allow"),
    ("/etc/shadow", "/work", &["nosuid", "dev"], "devices.allow"),
    ("/dev/kmsg", "/work", &["dev"], "devices.allow"),
    ("DIR/work/mounted/x", "/work", &["nosuid", "nodev"], "bind.cross_mounts"),
    ("DIR/work/mounted", "/work", &["nosuid", "nodev"], "bind.cross_mounts"),
    ("DIR/work", "/work", &["nosuid", "nodev"], "bind.cross_mounts"),
    ("DIR/work/proc", "/work", &["nosuid", "nodev"], "bind.kernel_fs"),
    ("DIR/work/below", "/work", &["nosuid"], "bind.floor"),
    ("DIR/work/below", "/work", &[], "bind.floor"),
    ("DIR/work/below", "/work", &["nosuid", "nodev", "suid"], "bind.floor"),
    ("DIR/work/below", "/work", &["nosuid", "nodev", "rsuid"], "bind.floor"),
    ("DIR/work/below", "/etc", &["nosuid", "nodev"], "bind.destinations"),
    ("DIR/work/below", "/workshop", &["nosuid", "nodev"], "bind.destinations"),
    ("DIR/work/below", "/work/below/../../etc", &["nosuid", "nodev"], "bind.destinations"),
    ("DIR/work/below", "/sys/fs", &["nosuid", "nodev"], "mounts.destination"),
    ("DIR/work/below", "/", &["nosuid", "nodev"], "mounts.destination"),
    ("DIR/readable", "/r", &["nosuid", "nodev"], "bind.access"),
    ("DIR/readable", "/r", &["nosuid", "nodev", "ro", "rw"], "bind.access"),
    ("DIR/readable", "/r", &["nosuid", "nodev", "ro", "rrw"], "bind.access"),
    ("DIR/readable", "/r", &["nosuid", "nodev", "rw"], "bind.access"),
    ("DIR/work/below", "/work", &["nosuid", "nodev", "rshared"], "mounts.propagation"),
];

#[test]
fn no_way_around_a_grant_is_allowed() {
    let mut host = Host::new(ALLOWING);
    let dir = host.dir.path().to_str().unwrap().to_owned();
    host.dir.mkdir("workshop");
    host.dir.mkdir("WORK");
    for (link, target) in [
        ("work/link", "../secret"),
        ("work/up", ".."),
        ("work/inside", "below"),
        ("work/magic", "/proc/self/root"),
        ("linked", "work"),
    ] {
        symlink(target, host.dir.join(link)).unwrap();
    }
    fs::hard_link(host.dir.join("secret/file"), host.dir.join("work/hard")).unwrap();
    for name in ["mounted", "proc"] {
        host.dir.mkdir(&format!("work/{name}"));
    }
    host.prepare = r#"
mkfifo "$DIR/work/fifo"; mknod "$DIR/work/mem" c 1 1
mount -t tmpfs tmpfs "$DIR/work/mounted"; mkdir "$DIR/work/mounted/x"; mount -t proc proc "$DIR/work/proc"
trap 'rm -f "$DIR/work/fifo" "$DIR/work/mem"' EXIT
"$@" || exit
exit
"#
    .to_owned();
    let mut bundle = host.bundle("b", "echo ran");
    bundle.edit(|config| {
        config["mounts"].as_array_mut().unwrap().pop();
    });
    let plain = bundle.config.clone();
    for (source, destination, options, rule) in SOURCES {
        let mut config = plain.clone();
        let source = source.replace("DIR", &dir);
        let mut all = vec!["rbind"];
        all.extend_from_slice(options);
        config["mounts"].as_array_mut().unwrap().push(bind(&source, destination, &all));
        bundle.edit(|whole| *whole = config);
        host.refused(&host.run(&bundle), rule, &format!("{source} {destination} {options:?}"));
    }
    // The table can tell: the same launch passes with a source that is granted.
    bundle.edit(|whole| {
        *whole = plain;
        let work = bind(&format!("{dir}/work/below"), "/work", &["rbind", "nosuid", "nodev"]);
        whole["mounts"].as_array_mut().unwrap().push(work);
    });
    assert_eq!(host.run(&bundle).ok(), "ran\n");
}

#[test]
fn two_mounts_on_one_place_are_refused() {
    let host = Host::new(ALLOWING);
    let mut bundle = host.bundle("b", "echo ran");
    bundle.mount(bind(&host.dir.text("work"), "/work/below/..", &["rbind", "nosuid", "nodev"]));
    host.refused(&host.run(&bundle), "mounts.destination", "twice");
}

#[test]
fn a_namespace_of_the_host_is_never_joined() {
    let mut host = Host::new(ALLOWING);
    host.prepare = r#"
touch "$DIR/netns/host" "$DIR/netns/other"
mount --bind /proc/self/ns/net "$DIR/netns/host"
unshare --net="$DIR/netns/other" true 2>/dev/null || { unshare --net sleep 20 & sleep 0.3; mount --bind /proc/$!/ns/net "$DIR/netns/other"; }
ln -sf /proc/self/ns/net "$DIR/netns/link"
"#
    .to_owned();
    let mut bundle = host.bundle("b", "echo ran");
    let mut join = |path: &str| {
        let path = host.dir.text(path);
        bundle.edit(|config| {
            let list = config["linux"]["namespaces"].as_array_mut().unwrap();
            list.retain(|one| one["type"] != "network");
            list.push(json!({"type": "network", "path": path}));
        });
        host.run(&bundle)
    };
    host.refused(&join("netns/host"), "join.host", "a bind mount of the host's");
    host.refused(&join("netns/link"), "join.link", "a link to it");
    assert_eq!(join("netns/other").ok(), "ran\n");
}

#[test]
fn exec_and_update_are_judged_too() {
    let host = Host::new(&format!("{ALLOWING}\n[exec]\nusers = [\"1000\"]\n"));
    let mut bundle = host.bundle("b", "sleep 30");
    // Those of another uid need CAP_SYS_RESOURCE.
    bundle.edit(|config| config["process"]["rlimits"] = json!([]));
    let id = host.dir.id("c");
    host.pinfold(&["run", "--detach", "--bundle", bundle.path.to_str().unwrap(), &id]).ok();
    let process = |change: fn(&mut Value)| {
        let mut process = bundle.config["process"].clone();
        process["args"] = json!(["/bin/true"]);
        change(&mut process);
        host.dir.write("process.json", &process.to_string()).to_str().unwrap().to_owned()
    };
    let exec = |options: &[&str]| {
        let mut all = vec!["exec"];
        all.extend_from_slice(options);
        all.push(&id);
        if !options.contains(&"--process") {
            all.push("/bin/true");
        }
        host.pinfold(&all)
    };
    exec(&[]).ok();
    exec(&["--user", "1000:1000"]).ok();
    exec(&["--process", &process(|_| ())]).ok();
    let weaker = process(|process| process["noNewPrivileges"] = json!(false));
    let rows: &[(&[&str], &str)] = &[
        (&["--cap", "CAP_SYS_ADMIN"], "capabilities.bounding"),
        (&["--cap", "CAP_SYS_ADMIN"], "exec.capabilities"),
        (&["--user", "7"], "user.uids"),
        (&["--user", "7"], "exec.users"),
        (&["--user", "0:7"], "user.gids"),
        (&["--additional-gids", "7"], "user.gids"),
        (&["--env", "LD_PRELOAD=/x"], "process.environment"),
        (&["--cwd", "/proc/self/fd/3"], "process.cwd"),
        (&["--process", &weaker], "exec.no_new_privs"),
        (&["--process", &weaker], "process.no_new_privs"),
    ];
    let refused = |ran: &Ran, rule: &str| {
        assert_ne!(ran.status.code(), Some(0), "{rule}: {ran:?}");
        assert!(ran.err.contains(&format!("(rule {rule}, ")), "{rule}: {ran:?}");
    };
    for (options, rule) in rows {
        refused(&exec(options), rule);
    }
    let root_caps = process(|process| {
        process["capabilities"]["permitted"] = json!(["CAP_SYS_ADMIN"]);
    });
    refused(&exec(&["--process", &root_caps]), "exec.capabilities");
    host.pinfold(&["update", "--pids-limit", "64", &id]).ok();
    refused(&host.pinfold(&["update", "--pids-limit", "65", &id]), "limits.pids");
    refused(&host.pinfold(&["update", "--pids-limit", "-1", &id]), "limits.pids");
    let unified = host.dir.write("resources.json", r#"{"unified":{"pids.max":"max"}}"#);
    refused(&host.pinfold(&["update", "--resources", unified.to_str().unwrap(), &id]), "limits.unified");
    // A policy that becomes stricter holds for what comes after.
    host.policy(&ALLOWING.replace("version = 1", "version = 1\ndoors = [\"run\"]"));
    refused(&exec(&[]), "doors");
    refused(&host.pinfold(&["update", "--pids-limit", "5", &id]), "doors");
    // What ends a container is never judged.
    host.pinfold(&["delete", "--force", &id]).ok();
}

/// What `exec --cap` adds to the ambient set alone is more than the container has, as in any other set.
#[test]
fn an_ambient_capability_of_exec_is_judged() {
    let policy = ALLOWING.replace("inheritable = []", "inheritable = [\"CAP_KILL\"]");
    let host = Host::new(&policy);
    let mut bundle = host.bundle("b", "sleep 30");
    bundle.edit(|config| {
        config["process"]["rlimits"] = json!([]);
        config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
        config["process"]["capabilities"]["ambient"] = json!([]);
    });
    let id = host.dir.id("c");
    host.pinfold(&["run", "--detach", "--bundle", bundle.path.to_str().unwrap(), &id]).ok();
    let exec = ["exec", "--cap", "CAP_KILL", &id, "/bin/grep", "CapAmb", "/proc/self/status"];
    let refused = |rule: &str| {
        let ran = host.pinfold(&exec);
        assert!(
            ran.status.code() != Some(0) && ran.err.contains(&format!("(rule {rule}, ")),
            "{rule}: {ran:?}"
        );
    };
    refused("exec.capabilities");
    let allowed = format!("{policy}\n[exec]\ncapabilities = [\"CAP_KILL\"]\n");
    host.policy(&allowed);
    assert_eq!(host.pinfold(&exec).ok(), "CapAmb:\t0000000000000020\n");
    host.policy(
        &allowed.replace("ambient = [\"CAP_AUDIT_WRITE\", \"CAP_KILL\",", "ambient = [\"CAP_AUDIT_WRITE\","),
    );
    refused("capabilities.ambient");
    host.pinfold(&["delete", "--force", &id]).ok();
}

#[test]
fn options_of_a_launch_are_judged() {
    let host = Host::new(ALLOWING);
    let bundle = host.bundle("b", "echo ran");
    let (path, id) = (bundle.path.to_str().unwrap(), host.dir.id("c"));
    let refused = |options: &[&str], rule: &str| {
        let all = [&["run", "--bundle", path], options, &[&id]].concat();
        host.refused(&host.pinfold(&all), rule, rule);
    };
    refused(&["--no-new-keyring"], "process.keyring");
    refused(&["--no-pivot"], "root.pivot");
    let mut command = Command::new("sh");
    let mut line = vec!["-c".to_owned(), "exec 3</; exec \"$@\"".to_owned(), "sh".to_owned()];
    let inner = host.command(&["run", "--preserve-fds", "1", "--bundle", path, &id]);
    line.push(inner.get_program().to_str().unwrap().to_owned());
    line.extend(inner.get_args().map(|arg| arg.to_str().unwrap().to_owned()));
    command.args(line).current_dir(host.dir.path()).env("DIR", host.dir.path()).env("PREPARE", "");
    host.refused(&run(&mut command), "process.preserve_fds", "a directory of the host");
    let disabled = host.pinfold(&["--cgroup-manager", "disabled", "run", "--bundle", path, &id]);
    host.refused(&disabled, "limits.pids", "no cgroup");
    // Who asks first is told the same.
    host.pinfold(&["policy", "check", path]).ok();
    let check = host.pinfold(&["--cgroup-manager", "disabled", "policy", "check", path]);
    assert!(check.code() == 120 && check.out.contains("(rule limits.pids, "), "{check:?}");
}

/// The decisions of `explain --json` or `policy check --explain --json`: verdict, and each as
/// (allowed, layer, rule, field, asked, place).
type Told = (String, Vec<(bool, String, String, String, String, String)>);

fn told(policy: &Value) -> Told {
    let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let each = |one: &Value| {
        let place = format!("{}:{}", text(one, "file"), one["line"]);
        let allowed = one["allowed_by_rule"].as_bool().unwrap();
        (allowed, text(one, "layer"), text(one, "rule"), text(one, "field"), text(one, "asked"), place)
    };
    let decisions = policy["decisions"].as_array().unwrap().iter().map(each).collect();
    (text(policy, "verdict"), decisions)
}

#[test]
fn explain_names_the_rule_that_decided_each_part() {
    let host = Host::new(ALLOWING);
    let mut bundle = host.bundle("b", "true");
    bundle.edit(|config| config["annotations"] = json!({"io.pinfold.profile": "small"}));
    let path = bundle.path.to_str().unwrap().to_owned();
    let explain = |options: &[&str]| host.pinfold(&[options, &["explain", "--json", path.as_str()]].concat());
    let line = |key: &str| {
        let text = ALLOWING.lines().position(|line| line.starts_with(key)).unwrap() + 1;
        format!("/etc/pinfold/policy.toml:{text}")
    };
    // The profile allows 16 processes, the bundle asks for 32.
    let refused = explain(&[]);
    assert_eq!(refused.code(), 120, "{refused:?}");
    let printed: Value = serde_json::from_str(&refused.out).unwrap();
    assert!(printed["plan"].is_null() && refused.err.contains("(rule limits.pids, "), "{refused:?}");
    let (verdict, decisions) = told(&printed["policy"]);
    assert_eq!(verdict, "refused");
    let pids: Vec<_> = decisions.iter().filter(|one| one.2 == "limits.pids").collect();
    let of_pids = |layer: &str| pids.iter().find(|one| one.1 == layer).unwrap();
    assert_eq!((of_pids("host").0, of_pids("profile small").0), (true, false), "{pids:?}");
    assert_eq!((&of_pids("host").4, &of_pids("host").5), (&"32".to_owned(), &line("pids = 64")));
    assert_eq!(of_pids("profile small").5, line("pids = 16"));
    // What refuses is what the launch is refused for, and nothing else is.
    let broken: Vec<_> = decisions.iter().filter(|one| !one.0).map(|one| one.2.as_str()).collect();
    assert_eq!(broken, ["limits.pids"]);

    bundle.edit(|config| config["linux"]["resources"]["pids"] = json!({"limit": 16}));
    let allowed = explain(&[]);
    let printed: Value = serde_json::from_str(allowed.ok()).unwrap();
    let steps = printed["plan"]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["step"], "exec");
    assert!(
        printed["plan"]["digest"].as_str().unwrap().starts_with("sha256:"),
        "{}",
        printed["plan"]["digest"]
    );
    let (verdict, decisions) = told(&printed["policy"]);
    assert!(verdict == "allowed" && decisions.iter().all(|one| one.0), "{decisions:?}");
    let has = |rule: &str, field: &str, asked: &str, key: &str| {
        let found = decisions.iter().find(|one| one.2 == rule && one.3 == field && one.1 == "host");
        let found = found.unwrap_or_else(|| panic!("{rule} at {field}: {decisions:?}"));
        assert!(found.4.contains(asked) && found.5 == line(key), "{found:?}");
    };
    let mount = bundle.config["mounts"].as_array().unwrap().len() - 1;
    has("bind.source", &format!("/mounts/{mount}/source"), "/work", "[[bind]]");
    has("root.directories", "/root/path", "/bundles/b/rootfs", "directories");
    has("user.uids", "/process/user/uid", "0", "uids");
    has("process.environment", "/process/env/1", "TERM", "environment");
    has("capabilities.bounding", "/process/capabilities/bounding", "CAP_KILL", "bounding");
    has("annotations.allow", "/annotations/io.pinfold.profile", "io.pinfold.profile", "allow");
}

#[test]
fn explain_tells_the_callers_own_layer_and_in_words() {
    let host = Host::new(ALLOWING);
    let mut bundle = host.bundle("b", "true");
    bundle.edit(|config| {
        config["annotations"] = json!({"io.pinfold.profile": "small"});
        config["linux"]["resources"]["pids"] = json!({"limit": 16});
    });
    host.dir.write("own.toml", "version = 1\n[process]\nenvironment = [\"PATH\"]\n");
    let path = bundle.path.to_str().unwrap().to_owned();
    let own = host.dir.text("own.toml");
    let explain = |options: &[&str]| host.pinfold(&[options, &["explain", "--json", path.as_str()]].concat());
    // A layer of the caller's own.
    let (verdict, decisions) =
        told(&serde_json::from_str::<Value>(&explain(&["--policy", &own]).out).unwrap()["policy"]);
    let term: Vec<_> =
        decisions.iter().filter(|one| one.3 == "/process/env/1").map(|one| (one.0, one.1.as_str())).collect();
    assert_eq!((verdict.as_str(), term), ("refused", vec![(true, "host"), (false, "--policy")]));

    // The same in words, and from `policy check`.
    let human = host.pinfold(&["explain", &path]);
    let place = ALLOWING.lines().position(|line| line.starts_with("pids = 16")).unwrap() + 1;
    let line = format!(
        "policy: allowed by profile small: /linux/resources/pids/limit: 16 (rule limits.pids, /etc/pinfold/policy.toml:{place}; allowed: at most 16)"
    );
    assert!(human.ok().lines().any(|one| one == line), "{human:?}");
    let check = host.pinfold(&["policy", "check", "--explain", "--json", &path]);
    let printed: Value = serde_json::from_str(check.ok()).unwrap();
    assert_eq!(
        told(&printed).1.len(),
        told(&serde_json::from_str::<Value>(&explain(&[]).out).unwrap()["policy"]).1.len()
    );
    // Without the option it is what it was.
    let check = host.pinfold(&["policy", "check", "--json", &path]);
    assert!(serde_json::from_str::<Value>(check.ok()).unwrap().get("decisions").is_none());
}

#[test]
fn explain_of_a_sandbox_is_json_too() {
    let host = Host::new("version = 1\n");
    let refused = host.pinfold(&["explain", "--json", "sandbox", "--ro", "/etc/shadow", "--", "true"]);
    assert_eq!(refused.code(), 120, "{refused:?}");
    let printed: Value = serde_json::from_str(&refused.out).unwrap();
    let (verdict, decisions) = told(&printed["policy"]);
    assert!(
        verdict == "refused" && decisions.iter().any(|one| !one.0 && one.2 == "bind.source"),
        "{decisions:?}"
    );
    // A secret among the variables is told by its name alone.
    let allowed = host.pinfold(&["explain", "--json", "sandbox", "--env", "MINE=s3cret", "--", "true"]);
    assert!(!allowed.out.contains("s3cret") && !allowed.err.contains("s3cret"), "{allowed:?}");
    let absent = "rm /etc/pinfold/policy.toml".to_owned();
    let host = Host { prepare: absent, ..Host::new("version = 1\n") };
    let free = host.pinfold(&["explain", "--json", "sandbox", "--", "true"]);
    let printed: Value = serde_json::from_str(free.ok()).unwrap();
    assert_eq!(
        (&printed["policy"]["stands"], &printed["policy"]["verdict"]),
        (&json!(false), &json!("allowed"))
    );
    assert!(printed["plan"]["steps"].as_array().unwrap().len() > 40);
}

#[test]
fn a_policy_that_cannot_be_trusted_refuses_every_launch() {
    let mut host = Host::new(ALLOWING);
    let bundle = host.bundle("b", "echo ran");
    let rows = [
        ("chmod 666 /etc/pinfold/policy.toml", "written by its group"),
        ("chmod 775 /etc/pinfold", "written by its group"),
        ("chown 1000 /etc/pinfold/policy.toml", "belongs to user 1000"),
        ("mv /etc/pinfold/policy.toml /etc/p; ln -s ../p /etc/pinfold/policy.toml", "symbolic link"),
        ("mv /etc/pinfold /etc/p; ln -s p /etc/pinfold", "symbolic link"),
        ("rm /etc/pinfold/policy.toml; mkdir /etc/pinfold/policy.toml", "not a regular file"),
        ("rm /etc/pinfold/policy.toml; mkfifo /etc/pinfold/policy.toml", "not a regular file"),
        ("echo 'nonsense = 1' >>/etc/pinfold/policy.toml", "is no key"),
        (": >/etc/pinfold/policy.toml", "`version` is missing"),
        ("printf '\\377' >/etc/pinfold/policy.toml", "utf-8"),
    ];
    for (prepare, told) in rows {
        host.prepare = prepare.to_owned();
        let ran = host.run(&bundle);
        assert!(ran.code() == 1 && ran.err.contains(told), "{prepare}: {ran:?}");
        let sandbox = host.pinfold(&["sandbox", "--", "echo", "ran"]);
        assert!(sandbox.code() == 120 && sandbox.err.contains(told), "{prepare}: {sandbox:?}");
        let explained = host.pinfold(&["explain", bundle.path.to_str().unwrap()]);
        assert!(explained.code() == 120 && explained.err.contains(told), "{prepare}: {explained:?}");
    }
    host.prepare = "rm /etc/pinfold/policy.toml".to_owned();
    assert_eq!(host.run(&bundle).ok(), "ran\n", "absent: as runc");
}

#[test]
fn a_compiled_policy_is_the_text_or_nothing() {
    let mut host = Host::new(ALLOWING);
    let bundle = host.bundle("b", "echo ran");
    let compile = format!("{PINFOLD} policy compile >/dev/null; ");
    let forbid = "sed -i 's/^directories = .*/directories = [\"\\/none\"]/' /etc/pinfold/policy.toml; ";
    let told = |host: &Host, what: &str| host.refused(&host.run(&bundle), "root.directories", what);

    host.prepare = compile.clone();
    assert_eq!(host.run(&bundle).ok(), "ran\n");
    host.prepare = format!("{forbid}{compile}");
    told(&host, "compiled");
    host.prepare = format!("{compile}{forbid}");
    told(&host, "the text changed afterwards");
    host.prepare = format!("{forbid}: >/etc/pinfold/policy.compiled");
    told(&host, "nothing was compiled");

    // What is compiled counts indeed: of root's own making it may say what the text does not.
    let strict = fs::read_to_string(host.dir.join("policy.toml")).unwrap().replace("bundles", "none");
    let lenient = Document::parse("p", &fs::read_to_string(host.dir.join("policy.toml")).unwrap()).unwrap();
    fs::write(host.dir.join("compiled"), compiled::encode(&lenient, &strict).unwrap()).unwrap();
    host.dir.write("strict.toml", &strict);
    let install = "install -m 644 \"$DIR/strict.toml\" /etc/pinfold/policy.toml; ";
    host.prepare = install.to_owned();
    told(&host, "as the text says");
    let forged = format!("{install}install -m 644 \"$DIR/compiled\" /etc/pinfold/policy.compiled; ");
    host.prepare = forged.clone();
    assert_eq!(host.run(&bundle).ok(), "ran\n");

    for (change, told) in [
        ("chmod 666 /etc/pinfold/policy.compiled", "written by its group"),
        ("chown 1000 /etc/pinfold/policy.compiled", "belongs to user 1000"),
        ("mv /etc/pinfold/policy.compiled /etc/p; ln -s ../p /etc/pinfold/policy.compiled", "symbolic link"),
        ("rm /etc/pinfold/policy.compiled; mkfifo /etc/pinfold/policy.compiled", "not a regular file"),
    ] {
        host.prepare = format!("{forged}{change}");
        let ran = host.run(&bundle);
        assert!(ran.code() == 1 && ran.err.contains(told), "{change}: {ran:?}");
        assert!(ran.err.contains("policy.compiled"), "{ran:?}");
    }
    host.prepare = "echo 'nonsense = 1' >>/etc/pinfold/policy.toml".to_owned();
    let compiled = host.pinfold(&["policy", "compile"]);
    assert!(compiled.code() == 120 && compiled.err.contains("is no key"), "{compiled:?}");
}

#[test]
fn audit_mode_tells_and_lets_pass() {
    let host = Host::new(&ALLOWING.replace("version = 1", "version = 1\nmode = \"audit\""));
    let mut bundle = host.bundle("b", "cat /work/file");
    bundle.edit(|config| config["process"]["env"] = json!(["PATH=/bin", "TOKEN=x"]));
    symlink("work", host.dir.join("link")).unwrap();
    bundle.edit(|config| {
        let last = config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
        last["source"] = json!(host.dir.text("link"));
    });
    let ran = host.run(&bundle);
    assert_eq!(ran.ok(), "judged");
    for rule in ["process.environment", "bind.source"] {
        assert!(ran.err.contains(&format!("(rule {rule}, ")), "{ran:?}");
    }
}

#[test]
fn a_source_that_is_swapped_before_start_is_refused_and_never_mounted() {
    let host = Host::new(ALLOWING);
    let mut bundle = host.bundle("b", "cat /work/file");
    bundle.edit(|config| {
        let last = config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
        last["source"] = json!(host.dir.text("work/below"));
    });
    host.dir.write("work/below/file", "judged");
    let id = host.dir.id("c");
    let (below, away) = (host.dir.join("work/below"), host.dir.join("work/away"));
    let swaps: [(&str, &dyn Fn()); 3] = [
        ("a link", &|| symlink("../secret", &below).unwrap()),
        ("another directory", &|| {
            fs::create_dir(&below).unwrap();
            fs::write(below.join("file"), "other").unwrap();
        }),
        ("nothing", &|| ()),
    ];
    for (what, swap) in swaps {
        host.pinfold(&["create", "--bundle", bundle.path.to_str().unwrap(), &id]).ok();
        fs::rename(&below, &away).unwrap();
        swap();
        let start = host.pinfold(&["start", &id]);
        let told = start.err.contains("when it was judged") || start.err.contains("was directory of");
        assert!(start.code() == 1 && told && start.err.contains("mount on /work"), "{what}: {start:?}");
        fs::remove_file(&below).or_else(|_| fs::remove_dir_all(&below)).ok();
        // Put back, it is the very object again.
        fs::rename(&away, &below).unwrap();
        host.pinfold(&["start", &id]).ok();
        host.pinfold(&["delete", "--force", &id]).ok();
    }
    host.dir.assert_nothing_left();
}

#[test]
fn the_callers_own_policy_narrows_and_never_widens() {
    let host = Host::new(ALLOWING);
    let bundle = host.bundle("b", "echo ran");
    let (path, id) = (bundle.path.to_str().unwrap().to_owned(), host.dir.id("c"));
    let own = |text: &str| {
        let own = host.dir.write("own.toml", text).to_str().unwrap().to_owned();
        host.pinfold(&["--policy", &own, "run", "--bundle", &path, &id])
    };
    assert_eq!(own("version = 1").ok(), "ran\n");
    host.refused(&own("version = 1\n[limits]\npids = 31"), "limits.pids", "narrower");
    let wide = own("version = 1\nmode = \"audit\"");
    assert!(wide.code() == 1 && wide.err.contains("`mode` is no key"), "{wide:?}");
    host.policy(&ALLOWING.replace("pids = 64", "pids = 31"));
    host.refused(&own("version = 1\n[limits]\npids = 1000"), "limits.pids", "wider");
}

#[test]
fn a_sandbox_is_judged_with_its_profile() {
    let host = Host::new(
        r#"
version = 1
[[bind]]
path = "DIR/work"
access = "rw"
owner = ["0"]
[limits]
memory = "unlimited"
swap = "unlimited"
cpu = "unlimited"
pids = 300
[profile.timed.limits]
time = "10s"
"#,
    );
    let work = format!("{}:/work", host.dir.text("work"));
    let refused = |options: &[&str], rule: &str| {
        let all = [&["sandbox"], options, &["--", "echo", "ran"]].concat();
        let ran = host.pinfold(&all);
        assert_eq!(ran.code(), 120, "{ran:?}");
        host.refused(&ran, rule, rule);
    };
    assert_eq!(host.pinfold(&["sandbox", "--rw", &work, "--", "cat", "/work/file"]).ok(), "judged");
    refused(&["--rw", &host.dir.text("secret")], "bind.source");
    refused(&["--ro", "/etc/shadow"], "bind.source");
    refused(&["--pids-limit", "301"], "limits.pids");
    refused(&["--cap-add", "NET_RAW"], "capabilities.permitted");
    refused(&["--user", "0"], "user.uids");
    refused(&["--network", "host"], "network.modes");
    refused(&["--security-opt", "seccomp=unconfined"], "seccomp.required");
    refused(&["-e", "TOKEN=x"], "process.environment");
    refused(&["--rootfs", &host.dir.text("secret")], "root.directories");
    refused(&["--device", "/dev/kmsg"], "devices.allow");
    refused(&["--profile", "timed"], "limits.time");
    refused(&["--profile", "timed", "--timeout", "11s"], "limits.time");
    refused(&["--profile", "nobody"], "profile");
    let timed = host.pinfold(&["sandbox", "--profile", "timed", "--timeout", "10s", "--", "echo", "ran"]);
    assert_eq!(timed.ok(), "ran\n");
}

#[test]
fn no_more_launches_than_the_host_allows() {
    let host = Host::new("version = 1");
    let root = host.dir.state_root().to_str().unwrap().to_owned();
    host.policy(&format!(
        "version = 1\n[running]\nmax = 2\nstate_roots = [\"{root}\"]\n[limits]\nmemory = \"unlimited\"\nswap = \"unlimited\"\ncpu = \"unlimited\"\n"
    ));
    let names: Vec<_> = ["1", "2", "3"].map(|name| host.dir.id(name)).into();
    let start = |name: &str| host.pinfold(&["sandbox", "--detach", "--name", name, "--", "sleep", "30"]);
    start(&names[0]).ok();
    start(&names[1]).ok();
    let third = start(&names[2]);
    assert!(third.code() == 120 && third.err.contains("(rule running.max, "), "{third:?}");
    host.pinfold(&["delete", "--force", &names[0]]).ok();
    start(&names[2]).ok();
    let elsewhere = Host::new(&fs::read_to_string(host.dir.join("policy.toml")).unwrap());
    let ran = elsewhere.pinfold(&["sandbox", "--", "echo", "ran"]);
    elsewhere.refused(&ran, "running.state_roots", "another --root");
    for name in &names[1..] {
        host.pinfold(&["delete", "--force", name]).ok();
    }
}

#[test]
fn check_gives_the_verdict_of_a_launch_and_launches_nothing() {
    let host = Host::new(ALLOWING);
    let mut bundle = host.bundle("b", "echo ran");
    let path = bundle.path.to_str().unwrap().to_owned();
    let check = |code: i32| {
        let ran = host.pinfold(&["policy", "check", "--json", &path]);
        assert_eq!(ran.code(), code, "{ran:?}");
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let allowed = check(0);
    assert_eq!((&allowed["verdict"], &allowed["policy"]), (&json!("allowed"), &json!(true)));
    bundle.edit(|config| config["process"]["oomScoreAdj"] = json!(-1));
    let refused = check(120);
    assert_eq!(refused["violations"][0]["rule"], "process.oom_score_adj");
    assert_eq!(refused["violations"].as_array().unwrap().len(), 1);
    let human = host.pinfold(&["policy", "check", &path]);
    assert!(human.out.starts_with("refused: by the host's rules\n  /process/oomScoreAdj: -1 "), "{human:?}");
    let lint = host.pinfold(&["policy", "lint"]);
    assert!(lint.code() == 1 && lint.out.contains("/etc/pinfold/policy.toml:"), "{lint:?}");
    let init = host.pinfold(&["policy", "init"]);
    host.dir.write("init.toml", init.ok());
    host.pinfold(&["policy", "lint", &host.dir.text("init.toml")]).ok();
    fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    host.dir.assert_nothing_left();
}

/// Engines give them to every container; nobody obeys them but systemd, where it makes the cgroup.
#[test]
fn properties_of_systemd_s_units_count_under_its_driver_alone() {
    for (allowed, under_systemd) in [("\"*\"", 120), ("\"*\", \"org.systemd.property.MemoryMax\"", 0)] {
        let policy = format!(
            "{}[annotations]\nallow = [{allowed}]\n",
            ALLOWING.replace("[annotations]", "[profile.x.annotations]")
        );
        let host = Host::new(&policy);
        let mut bundle = host.bundle("b", "echo ran");
        bundle.edit(|config| config["annotations"] = json!({"org.systemd.property.MemoryMax": "uint64 1"}));
        let path = bundle.path.to_str().unwrap().to_owned();
        assert_eq!(host.pinfold(&["run", "--bundle", &path, &host.dir.id("c")]).ok(), "ran\n", "{allowed}");
        host.pinfold(&["policy", "check", &path]).ok();
        let ran = host.pinfold(&["--systemd-cgroup", "policy", "check", &path]);
        assert_eq!(ran.code(), under_systemd, "{allowed}: {ran:?}");
        assert_eq!(ran.out.contains("rule annotations.allow"), under_systemd == 120, "{ran:?}");
    }
}

/// A rate of 0 is the kernel's `max`.
#[test]
fn a_throttle_without_a_rate_is_none() {
    let host = Host::new(&ALLOWING.replacen("pids = 64", "pids = 64\nio = \"set\"", 1));
    let mut bundle = host.bundle("b", "echo ran");
    bundle.edit(|config| {
        let throttle = json!([{"major": 8, "minor": 0, "rate": 0}]);
        config["linux"]["resources"]["blockIO"] = json!({"throttleReadBpsDevice": throttle});
    });
    host.refused(&host.run(&bundle), "limits.io", "a rate of 0");
}

#[test]
fn hooks_from_before_the_policy_do_not_run() {
    let host = Host::new(ALLOWING);
    let mut bundle = host.bundle("b", "sleep 30");
    let told = host.dir.join("told");
    let script = format!("echo ran >{}", told.display());
    bundle.edit(|config| {
        config["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    });
    let unjudged =
        |args: &[&str]| run(Command::new(PINFOLD).arg("--root").arg(host.dir.state_root()).args(args));
    let id = host.dir.id("c");
    let make = || {
        assert_eq!(unjudged(&["run", "--detach", "--bundle", bundle.path.to_str().unwrap(), &id]).ok(), "")
    };
    make();
    unjudged(&["delete", "--force", &id]).ok();
    assert!(told.metadata().is_ok(), "without a policy the hook runs");
    std::fs::remove_file(&told).unwrap();
    make();
    let deleted = host.pinfold(&["delete", "--force", &id]);
    assert!(deleted.status.success() && deleted.err.contains("are left out"), "{deleted:?}");
    assert!(told.metadata().is_err(), "a hook ran that no policy judged");
    host.dir.assert_nothing_left();
}

#[test]
fn a_report_goes_where_the_policy_has_them() {
    let host = Host::new(ALLOWING);
    let given = host.dir.text("reports");
    let bundle = std::cell::RefCell::new(host.bundle("report", "true"));
    let run = |place: String, report_dir: &str| {
        let mut bundle = bundle.borrow_mut();
        bundle.edit(|config| config["annotations"] = json!({"io.pinfold.report": place}));
        host.pinfold(&["--report-dir", report_dir, "run", "--bundle", bundle.text(), &host.dir.id("t")])
    };
    run(format!("{given}/r.json"), &given).ok();
    assert!(host.dir.join("reports/r.json").is_file());
    // A directory that the command line gives is one of the caller's.
    let secret = host.dir.text("secret");
    let ran = run(format!("{secret}/r.json"), &secret);
    host.refused(&ran, "annotations.reports", "/annotations/io.pinfold.report");
    let ran = run(format!("{given}/../secret/r.json"), host.dir.path().to_str().unwrap());
    host.refused(&ran, "annotations.reports", "/annotations/io.pinfold.report");
    assert!(
        std::fs::symlink_metadata(host.dir.join("secret/r.json")).is_err(),
        "a refused launch makes no file"
    );
    host.dir.assert_nothing_left();
}

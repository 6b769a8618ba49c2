//! Promise: what `pinfold surface` says of a container is what is there: a default sandbox's surface is
//! small, and a weakened one differs by name. docs/surface.md.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::{Bundle, Dir, PINFOLD};

/// A directory that is gone with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pinfold-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn pinfold(args: &[&str]) -> Output {
    Command::new(PINFOLD).args(args).output().unwrap()
}

fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The report from a sandbox with these options.
fn sandbox(options: &[&str]) -> String {
    let bind = format!("{PINFOLD}:/run/surface");
    let all =
        [&["sandbox", "--ro", &bind][..], options, &["--", "/run/surface", "surface", "--json"]].concat();
    ok(pinfold(&all))
}

fn section(report: &str, name: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["schema"], 1);
    report["sections"][name].as_object().unwrap().keys().cloned().collect()
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|one| one == name)
}

fn difference(directory: &Path, one: &str, other: &str) -> (Option<i32>, String) {
    let (a, b) = (directory.join("a.json"), directory.join("b.json"));
    std::fs::write(&a, one).unwrap();
    std::fs::write(&b, other).unwrap();
    let output = pinfold(&["surface", "--diff", a.to_str().unwrap(), b.to_str().unwrap()]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_default_sandbox_s_surface_is_small() {
    let report = sandbox(&[]);
    let calls = section(&report, "syscalls");
    for call in ["read", "write", "execve", "mmap", "clone"] {
        assert!(has(&calls, call), "{call}: the probe sees nothing");
    }
    for call in [
        "bpf",
        "mount",
        "ptrace",
        "init_module",
        "perf_event_open",
        "userfaultfd",
        "add_key",
        "io_uring_setup",
        "setns",
    ] {
        assert!(!has(&calls, call), "{call} is reached");
    }
    assert!(section(&report, "capabilities").is_empty());
    assert!(section(&report, "descriptors").is_empty());
    // The kernel lets everybody ask for a word on pressure (psi, "Monitoring for pressure thresholds").
    let writable = section(&report, "writable");
    assert!(writable.iter().all(|path| path.starts_with("/proc/pressure/")), "{writable:?}");
    for family in ["packet", "alg", "vsock", "key"] {
        assert!(!has(&section(&report, "sockets"), family), "{family}");
    }
    let devices = section(&report, "devices");
    assert!(has(&devices, "/dev/null") && devices.len() < 12, "{devices:?}");
}

#[test]
fn two_looks_at_the_same_are_equal_and_a_weakened_sandbox_differs_by_name() {
    let scratch = Scratch::new("surface");
    let plain = sandbox(&[]);
    assert_eq!(difference(&scratch.0, &plain, &sandbox(&[])), (Some(0), String::new()));
    let weak = sandbox(&["--security-opt", "seccomp=unconfined", "--cap-add", "NET_RAW", "--tmpfs", "/more"]);
    let (code, text) = difference(&scratch.0, &plain, &weak);
    assert_eq!(code, Some(1));
    for line in
        ["+ syscalls bpf ", "+ syscalls ptrace ", "+ capabilities CAP_NET_RAW ", "+ mounts /more tmpfs"]
    {
        assert!(text.lines().any(|one| one.starts_with(line)), "{line}:\n{text}");
    }
    assert!(!text.contains("- syscalls"), "{text}");
    // The other way round the same names are taken away.
    let (_, back) = difference(&scratch.0, &weak, &plain);
    assert_eq!(back.lines().count(), text.lines().count());
    assert!(back.contains("- syscalls bpf ") && back.contains("- capabilities CAP_NET_RAW"), "{back}");
}

#[test]
fn a_bundle_is_looked_at_from_its_own_inside_and_left_as_it_was() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new("surface-bundle");
    let root = scratch.0.join("rootfs");
    for name in ["proc", "dev", "sys"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    let text = scratch.0.to_str().unwrap();
    ok(pinfold(&["spec", "--bundle", text]));
    let plain = ok(pinfold(&["surface", "--bundle", text, "--json"]));
    assert!(has(&section(&plain, "capabilities"), "CAP_NET_BIND_SERVICE"));
    // No filter: the kernel alone answers.
    assert!(has(&section(&plain, "syscalls"), "ptrace"));
    let config = std::fs::read_to_string(scratch.0.join("config.json")).unwrap();
    let mut weak: Value = serde_json::from_str(&config).unwrap();
    weak["linux"]["readonlyPaths"] = Value::Array(vec![]);
    weak["process"]["capabilities"]["effective"].as_array_mut().unwrap().push("CAP_SYS_ADMIN".into());
    for set in ["permitted", "bounding"] {
        weak["process"]["capabilities"][set].as_array_mut().unwrap().push("CAP_SYS_ADMIN".into());
    }
    std::fs::write(scratch.0.join("config.json"), weak.to_string()).unwrap();
    let other = ok(pinfold(&["surface", "--bundle", text, "--json"]));
    let (_, told) = difference(&scratch.0, &plain, &other);
    for line in ["+ capabilities CAP_SYS_ADMIN ", "+ writable /proc/sys/"] {
        assert!(told.lines().any(|one| one.starts_with(line)), "{line}:\n{told}");
    }
    // Nothing was made in the root.
    let mut left: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["dev", "proc", "sys"]);
    assert_eq!(std::fs::read_dir(root.join("dev")).unwrap().count(), 0);
}

#[test]
fn what_is_no_report_is_an_error() {
    let scratch = Scratch::new("surface-report");
    for text in ["", "{}", r#"{"schema":2,"sections":{}}"#, r#"{"schema":1,"sections":{},"more":1}"#] {
        assert_eq!(difference(&scratch.0, text, r#"{"schema":1,"sections":{}}"#).0, Some(1), "{text}");
        let (a, b) = (scratch.0.join("a.json"), scratch.0.join("b.json"));
        let output = pinfold(&["surface", "--diff", a.to_str().unwrap(), b.to_str().unwrap()]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("error"), "{text}");
    }
}

/// A host whose policy has profiles; what is mounted over /etc is this test's own.
const UNDER: &str = r#"
mkdir -p "$DIR/etc"
mount -t tmpfs tmpfs "$DIR/etc"
mkdir "$DIR/etc/upper" "$DIR/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$DIR/etc/upper,workdir=$DIR/etc/work" overlay /etc
rm -rf /etc/pinfold; mkdir -m 755 /etc/pinfold
install -m 644 "$DIR/policy.toml" /etc/pinfold/policy.toml
# cargo keeps two names of what it builds, and a policy lets no file with two be bound.
install "$1" "$DIR/pinfold"; shift
exec "$DIR/pinfold" "$@"
"#;

const PROFILES: &str = r#"
version = 1
[running]
state_roots = ["DIR/state"]
[[bind]]
path = "DIR/pinfold"
[limits]
memory = "unlimited"
swap = "unlimited"
cpu = "unlimited"
[profile.plain]
[profile.timed.limits]
time = "15s"
[profile.closed]
[[profile.closed.bind]]
path = "/srv"
"#;

/// The same as a sandbox without any options, which the profile's rules allow; what they forbid is refused.
#[test]
fn a_profile_is_looked_at_from_inside() {
    support::need_root();
    let dir = Dir::new();
    dir.write("policy.toml", &PROFILES.replace("DIR", dir.path().to_str().unwrap()));
    let under = |args: &[&str]| support::run(&mut support::programs::pinfold_after(UNDER, &dir, "", args));
    let report = under(&["surface", "--profile", "plain", "--json"]).ok().to_owned();
    assert!(has(&section(&report, "syscalls"), "execve") && !has(&section(&report, "syscalls"), "ptrace"));
    assert!(section(&report, "capabilities").is_empty());
    assert!(has(&section(&report, "mounts"), "/run/pinfold-surface"), "{report}");
    assert_eq!(under(&["surface", "--profile", "timed", "--json"]).ok(), report);
    for (profile, word) in [("nobody", "profile"), ("closed", "bind.source")] {
        let ran = under(&["surface", "--profile", profile, "--json"]);
        assert!(ran.code() == 1 && ran.out.is_empty() && ran.err.contains(word), "{profile}: {ran:?}");
    }
    // Without a host's policy there are no profiles.
    let none = pinfold(&["surface", "--profile", "plain"]);
    assert!(!none.status.success() && none.stdout.is_empty(), "{none:?}");
}

/// Nothing has a name that another could open, and what could still be changed is not taken.
#[test]
fn the_configuration_is_handed_on_by_a_sealed_descriptor() {
    support::need_root();
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["true"]);
    let mut command = Command::new(PINFOLD);
    command.args(["surface", "--bundle", bundle.text(), "--json"]).env("TMPDIR", dir.join("nothing"));
    let ran = support::run(&mut command);
    let report = ran.ok();
    assert!(section(report, "descriptors").is_empty(), "{report}");
    for (redirection, word) in [("9<\"$1\"/config.json", "seal"), ("9<&-", "/proc/self/fd/9")] {
        let script = format!("exec \"$0\" run --bundle \"$1\" --config-fd 9 {} {redirection}", dir.id("c"));
        let ran = support::run(Command::new("sh").args(["-c", &script, PINFOLD, bundle.text()]));
        assert!(ran.code() == 1 && ran.err.to_lowercase().contains(word), "{redirection}: {ran:?}");
    }
}

//! What the program sees of its confinement, and what a launch with a fault came to.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde_json::{Value, json};

use crate::support::Ran;

/// Prints what confines it. It tries what it must not be able to do.
pub const PROBE: &str = r#"
grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status
for kind in cgroup ipc mnt net pid uts user; do echo "$kind $(readlink /proc/self/ns/$kind)"; done
cat /proc/self/mountinfo | while read -r id parent device rest; do echo "mount $rest"; done
cat /proc/self/limits /proc/self/oom_score_adj /proc/self/cgroup
echo "umask $(umask) cwd $(pwd) host $(hostname)"
for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do if [ -e /proc/$$/fd/$fd ]; then echo "fd $fd $(readlink /proc/$$/fd/$fd)"; fi; done
(echo > /root-is-writable) 2>/dev/null && echo "root is writable"
(echo > /proc/sys/kernel/domainname) 2>/dev/null && echo "a sysctl is writable"
(echo > /proc/sysrq-trigger) 2>/dev/null && echo "sysrq is writable"
[ -s /proc/keys ] && echo "keys are visible"
mount -t tmpfs none /tmp 2>/dev/null && echo "mounted"
unshare=$(command -v unshare || echo busybox unshare)
$unshare -U -r -m sh -c 'mount -t tmpfs none /tmp || busybox mount -t tmpfs none /tmp' 2>/dev/null && echo "Landlock lets mount"
mkdir /tmp/denied-by-filter 2>/dev/null && echo "mkdir is allowed"
env | sort
(for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do sleep 1 & done) 2>/dev/null || echo "processes are limited"
"#;

/// What every fault is tried on: one of each control.
pub fn confine(config: &mut Value, user_namespace: bool) {
    config["process"]["noNewPrivileges"] = json!(true);
    config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]);
    config["process"]["oomScoreAdj"] = json!(100);
    config["process"]["user"]["umask"] = json!(0o027);
    // With it the program may map root in a user namespace of its own, and would mount there but for Landlock.
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_SETFCAP"));
    }
    config["root"]["readonly"] = json!(true);
    config["linux"]["resources"]["pids"] = json!({"limit": 20});
    config["linux"]["sysctl"] = json!({"kernel.shm_rmid_forced": "1"});
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    config["annotations"] = json!({"io.pinfold.landlock": "on"});
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "noexec"]}));
    if user_namespace {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    }
}

/// Without what differs from launch to launch.
pub fn normalised(out: &str, id: &str) -> String {
    let host = |line: &str| {
        let (kind, name) = line.split_once(' ')?;
        let ours = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        let host = ours.to_str() == Some(name);
        Some(format!("{kind} {}", if host { "the host's" } else { "own" }))
    };
    let line = |line: &str| {
        if line.contains(":[") && !line.starts_with("mount ") && !line.starts_with("fd ") {
            return host(line).unwrap_or_else(|| line.to_owned());
        }
        drawn(&line.replace(id, "ID"))
    };
    out.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The words after these are drawn for each launch.
fn drawn(line: &str) -> String {
    let mut text = line.to_owned();
    for key in ["sandbox-", "pinfold-exec-", "uid=", "gid=", "pinfold-test-"] {
        let Some(begin) = text.find(key) else { continue };
        let begin = begin + key.len();
        let end = text[begin..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .map_or(text.len(), |end| begin + end);
        text.replace_range(begin..end, "DRAWN");
    }
    text
}

/// What a launch came to.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Nothing is missing.
    Held,
    /// An error with a message.
    Refused,
    /// Killed by a signal of its own, such as SIGABRT without memory.
    Died,
    /// Nobody was told why.
    Silent(i32),
    Panics,
    Weaker(String),
    Leak(String),
    Hangs,
}

impl Outcome {
    pub fn of(ran: &Ran, verb: &str, baseline: Option<&str>) -> Self {
        let shown = ["run", "run-user", "exec", "sandbox"].contains(&verb);
        // The standard library's own answer to a call that cannot fail so: keys of a hash map, or a destructor.
        if ran.err.contains("failed to generate random data") || ran.err.contains("error during closedir") {
            return Self::Died;
        }
        if ran.err.contains("panicked") {
            return Self::Panics;
        }
        if let Some(baseline) = baseline.filter(|_| shown && !ran.out.is_empty())
            && let Some(difference) = difference(baseline, &ran.out, ran.status.success())
        {
            return Self::Weaker(difference);
        }
        match ran.status.code() {
            Some(0) if shown && ran.out.is_empty() => Self::Silent(0),
            Some(0) => Self::Held,
            Some(code) if code > 128 && ran.err.is_empty() => Self::Died,
            Some(_)
                if ["error", "memory allocation", "thread-local storage"]
                    .iter()
                    .any(|text| ran.err.contains(text)) =>
            {
                Self::Refused
            }
            code => Self::Silent(code.unwrap_or(-1)),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Refused => "error",
            Self::Died => "died",
            Self::Silent(_) => "silent",
            Self::Panics => "panic",
            Self::Weaker(_) => "weaker",
            Self::Leak(_) => "leak",
            Self::Hangs => "hangs",
        }
    }

    pub fn is_bad(&self) -> bool {
        !matches!(self, Self::Held | Self::Refused | Self::Died)
    }
}

/// Lines of one and not of the other.
/// A program that was ended with its launch has said the beginning, up to anywhere in a line.
fn difference(expected: &str, found: &str, whole: bool) -> Option<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (expected, mut found) = (lines(expected), lines(found));
    if !whole {
        found.pop();
    }
    let missing: Vec<_> = expected
        .iter()
        .filter(|line| whole && !found.contains(line))
        .map(|line| format!("- {line}"))
        .collect();
    let more: Vec<_> =
        found.iter().filter(|line| !expected.contains(line)).map(|line| format!("+ {line}")).collect();
    let all = [missing, more].concat();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// Stands for a program that did not end.
pub fn nothing() -> Ran {
    Ran { status: ExitStatus::from_raw(0), out: String::new(), err: String::new() }
}

//! Promise: the command line is runc's. The same lines go to runc 1.3 and to pinfold; exit code,
//! the shape of stdout, and the words on stderr that callers match are the same. Where pinfold
//! answers otherwise on purpose, the row says why.
//!
//! runc is Debian sid's, unpacked by `tests/setup.sh peers`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::{Bundle, Dir, Ran, run};

/// What stdout holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Out {
    /// Nothing.
    Empty,
    /// The same text, but for what differs anyway (ids, pids, times, the version).
    Same,
    /// Anything: help pages differ.
    Any,
}
use Out::{Any, Empty, Same};

/// A line for both, the code that both exit with, stdout, and words that both say on stderr.
/// `@` is the container, `%` the directory of bundles.
type Row = (&'static str, i32, Out, &'static str);

struct Peers {
    dir: Dir,
    runc: PathBuf,
}

impl Peers {
    fn new() -> Self {
        let dir = Dir::new();
        for who in ["runc", "pinfold"] {
            dir.mkdir(&format!("{who}-state"));
        }
        dir.mkdir("tree");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let runc = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("peers/sid");
        assert!(runc.join("usr/bin/runc").is_file(), "runc is needed (tests/setup.sh peers)");
        Self { dir, runc }
    }

    fn bundle(&self, name: &str, script: &str) {
        for who in ["runc", "pinfold"] {
            let mut bundle = Bundle::script(&self.dir, &format!("{who}-bundles/{name}"), script);
            bundle.edit(|config| config["process"]["rlimits"] = json!([]));
            let users = "root:x:0:0::/root:/bin/sh\nseven:x:7:7::/home/seven:/bin/sh\n";
            fs::write(bundle.rootfs().join("etc/passwd"), users).unwrap();
        }
    }

    fn edit(&self, name: &str, change: impl Fn(&mut Value, &Path)) {
        for who in ["runc", "pinfold"] {
            let bundle = self.dir.join(&format!("{who}-bundles/{name}"));
            let path = bundle.join("config.json");
            let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            change(&mut config, &bundle.join("rootfs"));
            fs::write(&path, config.to_string()).unwrap();
        }
    }

    fn words(&self, who: &str, line: &str) -> Vec<String> {
        let bundles = self.dir.text(&format!("{who}-bundles"));
        let word = |word: &str| word.replace('%', &bundles).replace('@', &self.dir.id(who)).replace('~', " ");
        line.split_whitespace().map(word).collect()
    }

    fn runc(&self, line: &str) -> Ran {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/in-tree.sh");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).arg(script).arg(&self.runc);
        command.arg(self.dir.join("tree")).args(["/usr/bin/runc", "--root"]).arg(self.dir.join("runc-state"));
        run(command.args(self.words("runc", line)).current_dir(self.dir.path()))
    }

    fn pinfold(&self, line: &str) -> Ran {
        let mut command = Command::new(support::PINFOLD);
        command.arg("--root").arg(self.dir.join("pinfold-state"));
        run(command.args(self.words("pinfold", line)).current_dir(self.dir.path()))
    }

    /// What stdout says, without what differs anyway.
    fn plain(&self, who: &str, out: &str) -> String {
        let line = |line: &str| {
            let line =
                line.replace(&self.dir.id(who), "@").replace(&self.dir.text(&format!("{who}-bundles")), "%");
            let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            for word in &mut words {
                let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                let number = core.parse::<u32>().is_ok_and(|number| number > 300);
                if number || core.len() > 18 && core.starts_with("20") {
                    *word = word.replace(core, "#");
                }
            }
            words.join(" ")
        };
        out.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn agree(&self, rows: &[Row]) {
        for (line, code, out, words) in rows {
            let (theirs, ours) = (self.runc(line), self.pinfold(line));
            assert_eq!((theirs.code(), ours.code()), (*code, *code), "{line}:\n{theirs:?}\n{ours:?}");
            // Other codes are a program's own, and so is what it wrote.
            let failed = matches!(code, 1 | 255);
            let quiet = !failed && words.is_empty();
            let said = [&theirs.err, &ours.err]
                .map(|err| err.replace("\\\"", "\"").contains(words) && err.is_empty() == quiet);
            assert_eq!(said, [true, true], "{line}: `{words}` on stderr?\n{theirs:?}\n{ours:?}");
            assert!(!failed || ours.err.contains("error"), "{line}: {ours:?}");
            let (theirs, ours) = (self.plain("runc", &theirs.out), self.plain("pinfold", &ours.out));
            match out {
                Empty => assert_eq!((theirs.as_str(), ours.as_str()), ("", ""), "{line}"),
                Same => assert_eq!(theirs, ours, "{line}"),
                Any => {}
            }
        }
    }

    fn tidy(&self) {
        for line in ["delete -f @", "delete -f @-2"] {
            self.runc(line);
            self.pinfold(line);
        }
        self.dir.assert_nothing_left();
    }
}

const GONE: &str = "container does not exist";

#[test]
fn an_unknown_container_is_told_as_runc_tells_it() {
    let peers = Peers::new();
    peers.agree(&[
        ("state @", 1, Empty, GONE),
        ("start @", 1, Empty, GONE),
        ("kill @", 1, Empty, GONE),
        ("kill @ 9", 1, Empty, GONE),
        ("kill -a @ KILL", 1, Empty, GONE),
        ("delete @", 1, Empty, GONE),
        ("delete --force @", 0, Empty, ""),
        ("delete @ --force", 0, Empty, ""),
        ("exec @ true", 255, Empty, GONE),
        ("exec -p /nonexistent @", 255, Empty, GONE),
        ("ps @", 1, Empty, GONE),
        ("ps -f json @", 1, Empty, GONE),
        ("pause @", 1, Empty, GONE),
        ("resume @", 1, Empty, GONE),
        ("update @", 1, Empty, GONE),
        ("state a/b", 1, Empty, "invalid container ID format"),
        ("delete -f a/b", 1, Empty, "invalid container ID format"),
        ("kill ..", 1, Empty, "invalid container ID format"),
        ("run -b %/missing @", 1, Empty, "o such file or directory"),
        ("create -b %/missing @", 1, Empty, "o such file or directory"),
    ]);
    peers.tidy();
}

#[test]
fn wrong_lines_fail_in_both() {
    let peers = Peers::new();
    let lines = [
        "state",
        "start",
        "kill",
        "delete",
        "ps",
        "pause",
        "resume",
        "create",
        "run",
        "events",
        "update",
        "state a b",
        "start a b",
        "pause a b",
        "features x",
        "spec x",
        "--nonsense",
        "state --nonsense a",
        "run --preserve-fds x a",
        "list -f nonsense",
        "--log-format nonsense list",
        "ps -f nonsense a",
    ];
    for line in lines {
        peers.agree(&[(line, 1, Any, "")]);
    }
    peers.tidy();
}

const LIVING: &[Row] = &[
    ("list", 0, Same, ""),
    ("list -q", 0, Empty, ""),
    ("create -b %/sleeper @", 0, Empty, ""),
    ("create -b %/sleeper @", 1, Empty, "container with given ID already exists"),
    ("list", 0, Same, ""),
    ("list -q", 0, Same, ""),
    ("ps -f json @", 0, Same, ""),
    ("exec @ true", 0, Empty, ""),
    ("resume @", 1, Empty, "container not paused"),
    ("pause @", 0, Empty, ""),
    ("list", 0, Same, ""),
    ("start @", 1, Empty, "cannot start a container in the paused state"),
    ("resume @", 0, Empty, ""),
    ("start @", 0, Empty, ""),
    ("start @", 1, Empty, "cannot start an already running container"),
    ("kill @ 0", 0, Empty, ""),
    ("kill @ WINCH", 0, Empty, ""),
    ("kill @ SIGWINCH", 0, Empty, ""),
    ("kill @ winch", 0, Empty, ""),
    ("kill @ 28", 0, Empty, ""),
    ("kill @ nonsense", 1, Empty, "unknown signal"),
    ("kill @ SIGNONSENSE", 1, Empty, "unknown signal"),
    ("kill @ 100", 1, Empty, "signal"),
    ("delete @", 1, Empty, "that is not stopped: running"),
    ("pause @", 0, Empty, ""),
    ("pause @", 1, Empty, "container not running"),
    ("start @", 1, Empty, "cannot start a container in the paused state"),
    ("delete @", 1, Empty, "that is not stopped: paused"),
    ("exec @ true", 255, Empty, "cannot exec in a paused container (use --ignore-paused to override)"),
    ("update --pids-limit 100 @", 0, Empty, ""),
    ("resume @", 0, Empty, ""),
    ("kill @", 0, Empty, ""),
];

#[test]
fn a_life_is_told_as_runc_tells_it() {
    let peers = Peers::new();
    peers.bundle("sleeper", "trap 'exit 9' TERM; while :; do sleep 0.02; done");
    peers.agree(LIVING);
    support::await_that("both have stopped", || {
        let all = [peers.runc("list"), peers.pinfold("list")];
        all.iter().all(|list| list.ok().contains("stopped"))
    });
    peers.agree(&[
        ("list", 0, Same, ""),
        ("kill @", 1, Empty, "container not running"),
        ("kill @ 0", 1, Empty, "container not running"),
        ("kill -a @", 0, Empty, ""),
        ("exec @ true", 255, Empty, "cannot exec in a stopped container"),
        ("pause @", 1, Empty, "container not running"),
        ("resume @", 1, Empty, "container not paused"),
        ("start @", 1, Empty, "cannot start a container that has stopped"),
        ("update --pids-limit 100 @", 1, Empty, "container not running"),
        ("delete @", 0, Empty, ""),
        ("delete @", 1, Empty, GONE),
        ("create -b %/sleeper @", 0, Empty, ""),
        ("delete @", 0, Empty, ""),
        ("run -d -b %/sleeper @", 0, Empty, ""),
        ("delete -f @", 0, Empty, ""),
        ("create --no-pivot --no-new-keyring -b %/sleeper @", 0, Empty, ""),
        ("kill @ KILL", 0, Empty, ""),
        ("create -b %/sleeper --pid-file /nonexistent/pid @-2", 1, Empty, "o such file or directory"),
        ("state @-2", 1, Empty, GONE),
    ]);
    peers.tidy();
}

#[test]
fn run_and_exec_pass_the_programs_end_through() {
    let peers = Peers::new();
    peers.bundle("sleeper", "sleep 100");
    peers.bundle("env", "env");
    peers.bundle("three", "echo out; echo err >&2; exit 3");
    peers.bundle("signal", "(sleep 0.1; kill -KILL 1) & kill -TERM $$; sleep 0.3; exit 4");
    peers.agree(&[
        ("run -b %/three @", 3, Same, "err"),
        ("run --keep -b %/three @", 3, Same, "err"),
        ("run -b %/three @", 1, Empty, "container with given ID already exists"),
        ("delete @", 0, Empty, ""),
        ("run -b %/signal @", 4, Empty, ""),
        ("run -b %/env @", 0, Same, ""),
        ("run -d -b %/sleeper @", 0, Empty, ""),
        ("exec @ sh -c exit~7", 7, Empty, ""),
        ("exec @ sh -c kill~-KILL~$$", 137, Empty, ""),
        ("exec -d @ sh -c exit~7", 0, Empty, ""),
        ("exec @ sh -c echo~out", 0, Same, ""),
        ("exec @ /missing", 255, Empty, "exec: \"/missing\": stat /missing: no such file or directory"),
        ("exec @ missing", 255, Empty, "exec: \"missing\": executable file not found in $PATH"),
        ("exec @ /etc", 255, Empty, "exec: \"/etc\": is a directory"),
        ("exec --cwd /missing @ true", 255, Empty, "o such file or directory"),
        ("exec --cwd /etc @ pwd", 0, Same, ""),
        ("exec @ env", 0, Same, ""),
        ("exec --user 7 @ env", 0, Same, ""),
        ("exec --user 8 @ env", 0, Same, ""),
        ("exec -e HOME=/given @ env", 0, Same, ""),
        ("exec --user x @ true", 255, Empty, "x"),
        ("exec --user 7 @ id -u", 0, Same, ""),
        ("exec --user 7:8 @ id -g", 0, Same, ""),
        ("exec --user 7:8 -g 9 -g 10 @ id -G", 0, Same, ""),
        ("exec -e A=b -e A=c @ sh -c echo~$A", 0, Same, ""),
        ("exec --cap CAP_NONSENSE @ true", 0, Empty, "warning"),
        ("exec --cap CAP_SYS_ADMIN @ grep -E Cap(Bnd|Eff|Prm|Inh|Amb) /proc/self/status", 0, Same, ""),
        (
            "exec --cap CAP_SYS_ADMIN --user 7 @ grep -E Cap(Bnd|Eff|Prm|Inh|Amb) /proc/self/status",
            0,
            Same,
            "",
        ),
        ("exec --no-new-privs @ grep NoNewPrivs /proc/self/status", 0, Same, ""),
        ("exec --preserve-fds 9 @ true", 255, Empty, ""),
        ("exec --apparmor nonsense @ true", 255, Empty, "apparmor"),
        ("exec --process-label nonsense @ true", 255, Empty, "selinux"),
        ("exec --pid-file /nonexistent/pid @ true", 255, Empty, "o such file or directory"),
        ("exec -p /nonexistent @", 255, Empty, "o such file or directory"),
        (
            "exec -t -d @ true",
            255,
            Empty,
            "cannot allocate tty if runc will detach without setting console socket",
        ),
        (
            "exec -t --console-socket /x @ true",
            255,
            Empty,
            "cannot use console socket if runc will not detach or allocate tty",
        ),
    ]);
    peers.tidy();
}

#[test]
fn a_program_that_cannot_be_executed_has_runcs_code() {
    let peers = Peers::new();
    peers.bundle("missing", "");
    peers.edit("missing", |config, _| config["process"]["args"] = json!(["/missing"]));
    peers.bundle("interpreter", "");
    peers.edit("interpreter", |config, rootfs| {
        config["process"]["args"] = json!(["/bin/script"]);
        support::executable(rootfs.join("bin/script"), "#!/no/such/interpreter\n");
    });
    peers.agree(&[
        ("run -b %/missing @", 1, Empty, "exec: \"/missing\": stat /missing: no such file or directory"),
        ("run -b %/interpreter @", 255, Empty, "o such file or directory"),
    ]);
    peers.tidy();
}

#[test]
fn exec_adds_to_the_ambient_set_what_is_inheritable() {
    let peers = Peers::new();
    peers.bundle("inheriting", "sleep 100");
    peers.edit("inheriting", |config, _| {
        let caps = &mut config["process"]["capabilities"];
        caps["inheritable"] = json!(["CAP_KILL", "CAP_SYSLOG"]);
        caps["ambient"] = json!(["CAP_KILL"]);
        caps["bounding"] = json!(["CAP_KILL", "CAP_SYSLOG"]);
    });
    peers.agree(&[
        ("run -d -b %/inheriting @", 0, Empty, ""),
        ("exec --cap CAP_SYSLOG @ grep -E Cap(Bnd|Eff|Prm|Inh|Amb) /proc/self/status", 0, Same, ""),
        ("exec --cap CAP_SYSLOG --user 7 @ grep -E Cap(Bnd|Eff|Prm|Inh|Amb) /proc/self/status", 0, Same, ""),
    ]);
    // What is not inheritable comes into no ambient set; runc tries, and warns.
    let line = "exec --cap CAP_SYS_ADMIN @ grep -E Cap(Bnd|Eff|Prm|Inh|Amb) /proc/self/status";
    assert_eq!(peers.runc(line).ok(), peers.pinfold(line).ok());
    peers.tidy();
}

#[test]
fn spec_writes_what_runc_writes() {
    let peers = Peers::new();
    for option in ["", "--rootless"] {
        let written = |who: &str, ran: &dyn Fn(&str) -> Ran| {
            let bundle = peers.dir.mkdir(&format!("{who}{option}"));
            assert_eq!(ran(&format!("spec {option} -b {}", bundle.display())).ok(), "");
            fs::read_to_string(bundle.join("config.json")).unwrap()
        };
        let theirs = written("runc", &|line| peers.runc(line));
        let ours = written("pinfold", &|line| peers.pinfold(line));
        // The newer specification, and pinfold's own name.
        let expected = theirs
            .replace("\"1.2.1\"", "\"1.3.0\"")
            .replace("\"hostname\": \"runc\"", "\"hostname\": \"pinfold\"");
        assert_eq!(ours, expected, "{option}");
    }
    peers.tidy();
}

/// The keys of an object, in their order, down to the last.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        other => other.clone(),
    }
}

#[test]
fn json_has_runcs_keys_in_runcs_order() {
    let peers = Peers::new();
    peers.bundle("sleeper", "sleep 100");
    peers.edit("sleeper", |config, _| config["annotations"] = json!({"b": "2", "a": "1"}));
    peers.agree(&[("create -b %/sleeper @", 0, Empty, "")]);
    for line in ["state @", "list -f json"] {
        let told = [peers.runc(line), peers.pinfold(line)];
        assert_eq!(told[0].out.trim_end().lines().count(), told[1].out.trim_end().lines().count(), "{line}");
        let [theirs, ours] = told.map(|ran| shape(&serde_json::from_str(ran.ok()).unwrap()));
        assert_eq!(theirs.to_string(), ours.to_string(), "{line}");
    }
    peers.tidy();
}

#[test]
fn the_version_begins_as_runcs() {
    let peers = Peers::new();
    let heads = |out: &str| -> Vec<String> {
        out.lines()
            .take(3)
            .map(|line| line.replace("pinfold", "runc").split(' ').next().unwrap().to_owned())
            .collect()
    };
    for line in ["--version", "-v"] {
        assert_eq!(heads(peers.runc(line).ok()), heads(peers.pinfold(line).ok()), "{line}");
    }
    peers.tidy();
}

/// The paths of all keys that hold something else than names of a caller's own.
fn keys(value: &Value, at: &str, found: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| *key != "annotations") {
        let path = format!("{at}/{key}");
        keys(value, &path, found);
        found.push(path);
    }
}

/// What runc has and pinfold has not is not in the list of pinfold.
#[test]
fn features_are_told_under_runcs_keys() {
    let peers = Peers::new();
    let [theirs, ours] = [peers.runc("features"), peers.pinfold("features")].map(|ran| {
        let mut found = vec![];
        keys(&serde_json::from_str(ran.ok()).unwrap(), "", &mut found);
        found
    });
    let missing: Vec<_> = theirs.iter().filter(|key| !ours.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    peers.tidy();
}

/// Callers read the last line of the log for the reason of a failure.
#[test]
fn the_log_has_runcs_lines() {
    let peers = Peers::new();
    let lines = |who: &str, ran: &dyn Fn(&str) -> Ran, format: &str| -> Vec<String> {
        let log = peers.dir.text(&format!("{who}-{format}.log"));
        assert_eq!(ran(&format!("--log {log} --log-format {format} list")).code(), 0);
        assert_eq!(fs::read_to_string(&log).unwrap(), "", "{who}");
        assert_eq!(ran(&format!("--log {log} --log-format {format} state @")).code(), 1);
        assert_eq!(ran(&format!("--log {log} --log-format {format} delete -f @")).code(), 0);
        fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()
    };
    for format in ["json", "text"] {
        let theirs = lines("runc", &|line| peers.runc(line), format);
        let ours = lines("pinfold", &|line| peers.pinfold(line), format);
        assert_eq!((theirs.len(), ours.len()), (1, 1), "{theirs:?} {ours:?}");
        assert!(ours[0].contains(GONE), "{ours:?}");
        if format == "json" {
            let [theirs, ours] =
                [&theirs[0], &ours[0]].map(|line| serde_json::from_str::<Value>(line).unwrap());
            assert_eq!(shape(&theirs).to_string(), shape(&ours).to_string());
            assert_eq!(theirs["level"], ours["level"]);
        } else {
            assert!(
                theirs[0].contains(" level=error msg=") && ours[0].contains(" level=error msg="),
                "{ours:?}"
            );
        }
    }
    peers.tidy();
}

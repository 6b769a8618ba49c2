//! Promise: while a policy stands a hook is run from the very content that was judged, with arguments and
//! variables that the policy lists, and whatever happens to its path meanwhile.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod policed;
mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use policed::{ALLOWING, Policed};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A variable of the caller's would show.
const GOOD: &str = "#!/bin/sh\necho good \"$0\" \"$@\" $CALLERS >>DIR/told\n";
const EVIL: &str = "#!/bin/sh\necho evil >>DIR/told\n";

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Hooks {
    host: Policed,
}

impl Hooks {
    /// A script with an argument, and busybox as a program that is no script.
    fn new() -> Self {
        let host = Policed::new(ALLOWING);
        host.bundle("b", "echo ran");
        let hooks = Self { host };
        hooks.program("hooks/good", hooks.host.placed(GOOD).as_bytes());
        hooks.program("hooks/evil", hooks.host.placed(EVIL).as_bytes());
        hooks.program("hooks/busybox", &fs::read("/usr/bin/busybox").unwrap());
        let grant = |name: &str, more: &str| {
            let digest = sha256(&fs::read(hooks.host.dir.join(name)).unwrap());
            format!("[[hook]]\npath = \"DIR/{name}\"\nsha256 = \"{digest}\"\n{more}\n")
        };
        let policy = [
            grant("hooks/good", ""),
            grant("hooks/good", "args = [\"one\"]\nenv = [\"KEY=value\"]"),
            grant("hooks/busybox", "args = [\"touch\", \"DIR/touched\"]"),
        ];
        hooks.host.policy(&format!("{ALLOWING}{}", policy.concat()));
        hooks
    }

    fn program(&self, name: &str, content: &[u8]) {
        support::executable(self.host.dir.join(name), content);
    }

    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.host.dir.join("told")).unwrap_or_default();
        fs::remove_file(self.host.dir.join("told")).ok();
        told.lines().map(str::to_owned).collect()
    }

    /// A bundle with hooks.
    fn bundle(&self, hooks: Value) {
        let path = self.host.dir.join("bundles/b/config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config["hooks"] = hooks;
        fs::write(path, config.to_string()).unwrap();
    }

    fn hook(&self, name: &str) -> Value {
        json!({"path": self.host.dir.text(name)})
    }
}

#[test]
fn a_hook_that_is_granted_runs_in_every_place_but_one() {
    let hooks = Hooks::new();
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        hooks.bundle(json!({kind: [hooks.hook("hooks/good")]}));
        let ran = hooks.host.shell("CALLERS=own $P run -b bundles/b $ID");
        assert_eq!(ran.ok(), "ran\n", "{kind}");
        // The script's own name is that of the descriptor.
        assert_eq!(hooks.told(), ["good /dev/fd/3"], "{kind}: {ran:?}");
        let elf = json!({"path": hooks.host.dir.text("hooks/busybox"), "args": ["busybox", "touch", hooks.host.dir.text("touched")]});
        hooks.bundle(json!({kind: [elf]}));
        hooks.host.shell("$P run -b bundles/b $ID").ok();
        fs::remove_file(hooks.host.dir.join("touched")).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
    let full =
        json!({"path": hooks.host.dir.text("hooks/good"), "args": ["good", "one"], "env": ["KEY=value"]});
    hooks.bundle(json!({"prestart": [full], "poststop": [hooks.hook("hooks/good")]}));
    hooks.host.shell("$P create -b bundles/b $ID && $P start $ID && $P delete -f $ID").ok();
    assert_eq!(hooks.told(), ["good /dev/fd/3 one", "good /dev/fd/3"]);
    hooks.host.dir.assert_nothing_left();
}

#[test]
fn one_step_beside_what_is_granted_is_refused() {
    let hooks = Hooks::new();
    let path = hooks.host.dir.text("hooks/good");
    symlink("good", hooks.host.dir.join("hooks/link")).unwrap();
    symlink("hooks", hooks.host.dir.join("linked")).unwrap();
    let policy = fs::read_to_string(hooks.host.dir.join("policy.toml")).unwrap();
    let digest = sha256(hooks.host.placed(GOOD).as_bytes());
    let more = |name: &str| format!("[[hook]]\npath = \"DIR/{name}\"\nsha256 = \"{digest}\"\n");
    hooks.host.policy(&format!(
        "{policy}{}{}{}",
        more("hooks/link"),
        more("linked/good"),
        more("hooks/evil")
    ));
    let rows = [
        ("another program", json!({"path": "/bin/sh"}), "hook.path"),
        ("another content", json!({"path": hooks.host.dir.text("hooks/evil")}), "hook.sha256"),
        ("a link", json!({"path": hooks.host.dir.text("hooks/link")}), "hook.link"),
        ("a link on the way", json!({"path": hooks.host.dir.text("linked/good")}), "hook.link"),
        ("a longer way", json!({"path": hooks.host.dir.text("hooks/../hooks/good")}), "hook.path"),
        ("an argument more", json!({"path": path, "args": ["good", "one", "two"]}), "hook.args"),
        ("another argument", json!({"path": path, "args": ["good", "-c"]}), "hook.args"),
        ("another name", json!({"path": path, "args": ["sh"]}), "hook.args"),
        ("a variable", json!({"path": path, "env": ["LD_PRELOAD=/tmp/x.so"]}), "hook.env"),
        ("another value", json!({"path": path, "args": ["good", "one"], "env": ["KEY=other"]}), "hook.env"),
        ("another grant's variable", json!({"path": path, "env": ["KEY=value"]}), "hook.env"),
    ];
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        for (what, hook, rule) in &rows {
            hooks.bundle(json!({kind: [hook]}));
            let ran = hooks.host.shell("$P run -b bundles/b $ID");
            assert!(
                ran.code() == 1 && ran.err.contains(&format!("(rule {rule}, ")),
                "{kind} {what}: {ran:?}"
            );
            assert!(
                !ran.err.contains("x.so") && hooks.told().is_empty() && ran.out.is_empty(),
                "{kind} {what}: {ran:?}"
            );
        }
    }
    hooks.bundle(json!({"startContainer": [hooks.hook("hooks/good")]}));
    let ran = hooks.host.shell("$P run -b bundles/b $ID");
    assert!(ran.code() == 1 && ran.err.contains("(rule hook.path, "), "a file of the container's: {ran:?}");
}

/// A thousand hooks whose file is another one by the time that they run; by path, the other one runs.
#[test]
fn what_is_judged_is_what_runs_a_thousand_times() {
    let hooks = Hooks::new();
    // The first hook puts the other file in the place of the rest.
    let swap = hooks
        .host
        .placed("#!/bin/sh\ncp -p DIR/hooks/evil DIR/hooks/new && mv DIR/hooks/new DIR/hooks/good\n");
    hooks.program("hooks/swap", swap.as_bytes());
    let policy = fs::read_to_string(hooks.host.dir.join("policy.toml")).unwrap();
    let grant = format!("[[hook]]\npath = \"DIR/hooks/swap\"\nsha256 = \"{}\"\n", sha256(swap.as_bytes()));
    hooks.host.policy(&format!("{policy}{grant}"));
    let list = |count: usize| vec![hooks.hook("hooks/good"); count];
    let mut first = vec![hooks.hook("hooks/swap")];
    first.extend(list(25));
    hooks.bundle(json!({"prestart": first, "createContainer": list(25)}));
    for round in 0..20 {
        hooks.program("hooks/good", hooks.host.placed(GOOD).as_bytes());
        let ran = hooks.host.shell("$P run -b bundles/b $ID");
        let told = hooks.told();
        assert!(
            told.len() == 50 && told.iter().all(|line| line.starts_with("good")),
            "round {round}: {ran:?} {told:?}"
        );
    }
    hooks.program("hooks/good", hooks.host.placed(GOOD).as_bytes());
    hooks.host.unpoliced("$P run -b bundles/b $ID").ok();
    assert_eq!(hooks.told(), vec!["evil"; 50], "the control: by path the other file runs");
}

/// The attacker never stops: a launch is refused, or the judged content runs.
#[test]
fn a_file_that_changes_all_the_time_never_runs_as_another() {
    let hooks = Hooks::new();
    let ends = AtomicBool::new(false);
    let (good, evil) = (hooks.host.dir.join("hooks/a"), hooks.host.dir.join("hooks/b"));
    hooks.bundle(
        json!({"prestart": [hooks.hook("hooks/good")], "createContainer": [hooks.hook("hooks/good")]}),
    );
    let (mut ran, mut refused, mut control) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                for (text, name, pause) in [(EVIL, &evil, 300), (GOOD, &good, 2000)] {
                    fs::write(name, hooks.host.placed(text)).unwrap();
                    fs::set_permissions(name, fs::Permissions::from_mode(0o755)).unwrap();
                    fs::rename(name, hooks.host.dir.join("hooks/good")).unwrap();
                    std::thread::sleep(std::time::Duration::from_micros(pause));
                }
            }
        });
        for _ in 0..40 {
            let launch = hooks.host.shell("$P run -b bundles/b $ID");
            let told = hooks.told();
            assert!(told.iter().all(|line| line.starts_with("good")), "{launch:?} {told:?}");
            match launch.code() {
                0 => ran += 1,
                _ => {
                    assert!(launch.err.contains("(rule hook.sha256, "), "{launch:?}");
                    refused += 1;
                }
            }
            hooks.host.unpoliced("$P run -b bundles/b $ID || true").ok();
            control += hooks.told().iter().filter(|line| *line == "evil").count();
        }
        ends.store(true, Ordering::Relaxed);
    });
    assert!(
        ran > 0 && refused > 0 && control > 0,
        "{ran} ran, {refused} refused, {control} of the control were swapped"
    );
}

#[test]
fn a_hook_that_changed_since_create_does_not_run() {
    let hooks = Hooks::new();
    hooks.bundle(json!({"poststart": [hooks.hook("hooks/good")], "poststop": [hooks.hook("hooks/good")]}));
    hooks.host.shell("$P create -b bundles/b $ID").ok();
    hooks.program("hooks/good", hooks.host.placed(EVIL).as_bytes());
    let start = hooks.host.shell("$P start $ID");
    assert!(
        start.code() == 1 && start.err.contains("(rule hook.sha256, ") && start.out.is_empty(),
        "{start:?}"
    );
    let state = hooks.host.shell("$P state $ID");
    assert!(state.ok().contains("\"created\""), "{state:?}");
    let delete = hooks.host.shell("$P delete -f $ID");
    assert!(delete.code() == 0 && delete.err.contains("are left out"), "{delete:?}");
    assert_eq!(hooks.told(), [""; 0]);
    hooks.host.dir.assert_nothing_left();
}

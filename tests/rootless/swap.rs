//! What was checked is what is used, though a caller without privilege has to open a source
//! twice: once to judge it, and once in the new namespaces.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::Value;

use crate::support::{Place, Ran, UID, run};

/// A race with one mount per launch finds nothing; with many it is met at once.
const MOUNTS: usize = 20;

/// What takes a source's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoy {
    Directory,
    LinkElsewhere,
    /// In place of the directory that all sources lie in.
    LinkAbove,
}

impl Decoy {
    /// How long the decoy is in the source's place, and how long the source itself. Links are
    /// refused when they are judged: the attack is to come only later, so they are rarer.
    fn pauses(self) -> [Duration; 2] {
        match self {
            Self::Directory => [Duration::ZERO; 2],
            Self::LinkElsewhere | Self::LinkAbove => [Duration::from_millis(1), Duration::from_millis(4)],
        }
    }
}

/// `own/in/sN` and `own/in/tN`: sources, and what is exchanged with them.
fn prepare(place: &Place, decoy: Decoy) -> Vec<(PathBuf, PathBuf)> {
    let inside = place.own_dir("in");
    let elsewhere = place.own_dir("elsewhere");
    fs::write(elsewhere.join("stolen"), "").unwrap();
    let pair = |number| {
        let source = place.own_dir(&format!("in/s{number}"));
        let other = inside.join(format!("t{number}"));
        match decoy {
            Decoy::Directory => drop(place.own_dir(&format!("in/t{number}"))),
            Decoy::LinkElsewhere => symlink(&elsewhere, &other).unwrap(),
            Decoy::LinkAbove => drop(place.own_dir(&format!("elsewhere/s{number}"))),
        }
        (source, other)
    };
    let pairs = (0..MOUNTS).map(pair).collect();
    match decoy {
        Decoy::LinkAbove => {
            let link = place.path("own/link");
            symlink(&elsewhere, &link).unwrap();
            vec![(inside, link)]
        }
        _ => pairs,
    }
}

/// Exchanges all pairs for ever, as the user.
struct Attacker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<usize>>,
}

impl Attacker {
    fn start(pairs: Vec<(PathBuf, PathBuf)>, pauses: [Duration; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            // The raw calls change this thread alone.
            pinfold::sys::ids::setresgid(UID).unwrap();
            pinfold::sys::ids::setresuid(UID).unwrap();
            let mut rounds = 0;
            while !stopped.load(Ordering::SeqCst) {
                for (source, other) in &pairs {
                    renameat2(AT_FDCWD, source, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
                }
                std::thread::sleep(pauses[rounds % 2]);
                rounds += 1;
            }
            rounds
        });
        Self { stop, thread: Some(thread) }
    }

    fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A failed assertion must not leave it running.
impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn launch(place: &Place) -> Ran {
    let mut words = vec!["sandbox".to_owned(), "--report".to_owned(), "report.json".to_owned()];
    for number in 0..MOUNTS {
        words.extend(["--ro".to_owned(), format!("in/s{number}:/m{number}")]);
    }
    let script = format!("for n in $(seq 0 {}); do stat -c %i /m$n; done", MOUNTS - 1);
    words.extend(["--", "sh", "-c"].map(str::to_owned));
    words.push(script);
    run(place.pinfold(words))
}

/// The inodes that the report says were judged and mounted at /m0, /m1, ...
fn judged(report: &Value) -> Vec<String> {
    let binds = report["binds"].as_array().unwrap();
    let at = |number: usize| {
        let place = format!("/m{number}");
        let bind = binds.iter().find(|bind| bind["destination"] == place.as_str()).unwrap();
        bind["source"]["ino"].to_string()
    };
    (0..MOUNTS).map(at).collect()
}

fn race(decoy: Decoy) {
    let place = Place::new(&format!("swap-{decoy:?}"));
    let pairs = prepare(&place, decoy);
    let calm = launch(&place).exits(0);
    assert_eq!(
        calm.out.lines().collect::<Vec<_>>(),
        judged(&place.report()),
        "the control, without an attacker"
    );

    let attacker = Attacker::start(pairs, decoy.pauses());
    let (mut refused, mut launches) = (0, 0);
    let end = Instant::now() + Duration::from_secs(60);
    while refused < 10 && Instant::now() < end {
        launches += 1;
        let ran = launch(&place);
        let report = place.report();
        match ran.code {
            Some(0) => {
                let seen: Vec<&str> = ran.out.lines().collect();
                assert_eq!(seen, judged(&report), "something else was mounted than was judged");
            }
            // The decoy was there when the source was judged.
            Some(120) if decoy != Decoy::Directory && ran.err.contains("rule default.bind.link") => {
                assert_eq!((ran.out.as_str(), &report["outcome"]["kind"]), ("", &"policy_refused".into()));
            }
            Some(120) => {
                assert_eq!(report["outcome"]["kind"], "identity_changed", "{report}");
                assert_eq!(report["error"]["errno"], "ESTALE", "{report}");
                assert_eq!(ran.out, "");
                ran.says(&["/mounts/", "hint: ", "swapped"]);
                refused += 1;
            }
            other => panic!("{other:?}: {}", ran.err),
        }
    }
    let rounds = attacker.stop();
    // Reopened without a comparison, each of these would have been another object than the judged one.
    assert!(refused >= 10, "the attack never came in between: {launches} launches, {rounds} rounds");
}

#[test]
fn a_swapped_directory_is_never_mounted() {
    race(Decoy::Directory);
}

#[test]
fn a_link_above_a_source_is_never_followed() {
    race(Decoy::LinkAbove);
}

#[test]
fn a_source_swapped_for_a_link_is_never_followed() {
    race(Decoy::LinkElsewhere);
}

/// readlink(2) of /proc/self/fd says `(deleted)` behind the path of what was removed: a decoy
/// of that very name is not opened in its place.
#[test]
fn a_removed_source_is_refused() {
    let place = Place::new("deleted");
    fs::write(place.own_dir("gone (deleted)").join("decoy"), "").unwrap();
    let mut shell = place.as_user("sh");
    let script = "mkdir gone; cd gone; rmdir ../gone; exec \"$PINFOLD\" sandbox --ro .:/m -- ls /m";
    shell.args(["-euc", script]);
    let ran = run(shell).exits(120);
    assert_eq!(ran.out, "");
    ran.says(&["(deleted)", "/mounts/", "/source"]);
}

#[test]
fn a_line_break_in_a_source_is_refused() {
    let place = Place::new("newline");
    place.own_dir("a\nb");
    let ran = run(place.pinfold(["sandbox", "--ro", "a\nb:/m", "--", "echo", "ran"]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(125), ""), "{}", ran.err);
    ran.says(&["line break"]);
}

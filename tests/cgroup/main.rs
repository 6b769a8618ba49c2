//! The promise: a limit that was asked for is in force, a kill leaves nobody, and a group leaves nothing behind.
//!
//! Runs on the real kernel. Each case runs in a process of its own, because some need a mount
//! namespace of their own: `unified` sees cgroup v2 alone (without controllers where the machine
//! has them in v1), `legacy` sees v1 alone, `hybrid` both. A case that this machine cannot run is
//! counted as ignored and says why; `--list --ignored` names those, to be run in the test VM.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case fails by panicking, as in #[test] functions, which clippy does not see here"
)]

mod cases;
mod child;
mod group;
mod life;
mod limits;
mod sweep;
mod world;

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use pinfold::cgroup::{Control, Hierarchies, Mode};

use cases::{CASES, Case};
use world::World;

/// A case takes a second or two, in emulation too.
const TIME_LIMIT: Duration = Duration::from_secs(45);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--child", role @ ..] => child::play(role),
        ["--case", world, name] => run_here(world, name),
        ["--needs", world, name] => explain(world, name),
        _ => run_all(&words),
    }
}

/// Each case in each world it is for, as libtest would report it.
fn run_all(words: &[&str]) -> ExitCode {
    let filters = filters(words);
    let is_chosen = |name: &str| match words.contains(&"--exact") {
        true => filters.contains(&name),
        false => filters.iter().all(|filter| name.contains(filter)),
    };
    let (mut passed, mut failed, mut ignored) = (0, vec![], 0);
    for (world, case) in World::ALL.iter().flat_map(|world| CASES.iter().map(move |case| (world, case))) {
        let name = format!("{}::{}", world.name(), case.name);
        if !case.worlds.contains(world) || !is_chosen(&name) {
            continue;
        }
        let lacking = lacking(*world, case);
        if words.contains(&"--list") {
            if !words.contains(&"--ignored") || !lacking.is_empty() {
                println!("{name}: test");
            }
            continue;
        }
        if !lacking.is_empty() {
            ignored += 1;
            println!("test {name} ... ignored, {lacking}");
            continue;
        }
        match outcome(*world, case) {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(text) => {
                println!("test {name} ... FAILED");
                failed.push((name, text));
            }
        }
    }
    if words.contains(&"--list") {
        return ExitCode::SUCCESS;
    }
    for (name, text) in &failed {
        println!("\n---- {name} ----\n{text}");
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {} failed; {ignored} ignored", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the case in a process of its own, with an end: what hangs has failed.
fn outcome(world: World, case: &Case) -> Result<(), String> {
    // A file: processes that a failed case leaves behind would keep a pipe open.
    let mut messages = tempfile();
    let mut command = itself();
    command
        .args(["--case", world.name(), case.name])
        .stdin(Stdio::null())
        .stderr(messages.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + TIME_LIMIT;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.to_string(),
            None if Instant::now() > end => {
                child.kill().unwrap();
                child.wait().unwrap();
                break format!("not over after {} s", TIME_LIMIT.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let left = sweep::sweep(child.id());
    if status == "exit status: 0" && left.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    messages.rewind().unwrap();
    messages.read_to_string(&mut text).unwrap();
    Err(format!("{text}{status}\nleft behind: {left:?}"))
}

fn tempfile() -> File {
    let memfd = nix::sys::memfd::memfd_create(c"messages", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).unwrap();
    File::from(memfd)
}

/// The words that are neither options of libtest nor their values.
fn filters<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let takes_value = |word: &str| ["--test-threads", "--format", "--color", "--skip", "-Z"].contains(&word);
    let before = std::iter::once(&"").chain(words);
    let pairs = before.zip(words);
    pairs
        .filter(|(before, word)| !word.starts_with('-') && !takes_value(before))
        .map(|(_, word)| *word)
        .collect()
}

fn itself() -> Command {
    Command::new("/proc/self/exe")
}

/// What the case needs and this machine does not give in that world; empty if it can run.
fn lacking(world: World, case: &Case) -> String {
    if !nix::unistd::geteuid().is_root() {
        return "needs root".to_owned();
    }
    let answer = itself().args(["--needs", world.name(), case.name]).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap()
}

fn find(world: &str, name: &str) -> (World, &'static Case) {
    let world = World::ALL.into_iter().find(|known| known.name() == world).unwrap();
    (world, CASES.iter().find(|case| case.name == name).unwrap())
}

fn explain(world: &str, name: &str) -> ExitCode {
    let (world, case) = find(world, name);
    match world.enter() {
        Ok(()) => {
            let hierarchies = Hierarchies::open().unwrap();
            let missing: Vec<&Control> =
                case.needs.iter().filter(|control| !hierarchies.supports(**control)).collect();
            if hierarchies.mode() == Mode::None {
                print!("no cgroup hierarchy is mounted");
            } else if !missing.is_empty() {
                print!("needs {missing:?} in mode {:?}", hierarchies.mode());
            }
        }
        Err(reason) => print!("{reason}"),
    }
    ExitCode::SUCCESS
}

fn run_here(world: &str, name: &str) -> ExitCode {
    let (world, case) = find(world, name);
    world.enter().unwrap();
    (case.run)(&Hierarchies::open().unwrap());
    ExitCode::SUCCESS
}

//! The ways in which an attack is carried out: one launch, many beside an attacker, a swap between
//! two verbs.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::attacks::{Attack, Way};
use super::case::{Case, FORGED, make};
use super::lab::{Lab, read};
use super::report::{Outcome, Seen};
use super::{inside, terminals};
use crate::error::{Call, Context, Result};

/// Who launches without privilege.
pub(super) const USER: u32 = 1000;
/// No launch takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// Launches beside an attacker.
const LAUNCHES: usize = 20;

pub(super) fn carry_out(
    lab: &Lab,
    attack: &Attack,
    case: &mut Case,
    id: &str,
    weakened: bool,
) -> Result<Seen> {
    match (attack.way, weakened) {
        (Way::Swap, _) => swap(lab, case, id),
        (Way::Overwrite, _) => inside::overwrite(lab, case, id, weakened),
        (Way::ExecCwd, _) => inside::directories(lab, case, id, weakened),
        (Way::Borrow, _) => inside::borrow(lab, case, id, weakened),
        (Way::Reuse, _) => inside::reuse(lab, case, id, weakened),
        (Way::Signals, _) => inside::signals(lab, case, id),
        (Way::Terminal, _) => terminals::of_the_caller(lab, case, id, weakened),
        (Way::Log, _) => logged(lab, case, id),
        (Way::Rootless, _) => rootless(lab, case, id),
        (Way::Run, _) | (_, true) => launch(lab, case, id),
        (Way::Cwd, false) => directories(lab, case, id),
        (Way::Console, false) => terminals::console(lab, case, id),
        (Way::Race(one, other), false) => race(lab, case, id, [one, other], launch),
        (Way::ConsoleRace(one, other), false) => race(lab, case, id, [one, other], terminals::console),
    }
}

fn launch(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let bundle = case.bundle.display().to_string();
    let mut words = vec!["run"];
    words.extend(case.options.iter().map(String::as_str));
    words.extend(["--bundle", &bundle, id]);
    let child = lab.call(&words, id)?.spawn().call("execve")?;
    wait(child)?;
    delete(lab, id)?;
    seen(lab, id)
}

/// What a launch left in its output.
pub(super) fn seen(lab: &Lab, id: &str) -> Result<Seen> {
    let out = fs::read(lab.place(&format!("{id}.out"))).call("read")?;
    let out = String::from_utf8_lossy(&out).into_owned();
    if let Some(line) = out.lines().find_map(|line| line.strip_prefix("escaped: ")) {
        return Ok(Seen { outcome: Outcome::Escaped, evidence: line.to_owned() });
    }
    if let Some(line) = out.lines().find_map(|line| line.strip_prefix("held: ")) {
        return Ok(Seen { outcome: Outcome::Held, evidence: line.to_owned() });
    }
    if let Some(line) = out.lines().find_map(|line| line.strip_prefix("absent: ")) {
        return Ok(Seen { outcome: Outcome::NotApplicable, evidence: line.to_owned() });
    }
    let err = fs::read(lab.place(&format!("{id}.err"))).call("read")?;
    let err = String::from_utf8_lossy(&err).into_owned();
    let line = err.lines().find(|line| line.contains("rror")).or_else(|| err.lines().last());
    let evidence = line.map_or_else(|| "it was ended".to_owned(), |line| format!("refused: {line}"));
    Ok(Seen { outcome: Outcome::Held, evidence })
}

/// Waits, and kills at the deadline. Whether it was done.
pub(super) fn wait(mut child: Child) -> Result<bool> {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().call("wait4")? {
            return Ok(status.success());
        }
        if Instant::now() > until {
            child.kill().call("kill")?;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whatever became of it: nothing may be left for the next.
pub(super) fn delete(lab: &Lab, id: &str) -> Result<()> {
    let child = lab.call(&["delete", "--force", id], "delete")?.spawn().call("execve")?;
    wait(child).map(drop)
}

/// Nothing was made, so nothing will answer.
pub(super) fn refused(lab: &Lab, id: &str) -> Result<Seen> {
    delete(lab, id)?;
    seen(lab, id)
}

/// The low descriptors are those that a runtime has open itself.
fn directories(lab: &Lab, case: &mut Case, id: &str) -> Result<Seen> {
    let mut last = Seen { outcome: Outcome::Held, evidence: String::new() };
    for number in 3..12 {
        case.set("/process/cwd", json!(format!("/proc/self/fd/{number}")));
        case.write()?;
        last = launch(lab, case, id)?;
        if last.outcome == Outcome::Escaped {
            break;
        }
    }
    Ok(last)
}

fn race(
    lab: &Lab,
    case: &Case,
    id: &str,
    names: [&str; 2],
    launch: fn(&Lab, &Case, &str) -> Result<Seen>,
) -> Result<Seen> {
    let [one, other] = names.map(|name| case.rootfs().join(name).display().to_string());
    let own = lab.place("probe");
    let mut attacker = Command::new(own);
    attacker.args(["selftest", "probe", "exchange", &one, &other]);
    attacker.arg(lab.place("")).stdin(Stdio::null()).stdout(Stdio::null());
    let mut attacker = attacker.spawn().call("execve")?;
    let mut ran = 0;
    let mut launches = || -> Result<Option<Seen>> {
        for _ in 0..LAUNCHES {
            let seen = launch(lab, case, id)?;
            ran += usize::from(!seen.evidence.starts_with("refused"));
            if seen.outcome == Outcome::Escaped {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    };
    let done = launches();
    let alive = attacker.try_wait().call("wait4")?.is_none();
    attacker.kill().call("kill")?;
    attacker.wait().call("wait4")?;
    if let Some(escaped) = done? {
        return Ok(escaped);
    }
    let evidence = format!("{LAUNCHES} launches, {ran} of them ran");
    let outcome = if alive { Outcome::Held } else { Outcome::Dead };
    Ok(Seen { outcome, evidence })
}

/// `run` with a log in JSON; weakened, the container can write to it.
fn logged(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let (log, bundle) = (lab.place("log"), case.bundle.display().to_string());
    fs::write(&log, "").call("write").on(log.display())?;
    let words = ["--log", &log.display().to_string(), "--log-format", "json", "run", "--bundle", &bundle, id]
        .map(str::to_owned);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    wait(lab.call(&words, id)?.spawn().call("execve")?)?;
    delete(lab, id)?;
    let told = fs::read(&log).call("read")?;
    let raw = told.contains(&0x1b);
    let forged = String::from_utf8_lossy(&told).lines().any(|line| line == FORGED);
    match (forged, raw) {
        (false, false) => seen(lab, id),
        (true, _) => {
            Ok(Seen { outcome: Outcome::Escaped, evidence: "a line of the log is the attacker's".to_owned() })
        }
        (_, true) => {
            Ok(Seen { outcome: Outcome::Escaped, evidence: "a terminal's codes are in the log".to_owned() })
        }
    }
}

/// `run` by a user without privilege.
fn rootless(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    const STATE: &str = "state-of-a-user";
    let (bundle, state) = (case.bundle.display().to_string(), lab.place(STATE));
    make(&state)?;
    chown(&state, Some(USER), Some(USER)).call("chown").on(state.display())?;
    for (words, log) in [(&["run", "--bundle", &bundle, id][..], id), (&["delete", "--force", id], "delete")]
    {
        let mut command = lab.call_with(STATE, words, log)?;
        command.uid(USER).gid(USER).env("XDG_RUNTIME_DIR", &state);
        wait(command.spawn().call("execve")?)?;
    }
    seen(lab, id)
}

fn swap(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let bundle = case.bundle.display().to_string();
    if !wait(lab.call(&["create", "--bundle", &bundle, id], id)?.spawn().call("execve")?)? {
        return refused(lab, id);
    }
    let (source, away) = (lab.place("swap/source"), lab.place("swap/away"));
    fs::rename(&source, &away).call("rename")?;
    symlink(lab.outside(), &source).call("symlink")?;
    wait(lab.call(&["start", id], "start")?.spawn().call("execve")?)?;
    let seen = answer(lab, id);
    delete(lab, id)?;
    fs::remove_file(&source).call("unlink")?;
    fs::rename(&away, &source).call("rename")?;
    seen
}

/// The probe's line, once it is there.
pub(super) fn answer(lab: &Lab, id: &str) -> Result<Seen> {
    let until = Instant::now() + Duration::from_secs(20);
    let out = lab.place(&format!("{id}.out"));
    while Instant::now() < until && !read(&out)?.ends_with('\n') {
        std::thread::sleep(PAUSE);
    }
    seen(lab, id)
}

//! The ways in which an attack is carried out: one launch, many beside an attacker, a swap between
//! two verbs, an `exec`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::attacks::{Attack, Way};
use super::case::Case;
use super::lab::{Lab, read};
use super::report::{Outcome, Seen};
use crate::error::{Call, Context, Result};

/// No launch takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
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
        (Way::Exec, _) => exec(lab, case, id),
        (Way::Run, _) | (_, true) => launch(lab, case, id),
        (Way::Cwd, false) => directories(lab, case, id),
        (Way::Race, false) => race(lab, case, id),
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
fn seen(lab: &Lab, id: &str) -> Result<Seen> {
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

/// Waits, and kills at the deadline.
fn wait(mut child: Child) -> Result<()> {
    let until = Instant::now() + DEADLINE;
    while child.try_wait().call("wait4")?.is_none() {
        if Instant::now() > until {
            child.kill().call("kill")?;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Whatever became of it: nothing may be left for the next.
fn delete(lab: &Lab, id: &str) -> Result<()> {
    let child = lab.call(&["delete", "--force", id], "delete")?.spawn().call("execve")?;
    wait(child)
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

fn race(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let name = |name: &str| case.rootfs().join(name).display().to_string();
    let own = lab.place("probe");
    let mut attacker = Command::new(own);
    attacker.args(["selftest", "probe", "exchange", &name("vol/a"), &name("vol/link")]);
    attacker.arg(lab.place("")).stdin(Stdio::null()).stdout(Stdio::null());
    let mut attacker = attacker.spawn().call("execve")?;
    let mut ran = 0;
    let mut launches = || -> Result<()> {
        for _ in 0..LAUNCHES {
            let seen = launch(lab, case, id)?;
            ran += usize::from(!seen.evidence.starts_with("refused"));
        }
        Ok(())
    };
    let done = launches();
    let alive = attacker.try_wait().call("wait4")?.is_none();
    attacker.kill().call("kill")?;
    attacker.wait().call("wait4")?;
    done?;
    let evidence = format!("{LAUNCHES} launches, {ran} of them ran");
    let outcome = if alive { Outcome::Held } else { Outcome::Dead };
    Ok(Seen { outcome, evidence })
}

fn swap(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let bundle = case.bundle.display().to_string();
    wait(lab.call(&["create", "--bundle", &bundle, id], id)?.spawn().call("execve")?)?;
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
fn answer(lab: &Lab, id: &str) -> Result<Seen> {
    let until = Instant::now() + Duration::from_secs(20);
    let out = lab.place(&format!("{id}.out"));
    while Instant::now() < until && !read(&out)?.ends_with('\n') {
        std::thread::sleep(PAUSE);
    }
    seen(lab, id)
}

fn exec(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let script = case.rootfs().join("evil");
    fs::write(&script, "#!/proc/self/exe\n").call("write").on(script.display())?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).call("chmod")?;
    let bundle = case.bundle.display().to_string();
    wait(lab.call(&["create", "--bundle", &bundle, id], id)?.spawn().call("execve")?)?;
    if let Ok(child) = lab.call(&["start", id], "start")?.spawn() {
        wait(child)?;
    }
    for _ in 0..3 {
        // An overwritten program cannot be executed: the lab compares it afterwards.
        let Ok(child) = lab.call(&["exec", id, "/evil"], "exec")?.spawn() else { break };
        wait(child)?;
    }
    let seen = answer(lab, id);
    // An overwritten program deletes nothing.
    delete_by_original(lab, id)?;
    seen
}

fn delete_by_original(lab: &Lab, id: &str) -> Result<()> {
    let state = lab.place("state");
    let mut command = Command::new(lab.original());
    command.arg("--root").arg(state).args(["delete", "--force", id]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    wait(command.spawn().call("execve")?)
}

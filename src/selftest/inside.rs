//! Attacks by a container that runs, on what enters it or ends it: `exec`, `kill`, `delete`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::case::Case;
use super::lab::{Lab, read};
use super::races::{PAUSE, answer, delete, refused, seen, wait};
use super::report::{Outcome, Seen};
use crate::error::{Call, Context, Error, Result};

/// The pid that the next process gets is one more (pid_namespaces(7)).
const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// `create` and `start`; false where the runtime refuses.
fn begin(lab: &Lab, case: &Case, id: &str) -> Result<bool> {
    Ok(create(lab, case, id)? && start(lab, id).map(|()| true)?)
}

fn create(lab: &Lab, case: &Case, id: &str) -> Result<bool> {
    let bundle = case.bundle.display().to_string();
    wait(lab.call(&["create", "--bundle", &bundle, id], id)?.spawn().call("execve")?)
}

/// An overwritten program cannot be executed: the lab compares it afterwards.
fn start(lab: &Lab, id: &str) -> Result<()> {
    lab.call(&["start", id], "start")?.spawn().map_or(Ok(()), |child| wait(child).map(drop))
}

/// `exec` of the image's script, whose interpreter is the program that executes it: the runtime. In the weakened
/// container a program of the host's is executed that may be written to.
pub(super) fn overwrite(lab: &Lab, case: &Case, id: &str, weakened: bool) -> Result<Seen> {
    let script = case.rootfs().join("evil");
    fs::write(&script, "#!/proc/self/exe\n").call("write").on(script.display())?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).call("chmod")?;
    if !begin(lab, case, id)? {
        return refused(lab, id);
    }
    for _ in 0..3 {
        let mut words = vec!["exec", id];
        words.extend(if weakened {
            &["/program", "selftest", "probe", "sleep", "1"][..]
        } else {
            &["/evil"]
        });
        let Ok(child) = lab.call(&words, "exec")?.spawn() else { break };
        if !wait(child)? && weakened {
            break;
        }
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
    wait(command.spawn().call("execve")?).map(drop)
}

/// `exec` with each of the low descriptors as its working directory; the weakened container was given the place.
pub(super) fn directories(lab: &Lab, case: &Case, id: &str, weakened: bool) -> Result<Seen> {
    if !begin(lab, case, id)? {
        return refused(lab, id);
    }
    let log = format!("{id}-exec");
    let outside = lab.outside().display().to_string();
    let places: Vec<_> = match weakened {
        true => vec!["/given".to_owned()],
        false => (3..12).map(|number| format!("/proc/self/fd/{number}")).collect(),
    };
    let mut last = Seen { outcome: Outcome::Held, evidence: String::new() };
    for place in places {
        let words = ["exec", "--cwd", &place, id, "/probe", "selftest", "probe", "climbs", &outside];
        wait(lab.call(&words, &log)?.spawn().call("execve")?)?;
        last = seen(lab, &log)?;
        if last.outcome == Outcome::Escaped {
            break;
        }
    }
    delete(lab, id)?;
    Ok(last)
}

/// `exec` while the container looks into each process that comes in; weakened, the process has the host's descriptors.
pub(super) fn borrow(lab: &Lab, case: &Case, id: &str, weakened: bool) -> Result<Seen> {
    if !begin(lab, case, id)? {
        return refused(lab, id);
    }
    for _ in 0..5 {
        let mut words = vec!["exec"];
        words.extend(if weakened { &["--preserve-fds", "1"][..] } else { &[] });
        words.extend([id, "/probe", "selftest", "probe", "sleep", if weakened { "1" } else { "0" }]);
        // Once the container has ended, or where the runtime refuses, there is no more to see.
        if !wait(lab.call(&words, "exec")?.spawn().call("execve")?)? {
            break;
        }
    }
    let seen = answer(lab, id);
    delete(lab, id)?;
    seen
}

/// The container ends, another process gets its pid, and then the runtime is told to end the container. Weakened, the
/// container is still there.
pub(super) fn reuse(lab: &Lab, case: &Case, id: &str, weakened: bool) -> Result<Seen> {
    if !create(lab, case, id)? {
        return refused(lab, id);
    }
    let pid = pid_of(lab, id);
    start(lab, id)?;
    let ended = pid.and_then(|pid| match weakened {
        true => end(lab, id).and_then(|()| is_gone(pid)),
        false => ended_in_its_place(lab, id, pid),
    });
    delete(lab, id)?;
    Ok(match ended {
        Ok(true) => {
            Seen { outcome: Outcome::Escaped, evidence: "the process of that pid was ended".to_owned() }
        }
        Ok(false) => {
            Seen { outcome: Outcome::Held, evidence: "the process that has its pid lives on".to_owned() }
        }
        Err(error) => Seen { outcome: Outcome::Dead, evidence: error.to_string() },
    })
}

fn ended_in_its_place(lab: &Lab, id: &str, pid: Pid) -> Result<bool> {
    if !is_gone(pid)? {
        return Err(Error::setup("the container does not end"));
    }
    let mut witness = witness_as(lab, pid)?;
    end(lab, id)?;
    let gone = witness.try_wait().call("wait4")?.is_some();
    if !gone {
        witness.kill().call("kill")?;
        witness.wait().call("wait4")?;
    }
    Ok(gone)
}

/// Every way in which a runtime is told to end a container; whether it does is seen by what is left.
fn end(lab: &Lab, id: &str) -> Result<()> {
    for words in [&["kill", id, "KILL"][..], &["kill", "--all", id, "KILL"], &["delete", "--force", id]] {
        wait(lab.call(words, "end")?.spawn().call("execve")?)?;
    }
    Ok(())
}

fn pid_of(lab: &Lab, id: &str) -> Result<Pid> {
    let log = format!("{id}-state");
    wait(lab.call(&["state", id], &log)?.spawn().call("execve")?)?;
    let state: serde_json::Value = serde_json::from_str(&read(&lab.place(&format!("{log}.out")))?)
        .map_err(|error| Error::setup(format!("state: {error}")))?;
    let pid = state.get("pid").and_then(serde_json::Value::as_i64).and_then(|pid| i32::try_from(pid).ok());
    pid.filter(|pid| *pid > 1).map(Pid::from_raw).ok_or_else(|| Error::setup("state names no pid"))
}

/// The lab is its namespace's first process, which what has lost its parent is left to.
fn is_gone(pid: Pid) -> Result<bool> {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(nix::sys::wait::WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(Errno::ECHILD) => {
                if nix::sys::signal::kill(pid, None) == Err(Errno::ESRCH) {
                    return Ok(true);
                }
            }
            Err(errno) => return Err(Error::call("wait4", errno)),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(false)
}

/// A process of the lab's under this pid.
fn witness_as(lab: &Lab, pid: Pid) -> Result<std::process::Child> {
    for _ in 0..50 {
        fs::write(LAST_PID, (pid.as_raw() - 1).to_string()).call("write").on(LAST_PID)?;
        let mut witness = witness(lab)?.spawn().call("execve")?;
        if i64::from(witness.id()) == i64::from(pid.as_raw()) {
            return Ok(witness);
        }
        witness.kill().call("kill")?;
        witness.wait().call("wait4")?;
    }
    Err(Error::setup(format!("no process can be made as {pid}")))
}

fn witness(lab: &Lab) -> Result<Command> {
    let mut command = Command::new(lab.place("probe"));
    command
        .args(["selftest", "probe", "witness"])
        .arg(lab.place(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// `run` in the process group of another process of the host's, which signals from inside must not reach.
pub(super) fn signals(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let mut witness = witness(lab)?.process_group(0).spawn().call("execve")?;
    let group = i32::try_from(witness.id()).map_err(|error| Error::internal(error.to_string()))?;
    let bundle = case.bundle.display().to_string();
    let mut command = lab.call(&["run", "--bundle", &bundle, id], id)?;
    let ran = command.process_group(group).spawn().call("execve").and_then(wait);
    let gone = witness.try_wait().call("wait4")?.is_some();
    if !gone {
        witness.kill().call("kill")?;
        witness.wait().call("wait4")?;
    }
    ran?;
    delete(lab, id)?;
    match gone {
        true => {
            Ok(Seen { outcome: Outcome::Escaped, evidence: "a process of the host was ended".to_owned() })
        }
        false => seen(lab, id),
    }
}

//! Attacks on terminals: that of the caller, and the one that a runtime makes for the container.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use super::case::Case;
use super::lab::Lab;
use super::races::{PAUSE, answer, delete, refused, seen, wait};
use super::report::Seen;
use crate::error::{Call, Context, Error, Result};
use crate::sys;

/// Until a program on a terminal has spoken, or a runtime has sent one.
const PATIENCE: Duration = Duration::from_secs(10);

/// `create` with a socket to which the runtime sends the terminal, and what the program then writes on it.
pub(super) fn console(lab: &Lab, case: &Case, id: &str) -> Result<Seen> {
    let place = lab.place("console");
    let listener = UnixListener::bind(&place).call("bind").on(place.display())?;
    let terminal = created(lab, case, id, &listener);
    fs::remove_file(&place).call("unlink").on(place.display())?;
    let Some(terminal) = terminal? else { return refused(lab, id) };
    wait(lab.call(&["start", id], "start")?.spawn().call("execve")?)?;
    let text = first_line(terminal)?;
    let out = lab.place(&format!("{id}.out"));
    fs::write(&out, text).call("write").on(out.display())?;
    delete(lab, id)?;
    seen(lab, id)
}

fn created(lab: &Lab, case: &Case, id: &str, listener: &UnixListener) -> Result<Option<OwnedFd>> {
    listener.set_nonblocking(true).call("fcntl")?;
    let (bundle, place) = (case.bundle.display().to_string(), lab.place("console").display().to_string());
    let words = ["create", "--bundle", &bundle, "--console-socket", &place, id];
    let mut child = lab.call(&words, id)?.spawn().call("execve")?;
    let mut terminal = None;
    let until = Instant::now() + PATIENCE;
    while terminal.is_none() && Instant::now() < until {
        // Looked at in this order: who has ended has sent all that it will.
        let ended = child.try_wait().call("wait4")?.is_some();
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).call("fcntl")?;
                stream.set_read_timeout(Some(PATIENCE)).call("setsockopt")?;
                terminal = sys::socket::recv_fd(stream.as_fd(), &mut [0; 4096]).call("recvmsg")?.1;
            }
            Err(_) if ended => break,
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    Ok(if wait(child)? { terminal } else { None })
}

/// Reading from a terminal whose other side is closed ends in EIO.
fn first_line(terminal: OwnedFd) -> Result<Vec<u8>> {
    let mut text = vec![];
    let until = Instant::now() + PATIENCE;
    let mut file = fs::File::from(terminal);
    let mut buffer = [0; 4096];
    while !text.contains(&b'\n') && Instant::now() < until {
        let mut waited = [nix::poll::PollFd::new(file.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut waited, 100_u16).call("poll")?;
        let ready = waited.iter().any(|one| one.any().unwrap_or_default());
        match if ready { file.read(&mut buffer) } else { continue } {
            Ok(0) | Err(_) => break,
            Ok(length) => text.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }
    Ok(text)
}

/// `run` where stdin is the terminal that controls the caller's session. The weakened container is given a terminal
/// by `create`, which some runtimes hand on where `run` copies what it reads.
pub(super) fn of_the_caller(lab: &Lab, case: &Case, id: &str, weakened: bool) -> Result<Seen> {
    let master = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx");
    let master = master.call("open").on("/dev/ptmx")?;
    sys::tty::pty_unlock(master.as_fd()).call("ioctl")?;
    let peer = sys::tty::pty_peer(master.as_fd(), libc::O_RDWR | libc::O_NOCTTY).call("ioctl")?;
    let bundle = case.bundle.display().to_string();
    let verb = if weakened { "create" } else { "run" };
    let mut runtime = lab.call(&[verb, "--bundle", &bundle, id], id)?;
    if weakened {
        if !wait(runtime.stdin(peer).spawn().call("execve")?)? {
            return refused(lab, id);
        }
        wait(lab.call(&["start", id], "start")?.spawn().call("execve")?)?;
        let seen = answer(lab, id);
        delete(lab, id)?;
        return seen;
    }
    let mut leader = Command::new(lab.place("probe"));
    leader.args(["selftest", "probe", "terminal", "--"]).arg(lab.place("")).arg(lab.runtime());
    leader.args(runtime.get_args()).current_dir(lab.place("")).stdin(peer);
    leader.stdout(lab.log(id, "out")?).stderr(lab.log(id, "err")?);
    wait(leader.spawn().call("execve")?)?;
    delete(lab, id)?;
    seen(lab, id)
}

/// In the process that becomes the runtime: a session of its own, which the terminal at stdin controls.
///
/// # Errors
/// setsid(2), TIOCSCTTY; it returns with an error alone.
pub(super) fn become_the_runtime(words: &[String]) -> Result<std::convert::Infallible> {
    use std::os::unix::process::CommandExt;
    let [runtime, words @ ..] = words else { return Err(Error::usage("no runtime")) };
    nix::unistd::setsid().call("setsid")?;
    sys::tty::set_controlling_terminal(std::io::stdin().as_fd()).call("ioctl TIOCSCTTY")?;
    Err(Command::new(runtime).args(words).exec()).call("execve")
}

//! `start`: the waiting process executes its program.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::gate::Gate;
use super::host::Host;
use super::judge::{self, Judge};
use super::trail::{Need, Trail};
use super::{destroy, entry, hooks};
use crate::cli::{Global, StartArgs};
use crate::draft::{self, Extras};
use crate::error::{Call, Error, ExitCode, Kind, Result};
use crate::launch::{self, HookPlace};
use crate::plan::{Agent, HookKind, Records};
use crate::state::{Action, ContainerDir, ContainerKind, Phase, State, Status};
use crate::sys;

const GO: &[u8] = b"g";

/// Starts a created container.
///
/// # Errors
/// It is not in the created state; the program cannot be executed; a startContainer or
/// poststart hook failed, and with it the container is gone.
pub fn run(global: &Global, args: &StartArgs) -> Result<ExitCode> {
    let root = entry::open_root(global)?;
    let dir = root.open_container(&args.id.to_string())?;
    let before = dir.load()?;
    // Judged, and read, before anything runs.
    let poststart = hooks::kept(&dir, &before, HookKind::Poststart)?;
    let run = |state| hooks::poststart(&poststart, &state, &HookPlace::default());
    let judge = Judge::of_container(global, &before)?;
    let mut trail = Trail::under(judge.policy(), "start", Some(dir.id()))?;
    let started = Gate::enter(judge.policy())
        .and_then(|gate| trail.intent(None, Need::AsRequired).map(|_| gate))
        .and_then(|mut gate| started(&judge, &dir, &mut gate));
    let started = trail.end(started);
    match started.and_then(run) {
        // runtime.md, "Lifecycle", steps 9 and 10: stopped, destroyed, an error.
        Err(error) if error.class() == Kind::HookFailed => {
            let host = Host::read()?;
            let counters = entry::counted(&host, &before, &trail)?;
            destroy::stop(&host, &before)?;
            trail.container_ended(&before, "killed", counters.as_ref());
            destroy::remove(&root, dir, &host, &before)?;
            Err(error)
        }
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

/// The container runs; nobody else changes it meanwhile, and a hook may once it does.
fn started(judge: &Judge<'_>, dir: &ContainerDir, gate: &mut Gate) -> Result<State> {
    let changes = dir.lock_changes()?;
    let mut state = changes.load()?;
    // A frozen one would wait for ever.
    entry::status(&Host::read()?, &state)?.may(Action::Start, dir.id())?;
    let program = program(dir)?;
    if judge.stands() {
        judge::same_sources(&state)?;
        judge::same_root(&state)?;
    }
    gate.pass()?;
    let records = release(dir, &state, agent(dir, &state)?.as_ref())?;
    if !records.executed() {
        return Err(launch::failed_at_start(&records, &program));
    }
    state.phase = Phase::Started;
    changes.save(&state)?;
    Ok(state)
}

/// The program, as the configuration calls it.
fn program(dir: &ContainerDir) -> Result<String> {
    let (spec, _) = super::bundle::parse(&dir.load_config()?)?;
    let process = spec
        .process()
        .as_ref()
        .ok_or_else(|| Error::usage("the configuration has no process to start").field("/process"))?;
    Ok(process.args().iter().flatten().next().cloned().unwrap_or_default())
}

/// Says go, and waits until the process has executed or ended.
fn release(dir: &ContainerDir, state: &State, agent: Option<&Agent>) -> Result<Records> {
    let stream =
        socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).call("socket")?;
    let address = UnixAddr::new(entry::start_socket(dir).as_str()).call("connect")?;
    connect(stream.as_raw_fd(), &address).call("connect")?;
    check_peer(&stream, state)?;
    let mut word = [0_u8; 1];
    let (_, page) = sys::socket::recv_fd(stream.as_fd(), &mut word).call("recvmsg")?;
    let page = page.ok_or_else(|| Error::setup("the waiting process sent no records"))?;
    let records = Records::map(page.as_fd()).call("mmap")?;
    sys::socket::send_fd(stream.as_fd(), GO, None).call("sendmsg")?;
    let mut word = [0_u8; launch::LISTENER_WORD];
    let length = heard(&stream, &mut word)?;
    let listener = word.get(..length).and_then(launch::listener_number);
    if let Some(number) = listener {
        let agent = agent.ok_or_else(|| Error::internal("nobody is there to supervise the filter"))?;
        hand_over(agent, state, number)?;
        sys::socket::send_fd(stream.as_fd(), GO, None).call("sendmsg")?;
        heard(&stream, &mut word)?;
    }
    Ok(records)
}

/// The process's word; nothing when it has executed or ended.
fn heard(stream: &OwnedFd, word: &mut [u8]) -> Result<usize> {
    match sys::socket::recv_fd(stream.as_fd(), word) {
        Ok((length, _)) => Ok(length),
        Err(Errno::ECONNRESET) => Ok(0),
        Err(errno) => Err(Error::call("recvmsg", errno)),
    }
}

/// Who supervises the calls that the filter asks about.
fn agent(dir: &ContainerDir, state: &State) -> Result<Option<Agent>> {
    if state.kind == ContainerKind::Sandbox {
        return Ok(None);
    }
    let (spec, _) = super::bundle::parse(&dir.load_config()?)?;
    let draft = draft::build(&spec, &Extras::oci(), &Host::read()?.facts)?;
    super::agent::agent(&draft, state, Status::Created)
}

/// A process whose filter nobody supervises could wait for ever, even to end.
fn hand_over(agent: &Agent, state: &State, number: i32) -> Result<()> {
    let init = state.init.ok_or_else(|| Error::internal("a created container without a process"))?;
    let pidfd = sys::pidfd::pidfd_open(nix::unistd::Pid::from_raw(init.pid)).call("pidfd_open")?;
    let handed = match init.lives()? {
        true => launch::hand_over(agent, (init.pid, pidfd.as_fd()), number, None),
        false => Err(Error::new(Kind::IdentityChanged, "the container's first process is gone")),
    };
    if handed.is_err() && init.lives()? {
        sys::pidfd::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL).call("pidfd_send_signal")?;
    }
    handed
}

/// Who answers must be the container's own first process, not whoever bound a socket there.
fn check_peer(stream: &OwnedFd, state: &State) -> Result<()> {
    let peer = sys::socket::peer_pid(stream.as_fd()).call("getsockopt")?;
    // The listener was bound by the launcher, whose credentials the kernel remembers.
    let known = [state.init.map(|init| init.pid), Some(state.launcher.pid)];
    match known.contains(&Some(peer.as_raw())) {
        true => Ok(()),
        false => Err(Error::new(Kind::IdentityChanged, "another process listens on the start socket")),
    }
}

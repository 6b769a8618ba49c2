//! clone3 and the assembly of the child, until it waits for the word to execute.

mod meet;

use std::cell::OnceCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use meet::{go, meet};

use super::inspect::Seen;
use super::keeper::{Keeper, Keeping};
use super::net_devices::Lent;
use super::supervise::ENDING;
use super::watch::{self, Watcher};
use super::{Channel, failure, id_maps, scheduling};
use crate::cgroup::Cgroup;
use crate::child;
use crate::error::{Call, Context, Error, Result};
use crate::plan::{BornIn, Hook, Plan, Records, Step};
use crate::sys::arguments::Arguments;
use crate::sys::clone::{CLONE_NEWPID, Cloned};
use crate::sys::poll::{POLLIN, PollFd};
use crate::{sys, timing};

/// How long the end of a killed child is waited for.
const LAST_WAIT_MS: u64 = 5000;

/// A child in the state that the Plan wants, checked from outside. Dropped before it is
/// released, it is killed and reaped: a failed launch leaves nothing.
#[derive(Debug)]
pub struct Assembled {
    /// The child's pid here.
    pub pid: i32,
    /// The child.
    pub pidfd: OwnedFd,
    /// The control socket.
    pub socket: OwnedFd,
    /// The child's records.
    pub records: Records,
    /// The memfd behind the records.
    pub page: OwnedFd,
    /// Ends when the program's own process has executed or ended.
    pub started: OwnedFd,
    /// The pty's master, where a terminal was asked for.
    pub console: Option<OwnedFd>,
    /// The signals that end a launch while it is set up.
    interrupts: OwnedFd,
    /// What ends all of it when pinfold cannot.
    watcher: Option<Watcher>,
    /// What ends all of it when its time is up, and its launcher is gone.
    keeper: Option<Keeper>,
    /// The network devices that are the host's again if the launch fails.
    lent: Option<Lent>,
    /// How many stages have passed the launch on.
    followed: usize,
    released: bool,
}

impl Assembled {
    /// Readable when somebody asks for the end of a launch that is being set up.
    pub fn interrupts(&self) -> BorrowedFd<'_> {
        self.interrupts.as_fd()
    }

    /// The child lives on by itself from here.
    pub fn release(&mut self) {
        self.released = true;
        self.lent = None;
        if let Some(keeper) = &mut self.keeper {
            keeper.release();
        }
    }

    /// The keeper's number here.
    pub fn keeper(&self) -> Option<i32> {
        self.keeper.as_ref().map(|keeper| keeper.pid)
    }

    /// From a stage to the process that it cloned and that goes on with the list, as often as
    /// that has happened. All are children of this process, so no number can be another's.
    ///
    /// A stage is waited for first: its child can be here before the stage has stored
    /// its number.
    fn follow(&mut self, plan: &Plan) -> Result<()> {
        let here = self.records.entered().unwrap_or(0);
        let passed: Vec<_> = plan.steps.iter().take(here).filter(|at| is_passing_on(&at.step)).collect();
        for planned in passed.iter().skip(self.followed) {
            sys::wait::waitid_pidfd(self.pidfd.as_fd(), sys::wait::WEXITED).call("waitid")?;
            let pid = match planned.step {
                Step::EnterPidNamespace => self.records.main_pid(),
                _ => self.records.stage_pid(),
            };
            let pid = pid.ok_or_else(|| failure::failed(plan, &self.records))?;
            self.pidfd = sys::pidfd::pidfd_open(nix::unistd::Pid::from_raw(pid)).call("pidfd_open")?;
            self.pid = pid;
            self.followed += 1;
        }
        Ok(())
    }

    /// From here on the child, and all of `ending`, end with pinfold whatever they do.
    fn watch(&mut self, plan: &Plan, ending: Option<&Cgroup>) -> Result<()> {
        if watch::is_needed(plan) {
            self.watcher = Some(Watcher::start(self.pidfd.as_fd(), ending)?);
        }
        Ok(())
    }

    /// Takes the watcher away from the child, for who has more to end than the child.
    pub fn take_watcher(&mut self) -> Option<Watcher> {
        self.watcher.take()
    }

    /// Keeps what `--trace-timing` prints of the child.
    pub fn tell_times(&self, plan: &Plan) {
        timing::steps(|| {
            let times = self.records.times(plan.steps.len());
            times.filter_map(|(index, at)| Some((plan.steps.get(index)?.step.title(), at))).collect()
        });
    }

    /// What was lent to a launch that fails, and would end with it, is the host's again.
    #[must_use]
    pub fn fail(&mut self, error: Error) -> Error {
        match self.lent.take() {
            Some(mut lent) => lent.give_back(error),
            None => error,
        }
    }

    /// Waits until the program's own process has executed.
    ///
    /// # Errors
    /// What the records say: the end of the pipe alone is no success.
    pub fn await_exec(&mut self, plan: &Plan) -> Result<()> {
        let mut byte = [0_u8; 1];
        let waited = self.wait_for(self.started.as_fd());
        let read = waited.and_then(|()| sys::file::read(self.started.as_fd(), &mut byte).call("read"));
        timing::ended("execve");
        self.tell_times(plan);
        read.and_then(|_| executed(plan, &self.records)).map_err(|error| self.fail(error))?;
        // runtime.md: from here on they are the container's, and go where its namespace goes.
        self.lent = None;
        Ok(())
    }
}

impl Assembled {
    /// Waits until there is something to read, or somebody asks for the end: a child can be
    /// held up for ever, by a frozen cgroup or a filesystem that does not answer, and the
    /// caller has blocked these signals for the time of the supervision.
    pub(super) fn wait_for(&self, fd: BorrowedFd<'_>) -> Result<()> {
        loop {
            let mut watched = [PollFd::new(fd, POLLIN), PollFd::new(self.interrupts.as_fd(), POLLIN)];
            match sys::poll::ppoll(&mut watched, None) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).call("ppoll"),
            }
            let [ready, asked] = watched;
            if ready.readable() {
                return Ok(());
            }
            if asked.readable()
                && let Some(signal) =
                    sys::signal::signalfd_read(self.interrupts.as_fd()).call("read signalfd")?
            {
                return Err(Error::setup(format!("ended by signal {signal} before the program ran")));
            }
        }
    }
}

/// Whether the last record is Exec, and nothing failed.
///
/// # Errors
/// The failure that the records tell of.
pub(super) fn executed(plan: &Plan, records: &Records) -> Result<()> {
    match records.executed() {
        true => Ok(()),
        false => Err(failure::failed(plan, records)),
    }
}

impl Drop for Assembled {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        // It is the launch that tells of its failure.
        self.keeper = None;
        // The child may be gone already; what matters is that it is gone afterwards.
        if matches!(
            sys::pidfd::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL),
            Ok(()) | Err(Errno::ESRCH)
        ) {
            // A frozen v1 cgroup keeps it until somebody thaws it (cgroup-v1/freezer-subsystem.rst).
            let mut watched = [PollFd::new(self.pidfd.as_fd(), POLLIN)];
            let ended = sys::poll::ppoll(&mut watched, Some(LAST_WAIT_MS));
            debug_assert!(matches!(ended, Ok(_) | Err(Errno::EINTR)));
            let reaped = sys::wait::waitid_pidfd(self.pidfd.as_fd(), sys::wait::WEXITED | sys::wait::WNOHANG);
            debug_assert!(matches!(reaped, Ok(_) | Err(Errno::ECHILD)));
        }
    }
}

/// Clones the child and brings it to the point where only the word to execute is missing.
///
/// # Errors
/// What the child recorded, or what the check from outside found.
pub fn assemble(plan: &mut Plan, cgroup: Option<&Cgroup>, at_go: &mut AtGo<'_>) -> Result<Assembled> {
    assemble_with(plan, Place::of(cgroup), Company { at_hooks: &mut no_hooks, at_go, keeping: None })
}

/// Which cgroup the child comes into.
pub enum Place<'a> {
    /// Where pinfold is.
    Caller,
    /// This one; what dies with pinfold is all of it.
    Group(&'a Cgroup),
    /// One that the function makes around the waiting child: systemd makes a scope of processes only.
    Around(&'a OnceCell<Cgroup>, &'a mut MakeAround<'a>),
}

/// Makes a group around a process.
pub type MakeAround<'m> = dyn FnMut(Pid) -> Result<Cgroup> + 'm;

impl<'a> Place<'a> {
    /// The group, where there is one.
    pub fn of(cgroup: Option<&'a Cgroup>) -> Self {
        cgroup.map_or(Self::Caller, Self::Group)
    }

    /// The group, once it is there.
    fn cgroup(&self) -> Option<&'a Cgroup> {
        match self {
            Self::Caller => None,
            Self::Group(cgroup) => Some(cgroup),
            Self::Around(cell, _) => cell.get(),
        }
    }

    fn make(&mut self, pid: Pid) -> Result<()> {
        if let Self::Around(cell, make) = self {
            let made = make(pid)?;
            cell.set(made).map_err(|_again| Error::internal("a second group for one child"))?;
        }
        Ok(())
    }
}

fn no_hooks(_: &Assembled, _: &[Hook]) -> Result<()> {
    Err(Error::internal("nobody is there to run the hooks"))
}

/// As [`assemble`], in a `cgroup` that others may live in too: only what is in `ending` is
/// killed when pinfold is, before a foreground launch has ended.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_among(
    plan: &mut Plan,
    cgroup: Option<&Cgroup>,
    ending: Option<&Cgroup>,
    at_go: &mut AtGo<'_>,
) -> Result<Assembled> {
    clone_and_meet(plan, Place::of(cgroup), Around { ending, at_hooks: &mut no_hooks, at_go, keeping: None })
}

/// What the parent does while the child waits before the pivot: its hooks.
pub type AtHooks<'a> = dyn FnMut(&Assembled, &[Hook]) -> Result<()> + 'a;

/// What the parent does right before the last word, after which the child goes on by itself.
pub type AtGo<'a> = dyn FnMut() -> Result<()> + 'a;

/// What an OCI container has around it while it is assembled.
pub struct Company<'a, 'h, 'g, 'k> {
    /// Runs the hooks.
    pub at_hooks: &'a mut AtHooks<'h>,
    /// Has the last say.
    pub at_go: &'a mut AtGo<'g>,
    /// For one that lives on without its launcher and shall end nevertheless.
    pub keeping: Option<Keeping<'k>>,
}

/// As [`assemble`], of a Plan that may have hooks, and a keeper.
///
/// # Errors
/// Those, what `at_hooks` says, and a keeper that does not start.
pub fn assemble_with(
    plan: &mut Plan,
    place: Place<'_>,
    company: Company<'_, '_, '_, '_>,
) -> Result<Assembled> {
    let Company { at_hooks, at_go, keeping } = company;
    let ending = place.cgroup();
    clone_and_meet(plan, place, Around { ending, at_hooks, at_go, keeping })
}

/// What is around the child while it is assembled.
struct Around<'a, 'o, 'h, 'g, 'k> {
    /// What is killed with pinfold.
    ending: Option<&'a Cgroup>,
    at_hooks: &'o mut AtHooks<'h>,
    at_go: &'o mut AtGo<'g>,
    keeping: Option<Keeping<'k>>,
}

fn clone_and_meet<'a>(
    plan: &mut Plan,
    mut place: Place<'a>,
    mut around: Around<'a, '_, '_, '_, '_>,
) -> Result<Assembled> {
    let channel = Channel::open()?;
    plan.keep_fds = kept(plan, &channel);
    channel.records.finish_line(plan.steps.len().saturating_sub(1));
    require_single_thread()?;
    // Readable only where the caller has blocked these signals; elsewhere they end pinfold.
    let interrupts = sys::signal::signalfd(&ENDING).call("signalfd4")?;
    // In the unified hierarchy the child is born in its group, on a hybrid machine too; its
    // first step takes it into the v1 hierarchies.
    let born_in = place.cgroup().and_then(Cgroup::unified_fd);
    let own_namespaces = enter(&plan.born_in)?;
    let hides = plan.steps.iter().any(|planned| matches!(planned.step, Step::HideArguments));
    let arguments = hides.then(Arguments::own).transpose().call("read").on("/proc/self/stat")?;
    let args = sys::clone::CloneArgs { flags: plan.clone_flags, exit_signal: libc::SIGCHLD, cgroup: born_in };
    let own_cpus = scheduling::before_clone(plan)?;
    timing::ended("before the clone");
    let (pid, pidfd) = match sys::clone::clone3(&args).call("clone3")? {
        Cloned::Child => {
            // With its own copy of the parent's end open, a child that waits would never see
            // pinfold's death: before PDEATHSIG is set, the end of this socket alone tells it.
            let Channel { parent, child, records, page, starting: _kept, .. } = channel;
            drop(parent);
            child::walk(plan, &records, child.as_fd(), page.as_fd(), arguments)
        }
        Cloned::Parent { pid, pidfd } => (pid.as_raw(), pidfd),
    };
    timing::ended("clone3");
    // Whatever else pinfold starts is not born inside.
    for (own, nstype) in own_namespaces.iter().rev() {
        setns(own, *nstype)?;
    }
    let Channel { parent, child, records, page, started, starting } = channel;
    // The child's ends live on only in the child, or its end would never be seen.
    drop((child, starting));
    let socket = parent;
    let mut assembled = Assembled {
        pid,
        pidfd,
        socket,
        records,
        page,
        started,
        console: None,
        interrupts,
        watcher: None,
        keeper: None,
        lent: None,
        followed: 0,
        released: false,
    };
    scheduling::after_clone(own_cpus)?;
    prepare(plan, &assembled)?;
    place.make(Pid::from_raw(assembled.pid))?;
    if let Place::Around(made, _) = &place {
        around.ending = made.get();
    }
    go(&assembled)?;
    timing::ended("id maps, scores");
    if !has_stage(plan) {
        // While the child is at work: this costs no time.
        assembled.watch(plan, around.ending)?;
        timing::ended("watcher");
    }
    meet_all(plan, &mut assembled, &mut around).map_err(|error| assembled.fail(error))?;
    assembled.tell_times(plan);
    Ok(assembled)
}

/// One meeting after the other, up to the last.
fn meet_all(
    plan: &mut Plan,
    assembled: &mut Assembled,
    around: &mut Around<'_, '_, '_, '_, '_>,
) -> Result<()> {
    let mut checks = plan.steps.iter().filter(|at| matches!(at.step, Step::MeetForCheck)).count();
    let seen = if checks > 1 { Seen::Status } else { Seen::All };
    while !meet(plan, assembled, &mut checks, seen, around)? {}
    Ok(())
}

/// The next child is born in these namespaces; returned are those that this process was in.
fn enter(namespaces: &[BornIn]) -> Result<Vec<(OwnedFd, u64)>> {
    let mut before = vec![];
    for BornIn { fd, nstype, name, field } in namespaces {
        let name = if *nstype == CLONE_NEWPID { "pid_for_children" } else { name };
        let path = format!("/proc/self/ns/{name}");
        let own = nix::fcntl::open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
        before.push((own.call("open").on(path)?, *nstype));
        setns(fd, *nstype).at(field.clone())?;
    }
    Ok(before)
}

fn setns(namespace: &OwnedFd, nstype: u64) -> Result<()> {
    let bits = i32::try_from(nstype).map_err(|error| Error::internal(error.to_string()))?;
    nix::sched::setns(namespace, nix::sched::CloneFlags::from_bits_retain(bits)).call("setns")
}

/// Whether what is cloned is only a stage before the process of the program.
fn has_stage(plan: &Plan) -> bool {
    plan.steps.iter().any(|planned| is_passing_on(&planned.step))
}

/// The process that takes this step ends there, and another one goes on.
fn is_passing_on(step: &Step) -> bool {
    matches!(step, Step::EnterPidNamespace | Step::CloneAgain { .. })
}

/// Ascending, as close_range needs it: the streams, the channel, and what the steps
/// after the closing still use.
fn kept(plan: &Plan, channel: &Channel) -> Vec<u32> {
    let mut kept: Vec<u32> = (0..3 + u32::from(plan.preserved_fds)).collect();
    kept.extend(channel.kept());
    for planned in &plan.steps {
        match &planned.step {
            Step::Landlock { ruleset: fd, .. } | Step::AwaitStart { listener: fd, .. } => {
                kept.push(fd.as_raw_fd().cast_unsigned());
            }
            _ => {}
        }
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// A second thread may hold a lock that the child would need (clone(2), fork(2)).
fn require_single_thread() -> Result<()> {
    match sys::clone::thread_count().call("readdir").on("/proc/self/task")? {
        1 => Ok(()),
        threads => Err(Error::internal(format!("{threads} threads before clone3; one is allowed"))),
    }
}

/// What the child must not do itself, before it runs its first step.
fn prepare(plan: &Plan, child: &Assembled) -> Result<()> {
    let proc = proc_directory(child)?;
    id_maps::write(child.pid, proc.as_fd(), &plan.parent)?;
    plan.parent.rdt_tasks.add(child.pid)?;
    if let Some(score) = plan.parent.oom_score_adj {
        let file =
            nix::fcntl::openat(&proc, "oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
                .call("openat")?;
        sys::file::write_all(file.as_fd(), score.to_string().as_bytes())
            .call("write")
            .at("/process/oomScoreAdj")
            .map_err(|error| error.hint("lowering a score needs CAP_SYS_RESOURCE on the host"))?;
    }
    scheduling::first(plan, child.pid)
}

/// /proc/PID of the child, pinned: the pid cannot be reused while we hold its unreaped child.
pub(super) fn proc_directory(child: &Assembled) -> Result<OwnedFd> {
    let path = format!("/proc/{}", child.pid);
    nix::fcntl::open(path.as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .call("open")
        .on(path)
}

//! The launch of a sandbox, from its entry in the state directory to its verdict.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;

use super::{Asked, Host};
use crate::cgroup::{Cgroup, CgroupPath};
use crate::cli::SandboxArgs;
use crate::commands::ending::counters;
use crate::commands::entry::{self, Entry, NewEntry};
use crate::commands::gate::Gate;
use crate::commands::judge::Judge;
use crate::commands::pipes::{self, Pipes};
use crate::commands::report::{self, Reporter};
use crate::commands::trail::{Need, Peaks, Trail};
use crate::draft::PROFILE;
use crate::error::{Call, Context, Error, ExitCode, Result};
use crate::launch::{self, Ending};
use crate::resolve::{self, Finished, Surroundings};
use crate::state::{ContainerKind, Phase, Process};
use crate::timing;

/// Grace between SIGTERM and the end when `--grace` is not given.
const DEFAULT_GRACE: std::time::Duration = std::time::Duration::ZERO;
/// The cgroup below which sandboxes have theirs.
const CGROUP_PARENT: &str = "pinfold";

/// Runs it in the foreground.
pub(super) fn run(
    args: &SandboxArgs,
    host: &Host,
    mut asked: Asked,
    judge: &Judge<'_>,
    (reporter, trail, gate): (&mut Reporter, &mut Trail, Gate),
) -> Result<ExitCode> {
    let id = args.life.name.as_ref().map_or_else(entry::random_id, |name| Ok(name.to_string()))?;
    let group = match host.hierarchies.writable() {
        true => Some(cgroup_path(host, &id)?),
        false => None,
    };
    trail.of_container(&id);
    let new = NewEntry { audit: trail.op(), ..new_entry(&id, host, &asked, args, group.as_ref())? };
    let entry = Entry::make(judge.state_root()?, host, new, trail)?;
    timing::ended("entry");
    if let Some(kept) = &asked.kept {
        entry.save_config(kept)?;
    }
    let cgroup = match judge.still_room().and_then(|()| make_cgroup(host, &asked, group.as_ref())) {
        Ok(cgroup) => cgroup,
        Err(error) => {
            entry.remove()?;
            return Err(error);
        }
    };
    timing::ended("cgroup");
    if args.life.detach {
        return detached(args, host, asked, cgroup, entry, (trail, gate));
    }
    let ran = in_cgroup(args, host, &mut asked, cgroup.as_ref(), &entry, (reporter, trail, gate));
    let removed = match &cgroup {
        Some(cgroup) => cgroup.kill().and_then(|()| cgroup.remove()),
        None => Ok(()),
    };
    timing::ended("cgroup removed");
    entry.remove()?;
    let code = ran?;
    removed?;
    Ok(code)
}

fn new_entry(
    id: &str,
    host: &Host,
    asked: &Asked,
    args: &SandboxArgs,
    group: Option<&CgroupPath>,
) -> Result<NewEntry> {
    let directory = asked.draft.root.directory.as_ref();
    // The profile also judges what is asked of the sandbox later.
    let profile = args.life.profile.iter().map(|name| (PROFILE.to_owned(), name.clone()));
    Ok(NewEntry {
        id: id.to_owned(),
        oci_version: "1.3.0".to_owned(),
        bundle: String::new(),
        rootfs: directory.map(|path| path.display().to_string()).unwrap_or_default(),
        owner: crate::state::owner::name(host.facts.owner())?,
        annotations: profile.collect(),
        kind: ContainerKind::Sandbox,
        cgroup: group.map(ToString::to_string).unwrap_or_default(),
        unit: None,
        // What nobody will ask for again is swept when it has ended.
        ephemeral: !args.life.detach || args.life.rm,
        id_range: asked.id_range.as_ref().map(crate::state::IdRange::slot),
        audit: None,
    })
}

/// A cgroup where the caller may make one; what it cannot limit is named already.
fn make_cgroup(host: &Host, asked: &Asked, group: Option<&CgroupPath>) -> Result<Option<Cgroup>> {
    let limits = &asked.draft.limits;
    match group {
        Some(path) => Cgroup::create(&host.hierarchies, path, limits).map(Some),
        None if *limits == crate::cgroup::Limits::default() => Ok(None),
        None => Err(Error::setup("no cgroup that this caller may write to")
            .field("--memory, --cpus, --pids-limit")
            .hint("start pinfold in a delegated cgroup: `systemd-run --user --scope -p Delegate=yes pinfold ...`")),
    }
}

pub(super) fn cgroup_path(host: &Host, id: &str) -> Result<CgroupPath> {
    if let Some(caller) = crate::sys::caller::present() {
        return crate::commands::caller::cgroup_place(caller)?.child(id);
    }
    match host.hierarchies.delegated() {
        Some(own) => own.child(&format!("{CGROUP_PARENT}-{id}")),
        None => CgroupPath::parse(&format!("{CGROUP_PARENT}/{id}")),
    }
}

fn in_cgroup(
    args: &SandboxArgs,
    host: &Host,
    asked: &mut Asked,
    cgroup: Option<&Cgroup>,
    entry: &Entry,
    (reporter, trail, mut gate): (&mut Reporter, &mut Trail, Gate),
) -> Result<ExitCode> {
    let mut streams = Pipes::open(limits(args))?;
    let mut finished = plan_with(asked, host, cgroup, streams.take_program_ends(), &Life::Foreground)?;
    timing::ended("plan");
    reporter.planned(&finished.plan, host.facts.landlock_abi);
    let cgroup_name = cgroup.map(|cgroup| cgroup.path().to_string());
    name_degraded(&asked.degraded);
    let signals = launch::signals()?;
    let mut ending = Ending {
        timeout: args.limits.timeout.map(|span| span.duration()),
        grace: args.limits.grace.map_or(DEFAULT_GRACE, |span| span.duration()),
        caller: entry::caller()?,
        streams: streams.streams,
        until_executed: None,
    };
    let before = counters(cgroup)?;
    asked.degraded.extend(trail.intent(Some(&finished.plan), Need::AsRequired)?);
    reporter.surroundings(std::mem::take(&mut finished.bound), cgroup_name, asked.degraded.clone());
    let mut child = launch::assemble(&mut finished.plan, cgroup, &mut || gate.pass())?;
    // The program's ends of the pipes live on in the child alone.
    pipes::close_streams(&mut finished.plan);
    if args.life.name.is_some() {
        child.await_exec(&finished.plan)?;
        record(entry, &child)?;
    }
    ending.until_executed = gate.until_executed();
    let ended = launch::supervise(&finished.plan, &child, cgroup, &signals, ending)?;
    timing::ended("program");
    child.tell_times(&finished.plan);
    let after = counters(cgroup)?;
    let filter = report::has_killing_filter(&finished.plan);
    let outcome = report::verdict(filter, &ended, (before, after));
    reporter.ended((&outcome, outcome.sandbox_code()), &ended, (before, after));
    trail.ran(&outcome, &Peaks::measured(&ended, &after));
    Ok(outcome.sandbox_code())
}

/// How long the sandbox lives.
enum Life {
    Foreground,
    Detached { deadline_ms: Option<u64> },
}

/// Starts it and lets go of it. Its output goes nowhere: a caller that captures pinfold's
/// own must not wait for it.
fn detached(
    args: &SandboxArgs,
    host: &Host,
    mut asked: Asked,
    cgroup: Option<Cgroup>,
    mut entry: Entry,
    (trail, gate): (&mut Trail, Gate),
) -> Result<ExitCode> {
    let started = start_detached(args, host, &mut asked, cgroup.as_ref(), (&entry, trail, gate));
    match started {
        Ok(init) => {
            entry.let_go();
            trail.detached(init.pid);
            if let Some(range) = asked.id_range {
                range.keep(&init)?;
            }
            if let Some(image) = asked.image {
                image.lease.keep(&init)?;
            }
            crate::commands::output::print(&format!("{}\n", entry.id()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if let Some(cgroup) = &cgroup {
                cgroup.kill()?;
                cgroup.remove()?;
            }
            entry.remove()?;
            Err(error)
        }
    }
}

fn start_detached(
    args: &SandboxArgs,
    host: &Host,
    asked: &mut Asked,
    cgroup: Option<&Cgroup>,
    (entry, trail, mut gate): (&Entry, &mut Trail, Gate),
) -> Result<Process> {
    name_degraded(&asked.degraded);
    let deadline =
        args.limits.timeout.map(|span| u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX));
    let life = Life::Detached { deadline_ms: deadline };
    let nowhere = || {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        nix::fcntl::open("/dev/null", flags, nix::sys::stat::Mode::empty()).call("open").on("/dev/null")
    };
    let streams = [Some(nowhere()?), Some(nowhere()?), Some(nowhere()?)];
    let mut finished = plan_with(asked, host, cgroup, streams, &life)?;
    let _signals = launch::signals()?;
    trail.intent(Some(&finished.plan), Need::AsRequired)?;
    let mut child = launch::assemble(&mut finished.plan, cgroup, &mut || gate.pass())?;
    child.await_exec(&finished.plan)?;
    let init = record(entry, &child)?;
    child.release();
    Ok(init)
}

/// The entry of a sandbox that other verbs work on: its init, and the program beside it.
fn record(entry: &Entry, child: &launch::Assembled) -> Result<Process> {
    // It may have ended already.
    let init = Process::of_child(child.pid)?;
    let program = entry::first_child(child.pid)?;
    entry.update(|state| {
        state.init = Some(init);
        state.program = program;
        state.phase = Phase::Started;
        Ok(())
    })?;
    Ok(init)
}

/// stderr is the program's once it runs; until then pinfold may name what is missing. In `--log` it stands besides.
fn name_degraded(degraded: &[String]) {
    for missing in degraded {
        crate::error::tell(format_args!("pinfold: sandbox: degraded: {missing}"));
        crate::error::log(format_args!("degraded: {missing}"));
    }
}

/// The Plan of what was judged.
pub(super) fn plan(asked: &mut Asked, host: &Host, cgroup: Option<&Cgroup>) -> Result<Finished> {
    plan_with(asked, host, cgroup, [None, None, None], &Life::Foreground)
}

fn plan_with(
    asked: &mut Asked,
    host: &Host,
    cgroup: Option<&Cgroup>,
    streams: [Option<OwnedFd>; 3],
    life: &Life,
) -> Result<Finished> {
    let facts = std::mem::take(&mut asked.facts);
    let born_in_cgroup = cgroup.is_some_and(|cgroup| cgroup.clone_fd().is_some());
    let cgroup_files = cgroup.map(Cgroup::join_files).transpose()?.unwrap_or_default();
    let (outlives, deadline_ms) = match life {
        Life::Foreground => (false, None),
        Life::Detached { deadline_ms } => (true, *deadline_ms),
    };
    let around = Surroundings {
        born_in_cgroup,
        cgroup_files,
        streams,
        outlives,
        deadline_ms,
        ..Surroundings::foreground(&host.facts)
    };
    resolve::finish(&asked.draft, facts, around)
}

/// How many bytes of stdout and stderr may pass.
fn limits(args: &SandboxArgs) -> [Option<u64>; 2] {
    [args.limits.stdout_max, args.limits.stderr_max].map(|limit| limit.map(|limit| limit.bytes()))
}

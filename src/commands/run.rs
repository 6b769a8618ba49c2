//! `run`: create, start, wait and delete in one.

use super::container::{self, Container, Life};
use super::host::Host;
use super::{hooks, preserved, protect, rdt};
use crate::cgroup::Counters;
use crate::cli::{Global, RunArgs};
use crate::error::{ExitCode, Result};
use crate::launch::{self, Ending, Evidence, HookPlace};
use crate::state::Phase;

/// Runs a container.
///
/// # Errors
/// As [`container::make`]; the program cannot be executed.
pub fn run(global: &Global, args: &RunArgs) -> Result<ExitCode> {
    protect::own_binary()?;
    preserved::check(preserved::count(args.launch.preserve_fds)?)?;
    let host = Host::read()?;
    match args.detach {
        true => detached(global, args, &host),
        false => foreground(global, args, &host),
    }
}

fn detached(global: &Global, args: &RunArgs, host: &Host) -> Result<ExitCode> {
    let mut container = container::make(global, &args.launch, host, Life::Detached)?;
    match container.child.await_exec(&container.plan).and_then(|()| mark_started(&container)) {
        Ok(()) => {
            container.child.release();
            container.entry.let_go();
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            remove(container)?;
            Err(error)
        }
    }
}

fn foreground(global: &Global, args: &RunArgs, host: &Host) -> Result<ExitCode> {
    let signals = launch::signals()?;
    let ending = Ending { caller: container::caller()?, ..Ending::default() };
    let container = container::make(global, &args.launch, host, Life::Foreground)?;
    let ran = supervise(&container, &signals, ending);
    match args.keep {
        // From here it lives until `delete`.
        true => container.entry.update(|state| {
            state.ephemeral = false;
            Ok(())
        })?,
        false => remove(container)?,
    }
    ran
}

fn supervise(container: &Container, signals: &std::os::fd::OwnedFd, ending: Ending) -> Result<ExitCode> {
    container.child.await_exec(&container.plan)?;
    mark_started(container)?;
    let ended =
        launch::supervise(&container.plan, &container.child, container.cgroup.as_ref(), signals, ending)?;
    let evidence = Evidence { main_status: ended.main_status, cause: ended.cause, ..Evidence::default() };
    debug_assert_eq!(evidence.before, Counters::default());
    Ok(launch::outcome(&evidence).own_code())
}

/// It runs, and its poststart hooks have.
fn mark_started(container: &Container) -> Result<()> {
    container.entry.update(|state| {
        state.phase = Phase::Started;
        Ok(())
    })?;
    let place = HookPlace { cwd: None, interrupts: Some(container.child.interrupts()) };
    hooks::poststart(&container.hooks, &container.entry.state()?, &place)
}

/// What `delete` does, for a container that this process made.
fn remove(mut container: Container) -> Result<()> {
    let state = container.entry.state()?;
    rdt::remove(&state)?;
    // What dies of a kill -9 now has the rest killed by the watcher.
    let watcher = container.child.take_watcher();
    drop(container.child);
    if let Some(cgroup) = &container.cgroup {
        cgroup.kill()?;
        cgroup.remove()?;
    }
    drop(watcher);
    container.entry.remove()?;
    hooks::poststop(&container.hooks, &state)
}

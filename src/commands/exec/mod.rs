//! `exec`: a further program in a running container. What the options do not say comes
//! from the container's own configuration, so a program is never less confined than the
//! container's own.

mod group;
pub mod inherit;
mod judged;

use nix::unistd::Pid;

use group::Home;

use crate::cgroup::Cgroup;
use crate::cli::{ExecArgs, Global};
use crate::commands::entry;
use crate::commands::gate::Gate;
use crate::commands::host::Host;
use crate::commands::sockets::Sockets;
use crate::commands::trail::{Need, Peaks, Trail};
use crate::commands::{agent, bundle, log, pid_file, preserved, protect, rdt, text_file};
use crate::draft::{self, Draft, Extras};
use crate::error::{Call, Context, Error, ExitCode, Kind, Result};
use crate::launch::{self, Cause, Ended, Ending, Evidence, Outcome};
use crate::plan::Plan;
use crate::resolve::{self, Joining};
use crate::state::{Action, ContainerDir, ContainerKind, Process, State, Status};
use crate::types::CapName;
use crate::{sys, timing};

const PROCESS_LIMIT: usize = 1 << 20;

/// Runs a program in a container.
///
/// # Errors
/// The container is not running; the program cannot be executed.
pub fn run(global: &Global, args: &ExecArgs) -> Result<ExitCode> {
    protect::own_binary()?;
    preserved::check(args.preserve_fds)?;
    let root = entry::open_root(global)?;
    let dir = root.open_container(&args.id.to_string())?;
    let host = Host::read()?;
    let state = dir.load()?;
    let cgroup = entry::open_cgroup(&host, &state)?;
    check_status(&state, cgroup.as_ref(), args, dir.id())?;
    timing::ended("host, state");
    let (draft, warnings) = draft(&dir, &state, args, &host)?;
    timing::ended("draft");
    let (mut trail, mut gate) = judged::judged(global, args, (&dir, &state), &host, &draft)?;
    // The program's stderr is its own: what was left out was told when the container was made.
    if global.log.is_some() {
        log::warnings(warnings.iter().chain(&draft.warnings));
    }
    let sockets = Sockets { console: args.console_socket.as_ref(), pidfd: args.pidfd_socket.as_ref() };
    let terminal = draft.process.as_ref().is_some_and(|process| process.terminal);
    sockets.check_terminal(terminal, args.detach)?;
    let ran = enter(args, (&state, cgroup), &host, (&draft, &sockets), (&mut trail, &mut gate));
    if let Err(error) = &ran {
        trail.failed(error);
    }
    ran
}

fn enter(
    args: &ExecArgs,
    (state, cgroup): (&State, Option<Cgroup>),
    host: &Host,
    (draft, sockets): (&Draft, &Sockets<'_>),
    (trail, gate): (&mut Trail, &mut Gate),
) -> Result<ExitCode> {
    let home = Home::open(cgroup, args)?;
    match joining(state, args, host, home.cgroup()).and_then(|joining| {
        timing::ended("cgroup");
        let mut plan = resolve::join(draft, joining)?;
        plan.parent.rdt_tasks = rdt::join(state)?;
        plan.agent = agent::agent(draft, state, Status::Running)?;
        timing::ended("plan");
        trail.intent(Some(&plan), Need::AsRequired)?;
        launch(args, &mut plan, &home, sockets, gate)
    }) {
        Ok(Left::Running) => {
            trail.let_go();
            home.let_go();
            Ok(ExitCode::SUCCESS)
        }
        Ok(Left::Ended(ended)) => {
            record(&ended, &home, trail)?;
            // What pinfold ended, it ends whole.
            match ended.cause {
                Some(Cause::CallerDied) => home.end()?,
                _ => home.leave()?,
            }
            Ok(exit_code(&ended))
        }
        Err(error) => {
            home.end()?;
            Err(error)
        }
    }
}

/// How pinfold leaves the program.
enum Left {
    Running,
    Ended(Ended),
}

fn launch(
    args: &ExecArgs,
    plan: &mut Plan,
    home: &Home,
    sockets: &Sockets<'_>,
    gate: &mut Gate,
) -> Result<Left> {
    let caller = match args.detach {
        true => None,
        false => entry::caller()?,
    };
    let signals = launch::signals()?;
    let mut child = launch::assemble_among(plan, home.cgroup(), home.own(), &mut || gate.pass())?;
    child.await_exec(plan)?;
    gate.started();
    // The caller's own: it may let them wait, and nobody else by it.
    sockets.send(&child, "setns")?;
    if let Some(path) = &args.pid_file {
        pid_file::write(path.as_path(), child.pid).at("--pid-file")?;
    }
    if args.detach {
        child.release();
        return Ok(Left::Running);
    }
    let ending = Ending { caller, ..Ending::default() };
    let ended = launch::supervise(plan, &child, home.own(), &signals, ending).map(Left::Ended);
    timing::ended("program");
    ended
}

fn exit_code(ended: &Ended) -> ExitCode {
    outcome(ended).own_code()
}

fn outcome(ended: &Ended) -> Outcome {
    let evidence = Evidence { main_status: ended.main_status, cause: ended.cause, ..Evidence::default() };
    launch::outcome(&evidence)
}

fn record(ended: &Ended, home: &Home, trail: &mut Trail) -> Result<()> {
    if trail.is_on() {
        let counters = home.own().map(Cgroup::counters).transpose()?.unwrap_or_default();
        trail.ran(&outcome(ended), &Peaks::measured(ended, &counters));
    }
    Ok(())
}

fn check_status(state: &State, cgroup: Option<&Cgroup>, args: &ExecArgs, id: &str) -> Result<()> {
    let frozen = match cgroup {
        Some(cgroup) => cgroup.is_frozen()?,
        None => false,
    };
    Status::observe(state)?.with_freezer(frozen && !args.ignore_paused).may(Action::Exec, id)
}

/// The container's Draft with the process that is asked for, and what of that process was left out.
fn draft(dir: &ContainerDir, state: &State, args: &ExecArgs, host: &Host) -> Result<(Draft, Vec<String>)> {
    let configuration = dir.load_config()?;
    let (mut spec, _) = bundle::parse(&configuration)?;
    // Of the container's own process: what `exec` asks for changes no rule of the filter.
    let extras = extras(state, &spec)?;
    let container = spec
        .process()
        .clone()
        .ok_or_else(|| Error::usage("the container has no process").field("/process"))?;
    let (process, warnings) = match &args.process {
        Some(file) => {
            let text = text_file::read(file.as_path(), PROCESS_LIMIT).at("--process")?;
            bundle::parse_process(&inherit::completed(&text, &configuration)?)?
        }
        None => (from_flags(container, args)?, vec![]),
    };
    spec.set_process(Some(process));
    Ok((draft::build(&spec, &extras, &host.facts)?, warnings))
}

fn extras(state: &State, spec: &oci_spec::runtime::Spec) -> Result<Extras> {
    match state.kind {
        ContainerKind::Oci => Ok(Extras::oci()),
        ContainerKind::Sandbox => crate::commands::sandbox::kept_extras(spec),
    }
}

/// Flags change single parts of the container's own process.
fn from_flags(
    mut process: oci_spec::runtime::Process,
    args: &ExecArgs,
) -> Result<oci_spec::runtime::Process> {
    let text = |word: &std::ffi::OsString| {
        word.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Error::usage("not UTF-8").field("CMD").object(word.to_string_lossy()))
    };
    process.set_args(Some(args.command.iter().map(text).collect::<Result<_>>()?));
    process.set_terminal(Some(args.tty));
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.as_path().to_owned());
    }
    let mut env = process.env().clone().unwrap_or_default();
    for entry in &args.env {
        let value = entry.value.clone().or_else(|| std::env::var_os(&entry.key)).unwrap_or_default();
        env.push(format!("{}={}", text(&entry.key)?, text(&value)?));
    }
    process.set_env(Some(env));
    let mut user = process.user().clone();
    if let Some(asked) = &args.user {
        user.set_uid(number(&asked.user)?);
        if let Some(group) = &asked.group {
            user.set_gid(number(group)?);
        }
    }
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    groups.extend(args.additional_gids.iter().map(|gid| gid.raw()));
    user.set_additional_gids(Some(groups));
    process.set_user(user);
    if args.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    // An empty one is not given (runc): it takes nothing away.
    if let Some(label) = args.process_label.as_ref().filter(|label| !label.is_empty()) {
        process.set_selinux_label(Some(label.clone()));
    }
    if let Some(profile) = args.apparmor.as_ref().filter(|profile| !profile.is_empty()) {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    add_capabilities(&mut process, args)?;
    Ok(process)
}

fn number(asked: &crate::types::Principal) -> Result<u32> {
    match asked {
        crate::types::Principal::Id(id) => Ok(id.raw()),
        crate::types::Principal::Name(name) => {
            Err(Error::usage("a number is needed: the runtime reads no accounts of the container")
                .field("--user")
                .object(name))
        }
    }
}

/// `--cap` adds to bounding, effective and permitted, and to ambient what is inheritable, as runc does: the kernel
/// raises nothing else there (capabilities(7)).
fn add_capabilities(process: &mut oci_spec::runtime::Process, args: &ExecArgs) -> Result<()> {
    use std::str::FromStr;
    if args.cap.is_empty() {
        return Ok(());
    }
    let mut caps = process.capabilities().clone().unwrap_or_default();
    let mut added = std::collections::HashSet::new();
    for name in &args.cap {
        // config.md: what cannot be mapped is a warning; it would have added nothing.
        let Ok(cap) = name.parse::<CapName>() else {
            crate::error::warn(format_args!("--cap: {name} is no capability known here, left out"));
            continue;
        };
        let name = cap.to_string();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        added.insert(
            oci_spec::runtime::Capability::from_str(name)
                .map_err(|error| Error::usage(error.to_string()).field("--cap"))?,
        );
    }
    let with = |set: &Option<std::collections::HashSet<_>>| {
        let mut set = set.clone().unwrap_or_default();
        set.extend(added.iter().copied());
        Some(set)
    };
    let sets = (with(caps.bounding()), with(caps.effective()), with(caps.permitted()));
    let inheritable = caps.inheritable().clone().unwrap_or_default();
    let mut ambient = caps.ambient().clone().unwrap_or_default();
    ambient.extend(added.intersection(&inheritable).copied());
    caps.set_bounding(sets.0).set_effective(sets.1).set_permitted(sets.2).set_ambient(Some(ambient));
    process.set_capabilities(Some(caps));
    Ok(())
}

/// The container's first process, held by pidfd: all its namespaces are joined through it.
fn joining(state: &State, args: &ExecArgs, host: &Host, cgroup: Option<&Cgroup>) -> Result<Joining> {
    let init = joined(state, host).ok_or_else(|| Error::usage("container not running"))?;
    let pidfd = sys::pidfd::pidfd_open(Pid::from_raw(init.pid)).call("pidfd_open")?;
    if !init.lives()? {
        return Err(Error::new(Kind::IdentityChanged, "the container's first process is gone"));
    }
    let nstypes = namespaces_apart(init.pid)?;
    let has_user_namespace = nstypes & sys::clone::CLONE_NEWUSER != 0;
    Ok(Joining {
        pidfd,
        nstypes,
        maps: has_user_namespace.then(|| resolve::maps_of_process(init.pid)).transpose()?,
        outlives: args.detach,
        cgroup_files: cgroup.map(Cgroup::join_files).transpose()?.unwrap_or_default(),
        landlock_abi: host.facts.landlock_abi,
        root: root_of(init.pid),
        preserved_fds: args.preserve_fds,
    })
}

/// For HOME alone: without it the program starts in `/`.
fn root_of(pid: i32) -> Option<std::os::fd::OwnedFd> {
    use nix::fcntl::OFlag;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(format!("/proc/{pid}/root").as_str(), flags, nix::sys::stat::Mode::empty()).ok()
}

/// The process whose namespaces are joined: the first one. A sandbox's init hides itself
/// from its own user, whom the kernel then lets look only into the program beside it: that
/// one was executed in the sandbox's user namespace, which its maker owns
/// (ptrace(2), "Ptrace access mode checking").
fn joined(state: &State, host: &Host) -> Option<Process> {
    match host.facts.rootless {
        true => state.program.or(state.init),
        false => state.init,
    }
}

/// The namespaces in which the container differs from pinfold: joining one's own is
/// refused for the user namespace (setns(2)).
fn namespaces_apart(pid: i32) -> Result<u64> {
    use crate::sys::clone as ns;
    let names = [
        ("user", ns::CLONE_NEWUSER),
        ("mnt", ns::CLONE_NEWNS),
        ("pid", ns::CLONE_NEWPID),
        ("net", ns::CLONE_NEWNET),
        ("ipc", ns::CLONE_NEWIPC),
        ("uts", ns::CLONE_NEWUTS),
        ("cgroup", ns::CLONE_NEWCGROUP),
        ("time", ns::CLONE_NEWTIME),
    ];
    let mut apart = 0;
    for (name, bit) in names {
        let inode = |who: &str| {
            let path = format!("/proc/{who}/ns/{name}");
            sys::nsfs::linked(nix::fcntl::AT_FDCWD, &path).call("readlinkat").on(path)
        };
        if inode(&pid.to_string())? != inode("self")? {
            apart |= bit;
        }
    }
    Ok(apart)
}

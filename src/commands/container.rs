//! What the OCI verbs share: a container's entry, its cgroup, and the launch of its first
//! process up to the point where only the program is missing.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use super::bundle::Bundle;
use super::ending::OciEnding;
use super::entry::{self, Entry, NewEntry};
use super::gate::Gate;
use super::group::{Home, Wanted};
use super::host::Host;
use super::judge::{Judge, Judged};
use super::report_place::Place;
use super::sockets::Sockets;
use super::trail::{Need, Trail};
use super::wishes::Wishes;
use super::{agent, hooks, log, pid_file, preserved, rdt};
use crate::cgroup::{Cgroup, Limits, StagedLimits};
use crate::cli::{Global, LaunchArgs};
use crate::draft::{self, Draft, DraftHook, Extras};
use crate::error::{Context, Error, Kind, Result};
use crate::launch::{self, Assembled, Company};
use crate::plan::{Hook, Plan};
use crate::policy::{Request, Verb};
use crate::resolve::{self, Surroundings};
use crate::state::{BindIdentity, BindKind, ContainerKind, Phase, Process, Status};
use crate::{sys, timing};

/// How the container goes on when its first process is assembled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Waits for `start`.
    Created,
    /// Runs at once and outlives pinfold.
    Detached,
    /// Runs at once and ends with pinfold.
    Foreground,
}

/// Gives the caller the terminal and the pid of a program that may have started: whoever lets pinfold wait for it
/// there holds up no `lockdown`.
///
/// # Errors
/// A socket or a file of the caller's that cannot be used.
pub fn tell_caller(args: &LaunchArgs, child: &Assembled) -> Result<()> {
    Sockets::of(args).send(child, "standard")?;
    match &args.pid_file {
        Some(path) => pid_file::write(path.as_path(), child.pid).at("--pid-file"),
        None => Ok(()),
    }
}

impl Life {
    /// One part of the work is done, and its code is not needed again: `create` gives back what it has read of
    /// its own program, so that the most it needs is what one part takes. Where the kernel cannot, it needs
    /// more memory and nothing else. The other verbs do without, as it costs page faults.
    pub(super) fn part_is_over(self) {
        if self == Self::Created {
            let _kept = sys::pages::give_back();
        }
    }
}

/// A container whose first process is assembled.
pub struct Container {
    /// Its entry in the state directory.
    pub entry: Entry,
    /// Its cgroup.
    pub cgroup: Option<Cgroup>,
    /// The Plan that was carried out.
    pub plan: Plan,
    /// The process.
    pub child: Assembled,
    /// The hooks of its configuration.
    pub hooks: Vec<DraftHook>,
    /// How it shall end.
    pub ending: OciEnding,
    /// What it leaves in the audit log.
    pub trail: Trail,
    /// Until its program executes, or its entry tells of it.
    pub gate: Gate,
}

/// Makes a container. On failure nothing of it is left.
///
/// # Errors
/// The configuration, the policy, or a step of the set-up.
pub fn make(global: &Global, args: &LaunchArgs, host: &Host, life: Life) -> Result<Container> {
    timing::ended("host");
    let mut bundle = Bundle::open(args)?;
    life.part_is_over();
    timing::ended("configuration");
    preserved::tell(&mut bundle.spec);
    let mut draft = draft::build(&bundle.spec, &Extras::oci(), &host.facts)?;
    timing::ended("draft");
    log::warnings(bundle.warnings.iter().chain(&draft.warnings));
    let terminal = draft.process.as_ref().is_some_and(|process| process.terminal);
    Sockets::of(args).check_terminal(terminal, life != Life::Foreground)?;
    let annotations: BTreeMap<_, _> =
        bundle.spec.annotations().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let group = Wanted::of(global, &args.id.to_string(), &draft, &annotations, host)?;
    if let Some(group) = group.as_ref().filter(|group| group.unit().is_some()) {
        // What is judged is the place in the tree, and not systemd's way to name it.
        draft.cgroup_path = Some(group.path().clone());
    }
    let judge = Judge::of_annotations(global, &annotations)?;
    let verb = if life == Life::Created { Verb::Create } else { Verb::Run };
    let mut trail = judge.trail(verb, Some(args.id.as_str()))?;
    let launching = Launching { global, args, host, bundle: &bundle, life };
    match launching.judged(&judge, group, draft, annotations, &mut trail) {
        Ok((made, ending)) => Ok(made.ending_by(ending, trail)),
        Err(error) => {
            trail.failed(&error);
            Err(error)
        }
    }
}

/// What a launch is made of.
struct Launching<'a> {
    global: &'a Global,
    args: &'a LaunchArgs,
    host: &'a Host,
    bundle: &'a Bundle,
    life: Life,
}

/// What there is of a container before anybody waits for its end.
struct Made {
    entry: Entry,
    cgroup: Option<Cgroup>,
    plan: Plan,
    child: Assembled,
    hooks: Vec<DraftHook>,
    gate: Gate,
}

impl Made {
    fn ending_by(self, ending: OciEnding, trail: Trail) -> Container {
        let Self { entry, cgroup, plan, child, hooks, gate } = self;
        Container { entry, cgroup, plan, child, hooks, ending, trail, gate }
    }
}

impl Launching<'_> {
    fn judged(
        &self,
        judge: &Judge<'_>,
        group: Option<Wanted>,
        draft: Draft,
        annotations: BTreeMap<String, String>,
        trail: &mut Trail,
    ) -> Result<(Made, OciEnding)> {
        let gate = Gate::enter(judge.policy())?;
        let (args, bundle, life) = (self.args, self.bundle, self.life);
        let wishes = Wishes::of(&bundle.spec)?;
        wishes.require_an_end(&draft, group.is_some())?;
        let place =
            wishes.report.as_deref().map(|path| Place::open(path, self.global, bundle)).transpose()?;
        let asked = Request {
            has_cgroup: group.is_some(),
            has_unit: group.as_ref().is_some_and(|group| group.unit().is_some()),
            report: place.as_ref().map(|place| place.directory.clone()),
            ..wishes.asked(request(judge, args, bundle, annotations, life)?)
        };
        let mut judged = judge.launch(draft, bundle.dir.as_fd(), &asked, trail)?;
        life.part_is_over();
        timing::ended("objects, policy");
        if life == Life::Created && judged.draft.process.is_none() {
            let maps = judged.draft.id_maps.as_ref().or(judged.draft.joined_maps.as_ref());
            judged.draft.process = Some(draft::Process::none(maps));
        }
        // From here on its report tells of a failure.
        let mut ending = OciEnding::new(&wishes, place.as_ref(), life)?;
        match self.make(judge, group, judged, (&mut ending, trail, gate)) {
            Ok(made) => Ok((made, ending)),
            Err(error) => Err(ending.failed(error)),
        }
    }

    fn make(
        &self,
        judge: &Judge<'_>,
        group: Option<Wanted>,
        mut judged: Judged,
        (ending, trail, mut gate): (&mut OciEnding, &mut Trail, Gate),
    ) -> Result<Made> {
        // A container in the foreground ends with pinfold, whatever ends pinfold: then it is swept.
        let ephemeral = self.life == Life::Foreground;
        let new = new_entry(self.args, self.bundle, &judged.draft, group.as_ref(), self.host)?;
        let new = NewEntry { ephemeral, audit: trail.op(), ..new };
        let entry = Entry::make(judge.state_root()?, self.host, new, trail)?;
        timing::ended("entry");
        let assembled = judge
            .still_room()
            .and_then(|()| entry.save_config(&self.bundle.text))
            .and_then(|()| self.assemble(group, &mut judged, &entry, (ending, trail, &mut gate)));
        let hooks = judged.draft.hooks;
        match assembled {
            Ok((cgroup, plan, child)) => Ok(Made { entry, cgroup, plan, child, hooks, gate }),
            Err(error) => {
                let state = entry.state()?;
                // The hooks of what is still there are for the sweep.
                if !entry.remove()? && was_begun(&error) {
                    hooks::poststop(&hooks, &state)?;
                }
                Err(error)
            }
        }
    }

    fn assemble(
        &self,
        group: Option<Wanted>,
        judged: &mut Judged,
        entry: &Entry,
        (ending, trail, gate): (&mut OciEnding, &mut Trail, &mut Gate),
    ) -> Result<(Option<Cgroup>, Plan, Assembled)> {
        // runc's controllers are all on: engines ask for the statistics of any container.
        let limits = Limits { accounting: true, ..judged.draft.limits.clone() };
        let limits = match resolve::may_have_a_stage(&judged.draft) {
            true => StagedLimits::with_room(limits),
            false => StagedLimits::plain(limits),
        };
        let mut home = Home::prepare(self.host, group, &limits, judged.draft.cgroup_owner)?;
        timing::ended("cgroup");
        match self.in_cgroup(judged, &mut home, entry, (ending, trail, gate)) {
            Ok((plan, child)) => Ok((home.into_cgroup(), plan, child)),
            Err(error) => {
                let mut home = Some(home);
                let undone = entry::each(&mut [&mut || rdt::remove(&entry.state()?), &mut || {
                    home.take().map_or(Ok(()), Home::undo)
                }]);
                match undone {
                    Ok(()) => Err(error),
                    Err(left) => {
                        entry.leave();
                        Err(error.besides(&format!("left behind: {left}")))
                    }
                }
            }
        }
    }

    fn in_cgroup(
        &self,
        judged: &mut Judged,
        home: &mut Home<'_>,
        entry: &Entry,
        (ending, trail, gate): (&mut OciEnding, &mut Trail, &mut Gate),
    ) -> Result<(Plan, Assembled)> {
        let cgroup = home.made();
        let facts = std::mem::take(&mut judged.facts);
        let root = facts.root.as_ref().map(|root| identity("/", &root.identity));
        let around = self.surroundings(&judged.draft, cgroup, entry, ending.streams())?;
        let mut finished = resolve::finish(&judged.draft, facts, around)?;
        finished.plan.agent = agent::agent(&judged.draft, &entry.state()?, Status::Creating)?;
        finished.plan.agent.as_ref().map_or(Ok(()), launch::check_agent)?;
        ending.planned(&mut finished, home.made(), home.path(), self.host.facts.landlock_abi)?;
        timing::ended("plan");
        trail.intent(Some(&finished.plan), Need::AsRequired)?;
        self.life.part_is_over();
        let bundle = self.bundle;
        let mut at_hooks = |child: &Assembled, list: &[Hook]| {
            entry.update(|state| {
                state.init = Process::of(child.pid)?;
                Ok(())
            })?;
            hooks::at_create(list, &entry.state()?, bundle.dir.as_fd(), child.interrupts())
        };
        let plan = &mut finished.plan;
        let mut child = ending.with_keeper(self.life, |keeping| {
            home.launch(|place, at_last| {
                let at_go: &mut launch::AtGo<'_> = &mut || at_last().and_then(|()| gate.pass());
                launch::assemble_with(plan, place, Company { at_hooks: &mut at_hooks, at_go, keeping })
            })
        })?;
        OciEnding::close_streams(&mut finished.plan);
        let recorded = entry.update(|state| {
            state.init = Process::of(child.pid)?;
            state.keeper = child.keeper().map(Process::of).transpose()?.flatten();
            state.phase = Phase::Created;
            let bound = finished.bound.iter();
            state.binds = bound.map(|bound| identity(&bound.destination, &bound.source)).collect();
            state.root = root;
            Ok(())
        });
        recorded.and_then(|()| self.waits(&child, gate)).map_err(|error| child.fail(error))?;
        Ok((finished.plan, child))
    }

    /// After `create` its program waits for `start`, which looks at the gate again.
    fn waits(&self, child: &Assembled, gate: &mut Gate) -> Result<()> {
        if self.life != Life::Created {
            return Ok(());
        }
        gate.started();
        tell_caller(self.args, child)
    }

    fn surroundings(
        &self,
        draft: &Draft,
        cgroup: Option<&Cgroup>,
        entry: &Entry,
        streams: [Option<OwnedFd>; 3],
    ) -> Result<Surroundings<'_>> {
        let (args, host) = (self.args, self.host);
        Ok(Surroundings {
            rdt_tasks: rdt::make(draft, entry)?,
            born_in_cgroup: cgroup.is_some_and(|cgroup| cgroup.clone_fd().is_some()),
            cgroup_files: cgroup.map(Cgroup::join_files).transpose()?.unwrap_or_default(),
            cgroup_dirs: cgroup_dirs(host, cgroup)?,
            listener: listener(entry, self.life)?,
            outlives: self.life != Life::Foreground,
            pivot: !args.no_pivot,
            keyring: !args.no_new_keyring,
            preserved_fds: preserved::count(args.preserve_fds)?,
            hook_states: hooks::states(draft, entry)?,
            streams,
            ..Surroundings::foreground(&host.facts)
        })
    }
}

/// Whether anything was tried that a poststop hook may have to undo, as runc sees it; never
/// after a refusal.
fn was_begun(error: &Error) -> bool {
    !matches!(error.class(), Kind::Usage | Kind::PolicyRefused | Kind::Internal)
}

/// What the policy must know beside the configuration.
fn request(
    judge: &Judge<'_>,
    args: &LaunchArgs,
    bundle: &Bundle,
    annotations: BTreeMap<String, String>,
    life: Life,
) -> Result<Request> {
    let verb = if life == Life::Created { Verb::Create } else { Verb::Run };
    Ok(Request {
        preserved_fds: preserved::count(args.preserve_fds)?,
        own_keyring: !args.no_new_keyring,
        pivot: !args.no_pivot,
        annotations,
        running: judge.running()? + 1,
        ..judge.request(verb, bundle.path.clone())?
    })
}

fn new_entry(
    args: &LaunchArgs,
    bundle: &Bundle,
    draft: &Draft,
    group: Option<&Wanted>,
    host: &Host,
) -> Result<NewEntry> {
    let annotations = bundle.spec.annotations().clone().unwrap_or_default();
    let rootfs = draft.root.directory.as_ref().map(|path| bundle.path.join(path)).unwrap_or_default();
    Ok(NewEntry {
        id: args.id.to_string(),
        oci_version: bundle.spec.version().clone(),
        bundle: bundle.path.display().to_string(),
        rootfs: rootfs.display().to_string(),
        owner: crate::state::owner::name(host.facts.owner())?,
        annotations: annotations.into_iter().collect::<BTreeMap<_, _>>(),
        kind: ContainerKind::Oci,
        cgroup: group.map(|group| group.path().to_string()).unwrap_or_default(),
        unit: group.and_then(Wanted::unit).cloned(),
        ephemeral: false,
        id_range: None,
        audit: None,
    })
}

/// What a mount of type `cgroup` may have to show instead of a new one.
fn cgroup_dirs(host: &Host, cgroup: Option<&Cgroup>) -> Result<Vec<(String, OwnedFd)>> {
    let mut dirs = cgroup.map(Cgroup::legacy_dirs).transpose()?.unwrap_or_default();
    dirs.extend(host.hierarchies.unified_root()?.map(|root| (String::new(), root)));
    Ok(dirs)
}

fn listener(entry: &Entry, life: Life) -> Result<Option<OwnedFd>> {
    match life {
        Life::Created => entry.listen().map(Some),
        Life::Detached | Life::Foreground => Ok(None),
    }
}

/// The identity of what was judged, for later calls.
pub(super) fn identity(destination: &str, source: &resolve::Identity) -> BindIdentity {
    BindIdentity {
        destination: destination.to_owned(),
        source: source.path.display().to_string(),
        dev: source.dev,
        ino: source.ino,
        mnt_id: source.mnt_id,
        kind: match source.file_type {
            libc::S_IFDIR => BindKind::Directory,
            libc::S_IFREG => BindKind::File,
            _ => BindKind::Other,
        },
        uid: source.uid,
        gid: source.gid,
    }
}

/// The caller, for a foreground launch.
///
/// # Errors
/// As [`entry::caller`].
pub fn caller() -> Result<Option<OwnedFd>> {
    entry::caller()
}

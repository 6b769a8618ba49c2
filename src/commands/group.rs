//! The cgroup of a container's launch: which one, by whom it is made, and how it is taken back.
//!
//! The file driver makes it before the child, which is born in it. systemd makes a scope around a
//! process, so the child is born beside pinfold and put into its scope while it waits for its first
//! word; limits and ownership are in force before that word.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use nix::unistd::Pid;

use super::caller;
use super::host::Host;
use crate::cgroup::{Cgroup, CgroupPath, Limits, Mode, StagedLimits};
use crate::cli::{CgroupManager, Global, Rootless};
use crate::draft::Draft;
use crate::error::{Context, Error, Result};
use crate::launch::Place;
use crate::sys::caller::present;
use crate::systemd::{self, Instance, Property, Systemd, Unit};

const FIELD: &str = "/linux/cgroupsPath";

/// The cgroup that a launch is to have.
pub struct Wanted {
    path: CgroupPath,
    scope: Option<Scope>,
}

/// One that systemd makes.
struct Scope {
    systemd: Systemd,
    unit: Unit,
    properties: Vec<Property>,
}

impl Wanted {
    /// Decides it; `None` for a launch without a cgroup of its own.
    ///
    /// # Errors
    /// A path that is none, a systemd that cannot be reached.
    pub fn of(
        global: &Global,
        id: &str,
        draft: &Draft,
        annotations: &BTreeMap<String, String>,
        host: &Host,
    ) -> Result<Option<Self>> {
        match global.cgroup_manager() {
            CgroupManager::Disabled => Ok(None),
            CgroupManager::Systemd => Self::by_systemd(id, draft, annotations, host).map(Some),
            CgroupManager::Cgroupfs => {
                let path = by_files(global, id, draft, host)?;
                Ok(path.map(|path| Self { path, scope: None }))
            }
        }
    }

    fn by_systemd(
        id: &str,
        draft: &Draft,
        annotations: &BTreeMap<String, String>,
        host: &Host,
    ) -> Result<Self> {
        if host.hierarchies.mode() != Mode::Unified {
            let text = "systemd makes cgroups here on a machine with cgroup v2 alone";
            let hint = "boot with systemd.unified_cgroup_hierarchy=1, or leave --systemd-cgroup away";
            return Err(Error::usage(text).field("--systemd-cgroup").hint(hint));
        }
        let instance = if host.facts.rootless { Instance::User } else { Instance::System };
        let path = draft.cgroup_path.as_ref().map(CgroupPath::relative);
        let unit = Unit::parse(path, id, instance)?;
        let properties = properties(&draft.limits, annotations)?;
        let mut systemd = Systemd::connect(instance)?;
        let path = systemd.cgroup(&unit)?;
        Ok(Self { path, scope: Some(Scope { systemd, unit, properties }) })
    }

    /// Where it is.
    pub fn path(&self) -> &CgroupPath {
        &self.path
    }

    /// The unit, where systemd makes it.
    pub fn unit(&self) -> Option<&Unit> {
        self.scope.as_ref().map(|scope| &scope.unit)
    }
}

/// Whether a launch would get one, for who only asks.
///
/// # Errors
/// A path that is none.
pub fn has_group(global: &Global, draft: &Draft, host: &Host) -> Result<bool> {
    match global.cgroup_manager() {
        CgroupManager::Disabled => Ok(false),
        CgroupManager::Systemd => Ok(true),
        CgroupManager::Cgroupfs => by_files(global, "any", draft, host).map(|path| path.is_some()),
    }
}

/// Limits and annotations must not contradict each other: systemd would take the last word, and
/// the files the first.
fn properties(limits: &Limits, annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let mut all = systemd::properties(limits)?;
    let annotated = systemd::annotated(annotations)?;
    if let Some((name, _)) = annotated.iter().find(|(name, _)| all.iter().any(|(known, _)| known == name)) {
        let text = format!("the property {name} is set by /linux/resources");
        return Err(Error::usage(text).field(format!("/annotations/{}{name}", systemd::PROPERTY_ANNOTATION)));
    }
    all.extend(annotated);
    Ok(all)
}

/// Without `linux.cgroupsPath` the cgroup is /ID, as with runc.
fn by_files(global: &Global, id: &str, draft: &Draft, host: &Host) -> Result<Option<CgroupPath>> {
    let tolerated =
        global.rootless == Rootless::True || (global.rootless == Rootless::Auto && host.facts.rootless);
    let unasked = draft.cgroup_path.is_none() && draft.limits == Limits::default();
    if tolerated && unasked && !host.hierarchies.writable() {
        return Ok(None);
    }
    if let (None, Some(caller)) = (&draft.cgroup_path, present()) {
        return caller::cgroup_place(caller)?.child(id).map(Some);
    }
    match (&draft.cgroup_path, host.hierarchies.delegated()) {
        (Some(path), _) => Ok(Some(path.clone())),
        (None, Some(own)) => own.child(id).map(Some),
        (None, None) => CgroupPath::parse(id).map(Some),
    }
}

/// The cgroup of a launch in progress.
pub struct Home<'h> {
    host: &'h Host,
    path: Option<CgroupPath>,
    scope: Option<Scope>,
    limits: &'h StagedLimits,
    owner: Option<u32>,
    cell: OnceCell<Cgroup>,
    /// Whether systemd was asked for the scope.
    asked: bool,
}

impl<'h> Home<'h> {
    /// Makes what can be made before the child.
    ///
    /// # Errors
    /// As [`Cgroup::create`]; nothing is left then.
    pub fn prepare(
        host: &'h Host,
        wanted: Option<Wanted>,
        limits: &'h StagedLimits,
        owner: Option<u32>,
    ) -> Result<Self> {
        let (path, scope) = wanted.map_or((None, None), |wanted| (Some(wanted.path), wanted.scope));
        let home = Self { host, path, scope, limits, owner, cell: OnceCell::new(), asked: false };
        match (&home.path, &home.scope) {
            (Some(path), None) => home.keep(Cgroup::create(&host.hierarchies, path, &limits.first)?)?,
            // One that is there already is somebody else's.
            (Some(path), Some(_)) => {
                if let Some(found) = Cgroup::open(&host.hierarchies, path)? {
                    found.check_unused()?;
                }
            }
            (None, _) => {}
        }
        Ok(home)
    }

    /// The group, once it is there.
    pub fn made(&self) -> Option<&Cgroup> {
        self.cell.get()
    }

    /// Where it is, or will be.
    pub fn path(&self) -> Option<&CgroupPath> {
        self.path.as_ref()
    }

    fn keep(&self, cgroup: Cgroup) -> Result<()> {
        self.cell.set(cgroup).map_err(|_again| Error::internal("a second group for one launch"))
    }

    /// Runs a launch in it, which has the last limits set when no stage of it is left.
    ///
    /// # Errors
    /// The launch's, and those of the making of the scope.
    pub fn launch<T>(
        &mut self,
        launch: impl FnOnce(Place<'_>, &dyn Fn() -> Result<()>) -> Result<T>,
    ) -> Result<T> {
        let Self { host, path, scope, limits, owner, cell, asked } = self;
        let cell = &*cell;
        let at_last = || match (cell.get(), &limits.last) {
            (Some(cgroup), Some(last)) => cgroup.update(last),
            _ => Ok(()),
        };
        let (Some(scope), Some(path)) = (scope, path) else {
            if let (Some(cgroup), Some(owner)) = (cell.get(), *owner) {
                cgroup.delegate(owner.into()).at(FIELD)?;
            }
            return launch(Place::of(cell.get()), &at_last);
        };
        let mut make = |pid: Pid| {
            *asked = true;
            scope.systemd.start(&scope.unit, pid, &scope.properties)?;
            let cgroup = around(host, path, pid)?;
            cgroup.update(&limits.first)?;
            owner.map_or(Ok(()), |owner| cgroup.delegate(owner.into())).at(FIELD)?;
            Ok(cgroup)
        };
        launch(Place::Around(cell, &mut make), &at_last)
    }

    /// The group of a launch that succeeded.
    pub fn into_cgroup(self) -> Option<Cgroup> {
        self.cell.into_inner()
    }

    /// Takes it back.
    ///
    /// # Errors
    /// cgroup.kill, rmdir(2); systemd cannot stop the scope.
    pub fn undo(self) -> Result<()> {
        let ended = match self.cell.into_inner() {
            Some(cgroup) => cgroup.kill().and_then(|()| cgroup.remove()),
            None => Ok(()),
        };
        let stopped = match self.scope {
            Some(mut scope) if self.asked => scope.systemd.stop(&scope.unit),
            _ => Ok(()),
        };
        ended.and(stopped)
    }
}

/// The group that systemd has put `pid` into: by the kernel's word, with this process alone in it.
fn around(host: &Host, path: &CgroupPath, pid: Pid) -> Result<Cgroup> {
    let text = "systemd did not put the container's process into its scope";
    let refused = || Error::setup(text).object(path).field(FIELD);
    let cgroup = Cgroup::open(&host.hierarchies, path)?.ok_or_else(refused)?;
    match cgroup.processes()?.as_slice() {
        [only] if *only == pid => Ok(cgroup),
        _ => Err(refused()),
    }
}

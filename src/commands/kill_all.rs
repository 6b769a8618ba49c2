//! `kill --all-sandboxes`: everything that pinfold keeps on this host ends, at once and whatever
//! it does against it: frozen, without PDEATHSIG, or on its way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::host::Host;
use super::trail::{Need, Trail};
use super::{caller, destroy, entry, gate, judge, kill, output, state_root};
use crate::cli::Global;
use crate::draft::PROFILE;
use crate::error::{Error, ExitCode, Result, tell, warn};
use crate::policy::{Document, is_profile_name};
use crate::state::{ContainerDir, Process, State, StateRoot, Status, is_without_roots_rights};

/// How long a launcher may take to see that what it launched has ended, and then to end its hooks.
const PATIENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];
/// How long the kernel may take to end a killed tree.
const LONGEST: Duration = Duration::from_secs(10);

/// Ends all, or those of one profile.
///
/// # Errors
/// The first that did not end; the others were ended all the same.
pub fn run(global: &Global, profile: Option<&str>) -> Result<ExitCode> {
    caller::roots_alone("the end of all is")?;
    if let Some(name) = profile.filter(|name| !is_profile_name(name)) {
        return Err(Error::usage(format!("{name:?} is no name of a profile")).field("--profile"));
    }
    // What cannot be read lists no directories; those that are known are ended all the same.
    let document = match judge::host_policy() {
        Ok(document) => document,
        Err(error) => {
            warn(format_args!("{error}"));
            None
        }
    };
    let wanted = Wanted {
        profile: profile.map(str::to_owned),
        default: document.as_ref().and_then(|document| document.default_profile.clone()),
    };
    let host = Host::read()?;
    let mut ended = Ended::default();
    let closed = gate::closed(profile, || {
        // Anew each time: a caller's first launch makes the directory that it is in.
        for root in roots(global, document.as_ref(), &mut ended) {
            end_all(&host, &root, &wanted, &mut ended);
        }
    });
    ended.fails(closed);
    let told = output::print(&format!("ended {}\n", ended.count));
    ended.fails(told);
    match ended.failed {
        Some(error) => Err(error),
        None if ended.count == 0 && wanted.is_unknown(document.as_ref()) => {
            let text = "no profile of the policy has this name, and nothing that ran was launched with it";
            Err(Error::usage(text).field("--profile"))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Which are meant.
struct Wanted {
    profile: Option<String>,
    default: Option<String>,
}

impl Wanted {
    fn is(&self, state: &State) -> bool {
        let own = state.annotations.get(PROFILE).or(self.default.as_ref());
        self.profile.is_none() || self.profile.as_ref() == own
    }

    /// Whether the policy is known, and has no such profile.
    fn is_unknown(&self, document: Option<&Document>) -> bool {
        let known = |name: &String| document.is_none_or(|document| document.profiles.contains_key(name));
        self.profile.as_ref().is_some_and(|name| !known(name))
    }
}

#[derive(Default)]
struct Ended {
    count: usize,
    failed: Option<Error>,
    /// Everything is tried more than once, and told once.
    told: BTreeSet<String>,
}

impl Ended {
    /// The first error is the verb's own, the others are told: none keeps anything alive.
    fn fails<T>(&mut self, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let is_new = self.told.insert(error.to_string());
        match &self.failed {
            None => self.failed = Some(error),
            Some(_) if is_new => tell(format_args!("pinfold: kill: error: {error}")),
            Some(_) => {}
        }
        None
    }
}

/// The default state directory, those of the policy, `--root`, and in each those of who came by sudo.
fn roots(global: &Global, document: Option<&Document>, ended: &mut Ended) -> Vec<StateRoot> {
    let mut roots: Vec<StateRoot> = ended.fails(StateRoot::open(None)).into_iter().collect();
    // For who has no root's rights they are somebody else's.
    let has_rights = ended.fails(is_without_roots_rights()).is_some_and(|without| !without);
    let listed = document.and_then(|document| document.running.state_roots.as_ref()).filter(|_| has_rights);
    for path in listed.into_iter().flat_map(|at| &at.value) {
        if is_new(&roots, path) && nix::sys::stat::lstat(path).is_ok() {
            // Who could put a record there would say what is killed.
            let opened = StateRoot::open(Some(path)).and_then(|root| root.verify_way().map(|()| root));
            roots.extend(ended.fails(opened));
        }
    }
    if let Some(asked) = ended.fails(state_root::open(global))
        && is_new(&roots, asked.path())
    {
        roots.push(asked);
    }
    let by_sudo: Vec<PathBuf> = roots.iter().flat_map(|root| caller::state_roots(root.path())).collect();
    roots.extend(by_sudo.iter().filter_map(|path| ended.fails(StateRoot::open(Some(path)))));
    roots
}

fn is_new(roots: &[StateRoot], path: &Path) -> bool {
    roots.iter().all(|root| root.path() != path)
}

fn end_all(host: &Host, root: &StateRoot, wanted: &Wanted, ended: &mut Ended) {
    for id in ended.fails(root.ids()).unwrap_or_default() {
        // Removed in the meantime, or not yet begun: then it looks at the gate.
        let Ok(dir) = root.open_container(&id) else { continue };
        let Ok(state) = dir.load() else { continue };
        if !wanted.is(&state) || !ended.fails(has_any(host, &dir, &state)).unwrap_or(true) {
            continue;
        }
        let mut trail = Trail::of_host("kill", &id);
        trail.asks("changes", serde_json::json!({"signal": libc::SIGKILL, "all": true, "all_sandboxes": true, "profile": wanted.profile}));
        let intended = trail.intent(None, Need::Never);
        ended.fails(intended);
        if ended.fails(trail.end(end(host, &dir, &state)).map_err(|error| error.object(&id))).is_some() {
            ended.count += 1;
            let told = output::print(&format!("{id}\n"));
            ended.fails(told);
        }
    }
}

/// Whether anything of it lives.
fn has_any(host: &Host, dir: &ContainerDir, state: &State) -> Result<bool> {
    if !matches!(Status::observe(state)?, Status::Stopped) || dir.owner_lives()? {
        return Ok(true);
    }
    entry::open_cgroup(host, state)?.map_or(Ok(false), |cgroup| cgroup.is_populated())
}

/// The first process, with which its pid namespace ends; the cgroup, which holds what is not in
/// it; then whoever launched it, unless that ends by itself.
fn end(host: &Host, dir: &ContainerDir, state: &State) -> Result<()> {
    if let Some(init) = state.init {
        match kill::send(init, libc::SIGKILL) {
            Err(error) if error.errno().is_some() => return Err(error),
            _ => {}
        }
    }
    let cgroup = entry::open_cgroup(host, state)?;
    if let Some(cgroup) = &cgroup {
        cgroup.kill()?;
    }
    if dir.owner_lives()? {
        end_launcher(state.launcher)?;
    }
    if let Some(cgroup) = &cgroup
        && cgroup.exists()?
        && !cgroup.wait_empty(LONGEST)?
    {
        return Err(Error::setup("processes are left in its cgroup").object(cgroup.path()));
    }
    state.init.map_or(Ok(()), destroy::wait_for_end)
}

/// It sees the end of what it launched, and tells it; it may wait for a hook, which ends with it in order, or
/// be stopped.
fn end_launcher(launcher: Process) -> Result<()> {
    for (patience, signal) in PATIENCE.into_iter().zip([libc::SIGTERM, libc::SIGKILL]) {
        let until = std::time::Instant::now() + patience;
        while launcher.lives()? && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !launcher.lives()? {
            return Ok(());
        }
        match kill::send(launcher, signal) {
            Err(error) if error.errno().is_some() => return Err(error),
            _ => {}
        }
    }
    destroy::wait_for_end(launcher)
}

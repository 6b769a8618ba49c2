//! `kill --all-sandboxes`: everything that pinfold keeps on this host ends, at once and whatever
//! it does against it: frozen, without PDEATHSIG, or on its way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::host::Host;
use super::trail::{Need, Trail};
use super::{caller, destroy, entry, gate, judge, kill, output, state_root};
use crate::cli::Global;
use crate::draft::PROFILE;
use crate::error::{Error, ExitCode, Result};
use crate::policy::Document;
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
    // What cannot be read lists no directories; those that are known are ended all the same.
    let document = match judge::host_policy() {
        Ok(document) => document,
        Err(error) => {
            eprintln!("pinfold: warning: {error}");
            None
        }
    };
    let wanted = Wanted {
        profile: profile.map(str::to_owned),
        default: document.as_ref().and_then(|document| document.default_profile.clone()),
    };
    let roots = roots(global, document.as_ref())?;
    let host = Host::read()?;
    let mut ended = Ended::default();
    gate::closed(profile, || {
        roots.iter().try_for_each(|root| end_all(global, &host, root, &wanted, &mut ended))
    })?;
    output::print(&format!("ended {}\n", ended.count))?;
    match ended.failed {
        Some(error) => Err(error),
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
}

#[derive(Default)]
struct Ended {
    count: usize,
    failed: Option<Error>,
}

/// The default state directory, those of the policy, `--root`, and in each those of who came by sudo.
fn roots(global: &Global, document: Option<&Document>) -> Result<Vec<StateRoot>> {
    let roots_rights = !is_without_roots_rights()?;
    let mut roots = vec![StateRoot::open(None)?];
    let listed = document.and_then(|document| document.running.state_roots.as_ref());
    // For who has no root's rights they are somebody else's.
    let listed = listed.filter(|_| roots_rights);
    for path in listed.into_iter().flat_map(|at| &at.value) {
        if is_new(&roots, path) && nix::sys::stat::lstat(path).is_ok() {
            let root = StateRoot::open(Some(path))?;
            // Who could put a record there would say what is killed.
            root.verify_way()?;
            roots.push(root);
        }
    }
    let asked = state_root::open(global)?;
    if is_new(&roots, asked.path()) {
        roots.push(asked);
    }
    let by_sudo: Vec<PathBuf> = roots.iter().flat_map(|root| caller::state_roots(root.path())).collect();
    for path in by_sudo {
        roots.push(StateRoot::open(Some(&path))?);
    }
    Ok(roots)
}

fn is_new(roots: &[StateRoot], path: &Path) -> bool {
    roots.iter().all(|root| root.path() != path)
}

fn end_all(global: &Global, host: &Host, root: &StateRoot, wanted: &Wanted, ended: &mut Ended) -> Result<()> {
    for id in root.ids()? {
        // Removed in the meantime, or not yet begun: then it looks at the gate.
        let Ok(dir) = root.open_container(&id) else { continue };
        let Ok(state) = dir.load() else { continue };
        if !wanted.is(&state) || !has_any(host, &dir, &state)? {
            continue;
        }
        let mut trail = Trail::of_host(global, "kill", &id);
        trail.asks("changes", serde_json::json!({"signal": libc::SIGKILL, "all": true, "all_sandboxes": true, "profile": wanted.profile}));
        trail.intent(None, Need::Never)?;
        match trail.end(end(host, &dir, &state)) {
            Ok(()) => {
                ended.count += 1;
                output::print(&format!("{id}\n"))?;
            }
            Err(error) => {
                eprintln!("pinfold: kill {id}: error: {error}");
                ended.failed.get_or_insert(error.object(&id));
            }
        }
    }
    Ok(())
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

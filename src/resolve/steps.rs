//! THE LIST: the order in which the child is assembled, one function per part. Each part
//! says why it stands where it stands; ARCHITECTURE.md has the same table.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::entering::{self, Entering};
use super::{Facts, Surroundings, devices, hooks, labels, landlock, mounting, needed, overlay, trees};
use crate::draft::{Door, Draft, DraftEntry, DraftFile, MountOptions, Process};
use crate::error::{Context, Error, Result};
use crate::plan::{Covered, FreshFs, IdMaps, Made, MountFrom, Planned, RootFrom, Step, Target, TargetKind};
use crate::seccomp::Profile;
use crate::sys::clone;

/// The steps in the making.
pub(super) struct List {
    steps: Vec<Planned>,
}

impl List {
    pub(super) fn add(&mut self, field: &str, step: Step) {
        self.steps.push(Planned { field: field.to_owned(), step });
    }
}

/// Lays down the whole list.
pub(super) fn steps(
    draft: &Draft,
    process: &Process,
    facts: Facts,
    entering: &mut Entering<'_>,
    around: &mut Surroundings<'_>,
) -> Result<Vec<Planned>> {
    let mut list = List { steps: vec![] };
    let Facts { root, layers, binds, joined_maps, devices: nodes, .. } = facts;
    let maps = draft.id_maps.as_ref().or(joined_maps.as_ref());
    own_ids_and_namespaces(&mut list, draft, maps, entering, around);
    attach_root(&mut list, draft, root, layers)?;
    fill_root(&mut list, draft)?;
    let found = mounting::Found { binds, shown: entering.shown.as_ref(), joined_maps };
    mounting::mount_all(&mut list, draft, found, around)?;
    devices::make_devices(&mut list, draft, nodes)?;
    make_files(&mut list, draft, process)?;
    hooks::before_pivot(&mut list, draft, around);
    console(&mut list, draft, process, entering, around)?;
    leave_the_host(&mut list, draft, around)?;
    if around.keyring {
        labels::of_the_keyring(&mut list, &process.labels)?;
        list.add("", Step::SessionKeyring);
    }
    labels::of_the_program(&mut list, &process.labels)?;
    redirect(&mut list, around);
    become_the_user(&mut list, draft, process)?;
    enter_pid_namespace(&mut list, draft, process, entering);
    confine(&mut list, draft, process, around)?;
    run_program(&mut list, draft, process, entering.late_pid, around)?;
    needed::check_list(&list.steps)?;
    Ok(list.steps)
}

/// Ids first: a fresh filesystem made by an unmapped id is unusable.
fn own_ids_and_namespaces(
    list: &mut List,
    draft: &Draft,
    maps: Option<&IdMaps>,
    entering: &mut Entering<'_>,
    around: &mut Surroundings<'_>,
) {
    list.add("", Step::AwaitRelease);
    // Before anybody inside can see this process: the init, or one that enters another's pid namespace.
    if draft.init || draft.join.iter().any(|join| join.nstype == clone::CLONE_NEWPID) {
        list.add("", Step::HideArguments);
    }
    join_cgroup(list, std::mem::take(&mut around.cgroup_files));
    list.add("", Step::Umask(0));
    entering::join_first(list, entering);
    // While the process owns its files in proc(5), which it does not after a change of ids.
    if let Some(offsets) = &draft.time_offsets {
        list.add("/linux/timeOffsets", Step::TimeOffsets(offsets.clone()));
    }
    if maps.is_some_and(IdMaps::has_root) {
        list.add("", Step::BecomeRoot { setgroups: !draft.setgroups_denied });
    }
    entering::join_then(list, entering);
    if !draft.init {
        list.add("", Step::NewSession);
    }
    if draft.new_namespaces & clone::CLONE_NEWCGROUP != 0 && !around.born_in_cgroup {
        list.add("", Step::UnshareCgroup);
    }
    if draft.new_namespaces & clone::CLONE_NEWNET != 0 {
        list.add("", Step::LoopbackUp);
    }
    if let Some(name) = &draft.hostname {
        list.add("/hostname", Step::Hostname(name.clone()));
    }
    if let Some(name) = &draft.domainname {
        list.add("/domainname", Step::Domainname(name.clone()));
    }
    inherited(list, draft);
}

/// What would come from pinfold's own caller: before a filter that may deny the calls.
fn inherited(list: &mut List, draft: &Draft) {
    if let Some(persona) = draft.personality {
        list.add("/linux/personality", Step::Personality(persona));
    }
    if draft.door == Door::Sandbox {
        list.add("", Step::ForgetCaller);
    }
    if let Some(policy) = &draft.memory_policy {
        list.add("/linux/memoryPolicy", Step::MemoryPolicy(policy.clone()));
    }
}

/// Limited before anything that could cost.
fn join_cgroup(list: &mut List, files: Vec<std::os::fd::OwnedFd>) {
    if !files.is_empty() {
        list.add("", Step::JoinCgroup(files));
    }
}

/// Propagation is cut before the first mount, or it would appear on the host.
fn attach_root(
    list: &mut List,
    draft: &Draft,
    root: Option<super::Pinned>,
    layers: Vec<super::Pinned>,
) -> Result<()> {
    list.add("", Step::CutPropagation { flags: cut(draft) });
    let onto = hooks::place_of_root(draft, root.as_ref())?;
    let from = match root {
        None if draft.root.image.is_some() => RootFrom::Overlay(overlay::overlay(draft, &layers)?),
        None => RootFrom::Tmpfs(fresh_root(draft.root.size)?),
        Some(pinned) => {
            let options = MountOptions { bind: true, recursive: true, ..MountOptions::default() };
            let wish = trees::Wish { owner: &draft.root.owner, ..trees::Wish::plain(draft, &options) };
            match trees::source(&pinned, &wish).at("/root/path")? {
                MountFrom::Tree(tree, _) => RootFrom::Tree(tree),
                _ => RootFrom::Path(trees::reopened(&pinned)?),
            }
        }
    };
    list.add("/root/path", Step::AttachRoot { from, attrs: draft.root.attrs, onto });
    Ok(())
}

/// A caller without privilege clones its binds after the cut, and a slave needs its master.
fn cut(draft: &Draft) -> u64 {
    let asked = draft.rootless && draft.mounts.iter().any(|mount| mount.options.propagates());
    libc::MS_REC | if asked { libc::MS_SLAVE } else { libc::MS_PRIVATE }
}

pub(super) fn fresh_root(size: u64) -> Result<FreshFs> {
    let options = [("source", "pinfold".to_owned()), ("mode", "0755".to_owned()), ("size", size.to_string())];
    let options = options.into_iter().map(|(key, value)| Ok((c_string(key)?, Some(c_string(&value)?))));
    Ok(FreshFs {
        fstype: c"tmpfs".to_owned(),
        options: options.collect::<Result<_>>()?,
        attrs: crate::sys::mount::MOUNT_ATTR_NOSUID | crate::sys::mount::MOUNT_ATTR_NODEV,
        covered: Covered::Hidden,
        pid_namespace: None,
    })
}

fn fill_root(list: &mut List, draft: &Draft) -> Result<()> {
    for entry in &draft.skeleton {
        let made = match entry {
            DraftEntry::Directory(path, mode) => {
                Made::Directory(Target::new(path, TargetKind::Directory)?, *mode)
            }
            DraftEntry::Link(path, text) => {
                Made::Link(Target::new(path, TargetKind::File)?, path_c_string(text)?)
            }
            DraftEntry::File(file) => made_file(file)?,
        };
        list.add("", Step::Make(made));
    }
    Ok(())
}

fn made_file(file: &DraftFile) -> Result<Made> {
    Ok(Made::File {
        target: Target::new(&file.path, TargetKind::File)?,
        content: file.content.clone(),
        mode: file.mode,
        owner: file.owner,
    })
}

fn make_files(list: &mut List, draft: &Draft, process: &Process) -> Result<()> {
    for file in &draft.files {
        let Made::File { target, content, mode, owner } = made_file(file)? else { continue };
        let target = target.without_links();
        list.add("", Step::Make(Made::File { target, content, mode, owner }));
    }
    if process.cwd != Path::new("/") {
        list.add("/process/cwd", Step::MakeCwd(Target::new(&process.cwd, TargetKind::Directory)?));
    }
    Ok(())
}

/// After /dev/pts is mounted, before the host is left.
fn console(
    list: &mut List,
    draft: &Draft,
    process: &Process,
    entering: &Entering<'_>,
    around: &Surroundings<'_>,
) -> Result<()> {
    if process.terminal {
        // A link of the image's would name another place: what is masked later, or the kernel's (CVE-2025-52565).
        let target = Some(Target::new(Path::new("/dev/console"), TargetKind::File)?.without_links());
        list.add("/process/terminal", console_pty(process, target, !around.outlives));
        // The init's, or of who enters a pid namespace, comes with the session of that process.
        if !draft.init && !entering.late_pid {
            list.add("/process/terminal", Step::ControllingTerminal);
        }
    }
    Ok(())
}

fn console_pty(process: &Process, target: Option<Target>, lent: bool) -> Step {
    Step::ConsolePty { target, size: process.console_size, owner: process.uid, lent }
}

/// Masks and read-only paths come when all mounts are in place; then nothing of the host
/// is left open.
fn leave_the_host(list: &mut List, draft: &Draft, around: &Surroundings<'_>) -> Result<()> {
    match around.pivot {
        true => list.add("", Step::Pivot),
        false => list.add("--no-pivot", Step::Chroot),
    }
    for sysctl in &draft.sysctls {
        let (key, value) = (sysctl.path.clone(), sysctl.value.clone());
        list.add(&sysctl.field, Step::Sysctl { key, value });
    }
    for (index, path) in draft.masked_paths.iter().enumerate() {
        list.add(&format!("/linux/maskedPaths/{index}"), Step::Mask(path.clone()));
    }
    for (index, path) in draft.readonly_paths.iter().enumerate() {
        list.add(&format!("/linux/readonlyPaths/{index}"), Step::ReadonlyPath(path.clone()));
    }
    mounting::close(list, draft)?;
    if draft.root.readonly {
        list.add("/root/readonly", Step::ReadonlyRoot);
    }
    // A private root is what it is already.
    if draft.root.propagation & (libc::MS_SHARED | libc::MS_SLAVE | libc::MS_UNBINDABLE) != 0 {
        list.add("/linux/rootfsPropagation", Step::RootPropagation(draft.root.propagation));
    }
    Ok(())
}

fn redirect(list: &mut List, around: &mut Surroundings<'_>) {
    let streams = std::mem::take(&mut around.streams);
    if streams.iter().any(Option::is_some) {
        list.add("", Step::RedirectStdio(streams));
    }
    list.add("", Step::CloseFds);
}

/// no_new_privs before the credentials change; without it the filter needs CAP_SYS_ADMIN,
/// so it is loaded here, early.
fn become_the_user(list: &mut List, draft: &Draft, process: &Process) -> Result<()> {
    if draft.door == Door::Oci {
        list.add("/process/cwd", Step::TryChdir(path_c_string(&process.cwd)?));
    }
    match (process.no_new_privs, &draft.seccomp) {
        (true, _) => list.add("/process/noNewPrivileges", Step::NoNewPrivs),
        (false, Some(profile)) => {
            let program = profile.compile()?.instructions().to_vec();
            list.add("/linux/seccomp", Step::EarlySeccomp(program, profile.filter_flags()));
        }
        (false, None) => {}
    }
    let capabilities = "/process/capabilities";
    list.add("/process/user/umask", Step::Umask(process.umask));
    list.add(capabilities, Step::DropBounding { keep: process.bounding });
    list.add(capabilities, Step::KeepCaps);
    list.add("", Step::ChownStdio { uid: process.uid, gid: process.gid });
    // A map that the caller wrote by its own right forbids setgroups (user_namespaces(7)).
    if !draft.setgroups_denied {
        list.add("/process/user/additionalGids", Step::SetGroups(process.groups.clone()));
    }
    list.add("/process/user/gid", Step::SetGid(process.gid));
    list.add("/process/user/uid", Step::SetUid(process.uid));
    list.add(capabilities, Step::Capabilities(process.caps));
    list.add(capabilities, Step::Ambient { raise: process.ambient });
    Ok(())
}

/// Weak, and not to be traced, before it can be seen from inside (as `exec` does).
fn enter_pid_namespace(list: &mut List, draft: &Draft, process: &Process, entering: &Entering<'_>) {
    if !entering.late_pid {
        return;
    }
    if draft.rootless {
        // As in `exec`: while the caller can still see its descriptors.
        list.add("", Step::Dumpable(true));
        list.add("", Step::MeetForCheck);
    }
    list.add("", Step::Dumpable(false));
    list.add("", Step::EnterPidNamespace);
    lead_session(list, process);
}

/// Only who leads a session may take a terminal (ioctl_tty(2)), and this process is new. The one before it took
/// none: with its end the terminal would hang up.
fn lead_session(list: &mut List, process: &Process) {
    list.add("", Step::NewSession);
    if process.terminal {
        list.add("/process/terminal", Step::ControllingTerminal);
    }
}

fn confine(list: &mut List, draft: &Draft, process: &Process, around: &mut Surroundings<'_>) -> Result<()> {
    if !around.outlives {
        list.add("", Step::DieWithParent);
    }
    list.add("/process/cwd", Step::Chdir(path_c_string(&process.cwd)?));
    list.add("/process/cwd", Step::ProveCwd);
    if !process.args.is_empty() {
        list.add("/process/args/0", Step::FindProgram);
    }
    if draft.landlock
        && let Some(step) = landlock::step(draft, around.facts.landlock_abi)?
    {
        list.add("landlock", step);
    }
    Ok(())
}

/// Seen by the parent while it waits, then the filter, then nothing but the program.
fn run_program(
    list: &mut List,
    draft: &Draft,
    process: &Process,
    late_pid: bool,
    around: &mut Surroundings<'_>,
) -> Result<()> {
    if !late_pid {
        list.add("", Step::Dumpable(true));
    }
    if around.listener.is_some() {
        list.add("", Step::EndBySignals);
    }
    list.add("", Step::MeetForCheck);
    if let Some(listener) = around.listener.take() {
        list.add("", Step::AwaitStart { listener, lean: may_be_lean(draft, process) });
    }
    hooks::before_program(list, draft, around);
    late_filter(list, draft, process)?;
    if draft.init {
        list.add("", Step::Dumpable(false));
        list.add("", Step::BecomeInit { detached: around.outlives, deadline_ms: around.deadline_ms });
        lead_session(list, process);
    }
    list.add("", Step::ResetSignals);
    list.add("/process/args/0", Step::Exec);
    Ok(())
}

/// Whether what waits may call madvise(2): no filter stands in front of it, or one that lets it.
fn may_be_lean(draft: &Draft, process: &Process) -> bool {
    let lets = |profile: &Profile| profile.always_lets("madvise");
    process.no_new_privs || draft.seccomp.as_ref().is_none_or(lets)
}

pub(super) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|error| Error::usage(error.to_string()).object(text))
}

pub(super) fn path_c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| Error::usage(error.to_string()).object(path.display()))
}

/// The list of `exec`: the same parts in the same order, around the entry into the
/// container's namespaces.
pub(super) fn joining(draft: &Draft, process: &Process, joining: super::Joining) -> Result<Vec<Planned>> {
    let mut list = List { steps: vec![] };
    list.add("", Step::AwaitRelease);
    list.add("", Step::HideArguments);
    join_cgroup(&mut list, joining.cgroup_files);
    let joins_pid = joining.nstypes & clone::CLONE_NEWPID != 0;
    let joins_user = joining.nstypes & clone::CLONE_NEWUSER != 0;
    if !joins_pid {
        list.add("", Step::NewSession);
    }
    list.add("", Step::JoinContainer { pidfd: joining.pidfd, nstypes: joining.nstypes });
    let maps = draft.id_maps.as_ref().or(joining.maps.as_ref());
    if joins_user && maps.is_some_and(IdMaps::has_root) {
        list.add("", Step::BecomeRoot { setgroups: !draft.rootless });
    }
    inherited(&mut list, draft);
    labels::of_the_keyring(&mut list, &process.labels)?;
    list.add("", Step::SessionKeyring);
    labels::of_the_program(&mut list, &process.labels)?;
    if process.terminal {
        // /dev/console is the container's first process's.
        list.add("/process/terminal", console_pty(process, None, !joining.outlives));
    }
    list.add("", Step::CloseFds);
    become_the_user(&mut list, draft, process)?;
    if joins_pid {
        if draft.rootless {
            // A parent without privilege sees the descriptors of none that hides itself, so
            // it looks while nobody inside can: before the entry into the pid namespace.
            list.add("", Step::Dumpable(true));
            list.add("", Step::MeetForCheck);
        }
        list.add("", Step::Dumpable(false));
        list.add("", Step::EnterPidNamespace);
        lead_session(&mut list, process);
    } else if process.terminal {
        list.add("/process/terminal", Step::ControllingTerminal);
    }
    if !joining.outlives {
        list.add("", Step::DieWithParent);
    }
    list.add("/process/cwd", Step::Chdir(path_c_string(&process.cwd)?));
    list.add("/process/cwd", Step::ProveCwd);
    list.add("/process/args/0", Step::FindProgram);
    if draft.landlock
        && let Some(step) = landlock::step_beside(draft, joining.landlock_abi)?
    {
        list.add("landlock", step);
    }
    list.add("", Step::MeetForCheck);
    late_filter(&mut list, draft, process)?;
    list.add("", Step::ResetSignals);
    list.add("/process/args/0", Step::Exec);
    needed::check_list(&list.steps)?;
    Ok(list.steps)
}

/// With no_new_privs the filter comes last, so that it need not allow what pinfold does.
fn late_filter(list: &mut List, draft: &Draft, process: &Process) -> Result<()> {
    if let (true, Some(profile)) = (process.no_new_privs, &draft.seccomp) {
        let program = profile.compile()?.instructions().to_vec();
        list.add("/linux/seccomp", Step::LateSeccomp(program, profile.filter_flags()));
    }
    Ok(())
}

//! The child's half, in a fresh pinfold: takes every right away, then reads the blob.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::report::{self, Done};
use super::{Job, Task, start};
use crate::error::{Call, Error, ExitCode, Result};
use crate::image::unpack::{Devices, Limits, here, implied, tree};
use crate::seccomp::{Profile, builtin};
use crate::sys::mount::{self, MountAttr};
use crate::sys::{self, caps, file, prctl, rlimit};

/// The exit code, when this process was started as the unpacker.
pub fn entered(args: &[OsString]) -> Option<ExitCode> {
    match args {
        [name, job] if name.as_os_str() == start::NAME => Some(unpacker(job, work)),
        _ => None,
    }
}

/// As [`entered`], with other code than the unpacker's in its place, under the same confinement.
/// The blob is handed to it. For tests of the confinement; no binary of pinfold calls it.
pub fn taken_over(args: &[OsString], code: impl FnOnce(File) -> Result<()>) -> Option<ExitCode> {
    let work = |_job: &Job| {
        let blob = file::duplicate(file::borrow_stdio(0)).call("fcntl")?;
        code(File::from(blob)).map(|()| Done::Nothing)
    };
    match args {
        [name, job] if name.as_os_str() == start::NAME => Some(unpacker(job, work)),
        _ => None,
    }
}

fn unpacker(job: &OsString, work: impl FnOnce(&Job) -> Result<Done>) -> ExitCode {
    let mut degraded = vec![];
    let result = job
        .to_str()
        .and_then(|job| serde_json::from_str::<Job>(job).ok())
        .ok_or_else(|| Error::internal("the unpacker was not started by pinfold"))
        .and_then(|job| {
            confine(&job, &mut degraded)?;
            work(&job)
        });
    let failed = result.is_err();
    let said = file::write_all(file::borrow_stdio(1), &report::write(result, degraded));
    if failed || said.is_err() { ExitCode(1) } else { ExitCode(0) }
}

fn work(job: &Job) -> Result<Done> {
    let staging = file::borrow_stdio(2);
    let input = File::from(file::duplicate(file::borrow_stdio(0)).call("fcntl")?);
    match &job.task {
        Task::Layer { compression, options } => {
            here::unpack(input, *compression, staging, options).map(Done::Layer)
        }
        Task::Empty => tree::empty(staging).map(|()| Done::Nothing),
        Task::Look => implied::look_read(staging, input).map(Done::Found),
        Task::Describe => implied::give_read(staging, input).map(|()| Done::Nothing),
    }
}

/// In this order: mounts need capabilities, Landlock forbids mounts, the filter forbids the rest.
fn confine(job: &Job, degraded: &mut Vec<String>) -> Result<()> {
    prctl::set_dumpable(false).call("prctl")?;
    limit(&job.limits)?;
    enter_staging()?;
    file::umask(0).call("umask")?;
    drop_capabilities(needed(job))?;
    prctl::set_no_new_privs().call("prctl")?;
    if !landlock()? {
        degraded.push("landlock".to_owned());
    }
    end_with_parent()?;
    filter()
}

fn limit(limits: &Limits) -> Result<()> {
    let set = |resource, most| rlimit::prlimit(0, resource, most, most).call("prlimit");
    set(rlimit::RLIMIT_CORE, 0)?;
    set(rlimit::RLIMIT_NOFILE, 1024)?;
    set(rlimit::RLIMIT_AS, limits.memory)?;
    set(rlimit::RLIMIT_FSIZE, limits.single_file.max(1))?;
    // Two threads beside the first one, on as many processors.
    set(rlimit::RLIMIT_CPU, limits.seconds.saturating_mul(3).max(1))
}

/// The staging directory becomes `/`; nothing else of the host has a name any more. The
/// descriptor from the parent leads above the staging directory by `..`, so it is replaced.
fn enter_staging() -> Result<()> {
    // The working directory moves along into the new mount namespace; a descriptor would not.
    nix::unistd::fchdir(file::borrow_stdio(2)).call("fchdir")?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).call("unshare")?;
    let here =
        openat(nix::fcntl::AT_FDCWD, ".", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).call("openat")?;
    let old =
        openat(nix::fcntl::AT_FDCWD, "/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).call("openat")?;
    let private = MountAttr { propagation: mount::MS_PRIVATE, ..MountAttr::default() };
    let flags = mount::AT_EMPTY_PATH;
    mount::mount_setattr(old.as_fd(), c"", flags | mount::AT_RECURSIVE, &private, None)
        .call("mount_setattr")?;
    let tree = mount::open_tree(here.as_fd(), c"", flags | mount::OPEN_TREE_CLONE).call("open_tree")?;
    let set = mount::MOUNT_ATTR_NOSUID | mount::MOUNT_ATTR_NODEV | mount::MOUNT_ATTR_NOEXEC;
    let attr = MountAttr { set, propagation: mount::MS_PRIVATE, ..MountAttr::default() };
    mount::mount_setattr(tree.as_fd(), c"", flags, &attr, None).call("mount_setattr")?;
    mount::move_mount(tree.as_fd(), old.as_fd(), c"", 0).call("move_mount")?;
    drop((here, old));
    nix::unistd::fchdir(&tree).call("fchdir")?;
    file::pivot_root_dot().call("pivot_root")?;
    file::umount_detach_dot().call("umount2")?;
    nix::unistd::chdir(c"/").call("chdir")?;
    drop(tree);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root: OwnedFd = openat(nix::fcntl::AT_FDCWD, "/", flags, Mode::empty()).call("openat")?;
    file::dup_onto(root.as_fd(), 2).call("dup3")?;
    drop(root);
    sys::close_range::close_gaps(&[0, 1, 2]).call("close_range")
}

/// capabilities(7), by number: CHOWN, DAC_OVERRIDE, FOWNER, FSETID; MKNOD, SETFCAP.
fn needed(job: &Job) -> u64 {
    const FILES: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4;
    match &job.task {
        Task::Layer { options, .. } => {
            let mknod = if options.devices == Devices::Make { 1 << 27 } else { 0 };
            let setfcap = if options.keeps_capabilities() { 1 << 31 } else { 0 };
            FILES | mknod | setfcap
        }
        Task::Empty | Task::Look | Task::Describe => FILES,
    }
}

fn drop_capabilities(keep: u64) -> Result<()> {
    for cap in 0..64_u8 {
        match caps::bounding_read(cap) {
            Ok(true) if keep >> cap & 1 == 0 => caps::bounding_drop(cap).call("prctl PR_CAPBSET_DROP")?,
            Ok(_) => {}
            // Behind the last one that the kernel knows.
            Err(_) => break,
        }
    }
    caps::ambient_clear_all().call("prctl PR_CAP_AMBIENT")?;
    caps::capset(&caps::CapSets { effective: keep, permitted: keep, inheritable: 0 }).call("capset")
}

/// Files below the root may be made and removed; nothing is executed, nothing is connected to,
/// nobody else is signalled. `false`: the kernel has no Landlock.
fn landlock() -> Result<bool> {
    use ::landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
        RulesetCreatedAttr, Scope,
    };
    let abi = match sys::landlock::landlock_abi() {
        Err(_) | Ok(0) => return Ok(false),
        Ok(1) => ABI::V1,
        Ok(2) => ABI::V2,
        Ok(3) => ABI::V3,
        Ok(4) => ABI::V4,
        Ok(5) => ABI::V5,
        Ok(_) => ABI::V6,
    };
    let failed = |error: ::landlock::RulesetError| Error::setup(format!("landlock: {error}"));
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .map_err(failed)?;
    if abi as u32 >= ABI::V4 as u32 {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi)).map_err(failed)?;
    }
    if abi as u32 >= ABI::V6 as u32 {
        ruleset = ruleset.scope(Scope::from_all(abi)).map_err(failed)?;
    }
    let mut files = AccessFs::from_all(abi);
    files.remove(AccessFs::Execute | AccessFs::MakeSock | AccessFs::IoctlDev);
    let created = ruleset.create().map_err(failed)?;
    let created = created.add_rule(PathBeneath::new(file::borrow_stdio(2), files)).map_err(failed)?;
    let ruleset = Option::<OwnedFd>::from(created)
        .ok_or_else(|| Error::setup("landlock: the kernel made no ruleset"))?;
    sys::landlock::landlock_restrict_self(ruleset.as_fd(), 0).call("landlock_restrict_self")?;
    Ok(true)
}

/// A change of credentials clears PDEATHSIG, so it comes after them; the parent may be gone already.
fn end_with_parent() -> Result<()> {
    prctl::set_pdeathsig(libc::SIGKILL).call("prctl PR_SET_PDEATHSIG")?;
    // The parent alone holds the other end of the report.
    let mut fds = [sys::poll::PollFd::new(file::borrow_stdio(1), 0)];
    match sys::poll::ppoll(&mut fds, Some(0)).call("ppoll")? {
        0 => Ok(()),
        _ => Err(Error::internal("the parent is gone")),
    }
}

fn filter() -> Result<()> {
    let text = builtin("unpack").ok_or_else(|| Error::internal("no profile for the unpacker"))?;
    let program = Profile::from_json(text)?.compile()?;
    sys::seccomp::seccomp_set_mode_filter(0, program.instructions()).call("seccomp").map(drop)
}

//! The Landlock ruleset, derived from the mounts: everything below the root may be read
//! and executed, only what is mounted writable may be written. landlock(7).

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope,
};

use crate::draft::{Draft, MountSource};
use crate::error::{Error, Result};
use crate::plan::Step;
use crate::sys::clone;

/// The step, or `None` where this kernel has no Landlock.
pub(super) fn step(draft: &Draft, kernel_abi: u32) -> Result<Option<Step>> {
    scoped(draft, kernel_abi, BitFlags::all())
}

/// The step of a further program. Its domain stands beside that of the sandbox's own program,
/// as no domain can be joined: scoped, it could not signal that or talk to it. Where the pid
/// and network namespaces are the sandbox's they hold it inside, and no scope is added.
pub(super) fn step_beside(draft: &Draft, kernel_abi: u32) -> Result<Option<Step>> {
    let mut scopes = BitFlags::all();
    if draft.new_namespaces & clone::CLONE_NEWPID != 0 {
        scopes.remove(Scope::Signal);
    }
    if draft.new_namespaces & clone::CLONE_NEWNET != 0 {
        scopes.remove(Scope::AbstractUnixSocket);
    }
    scoped(draft, kernel_abi, scopes)
}

fn scoped(draft: &Draft, kernel_abi: u32, scopes: BitFlags<Scope>) -> Result<Option<Step>> {
    let Some(abi) = abi(kernel_abi) else { return Ok(None) };
    let ruleset = ruleset(abi, draft, scopes)?;
    Ok(Some(Step::Landlock { ruleset, rules: rules(draft, abi)?, flags: 0 }))
}

/// The newest ABI that both the kernel and the crate know.
pub(crate) fn abi(kernel_abi: u32) -> Option<ABI> {
    match kernel_abi {
        0 => None,
        1 => Some(ABI::V1),
        2 => Some(ABI::V2),
        3 => Some(ABI::V3),
        4 => Some(ABI::V4),
        5 => Some(ABI::V5),
        _ => Some(ABI::V6),
    }
}

fn ruleset(abi: ABI, draft: &Draft, scopes: BitFlags<Scope>) -> Result<OwnedFd> {
    let failed = |error: ::landlock::RulesetError| Error::setup(format!("landlock: {error}"));
    // What this ABI has must take effect in full: nothing is dropped silently.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .map_err(failed)?;
    let own_network = draft.new_namespaces & clone::CLONE_NEWNET != 0;
    if !own_network && abi as u32 >= ABI::V4 as u32 {
        // On the host's network a tool may call out, and may not pose as a service of the host.
        ruleset = ruleset.handle_access(AccessNet::BindTcp).map_err(failed)?;
    }
    let scopes = Scope::from_all(abi) & scopes;
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes).map_err(failed)?;
    }
    let created = ruleset.create().map_err(failed)?;
    Option::<OwnedFd>::from(created).ok_or_else(|| Error::setup("landlock: the kernel made no ruleset"))
}

fn rules(draft: &Draft, abi: ABI) -> Result<Vec<(CString, u64)>> {
    let read = AccessFs::from_read(abi);
    let all = AccessFs::from_all(abi);
    let mut rules = vec![(c"/".to_owned(), read.bits())];
    if !draft.root.readonly {
        return Ok(vec![(c"/".to_owned(), all.bits())]);
    }
    for mount in &draft.mounts {
        if let Some(access) = access(mount, abi, all) {
            rules.push((c_path(&mount.destination)?, access));
        }
    }
    Ok(rules)
}

fn access(mount: &crate::draft::DraftMount, abi: ABI, all: BitFlags<AccessFs>) -> Option<u64> {
    // A remount gives no right that the mount itself did not have.
    if mount.options.readonly() || matches!(mount.source, MountSource::Present) {
        return None;
    }
    let files = AccessFs::from_all(abi) & (AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev);
    match (&mount.source, mount.destination.as_os_str().as_bytes()) {
        // Nodes are used, not made.
        (MountSource::Fresh(_), b"/dev" | b"/proc" | b"/dev/pts") => {
            Some((AccessFs::from_read(abi) | files).bits())
        }
        _ => Some(all.bits()),
    }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| Error::usage(error.to_string()).object(path.display()))
}

//! How the child comes into its namespaces: who joins which, when, and what is cloned new.
//! namespaces(7), setns(2), user_namespaces(7), time_namespaces(7).
//!
//! A namespace is joined with the rights over its owner. So those of the host are joined
//! before a user namespace, and those that belong to the joined user namespace after it.
//! A user namespace that is joined must own what is made new (a mount namespace made from
//! outside would belong to the host's): a stage joins it and clones itself into the rest.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::steps::List;
use crate::draft::{Draft, Join, MountSource};
use crate::error::{Call, Context, Error, Result};
use crate::plan::{BornIn, Step};
use crate::sys::{self, clone, nsfs};

/// A namespace that a step joins.
struct Joined<'d> {
    join: &'d Join,
    fd: OwnedFd,
}

/// The plan of the entry.
pub(super) struct Entering<'d> {
    /// The parent is in these while it clones.
    pub born_in: Vec<BornIn>,
    /// Joined with the rights of the caller; the user namespace is the last of them.
    first: Vec<Joined<'d>>,
    /// Joined with the rights that the joined user namespace gives.
    then: Vec<Joined<'d>>,
    /// Joined when no path of the host is needed any more.
    mount: Option<Joined<'d>>,
    /// Whether the pid namespace is entered by a fork of the assembled and weak child.
    pub late_pid: bool,
    /// The pid namespace that a new procfs shows, where the child is not born in it.
    pub shown: Option<OwnedFd>,
    /// CLONE_NEW* of the parent's clone.
    pub flags: u64,
    /// CLONE_NEW* of the stage's own clone, where there is a stage.
    again: Option<u64>,
}

/// Whether a launch may have a stage: what `entering` decides, as far as it is known before anything is opened.
pub fn may_have_a_stage(draft: &Draft) -> bool {
    let by_stage = |join: &Join| matches!(join.nstype, clone::CLONE_NEWUSER | clone::CLONE_NEWPID);
    draft.time_offsets.is_some() || draft.join.iter().any(by_stage)
}

/// Decides it.
///
/// # Errors
/// A namespace that is this process's own where that would change the host.
pub(super) fn entering<'d>(
    draft: &'d Draft,
    joins: Vec<OwnedFd>,
    born_in_cgroup: bool,
) -> Result<Entering<'d>> {
    let all: Vec<_> = draft.join.iter().zip(joins).map(|(join, fd)| Joined { join, fd }).collect();
    all.iter().try_for_each(|joined| refuse_own(draft, joined))?;
    let user = all.iter().find(|joined| joined.join.nstype == clone::CLONE_NEWUSER);
    let user = user.map(|joined| joined.fd.try_clone().call("fcntl")).transpose()?;
    let stage = user.is_some() || draft.time_offsets.is_some();
    let new_user = draft.new_namespaces & clone::CLONE_NEWUSER != 0;
    let late_pid = !stage && !new_user && enters_late(draft, &all)?;
    let (flags, again) = clones(draft, stage, born_in_cgroup);
    let mut entering = Entering {
        born_in: vec![],
        first: vec![],
        then: vec![],
        mount: None,
        late_pid,
        shown: None,
        flags,
        again,
    };
    let mut user_itself = None;
    for joined in all {
        let after = match &user {
            Some(user) => belongs_to(joined.fd.as_fd(), user.as_fd())?,
            None => false,
        };
        match joined.join.nstype {
            clone::CLONE_NEWUSER => user_itself = Some(joined),
            clone::CLONE_NEWNS => entering.mount = Some(joined),
            clone::CLONE_NEWPID if late_pid => {
                entering.shown = Some(joined.fd.try_clone().call("fcntl")?);
                entering.first.push(joined);
            }
            // A task is born in a pid namespace, and a new user namespace has no right to join others.
            clone::CLONE_NEWPID if !late_pid && !stage => entering.born_in.push(born_in(joined)),
            _ if new_user => entering.born_in.push(born_in(joined)),
            _ if after => entering.then.push(joined),
            _ => entering.first.push(joined),
        }
    }
    entering.first.extend(user_itself);
    Ok(entering)
}

fn born_in(joined: Joined<'_>) -> BornIn {
    BornIn {
        fd: joined.fd,
        nstype: joined.join.nstype,
        name: joined.join.name,
        field: joined.join.field.clone(),
    }
}

/// The namespaces of the parent's clone, and of the stage's. The offsets of a time namespace
/// are written before its first process is in it.
fn clones(draft: &Draft, stage: bool, born_in_cgroup: bool) -> (u64, Option<u64>) {
    let mut new = draft.new_namespaces;
    if !born_in_cgroup {
        new &= !clone::CLONE_NEWCGROUP;
    }
    if draft.time_offsets.is_some() {
        new &= !clone::CLONE_NEWTIME;
    }
    match stage {
        true => (new & clone::CLONE_NEWUSER, Some(new & !clone::CLONE_NEWUSER)),
        false => (new, None),
    }
}

/// Whether the child can be assembled outside of the joined pid namespace, so that it is
/// weak before it can be seen and traced from inside. A new procfs shows the namespace of
/// its maker unless the kernel can be told (`pidns`, Linux 6.17), and hooks are told the
/// final pid.
fn enters_late(draft: &Draft, all: &[Joined<'_>]) -> Result<bool> {
    let Some(pid) = all.iter().find(|joined| joined.join.nstype == clone::CLONE_NEWPID) else {
        return Ok(false);
    };
    let is_proc = |source: &MountSource| matches!(source, MountSource::Fresh(fstype) if fstype == "proc");
    let makes_proc = draft.mounts.iter().any(|mount| is_proc(&mount.source));
    Ok(draft.hooks.is_empty() && (!makes_proc || proc_takes_pidns(pid.fd.as_fd())?))
}

fn proc_takes_pidns(namespace: BorrowedFd<'_>) -> Result<bool> {
    let context = match sys::mount::fsopen(c"proc", sys::mount::FSOPEN_CLOEXEC) {
        Err(Errno::EPERM) => return Ok(false),
        context => context.call("fsopen")?,
    };
    match sys::mount::fsconfig_fd(context.as_fd(), c"pidns", namespace) {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL | Errno::EPERM) => Ok(false),
        Err(errno) => Err(errno).call("fsconfig"),
    }
}

/// What the container then does to its namespace would be done to the host.
fn refuse_own(draft: &Draft, joined: &Joined<'_>) -> Result<()> {
    let Join { nstype, name, field, path } = joined.join;
    let found = inode(joined.fd.as_fd())?;
    let mut hosts = vec!["self"];
    if *nstype == clone::CLONE_NEWNS {
        hosts.push("1");
    }
    let is_own = |who: &str| {
        let path = format!("/proc/{who}/ns/{name}");
        match nsfs::linked(nix::fcntl::AT_FDCWD, &path) {
            // proc(5) hides the first process from whoever has fewer rights than it: then nothing can be compared.
            Err(Errno::EACCES | Errno::EPERM | Errno::ENOENT) if who != "self" => Ok(false),
            own => Ok(own.call("readlinkat").on(path).at(field.clone())? == found),
        }
    };
    let mut is_a_hosts = false;
    for who in hosts {
        is_a_hosts |= is_own(who)?;
    }
    if !is_a_hosts {
        return Ok(());
    }
    let refused = |text: &str| Err(Error::usage(text.to_owned()).field(field.clone()).object(path.display()));
    match *nstype {
        clone::CLONE_NEWNS => refused("is the host's mount namespace: pinfold never mounts in the host's"),
        clone::CLONE_NEWNET if !draft.net_devices.is_empty() => {
            refused("is the host's: network devices cannot be moved into it")
        }
        clone::CLONE_NEWUTS if draft.hostname.is_some() || draft.domainname.is_some() => {
            refused("is the host's: the name of the host would change")
        }
        _ => match draft.sysctls.iter().find(|sysctl| sysctl.namespace == *nstype) {
            Some(sysctl) => Err(sysctl.of_host()),
            None => Ok(()),
        },
    }
}

fn inode(namespace: BorrowedFd<'_>) -> Result<u64> {
    Ok(sys::file::stat(namespace).call("fstat")?.ino)
}

/// Whether a namespace is owned by this user namespace or by one below it.
fn belongs_to(namespace: BorrowedFd<'_>, user: BorrowedFd<'_>) -> Result<bool> {
    let wanted = inode(user)?;
    let mut next = nsfs::owner(namespace);
    loop {
        match next {
            // Above what this process can see.
            Err(Errno::EPERM) => return Ok(false),
            owner => {
                let owner = owner.call("ioctl NS_GET_USERNS")?;
                if inode(owner.as_fd())? == wanted {
                    return Ok(true);
                }
                next = nsfs::parent(owner.as_fd());
            }
        }
    }
}

/// With the rights of the caller.
pub(super) fn join_first(list: &mut List, entering: &mut Entering<'_>) {
    for Joined { join, fd } in entering.first.drain(..) {
        list.add(&join.field, Step::JoinNamespace { fd, nstype: join.nstype, name: join.name });
    }
}

/// With the rights of the user namespace that was joined; then the clone into what is new.
pub(super) fn join_then(list: &mut List, entering: &mut Entering<'_>) {
    for Joined { join, fd } in entering.then.drain(..) {
        list.add(&join.field, Step::JoinNamespace { fd, nstype: join.nstype, name: join.name });
    }
    if let Some(flags) = entering.again {
        list.add("/linux/namespaces", Step::CloneAgain { flags });
    }
    if let Some(Joined { join, fd }) = entering.mount.take() {
        list.add(&join.field, Step::JoinNamespace { fd, nstype: join.nstype, name: join.name });
    }
}

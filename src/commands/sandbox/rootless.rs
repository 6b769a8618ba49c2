//! What a caller without privilege on the host cannot have: defaults are named, what was
//! asked for is refused. user_namespaces(7).

use nix::sys::resource::{Resource, getrlimit};

use super::super::host::Host;
use super::ids::{self, Ids};
use super::users::User;
use crate::cli::{MountRequest, SandboxArgs};
use crate::error::{Call, Error, Result};
use crate::rootfs::{TOOL_GID, TOOL_UID};

/// Refuses options that need more ids than the caller's own, where it has no others.
pub(super) fn refuse_other_ids(args: &SandboxArgs, user: &User, host: &Host, ids: &Ids) -> Result<()> {
    if !host.facts.rootless || ids.subordinate.is_some() || !ids::needs_more(args, user) {
        return Ok(());
    }
    let hint = match args.files.image.is_some() {
        true => "leave it out, start pinfold as root, or give this user ids in /etc/subuid and /etc/subgid",
        false => "leave it out, or start pinfold as root; `pinfold doctor` says what this caller is",
    };
    match args.identity.group_add.is_empty() {
        true => Err(Error::setup(format!(
            "a caller without privilege has one user and one group to give: its own, which are {TOOL_UID}:{TOOL_GID} inside"
        ))
        .field("--user")
        .object(format!("{}:{}", user.uid, user.gid))
        .hint(hint)),
        false => Err(Error::setup("supplementary groups cannot be given without privilege on the host")
            .field("--group-add")
            .hint(hint)),
    }
}

/// The defaults that such a caller gives up.
pub(super) fn degraded(args: &SandboxArgs, user: &User, host: &Host, ids: &Ids) -> Result<Vec<String>> {
    let mut degraded = vec![];
    if !host.facts.rootless {
        return Ok(degraded);
    }
    if ids.subordinate.is_some() {
        degraded.push("own host ids: the sandbox runs with the caller's own and subordinate ids".to_owned());
        if user.uid != 0 && args.files.mounts.0.iter().any(|mount| matches!(mount, MountRequest::Bind { .. }))
        {
            degraded.push(format!(
                "owner of what is mounted: the caller's files belong to root inside, not to {}:{}",
                user.uid, user.gid
            ));
        }
        return Ok(degraded);
    }
    degraded.push("own host ids: the sandbox runs with the caller's own uid and gid".to_owned());
    if host.facts.setgroups_denied {
        degraded.extend(kept_groups()?);
    }
    Ok(degraded)
}

/// Groups that only privilege could drop stay in force: a file that one of them may read
/// or write stays so where it is mounted (CVE-2014-8989).
fn kept_groups() -> Result<Option<String>> {
    let own = nix::unistd::getegid();
    let groups = nix::unistd::getgroups().call("getgroups")?;
    let kept: Vec<_> = groups.iter().filter(|group| **group != own).map(ToString::to_string).collect();
    Ok((!kept.is_empty())
        .then(|| format!("supplementary groups: the caller's groups {} cannot be dropped", kept.join(", "))))
}

/// The default for a resource limit, as far as this caller may set it: raising a hard
/// limit needs CAP_SYS_RESOURCE (getrlimit(2)).
pub(super) fn within_hard_limit(host: &Host, resource: Resource, wanted: u64) -> Result<u64> {
    if host.facts.may_raise_limits {
        return Ok(wanted);
    }
    let (_, hard) = getrlimit(resource).call("getrlimit")?;
    Ok(wanted.min(hard))
}

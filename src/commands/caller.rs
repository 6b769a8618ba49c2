//! For whom a privileged pinfold works: for root, or for the user who came by sudo. The host's policy
//! decides whether that is looked at (docs/callers.md).

use std::path::{Path, PathBuf};

use super::{host, judge};
use crate::cgroup::CgroupPath;
use crate::error::{Call, Context, Error, Kind, Result};
use crate::policy::BySudo;
use crate::state::StateRoot;
use crate::sys::caller::{self, AsCaller, Caller};
use crate::types::Id;

/// Where sudo says who called it (sudo(8), "ENVIRONMENT"). Nobody else may: the shipped fragment
/// lets the caller set no variable.
const UID: &str = "SUDO_UID";
const GID: &str = "SUDO_GID";

/// Not an id of a container, so that no entry of the directory above is taken for one.
const BELOW_STATE: &str = "@callers";
const CGROUP: &str = "pinfold-callers";

/// Says once, before anything is opened, for whom this process works.
///
/// # Errors
/// Variables that are not sudo's; accounts that cannot be read.
pub fn settle() -> Result<()> {
    let by_sudo = std::env::var_os(UID).is_some();
    if !by_sudo || !nix::unistd::geteuid().is_root() || !host::maps_all_ids()? || !looked_at() {
        return Ok(());
    }
    match number(UID)? {
        0 => Ok(()),
        uid => {
            let gid = number(GID)?;
            caller::settle(Caller { uid, gid, groups: groups(uid, gid)? });
            Ok(())
        }
    }
}

/// Whether the call is by sudo, and the policy does not look at it.
pub fn is_unseen() -> bool {
    let by_sudo = std::env::var_os(UID).is_some_and(|uid| uid != "0");
    by_sudo && caller::present().is_none() && nix::unistd::geteuid().is_root()
}

/// Without a policy pinfold is runc's replacement; with one that cannot be read the caller is
/// believed to be the least.
fn looked_at() -> bool {
    match judge::host_policy() {
        Ok(None) => false,
        Ok(Some(document)) => document.callers.sudo.value != BySudo::Root,
        Err(_) => true,
    }
}

fn number(name: &str) -> Result<u32> {
    let text = std::env::var(name).map_err(|error| unknown(error.to_string()).object(name))?;
    text.parse::<Id>().map(|id| id.raw()).map_err(|error| unknown(error.to_string()).object(name))
}

fn unknown(text: String) -> Error {
    Error::new(Kind::PolicyRefused, format!("sudo does not say who the caller is: {text}"))
}

/// The groups that the host's files give the account (group(5)). What another source gives it
/// besides is not known, and not given.
fn groups(uid: u32, gid: u32) -> Result<Vec<u32>> {
    let read = |path: &'static str| std::fs::read_to_string(path).call("read").on(path);
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    Ok(groups_in(&passwd, &group, uid, gid))
}

fn groups_in(passwd: &str, group: &str, uid: u32, gid: u32) -> Vec<u32> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let account = passwd.lines().map(fields).find(|line| field(line, 2).parse() == Ok(uid));
    let name = account.map(|line| field(&line, 0).to_owned()).unwrap_or_default();
    let mut all = vec![gid];
    for line in group.lines().map(fields) {
        let member = !name.is_empty() && field(&line, 3).split(',').any(|member| member == name);
        match field(&line, 2).parse::<Id>() {
            Ok(id) if member && !all.contains(&id.raw()) => all.push(id.raw()),
            _ => {}
        }
    }
    all
}

fn field(line: &[String], index: usize) -> &str {
    line.get(index).map_or("", String::as_str)
}

/// Refuses a verb that opens no file with its caller's rights.
///
/// # Errors
/// Kind `PolicyRefused`: for who came by sudo.
pub fn roots_alone(what: &str) -> Result<()> {
    match caller::present() {
        None => Ok(()),
        Some(_) => Err(Error::new(Kind::PolicyRefused, format!("{what} root's alone"))
            .hint("who comes by sudo has what docs/callers.md names")),
    }
}

/// As long as it lives, files are opened with the caller's rights.
///
/// # Errors
/// An id that cannot be taken.
pub fn rights() -> Result<AsCaller> {
    caller::as_caller().call("setresuid")
}

/// The state directory of the caller: its own, below that of root.
///
/// # Errors
/// `--root` names another.
pub fn state_root(caller: &Caller, asked: Option<&Path>) -> Result<StateRoot> {
    let own = StateRoot::open(None)?.path().join(BELOW_STATE).join(caller.uid.to_string());
    match asked.filter(|asked| *asked != own) {
        None => StateRoot::open(Some(&own)),
        Some(asked) => Err(Error::new(Kind::PolicyRefused, "is not the state directory of this caller")
            .field("--root")
            .object(asked.display())
            .hint(format!("who comes by sudo has {}; leave --root out", own.display()))),
    }
}

/// The state directories of all who came by sudo, below that of root.
pub fn state_roots(root: &Path) -> Vec<PathBuf> {
    let above = root.join(BELOW_STATE);
    let names = std::fs::read_dir(&above).into_iter().flatten().flatten();
    names.map(|entry| entry.path()).collect()
}

/// The group below which the caller's containers are.
///
/// # Errors
/// None: the path is well-formed.
pub fn cgroup_place(caller: &Caller) -> Result<CgroupPath> {
    CgroupPath::parse(&format!("{CGROUP}/{}", caller.uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_the_account() {
        let passwd = "root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/:/bin/sh\nother:x:1000:7::/:/bin/sh\n";
        let group = "root:x:0:\nadm:x:4:agent\nagents:x:50:root,agent\nx:y\nnot:x:51:agents\nagent:x:1000:agent\nhuge:x:4294967295:agent\n";
        assert_eq!(groups_in(passwd, group, 1000, 1000), [1000, 4, 50]);
        assert_eq!(groups_in(passwd, group, 1000, 9), [9, 4, 50, 1000]);
        assert_eq!(groups_in(passwd, group, 77, 78), [78], "an account that is not there has no name");
        assert_eq!(groups_in("::77:\n", "a:x:5:\n", 77, 78), [78], "nor has one without a name");
    }
}

//! Controllers of v2: a group has those that every group above it hands down
//! (`cgroup.subtree_control`, cgroup-v2.rst, "Enabling and Disabling").
//!
//! Only what the limits need is handed down, and only where it is not already: each write
//! re-shapes the tree of an ancestor that belongs to the host. A container that may make groups
//! of its own has all, as with runc.

use nix::errno::Errno;

use crate::error::{Error, Result};

use super::dir::Dir;
use super::family::Family;
use super::limits::Limits;

const SUBTREE: &str = "cgroup.subtree_control";
const CONTROLLERS: &str = "cgroup.controllers";

/// A controller, and the field that asks for it; `None` where it is only to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub controller: String,
    pub field: Option<String>,
}

/// The controllers that `limits` need in a group of v2.
pub(super) fn needed(limits: &Limits) -> Vec<Needed> {
    let mut all: Vec<Needed> = vec![];
    let mut add = |controller: &str, field: Option<String>| {
        if !all.iter().any(|known| known.controller == controller) {
            all.push(Needed { controller: controller.to_owned(), field });
        }
    };
    for family in Family::ALL {
        if let (Some(controller), Some(field)) = (family.unified(), family.asked(limits)) {
            add(controller, Some(field.to_owned()));
        }
    }
    for (file, _) in &limits.unified {
        match file.split_once('.') {
            Some(("cgroup", _)) | None => {}
            Some((controller, _)) => add(controller, Some(format!("/linux/resources/unified/{file}"))),
        }
    }
    if limits.accounting {
        Family::COUNTED.iter().filter_map(|family| family.unified()).for_each(|name| add(name, None));
    }
    all
}

/// Hands `needed` down from the root of the hierarchy to `group`, which lies `depth` below it; with `all`, whatever
/// else the root has and the groups between take.
pub(super) fn hand_down(group: &Dir, depth: usize, needed: &[Needed], all: bool) -> Result<()> {
    let has = group.read(CONTROLLERS)?;
    let mut missing = lacking(&has, needed);
    if missing.is_empty() && !all {
        return Ok(());
    }
    let mut ancestors = vec![];
    let mut above = group.parent()?;
    for _ in 1..depth {
        let next = above.parent()?;
        ancestors.push(std::mem::replace(&mut above, next));
    }
    if all {
        missing.extend(lacking(&has, &others(&above.read(CONTROLLERS)?, needed)));
    }
    ancestors.push(above);
    for ancestor in ancestors.iter().rev() {
        enable(ancestor, &mut missing)?;
    }
    Ok(())
}

/// What is listed and not needed: had where it can be.
fn others(list: &str, needed: &[Needed]) -> Vec<Needed> {
    let asked = |name: &str| needed.iter().any(|needed| needed.controller == name);
    let others = list.split_whitespace().filter(|name| !asked(name));
    others.map(|name| Needed { controller: name.to_owned(), field: None }).collect()
}

fn lacking(list: &str, needed: &[Needed]) -> Vec<Needed> {
    let has = |controller: &str| list.split_whitespace().any(|known| known == controller);
    needed.iter().filter(|needed| !has(&needed.controller)).cloned().collect()
}

/// All at once, which is the common case; one by one where that fails, to know which.
/// What was only to be counted and cannot be is dropped from `wanted`.
fn enable(ancestor: &Dir, wanted: &mut Vec<Needed>) -> Result<()> {
    let missing = lacking(&ancestor.read(SUBTREE)?, wanted);
    let all: Vec<String> = missing.iter().map(|needed| format!("+{}", needed.controller)).collect();
    if all.is_empty() || ancestor.try_write(SUBTREE, &all.join(" ")).is_ok() {
        return Ok(());
    }
    for needed in missing {
        match (ancestor.try_write(SUBTREE, &format!("+{}", needed.controller)), &needed.field) {
            (Ok(()), _) => {}
            (Err(_), None) => wanted.retain(|other| *other != needed),
            (Err((call, errno)), Some(field)) => {
                return Err(unavailable(ancestor, &needed.controller, call, errno).field(field));
            }
        }
    }
    Ok(())
}

fn unavailable(ancestor: &Dir, controller: &str, call: &str, errno: Errno) -> Error {
    let hint = match errno {
        Errno::ENOENT | Errno::EINVAL => {
            let text = format!("controller `{controller}` is not available under {ancestor}");
            return Error::setup(text).hint(
                "see its cgroup.controllers; the kernel may be built or booted without it, or it is mounted as v1",
            );
        }
        Errno::EBUSY => format!(
            "{ancestor} holds processes itself, and a group that hands controllers down may not \
             (cgroup-v2.rst, \"No Internal Process Constraint\"): move them into a group below it first"
        ),
        Errno::EACCES | Errno::EPERM | Errno::EROFS => {
            format!("the controller {controller} is not delegated to this user in {ancestor}")
        }
        _ => format!("the controller {controller} could not be handed down by {ancestor}"),
    };
    Error::call(call, errno).object(ancestor.file(SUBTREE)).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::limits::Amount;

    #[test]
    fn only_what_is_asked_for_is_needed() {
        let names = |limits: &Limits| -> Vec<String> {
            needed(limits).into_iter().map(|needed| needed.controller).collect()
        };
        let limits = Limits::default;
        assert!(names(&limits()).is_empty());
        assert_eq!(names(&Limits { pids_max: Some(Amount::Max), ..limits() }), ["pids"]);
        assert_eq!(names(&Limits { oom_group: true, cpu_idle: Some(true), ..limits() }), ["memory", "cpu"]);
        assert!(names(&Limits { devices: Some(vec![]), ..limits() }).is_empty());
        assert_eq!(names(&Limits { accounting: true, ..limits() }), ["memory", "pids", "cpu", "io"]);
        let unified = ["cgroup.max.depth", "memory.high", "misc.max"].map(|file| (file.into(), "1".into()));
        assert_eq!(names(&Limits { unified: unified.to_vec(), ..limits() }), ["memory", "misc"]);
    }

    #[test]
    fn a_counted_controller_that_is_also_asked_for_is_not_optional() {
        let limits = Limits { pids_max: Some(Amount::Value(5)), accounting: true, ..Limits::default() };
        let pids = needed(&limits).into_iter().find(|needed| needed.controller == "pids").unwrap();
        assert_eq!(pids.field.as_deref(), Some("/linux/resources/pids/limit"));
    }

    #[test]
    fn names_are_compared_whole() {
        let needed = needed(&Limits { cpu_idle: Some(true), ..Limits::default() });
        assert_eq!(lacking("cpuset memory\n", &needed), needed);
        assert!(lacking("cpuset cpu\n", &needed).is_empty());
    }
}

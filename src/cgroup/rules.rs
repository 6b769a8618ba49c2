//! What v1 and v2 have in common: checks, refusals, and the few files that are the same.

use crate::error::{Context, Error, Result};

use super::dir::Dir;
use super::limits::{Amount, Limits};

/// A restriction that this machine's hierarchies have no file for.
pub(super) fn only_v1(field: &str) -> Error {
    Error::setup("exists in cgroup v1 only, and this machine has v2").field(field)
}

/// A restriction that came with v2.
pub(super) fn only_v2(field: &str) -> Error {
    Error::setup("exists in cgroup v2 only, and this machine has the controller in v1").field(field)
}

/// Zero would keep clone3(2) with CLONE_INTO_CGROUP from making the group's first process;
/// one forbids every further task just as well.
pub fn pids_value(max: Amount) -> Amount {
    if max == Amount::Value(0) { Amount::Value(1) } else { max }
}

/// `checkBeforeUpdate`: a bound below the usage is refused instead of killing the group.
pub(super) fn check_usage(group: &Dir, file: &str, max: Option<Amount>) -> Result<()> {
    let Some(Amount::Value(max)) = max else { return Ok(()) };
    let usage = number(group, file)?;
    if usage > max {
        let text =
            format!("rejecting memory limit {max}, below the usage of {usage}: checkBeforeUpdate is set");
        return Err(Error::setup(text).field("/linux/resources/memory/limit").object(group));
    }
    Ok(())
}

/// A file that holds one number.
pub(super) fn number(group: &Dir, file: &str) -> Result<u64> {
    let text = group.read(file)?;
    text.trim().parse().or(Err(Error::setup("does not hold a number").object(group.file(file))))
}

/// A group that is idle has no weight and refuses one (EINVAL), whatever it was before: what is to be idle gets none,
/// and what ceases to be gets its own afterwards.
pub(super) fn idle_and_weight(
    group: &Dir,
    idle: Option<bool>,
    file: &str,
    weight: Option<u64>,
) -> Result<()> {
    let set_idle =
        |idle: bool| group.write("cpu.idle", if idle { "1" } else { "0" }).at("/linux/resources/cpu/idle");
    let set_weight = || match weight {
        Some(weight) => group.write(file, &weight.to_string()).at("/linux/resources/cpu/shares"),
        None => Ok(()),
    };
    match idle {
        None => set_weight(),
        Some(true) => set_idle(true),
        Some(false) => set_idle(false).and_then(|()| set_weight()),
    }
}

/// Writes the sets and proves that they are in force: for CPUs or nodes that are offline or
/// not the parent's, the kernel uses the parent's set and says nothing.
pub(super) fn cpuset(group: &Dir, limits: &Limits, effective: [&str; 2]) -> Result<()> {
    let sets = [("cpuset.cpus", &limits.cpuset_cpus, "cpus"), ("cpuset.mems", &limits.cpuset_mems, "mems")];
    for ((file, set, name), effective) in sets.into_iter().zip(effective) {
        let Some(set) = set else { continue };
        let field = format!("/linux/resources/cpu/{name}");
        group.write(file, set).at(field.as_str())?;
        confirm_set(group, file, effective).at(field)?;
    }
    Ok(())
}

/// Both files are in the kernel's own spelling, whatever was written.
pub(super) fn confirm_set(group: &Dir, asked: &str, effective: &str) -> Result<()> {
    let (asked, in_force) = (group.read(asked)?, group.read(effective)?);
    let (Some(allowed), Some(found)) = (ranges(&asked), ranges(&in_force)) else {
        return Err(Error::setup("does not hold a list").object(group.file(effective)));
    };
    let inside = |(low, high): &(u32, u32)| allowed.iter().any(|(from, to)| from <= low && high <= to);
    if found.is_empty() || !found.iter().all(inside) {
        let text = format!("{} was asked for, but {} is in force", asked.trim(), in_force.trim());
        return Err(Error::setup(text)
            .object(group)
            .hint("some of them are offline, or not given to the parent group"));
    }
    Ok(())
}

/// `0-3,7` as ranges; the kernel merges neighbours.
fn ranges(list: &str) -> Option<Vec<(u32, u32)>> {
    let range = |part: &str| match part.split_once('-') {
        Some((low, high)) => Some((low.parse().ok()?, high.parse().ok()?)),
        None => part.parse().ok().map(|one| (one, one)),
    };
    list.trim().split(',').filter(|part| !part.is_empty()).map(range).collect()
}

/// `rdma.max` is the same file in both versions.
pub(super) fn rdma(group: &Dir, limits: &Limits) -> Result<()> {
    for rdma in &limits.rdma {
        let mut line = rdma.device.clone();
        for (key, bound) in [("hca_handle", rdma.hca_handles), ("hca_object", rdma.hca_objects)] {
            if let Some(bound) = bound {
                line.push_str(&format!(" {key}={bound}"));
            }
        }
        group.write("rdma.max", &line).at(format!("/linux/resources/rdma/{}", rdma.device))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_ranges() {
        for (list, expected) in [
            ("\n", Some(vec![])),
            ("0\n", Some(vec![(0, 0)])),
            ("0-3,7\n", Some(vec![(0, 3), (7, 7)])),
            ("0-\n", None),
            ("x", None),
        ] {
            assert_eq!(ranges(list), expected, "{list:?}");
        }
    }

    #[test]
    fn no_task_is_one_task() {
        let amounts = [(0, 1), (1, 1), (9, 9)].map(|(a, b)| (Amount::Value(a), Amount::Value(b)));
        for (asked, written) in amounts.into_iter().chain([(Amount::Max, Amount::Max)]) {
            assert_eq!(pids_value(asked), written);
        }
    }
}

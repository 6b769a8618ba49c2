//! Namespaces, id maps: config-linux.md "Namespaces", "User namespace mappings".

use std::ffi::CString;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};

use super::Join;
use crate::error::{Error, Result};
use crate::plan::{IdMaps, IdRange};
use crate::sys::clone;

/// CLONE_NEW* of the new ones, and those joined by path.
pub(super) fn namespaces(linux: &Linux) -> Result<(u64, Vec<Join>)> {
    let mut new = 0;
    let mut join: Vec<Join> = vec![];
    for (index, namespace) in linux.namespaces().iter().flatten().enumerate() {
        let field = format!("/linux/namespaces/{index}");
        let (nstype, name) = kind(namespace.typ());
        if new & nstype != 0 || join.iter().any(|other| other.nstype == nstype) {
            return Err(Error::usage("the namespace is listed twice").field(field).object(name));
        }
        // Engines write an empty path for a new one.
        match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            None => new |= nstype,
            Some(path) if path.is_absolute() => {
                join.push(Join { nstype, name, path: path.clone(), field: format!("{field}/path") });
            }
            Some(path) => {
                return Err(Error::usage("the path must be absolute")
                    .field(format!("{field}/path"))
                    .object(path.display()));
            }
        }
    }
    Ok((new, join))
}

fn kind(typ: LinuxNamespaceType) -> (u64, &'static str) {
    match typ {
        LinuxNamespaceType::Mount => (clone::CLONE_NEWNS, "mnt"),
        LinuxNamespaceType::Cgroup => (clone::CLONE_NEWCGROUP, "cgroup"),
        LinuxNamespaceType::Uts => (clone::CLONE_NEWUTS, "uts"),
        LinuxNamespaceType::Ipc => (clone::CLONE_NEWIPC, "ipc"),
        LinuxNamespaceType::User => (clone::CLONE_NEWUSER, "user"),
        LinuxNamespaceType::Pid => (clone::CLONE_NEWPID, "pid"),
        LinuxNamespaceType::Network => (clone::CLONE_NEWNET, "net"),
        LinuxNamespaceType::Time => (clone::CLONE_NEWTIME, "time"),
    }
}

/// The maps of a new user namespace; of one that is joined, those that it is said to have.
pub(super) fn id_maps(linux: &Linux, new: u64, join: &[Join]) -> Result<(Option<IdMaps>, Option<IdMaps>)> {
    let uids = ranges(linux.uid_mappings().as_deref(), "/linux/uidMappings")?;
    let gids = ranges(linux.gid_mappings().as_deref(), "/linux/gidMappings")?;
    let given = !uids.is_empty() || !gids.is_empty();
    match new & clone::CLONE_NEWUSER != 0 {
        true if uids.is_empty() => {
            Err(Error::usage("a new user namespace needs a map").field("/linux/uidMappings"))
        }
        true if gids.is_empty() => {
            Err(Error::usage("a new user namespace needs a map").field("/linux/gidMappings"))
        }
        true => Ok((Some(IdMaps { uids, gids }), None)),
        false if given && join.iter().any(|one| one.nstype == clone::CLONE_NEWUSER) => {
            Ok((None, Some(IdMaps { uids, gids })))
        }
        false if given => {
            Err(Error::usage("id maps are given, but no new user namespace").field("/linux/uidMappings"))
        }
        false => Ok((None, None)),
    }
}

/// `linux.timeOffsets` as lines of /proc/PID/timens_offsets (time_namespaces(7)).
pub(super) fn time_offsets(linux: &Linux, new: u64) -> Result<Option<CString>> {
    let Some(offsets) = linux.time_offsets().as_ref().filter(|offsets| !offsets.is_empty()) else {
        return Ok(None);
    };
    if new & clone::CLONE_NEWTIME == 0 {
        return Err(Error::usage("offsets need a new time namespace").field("/linux/timeOffsets"));
    }
    let mut clocks: Vec<_> = offsets.iter().collect();
    clocks.sort_by_key(|(clock, _)| *clock);
    let mut text = String::new();
    for (clock, offset) in clocks {
        let field = format!("/linux/timeOffsets/{clock}");
        if !matches!(clock.as_str(), "boottime" | "monotonic") {
            return Err(Error::usage("one of boottime, monotonic").field(field));
        }
        let nanosecs = offset.nanosecs().unwrap_or(0);
        if nanosecs > 999_999_999 {
            return Err(Error::usage("must be below a second").field(format!("{field}/nanosecs")));
        }
        text.push_str(&format!("{clock} {} {nanosecs}\n", offset.secs().unwrap_or(0)));
    }
    CString::new(text).map(Some).map_err(|error| Error::internal(error.to_string()))
}

/// Reads one list of ranges; ids are 0..2^32-2 and a range must not reach beyond.
pub(super) fn ranges(mappings: Option<&[LinuxIdMapping]>, field: &str) -> Result<Vec<IdRange>> {
    let mut ranges = vec![];
    for (index, mapping) in mappings.iter().flat_map(|list| list.iter()).enumerate() {
        let range =
            IdRange { inside: mapping.container_id(), outside: mapping.host_id(), size: mapping.size() };
        if !range_is_sound(range) {
            return Err(Error::usage("the range must hold at least one id and end below 4294967295")
                .field(format!("{field}/{index}")));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

/// The end fits into 32 bits, so the last id is 4294967294: the one above it means "no
/// change" to setresuid(2).
fn range_is_sound(range: IdRange) -> bool {
    let ends_below = |first: u32| first.checked_add(range.size).is_some();
    range.size > 0 && ends_below(range.inside) && ends_below(range.outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_never_reaches_the_no_change_id() {
        let rows = [
            (0, 0, 1, true),
            (0, 100_000, 65_536, true),
            (0, 0, u32::MAX, true),
            (1, 0, u32::MAX, false),
            (u32::MAX, 0, 1, false),
            (0, u32::MAX, 1, false),
            (0, 0, 0, false),
        ];
        for (inside, outside, size, sound) in rows {
            assert_eq!(range_is_sound(IdRange { inside, outside, size }), sound, "{inside} {outside} {size}");
        }
    }
}

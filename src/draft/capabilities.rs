//! `process.capabilities` (config.md "Linux Process"): what cannot be granted is left out with a
//! warning, never an error, and nothing takes its place. capabilities(7).

use std::collections::HashSet;
use std::str::FromStr;

use oci_spec::runtime::{Capability, LinuxCapabilities};

use crate::sys::caps::CapSets;

/// The sets as they can be had.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Granted {
    pub sets: CapSets,
    pub bounding: u64,
    pub ambient: u64,
    /// What was left out.
    pub warnings: Vec<String>,
}

/// Reads the sets; `grantable` is what this caller has to give. The kernel's rules between the
/// sets: permitted bounds effective, bounding bounds inheritable, and ambient is in both
/// permitted and inheritable (capset(2), PR_CAP_AMBIENT).
pub(super) fn capabilities(given: Option<&LinuxCapabilities>, last_cap: u8, grantable: u64) -> Granted {
    let Some(given) = given else { return Granted::default() };
    let mut granted = Granted::default();
    let mut set = |name: &str, set: &Option<HashSet<Capability>>, within: u64| {
        let asked = mask(set.as_ref(), u8::MAX);
        let had = asked & mask_of(last_cap) & within;
        granted.warnings.extend(left_out(name, asked & !had));
        had
    };
    let bounding = set("bounding", given.bounding(), grantable);
    let permitted = set("permitted", given.permitted(), grantable);
    let effective = set("effective", given.effective(), permitted);
    let inheritable = set("inheritable", given.inheritable(), bounding);
    let ambient = set("ambient", given.ambient(), permitted & inheritable);
    Granted { sets: CapSets { effective, permitted, inheritable }, bounding, ambient, ..granted }
}

/// All capabilities up to this number.
fn mask_of(last_cap: u8) -> u64 {
    u64::MAX >> 63_u8.saturating_sub(last_cap)
}

fn left_out(set: &str, missing: u64) -> Option<String> {
    let names: Vec<_> = caps::all()
        .into_iter()
        .filter(|cap| missing & (1 << cap.index()) != 0)
        .map(|cap| cap.to_string())
        .collect();
    (!names.is_empty()).then(|| {
        format!("/process/capabilities/{set}: cannot be granted here, left out: {}", sorted(names).join(" "))
    })
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// A capability set as the kernel's bit mask; numbers above `last_cap` are dropped,
/// because no kernel can grant what it does not know.
pub fn mask(set: Option<&HashSet<Capability>>, last_cap: u8) -> u64 {
    let known = |capability: &Capability| {
        let name = format!("CAP_{capability}");
        caps::Capability::from_str(&name).ok().map(|cap| cap.index()).filter(|index| *index <= last_cap)
    };
    set.into_iter().flatten().filter_map(known).fold(0, |mask, index| mask | 1 << index)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KILL: u64 = 1 << 5;
    const SYS_RESOURCE: u64 = 1 << 24;
    const CHECKPOINT_RESTORE: u64 = 1 << 40;

    fn read(sets: serde_json::Value, last_cap: u8, grantable: u64) -> Granted {
        capabilities(Some(&serde_json::from_value(sets).unwrap()), last_cap, grantable)
    }

    #[test]
    fn absent_means_none() {
        assert_eq!(capabilities(None, 40, u64::MAX), Granted::default());
    }

    #[test]
    fn what_the_caller_has_not_is_left_out_of_every_set_with_a_warning() {
        let both = json!(["CAP_KILL", "CAP_SYS_RESOURCE"]);
        let sets = json!({"bounding": both, "permitted": both, "effective": both, "inheritable": both, "ambient": both});
        let all = read(sets.clone(), 40, u64::MAX);
        assert_eq!((all.sets.effective, all.ambient), (KILL | SYS_RESOURCE, KILL | SYS_RESOURCE));
        assert!(all.warnings.is_empty());
        let some = read(sets, 40, !SYS_RESOURCE);
        let sets = CapSets { effective: KILL, permitted: KILL, inheritable: KILL };
        assert_eq!((some.sets, some.bounding, some.ambient), (sets, KILL, KILL));
        assert_eq!(some.warnings.len(), 5);
        assert!(
            some.warnings.iter().all(|text| text.ends_with("left out: CAP_SYS_RESOURCE")),
            "{:?}",
            some.warnings
        );
    }

    #[test]
    fn what_the_kernel_does_not_know_is_left_out() {
        let sets = json!({"bounding": ["CAP_CHECKPOINT_RESTORE"]});
        assert_eq!(read(sets.clone(), 40, u64::MAX).bounding, CHECKPOINT_RESTORE);
        let older = read(sets, 39, u64::MAX);
        assert_eq!((older.bounding, older.warnings.len()), (0, 1));
    }

    #[test]
    fn one_set_bounds_another() {
        let one = json!(["CAP_KILL"]);
        for (sets, warnings) in [
            (json!({"effective": one}), 1),
            (json!({"inheritable": one}), 1),
            (json!({"permitted": one, "ambient": one}), 1),
            (json!({"bounding": one, "inheritable": one, "ambient": one}), 1),
            (json!({"bounding": one, "permitted": one, "inheritable": one, "ambient": one}), 0),
        ] {
            let granted = read(sets.clone(), 40, u64::MAX);
            assert_eq!(granted.warnings.len(), warnings, "{sets}");
            assert!(warnings == 0 || granted.ambient | granted.sets.effective == 0, "{sets}");
        }
    }
}

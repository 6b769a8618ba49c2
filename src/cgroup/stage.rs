//! The limits of a launch with a stage: a process that joins a namespace and clones the next one, which goes on
//! when it has ended. For that moment the group has two tasks, and a bound of one would refuse the clone.
//!
//! Such a bound is two until the stage is gone, and one before the program runs: there is no time without one,
//! and all that runs by then is pinfold and the hooks of the configuration.

use super::limits::{Amount, Limits};
use super::rules::pids_value;

const FILE: &str = "pids.max";

/// What holds while the process is assembled, and what changes before its program runs.
#[derive(Debug)]
pub struct StagedLimits {
    /// From the beginning.
    pub first: Limits,
    /// From the last word on; none where nothing changes.
    pub last: Option<Limits>,
}

impl StagedLimits {
    /// The limits of a launch without a stage.
    pub fn plain(limits: Limits) -> Self {
        Self { first: limits, last: None }
    }

    /// With room for a stage.
    pub fn with_room(limits: Limits) -> Self {
        let (mut first, mut last) = (limits, Limits::default());
        if first.pids_max.map(pids_value) == Some(Amount::Value(1)) {
            last.pids_max = first.pids_max.replace(Amount::Value(2));
        }
        for (file, value) in &mut first.unified {
            if file == FILE && value.trim() == "1" {
                last.unified.push((file.clone(), std::mem::replace(value, "2".to_owned())));
            }
        }
        let changes = last != Limits::default();
        Self { first, last: changes.then_some(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_of_one_task_is_two_for_a_while() {
        let pids = |value| Limits { pids_max: Some(Amount::Value(value)), ..Limits::default() };
        let unified = |value: &str| Limits {
            unified: [("memory.max", "9"), (FILE, value)].map(|(f, v)| (f.to_owned(), v.to_owned())).to_vec(),
            ..Limits::default()
        };
        for one in [pids(0), pids(1)] {
            let staged = StagedLimits::with_room(one.clone());
            assert_eq!((staged.first, staged.last), (pids(2), Some(one)));
        }
        let staged = StagedLimits::with_room(unified("1"));
        assert_eq!(staged.first, unified("2"));
        assert_eq!(staged.last.unwrap().unified, [(FILE.to_owned(), "1".to_owned())]);
        let max = Limits { pids_max: Some(Amount::Max), ..Limits::default() };
        for enough in [pids(2), unified("2"), unified("max"), max, Limits::default()] {
            let staged = StagedLimits::with_room(enough.clone());
            assert_eq!((staged.first, staged.last), (enough, None));
        }
    }
}

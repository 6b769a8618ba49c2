//! From a profile to the decision for every call number: names are numbers, rules of one call are in
//! the order in which they are tried, and equal neighbours are one range.
//!
//! [`super::verdict`] states the same meaning a second time, one call at a time; tests compare both.

use super::action::{Action, ENOSYS};
use super::arch::Arch;
use super::condition::Condition;
use super::profile::{Profile, Rule};
use super::table::{self, Call, Multiplexed};

/// What happens to a call, where its number is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// The same whatever the arguments.
    Always(Action),
    /// The first attempt whose conditions all hold decides, else `otherwise`.
    Tried {
        /// Conditions as the ABI states them, and what follows.
        attempts: Vec<(Vec<Condition>, Action)>,
        /// Where none holds.
        otherwise: Action,
        /// The width of the comparisons.
        arch: Arch,
    },
}

/// All numbers from `first` to the next range's.
#[derive(Debug)]
pub(super) struct Range {
    pub first: u32,
    pub decision: Decision,
}

/// What the filter does with calls of one `seccomp_data.arch`. The first range starts at 0.
#[derive(Debug)]
pub(super) struct Branch {
    pub audit_value: u32,
    pub ranges: Vec<Range>,
}

/// The decisions on a machine of the ABI `native`, which comes first.
pub(super) fn lower(profile: &Profile, native: Arch) -> Vec<Branch> {
    let abis = profile.abis(native);
    let mut branches = vec![];
    for &arch in abis.iter().filter(|arch| **arch != Arch::X32) {
        let mut ranges = Ranges::default();
        add_abi(&mut ranges, profile, arch);
        if arch == Arch::X86_64 {
            if abis.contains(&Arch::X32) {
                add_abi(&mut ranges, profile, Arch::X32);
            } else {
                refuse_x32(&mut ranges, profile.default_action);
            }
        }
        branches.push(Branch { audit_value: arch.audit_value(), ranges: ranges.0 });
    }
    branches
}

/// Numbers with the x32 bit belong to an ABI that is not listed. All but -1, which a tracer writes to
/// skip a call and which filters see again (seccomp(2), Linux 4.8).
fn refuse_x32(ranges: &mut Ranges, default: Action) {
    ranges.push(Arch::X32_BIT, Decision::Always(Action::KillProcess));
    ranges.push(u32::MAX, Decision::Always(default));
}

/// Appends the numbers of one ABI, from its first to the end.
fn add_abi(ranges: &mut Ranges, profile: &Profile, arch: Arch) {
    let default = || Decision::Always(profile.default_action);
    let mut next = if arch == Arch::X32 { Arch::X32_BIT } else { 0 };
    let mut entries = entries(profile, arch);
    entries.sort_by_key(|entry| entry.number);
    for group in entries.chunk_by(|a, b| a.number == b.number) {
        let Some(number) = group.first().map(|entry| entry.number) else { continue };
        if next < number {
            ranges.push(next, default());
        }
        ranges.push(number, decide(group, profile.default_action, arch));
        next = number + 1;
    }
    // Above the newest call that is named. runc looks for numbers above 0, so that call 0 alone has no effect.
    let newer = entries.last().is_some_and(|newest| newest.number & !Arch::X32_BIT > 0);
    let enosys = newer && profile.newer_calls_fail_with_enosys();
    ranges.push(next, if enosys { Decision::Always(ENOSYS) } else { default() });
}

/// A rule's part in the decision for one number.
struct Entry<'a> {
    number: u32,
    rule: &'a Rule,
    /// Reached through socketcall(2) or ipc(2): this replaces the rule's own conditions.
    through: Option<Multiplexed>,
}

/// What the rules say about `arch`, in their order.
fn entries<'a>(profile: &'a Profile, arch: Arch) -> Vec<Entry<'a>> {
    let mut entries = vec![];
    for rule in &profile.rules {
        for call in &rule.calls {
            if let Some(number) = call.number(arch) {
                entries.push(Entry { number, rule, through: None });
            }
            if arch == Arch::X86
                && let Some(through) = table::multiplexed(call.name)
                && reaches_through(profile, call, rule)
                && let Some(number) = Call::named(through.through).and_then(|call| call.number(arch))
            {
                entries.push(Entry { number, rule, through: Some(through) });
            }
        }
    }
    entries
}

/// Whether `rule` also counts for `call` when it comes through a multiplexer, where the arguments
/// cannot be seen: the unconditional rule does, and one that restricts it further. A conditional
/// permission does not (libseccomp grants it whatever the arguments).
fn reaches_through(profile: &Profile, call: &Call, rule: &Rule) -> bool {
    let unconditional = profile.unconditional(call);
    if rule.conditions.is_empty() {
        return unconditional.is_some_and(|first| std::ptr::eq(first, rule));
    }
    let base = unconditional.map_or(profile.default_action, |first| first.action);
    rule.action.is_stricter_than(base)
}

impl Profile {
    /// The rule that decides `call` where no conditional one does: the first, except that a rule which
    /// repeats the default has no effect (runc, `matchCall`).
    fn unconditional(&self, call: &Call) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            rule.conditions.is_empty() && rule.action != self.default_action && rule.calls.contains(&call)
        })
    }
}

/// The decision for one number from all its entries.
fn decide(entries: &[Entry<'_>], default: Action, arch: Arch) -> Decision {
    let mut base = None;
    let mut attempts = vec![];
    for entry in entries {
        let conditions = conditions(entry, arch);
        if !conditions.is_empty() {
            attempts.push((conditions, entry.rule.action));
        } else if base.is_none() && entry.rule.action != default {
            base = Some(entry.rule.action);
        }
    }
    if let Some(base) = base {
        attempts.retain(|(_, action)| action.is_stricter_than(base));
    }
    let otherwise = base.unwrap_or(default);
    attempts.sort_by_key(|(_, action)| action.rank());
    while attempts.last().is_some_and(|(_, action)| *action == otherwise) {
        attempts.pop();
    }
    if attempts.is_empty() {
        return Decision::Always(otherwise);
    }
    Decision::Tried { attempts, otherwise, arch }
}

/// What has to hold for the entry's rule to match.
fn conditions(entry: &Entry<'_>, arch: Arch) -> Vec<Condition> {
    if let Some(through) = &entry.through {
        return vec![through.condition()];
    }
    let conditions = entry.rule.conditions.iter().map(|condition| condition.on(arch));
    conditions.filter(|condition| !condition.is_tautology()).collect()
}

/// Ranges in ascending order; equal neighbours are merged.
#[derive(Default)]
struct Ranges(Vec<Range>);

impl Ranges {
    fn push(&mut self, first: u32, decision: Decision) {
        if self.0.last().is_none_or(|last| last.decision != decision) {
            self.0.push(Range { first, decision });
        }
    }
}

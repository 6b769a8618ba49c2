//! The compiled program does what [`Profile::verdict`] says, for every call number, on every ABI; and
//! this comparison notices when it does not.

use seccompiler::sock_filter;

use super::{Dice, audit_values, outcome};
use crate::seccomp::table::Call;
use crate::seccomp::{Action, Arch, Condition, Operator, Profile, Program, Rule};

const ACTIONS: [Action; 9] = [
    Action::KillProcess,
    Action::KillThread,
    Action::Trap,
    Action::Errno(1),
    Action::Errno(38),
    Action::Notify,
    Action::Trace(7),
    Action::Log,
    Action::Allow,
];

const OPERATORS: [Operator; 7] =
    [Operator::Ne, Operator::Lt, Operator::Le, Operator::Eq, Operator::Ge, Operator::Gt, Operator::MaskedEq];

/// Values around the edges of both halves of an argument.
const VALUES: [u64; 12] = [
    0,
    1,
    5,
    0x7E02_0000,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
    0x1_0000_0000,
    0x1_0000_0005,
    0x5_0000_0001,
    0x8000_0000_0000_0000,
    0xFFFF_FFFF_0000_0000,
    u64::MAX,
];

/// Calls with a special place: the first, the last, multiplexed ones, their multiplexers, ABI-only ones.
const SPECIAL: [&str; 14] = [
    "read",
    "io_setup",
    "socket",
    "bind",
    "accept",
    "send",
    "semop",
    "shmget",
    "socketcall",
    "ipc",
    "execve",
    "rseq_slice_yield",
    "cacheflush",
    "_llseek",
];

pub(super) fn condition(dice: &mut Dice, index: u8) -> Condition {
    let operator = dice.pick(&OPERATORS);
    Condition { index, operator, value: dice.pick(&VALUES), value_two: dice.pick(&VALUES) }
}

fn profile(dice: &mut Dice) -> Profile {
    let mut rules = vec![];
    for _ in 0..dice.below(14) {
        let calls = (0..=dice.below(12)).map(|_| match dice.one_in(3) {
            true => Call::named(dice.pick(&SPECIAL)).unwrap(),
            false => &Call::all()[dice.below(Call::all().len())],
        });
        let calls = calls.collect();
        let mut conditions = vec![];
        for index in 0..6 {
            if dice.one_in(5) {
                conditions.push(condition(dice, index));
            }
        }
        rules.push(Rule { calls, action: dice.pick(&ACTIONS), conditions });
    }
    Profile {
        default_action: dice.pick(&ACTIONS),
        architectures: Arch::ALL.into_iter().filter(|_| dice.one_in(2)).collect(),
        flags: vec![],
        listener_path: None,
        listener_metadata: None,
        rules,
        unknown_names: vec![],
    }
}

/// A call, and what the profile means to happen.
struct Point {
    audit_value: u32,
    number: u32,
    args: [u64; 6],
    meant: Action,
}

/// `tries` calls for each number that a rule is about and the one after it, one for each other of
/// `numbers`.
fn points(profile: &Profile, native: Arch, numbers: &[u32], tries: usize, dice: &mut Dice) -> Vec<Point> {
    let ruled: Vec<u32> = ruled(profile).into_iter().flat_map(|number| [number, number + 1]).collect();
    let mut points = vec![];
    for audit_value in audit_values() {
        for &number in numbers {
            let rules = rules_about(profile, audit_value, number);
            for _ in 0..if ruled.contains(&number) { tries } else { 1 } {
                let args = arguments(&rules, dice);
                let meant = profile.verdict(native, audit_value, number, &args);
                points.push(Point { audit_value, number, args, meant });
            }
        }
    }
    points
}

/// The numbers that rules are about, on any ABI, socketcall and ipc among them.
fn ruled(profile: &Profile) -> Vec<u32> {
    let through = ["socketcall", "ipc"].map(|name| Call::named(name).unwrap());
    let calls = profile.rules.iter().flat_map(|rule| &rule.calls).copied().chain(through);
    calls.flat_map(|call| Arch::ALL.into_iter().filter_map(|arch| call.number(arch))).collect()
}

/// The rules that name this call or the one before it: a range that is one too long ends there.
pub(super) fn rules_about(profile: &Profile, audit_value: u32, number: u32) -> Vec<&Rule> {
    let abis = Arch::ALL.into_iter().filter(|arch| arch.audit_value() == audit_value);
    let numbers = [number, number.wrapping_sub(1)];
    let numbers: Vec<_> = abis.flat_map(|arch| numbers.map(|number| (arch, number))).collect();
    let about = |call: &&Call| numbers.iter().any(|(arch, number)| call.number(*arch) == Some(*number));
    profile.rules.iter().filter(|rule| rule.calls.iter().any(about)).collect()
}

const EDGES: [u32; 9] =
    [0, 0x3FFF_FFFF, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xBFFF_FFFF, 0xC000_0000, u32::MAX - 1, u32::MAX];

/// Every number that could matter.
fn all_numbers() -> Vec<u32> {
    (0..600).chain(0x4000_0000..0x4000_0258).chain(0xF_0000..0xF_0008).chain(EDGES).collect()
}

/// Arguments that match one of `rules`, or miss it by one condition.
pub(super) fn arguments(rules: &[&Rule], dice: &mut Dice) -> [u64; 6] {
    let mut args = [0; 6].map(|_: u64| dice.pick(&VALUES));
    if rules.is_empty() || dice.one_in(8) {
        return args;
    }
    let conditions = &rules[dice.below(rules.len())].conditions;
    for condition in conditions {
        let value = condition.value;
        args[usize::from(condition.index)] = match condition.operator {
            Operator::Eq | Operator::Le | Operator::Ge => value,
            Operator::Ne | Operator::Gt => value.wrapping_add(1),
            Operator::Lt => value.wrapping_sub(1),
            Operator::MaskedEq => (condition.value_two & value) | (dice.roll() & !value),
        };
    }
    if !conditions.is_empty() && !dice.one_in(3) {
        let missed = &mut args[usize::from(conditions[dice.below(conditions.len())].index)];
        let step = dice.pick(&[1, 1 << 32]);
        *missed = match dice.below(5) {
            0 => missed.wrapping_sub(step),
            1 => *missed ^ step,
            2 => *missed & 0xFFFF_FFFF,
            3 => dice.pick(&VALUES),
            _ => missed.wrapping_add(step),
        };
    }
    // What socketcall and ipc take for the call's own number.
    if dice.one_in(4) {
        args[0] = u64::try_from(dice.below(26)).unwrap();
    }
    args
}

/// The first call that `program` treats otherwise than it should.
fn difference(program: &Program, points: &[Point]) -> Option<String> {
    points.iter().find_map(|Point { audit_value, number, args, meant }| {
        let done = outcome(program, *audit_value, *number, args);
        let text = || format!("{audit_value:#x} {number:#x} {args:x?}: {done:?}, not {meant:?}");
        (*meant != done).then(text)
    })
}

#[test]
fn programs_do_what_profiles_mean() {
    let mut dice = Dice(0x5EED);
    for round in 0..25 {
        let profile = profile(&mut dice);
        for native in [Arch::X86_64, Arch::Aarch64] {
            let points = points(&profile, native, &all_numbers(), 16, &mut dice);
            let program = profile.compile_for(native).unwrap();
            assert_eq!(difference(&program, &points), None, "round {round} on {native:?}: {profile:#?}");
        }
    }
}

#[test]
fn a_broken_program_is_noticed() {
    let native = Arch::X86_64;
    let mut dice = Dice(0xB20C);
    let (mut broken, mut noticed) = (0, 0);
    for _ in 0..2 {
        let mut profile = profile(&mut dice);
        // What can never match cannot be broken.
        let never = |c: &Condition| {
            matches!((c.operator, c.value), (Operator::Lt, 0) | (Operator::Gt | Operator::Ge, u64::MAX))
        };
        profile.rules.retain(|rule| !rule.conditions.iter().any(never));
        let near = ruled(&profile).into_iter().flat_map(|number| [number, number.wrapping_add(1)]);
        let points = points(&profile, native, &near.chain(EDGES).collect::<Vec<_>>(), 60, &mut dice);
        let program = profile.compile_for(native).unwrap();
        assert_eq!(difference(&program, &points), None);
        for index in 0..program.instructions().len() {
            for mutant in mutants(program.instructions(), index) {
                broken += 1;
                let mutant = Program::new(mutant, native);
                noticed += u32::from(difference(&mutant, &points).is_some());
            }
        }
    }
    // Some mutants mean the same: a comparison that an earlier one has already decided.
    assert!(broken > 300, "{broken}");
    assert!(noticed * 100 >= broken * 97, "{noticed} of {broken}");
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

/// The program with one mistake at `index`: a wrong constant, swapped ways, a jump too far.
fn mutants(program: &[sock_filter], index: usize) -> Vec<Vec<sock_filter>> {
    let with = |change: &dyn Fn(&mut sock_filter)| {
        let mut mutant = program.to_vec();
        change(&mut mutant[index]);
        mutant
    };
    let mut mutants = vec![];
    match program[index].code {
        0x06 => mutants.push(with(&|at| at.k = if at.k == ALLOW { 0 } else { ALLOW })),
        0x20 => mutants.push(with(&|at| at.k = if at.k == 0 { 16 } else { 0 })),
        0x15 | 0x25 | 0x35 => {
            mutants.push(with(&|at| at.k = at.k.wrapping_add(1)));
            mutants.push(with(&|at| std::mem::swap(&mut at.jt, &mut at.jf)));
        }
        _ => {}
    }
    mutants
}

//! The same profiles through libseccomp, as runc uses it: the same answers, where libseccomp does not
//! drop a restriction ([`super::super::verdict`] lists those places; the profiles here avoid them).

use std::io::Write as _;
use std::process::{Command, Stdio};

use seccompiler::sock_filter;

use super::agreement::{arguments, condition, rules_about};
use super::{Dice, audit_values, outcome};
use crate::seccomp::table::{self, Call};
use crate::seccomp::{Action, Arch, Operator, Profile, Program, Rule};

/// Filters by libseccomp, `None` where it refuses a profile.
fn libseccomp(profiles: &[Profile]) -> Vec<Option<Program>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/tests/libseccomp.py");
    let mut child = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = profiles.iter().map(|profile| spell(profile) + "\n").collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let mut bytes = output.stdout.as_slice();
    let mut word = |width: usize| {
        let (head, rest) = bytes.split_at(width);
        bytes = rest;
        head.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte))
    };
    let mut filters = vec![];
    for _ in profiles {
        let length = word(4);
        let instructions: Vec<_> = (0..length)
            .map(|_| sock_filter {
                code: word(2).try_into().unwrap(),
                jt: word(1).try_into().unwrap(),
                jf: word(1).try_into().unwrap(),
                k: word(4),
            })
            .collect();
        filters.push((length > 0).then(|| Program::new(instructions, Arch::X86_64)));
    }
    filters
}

fn spell(profile: &Profile) -> String {
    let rules = profile.rules.iter().map(|rule| {
        let names: Vec<_> = rule.calls.iter().map(|call| call.name).collect();
        let args = rule.conditions.iter();
        let args: Vec<_> =
            args.map(|c| (c.index, format!("{:?}", c.operator), c.value, c.value_two)).collect();
        serde_json::json!({"names": names, "action": rule.action.to_return_value(), "args": args})
    });
    let architectures: Vec<_> = profile.architectures.iter().map(|arch| arch.oci_name()).collect();
    serde_json::json!({
        "default": profile.default_action.to_return_value(),
        "architectures": architectures,
        "rules": rules.collect::<Vec<_>>(),
    })
    .to_string()
}

/// Calls that libseccomp 2.5 knows too, by the same name and number everywhere.
fn old_calls() -> Vec<&'static Call> {
    let old = |call: &&Call| match call.number(Arch::X86_64) {
        Some(number) => number < 335 || (424..=441).contains(&number),
        None => false,
    };
    Call::all().iter().filter(old).collect()
}

fn profile(dice: &mut Dice, calls: &[&'static Call]) -> Profile {
    let natives = if dice.one_in(4) {
        [Arch::Aarch64, Arch::Arm, Arch::Arm]
    } else {
        [Arch::X86_64, Arch::X86, Arch::X32]
    };
    let architectures: Vec<_> = natives
        .into_iter()
        .enumerate()
        .filter(|(index, _)| *index == 0 || dice.one_in(2))
        .map(|(_, arch)| arch)
        .collect();
    // Defaults that bring no ENOSYS for newer calls: that is runc's own addition.
    let default_action = dice.pick(&[Action::Allow, Action::Log, Action::Errno(38), Action::Trace(5)]);
    let mut rules = vec![];
    for _ in 0..dice.below(12) {
        let call = calls[dice.below(calls.len())];
        let action =
            dice.pick(&[Action::Allow, Action::Errno(1), Action::Trap, Action::KillProcess, Action::Log]);
        let multiplexed = table::multiplexed(call.name).is_some() && architectures.contains(&Arch::X86);
        let known = rules.iter().any(|rule: &Rule| rule.calls.contains(&call));
        if known || multiplexed || dice.one_in(2) {
            rules.push(Rule { calls: vec![call], action, conditions: vec![] });
            continue;
        }
        let count = dice.below(3);
        for _ in 0..=count {
            let indices = (0..6).filter(|_| dice.one_in(4)).collect::<Vec<_>>();
            let mut conditions: Vec<_> = indices.into_iter().map(|index| condition(dice, index)).collect();
            // Several rules with orderings for one call make libseccomp 2.5.4 take a wrong turn: of two
            // rules `a < 5` and `a >= 2^32` for a trap, it traps a = 0x7e020000.
            if count > 0 {
                conditions
                    .retain(|condition| matches!(condition.operator, Operator::Eq | Operator::MaskedEq));
            }
            rules.push(Rule { calls: vec![call], action, conditions });
        }
    }
    drop_restrictions_that_libseccomp_drops(&mut rules, default_action);
    Profile {
        default_action,
        architectures,
        flags: vec![],
        listener_path: None,
        listener_metadata: None,
        rules,
        unknown_names: vec![],
    }
}

fn drop_restrictions_that_libseccomp_drops(rules: &mut Vec<Rule>, default: Action) {
    let plain: Vec<_> =
        rules.iter().filter(|rule| rule.conditions.is_empty() && rule.action != default).cloned().collect();
    rules.retain(|rule| {
        let base = plain.iter().find(|plain| plain.calls == rule.calls);
        rule.conditions.is_empty() || base.is_none_or(|base| !rule.action.is_stricter_than(base.action))
    });
}

#[test]
fn libseccomp_gives_the_same_answers() {
    let calls = old_calls();
    let mut dice = Dice(0x11B5);
    let profiles: Vec<_> = (0..300).map(|_| profile(&mut dice, &calls)).collect();
    let mut compared = 0;
    for (profile, theirs) in profiles.iter().zip(libseccomp(&profiles)) {
        let Some(theirs) = theirs else { continue };
        compared += 1;
        let native = profile.architectures[0];
        let ours = profile.compile_for(native).unwrap();
        let numbers = (0..460).chain(0x4000_0000..0x4000_0230).chain([0x3FFF_FFFF, u32::MAX - 1, u32::MAX]);
        // libseccomp's filter also knows the machine that runs the test; ours is for `native` alone.
        let judged = |value: &u32| {
            native == Arch::X86_64 || [Arch::Aarch64, Arch::Arm].map(Arch::audit_value).contains(value)
        };
        for number in numbers {
            for audit_value in audit_values().into_iter().filter(judged) {
                for _ in 0..4 {
                    let args = arguments(&rules_about(profile, audit_value, number), &mut dice);
                    let (ours, theirs) = (
                        outcome(&ours, audit_value, number, &args),
                        outcome(&theirs, audit_value, number, &args),
                    );
                    assert_eq!(ours, theirs, "{audit_value:#x} {number:#x} {args:x?}: {profile:?}");
                }
            }
        }
    }
    assert!(compared > 200, "libseccomp refused {} of 300", 300 - compared);
}

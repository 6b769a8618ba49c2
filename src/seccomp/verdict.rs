//! What a profile means, one call at a time: written from the specification and from what runc 1.3 and
//! libseccomp 2.5 do, and sharing no step with the compiler that it is compared with in tests.
//!
//! 1. A call of an ABI that is not listed kills the process. The native ABI is always listed. Without
//!    `SCMP_ARCH_X32` that holds for every x86_64 number from 0x40000000 on, but for -1.
//! 2. A call without a rule gets the default; one newer than all named calls gets ENOSYS, unless the
//!    default lets calls run or asks a tracer.
//! 3. Of the unconditional rules the first decides; one that repeats the default has no effect.
//! 4. Of the conditional rules that match, the strictest action decides, in the kernel's precedence.
//!    Against an unconditional rule it counts only where it is the stricter one.
//! 5. On 32-bit x86 the rules of a socket or IPC call also hold for socketcall(2) and ipc(2).
//!
//! Where libseccomp would drop a restriction, this keeps it: a stricter conditional rule beside an
//! unconditional one (libseccomp ignores it), overlapping conditions (there the order of a tree
//! decides), and a conditional permission behind socketcall (there granted whatever the arguments).

use super::action::{Action, ENOSYS};
use super::arch::Arch;
use super::condition::{Condition, Operator};
use super::profile::{Profile, Rule};
use super::table::{self, Call};

impl Profile {
    /// What happens to the call `number` of the `seccomp_data.arch` value `audit_value` with these
    /// arguments, on a machine whose native ABI is `native`.
    pub fn verdict(&self, native: Arch, audit_value: u32, number: u32, args: &[u64; 6]) -> Action {
        let Some(arch) = abi_of(audit_value, number).filter(|arch| arch.runs_on(native)) else {
            return Action::KillProcess;
        };
        let listed = arch == native || self.architectures.contains(&arch);
        if !listed {
            let skipped = arch == Arch::X32 && number == u32::MAX;
            return if skipped { self.default_action } else { Action::KillProcess };
        }
        let rules = self.rules_for(arch, number);
        if rules.is_empty() { self.without_rule(arch, number) } else { self.judge(&rules, arch, args) }
    }

    fn without_rule(&self, arch: Arch, number: u32) -> Action {
        let zero = if arch == Arch::X32 { Arch::X32_BIT } else { 0 };
        let newest = self.rules.iter().flat_map(|rule| rule.calls.iter().map(move |call| (rule, call)));
        let newest = newest.flat_map(|(rule, call)| {
            let through = self.multiplexer(arch, call, rule).map(|(number, _)| number);
            [call.number(arch), through].into_iter().flatten()
        });
        let lets_run = matches!(self.default_action, Action::Allow | Action::Log | Action::Trace(_));
        match newest.max() {
            Some(newest) if newest > zero && number > newest && !lets_run => ENOSYS,
            _ => self.default_action,
        }
    }

    /// The rules for one number, in their order, with what each demands of the arguments.
    fn rules_for(&self, arch: Arch, number: u32) -> Vec<(Action, Vec<Condition>)> {
        let mut found = vec![];
        for rule in &self.rules {
            for call in &rule.calls {
                if call.number(arch) == Some(number) {
                    found.push((rule.action, rule.conditions.clone()));
                }
                if let Some((through, condition)) = self.multiplexer(arch, call, rule)
                    && through == number
                {
                    found.push((rule.action, vec![condition]));
                }
            }
        }
        found
    }

    /// The number of the call through which `rule` also concerns `call`, and what its argument has to be.
    fn multiplexer(&self, arch: Arch, call: &Call, rule: &Rule) -> Option<(u32, Condition)> {
        if arch != Arch::X86 {
            return None;
        }
        let through = table::multiplexed(call.name)?;
        let number = Call::named(through.through)?.number(arch)?;
        self.counts_when_multiplexed(call, rule).then(|| (number, through.condition()))
    }

    /// Point 5: what cannot be checked behind the pointer is not granted, and is denied where a rule may deny it.
    fn counts_when_multiplexed(&self, call: &Call, rule: &Rule) -> bool {
        let about = |rule: &&Rule| rule.calls.iter().any(|named| named.name == call.name);
        let plain = |rule: &&Rule| rule.conditions.is_empty() && rule.action != self.default_action;
        let first = self.rules.iter().filter(about).find(plain);
        match (rule.conditions.is_empty(), first) {
            (true, Some(first)) => std::ptr::eq(first, rule),
            (true, None) => false,
            (false, Some(first)) => rule.action.is_stricter_than(first.action),
            (false, None) => rule.action.is_stricter_than(self.default_action),
        }
    }

    fn judge(&self, rules: &[(Action, Vec<Condition>)], arch: Arch, args: &[u64; 6]) -> Action {
        let always = |conditions: &[Condition]| conditions.iter().all(|condition| condition.is_always(arch));
        let unconditional = rules
            .iter()
            .filter(|(_, conditions)| always(conditions))
            .map(|(action, _)| *action)
            .find(|action| *action != self.default_action);
        let matching = rules
            .iter()
            .filter(|(_, conditions)| !always(conditions))
            .filter(|(_, conditions)| conditions.iter().all(|condition| condition.holds(arch, args)))
            .map(|(action, _)| *action);
        // The first of the strictest: two rules may name different errnos.
        let strictest = matching.reduce(|a, b| if b.is_stricter_than(a) { b } else { a });
        match (strictest, unconditional) {
            (Some(found), Some(base)) if found.is_stricter_than(base) => found,
            (Some(found), None) => found,
            (_, Some(base)) => base,
            (None, None) => self.default_action,
        }
    }
}

impl Condition {
    fn is_always(&self, arch: Arch) -> bool {
        self.operator == Operator::MaskedEq && seen(self.value, arch) == 0
    }

    fn holds(&self, arch: Arch, args: &[u64; 6]) -> bool {
        let Some(argument) = args.get(usize::from(self.index)) else { return false };
        let (argument, value) = (seen(*argument, arch), seen(self.value, arch));
        match self.operator {
            Operator::Ne => argument != value,
            Operator::Lt => argument < value,
            Operator::Le => argument <= value,
            Operator::Eq => argument == value,
            Operator::Ge => argument >= value,
            Operator::Gt => argument > value,
            Operator::MaskedEq => argument & value == seen(self.value_two, arch) & value,
        }
    }
}

/// The bits that are compared on `arch`.
fn seen(value: u64, arch: Arch) -> u64 {
    if arch.is_32_bit() { value & u64::from(u32::MAX) } else { value }
}

/// The ABI by which the kernel reads `number`.
fn abi_of(audit_value: u32, number: u32) -> Option<Arch> {
    if audit_value == Arch::X86_64.audit_value() {
        return Some(if number < Arch::X32_BIT { Arch::X86_64 } else { Arch::X32 });
    }
    [Arch::X86, Arch::Aarch64, Arch::Arm].into_iter().find(|arch| arch.audit_value() == audit_value)
}

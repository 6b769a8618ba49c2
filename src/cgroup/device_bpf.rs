//! Device rules as a program for BPF_PROG_TYPE_CGROUP_DEVICE: pure, nothing is loaded here.
//!
//! cgroup v2 has no devices controller; the kernel runs such a program for each open(2) and
//! mknod(2) of a device node and refuses on 0 (cgroup-v2.rst, "Device controller").
//! The program walks the rules from the last to the first, those of block devices and those of character
//! devices apart. It keeps in r3 the kinds of access nobody has decided about yet: an allowing rule takes its
//! kinds out and grants when none is left, a denying rule that meets one of them refuses.
//!
//! The verifier goes along every branch, at each load: where nothing is learnt that a later comparison
//! asks for, it goes once. So a device is compared as one number, and a rule about all kinds of access
//! decides at once.

use crate::error::{Error, Result};

use super::device::{DeviceKind, DeviceRule};

/// BPF_MAXINSNS: what every kernel since 4.15 takes.
const INSTRUCTIONS_MAX: usize = 4096;

const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x57;
const OR_REGISTER: u8 = 0x4f;
const SHIFT_LEFT: u8 = 0x67;
const SHIFT_RIGHT: u8 = 0x77;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_ANY_BIT: u8 = 0x45;
/// Of the lower 32 bits (BPF_JMP32, since Linux 5.1): an immediate has no sign there.
const JUMP_IF_WORD_EQUAL: u8 = 0x16;
const JUMP_IF_WORD_NOT_EQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const UNDECIDED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// Major and minor number as the kernel's dev_t has them: 12 and 20 bits (linux/kdev_t.h).
const DEVICE: u8 = 6;
const MINOR_BITS: u32 = 20;
const LAST_MAJOR: u32 = (1 << 12) - 1;
const LAST_MINOR: u32 = (1 << MINOR_BITS) - 1;

const BLOCK: u32 = 1;
/// All kinds of access.
const ALL: u32 = 7;

/// One instruction as struct bpf_insn lies in memory on a little-endian machine.
fn instruction(opcode: u8, destination: u8, source: u8, offset: u16, immediate: u32) -> u64 {
    u64::from(opcode)
        | u64::from(destination) << 8
        | u64::from(source) << 12
        | u64::from(offset) << 16
        | u64::from(immediate) << 32
}

fn with_immediate(opcode: u8, register: u8, immediate: u32) -> u64 {
    instruction(opcode, register, 0, 0, immediate)
}

/// The program for `rules`, as 64-bit instructions.
pub(super) fn compile(rules: &[DeviceRule]) -> Result<Vec<u64>> {
    let mut program = Program::default();
    program.loads();
    let to_block = program.here();
    program.put(with_immediate(JUMP_IF_EQUAL, KIND, BLOCK));
    program.decide(rules, DeviceKind::Char);
    program.fits(rules.len())?;
    program.land(to_block)?;
    program.decide(rules, DeviceKind::Block);
    program.fits(rules.len())?;
    program.finish()
}

/// Instructions, and which of them jump to a verdict that stands at the end.
#[derive(Default)]
struct Program {
    instructions: Vec<u64>,
    grants: Vec<usize>,
    refusals: Vec<usize>,
}

impl Program {
    fn here(&self) -> usize {
        self.instructions.len()
    }

    fn put(&mut self, instruction: u64) {
        self.instructions.push(instruction);
    }

    /// Whether it is short enough with two verdicts more.
    fn fits(&self, rules: usize) -> Result<()> {
        match self.here() + 4 > INSTRUCTIONS_MAX {
            true => Err(Error::usage(format!("{rules} device rules are too many for one program"))
                .field("/linux/resources/devices")),
            false => Ok(()),
        }
    }

    /// The jump at `from` leads to what comes next.
    fn land(&mut self, from: usize) -> Result<()> {
        let distance = self.here() - from - 1;
        let distance = u16::try_from(distance).map_err(|error| Error::internal(error.to_string()))?;
        if let Some(jump) = self.instructions.get_mut(from) {
            *jump |= u64::from(distance) << 16;
        }
        Ok(())
    }

    /// Loads the fields of struct bpf_cgroup_dev_ctx: access_type holds the kind in its lower
    /// half and the access in its upper one.
    fn loads(&mut self) {
        self.instructions.extend([
            instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
            with_immediate(AND, KIND, 0xffff),
            instruction(LOAD_WORD, UNDECIDED, CONTEXT, 0, 0),
            with_immediate(SHIFT_RIGHT, UNDECIDED, 16),
            instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
            instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
            instruction(MOVE_REGISTER, DEVICE, MAJOR, 0, 0),
            with_immediate(SHIFT_LEFT, DEVICE, MINOR_BITS),
            instruction(OR_REGISTER, DEVICE, MINOR, 0, 0),
        ]);
    }

    /// The rules about devices of this kind, and the verdict on what they leave.
    fn decide(&mut self, rules: &[DeviceRule], kind: DeviceKind) {
        for rule in rules.iter().rev().filter(|rule| rule.kind == DeviceKind::All || rule.kind == kind) {
            match test(rule) {
                Test::Never => {}
                Test::Always if u32::from(rule.access.bits()) == ALL => return self.verdict(rule.allow),
                Test::Always => self.rule(rule),
                Test::Equal(register, number) => self.if_equal(register, number, rule),
            }
        }
        self.verdict(false);
    }

    fn verdict(&mut self, granted: bool) {
        self.instructions.extend([with_immediate(MOVE, VERDICT, granted.into()), with_immediate(EXIT, 0, 0)]);
    }

    fn if_equal(&mut self, register: u8, number: u32, rule: &DeviceRule) {
        if u32::from(rule.access.bits()) == ALL {
            let here = self.here();
            if rule.allow { &mut self.grants } else { &mut self.refusals }.push(here);
            return self.put(with_immediate(JUMP_IF_WORD_EQUAL, register, number));
        }
        let length = if rule.allow { 2 } else { 1 };
        self.put(instruction(JUMP_IF_WORD_NOT_EQUAL, register, 0, length, number));
        self.rule(rule);
    }

    /// A rule about a device that it is about.
    fn rule(&mut self, rule: &DeviceRule) {
        let access = u32::from(rule.access.bits());
        if rule.allow {
            self.put(with_immediate(AND, UNDECIDED, !access));
            self.grants.push(self.here());
            self.put(with_immediate(JUMP_IF_EQUAL, UNDECIDED, 0));
        } else {
            self.refusals.push(self.here());
            self.put(with_immediate(JUMP_IF_ANY_BIT, UNDECIDED, access));
        }
    }

    /// The verdicts that something jumps to: the verifier rejects instructions that nothing reaches (check_cfg).
    fn finish(mut self) -> Result<Vec<u64>> {
        for granted in [true, false] {
            let jumps = std::mem::take(if granted { &mut self.grants } else { &mut self.refusals });
            for from in &jumps {
                self.land(*from)?;
            }
            if !jumps.is_empty() {
                self.verdict(granted);
            }
        }
        Ok(self.instructions)
    }
}

/// How a rule knows its devices.
enum Test {
    Always,
    /// No device has these numbers.
    Never,
    Equal(u8, u32),
}

fn test(rule: &DeviceRule) -> Test {
    let within = |number: Option<u64>, last: u32| match number.map(u32::try_from) {
        None => Some(None),
        Some(number) => number.ok().filter(|number| *number <= last).map(Some),
    };
    match (within(rule.major, LAST_MAJOR), within(rule.minor, LAST_MINOR)) {
        (None, _) | (_, None) => Test::Never,
        (Some(None), Some(None)) => Test::Always,
        (Some(Some(major)), Some(None)) => Test::Equal(MAJOR, major),
        (Some(None), Some(Some(minor))) => Test::Equal(MINOR, minor),
        (Some(Some(major)), Some(Some(minor))) => Test::Equal(DEVICE, major << MINOR_BITS | minor),
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::tests::{rule, rules};
    use super::*;

    /// What a list means, said as plainly as possible: each kind of access by itself, the last match decides.
    fn means(rules: &[DeviceRule], kind: DeviceKind, major: u64, minor: u64, access: u8) -> bool {
        let decides = |rule: &&DeviceRule, bit: u8| {
            (rule.kind == DeviceKind::All || rule.kind == kind)
                && rule.major.is_none_or(|number| number == major)
                && rule.minor.is_none_or(|number| number == minor)
                && rule.access.bits() & bit != 0
        };
        [1, 2, 4]
            .into_iter()
            .filter(|bit| access & bit != 0)
            .all(|bit| rules.iter().rev().find(|rule| decides(rule, bit)).is_some_and(|rule| rule.allow))
    }

    /// Runs a program as the kernel would: registers are 64 bits, immediates are sign-extended.
    fn run(program: &[u64], kind: DeviceKind, major: u32, minor: u32, access: u8) -> bool {
        let kind = if kind == DeviceKind::Block { 1 } else { 2 };
        let context = [u32::from(access) << 16 | kind, major, minor];
        let mut registers = [0_u64; 7];
        let mut at = 0;
        loop {
            let word = program[at];
            let [opcode, operands, low, high, ..] = word.to_le_bytes();
            let (destination, source) = (usize::from(operands & 15), usize::from(operands >> 4));
            let offset = usize::from(u16::from_le_bytes([low, high]));
            let immediate = i64::from((word >> 32) as u32 as i32) as u64;
            at += 1;
            match opcode {
                LOAD_WORD => {
                    assert_eq!(source, usize::from(CONTEXT));
                    registers[destination] = u64::from(context[offset / 4]);
                }
                AND => registers[destination] &= immediate,
                OR_REGISTER => registers[destination] |= registers[source],
                SHIFT_LEFT => registers[destination] <<= immediate,
                SHIFT_RIGHT => registers[destination] >>= immediate,
                MOVE => registers[destination] = immediate,
                MOVE_REGISTER => registers[destination] = registers[source],
                JUMP_IF_EQUAL if registers[destination] == immediate => at += offset,
                JUMP_IF_ANY_BIT if registers[destination] & immediate != 0 => at += offset,
                JUMP_IF_WORD_EQUAL if (registers[destination] ^ immediate) & 0xffff_ffff == 0 => at += offset,
                JUMP_IF_WORD_NOT_EQUAL if (registers[destination] ^ immediate) & 0xffff_ffff != 0 => {
                    at += offset
                }
                JUMP_IF_EQUAL | JUMP_IF_ANY_BIT | JUMP_IF_WORD_EQUAL | JUMP_IF_WORD_NOT_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("opcode {other:#x}"),
            }
        }
    }

    /// Every instruction can be reached along some branch, or the verifier refuses the program.
    fn assert_reachable(program: &[u64]) {
        let mut reachable = vec![false; program.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reachable[at], true) {
                continue;
            }
            let [opcode, _, low, high, ..] = program[at].to_le_bytes();
            let jumps = [JUMP_IF_EQUAL, JUMP_IF_ANY_BIT, JUMP_IF_WORD_EQUAL, JUMP_IF_WORD_NOT_EQUAL];
            if jumps.contains(&opcode) {
                open.push(at + 1 + usize::from(u16::from_le_bytes([low, high])));
            }
            if opcode != EXIT {
                open.push(at + 1);
            }
        }
        assert!(reachable.iter().all(|reached| *reached), "{program:x?}");
    }

    fn assert_means_what_it_says(list: &[DeviceRule]) {
        let program = compile(list).unwrap();
        assert_reachable(&program);
        for kind in [DeviceKind::Block, DeviceKind::Char] {
            for major in [0, 1, 8, 0xfff] {
                for minor in [0, 3, 0xf_ffff] {
                    for access in 1..=7 {
                        assert_eq!(
                            run(&program, kind, major, minor, access),
                            means(list, kind, u64::from(major), u64::from(minor), access),
                            "{kind:?} {major}:{minor} {access} under {list:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn known_lists() {
        for list in [
            vec![],
            vec!["-a *:* rwm"],
            vec!["+a *:* rwm"],
            vec!["-a *:* rwm", "+c 1:3 rwm"],
            vec!["+a *:* rwm", "-b 8:0 w"],
            vec!["+c 1:* rw", "-c 1:3 w"],
            vec!["+c 1:3 r", "+c 1:* w"],
            vec!["+c 1:3 rwm", "+a *:* rwm", "-c 5:* m", "+c 5:1 m"],
            vec!["-c 1:3 rwm", "+a *:* r", "+a *:5 wm"],
            vec!["+a *:* r", "-a 8:* rwm"],
        ] {
            assert_means_what_it_says(&rules(&list));
        }
        assert_means_what_it_says(&DeviceRule::defaults());
        let mut list = rules(&["-a *:* rwm", "+b 8:0 rw"]);
        list.extend(DeviceRule::defaults());
        assert_means_what_it_says(&list);
    }

    #[test]
    fn every_pair_of_rules() {
        let mut all = vec![];
        for sign in ["+", "-"] {
            for kind in ["a", "b", "c"] {
                for numbers in ["*:*", "1:*", "*:3", "1:3"] {
                    for access in ["r", "wm", "rwm"] {
                        all.push(rule(&format!("{sign}{kind} {numbers} {access}")));
                    }
                }
            }
        }
        for first in &all {
            for second in &all {
                assert_means_what_it_says(&[*first, *second]);
            }
        }
    }

    #[test]
    fn long_random_lists() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % 1_000_003).unwrap() % bound
        };
        for _ in 0..300 {
            let mut list = vec![];
            for _ in 0..next(12) {
                let sign = ["+", "-"][next(2)];
                let kind = ["a", "b", "c"][next(3)];
                let major = ["*", "0", "1", "8", "4095"][next(5)];
                let minor = ["*", "0", "3", "1048575"][next(4)];
                let access = ["r", "w", "m", "rw", "rm", "wm", "rwm"][next(7)];
                list.push(rule(&format!("{sign}{kind} {major}:{minor} {access}")));
            }
            assert_means_what_it_says(&list);
        }
    }

    #[test]
    fn numbers_no_device_has_match_nothing() {
        for number in [1 << 12, 1 << 31, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let list = [DeviceRule { major: Some(number), ..rule("+a *:* rw") }];
            assert_means_what_it_says(&list);
        }
    }

    #[test]
    fn a_list_too_long_for_one_program_is_refused() {
        let rule = rule("+c 1:3 r");
        assert!(compile(&vec![rule; 550]).is_ok());
        let error = compile(&vec![rule; 5000]).unwrap_err();
        assert_eq!(error.field_name(), Some("/linux/resources/devices"));
    }
}

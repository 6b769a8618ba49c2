//! Executes the part of classic BPF that seccomp filters use, with arguments that may be unknown.
//!
//! An unknown word takes both ways at every comparison, so that the answers are all that may come;
//! with every word known there is exactly one. Anything the kernel's checker would refuse ends in
//! `SECCOMP_RET_KILL_PROCESS`.

use std::collections::HashSet;

use seccompiler::sock_filter;

/// linux/bpf_common.h
const LD_W_ABS: u16 = 0x20;
const ALU_AND_K: u16 = 0x54;
const JMP_JA: u16 = 0x05;
const JMP_JEQ_K: u16 = 0x15;
const JMP_JGT_K: u16 = 0x25;
const JMP_JGE_K: u16 = 0x35;
const RET_K: u16 = 0x06;

/// Every value that the filter may return for a call.
pub(super) fn reachable(
    program: &[sock_filter],
    audit_value: u32,
    number: u32,
    args: &[Option<u64>; 6],
) -> Vec<u32> {
    run(program, &|offset| match offset {
        0 => Some(number),
        4 => Some(audit_value),
        // Little-endian: the low half of an argument comes first.
        16..=63 => {
            let argument = args.get(usize::try_from((offset - 16) / 8).ok()?).copied().flatten()?;
            let half = if offset % 8 == 0 { argument & u64::from(u32::MAX) } else { argument >> 32 };
            u32::try_from(half).ok()
        }
        // instruction_pointer
        _ => None,
    })
}

/// Runs `program` on the words that `load` gives for offsets into `struct seccomp_data`.
pub(super) fn run(program: &[sock_filter], load: &dyn Fn(u32) -> Option<u32>) -> Vec<u32> {
    let mut results = vec![];
    // Where an unknown word has led already: ways meet again, and each is walked once.
    let mut seen = HashSet::new();
    // The kernel starts with A = 0.
    let mut waiting = vec![(0, Some(0))];
    while let Some(mut state) = waiting.pop() {
        let value = loop {
            match step(program, state, load) {
                Step::Return(value) => break Some(value),
                Step::Go(next) => state = next,
                Step::Fork(then, otherwise) => {
                    waiting.extend([then, otherwise].into_iter().filter(|state| seen.insert(*state)));
                    break None;
                }
            }
        };
        results.extend(value.filter(|value| !results.contains(value)));
    }
    results
}

/// The next instruction's index and the accumulator.
type State = (usize, Option<u32>);

enum Step {
    Return(u32),
    Go(State),
    Fork(State, State),
}

fn step(program: &[sock_filter], (index, a): State, load: &dyn Fn(u32) -> Option<u32>) -> Step {
    let refused = Step::Return(libc::SECCOMP_RET_KILL_PROCESS);
    let Some(instruction) = program.get(index) else { return refused };
    let k = instruction.k;
    let at = |skip: u32, a| (index + 1 + usize::try_from(skip).unwrap_or(usize::MAX / 2), a);
    let (then, otherwise) = (at(u32::from(instruction.jt), a), at(u32::from(instruction.jf), a));
    let compare = |holds: Option<bool>| match holds {
        Some(true) => Step::Go(then),
        Some(false) => Step::Go(otherwise),
        None => Step::Fork(then, otherwise),
    };
    match instruction.code {
        LD_W_ABS => Step::Go(at(0, load(k))),
        ALU_AND_K => Step::Go(at(0, if k == 0 { Some(0) } else { a.map(|a| a & k) })),
        JMP_JA => Step::Go(at(k, a)),
        JMP_JEQ_K => compare(a.map(|a| a == k)),
        JMP_JGT_K => compare(a.map(|a| a > k)),
        JMP_JGE_K => compare(a.map(|a| a >= k)),
        RET_K => Step::Return(k),
        _ => refused,
    }
}

//! Profile → classic BPF.
//!
//! The program looks at the architecture, then walks a balanced tree over ranges of call numbers with
//! one decision each. A leaf is a `RET`, or one seccompiler block per rule, each followed by its own
//! `RET`. A tree keeps the load cheap: the kernel runs the filter once for every number to learn which
//! calls it always allows (seccomp_cache_prepare, Linux 5.11).

use seccompiler::{BpfProgram, SeccompRule, sock_filter};

use super::action::Action;
use super::arch::Arch;
use super::assemble::{Assembler, Place, Test};
use super::condition::Condition;
use super::lower::{Branch, Decision, Range, lower};
use super::profile::Profile;
use super::program::Program;
use crate::error::{Error, Result};

/// `struct seccomp_data`: where the call number and the architecture stand.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// `BPF_MAXINSNS`
const MAX_LENGTH: usize = 4096;

impl Profile {
    /// Compiles the profile for this machine. Fails where the program would be longer than the
    /// kernel takes, and on machines whose call numbers are not known.
    pub fn compile(&self) -> Result<Program> {
        let native = Arch::NATIVE
            .ok_or_else(|| Error::setup("seccomp: no table of system calls for this architecture"))?;
        self.compile_for(native)
    }

    /// Compiles the profile for a machine whose native ABI is `native`.
    pub fn compile_for(&self, native: Arch) -> Result<Program> {
        let mut code = Assembler::default();
        let mut entrances = vec![];
        for branch in lower(self, native) {
            entrances.push((branch.audit_value, enter(&mut code, &branch)?));
        }
        let mut next = code.give_back(Action::KillProcess.to_return_value());
        for (audit_value, entrance) in entrances.into_iter().rev() {
            next = code.branch(Test::Equal, audit_value, entrance, next);
        }
        code.load(ARCH, next);
        let instructions = code.finish();
        if instructions.len() > MAX_LENGTH {
            let text =
                format!("the filter has {} instructions, the kernel takes {MAX_LENGTH}", instructions.len());
            return Err(Error::usage(text));
        }
        Ok(Program::new(instructions, native))
    }
}

/// Writes one architecture's part.
fn enter(code: &mut Assembler, branch: &Branch) -> Result<Place> {
    let top = tree(code, &branch.ranges)?;
    Ok(code.load(NUMBER, top))
}

/// Writes the tree over `ranges` and returns its root.
fn tree(code: &mut Assembler, ranges: &[Range]) -> Result<Place> {
    match ranges {
        [] => Err(Error::internal("seccomp: an architecture without decisions")),
        [one] => leaf(code, &one.decision),
        // One call that is treated unlike its neighbours.
        [before, one, after] if before.decision == after.decision && after.first == one.first + 1 => {
            let otherwise = leaf(code, &before.decision)?;
            let then = leaf(code, &one.decision)?;
            Ok(code.branch(Test::Equal, one.first, then, otherwise))
        }
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let Some(first) = high.first() else { return Err(Error::internal("seccomp: an empty half")) };
            let then = tree(code, high)?;
            let otherwise = tree(code, low)?;
            Ok(code.branch(Test::AtLeast, first.first, then, otherwise))
        }
    }
}

fn leaf(code: &mut Assembler, decision: &Decision) -> Result<Place> {
    match decision {
        Decision::Always(action) => Ok(code.give_back(action.to_return_value())),
        Decision::Tried { attempts, otherwise, arch } => {
            let mut block = vec![];
            for (conditions, action) in attempts {
                block.extend(attempt(conditions, *arch)?);
                block.push(give_back(*action));
            }
            block.push(give_back(*otherwise));
            code.prepend(&block).ok_or_else(|| Error::internal("seccomp: an empty chain"))
        }
    }
}

fn give_back(action: Action) -> sock_filter {
    sock_filter { code: 0x06, jt: 0, jf: 0, k: action.to_return_value() }
}

/// The comparisons of one rule: falls through where all hold, else skips one instruction.
fn attempt(conditions: &[Condition], arch: Arch) -> Result<Vec<sock_filter>> {
    let conditions = conditions.iter().map(|condition| condition.to_seccompiler(arch));
    let rule = SeccompRule::new(conditions.collect::<Result<Vec<_>>>()?)
        .map_err(|error| Error::internal(format!("seccompiler: {error}")))?;
    let mut block = BpfProgram::from(rule);
    // seccompiler puts two jumps in front: one into the block, one past it for its own linear chain.
    let is_ja = |instruction: &sock_filter| instruction.code == 0x05;
    match block.get(..2) {
        Some([first, second]) if is_ja(first) && is_ja(second) && first.k == 1 => Ok(block.split_off(2)),
        _ => Err(Error::internal("seccompiler: a block that does not begin with two jumps")),
    }
}

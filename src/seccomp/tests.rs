//! What holds for the whole road from text to instructions.

mod agreement;
mod builtins;
mod libseccomp;
mod live;
mod reading;
mod rules;

use super::arch::Arch;
use super::{Action, Program, interpreter};

/// What `program` does with one call.
fn outcome(program: &Program, audit_value: u32, number: u32, args: &[u64; 6]) -> Action {
    let args = args.map(Some);
    let results = interpreter::reachable(program.instructions(), audit_value, number, &args);
    assert_eq!(results.len(), 1, "one answer for known arguments");
    Action::from_return_value(results[0])
}

/// Deterministic numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() >> 33).unwrap() % limit
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// All values of `seccomp_data.arch` that a filter here may see, and one that it may not.
fn audit_values() -> [u32; 5] {
    let known = [Arch::X86_64, Arch::X86, Arch::Aarch64, Arch::Arm].map(Arch::audit_value);
    [known[0], known[1], known[2], known[3], 0xC000_00F3]
}

//! Writes classic BPF from its end to its start, so that every jump's target already stands.
//!
//! BPF jumps forward only; a conditional one at most 255 instructions far, `JA` anywhere
//! (linux/filter.h). A target that is out of reach gets a `JA` in between, or is written again
//! where that is one instruction too.

use seccompiler::sock_filter;

/// Where an instruction stands, counted from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(usize);

/// linux/bpf_common.h
const LD_ABS: u16 = 0x20;
const JMP_JA: u16 = 0x05;
const RET_K: u16 = 0x06;

/// The two comparisons that a tree needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// A == k
    Equal = 0x15,
    /// A >= k
    AtLeast = 0x35,
}

/// The longest conditional jump.
const NEAR: usize = 255;

#[derive(Default)]
pub(super) struct Assembler {
    /// Last instruction first.
    reversed: Vec<sock_filter>,
    /// The nearest `RET` of each value.
    returns: Vec<(u32, Place)>,
}

impl Assembler {
    /// A `RET` of this value that the next few instructions can jump to.
    pub(super) fn give_back(&mut self, value: u32) -> Place {
        // Room for the two `JA` that `branch` may put in between.
        let near = |place: Place, len: usize| len - place.0 < NEAR - 2;
        let len = self.reversed.len();
        let known = self.returns.iter_mut().find(|(known, _)| *known == value);
        match known {
            Some((_, place)) if near(*place, len) => *place,
            Some((_, place)) => {
                *place = Place(len);
                self.push(RET_K, 0, 0, value)
            }
            None => {
                self.returns.push((value, Place(len)));
                self.push(RET_K, 0, 0, value)
            }
        }
    }

    /// Puts whole instructions in front of what stands: `block` ends by falling into it or by `RET`.
    pub(super) fn prepend(&mut self, block: &[sock_filter]) -> Option<Place> {
        self.reversed.extend(block.iter().rev().cloned());
        Some(Place(self.reversed.len().checked_sub(1)?))
    }

    /// Compares A with `k` and goes to one of two places.
    pub(super) fn branch(&mut self, test: Test, k: u32, then: Place, otherwise: Place) -> Place {
        let then = self.within_reach(then);
        let otherwise = self.within_reach(otherwise);
        let (jt, jf) = (self.near_distance(then), self.near_distance(otherwise));
        self.push(test as u16, jt, jf, k)
    }

    /// Loads the word at `offset` of seccomp_data into A and goes on at `next`.
    pub(super) fn load(&mut self, offset: u32, next: Place) -> Place {
        if next.0 + 1 != self.reversed.len() {
            self.jump(next);
        }
        self.push(LD_ABS, 0, 0, offset)
    }

    /// The program in the order in which it runs.
    pub(super) fn finish(mut self) -> Vec<sock_filter> {
        self.reversed.reverse();
        self.reversed
    }

    fn within_reach(&mut self, place: Place) -> Place {
        // One more `JA` may follow before the jump itself.
        if self.reversed.len() - place.0 < NEAR { place } else { self.jump(place) }
    }

    fn jump(&mut self, to: Place) -> Place {
        let distance = u32::try_from(self.distance(to)).unwrap_or(u32::MAX);
        self.push(JMP_JA, 0, 0, distance)
    }

    /// How many instructions the next one would skip to reach `place`.
    fn distance(&self, place: Place) -> usize {
        self.reversed.len() - place.0 - 1
    }

    fn near_distance(&self, place: Place) -> u8 {
        // `within_reach` has made it fit; a jump past the end would be refused by the kernel.
        u8::try_from(self.distance(place)).unwrap_or(u8::MAX)
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Place {
        self.reversed.push(sock_filter { code, jt, jf, k });
        Place(self.reversed.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_targets_are_reached() {
        for filler in 0..600 {
            let mut assembler = Assembler::default();
            let yes = assembler.give_back(1);
            let no = assembler.give_back(2);
            for _ in 0..filler {
                assembler.push(RET_K, 0, 0, 9);
            }
            let top = assembler.branch(Test::Equal, 7, yes, no);
            assembler.load(0, top);
            let program = assembler.finish();
            let run = |nr| crate::seccomp::interpreter::run(&program, &|_| Some(nr));
            assert_eq!((run(7), run(8)), (vec![1], vec![2]), "{filler}");
        }
    }
}

//! The kernel's system calls by name, with their number on every ABI: the only place that knows them.

mod calls;
mod mux;

use super::arch::Arch;
pub(super) use mux::{Multiplexed, multiplexed};

/// No number on this ABI.
const NONE: u32 = u32::MAX;

/// A system call.
#[derive(PartialEq, Eq)]
pub struct Call {
    /// The name without `__NR_`.
    pub name: &'static str,
    x86_64: u32,
    x32: u32,
    i386: u32,
    aarch64: u32,
    arm: u32,
}

const fn call(name: &'static str, x86_64: u32, x32: u32, i386: u32, aarch64: u32, arm: u32) -> Call {
    Call { name, x86_64, x32, i386, aarch64, arm }
}

impl Call {
    /// The call of this name, on whichever ABI it exists.
    pub fn named(name: &str) -> Option<&'static Self> {
        let index = calls::CALLS.binary_search_by(|call| call.name.cmp(name)).ok()?;
        calls::CALLS.get(index)
    }

    /// The call that has this number on `arch` (for x32 with its bit).
    pub fn numbered(arch: Arch, number: u32) -> Option<&'static Self> {
        calls::CALLS.iter().find(|call| call.number(arch) == Some(number))
    }

    /// Its number on `arch`, for x32 with the bit; `None` where the ABI lacks it.
    pub fn number(&self, arch: Arch) -> Option<u32> {
        let number = match arch {
            Arch::X86_64 => self.x86_64,
            Arch::X32 => self.x32,
            Arch::X86 => self.i386,
            Arch::Aarch64 => self.aarch64,
            Arch::Arm => self.arm,
        };
        match arch {
            _ if number == NONE => None,
            Arch::X32 => Some(number | Arch::X32_BIT),
            _ => Some(number),
        }
    }

    /// Every call, sorted by name.
    pub fn all() -> &'static [Self] {
        calls::CALLS
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_number_has_one_name() {
        assert!(calls::CALLS.is_sorted_by(|a, b| a.name < b.name));
        for arch in Arch::ALL {
            let mut numbers: Vec<_> =
                calls::CALLS.iter().filter_map(|c| Some((c.number(arch)?, c.name))).collect();
            numbers.sort_unstable();
            for pair in numbers.windows(2) {
                // The same ARM call under its private and its common name.
                let alias = pair[0].1 == "arm_sync_file_range";
                assert!(pair[0].0 != pair[1].0 || alias, "{arch:?}: {pair:?}");
            }
        }
    }

    #[test]
    fn numbers_are_those_of_libc() {
        let pairs = [
            ("read", libc::SYS_read),
            ("execve", libc::SYS_execve),
            ("clone3", libc::SYS_clone3),
            ("openat2", libc::SYS_openat2),
            ("seccomp", libc::SYS_seccomp),
            ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
            ("io_uring_setup", libc::SYS_io_uring_setup),
        ];
        let native = Arch::NATIVE.unwrap();
        for (name, number) in pairs {
            assert_eq!(
                Call::named(name).unwrap().number(native),
                Some(u32::try_from(number).unwrap()),
                "{name}"
            );
        }
    }

    #[test]
    fn columns_are_told_apart() {
        let execve = Call::named("execve").unwrap();
        let numbers = Arch::ALL.map(|arch| execve.number(arch).unwrap());
        assert_eq!(numbers, [59, 0x4000_0000 | 520, 11, 221, 11]);
        assert_eq!(Call::named("open").unwrap().number(Arch::Aarch64), None);
        assert_eq!(Call::named("no_such_call"), None);
        assert_eq!(Call::numbered(Arch::X32, 0x4000_0000 | 520), Some(execve));
    }
}

//! The memory behind `/proc/PID/cmdline` and `/proc/PID/environ` of this process: the
//! strings that execve(2) laid on its stack (proc_pid_cmdline(5)).

use std::ptr::with_exposed_provenance_mut;

use nix::errno::Errno;

use super::Result;

/// Field numbers of proc_pid_stat(5): arg_start, arg_end, env_start, env_end (since 3.5).
const FIELDS: [usize; 4] = [48, 49, 50, 51];
/// The first field behind the name, which may hold anything.
const FIRST: usize = 3;

/// Where the strings of this process lie, and of every copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arguments {
    arguments: (usize, usize),
    environment: (usize, usize),
}

impl Arguments {
    /// Asks the kernel.
    ///
    /// # Errors
    /// ENOENT: `/proc` is not mounted. EIO: the kernel does not say.
    pub fn own() -> Result<Self> {
        parse(&super::file::whole("/proc/self/stat")?).ok_or(Errno::EIO)
    }

    /// \[child\] Leaves `name` as the command line, and nothing of the environment. In the calling
    /// process alone: the memory is private.
    pub fn overwrite(&self, name: &[u8]) {
        let mut letters = name.iter();
        let (start, end) = self.arguments;
        for address in start..end {
            // The last byte stays zero: without it the kernel would go on into the environment.
            let letter = letters.next().filter(|_| address + 1 < end);
            store(address, letter.copied().unwrap_or(0));
        }
        (self.environment.0..self.environment.1).for_each(|address| store(address, 0));
    }
}

fn store(address: usize, byte: u8) {
    let place = with_exposed_provenance_mut::<u8>(address);
    // SAFETY: a byte of the strings that the kernel laid on this process's stack before it ran,
    // by the kernel's own account; the stack is writable and lives as long as the process. No
    // reference into them exists: std copies arguments and variables, and in a single thread
    // nothing reads them now. Who reads them afterwards finds shorter strings, each with its end.
    unsafe { place.write_volatile(byte) }
}

fn parse(stat: &[u8]) -> Option<Arguments> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - FIRST)?.parse::<usize>().ok();
    let [arguments, arguments_end, environment, environment_end] = FIELDS.map(number);
    let span = |start: Option<usize>, end: Option<usize>| {
        let (start, end) = (start?, end?);
        // 0: the reader may not know, which of oneself cannot be.
        (start > 0 && start <= end).then_some((start, end))
    };
    Some(Arguments {
        arguments: span(arguments, arguments_end)?,
        environment: span(environment, environment_end)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_hold_anything() {
        let numbers: Vec<String> = (4..=52).map(|field| (field * 1000).to_string()).collect();
        let stat = format!("1 (a) 2) (b)) S {}\n", numbers.join(" "));
        let expected = Arguments { arguments: (48_000, 49_000), environment: (50_000, 51_000) };
        assert_eq!(parse(stat.as_bytes()), Some(expected));
        assert_eq!(parse(stat.replace("48000", "0").as_bytes()), None);
        assert_eq!(parse(stat.replace("48000", "49001").as_bytes()), None);
        assert_eq!(parse(b"1 (a) S 1 2 3"), None);
    }

    #[test]
    fn a_copy_of_this_process_forgets_and_this_one_does_not() {
        let own = Arguments::own().unwrap();
        let before = std::fs::read("/proc/self/cmdline").unwrap();
        assert_eq!(own.arguments.1 - own.arguments.0, before.len());
        let (shown, said) = nix::unistd::pipe().unwrap();
        match super::super::clone::fork_plain(0).unwrap() {
            None => {
                own.overwrite(b"pinfold");
                super::super::file::write_all(std::os::fd::AsFd::as_fd(&said), b"x").unwrap();
                loop {
                    nix::unistd::pause();
                }
            }
            Some(child) => {
                let mut byte = [0];
                super::super::file::read(std::os::fd::AsFd::as_fd(&shown), &mut byte).unwrap();
                let line = std::fs::read(format!("/proc/{child}/cmdline")).unwrap();
                let environment = std::fs::read(format!("/proc/{child}/environ")).unwrap();
                super::super::signal::kill_raw(child, libc::SIGKILL).unwrap();
                super::super::wait::wait4_rusage(child).unwrap();
                assert_eq!(line.split(|byte| *byte == 0).next(), Some(&b"pinfold"[..]));
                assert!(line.iter().skip(7).all(|byte| *byte == 0), "{line:?}");
                assert!(environment.iter().all(|byte| *byte == 0), "{environment:?}");
            }
        }
        assert_eq!(std::fs::read("/proc/self/cmdline").unwrap(), before);
    }
}

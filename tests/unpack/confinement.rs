//! A parser that a layer took over, under the very confinement of the unpacker: what it can
//! reach is its root, and nothing else. Each attempt is one that succeeds outside of it.

use std::fs::File;
use std::io::Read;

use pinfold::error::{Error, Result};
use pinfold::image::unpack::{Devices, Limits, Options};

use crate::Case;
use crate::world::Place;

pub const CASES: &[Case] = &[
    ("a_taken_over_unpacker_reaches_nothing", a_taken_over_unpacker_reaches_nothing),
    ("the_attempts_succeed_without_it", the_attempts_succeed_without_it),
];

/// The limit by which this program knows, executed as the unpacker, that it is to attack.
const MARK: usize = 4001;

fn marked() -> Options {
    Options { limits: Limits { name_bytes: MARK, ..Limits::default() }, ..Options::default() }
}

pub fn is_attack(job: &str) -> bool {
    job.contains(&format!("\"name_bytes\":{MARK},"))
}

/// What a taken-over unpacker tries; the blob names the canary.
pub fn attack(mut blob: File) -> Result<()> {
    let mut canary = String::new();
    blob.read_to_string(&mut canary).map_err(|error| Error::internal(error.to_string()))?;
    let done = attempts(&canary).into_iter().filter(|(_, succeeded)| *succeeded).map(|(name, _)| name);
    // The files below its root are its own.
    let own = std::fs::write("/made", b"").is_ok();
    Err(Error::setup(format!("own root {own}; succeeded: [{}]", done.collect::<Vec<_>>().join(" "))))
}

#[allow(unsafe_code, reason = "raw calls, as an attacker makes them")]
fn attempts(canary: &str) -> Vec<(&'static str, bool)> {
    let path = std::ffi::CString::new(canary).unwrap();
    let call = |number: libc::c_long, args: [libc::c_long; 6]| {
        // SAFETY: the arguments are numbers and strings that live through the call, or null.
        unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]) >= 0 }
    };
    let string = path.as_ptr() as libc::c_long;
    let dot_dot = c"../../../../../../..".as_ptr() as libc::c_long;
    let open = |from: i64, name: i64| call(libc::SYS_openat, [from, name, libc::O_RDONLY.into(), 0, 0, 0]);
    let above = |from: i64| {
        // SAFETY: as above.
        let fd = unsafe { libc::syscall(libc::SYS_openat, from, dot_dot, libc::O_RDONLY) };
        fd >= 0 && call(libc::SYS_openat, [fd, c"etc/passwd".as_ptr() as i64, 0, 0, 0, 0])
    };
    let inet = call(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0, 0, 0, 0]);
    let unix = call(libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0, 0, 0, 0]);
    let other = (4..64_i64).any(|fd| call(libc::SYS_fcntl, [fd, libc::F_GETFD.into(), 0, 0, 0, 0]));
    let memory = call(libc::SYS_mmap, [0, 4096, 7, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).into(), -1, 0]);
    vec![
        ("canary", open(libc::AT_FDCWD.into(), string)),
        ("above", (0..64).any(above) || above(libc::AT_FDCWD.into())),
        ("proc", open(libc::AT_FDCWD.into(), c"/proc/self/status".as_ptr() as i64)),
        ("internet", inet),
        ("unix", unix),
        ("descriptors", other),
        ("signal", call(libc::SYS_kill, [1, 0, 0, 0, 0, 0])),
        ("execute", call(libc::SYS_execve, [c"/made".as_ptr() as i64, 0, 0, 0, 0, 0])),
        ("code", memory),
        ("namespace", call(libc::SYS_unshare, [libc::CLONE_NEWUTS.into(), 0, 0, 0, 0, 0])),
        ("ptrace", call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0, 0, 0, 0])),
        ("keys", call(libc::SYS_keyctl, [0, -3, 0, 0, 0, 0])),
        ("memory file", call(libc::SYS_memfd_create, [c"m".as_ptr() as i64, 0, 0, 0, 0, 0])),
        (
            "disk",
            call(libc::SYS_mknodat, [libc::AT_FDCWD.into(), c"disk".as_ptr() as i64, 0o60600, 0x800, 0, 0]),
        ),
    ]
}

fn a_taken_over_unpacker_reaches_nothing() {
    for devices in [Devices::Skip, Devices::Make] {
        let place = Place::new();
        let options = Options { devices, ..marked() };
        let error = place.unpack(place.canary().as_bytes(), &options).unwrap_err().to_string();
        // With the option to make devices it may make them; none opens below its root.
        let expected = if devices == Devices::Make { "disk" } else { "" };
        assert_eq!(error, format!("own root true; succeeded: [{expected}]"));
        place.assert_empty();
        place.assert_untouched();
    }
}

/// The control: the same attempts by a process of this test, in a directory of its own.
fn the_attempts_succeed_without_it() {
    let place = Place::new();
    let own = std::env::current_exe().unwrap();
    let out = std::process::Command::new(own)
        .args(["--attempts", &place.canary()])
        .current_dir(place.path().join("staging"))
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    for name in
        ["canary", "above", "proc", "internet", "unix", "signal", "code", "namespace", "ptrace", "disk"]
    {
        assert!(said.lines().any(|line| line == name), "{name} is no attempt that can succeed: {said}");
    }
}

pub fn print_attempts(canary: &str) {
    attempts(canary).into_iter().filter(|(_, succeeded)| *succeeded).for_each(|(name, _)| println!("{name}"));
}

//! fork(2), prctl(2), pid_namespaces(7): what the end of a process, or of a thread, says and
//! does not say.

use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use pinfold::sys::{self, clone, prctl};

use super::kernel::{Step, beside, ensure, in_child};
use super::support::{Bundle, Dir, Ran, await_that, executable, start};

/// Its parent has no number there, so that comparing numbers shows neither that pinfold lives
/// nor that it is gone: the control socket does.
#[test]
fn in_a_new_pid_namespace_the_parent_is_zero() {
    let zero = || ensure(sys::ids::getppid()? == 0);
    assert_eq!(in_child(clone::CLONE_NEWPID, zero), Ok(()), "it has a number: no trap");
    assert_eq!(in_child(0, || ensure(sys::ids::getppid()? != 0)), Ok(()));

    // pinfold is killed as soon as it has a child, which has asked for no death signal yet.
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/sleep", "60"]);
    let mut orphans = 0;
    for round in 0..20 {
        let id = dir.id(&format!("early{round}"));
        let running = start(&mut dir.command(&["run", "--bundle", bundle.text(), &id]));
        // In a loop without a pause: the time that counts is shorter than any.
        let until = Instant::now() + Duration::from_secs(5);
        let child = loop {
            if let Some(child) = first_of_its_pid_namespace(running.id()) {
                break child;
            }
            assert!(Instant::now() < until, "pinfold had no child");
        };
        running.kill_9();
        orphans += i32::from(alive(child));
        await_that("the child of a killed pinfold ends", || !alive(child));
    }
    assert!(orphans > 0, "no child was alive when its parent was killed: nothing was tried");
    dir.pinfold(&["gc"]).ok();
    dir.assert_nothing_left();
}

/// The child that has a number in a pid namespace of its own too (proc_pid_status(5), NSpid).
fn first_of_its_pid_namespace(parent: u32) -> Option<i32> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let is_first = |pid: &&str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
    };
    list.split_whitespace().find(is_first)?.parse().ok()
}

/// PR_SET_PDEATHSIG means the parent *thread*. pinfold's own caller is watched by pidfd.
#[test]
fn the_end_of_the_callers_thread_is_not_the_callers_end() {
    let by_a_thread = || {
        let thread = std::thread::spawn(|| {
            let asks = || -> Step {
                prctl::set_pdeathsig(libc::SIGKILL)?;
                // Far longer than the thread lives, and with an end of its own.
                let length = nix::sys::time::TimeSpec::new(30, 0);
                nix::time::clock_nanosleep(
                    nix::time::ClockId::CLOCK_MONOTONIC,
                    nix::time::ClockNanosleepFlags::empty(),
                    &length,
                )
                .map(drop)
            };
            let child = beside(0, None, asks);
            std::thread::sleep(std::time::Duration::from_millis(200));
            assert!(alive(child.pid), "it died before the thread did");
            child
        });
        thread.join().unwrap()
    };
    let child = by_a_thread();
    await_that("the child of an ended thread is killed: no trap", || !alive(child.pid));
    drop(child);

    let dir = Dir::new();
    let running = std::thread::spawn({
        let mut command = dir.command(&["sandbox", "--", "sh", "-c", "sleep 0.5; echo done"]);
        move || start(&mut command)
    });
    assert_eq!(running.join().unwrap().wait().ok(), "done\n");
    let bundle = Bundle::script(&dir, "bundle", "sleep 0.5; echo done");
    let mut command = dir.command(&["run", "--bundle", bundle.text(), &dir.id("thread")]);
    let running = std::thread::spawn(move || start(&mut command));
    assert_eq!(running.join().unwrap().wait().ok(), "done\n");
    dir.assert_nothing_left();
}

/// Neither gone nor waiting to be reaped.
fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// What a parent reads from the close-on-exec end that a child holds: nothing, in both cases.
fn end_of(child: impl FnOnce() -> Step) -> usize {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (parent, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags).unwrap();
    let started = beside(0, None, child);
    drop(theirs);
    let read = sys::file::read(parent.as_fd(), &mut [0; 8]).unwrap();
    drop(started);
    read
}

#[test]
fn end_of_file_is_the_same_for_a_program_and_for_a_death() {
    use pinfold::sys::exec::{CStringArray, execve};
    let words = CStringArray::new(vec![c"true".to_owned()]);
    let none = CStringArray::new(vec![]);
    let runs = || Err(execve(c"/usr/bin/busybox", &words, &none));
    let dies = || Err(Errno::EIO);
    assert_eq!((end_of(runs), end_of(dies)), (0, 0), "they can be told apart: no trap");

    // The child that waits for `start` is killed: nothing has been executed.
    let dir = Dir::new();
    let bundle = Bundle::new(&dir, "bundle", &["/bin/true"]);
    let id = dir.id("killed");
    dir.pinfold(&["create", "--bundle", bundle.text(), &id]).ok();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(dir.pid_of(&id)), nix::sys::signal::SIGKILL).unwrap();
    let ran = dir.pinfold(&["start", &id]);
    assert_ne!(ran.code(), 0, "{ran:?}");
    dir.pinfold(&["delete", "--force", &id]).ok();
    // A program that the kernel refuses: the descriptors close all the same.
    let noise = Bundle::new(&dir, "noise", &["/bin/noise"]);
    executable(noise.rootfs().join("bin/noise"), [1, 2]);
    let refused = |ran: &Ran| assert!(ran.code() != 0 && ran.err.contains("exec format error"), "{ran:?}");
    refused(&noise.run(&dir, &dir.id("noise")));
    refused(&dir.pinfold(&["run", "--detach", "--bundle", noise.text(), &dir.id("noise")]));
    dir.pinfold(&["create", "--bundle", noise.text(), &id]).ok();
    refused(&dir.pinfold(&["start", &id]));
    dir.pinfold(&["delete", "--force", &id]).ok();
    dir.assert_nothing_left();
}

use std::ffi::CString;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::super::clone::{CloneArgs, Cloned, clone3, exit_now, thread_count};
use super::super::close_range::close_range;
use super::super::exec::{CStringArray, execve, execveat};
use super::super::file;
use super::super::pidfd::{Namespace, pidfd_getfd, pidfd_namespace, pidfd_open, pidfd_send_signal};
use super::super::signal;
use super::super::wait::{WEXITED, WNOHANG, WNOWAIT, wait_any_nohang, wait4_rusage, waitid_pidfd};
use super::{ended, ensure, in_child};

#[test]
fn a_child_ends_with_its_code_with_and_without_an_exit_signal() {
    for exit_signal in [libc::SIGCHLD, 0] {
        let args = CloneArgs { exit_signal, ..CloneArgs::default() };
        let Cloned::Parent { pid, pidfd } = clone3(&args).unwrap() else { exit_now(41) };
        let info = waitid_pidfd(pidfd.as_fd(), WEXITED | WNOWAIT).unwrap().unwrap();
        assert_eq!((info.code, info.status, info.pid), (libc::CLD_EXITED, 41, pid.as_raw()));
        assert_eq!(wait4_rusage(pid.as_raw()).unwrap().0, 41 << 8);
        assert_eq!(waitid_pidfd(pidfd.as_fd(), WEXITED), Err(Errno::ECHILD));
    }
}

#[test]
fn what_a_fork_does_not_share_is_refused() {
    for flags in [libc::CLONE_VM, libc::CLONE_THREAD, libc::CLONE_FILES, libc::CLONE_SETTLS] {
        let args = CloneArgs { flags: u64::from(flags.unsigned_abs()), ..CloneArgs::default() };
        assert_eq!(clone3(&args).unwrap_err(), Errno::EINVAL);
    }
    let args = CloneArgs { exit_signal: libc::SIGKILL, ..CloneArgs::default() };
    assert_eq!(clone3(&args).unwrap_err(), Errno::EINVAL);
}

#[test]
fn a_child_has_one_thread_and_its_children_are_waited_for() {
    assert!(thread_count().unwrap() >= 2, "the test program has a main thread and this one");
    in_child(0, || {
        ensure(wait_any_nohang() == Err(Errno::ECHILD))?;
        match clone3(&CloneArgs::default())? {
            Cloned::Child => exit_now(3),
            Cloned::Parent { pid, pidfd } => {
                waitid_pidfd(pidfd.as_fd(), WEXITED | WNOWAIT)?;
                ensure(wait_any_nohang()? == Some((pid.as_raw(), 3 << 8)))
            }
        }
    });
}

#[test]
fn a_pidfd_signals_its_process_and_outlives_it() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let Cloned::Parent { pid, pidfd } = clone3(&CloneArgs::default()).unwrap() else {
        drop(writer);
        let ended = file::read(reader.as_fd(), &mut [0]);
        exit_now(i32::from(ended.is_err()));
    };
    let other = pidfd_open(pid).unwrap();
    assert_eq!(waitid_pidfd(other.as_fd(), WEXITED | WNOHANG), Ok(None));
    pidfd_send_signal(pidfd.as_fd(), 0).unwrap();
    pidfd_send_signal(other.as_fd(), libc::SIGKILL).unwrap();
    let info = waitid_pidfd(pidfd.as_fd(), WEXITED).unwrap().unwrap();
    assert_eq!((info.code, info.status), (libc::CLD_KILLED, libc::SIGKILL));
    assert_eq!(pidfd_send_signal(pidfd.as_fd(), 0), Err(Errno::ESRCH));
    assert_eq!(pidfd_open(Pid::from_raw(-1)).unwrap_err(), Errno::EINVAL);
    drop((reader, writer));
}

#[test]
fn a_pidfd_gives_namespaces_and_files() {
    let own = pidfd_open(Pid::this()).unwrap();
    for (kind, name) in [(Namespace::User, "user"), (Namespace::Mount, "mnt"), (Namespace::Uts, "uts")] {
        let by_name = std::fs::File::open(format!("/proc/self/ns/{name}")).unwrap();
        match pidfd_namespace(own.as_fd(), kind) {
            Err(errno) => assert_eq!(errno, Errno::ENOTTY, "only before 6.11"),
            Ok(fd) => assert_eq!(file::stat(fd.as_fd()), file::stat(by_name.as_fd())),
        }
    }
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let again = pidfd_getfd(own.as_fd(), number).unwrap();
    assert_eq!(file::stat(again.as_fd()), file::stat(reader.as_fd()));
}

#[test]
fn close_range_closes_all_of_the_range_and_no_more() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    in_child(0, || {
        file::dup3(reader.as_fd(), 2, 0)?;
        close_range(3, u32::MAX, 0)?;
        ensure(file::stat(reader.as_fd()) == Err(Errno::EBADF))?;
        ensure(file::stat(writer.as_fd()) == Err(Errno::EBADF))?;
        // SAFETY: number 2 was made above and stays open until the end.
        file::stat(unsafe { std::os::fd::BorrowedFd::borrow_raw(2) }).map(drop)
    });
    assert_eq!(close_range(9, 8, 0), Err(Errno::EINVAL));
}

fn strings(texts: &[&str]) -> CStringArray {
    CStringArray::new(texts.iter().map(|text| CString::new(*text).unwrap()).collect())
}

#[test]
fn execve_passes_the_strings_in_order_even_after_a_move() {
    let argv = strings(&["sh", "-c", "test \"$0|$1|$X\" = 'a||b c' && exit 7", "a", ""]);
    let moved = Box::new((argv, strings(&["X=b c"])));
    assert_eq!(moved.0.strings().len(), 5);
    let end = ended(0, || Err(execve(c"/bin/sh", &moved.0, &moved.1)));
    assert_eq!((end.code, end.status), (libc::CLD_EXITED, 7));
    assert_eq!(execve(c"/nonexistent", &moved.0, &moved.1), Errno::ENOENT);
}

#[test]
fn execveat_runs_the_open_file_itself() {
    let shell = std::fs::File::open("/bin/sh").unwrap();
    let (argv, envp) = (strings(&["sh", "-c", "exit 9"]), strings(&[]));
    let end = ended(0, || Err(execveat(shell.as_fd(), c"", &argv, &envp, libc::AT_EMPTY_PATH)));
    assert_eq!((end.code, end.status), (libc::CLD_EXITED, 9));
    assert_eq!(execveat(shell.as_fd(), c"", &argv, &envp, 0), Errno::ENOENT);
}

#[test]
fn a_signalfd_reads_the_blocked_signals_and_no_others() {
    in_child(0, || {
        signal::block_all()?;
        let fd = signal::signalfd(&[libc::SIGUSR1, 64])?;
        let own = i32::try_from(std::process::id()).or(Err(Errno::EINVAL))?;
        ensure(signal::signalfd_read(fd.as_fd())?.is_none())?;
        signal::kill_raw(own, libc::SIGUSR2)?;
        ensure(signal::signalfd_read(fd.as_fd())?.is_none())?;
        signal::kill_raw(own, 64)?;
        signal::kill_raw(own, libc::SIGUSR1)?;
        ensure(signal::signalfd_read(fd.as_fd())? == Some(libc::SIGUSR1))?;
        ensure(signal::signalfd_read(fd.as_fd())? == Some(64))
    });
    for bad in [0, -1, 65] {
        assert_eq!(signal::signalfd(&[bad]).unwrap_err(), Errno::EINVAL);
    }
}

#[test]
fn end_on_ends_by_its_signals_alone_until_they_are_reset() {
    let own = || i32::try_from(std::process::id()).or(Err(Errno::EINVAL));
    // Whether it was pending or comes later.
    for is_pending in [true, false] {
        let end = ended(0, || {
            signal::block_all()?;
            if is_pending {
                signal::kill_raw(own()?, libc::SIGHUP)?;
            }
            signal::end_on(&[libc::SIGHUP])?;
            ensure(signal::mask()? & 1 << (libc::SIGHUP - 1) == 0)?;
            signal::kill_raw(own()?, libc::SIGHUP)
        });
        assert_eq!((end.code, end.status), (libc::CLD_EXITED, 128 + libc::SIGHUP));
    }
    in_child(0, || {
        signal::end_on(&[libc::SIGHUP])?;
        signal::kill_raw(own()?, libc::SIGTERM)
    });
    let end = ended(0, || {
        signal::end_on(&[libc::SIGHUP])?;
        signal::reset()?;
        signal::kill_raw(own()?, libc::SIGHUP)
    });
    assert_eq!((end.code, end.status), (libc::CLD_KILLED, libc::SIGHUP));
    for bad in [0, 65, libc::SIGKILL] {
        assert_eq!(signal::end_on(&[bad]).unwrap_err(), Errno::EINVAL);
    }
}

#[test]
fn reset_dispositions_undoes_ignored_signals() {
    use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, shutdown, socketpair};
    let flags = SockFlag::SOCK_CLOEXEC;
    let (writer, _reader) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags).unwrap();
    // Not a pipe with a dropped reader: another test's child may hold a copy of that.
    shutdown(std::os::fd::AsRawFd::as_raw_fd(&writer), Shutdown::Write).unwrap();
    // The Rust runtime ignores SIGPIPE.
    in_child(0, || ensure(file::write_all(writer.as_fd(), b"x") == Err(Errno::EPIPE)));
    let end = ended(0, || {
        signal::block_all()?;
        ensure(signal::mask()? == !(1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1)))?;
        signal::set_mask_empty()?;
        ensure(signal::mask()? == 0)?;
        signal::reset_dispositions()?;
        file::write_all(writer.as_fd(), b"x")
    });
    assert_eq!((end.code, end.status), (libc::CLD_KILLED, libc::SIGPIPE));
}

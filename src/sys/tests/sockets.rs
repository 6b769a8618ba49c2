use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;

use super::super::file;
use super::super::poll::{POLLIN, PollFd, ppoll};
use super::super::socket::{peer_pid, peer_pidfd, recv_fd, send_fd};
use super::super::wait::{WEXITED, waitid_pidfd};

fn pair(kind: SockType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap()
}

#[test]
fn a_descriptor_arrives_close_on_exec_with_its_bytes() {
    let (here, there) = pair(SockType::Stream);
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    let mut buffer = [0; 8];
    assert_eq!(send_fd(here.as_fd(), b"abc", Some(reader.as_fd())), Ok(3));
    let (length, fd) = recv_fd(there.as_fd(), &mut buffer).unwrap();
    let fd = fd.unwrap();
    assert_eq!(&buffer[..length], b"abc");
    assert_eq!(file::stat(fd.as_fd()), file::stat(reader.as_fd()));
    assert_eq!(nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_GETFD), Ok(libc::FD_CLOEXEC));

    assert_eq!(send_fd(here.as_fd(), b"d", None), Ok(1));
    assert!(matches!(recv_fd(there.as_fd(), &mut buffer), Ok((1, None))));
    drop(here);
    assert!(matches!(recv_fd(there.as_fd(), &mut buffer), Ok((0, None))));
    assert_eq!(send_fd(there.as_fd(), b"x", None), Err(Errno::EPIPE), "and no SIGPIPE");
}

#[test]
fn more_than_fits_is_an_error_and_what_came_is_closed() {
    let (here, there) = pair(SockType::SeqPacket);
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let both = [writer.as_raw_fd(), reader.as_raw_fd()];
    let rights = [nix::sys::socket::ControlMessage::ScmRights(&both)];
    let bytes = [std::io::IoSlice::new(b"abc")];
    let flags = nix::sys::socket::MsgFlags::empty();
    nix::sys::socket::sendmsg::<()>(here.as_raw_fd(), &bytes, &rights, flags, None).unwrap();
    assert_eq!(recv_fd(there.as_fd(), &mut [0; 8]).unwrap_err(), Errno::EPROTO);

    send_fd(here.as_fd(), b"abc", Some(writer.as_fd())).unwrap();
    assert_eq!(recv_fd(there.as_fd(), &mut [0; 2]).unwrap_err(), Errno::EMSGSIZE);

    drop(writer);
    let mut waiting = [PollFd::new(reader.as_fd(), POLLIN)];
    assert_eq!(ppoll(&mut waiting, Some(5_000)), Ok(1), "a leaked writer keeps the pipe open");
    assert_eq!(file::read(reader.as_fd(), &mut [0]), Ok(0));
}

#[test]
fn the_peer_of_a_pair_is_its_maker() {
    let (here, _there) = pair(SockType::Stream);
    assert_eq!(peer_pid(here.as_fd()), Ok(Pid::this()));
    match peer_pidfd(here.as_fd()) {
        Ok(pidfd) => assert_eq!(waitid_pidfd(pidfd.as_fd(), WEXITED), Err(Errno::ECHILD)),
        Err(errno) => assert_eq!(errno, Errno::ENOPROTOOPT, "only before 6.5"),
    }
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    assert_eq!(peer_pid(reader.as_fd()), Err(Errno::ENOTSOCK));
}

#[test]
fn ppoll_tells_who_is_ready_or_that_time_is_up() {
    let (here, there) = pair(SockType::Stream);
    let mut fds = [PollFd::nothing(), PollFd::new(there.as_fd(), POLLIN)];
    assert_eq!(ppoll(&mut fds, Some(1)), Ok(0));
    send_fd(here.as_fd(), b"x", None).unwrap();
    assert_eq!(ppoll(&mut fds, None), Ok(1));
    assert_eq!(fds.map(|fd| fd.readable()), [false, true]);
    assert_eq!(fds[1].revents(), POLLIN);
}

//! What travels on sockets: words of the child with its descriptors (console, listener), and what a
//! terminal's or a listener's receiver is sent.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use pinfold::launch::{LISTENER_WORD, listener_number, send};
use pinfold::plan::{Agent, Meeting};
use pinfold::registry::wire;
use pinfold::sys::socket::recv_fd;
use serde_json::Value;

use super::jail::Jail;

pub fn messages(bytes: &[u8]) {
    let number = listener_number(bytes);
    let is_word = bytes.len() == LISTENER_WORD && bytes[0] == Meeting::Listener as u8;
    assert_eq!(number, is_word.then(|| i32::from_le_bytes(bytes[1..].try_into().unwrap())));
    let reply = bytes.get(..wire::LARGEST_REPLY).unwrap_or(bytes);
    serde_json::from_slice::<wire::Reply>(reply).ok();
    let Some((how, rest)) = bytes.split_first() else { return };
    received(rest, usize::from(how % 4), 1 + usize::from(how / 4) % LISTENER_WORD);
    state(rest);
    if how % 16 == 0 {
        sent(rest);
    }
}

/// The child says `bytes` with some descriptors; the parent has room for `room` bytes and for one.
fn received(bytes: &[u8], descriptors: usize, room: usize) {
    let (here, there) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    let null = File::open("/dev/null").unwrap();
    let attached = vec![null.as_raw_fd(); descriptors];
    let rights = [ControlMessage::ScmRights(&attached)];
    let rights = if descriptors == 0 { &rights[..0] } else { &rights[..] };
    let bytes = &bytes[..bytes.len().min(4096)];
    sendmsg::<()>(there.as_raw_fd(), &[std::io::IoSlice::new(bytes)], rights, MsgFlags::empty(), None)
        .unwrap();
    let mut buffer = vec![0; room];
    match recv_fd(here.as_fd(), &mut buffer) {
        Ok((length, fd)) => {
            assert_eq!(&buffer[..length], bytes);
            assert!(descriptors < 2 && fd.is_some() == (descriptors == 1));
        }
        Err(Errno::EPROTO) => assert!(descriptors > 1),
        Err(Errno::EMSGSIZE) => assert!(bytes.len() > room),
        Err(errno) => panic!("{errno}"),
    }
}

/// Only the pids that are open are filled in.
fn state(bytes: &[u8]) {
    let Ok(state) = serde_json::from_slice::<Value>(bytes) else { return };
    if has_fraction(&state) {
        // No state has one, and serde_json reads them to the last digit but one.
        return;
    }
    let agent = Agent { path: "/".into(), state: state.clone() };
    let mut said: Value = serde_json::from_str(&agent.message(7)).unwrap();
    for pointer in ["/pid", "/state/pid"] {
        if state.pointer(pointer) == Some(&Value::Null) {
            assert_eq!(said.pointer(pointer), Some(&Value::from(7)));
            *said.pointer_mut(pointer).unwrap() = Value::Null;
        }
    }
    assert_eq!(said, state);
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        _ => false,
    }
}

/// The receiver gets every byte, and the descriptor once.
fn sent(bytes: &[u8]) {
    let jail = Jail::new();
    let path = jail.inside().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let bytes = &bytes[..bytes.len().min(4096)];
    let null = File::open("/dev/null").unwrap();
    match send(&path, bytes, null.as_fd(), None) {
        Ok(()) => {}
        Err(error) => panic!("{error}"),
    }
    let (mut stream, _) = listener.accept().unwrap();
    let (mut buffer, mut space) = (vec![0; 8192], nix::cmsg_space!([i32; 4]));
    let (length, got) = {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut slices, Some(&mut space), flags).unwrap();
        let rights = message.cmsgs().unwrap().flat_map(|control| match control {
            ControlMessageOwned::ScmRights(all) => all,
            _ => vec![],
        });
        (message.bytes, rights.collect::<Vec<_>>())
    };
    buffer.truncate(length);
    stream.read_to_end(&mut buffer).unwrap();
    assert_eq!(buffer, bytes);
    assert_eq!(got.len(), usize::from(!bytes.is_empty()), "a stream needs a byte to carry a descriptor");
    drop_all(got);
}

#[expect(unsafe_code, reason = "nix hands received descriptors over as numbers")]
fn drop_all(got: Vec<i32>) {
    for fd in got {
        // SAFETY: the kernel has just installed it for this process.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}

//! The few rtnetlink(7) requests that moving a network device takes: messages are written
//! and read here, and sent one at a time, each with its acknowledgement.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// linux/netlink.h
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// linux/rtnetlink.h
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_NET_NS_FD: u16 = 28;
/// linux/if_addr.h
const IFA_FLAGS: u16 = 8;
const IFA_CACHEINFO: u16 = 6;
const IFA_LABEL: u16 = 3;
const IFA_F_PERMANENT: u32 = 0x80;
/// What the kernel finds out about an address by itself: tentative, failed, deprecated.
const IFA_F_STATE: u32 = 0x40 | 0x08 | 0x20;
const RT_SCOPE_UNIVERSE: u8 = 0;
/// linux/if.h
const IFF_UP: u32 = 1;

const HEADER: usize = 16;
const LINK: usize = 16;
const ADDRESS: usize = 8;

/// A socket in one network namespace.
#[derive(Debug)]
pub(super) struct Rtnetlink {
    socket: OwnedFd,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub index: i32,
    pub name: String,
    pub up: bool,
    /// The largest packet, in bytes.
    mtu: Vec<u8>,
    /// What it is called on its medium.
    address: Vec<u8>,
}

/// An address of a device as the kernel told it, for another namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    family: u8,
    prefix: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Rtnetlink {
    /// Opens one in the namespace that this process is in, where it stays.
    pub(super) fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        Ok(Self { socket })
    }

    /// All devices.
    pub(super) fn links(&self) -> Result<Vec<Link>, Errno> {
        let bodies = self.ask(RTM_GETLINK, NLM_F_DUMP, &[0; LINK], &[])?;
        Ok(bodies.iter().filter_map(|body| link(body)).collect())
    }

    /// The addresses of a device that the owner of the host has set and that mean the same
    /// elsewhere: permanent, and of global scope (config-linux.md, "Network Devices").
    pub(super) fn addresses(&self, index: i32) -> Result<Vec<Address>, Errno> {
        let bodies = self.ask(RTM_GETADDR, NLM_F_DUMP, &[0; ADDRESS], &[])?;
        Ok(bodies.iter().filter_map(|body| address(body, index)).collect())
    }

    /// Moves a device into another namespace, under a name there. The kernel takes it down.
    pub(super) fn move_link(&self, index: i32, namespace: &OwnedFd, name: &str) -> Result<(), Errno> {
        let fd = namespace.as_raw_fd().to_ne_bytes();
        let attributes = [(IFLA_NET_NS_FD, fd.to_vec()), (IFLA_IFNAME, c_bytes(name))];
        self.ask(RTM_SETLINK, NLM_F_ACK, &link_header(index, 0, 0), &attributes).map(drop)
    }

    /// Gives a device that is down the packet size and the link address of another look at it.
    pub(super) fn make_like(&self, now: &Link, before: &Link) -> Result<(), Errno> {
        let mut changed = vec![];
        for (kind, now, before) in
            [(IFLA_MTU, &now.mtu, &before.mtu), (IFLA_ADDRESS, &now.address, &before.address)]
        {
            if now != before {
                changed.push((kind, before.clone()));
            }
        }
        match changed.is_empty() {
            true => Ok(()),
            false => self.ask(RTM_SETLINK, NLM_F_ACK, &link_header(now.index, 0, 0), &changed).map(drop),
        }
    }

    /// Takes a device up.
    pub(super) fn set_up(&self, index: i32) -> Result<(), Errno> {
        self.ask(RTM_SETLINK, NLM_F_ACK, &link_header(index, IFF_UP, IFF_UP), &[]).map(drop)
    }

    /// Gives a device an address.
    pub(super) fn add_address(&self, index: i32, address: &Address) -> Result<(), Errno> {
        let mut header = vec![address.family, address.prefix, 0, RT_SCOPE_UNIVERSE];
        header.extend(index.to_ne_bytes());
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RTM_NEWADDR, flags, &header, &address.attributes).map(drop)
    }

    /// One request: the bodies of the answers, up to the end or the acknowledgement.
    fn ask(
        &self,
        kind: u16,
        flags: u16,
        header: &[u8],
        attributes: &[(u16, Vec<u8>)],
    ) -> Result<Vec<Vec<u8>>, Errno> {
        let message = request(kind, flags | NLM_F_REQUEST, header, attributes)?;
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut bodies = vec![];
        let mut buffer = vec![0_u8; 64 << 10];
        loop {
            let length = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((kind, body, after)) = split(rest) {
                match kind {
                    NLMSG_DONE => return Ok(bodies),
                    NLMSG_ERROR => return acknowledged(body).map(|()| bodies),
                    _ => bodies.push(body.to_vec()),
                }
                rest = after;
            }
        }
    }
}

fn c_bytes(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).collect()
}

fn link_header(index: i32, flags: u32, change: u32) -> Vec<u8> {
    let mut header = vec![0, 0, 0, 0];
    header.extend(index.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    header.extend(change.to_ne_bytes());
    header
}

fn request(kind: u16, flags: u16, header: &[u8], attributes: &[(u16, Vec<u8>)]) -> Result<Vec<u8>, Errno> {
    let mut message = vec![0; 4];
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and port: one request at a time, on a socket of our own.
    message.extend([0; 8]);
    message.extend(header);
    for (kind, value) in attributes {
        let length = u16::try_from(value.len() + 4).or(Err(Errno::EMSGSIZE))?;
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    let length = u32::try_from(message.len()).or(Err(Errno::EMSGSIZE))?;
    message.splice(..4, length.to_ne_bytes());
    Ok(message)
}

/// Type and body of the first message, and what follows.
fn split(messages: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(at(messages, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(at(messages, 4)?);
    let body = messages.get(HEADER..length)?;
    Some((kind, body, messages.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

/// `struct nlmsgerr`: 0, or a negative errno.
fn acknowledged(body: &[u8]) -> Result<(), Errno> {
    match at(body, 0).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(Errno::from_raw(error.saturating_neg())),
        None => Err(Errno::EBADMSG),
    }
}

fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = vec![];
    while let (Some(length), Some(kind)) = (at(bytes, 0), at(bytes, 2)) {
        let length = usize::from(u16::from_ne_bytes(length));
        let Some(value) = bytes.get(4..length) else { break };
        // The two upper bits are flags (linux/netlink.h).
        found.push((u16::from_ne_bytes(kind) & 0x3fff, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn link(body: &[u8]) -> Option<Link> {
    let all = attributes(body.get(LINK..)?);
    let told = |wanted| all.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
    let name = String::from_utf8_lossy(told(IFLA_IFNAME)?).trim_end_matches('\0').to_owned();
    let up = u32::from_ne_bytes(at(body, 8)?) & IFF_UP != 0;
    let own = |kind| told(kind).map(<[u8]>::to_vec).unwrap_or_default();
    let index = i32::from_ne_bytes(at(body, 4)?);
    Some(Link { index, name, up, mtu: own(IFLA_MTU), address: own(IFLA_ADDRESS) })
}

/// An address of this device that moves with it.
fn address(body: &[u8], index: i32) -> Option<Address> {
    let [family, prefix, short_flags, scope] = at(body, 0)?;
    let all = attributes(body.get(ADDRESS..)?);
    let long_flags = all.iter().find(|(kind, _)| *kind == IFA_FLAGS).and_then(|(_, value)| at(value, 0));
    let flags = long_flags.map_or(u32::from(short_flags), u32::from_ne_bytes);
    let own = i32::from_ne_bytes(at(body, 4)?) == index;
    if !own || scope != RT_SCOPE_UNIVERSE || flags & IFA_F_PERMANENT == 0 {
        return None;
    }
    // A label begins with the device's old name; the cache is the kernel's own account.
    let told = all.iter().filter(|(kind, _)| ![IFA_FLAGS, IFA_CACHEINFO, IFA_LABEL].contains(kind));
    let mut attributes: Vec<_> = told.map(|(kind, value)| (*kind, value.to_vec())).collect();
    attributes.push((IFA_FLAGS, (flags & !IFA_F_STATE).to_ne_bytes().to_vec()));
    Some(Address { family, prefix, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// struct ifaddrmsg and its attributes.
    fn told(scope: u8, flags: u32, index: i32) -> Vec<u8> {
        let mut header = vec![2, 24, 0x80, scope];
        header.extend(index.to_ne_bytes());
        let attributes = [
            (2, vec![10, 0, 0, 7]),
            (IFA_LABEL, c_bytes("eth0")),
            (IFA_FLAGS, flags.to_ne_bytes().to_vec()),
            (IFA_CACHEINFO, vec![0; 16]),
        ];
        request(RTM_NEWADDR, 0, &header, &attributes).unwrap()[HEADER..].to_vec()
    }

    #[test]
    fn only_permanent_global_addresses_of_the_device_move() {
        let rows = [
            (0, 0x80, 5, true),
            (0, 0x280, 5, true),
            (253, 0x80, 5, false),
            (254, 0x80, 5, false),
            (0, 0, 5, false),
            (0, 0x80, 6, false),
        ];
        for (scope, flags, index, moves) in rows {
            assert_eq!(address(&told(scope, flags, index), 5).is_some(), moves, "{scope} {flags:#x} {index}");
        }
        let found = address(&told(0, 0xc0, 5), 5).unwrap();
        assert_eq!((found.family, found.prefix), (2, 24));
        assert_eq!(found.attributes, [(2, vec![10, 0, 0, 7]), (IFA_FLAGS, 0x80_u32.to_ne_bytes().to_vec())]);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let body = [link_header(7, IFF_UP, 0), vec![]].concat();
        let message = request(16, 0, &body, &[(IFLA_IFNAME, c_bytes("eth0")), (4, vec![1])]).unwrap();
        assert_eq!(message.len() % 4, 0);
        let two = [message.clone(), message].concat();
        let (kind, body, after) = split(&two).unwrap();
        let (mtu, address) = (vec![1], vec![]);
        let read = Link { index: 7, name: "eth0".to_owned(), up: true, mtu, address };
        assert_eq!((kind, link(body)), (16, Some(read)));
        assert_eq!(split(after).map(|(kind, _, after)| (kind, after.len())), Some((16, 0)));
        for length in 0..HEADER {
            assert!(split(&two[..length]).is_none());
        }
    }

    #[test]
    fn an_answer_is_an_errno_or_none() {
        assert_eq!(acknowledged(&0_i32.to_ne_bytes()), Ok(()));
        assert_eq!(acknowledged(&(-17_i32).to_ne_bytes()), Err(Errno::EEXIST));
        assert_eq!(acknowledged(&[0]), Err(Errno::EBADMSG));
        assert_eq!(acknowledged(&i32::MIN.to_ne_bytes()), Err(Errno::from_raw(i32::MAX)));
    }

    #[test]
    fn broken_attributes_end_the_list() {
        for bytes in [&[0, 0, 1, 0][..], &[3, 0, 1, 0], &[9, 0, 1, 0, 5], &[5]] {
            assert!(attributes(bytes).len() <= 1, "{bytes:?}");
        }
    }
}

//! `linux.netDevices`: devices of the runtime's network namespace become the container's, and are
//! the runtime's again when the launch fails.
//! config-linux.md "Network Devices"; rtnetlink(7), network_namespaces(7).
//!
//! Root of a joined namespace may rename the device, move it on, and put one of its own in its
//! place at any time: a device is told by [`Node`], never by name or number alone.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use super::net_node::{Node, Nodes};
use super::netlink::{Address, Link, Rtnetlink};
use super::start::{Assembled, proc_directory};
use crate::error::{Call, Context, Error, Result};
use crate::plan::NetDevice;

/// How often a device is fetched while somebody inside exchanges it for others.
const ATTEMPTS: u32 = 8;
/// What a device is called between two namespaces.
const BETWEEN: &str = "pinfold%d";

/// Devices in a container whose launch can still fail.
#[derive(Debug)]
pub(super) struct Lent {
    /// The runtime's namespace.
    own: OwnedFd,
    here: Rtnetlink,
    /// The container's; it keeps the namespace when the last process of it has ended.
    there: Rtnetlink,
    moved: Vec<Moved>,
}

/// A device on its way.
#[derive(Debug)]
struct Moved {
    before: Link,
    addresses: Vec<Address>,
    node: Node,
    field: String,
}

/// Moves all of them. When one cannot be moved, those that were are given back.
///
/// # Errors
/// No such device, or one of that name inside; the kernel's refusal.
pub(super) fn move_all(devices: &[NetDevice], child: &Assembled) -> Result<Option<Lent>> {
    if devices.is_empty() {
        return Ok(None);
    }
    let path = format!("/proc/{}/ns/net", child.pid);
    let open = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let inside = nix::fcntl::openat(proc_directory(child)?, "ns/net", open, Mode::empty());
    let inside = inside.call("openat").on(path)?;
    let own =
        nix::fcntl::open("/proc/self/ns/net", open, Mode::empty()).call("open").on("/proc/self/ns/net")?;
    let nodes = Nodes::open()?;
    let here = Rtnetlink::open().call("socket")?;
    let there = within(&own, || {
        nix::sched::setns(&inside, CloneFlags::CLONE_NEWNET).call("setns")?;
        Rtnetlink::open().call("socket")
    })?;
    let mut lent = Lent { own, here, there, moved: vec![] };
    for device in devices {
        if let Err(error) = lent.lend(device, &nodes, &inside) {
            let error = error.object(&device.host_name).field(device.field.clone());
            return Err(lent.give_back(error));
        }
    }
    Ok(Some(lent))
}

/// Does something in another network namespace: sockets and mounts belong to the one that
/// they are opened in.
fn within<T>(own: &OwnedFd, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = act();
    nix::sched::setns(own, CloneFlags::CLONE_NEWNET).call("setns")?;
    done
}

impl Lent {
    fn lend(&mut self, device: &NetDevice, nodes: &Nodes, inside: &OwnedFd) -> Result<()> {
        let links = self.here.links().call("RTM_GETLINK")?;
        let Some(before) = links.into_iter().find(|link| link.name == device.host_name) else {
            return Err(Error::call("RTM_GETLINK", Errno::ENODEV));
        };
        let node = nodes.named(&before.name)?;
        if node.index()? != before.index {
            return Err(Error::setup("the device was exchanged for another one just now"));
        }
        let name = device.name.as_ref().unwrap_or(&device.host_name);
        // The kernel would first move it under its old name, and then fail to give it the new one.
        if self.there.links().call("RTM_GETLINK")?.iter().any(|link| link.name == *name) {
            return Err(Error::usage(format!("the container has a network device {name:?} already")));
        }
        let addresses = self.here.addresses(before.index).call("RTM_GETADDR")?;
        self.here.move_link(before.index, inside, name).call("RTM_SETLINK")?;
        let moved = Moved { before, addresses, node, field: device.field.clone() };
        let settled = settle(&self.there, &moved);
        self.moved.push(moved);
        settled
    }

    /// After the failure of a launch: all of them are the runtime's again. Whoever launched is told
    /// of those that are not.
    pub(super) fn give_back(&mut self, error: Error) -> Error {
        let mut error = error;
        for moved in std::mem::take(&mut self.moved).iter().rev() {
            if let Err(kept) = self.fetch(moved) {
                error = error.besides(&format!("nor could {} be given back: {kept}", moved.field));
            }
        }
        error
    }

    /// Through a namespace that is nobody's: only there is it certain which device has come.
    /// What else comes ends there.
    fn fetch(&self, moved: &Moved) -> Result<()> {
        let between = Between::make(&self.own)?;
        for _ in 0..ATTEMPTS {
            let index = moved.node.index()?;
            match self.there.move_link(index, &between.namespace, BETWEEN) {
                // It was moved on between the two.
                Ok(()) | Err(Errno::ENODEV) => {}
                Err(errno) => return Err(Error::call("RTM_SETLINK", errno)),
            }
            if let Some(index) = between.find(&moved.node)? {
                let name = &moved.before.name;
                between.socket.move_link(index, &self.own, name).call("RTM_SETLINK")?;
                return restore(&self.here, moved);
            }
        }
        Err(Error::setup("another device is in its place"))
    }
}

/// Up, and then its addresses: their routes need a device that is up.
fn settle(namespace: &Rtnetlink, moved: &Moved) -> Result<()> {
    let index = moved.node.index()?;
    namespace.set_up(index).call("RTM_SETLINK")?;
    add_addresses(namespace, moved, index)
}

fn add_addresses(namespace: &Rtnetlink, moved: &Moved, index: i32) -> Result<()> {
    for address in &moved.addresses {
        namespace.add_address(index, address).call("RTM_NEWADDR")?;
    }
    Ok(())
}

/// As it was, back under its name: what it is like, its state and its addresses.
fn restore(here: &Rtnetlink, moved: &Moved) -> Result<()> {
    let index = moved.node.index()?;
    let links = here.links().call("RTM_GETLINK")?;
    let now = links.iter().find(|link| link.index == index);
    let now = now.ok_or_else(|| Error::call("RTM_GETLINK", Errno::ENODEV))?;
    here.make_like(now, &moved.before).call("RTM_SETLINK")?;
    if moved.before.up {
        here.set_up(index).call("RTM_SETLINK")?;
    }
    add_addresses(here, moved, index)
}

/// A network namespace without anybody in it.
struct Between {
    namespace: OwnedFd,
    socket: Rtnetlink,
    nodes: Nodes,
}

impl Between {
    fn make(own: &OwnedFd) -> Result<Self> {
        within(own, || {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).call("unshare")?;
            let open = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            // Not "self": that is the first thread's.
            let path = "/proc/thread-self/ns/net";
            let namespace = nix::fcntl::open(path, open, Mode::empty()).call("open").on(path)?;
            let socket = Rtnetlink::open().call("socket")?;
            Ok(Self { namespace, socket, nodes: Nodes::open()? })
        })
    }

    /// The number of this device, if it is here.
    fn find(&self, wanted: &Node) -> Result<Option<i32>> {
        for link in self.socket.links().call("RTM_GETLINK")? {
            if self.nodes.named(&link.name)?.is(wanted)? {
                return Ok(Some(link.index));
            }
        }
        Ok(None)
    }
}

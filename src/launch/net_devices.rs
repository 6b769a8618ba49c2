//! `linux.netDevices`: devices of the runtime's network namespace become the container's.
//! config-linux.md "Network Devices"; rtnetlink(7), network_namespaces(7).

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;

use super::netlink::{Address, Link, Rtnetlink};
use super::start::{Assembled, proc_directory};
use crate::error::{Call, Context, Error, Result};
use crate::plan::NetDevice;

/// A device on its way.
struct Moved {
    before: Link,
    addresses: Vec<Address>,
    /// Its number in the container.
    index: i32,
}

/// Moves all of them. When one cannot be moved, those that were are given back.
///
/// # Errors
/// No such device, or one of that name inside; the kernel's refusal.
pub(super) fn move_all(devices: &[NetDevice], child: &Assembled) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let path = format!("/proc/{}/ns/net", child.pid);
    let open = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let inside = nix::fcntl::openat(proc_directory(child)?, "ns/net", open, Mode::empty());
    let inside = inside.call("openat").on(path)?;
    let own =
        nix::fcntl::open("/proc/self/ns/net", open, Mode::empty()).call("open").on("/proc/self/ns/net")?;
    let here = Rtnetlink::open().call("socket")?;
    let there = open_inside(&inside, &own)?;
    let mut moved = vec![];
    for device in devices {
        match move_one(device, &here, &there, &inside) {
            Ok(one) => moved.push(one),
            Err(error) => {
                let error = error.object(&device.host_name).field(device.field.clone());
                return Err(match give_back(&moved, &here, &there, &own) {
                    Ok(()) => error,
                    Err(errno) => error.hint(format!("nor could those before it be given back: {errno}")),
                });
            }
        }
    }
    Ok(())
}

/// A socket belongs to the namespace that it is opened in.
fn open_inside(inside: &OwnedFd, own: &OwnedFd) -> Result<Rtnetlink> {
    nix::sched::setns(inside, CloneFlags::CLONE_NEWNET).call("setns")?;
    let opened = Rtnetlink::open().call("socket");
    nix::sched::setns(own, CloneFlags::CLONE_NEWNET).call("setns")?;
    opened
}

fn move_one(device: &NetDevice, here: &Rtnetlink, there: &Rtnetlink, inside: &OwnedFd) -> Result<Moved> {
    let links = here.links().call("RTM_GETLINK")?;
    let Some(before) = links.into_iter().find(|link| link.name == device.host_name) else {
        return Err(Error::call("RTM_GETLINK", Errno::ENODEV));
    };
    let name = device.name.as_ref().unwrap_or(&device.host_name);
    let known = there.links().call("RTM_GETLINK")?;
    // The kernel would first move it under its old name, and then fail to give it the new one.
    if known.iter().any(|link| link.name == *name) {
        return Err(Error::usage(format!("the container has a network device {name:?} already")));
    }
    let addresses = here.addresses(before.index).call("RTM_GETADDR")?;
    here.move_link(before.index, inside, name).call("RTM_SETLINK")?;
    let now = there.links().call("RTM_GETLINK")?;
    let is_new = |link: &&Link| !known.iter().any(|known| known.index == link.index);
    let index = now.iter().find(is_new).map(|link| link.index);
    let index = index.ok_or_else(|| Error::setup("the device is gone after it was moved"))?;
    let moved = Moved { before, addresses, index };
    settle(there, &moved, index).map(|()| moved)
}

/// Up, and then its addresses: their routes need a device that is up.
fn settle(namespace: &Rtnetlink, moved: &Moved, index: i32) -> Result<()> {
    namespace.set_up(index).call("RTM_SETLINK")?;
    for address in &moved.addresses {
        namespace.add_address(index, address).call("RTM_NEWADDR")?;
    }
    Ok(())
}

/// As it was: name, state and addresses.
fn give_back(
    moved: &[Moved],
    here: &Rtnetlink,
    there: &Rtnetlink,
    own: &OwnedFd,
) -> std::result::Result<(), Errno> {
    for one in moved.iter().rev() {
        there.move_link(one.index, own, &one.before.name)?;
        let links = here.links()?;
        let back = links.iter().find(|link| link.name == one.before.name).ok_or(Errno::ENODEV)?;
        if one.before.up {
            here.set_up(back.index)?;
        }
        for address in &one.addresses {
            here.add_address(back.index, address)?;
        }
    }
    Ok(())
}

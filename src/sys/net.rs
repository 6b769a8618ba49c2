//! The loopback interface: netdevice(7). \[child\]

use std::os::fd::{AsRawFd, OwnedFd};

use super::{Result, descriptor, done};

// linux/sockios.h, linux/if.h
const SIOCGIFFLAGS: libc::c_ulong = 0x8913;
const SIOCSIFFLAGS: libc::c_ulong = 0x8914;
const IFF_UP: u16 = 1;

/// `struct ifreq` (`linux/if.h`) as far as flags go; the union is 24 bytes.
#[repr(C)]
struct Interface {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// \[child\] Takes `lo` of the calling thread's network namespace up; the kernel then gives
/// it 127.0.0.1/8 and ::1 by itself.
///
/// # Errors
/// EPERM: no CAP_NET_ADMIN in the namespace's owner. EAFNOSUPPORT: no IPv4.
pub fn loopback_up() -> Result<()> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: takes no memory; it returns a descriptor that is ours.
    let socket = unsafe { descriptor(libc::syscall(libc::SYS_socket, libc::AF_INET, kind, 0)) }?;
    let mut interface = Interface { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: 0, rest: [0; 22] };
    request(&socket, SIOCGIFFLAGS, &mut interface)?;
    interface.flags |= IFF_UP;
    request(&socket, SIOCSIFFLAGS, &mut interface)
}

fn request(socket: &OwnedFd, request: libc::c_ulong, interface: &mut Interface) -> Result<()> {
    let interface = std::ptr::from_mut(interface);
    // SAFETY: the kernel reads and writes one `struct ifreq`, 40 bytes, which we hold.
    done(unsafe { libc::syscall(libc::SYS_ioctl, socket.as_raw_fd(), request, interface) })
}

const _: () = assert!(size_of::<Interface>() == 40);

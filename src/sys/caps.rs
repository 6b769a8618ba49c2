//! Capability sets of the calling thread: capset(2), capget(2), and the bounding and
//! ambient sets by prctl(2) (ambient since Linux 4.3). All \[child\].
//!
//! Bit n of a set is capability number n (capabilities(7)).

use nix::errno::Errno;

use super::prctl::prctl;
use super::{Result, done};

/// `_LINUX_CAPABILITY_VERSION_3` (`linux/capability.h`): two words per set.
const VERSION_3: u32 = 0x2008_0522;

/// The three sets that capset(2) switches at once.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct CapSets {
    /// What permission checks look at.
    pub effective: u64,
    /// What the thread may make effective.
    pub permitted: u64,
    /// What survives execve(2) of a file with inheritable capabilities.
    pub inheritable: u64,
}

/// `struct __user_cap_header_struct`; pid 0 is the calling thread.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`; the second of two holds capabilities 32 and up.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn halves(set: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = set.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

fn whole(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// \[child\] capset(2): all three sets in one call, so that no order of steps matters.
///
/// # Errors
/// EPERM: permitted grows, effective exceeds permitted, or inheritable grows past what is
/// permitted and bounding.
pub fn capset(sets: &CapSets) -> Result<()> {
    let [effective, permitted, inheritable] =
        [halves(sets.effective), halves(sets.permitted), halves(sets.inheritable)];
    let half = |i: fn([u32; 2]) -> u32| Data {
        effective: i(effective),
        permitted: i(permitted),
        inheritable: i(inheritable),
    };
    let data = [half(|[low, _]| low), half(|[_, high]| high)];
    let mut header = Header { version: VERSION_3, pid: 0 };
    // SAFETY: for version 3 the kernel reads two `Data`; it writes `version` only if unknown.
    done(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) })
}

/// \[child\] capget(2) of the calling thread.
///
/// # Errors
/// None in practice.
pub fn capget() -> Result<CapSets> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: for version 3 the kernel writes two `Data` to the array we hold.
    done(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let [low, high] = data;
    Ok(CapSets {
        effective: whole(low.effective, high.effective),
        permitted: whole(low.permitted, high.permitted),
        inheritable: whole(low.inheritable, high.inheritable),
    })
}

/// \[child\] prctl(2) PR_CAPBSET_DROP: the bounding set loses `cap` for good.
///
/// # Errors
/// EPERM: no CAP_SETPCAP. EINVAL: the kernel does not know `cap`.
pub fn bounding_drop(cap: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, cap.into(), 0).map(drop)
}

/// \[child\] prctl(2) PR_CAPBSET_READ: whether the bounding set has `cap`.
///
/// # Errors
/// EINVAL: the kernel does not know `cap` (that is how its last capability is found).
pub fn bounding_read(cap: u8) -> Result<bool> {
    match prctl(libc::PR_CAPBSET_READ, cap.into(), 0)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::EOVERFLOW),
    }
}

/// \[child\] prctl(2) PR_CAP_AMBIENT_RAISE.
///
/// # Errors
/// EPERM: not both permitted and inheritable, or SECBIT_NO_CAP_AMBIENT_RAISE.
pub fn ambient_raise(cap: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap.into()).map(drop)
}

/// \[child\] prctl(2) PR_CAP_AMBIENT_IS_SET.
///
/// # Errors
/// EINVAL: the kernel does not know `cap`.
pub fn ambient_is_set(cap: u8) -> Result<bool> {
    prctl(libc::PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap.into()).map(|set| set == 1)
}

/// \[child\] prctl(2) PR_CAP_AMBIENT_CLEAR_ALL.
///
/// # Errors
/// EINVAL: before 4.3.
pub fn ambient_clear_all() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0).map(drop)
}

// linux/prctl.h
const PR_CAP_AMBIENT_IS_SET: libc::c_ulong = 1;
const PR_CAP_AMBIENT_RAISE: libc::c_ulong = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: libc::c_ulong = 4;

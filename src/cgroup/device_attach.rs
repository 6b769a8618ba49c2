//! Device programs on a group of v2: loading, attaching, replacing.

use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::error::{Call, Context, Error, Result};
use crate::sys::bpf;

use super::device::DeviceRule;
use super::device_bpf;
use super::dir::Dir;

const FIELD: &str = "/linux/resources/devices";

/// Makes `rules` the group's only device program. The new one is attached before the old ones
/// are taken away: in between, an access must pass both.
///
/// BPF_F_ALLOW_MULTI lets containers inside the group attach programs of their own,
/// which can only refuse more.
pub(super) fn replace(group: &Dir, rules: &[DeviceRule]) -> Result<()> {
    let program = bpf::prog_load_cgroup_device(&device_bpf::compile(rules)?)
        .call("bpf(BPF_PROG_LOAD)")
        .map_err(hint)
        .at(FIELD)?;
    let old = bpf::prog_query_cgroup_device(group.as_fd()).call("bpf(BPF_PROG_QUERY)").on(group).at(FIELD)?;
    bpf::prog_attach_cgroup_device(group.as_fd(), program.as_fd(), bpf::BPF_F_ALLOW_MULTI)
        .call("bpf(BPF_PROG_ATTACH)")
        .map_err(hint)
        .on(group)
        .at(FIELD)?;
    for id in old {
        let program = bpf::prog_fd_by_id(id).call("bpf(BPF_PROG_GET_FD_BY_ID)").on(group).at(FIELD)?;
        match bpf::prog_detach_cgroup_device(group.as_fd(), program.as_fd()) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno).call("bpf(BPF_PROG_DETACH)").on(group).at(FIELD),
        }
    }
    Ok(())
}

/// Whether this kernel lets the caller load a device program.
pub(super) fn loads() -> bool {
    device_bpf::compile(&[]).is_ok_and(|program| bpf::prog_load_cgroup_device(&program).is_ok())
}

fn hint(error: Error) -> Error {
    match error.errno() {
        Some(Errno::EPERM) => error.hint(
            "device programs need CAP_BPF and CAP_NET_ADMIN (or CAP_SYS_ADMIN) in the initial user namespace",
        ),
        Some(Errno::EINVAL | Errno::ENOSYS) => {
            error.hint("the kernel may be built without CONFIG_CGROUP_BPF")
        }
        _ => error,
    }
}

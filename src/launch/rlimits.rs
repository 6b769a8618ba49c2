//! Resource limits: as the very last thing, because a low NOFILE or FSIZE would break the child's own
//! steps. prlimit(2), getrlimit(2).

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::failure;
use super::start::Assembled;
use crate::child::SET_RLIMITS;
use crate::error::{Call, Context, Error, Result};
use crate::plan::Plan;
use crate::sys;

const HINT: &str = "raising a hard limit needs CAP_SYS_RESOURCE on the host";

/// Sets all limits of the child, which waits in its last meeting.
///
/// Another uid's limits need CAP_SYS_RESOURCE, which root in a container does not have by default: then
/// the child sets its own, which needs nothing as long as no hard limit is raised.
///
/// # Errors
/// A limit that the kernel did not take, by the name of its field.
pub(super) fn set(plan: &Plan, child: &Assembled) -> Result<()> {
    for (index, (resource, soft, hard)) in plan.parent.rlimits.iter().enumerate() {
        let field = || format!("/process/rlimits/{index}");
        match sys::rlimit::prlimit(child.pid, *resource, *soft, *hard) {
            Err(Errno::EPERM) => return by_the_child(plan, child),
            other => other.call("prlimit").at(field())?,
        }
        let found = sys::rlimit::prlimit_read(child.pid, *resource).call("prlimit").at(field())?;
        if found != (*soft, *hard) {
            return Err(Error::setup("the kernel set another limit").field(field()));
        }
    }
    Ok(())
}

/// The child reads each one back itself: reading another uid's needs the same capability.
fn by_the_child(plan: &Plan, child: &Assembled) -> Result<()> {
    sys::socket::send_fd(child.socket.as_fd(), &[SET_RLIMITS], None).call("sendmsg")?;
    child.wait_for(child.socket.as_fd())?;
    let mut answer = [0_u8; 3];
    match sys::socket::recv_fd(child.socket.as_fd(), &mut answer) {
        Ok((0, _)) | Err(Errno::ECONNRESET) => return Err(failure::failed(plan, &child.records)),
        other => other.call("recvmsg")?,
    };
    match answer {
        [SET_RLIMITS, _, 0] => Ok(()),
        [SET_RLIMITS, index, errno] => {
            let errno = Errno::from_raw(i32::from(errno));
            Err(Error::call("prlimit", errno).field(format!("/process/rlimits/{index}")).hint(HINT))
        }
        _ => Err(Error::internal("the child spoke a word that is not in the protocol")),
    }
}

//! How soon the kernel ends the program when memory is short: proc_pid_oom_score_adj(5).

use super::super::host::Host;
use crate::error::{Call, Context, Result};

const OWN: &str = "/proc/self/oom_score_adj";

/// 0, whatever the caller has. Who has not CAP_SYS_RESOURCE cannot lower a score below the lowest
/// that one who had it has set: only trying tells. A score that stays is named.
pub(super) fn oom_score(host: &Host, degraded: &mut Vec<String>) -> Result<Option<i32>> {
    let text = crate::sys::file::whole_text(OWN).call("read").on(OWN)?;
    let own: i32 = text.trim().parse().map_err(|error: std::num::ParseIntError| {
        crate::error::Error::setup(error.to_string()).object(OWN)
    })?;
    if own <= 0 || host.facts.may_raise_limits {
        return Ok(Some(0));
    }
    match std::fs::write(OWN, "0") {
        Ok(()) => {
            // Raising is open to all.
            std::fs::write(OWN, own.to_string()).call("write").on(OWN)?;
            Ok(Some(0))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            degraded.push(format!("OOM score: the caller's {own} stays, lowering it needs CAP_SYS_RESOURCE"));
            Ok(None)
        }
        Err(error) => Err(error).call("write").on(OWN),
    }
}

//! The digest of a Plan: what `explain`, the report and the audit log name it by.

use sha2::{Digest as _, Sha256};

use super::Plan;

/// sha256 over the rendered steps. File descriptor numbers are not part of it, so that
/// the same configuration on the same objects has the same digest.
pub fn digest(plan: &Plan) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!("clone {:#x}\n", plan.clone_flags));
    for planned in &plan.steps {
        hasher.update(format!("{} {}\n", planned.field, planned.step.describe()));
    }
    hasher.update(format!("{:?} {:?}\n", plan.parent.rlimits, plan.parent.scheduling));
    for hook in &plan.parent.runtime_hooks {
        hasher.update(format!("{} hook {}\n", hook.kind, hook.describe()));
    }
    for argument in plan.program.argv.strings() {
        hasher.update(argument.as_bytes_with_nul());
    }
    format!("sha256:{:x}", hasher.finalize())
}

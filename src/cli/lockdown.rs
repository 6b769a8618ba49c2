//! `lockdown`.

use clap::Args;

/// Refuse every launch, exec, start and update until it is lifted
///
/// Only root can set or lift it: it is the file /etc/pinfold/lockdown, beside the policy, and it stays
/// over a reboot. When it returns 0, no launch starts its program any more; what runs goes on, and is
/// ended by `kill --all-sandboxes`. It holds for callers of every door, with or without a policy.
#[derive(Debug, Clone, Args)]
pub struct LockdownArgs {
    /// Lift it
    #[arg(long, conflicts_with_all = ["status", "reason"])]
    pub lift: bool,
    /// Say whether it is in force, since when and why; exit code 0 if it is or cannot be read, else 1
    #[arg(long, conflicts_with = "reason")]
    pub status: bool,
    /// Why: it is told to whoever is refused
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

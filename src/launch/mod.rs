//! The parent's half of a launch: clone, id maps, cgroup, the meetings with the child,
//! the check from outside, and, for a foreground launch, everything until its end.

mod agent;
mod channel;
mod drain;
mod failure;
mod hook;
mod id_maps;
mod keeper;
mod labels;
mod net_devices;
mod net_node;
mod netlink;
mod inspect;
mod relay;
mod rlimits;
mod scheduling;
mod start;
mod supervise;
mod terminal;
mod verdict;
mod watch;

pub use agent::{LISTENER_WORD, check as check_agent, hand_over, listener_number, send};
pub use channel::Channel;
pub use failure::{describe_failure, failed, failed_at_start};
pub use hook::{HookPlace, failed_hook, run_runtime_hook};
pub use keeper::{AtEnd, Keeper, Keeping, require_exit_status};
pub use start::{Assembled, AtGo, Company, Place, assemble, assemble_among, assemble_with};
pub use supervise::{Cause, Ended, Ending, Stream, signals, supervise};
pub use verdict::{Evidence, Outcome, OutcomeKind, outcome};
pub use watch::Watcher;

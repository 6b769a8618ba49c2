//! Draft → Plan. Opens and pins, changes nothing on the host.
//!
//! [`pin()`] opens every object that the Draft names, once. The policy judges these
//! descriptors. [`finish()`] makes detached mount trees of these very descriptors, so what
//! was checked is what is mounted. openat2(2), open_tree(2), mount_setattr(2).

mod below;
mod cgroup_mounts;
mod beneath;
mod devices;
mod entering;
mod expected;
mod finish;
mod joined_maps;
mod judged_hook;
mod hooks;
mod home;
mod idmap;
mod join;
mod labels;
mod landlock;
mod mounting;
mod needed;
mod overlay;
mod own_root;
mod pin;
mod program;
mod steps;
mod trees;
mod walk;

pub use below::Submount;
pub use beneath::Barred;
pub use entering::may_have_a_stage;
pub use finish::{Bound, Finished, HookStates, Surroundings, finish};
pub use hooks::of_the_host;
pub use idmap::render as render_map;
pub use join::{Joining, join};
pub use joined_maps::{of_process as maps_of_process, parse as parse_map};
pub use pin::{Facts, Identity, Pinned, hooks, identify_without_links, pin, pin_layer};
pub use walk::{FollowedLink, open as walk};

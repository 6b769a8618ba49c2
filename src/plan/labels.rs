//! What the security modules make of the program when it is executed (proc_pid_attr(5)).

use std::ffi::CStr;

/// Where AppArmor is told, in a procfs. Its own directory: `attr/exec` is that of one module, whichever.
pub const APPARMOR: &CStr = c"self/attr/apparmor/exec";
/// Where SELinux is told.
pub const SELINUX: &CStr = c"self/attr/exec";
/// Where SELinux is told of the keyrings that are made; execve forgets it.
pub const SELINUX_KEYRING: &CStr = c"self/attr/keycreate";
/// Who asks.
pub const APPARMOR_FIELD: &str = "/process/apparmorProfile";
/// Who asks.
pub const SELINUX_FIELD: &str = "/process/selinuxLabel";
/// The kernel takes a page of what is written and no more (fs/proc/base.c, proc_pid_attr_write): the rest
/// would be a second word. With room for AppArmor's `exec `.
pub const LONGEST: usize = 4096 - 6;

/// Which labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// AppArmor's profile.
    pub apparmor: Option<String>,
    /// SELinux's context.
    pub selinux: Option<String>,
}

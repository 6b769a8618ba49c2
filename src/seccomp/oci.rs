//! `linux.seccomp` of a parsed OCI configuration.

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use super::action::Action;
use super::condition::{Condition, Operator};
use super::profile::{Builder, Profile, argument_index};
use crate::error::{Error, Result};

/// What `SCMP_ACT_ERRNO` and `SCMP_ACT_TRACE` carry when no number is given: EPERM.
pub(super) const DEFAULT_DATA: u16 = 1;

impl Profile {
    /// Reads the profile of an OCI configuration; errors name its field (`/linux/seccomp/...`).
    pub fn from_oci(seccomp: &LinuxSeccomp) -> Result<Self> {
        let default = action(seccomp.default_action());
        let mut builder = Builder::new("/linux/seccomp", default, seccomp.default_errno_ret())?;
        for (index, arch) in seccomp.architectures().iter().flatten().enumerate() {
            let added = builder.arch(&arch.to_string());
            added.map_err(|error| error.field(builder.at(&format!("architectures/{index}"))))?;
        }
        for (index, flag) in seccomp.flags().iter().flatten().enumerate() {
            builder.flag(index, &flag.to_string())?;
        }
        builder.listener(seccomp.listener_path().clone(), seccomp.listener_metadata().clone())?;
        for (index, syscall) in seccomp.syscalls().iter().flatten().enumerate() {
            rule(&mut builder, index, syscall)?;
        }
        builder.finish()
    }
}

fn rule(builder: &mut Builder, index: usize, syscall: &LinuxSyscall) -> Result<()> {
    let conditions = syscall.args().iter().flatten().enumerate();
    let conditions = conditions
        .map(|(position, arg)| {
            let field = || builder.at(&format!("syscalls/{index}/args/{position}/index"));
            condition(arg).ok_or_else(|| {
                Error::usage("a system call has arguments 0 to 5").object(arg.index()).field(field())
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let names = syscall.names().iter().map(String::as_str);
    builder.rule(index, names, (action(syscall.action()), syscall.errno_ret()), conditions)
}

fn condition(arg: &LinuxSeccompArg) -> Option<Condition> {
    Some(Condition {
        index: argument_index(u64::try_from(arg.index()).ok()?)?,
        operator: match arg.op() {
            LinuxSeccompOperator::ScmpCmpNe => Operator::Ne,
            LinuxSeccompOperator::ScmpCmpLt => Operator::Lt,
            LinuxSeccompOperator::ScmpCmpLe => Operator::Le,
            LinuxSeccompOperator::ScmpCmpEq => Operator::Eq,
            LinuxSeccompOperator::ScmpCmpGe => Operator::Ge,
            LinuxSeccompOperator::ScmpCmpGt => Operator::Gt,
            LinuxSeccompOperator::ScmpCmpMaskedEq => Operator::MaskedEq,
        },
        value: arg.value(),
        value_two: arg.value_two().unwrap_or(0),
    })
}

fn action(action: LinuxSeccompAction) -> Action {
    match action {
        // The oldest name; it always meant the thread.
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => Action::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => Action::KillProcess,
        LinuxSeccompAction::ScmpActTrap => Action::Trap,
        LinuxSeccompAction::ScmpActErrno => Action::Errno(DEFAULT_DATA),
        LinuxSeccompAction::ScmpActNotify => Action::Notify,
        LinuxSeccompAction::ScmpActTrace => Action::Trace(DEFAULT_DATA),
        LinuxSeccompAction::ScmpActLog => Action::Log,
        LinuxSeccompAction::ScmpActAllow => Action::Allow,
    }
}

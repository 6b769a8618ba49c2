//! A profile as data: what the OCI object says, checked, with every name looked up.

use std::collections::HashSet;
use std::path::PathBuf;

use super::action::Action;
use super::arch::{Arch, Named};
use super::condition::Condition;
use super::flags::{self, Flag};
use super::table::Call;
use crate::error::{Context, Error, Result};

/// The meaning of `linux.seccomp`. Made by [`Profile::from_oci`], [`Profile::from_json`] or
/// [`Profile::from_docker_json`]; says what it means call by call through [`Profile::verdict`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What happens to a call that no rule matches.
    pub default_action: Action,
    /// The listed ABIs that this family of machines can execute; the native one always belongs to it.
    pub architectures: Vec<Arch>,
    /// Flags of the load.
    pub flags: Vec<Flag>,
    /// The socket of the supervisor that receives the listener.
    pub listener_path: Option<PathBuf>,
    /// What the supervisor is told besides.
    pub listener_metadata: Option<String>,
    /// The rules in the profile's order.
    pub rules: Vec<Rule>,
    /// Names that no ABI of [`Call`] knows. As in runc they have no effect.
    pub unknown_names: Vec<String>,
}

/// An action for some calls, where all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The calls it is about.
    pub calls: Vec<&'static Call>,
    /// What happens.
    pub action: Action,
    /// Empty: whatever the arguments. No two are about the same argument.
    pub conditions: Vec<Condition>,
}

impl Profile {
    /// The flags for seccomp(2): the profile's own, and NEW_LISTENER where a rule notifies.
    pub fn filter_flags(&self) -> u64 {
        flags::bits(&self.flags, self.notifies())
    }

    /// Whether loading it gives a listener.
    pub fn notifies(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Notify)
    }

    /// Whether a call runs whatever its arguments are.
    pub fn always_lets(&self, name: &str) -> bool {
        let about = |rule: &&Rule| rule.calls.iter().any(|call| call.name == name);
        let mut rules = self.rules.iter().filter(about).peekable();
        match rules.peek() {
            None => self.default_action.lets_run(),
            Some(_) => rules.all(|rule| rule.conditions.is_empty() && rule.action.lets_run()),
        }
    }

    /// Whether calls newer than the profile fail with ENOSYS, so that libraries use an older way
    /// (runc, libcontainer/seccomp/patchbpf). A tracer is expected to answer for itself.
    pub(super) fn newer_calls_fail_with_enosys(&self) -> bool {
        !matches!(self.default_action, Action::Allow | Action::Log | Action::Trace(_))
    }

    /// The ABIs that the filter knows on a machine of this native ABI.
    pub(super) fn abis(&self, native: Arch) -> Vec<Arch> {
        let mut abis = vec![native];
        for arch in &self.architectures {
            if arch.runs_on(native) && !abis.contains(arch) {
                abis.push(*arch);
            }
        }
        abis
    }
}

/// Builds a [`Profile`] from parts in any spelling, and names the JSON field of what is wrong.
pub(super) struct Builder {
    /// The JSON pointer of the profile object: empty, or `/linux/seccomp`.
    root: &'static str,
    profile: Profile,
    unknown: HashSet<String>,
}

impl Builder {
    pub(super) fn new(root: &'static str, action: Action, errno: Option<u32>) -> Result<Self> {
        let default_action = with_errno(action, errno).at(format!("{root}/defaultErrnoRet"))?;
        if default_action == Action::Notify {
            let text = "SCMP_ACT_NOTIFY cannot be the default: the supervisor could not be reached";
            return Err(Error::usage(text).field(format!("{root}/defaultAction")));
        }
        let profile = Profile {
            default_action,
            architectures: vec![],
            flags: vec![],
            listener_path: None,
            listener_metadata: None,
            rules: vec![],
            unknown_names: vec![],
        };
        Ok(Self { root, profile, unknown: HashSet::new() })
    }

    pub(super) fn arch(&mut self, name: &str) -> Result<()> {
        let arch = match Arch::parse(name) {
            Some(Named::Known(arch)) => Some(arch),
            Some(Named::Native) => Arch::NATIVE,
            Some(Named::Foreign) => None,
            None => return Err(Error::usage("unknown architecture").object(name)),
        };
        if let Some(arch) = arch
            && !self.profile.architectures.contains(&arch)
        {
            self.profile.architectures.push(arch);
        }
        Ok(())
    }

    pub(super) fn flag(&mut self, index: usize, name: &str) -> Result<()> {
        let field = || self.at(&format!("flags/{index}"));
        let flag = Flag::parse(name)
            .ok_or_else(|| Error::usage("unknown seccomp flag").object(name).field(field()))?;
        self.profile.flags.push(flag);
        Ok(())
    }

    pub(super) fn listener(&mut self, path: Option<PathBuf>, metadata: Option<String>) -> Result<()> {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let metadata = metadata.filter(|text| !text.is_empty());
        if path.is_none() && metadata.is_some() {
            return Err(Error::usage("needs listenerPath").field(self.at("listenerMetadata")));
        }
        self.profile.listener_path = path;
        self.profile.listener_metadata = metadata;
        Ok(())
    }

    /// Adds the rule at `syscalls/<index>`.
    pub(super) fn rule<'a>(
        &mut self,
        index: usize,
        names: impl Iterator<Item = &'a str>,
        (action, errno): (Action, Option<u32>),
        args: Vec<Condition>,
    ) -> Result<()> {
        let action = with_errno(action, errno)
            .map_err(|error| error.field(self.at(&format!("syscalls/{index}/errnoRet"))))?;
        let mut calls = Vec::with_capacity(names.size_hint().0);
        let mut count = 0_usize;
        for name in names {
            match Call::named(name) {
                Some(call) => calls.push(call),
                None if name.is_empty() => {
                    let field = self.at(&format!("syscalls/{index}/names/{count}"));
                    return Err(Error::usage("an empty name is no system call").field(field));
                }
                None => self.unknown(name),
            }
            count += 1;
        }
        if count == 0 {
            let field = self.at(&format!("syscalls/{index}/names"));
            return Err(Error::usage("a rule names at least one system call").field(field));
        }
        self.check_notify(index, action, &calls)?;
        self.push(calls, action, args);
        Ok(())
    }

    /// Checks what only the whole can show.
    pub(super) fn finish(self) -> Result<Profile> {
        if self.profile.notifies() && self.profile.listener_path.is_none() {
            let text = "SCMP_ACT_NOTIFY needs a listenerPath: nobody would answer";
            return Err(Error::usage(text).field(self.at("listenerPath")));
        }
        Ok(self.profile)
    }

    fn unknown(&mut self, name: &str) {
        if self.unknown.insert(name.to_owned()) {
            self.profile.unknown_names.push(name.to_owned());
        }
    }

    /// The listener has to be handed over after the load; runc refuses `write` for the same reason.
    fn check_notify(&self, index: usize, action: Action, calls: &[&Call]) -> Result<()> {
        if action == Action::Notify && calls.iter().any(|call| call.name == "write") {
            let text = "SCMP_ACT_NOTIFY cannot be used for the write syscall: the launch itself would wait for the supervisor";
            return Err(Error::usage(text).field(self.at(&format!("syscalls/{index}/names"))));
        }
        Ok(())
    }

    /// Two conditions on one argument: libseccomp cannot state them in one rule, and runc makes every
    /// condition a rule of its own then: any of them is enough (libcontainer/seccomp, `matchCall`).
    fn push(&mut self, calls: Vec<&'static Call>, action: Action, conditions: Vec<Condition>) {
        let twice = |one: &Condition| conditions.iter().filter(|other| other.index == one.index).count() > 1;
        if !conditions.iter().any(twice) {
            self.profile.rules.push(Rule { calls, action, conditions });
            return;
        }
        for condition in conditions {
            self.profile.rules.push(Rule { calls: calls.clone(), action, conditions: vec![condition] });
        }
    }

    /// The JSON pointer of a field of the profile.
    pub(super) fn at(&self, field: &str) -> String {
        format!("{}/{field}", self.root)
    }
}

/// The index of an argument: a call has six.
pub(super) fn argument_index(index: u64) -> Option<u8> {
    u8::try_from(index).ok().filter(|index| *index <= 5)
}

/// "When the action doesn't support an errno, the runtime MUST print an error and fail"
/// (config-linux.md); without a number it is EPERM, which `action` holds already.
fn with_errno(action: Action, errno: Option<u32>) -> Result<Action> {
    let Some(errno) = errno else { return Ok(action) };
    let number = u16::try_from(errno).ok();
    match (action, number) {
        (Action::Errno(_), Some(number)) if number <= Action::MAX_ERRNO => Ok(Action::Errno(number)),
        (Action::Trace(_), Some(number)) => Ok(Action::Trace(number)),
        (Action::Errno(_), _) => Err(Error::usage("not an errno (0 to 4095)").object(errno)),
        (Action::Trace(_), _) => Err(Error::usage("a tracer reads 16 bits").object(errno)),
        _ => Err(Error::usage("only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take a number").object(errno)),
    }
}

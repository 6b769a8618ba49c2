//! Rules for device access: what they mean, and how cgroup v1 can be told.
//!
//! A list is read in order and the last rule that matches a device and a kind of access
//! decides about it; what no rule matches is denied (config-linux.md, "Allowed Device List").
//! A request for several kinds of access at once is granted only if each is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which device files a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Both kinds.
    #[serde(rename = "a")]
    All,
    /// Block devices.
    #[serde(rename = "b")]
    Block,
    /// Character devices.
    #[serde(rename = "c")]
    Char,
}

/// A set of read, write and mknod(2), written as in `rwm`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceAccess(u8);

/// The kernel's bits (BPF_DEVCG_ACC_* in linux/bpf.h) and their letters.
const LETTERS: [(u8, char); 3] = [(2, 'r'), (4, 'w'), (1, 'm')];

impl DeviceAccess {
    /// Every access.
    pub const ALL: Self = Self(7);
    /// mknod(2) alone.
    pub const MKNOD: Self = Self(1);
    /// Reading alone.
    pub const READ: Self = Self(2);
    /// Reading and writing.
    pub const READ_WRITE: Self = Self(6);

    /// The bits as BPF_DEVCG_ACC_* has them.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromStr for DeviceAccess {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bit = |letter| LETTERS.iter().find(|(_, known)| *known == letter).map(|(bit, _)| *bit);
        let bits = text.chars().map(bit).try_fold(0, |all, bit| Some(all | bit?));
        match bits {
            Some(bits) if bits != 0 => Ok(Self(bits)),
            _ => Err(Error::usage(format!("device access {text:?} is not made of the letters r, w and m"))),
        }
    }
}

impl fmt::Display for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LETTERS.iter().filter(|(bit, _)| self.0 & bit != 0).try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}

impl fmt::Debug for DeviceAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<DeviceAccess> for String {
    fn from(access: DeviceAccess) -> Self {
        access.to_string()
    }
}

impl TryFrom<String> for DeviceAccess {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// One rule of a device list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRule {
    /// Allow, or deny.
    pub allow: bool,
    /// Block, character or both.
    pub kind: DeviceKind,
    /// The major number; `None` is every one.
    pub major: Option<u64>,
    /// The minor number; `None` is every one.
    pub minor: Option<u64>,
    /// The kinds of access it decides about.
    pub access: DeviceAccess,
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Char => 'c',
        };
        let number = |number: Option<u64>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

impl DeviceRule {
    /// A rule that allows `access` to a character device.
    const fn character(major: Option<u64>, minor: Option<u64>, access: DeviceAccess) -> Self {
        Self { allow: true, kind: DeviceKind::Char, major, minor, access }
    }

    /// What every container may use beside its own rules, as runc appends it: any node can be
    /// made, and null, zero, full, random, urandom, tty, ptmx and the ptys can be used
    /// (config-linux.md, "Default Devices").
    pub fn defaults() -> Vec<Self> {
        let usable = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
        let mut rules = vec![
            Self::character(None, None, DeviceAccess::MKNOD),
            Self { kind: DeviceKind::Block, ..Self::character(None, None, DeviceAccess::MKNOD) },
        ];
        rules.extend(
            usable.map(|(major, minor)| Self::character(Some(major), Some(minor), DeviceAccess::ALL)),
        );
        rules.push(Self::character(Some(136), None, DeviceAccess::ALL));
        rules
    }

    /// Whether the rule is about every access to every device.
    pub(super) fn is_total(&self) -> bool {
        self.is_every_device() && self.access == DeviceAccess::ALL
    }

    /// Whether every access to every device that `asked` allows is allowed by this rule too.
    pub fn covers(&self, asked: &Self) -> bool {
        let kind = self.kind == DeviceKind::All || self.kind == asked.kind;
        let number = |own: Option<u64>, asked: Option<u64>| own.is_none() || own == asked;
        let access = asked.access.without(self.access).is_empty();
        kind && number(self.major, asked.major) && number(self.minor, asked.minor) && access
    }

    /// What it says of reading and writing; `None` for a rule about mknod(2) alone.
    pub fn of_open(&self) -> Option<Self> {
        let access = self.access.without(DeviceAccess::MKNOD);
        (!access.is_empty()).then_some(Self { access, ..*self })
    }

    fn is_every_device(&self) -> bool {
        self.kind == DeviceKind::All && self.major.is_none() && self.minor.is_none()
    }
}

/// What is written to a v1 `devices` hierarchy: first everything is allowed or denied, then the exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LegacyDevices {
    /// Whether what no exception names is allowed.
    pub allow_by_default: bool,
    /// Each of kind block or char, and of the opposite verdict.
    pub exceptions: Vec<DeviceRule>,
}

impl LegacyDevices {
    /// The end state of `rules`. The v1 kernel removes an exception only where type, major and
    /// minor are the same, and does nothing at all otherwise (dev_exception_rm,
    /// security/device_cgroup.c), so a rule that takes away a part of an earlier, wider one
    /// has no v1 form and is refused.
    pub fn from_rules(rules: &[DeviceRule]) -> Result<Self> {
        let mut state = Self { allow_by_default: false, exceptions: vec![] };
        for (index, rule) in rules.iter().enumerate() {
            if rule.is_total() {
                state = Self { allow_by_default: rule.allow, exceptions: vec![] };
                continue;
            }
            for rule in each_kind(rule) {
                state
                    .apply(rule)
                    .map_err(|error| error.field(format!("/linux/resources/devices/{index}")))?;
            }
        }
        Ok(state)
    }

    fn apply(&mut self, rule: DeviceRule) -> Result<()> {
        if rule.allow != self.allow_by_default {
            self.exceptions.push(rule);
            return Ok(());
        }
        for exception in &mut self.exceptions {
            if !exception.access.overlaps(rule.access) || !meets(&rule, exception) {
                continue;
            }
            if !covers(&rule, exception) {
                return Err(Error::setup(
                    "takes back a part of an earlier rule, which cgroup v1 cannot express",
                ));
            }
            exception.access = exception.access.without(rule.access);
        }
        self.exceptions.retain(|exception| !exception.access.is_empty());
        Ok(())
    }
}

/// In v1 a rule of type `a` is about everything, whatever numbers and access stand beside it
/// (devcgroup_update_access): unless that is meant, it is written once per kind.
fn each_kind(rule: &DeviceRule) -> Vec<DeviceRule> {
    match rule.kind {
        DeviceKind::All => {
            [DeviceKind::Block, DeviceKind::Char].map(|kind| DeviceRule { kind, ..*rule }).to_vec()
        }
        DeviceKind::Block | DeviceKind::Char => vec![*rule],
    }
}

/// Whether some device matches both.
fn meets(a: &DeviceRule, b: &DeviceRule) -> bool {
    let same = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
    a.kind == b.kind && same(a.major, b.major) && same(a.minor, b.minor)
}

/// Whether every device that `b` matches is matched by `a`.
fn covers(a: &DeviceRule, b: &DeviceRule) -> bool {
    let within = |a: Option<u64>, b: Option<u64>| a.is_none() || a == b;
    a.kind == b.kind && within(a.major, b.major) && within(a.minor, b.minor)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `+c 1:3 rw` allows, `-` denies, `*` is every number.
    pub(in super::super) fn rule(text: &str) -> DeviceRule {
        let (sign, rest) = text.split_at(1);
        let parts: Vec<&str> = rest.split([' ', ':']).collect();
        let number = |text: &str| text.parse().ok();
        DeviceRule {
            allow: sign == "+",
            kind: match parts[0] {
                "a" => DeviceKind::All,
                "b" => DeviceKind::Block,
                _ => DeviceKind::Char,
            },
            major: number(parts[1]),
            minor: number(parts[2]),
            access: parts[3].parse().unwrap(),
        }
    }

    pub(in super::super) fn rules(texts: &[&str]) -> Vec<DeviceRule> {
        texts.iter().map(|text| rule(text)).collect()
    }

    #[test]
    fn access_is_letters() {
        for (text, bits) in [("r", 2), ("w", 4), ("m", 1), ("rwm", 7), ("mrw", 7), ("rr", 2)] {
            assert_eq!(text.parse::<DeviceAccess>().unwrap().bits(), bits, "{text}");
        }
        for text in ["", "x", "rwx", "RW", " r"] {
            assert!(text.parse::<DeviceAccess>().is_err(), "{text:?}");
        }
        assert_eq!(DeviceAccess::ALL.to_string(), "rwm");
    }

    #[test]
    fn a_rule_survives_the_state_file() {
        let json = r#"{"allow":true,"kind":"c","major":1,"minor":null,"access":"rm"}"#;
        let parsed: DeviceRule = serde_json::from_str(json).unwrap();
        assert_eq!(parsed, rule("+c 1:* rm"));
        assert_eq!(serde_json::to_string(&parsed).unwrap(), json);
    }

    #[test]
    fn v1_gets_the_end_state() {
        for (list, allow_by_default, exceptions) in [
            (vec![], false, vec![]),
            (vec!["-a *:* rwm"], false, vec![]),
            (vec!["-a *:* rwm", "+c 1:3 rwm"], false, vec!["+c 1:3 rwm"]),
            (vec!["+c 1:3 rwm", "-a *:* rwm", "+c 1:5 r"], false, vec!["+c 1:5 r"]),
            (vec!["+a *:* rwm"], true, vec![]),
            (vec!["+a *:* rwm", "-b 8:* w"], true, vec!["-b 8:* w"]),
            (vec!["+c 1:3 rwm", "-c 1:3 w"], false, vec!["+c 1:3 rm"]),
            (vec!["+c 1:3 rwm", "+c 1:5 rwm", "-c 1:* w"], false, vec!["+c 1:3 rm", "+c 1:5 rm"]),
            (vec!["+c 1:3 r", "-c 1:3 r"], false, vec![]),
            (vec!["+c 1:* r", "-c 1:3 w"], false, vec!["+c 1:* r"]),
            // `a` with numbers or part of the access is not everything.
            (vec!["+a 1:3 r"], false, vec!["+b 1:3 r", "+c 1:3 r"]),
            (vec!["+a *:* r"], false, vec!["+b *:* r", "+c *:* r"]),
        ] {
            let state = LegacyDevices::from_rules(&rules(&list)).unwrap();
            let expected = LegacyDevices { allow_by_default, exceptions: rules(&exceptions) };
            assert_eq!(state, expected, "{list:?}");
        }
    }

    #[test]
    fn v1_refuses_what_it_would_drop_silently() {
        for (list, index) in [
            (vec!["+c 1:* rwm", "-c 1:3 w"], 1),
            (vec!["+a *:* rwm", "-b *:* rwm", "+b 8:0 r"], 2),
            (vec!["-a *:* rwm", "+c *:3 r", "-c 1:* r"], 2),
        ] {
            let error = LegacyDevices::from_rules(&rules(&list)).unwrap_err();
            assert_eq!(error.field_name(), Some(format!("/linux/resources/devices/{index}").as_str()));
        }
    }
}

//! Profiles as JSON text: the OCI object itself (pinfold's own, `--security-opt seccomp=FILE`), and
//! the form of Docker and Podman, whose `archMap`, `includes` and `excludes` an engine resolves first
//! (moby/profiles/seccomp, containers/common/pkg/seccomp).
//!
//! Unknown keys are an error: `arg` for `args` would make a rule unconditional.

use std::borrow::Cow;
use std::fmt;

use nix::errno::Errno;
use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};

use super::action::Action;
use super::arch::Arch;
use super::condition::{Condition, Operator};
use super::oci::DEFAULT_DATA;
use super::profile::{Builder, Profile, argument_index};
use crate::error::{Context, Error, Result};

/// What the conditional rules of Docker's form depend on.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// The container's bounding set, as `CAP_*` names.
    pub capabilities: &'a [&'a str],
    /// The running kernel's major and minor version.
    pub kernel: (u32, u32),
}

impl Profile {
    /// Reads an OCI seccomp object. Conditional rules are an error here.
    pub fn from_json(text: &str) -> Result<Self> {
        read(text, None)
    }

    /// Reads an OCI seccomp object or Docker's form of it, whose conditional rules are resolved against `host`.
    pub fn from_docker_json(text: &str, host: &Host<'_>) -> Result<Self> {
        read(text, Some(host))
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawProfile<'a> {
    #[serde(borrow)]
    default_action: Text<'a>,
    default_errno_ret: Option<u32>,
    #[serde(borrow)]
    default_errno: Option<Text<'a>>,
    #[serde(borrow)]
    architectures: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    arch_map: Option<Vec<RawArchitecture<'a>>>,
    #[serde(borrow)]
    flags: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    listener_path: Option<Text<'a>>,
    #[serde(borrow)]
    listener_metadata: Option<Text<'a>>,
    #[serde(borrow)]
    syscalls: Option<Vec<RawRule<'a>>>,
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawArchitecture<'a> {
    #[serde(borrow)]
    architecture: Text<'a>,
    #[serde(borrow)]
    sub_architectures: Option<Vec<Text<'a>>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRule<'a> {
    #[serde(borrow)]
    names: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    action: Text<'a>,
    errno_ret: Option<u32>,
    #[serde(borrow)]
    errno: Option<Text<'a>>,
    #[serde(borrow)]
    args: Option<Vec<RawArg<'a>>>,
    #[serde(borrow)]
    includes: Option<RawFilter<'a>>,
    #[serde(borrow)]
    excludes: Option<RawFilter<'a>>,
    #[serde(rename = "comment")]
    _comment: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawArg<'a> {
    index: u64,
    value: u64,
    value_two: Option<u64>,
    #[serde(borrow)]
    op: Text<'a>,
}

#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RawFilter<'a> {
    #[serde(borrow)]
    caps: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    arches: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    min_kernel: Option<Text<'a>>,
}

fn read(text: &str, host: Option<&Host<'_>>) -> Result<Profile> {
    let raw: RawProfile<'_> =
        serde_json::from_str(text).map_err(|error| Error::usage(format!("seccomp profile: {error}")))?;
    let default = action(&raw.default_action).at("/defaultAction")?;
    let errno = errno(raw.default_errno_ret, raw.default_errno.as_deref()).at("/defaultErrno")?;
    let mut builder = Builder::new("", default, errno)?;
    architectures(&mut builder, &raw)?;
    for (index, flag) in raw.flags.iter().flatten().enumerate() {
        builder.flag(index, flag)?;
    }
    let path = raw.listener_path.map(|path| path.to_string().into());
    builder.listener(path, raw.listener_metadata.map(|text| text.to_string()))?;
    for (index, rule) in raw.syscalls.iter().flatten().enumerate() {
        if applies(rule, index, host)? {
            add(&mut builder, index, rule)?;
        }
    }
    builder.finish()
}

fn architectures(builder: &mut Builder, raw: &RawProfile<'_>) -> Result<()> {
    let listed = raw.architectures.as_deref().unwrap_or_default();
    let mapped = raw.arch_map.as_deref().unwrap_or_default();
    if !listed.is_empty() && !mapped.is_empty() {
        return Err(Error::usage("cannot stand beside architectures").field("/archMap"));
    }
    for (index, name) in listed.iter().enumerate() {
        builder.arch(name).map_err(|error| error.field(format!("/architectures/{index}")))?;
    }
    let native = Arch::NATIVE.map(Arch::oci_name);
    for (index, entry) in mapped.iter().enumerate().filter(|(_, entry)| native == Some(&*entry.architecture))
    {
        for name in std::iter::once(&entry.architecture).chain(entry.sub_architectures.iter().flatten()) {
            builder.arch(name).at(format!("/archMap/{index}"))?;
        }
    }
    Ok(())
}

fn add(builder: &mut Builder, index: usize, rule: &RawRule<'_>) -> Result<()> {
    let wrong = |field: &str, error: Error| error.field(format!("/syscalls/{index}/{field}"));
    let names = rule.names.as_deref().unwrap_or_default();
    if !names.is_empty() && rule.name.is_some() {
        return Err(wrong("name", Error::usage("cannot stand beside names")));
    }
    let mut conditions = vec![];
    for (position, arg) in rule.args.iter().flatten().enumerate() {
        let read = condition(arg);
        conditions.push(read.map_err(|(field, error)| wrong(&format!("args/{position}/{field}"), error))?);
    }
    let action = action(&rule.action).map_err(|error| wrong("action", error))?;
    let errno = errno(rule.errno_ret, rule.errno.as_deref()).map_err(|error| wrong("errno", error))?;
    let names = names.iter().chain(&rule.name).map(|name| &**name);
    builder.rule(index, names, (action, errno), conditions)
}

/// Whether an engine would keep the rule: `setupSeccomp` in moby/profiles/seccomp.
fn applies(rule: &RawRule<'_>, index: usize, host: Option<&Host<'_>>) -> Result<bool> {
    let field = |name: &str| format!("/syscalls/{index}/{name}");
    if let Some(excludes) = &rule.excludes
        && !excludes.is_empty()
    {
        let host = host.ok_or_else(|| conditional(&field("excludes")))?;
        let cap = excludes.caps.iter().flatten().any(|cap| host.has(cap));
        if cap || excludes.names_native() || excludes.is_reached_by(host, &field("excludes"))? == Some(true) {
            return Ok(false);
        }
    }
    if let Some(includes) = &rule.includes
        && !includes.is_empty()
    {
        let host = host.ok_or_else(|| conditional(&field("includes")))?;
        let caps = includes.caps.iter().flatten().all(|cap| host.has(cap));
        let arch = includes.arches().is_empty() || includes.names_native();
        return Ok(caps && arch && includes.is_reached_by(host, &field("includes"))? != Some(false));
    }
    Ok(true)
}

fn conditional(field: &str) -> Error {
    Error::usage("a conditional rule has no meaning in an OCI profile").field(field)
}

impl RawFilter<'_> {
    fn is_empty(&self) -> bool {
        self.caps.as_ref().is_none_or(Vec::is_empty) && self.arches().is_empty() && self.min_kernel.is_none()
    }

    fn arches(&self) -> &[Text<'_>] {
        self.arches.as_deref().unwrap_or_default()
    }

    /// Whether the native ABI is listed, by Go's name for it.
    fn names_native(&self) -> bool {
        let native = match Arch::NATIVE {
            Some(Arch::X86_64) => "amd64",
            Some(Arch::Aarch64) => "arm64",
            _ => return false,
        };
        self.arches().iter().any(|arch| &**arch == native)
    }

    /// Whether the kernel is at least `minKernel`, where one is given.
    fn is_reached_by(&self, host: &Host<'_>, field: &str) -> Result<Option<bool>> {
        let Some(version) = &self.min_kernel else { return Ok(None) };
        let parts = version.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let Some(least) = parts else {
            let error = Error::usage("not a kernel version (MAJOR.MINOR)").object(&**version);
            return Err(error.field(format!("{field}/minKernel")));
        };
        Ok(Some(host.kernel >= least))
    }
}

impl Host<'_> {
    fn has(&self, capability: &str) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// A condition, or which field of it is wrong.
fn condition(arg: &RawArg<'_>) -> std::result::Result<Condition, (&'static str, Error)> {
    let index = argument_index(arg.index)
        .ok_or_else(|| ("index", Error::usage("a system call has arguments 0 to 5").object(arg.index)))?;
    let operator = match &*arg.op {
        "SCMP_CMP_NE" => Operator::Ne,
        "SCMP_CMP_LT" => Operator::Lt,
        "SCMP_CMP_LE" => Operator::Le,
        "SCMP_CMP_EQ" => Operator::Eq,
        "SCMP_CMP_GE" => Operator::Ge,
        "SCMP_CMP_GT" => Operator::Gt,
        "SCMP_CMP_MASKED_EQ" => Operator::MaskedEq,
        unknown => return Err(("op", Error::usage("unknown operator").object(unknown))),
    };
    Ok(Condition { index, operator, value: arg.value, value_two: arg.value_two.unwrap_or(0) })
}

fn action(name: &str) -> Result<Action> {
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(DEFAULT_DATA),
        "SCMP_ACT_NOTIFY" => Action::Notify,
        "SCMP_ACT_TRACE" => Action::Trace(DEFAULT_DATA),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ALLOW" => Action::Allow,
        unknown => return Err(Error::usage("unknown action").object(unknown)),
    })
}

/// The number that goes with an action. Podman writes the errno's name beside it, or the name alone.
fn errno(number: Option<u32>, name: Option<&str>) -> Result<Option<u32>> {
    let (None, Some(name)) = (number, name.filter(|name| !name.is_empty())) else { return Ok(number) };
    let named = (1..200).find(|raw| format!("{:?}", Errno::from_raw(*raw)) == name);
    let raw = named.and_then(|raw| u32::try_from(raw).ok());
    raw.map(Some).ok_or_else(|| Error::usage("unknown errno").object(name))
}

/// A string of the document, copied only where it holds escapes: a profile has hundreds.
struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> std::result::Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

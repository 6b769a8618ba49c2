//! A policy file as a whole, and the layers of it that judge one launch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::read;
use super::rules::{At, AuditRules, Destination, Redacted, Rules};
use super::text::{Filling, Section, Source};
use crate::error::{Error, Result};
use crate::types::Digest;

/// Where containers are where nobody says otherwise.
const STATE_ROOT: &str = "/run/pinfold";

/// What happens to a launch that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is named.
    Audit,
}

impl Mode {
    /// As the file names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
        }
    }
}

/// `[running]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// How many launches may live at once.
    pub max: Option<At<u64>>,
    /// The state directories that may be used.
    pub state_roots: Option<At<Vec<PathBuf>>>,
}

/// What a call by root that came by sudo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BySudo {
    /// The caller's: with its rights over files.
    Caller,
    /// The same, and there are no others.
    Required,
    /// Root's.
    Root,
}

/// `[callers]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callers {
    /// `sudo`.
    pub sudo: At<BySudo>,
}

/// The rules of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The file.
    pub file: String,
    /// Whose they are: `host`, `profile NAME`, `--policy`.
    pub origin: String,
    /// What it says.
    pub rules: Arc<Rules>,
}

/// A policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// `mode`.
    pub mode: Mode,
    /// `default_profile`.
    pub default_profile: Option<String>,
    /// `[callers]`.
    pub callers: Callers,
    /// `[running]`.
    pub running: Running,
    /// `[audit]`.
    pub audit: Option<AuditRules>,
    /// The host's rules.
    pub rules: Arc<Rules>,
    /// `[profile.NAME]`.
    pub profiles: BTreeMap<String, Arc<Rules>>,
    /// The file's name.
    pub file: String,
    /// `sha256:` and the digest of the text.
    pub digest: String,
}

/// The layers that judge one launch: each must allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What happens when they do not.
    pub mode: Mode,
    /// `[callers]`.
    pub callers: Callers,
    /// `[running]`, with the file's name.
    pub running: Running,
    /// `[audit]`.
    pub audit: Option<AuditRules>,
    /// The host's rules, the profile, the caller's own.
    pub layers: Vec<Layer>,
    /// The profile that was chosen.
    pub profile: Option<String>,
    /// A profile that was asked for and is not in the file.
    pub unknown_profile: Option<String>,
    /// The digest of each file.
    pub digests: Vec<String>,
}

impl Document {
    /// Reads the text of a host's policy.
    ///
    /// # Errors
    /// The line and what is wrong on it.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let source = Source::new(file, text);
        let table = source.table()?;
        let mut section = Section::whole(&source, &table, Filling::Defaults);
        version(&mut section)?;
        let modes = [("enforce", Mode::Enforce), ("audit", Mode::Audit)];
        let mode = section.choice("mode", &modes, Mode::Enforce)?.map_or(Mode::Enforce, |at| at.value);
        let default_profile = section.optional::<String>("default_profile")?.map(|at| at.value);
        let callers = callers(&mut section)?;
        let running = running(&mut section)?;
        let audit = audit(&mut section)?;
        let rules = Arc::new(read::rules(&mut section, Filling::Defaults)?);
        let mut profiles = BTreeMap::new();
        for (name, mut below) in section.named("profile", Filling::Nothing)? {
            check_name(&name, &below)?;
            profiles.insert(name, Arc::new(read::rules(&mut below, Filling::Nothing)?));
            below.finish()?;
        }
        section.finish()?;
        match &default_profile {
            Some(name) if !profiles.contains_key(name) => {
                Err(Error::usage(format!("`default_profile` is {name:?}, and there is no [profile.{name}]"))
                    .object(file))
            }
            _ => Ok(Self {
                mode,
                default_profile,
                callers,
                running,
                audit,
                rules,
                profiles,
                file: file.to_owned(),
                digest: digest(text),
            }),
        }
    }

    /// The layers for a launch that asks for this profile.
    pub fn for_launch(self, profile: Option<&str>) -> Policy {
        let Self { mode, default_profile, callers, running, audit, rules, mut profiles, file, digest } = self;
        let asked = profile.map(str::to_owned).or(default_profile);
        let chosen = asked.as_ref().and_then(|name| profiles.remove(name));
        let unknown_profile = if chosen.is_none() { asked.clone() } else { None };
        let layer = |(origin, rules)| Layer { file: file.clone(), origin, rules };
        let name = format!("profile {}", asked.as_deref().unwrap_or_default());
        let chosen = chosen.map(|rules| (name, rules));
        let layers = std::iter::once(("host".to_owned(), rules)).chain(chosen).map(layer).collect();
        Policy {
            mode,
            callers,
            running,
            audit,
            layers,
            profile: asked,
            unknown_profile,
            digests: vec![digest],
        }
    }
}

impl Policy {
    /// One more layer, of the caller's own. It has neither profiles nor a mode.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn narrow(&mut self, file: &str, text: &str) -> Result<()> {
        let source = Source::new(file, text);
        let table = source.table()?;
        let mut section = Section::whole(&source, &table, Filling::Nothing);
        version(&mut section)?;
        let rules = Arc::new(read::rules(&mut section, Filling::Nothing)?);
        section.finish()?;
        self.layers.push(Layer { file: file.to_owned(), origin: "--policy".to_owned(), rules });
        self.digests.push(digest(text));
        Ok(())
    }
}

fn version(section: &mut Section<'_, '_>) -> Result<()> {
    match section.required::<u64>("version")?.value {
        1 => Ok(()),
        other => Err(section.wrong(format!("version {other} is not known: this pinfold reads version 1"))),
    }
}

/// Letters, digits, `-` and `_`.
pub fn is_profile_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.bytes().all(plain)
}

fn check_name(name: &str, section: &Section<'_, '_>) -> Result<()> {
    match is_profile_name(name) {
        true => Ok(()),
        false => Err(section.wrong("a profile's name is made of letters, digits, `-` and `_`")),
    }
}

fn callers(section: &mut Section<'_, '_>) -> Result<Callers> {
    let mut below = section.section("callers")?;
    let known = [("caller", BySudo::Caller), ("required", BySudo::Required), ("root", BySudo::Root)];
    let sudo = below.choice("sudo", &known, BySudo::Caller)?;
    let sudo = sudo.unwrap_or(At { value: BySudo::Caller, line: 0 });
    below.finish()?;
    Ok(Callers { sudo })
}

fn running(section: &mut Section<'_, '_>) -> Result<Running> {
    let mut below = section.section("running")?;
    let max = below.optional::<u64>("max")?;
    let state_roots = below
        .optional("state_roots")?
        .or_else(|| max.as_ref().map(|at| At { value: vec![PathBuf::from(STATE_ROOT)], line: at.line }));
    below.finish()?;
    Ok(Running { max, state_roots })
}

/// Absent: there is no log.
fn audit(section: &mut Section<'_, '_>) -> Result<Option<AuditRules>> {
    let mut below = section.section("audit")?;
    if !below.is_written() {
        return Ok(None);
    }
    let destinations = [("file", Destination::File), ("journald", Destination::Journald)];
    let redacted = [("argv", Redacted::Argv), ("environment", Redacted::Environment)];
    let said = |key: &Option<At<bool>>| key.as_ref().is_some_and(|at| at.value);
    let audit = AuditRules {
        line: below.line(),
        required: said(&below.optional("required")?),
        durable: said(&below.optional("durable")?),
        path: below.optional::<PathBuf>("path")?.map(|at| at.value),
        destinations: below
            .choices("destinations", &destinations, None)?
            .map_or_else(|| vec![Destination::File], |at| at.value),
        redact: below.choices("redact", &redacted, None)?.map(|at| at.value).unwrap_or_default(),
    };
    if audit.destinations.is_empty() {
        return Err(below.wrong("`destinations` names none: leave the section out"));
    }
    let to_file = audit.destinations.contains(&Destination::File);
    if !to_file && (audit.path.is_some() || audit.durable) {
        return Err(below.wrong("`path` and `durable` are about a file, and `destinations` has none"));
    }
    if audit.path.as_ref().is_some_and(|path| path.parent().is_none_or(|dir| dir.parent().is_none())) {
        return Err(below.wrong("`path` must name a file in a directory of its own"));
    }
    below.finish()?;
    Ok(Some(audit))
}

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

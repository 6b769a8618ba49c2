//! What a judge says: a verdict, and each rule that a launch breaks.

use std::fmt;

use serde::Serialize;

use super::document::Mode;
use crate::error::{Error, Kind};

/// A rule that a launch breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule's id.
    pub rule: &'static str,
    /// The configuration field, or the option.
    pub field: String,
    /// What was asked for.
    pub asked: String,
    /// What is allowed.
    pub allowed: String,
    /// The file that says so.
    pub file: String,
    /// The line in it; 0 for a rule that is not written there: a default, or one that always holds.
    pub line: u32,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, field, asked, allowed, file, line } = self;
        // What was asked for is the caller's text: it must not begin a line of its own.
        let asked = asked.escape_debug();
        match line {
            0 => write!(f, "{field}: {asked} (rule {rule}, {file}; allowed: {allowed})"),
            line => write!(f, "{field}: {asked} (rule {rule}, {file}:{line}; allowed: {allowed})"),
        }
    }
}

/// How much a judge tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What is broken: a launch needs no more.
    Violations,
    /// Every part that was judged.
    Everything,
}

/// One part of a launch, and the rule that decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether the rule allows what is asked.
    #[serde(rename = "allowed_by_rule")]
    pub kept: bool,
    /// Whose rule it is: `host`, `profile NAME`, `--policy`, `built in`.
    pub layer: String,
    /// The rule, the field, what is asked and what is allowed.
    #[serde(flatten)]
    pub judged: Violation,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.kept { "allowed" } else { "refused" };
        write!(f, "{word} by {}: {}", self.layer, self.judged)
    }
}

/// All that was decided about a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// In the order in which they were judged.
    pub decisions: Vec<Decision>,
    /// What happens to a launch that breaks a rule.
    pub mode: Mode,
}

impl Decided {
    /// What they come to.
    pub fn verdict(&self) -> Verdict {
        let broken = self.decisions.iter().filter(|decision| !decision.kept);
        Verdict::of(broken.map(|decision| decision.judged.clone()).collect(), self.mode)
    }
}

/// What the policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The launch may go on.
    Allowed,
    /// It may go on, as the policy only watches: these are the rules that it breaks.
    Told(Vec<Violation>),
    /// It may not; here is every reason.
    Refused(Vec<Violation>),
}

impl Verdict {
    /// The verdict that these violations come to.
    pub fn of(violations: Vec<Violation>, mode: Mode) -> Self {
        match (violations.is_empty(), mode) {
            (true, _) => Self::Allowed,
            (false, Mode::Audit) => Self::Told(violations),
            (false, Mode::Enforce) => Self::Refused(violations),
        }
    }

    /// One word: allowed, told (mode audit), refused.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Told(_) => "told",
            Self::Refused(_) => "refused",
        }
    }

    /// All violations.
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Allowed => &[],
            Self::Told(violations) | Self::Refused(violations) => violations,
        }
    }

    /// Both verdicts: what one refuses is refused.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let all = [self.violations(), other.violations()].concat();
        match (self, other) {
            (Self::Refused(_), _) | (_, Self::Refused(_)) => Self::Refused(all),
            (Self::Told(_), _) | (_, Self::Told(_)) => Self::Told(all),
            (Self::Allowed, Self::Allowed) => Self::Allowed,
        }
    }

    /// The verdict as a result, for the launching verbs; what is only told comes back.
    ///
    /// # Errors
    /// Kind `PolicyRefused` with all violations.
    pub fn enforce(self) -> Result<Vec<Violation>, Error> {
        match self {
            Self::Allowed => Ok(vec![]),
            Self::Told(violations) => Ok(violations),
            Self::Refused(violations) => {
                let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
                let field = violations.first().map(|first| first.field.clone()).unwrap_or_default();
                Err(Error::new(Kind::PolicyRefused, format!("refused by policy: {}", lines.join("; ")))
                    .field(field))
            }
        }
    }
}

//! What came of the attacks: one line each, and JSON.

use std::fmt::Write;

use serde::Serialize;

use super::attacks::Attack;

/// What came of one launch or of one attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Held,
    Escaped,
    NotApplicable,
    /// The probe did not fire where it must: nothing is known.
    Dead,
}

/// An outcome and what it rests on.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Seen {
    pub outcome: Outcome,
    pub evidence: String,
}

/// One attack.
#[derive(Debug, Serialize)]
struct Row {
    id: &'static str,
    cve: Vec<&'static str>,
    what: &'static str,
    #[serde(flatten)]
    seen: Seen,
    /// The weakened configuration, in which the probe must fire.
    control: Seen,
}

/// All attacks on one runtime.
#[derive(Debug, Serialize)]
pub struct Report {
    runtime: String,
    version: String,
    kernel: String,
    /// Seconds since 1970.
    time: u64,
    attacks: Vec<Row>,
}

impl Report {
    pub(super) fn new(runtime: String, version: String) -> Self {
        let kernel = nix::sys::utsname::uname();
        let kernel = kernel.map(|kernel| kernel.release().to_string_lossy().into_owned());
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let time = time.map_or(0, |since| since.as_secs());
        Self { runtime, version, kernel: kernel.unwrap_or_default(), time, attacks: vec![] }
    }

    pub(super) fn add(&mut self, attack: &Attack, attacked: Seen, control: Seen) {
        let seen = match (attacked.outcome, control.outcome) {
            (Outcome::Escaped | Outcome::Dead, _) => attacked,
            (_, Outcome::NotApplicable) => Seen { outcome: Outcome::NotApplicable, ..control.clone() },
            (_, Outcome::Escaped) => Seen { outcome: Outcome::Held, ..attacked },
            // Silence of a probe that does not fire says nothing.
            _ => Seen {
                outcome: Outcome::Dead,
                evidence: format!("the probe does not fire in its control: {}", control.evidence),
            },
        };
        let cve = attack.cve.split_whitespace().collect();
        self.attacks.push(Row { id: attack.id, cve, what: attack.what, seen, control });
    }

    /// Whether something got out, or cannot be told.
    pub fn is_bad(&self) -> bool {
        self.attacks.iter().any(|row| matches!(row.seen.outcome, Outcome::Escaped | Outcome::Dead))
    }

    /// One line per attack.
    pub fn text(&self) -> String {
        let mut text = format!("{} on Linux {}\n", self.version, self.kernel);
        for row in &self.attacks {
            let word = match row.seen.outcome {
                Outcome::Held => "held",
                Outcome::Escaped => "ESCAPED",
                Outcome::NotApplicable => "n/a",
                Outcome::Dead => "DEAD",
            };
            let cve = if row.cve.is_empty() { String::new() } else { format!(" ({})", row.cve.join(", ")) };
            // Evidence is partly the container's text: it begins no line.
            let evidence = row.seen.evidence.escape_debug();
            if writeln!(text, "{word:8} {:16} {}{cve}: {evidence}", row.id, row.what).is_err() {
                break;
            }
        }
        text
    }
}

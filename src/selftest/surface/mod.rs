//! The surface: what a process in a container can reach, as sections of names with a word on each. The
//! form of the JSON is docs/surface.md's; a difference of two is a list of names.
//!
//! It looks from inside, and tries nothing that changes more than a process of its own.

mod calls;
mod diff;
mod places;
mod rights;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use diff::{Change, Difference};

use crate::error::{Error, Result};

/// The form that is written, and the one that is read.
const SCHEMA: u32 = 1;

/// Names, and what there is to say of each.
pub type Section = BTreeMap<String, String>;

/// What can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// `SCHEMA`.
    pub schema: u32,
    /// By the name of a section.
    pub sections: BTreeMap<String, Section>,
}

impl Surface {
    /// That of this process.
    ///
    /// # Errors
    /// /proc is not there; no process can be made.
    pub fn look() -> Result<Self> {
        let (reached, not_tried) = calls::calls()?;
        let sections = [
            ("process", rights::process()?),
            ("capabilities", rights::capabilities()?),
            ("syscalls", reached),
            ("syscalls_not_tried", not_tried),
            ("sockets", calls::sockets()?),
            ("keyrings", rights::keyrings()),
            ("writable", places::writable()),
            ("devices", places::devices()),
            ("mounts", places::mounts()?),
            ("descriptors", places::descriptors()?),
        ];
        let sections = sections.into_iter().map(|(name, section)| (name.to_owned(), section)).collect();
        Ok(Self { schema: SCHEMA, sections })
    }

    /// Reads a report.
    ///
    /// # Errors
    /// Not one, or one of another form.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let surface: Self =
            serde_json::from_slice(text).map_err(|error| Error::usage(format!("no surface: {error}")))?;
        match surface.schema {
            SCHEMA => Ok(surface),
            other => Err(Error::usage(format!("schema {other} is not known: this pinfold reads {SCHEMA}"))),
        }
    }

    /// As JSON.
    ///
    /// # Errors
    /// None in practice: serde_json.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::internal(error.to_string()))?;
        Ok(text + "\n")
    }

    /// For people: a line for each name.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, section) in &self.sections {
            text.push_str(&format!("{name} ({})\n", section.len()));
            for (name, word) in section {
                text.push_str(&format!("  {}\n", format!("{} {word}", diff::printable(name)).trim_end()));
            }
        }
        text
    }
}

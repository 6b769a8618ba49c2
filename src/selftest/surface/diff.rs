//! What one surface has and another has not, by name.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Surface;

/// Of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The second has it.
    Added(String),
    /// The first had it.
    Removed(String),
    /// Both have it, and say something else.
    Changed(String, String),
}

/// By section and name; names of which both say the same are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// By the name of a section.
    pub sections: BTreeMap<String, BTreeMap<String, Change>>,
}

impl Difference {
    /// From `one` to `other`.
    pub fn of(one: &Surface, other: &Surface) -> Self {
        let empty = super::Section::new();
        let names: BTreeSet<_> = one.sections.keys().chain(other.sections.keys()).collect();
        let sections = names.into_iter().filter_map(|name| {
            let (before, after) =
                (one.sections.get(name).unwrap_or(&empty), other.sections.get(name).unwrap_or(&empty));
            let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            let changes: BTreeMap<_, _> = all
                .into_iter()
                .filter_map(|key| Some((key.clone(), change(before.get(key), after.get(key))?)))
                .collect();
            (!changes.is_empty()).then(|| (name.clone(), changes))
        });
        Self { sections: sections.collect() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// A line for each name: `+`, `-` or `~`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (section, changes) in &self.sections {
            for (name, change) in changes {
                let name = printable(name);
                let line = match change {
                    Change::Added(word) => format!("+ {section} {name} {}", printable(word)),
                    Change::Removed(word) => format!("- {section} {name} {}", printable(word)),
                    Change::Changed(before, after) => {
                        format!("~ {section} {name} {} -> {}", printable(before), printable(after))
                    }
                };
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        text
    }
}

fn change(before: Option<&String>, after: Option<&String>) -> Option<Change> {
    match (before, after) {
        (Some(before), Some(after)) if before == after => None,
        (Some(before), Some(after)) => Some(Change::Changed(before.clone(), after.clone())),
        (Some(before), None) => Some(Change::Removed(before.clone())),
        (None, Some(after)) => Some(Change::Added(after.clone())),
        (None, None) => None,
    }
}

/// What a container made up must not reach a terminal as a control.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surface(rows: &[(&str, &str, &str)]) -> Surface {
        let mut surface = Surface { schema: 1, sections: BTreeMap::new() };
        for (section, name, word) in rows {
            let section: &mut super::super::Section =
                surface.sections.entry((*section).to_owned()).or_default();
            section.insert((*name).to_owned(), (*word).to_owned());
        }
        surface
    }

    #[test]
    fn each_change_is_told_by_name() {
        let one = surface(&[("a", "same", "x"), ("a", "gone", "x"), ("a", "other", "x"), ("b", "gone", "")]);
        let other = surface(&[("a", "same", "x"), ("a", "other", "y"), ("c", "new\u{1b}", "z")]);
        let difference = Difference::of(&one, &other);
        assert_eq!(difference.text(), "- a gone x\n~ a other x -> y\n- b gone\n+ c new? z\n");
        assert!(Difference::of(&one, &one).is_empty());
    }
}

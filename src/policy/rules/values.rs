//! What a rule says of one thing: names, ids, places, capabilities, amounts.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The verbs that are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// `create`.
    Create,
    /// `run`.
    Run,
    /// `sandbox`.
    Sandbox,
    /// `exec`.
    Exec,
    /// `update`.
    Update,
}

impl Verb {
    /// Every verb by its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("create", Self::Create),
        ("run", Self::Run),
        ("sandbox", Self::Sandbox),
        ("exec", Self::Exec),
        ("update", Self::Update),
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }
}

/// Whether what is mounted can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Only read.
    Ro,
    /// Written too.
    Rw,
}

/// What a network namespace can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A new one.
    None,
    /// The host's.
    Host,
    /// One that is joined by path.
    Joined,
}

/// Whose session keyring the program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keyring {
    /// Its own.
    Own,
    /// The caller's.
    Caller,
}

/// How much of something there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// It need not be set.
    Unlimited,
    /// It must be set.
    Set,
    /// It must be set, to at most this.
    Max(u64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("anything"),
            Self::Set => f.write_str("a finite limit"),
            Self::Max(most) => write!(f, "at most {most}"),
        }
    }
}

/// Names, the last letter of which may be a `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names(pub Vec<String>);

impl Names {
    /// These, which the code knows to be well-formed.
    pub fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Whether a name is one of them.
    pub fn hold(&self, name: &str) -> bool {
        self.hold_within(name, "")
    }

    /// Whether a name is one of those of them that begin with `start`.
    pub fn hold_within(&self, name: &str, start: &str) -> bool {
        self.0.iter().filter(|known| known.starts_with(start)).any(|known| match known.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => known == name,
        })
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        listed(f, &self.0)
    }
}

fn listed<T: fmt::Display>(f: &mut fmt::Formatter<'_>, list: &[T]) -> fmt::Result {
    if list.is_empty() {
        return f.write_str("none");
    }
    let words: Vec<_> = list.iter().map(ToString::to_string).collect();
    f.write_str(&words.join(", "))
}

/// Ranges of ids, first and last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids(pub Vec<(u32, u32)>);

impl Ids {
    /// Whether an id is one of them.
    pub fn hold(&self, id: u32) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// Whether all ids from `first` to `last` are among them. Ranges that touch count as one.
    pub fn hold_all(&self, first: u32, last: u32) -> bool {
        let mut next = u64::from(first);
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        for (start, end) in sorted {
            if u64::from(start) <= next {
                next = next.max(u64::from(end) + 1);
            }
        }
        next > u64::from(last)
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(first, last): &(u32, u32)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let words: Vec<_> = self.0.iter().map(one).collect();
        listed(f, &words)
    }
}

/// Places of the host or of the container: each is itself and everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places(pub Vec<PathBuf>);

impl Places {
    /// The longest of them that covers `path`, by whole components.
    pub fn cover(&self, path: &Path) -> Option<&Path> {
        let covering = self.0.iter().filter(|place| path.starts_with(place));
        covering.max_by_key(|place| place.components().count()).map(PathBuf::as_path)
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        listed(f, &words)
    }
}

/// Capabilities, as the kernel's mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps(pub u64);

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = caps::all().into_iter().filter(|cap| self.0 & cap.bitmask() != 0);
        let mut names: Vec<_> = names.map(|cap| cap.to_string()).collect();
        names.sort_unstable();
        let beyond = self.0 >> (u64::from(caps::Capability::CAP_CHECKPOINT_RESTORE.index()) + 1);
        if beyond != 0 {
            names.push(format!("mask {:#x}", self.0));
        }
        listed(f, &names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_for_everything_is_no_pattern_for_what_has_to_be_named() {
        for (patterns, any, within) in [
            (&["*"][..], true, false),
            (&["o*"], true, false),
            (&["org.x.A"], true, true),
            (&["org.x.*"], true, true),
            (&["org.x.B", "*"], true, false),
            (&["org.y"], false, false),
        ] {
            let names = Names::of(patterns);
            assert_eq!(
                (names.hold("org.x.A"), names.hold_within("org.x.A", "org.x.")),
                (any, within),
                "{patterns:?}"
            );
        }
    }
}

//! How a container of the OCI verbs shall end, and where that is told: asked for by annotation. An engine may
//! take annotations from an image, so that none of them may be a danger to the host.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use oci_spec::runtime::Spec;

use crate::draft::{Draft, OURS, REPORT, STDERR_MAX, STDOUT_MAX, TIMEOUT};
use crate::error::{Context, Error, Result};
use crate::policy::Request;
use crate::sys::clone::CLONE_NEWPID;
use crate::types::{ByteSize, Span};

/// How a container of the OCI verbs shall end, and who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// From the start of its program to the end of everything.
    pub timeout: Option<Duration>,
    /// Bytes of stdout.
    pub stdout_max: Option<u64>,
    /// Bytes of stderr.
    pub stderr_max: Option<u64>,
    /// The report: a name in the bundle, or an absolute path.
    pub report: Option<PathBuf>,
}

impl Wishes {
    /// Reads them.
    ///
    /// # Errors
    /// A value that cannot be understood; a bound on what a terminal writes.
    pub fn of(spec: &Spec) -> Result<Self> {
        let mut wishes = Self::default();
        let all = spec.annotations().iter().flatten();
        for (key, value) in all.filter(|(key, _)| key.starts_with(OURS)) {
            wishes.read(key, value).at(format!("/annotations/{key}"))?;
        }
        let terminal = spec.process().as_ref().is_some_and(|process| process.terminal() == Some(true));
        for (limit, key) in [(wishes.stdout_max, STDOUT_MAX), (wishes.stderr_max, STDERR_MAX)] {
            if terminal && limit.is_some() {
                let refused = Error::usage("a terminal has one stream, which its console socket takes away");
                return Err(refused.field(format!("/annotations/{key}")));
            }
        }
        Ok(wishes)
    }

    fn read(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            TIMEOUT => self.timeout = Some(Span::from_str(value)?.duration()),
            STDOUT_MAX => self.stdout_max = Some(ByteSize::from_str(value)?.bytes()),
            STDERR_MAX => self.stderr_max = Some(ByteSize::from_str(value)?.bytes()),
            REPORT => self.report = Some(report(value)?),
            // What else there is the Draft knows.
            _ => {}
        }
        Ok(())
    }

    /// What can be ended must be: a process outside its cgroup and its pid namespace lives on.
    ///
    /// # Errors
    /// Neither is the container's own.
    pub fn require_an_end(&self, draft: &Draft, has_cgroup: bool) -> Result<()> {
        let own_pids = draft.new_namespaces & CLONE_NEWPID != 0;
        match self.any() && !own_pids && !has_cgroup {
            true => Err(Error::usage(
                "needs a cgroup or a new pid namespace: nothing else ends with all that is in it",
            )
            .field(format!("/annotations/{OURS}*"))),
            false => Ok(()),
        }
    }

    /// The request with what the policy judges of it.
    pub fn asked(&self, request: Request) -> Request {
        let (timeout, stdout_max, stderr_max) = (self.timeout, self.stdout_max, self.stderr_max);
        Request { timeout, stdout_max, stderr_max, ..request }
    }

    /// Whether anything is asked for.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// A plain name is one of the bundle's; every other place must be named in full.
fn report(value: &str) -> Result<PathBuf> {
    let path = PathBuf::from(value);
    let refused = |text: &str| Err(Error::usage(text).object(value));
    if value.is_empty() || value.contains(|char: char| char.is_control()) || path.file_name().is_none() {
        return refused("names no file");
    }
    match path.is_absolute() || !value.contains('/') {
        true => Ok(path),
        false => refused("neither a name in the bundle nor an absolute path"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn wishes(key: &str, value: &str, terminal: bool) -> std::result::Result<Wishes, String> {
        let mut spec = Spec::default();
        spec.set_annotations(Some(HashMap::from([(key.to_owned(), value.to_owned())])));
        let mut process = spec.process().clone().unwrap();
        process.set_terminal(Some(terminal));
        spec.set_process(Some(process));
        Wishes::of(&spec).map_err(|error| error.to_string())
    }

    #[test]
    fn wishes_are_read_or_an_error() {
        let none = Wishes::default;
        let rows = [
            (TIMEOUT, "90s", Wishes { timeout: Some(Duration::from_secs(90)), ..none() }),
            (STDOUT_MAX, "4k", Wishes { stdout_max: Some(4096), ..none() }),
            (STDERR_MAX, "1m", Wishes { stderr_max: Some(1 << 20), ..none() }),
            (REPORT, "r.json", Wishes { report: Some("r.json".into()), ..none() }),
            (REPORT, "/srv/r.json", Wishes { report: Some("/srv/r.json".into()), ..none() }),
            ("io.pinfold.landlock", "on", none()),
            ("org.example.timeout", "x", none()),
        ];
        for (key, value, expected) in rows {
            assert_eq!(wishes(key, value, false), Ok(expected), "{key} {value}");
        }
        let refused = [
            (TIMEOUT, "0"),
            (TIMEOUT, "-1s"),
            (TIMEOUT, ""),
            (TIMEOUT, "400d"),
            (STDOUT_MAX, "-1"),
            (STDERR_MAX, "many"),
            (REPORT, ""),
            (REPORT, "."),
            (REPORT, ".."),
            (REPORT, "/"),
            (REPORT, "a/b"),
            (REPORT, "../r.json"),
            (REPORT, "fd/3"),
            (REPORT, "a\nb"),
        ];
        for (key, value) in refused {
            let told = wishes(key, value, false).unwrap_err();
            assert!(told.starts_with("/annotations/io.pinfold."), "{key} {value:?}: {told}");
        }
    }

    #[test]
    fn what_a_terminal_writes_cannot_be_counted() {
        for key in [STDOUT_MAX, STDERR_MAX] {
            assert!(wishes(key, "1m", true).is_err(), "{key}");
            assert!(wishes(key, "1m", false).is_ok(), "{key}");
        }
        assert!(wishes(TIMEOUT, "1s", true).is_ok());
    }
}

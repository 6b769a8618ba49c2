//! The cgroup of an `exec`.
//!
//! One whose caller waits has a group of its own below the container's, and within its
//! limits: when pinfold or the caller is gone, all of it is killed, sessions and orphans too.
//! What it leaves behind on a proper end lives on with the container, as with runc. A detached
//! one joins the container's group, which no one has to sweep, unless that hands controllers
//! down: then it may hold no process (cgroup-v2.rst, "No Internal Process Constraint").

use crate::cgroup::{Below, Cgroup};
use crate::cli::ExecArgs;
use crate::error::{Call, Context, Error, Result};
use crate::sys;

const PREFIX: &str = "pinfold-exec-";

/// Where the program lives, and what is killed with pinfold.
pub(super) struct Home {
    container: Option<Cgroup>,
    own: Option<Cgroup>,
    given: Option<Cgroup>,
}

impl Home {
    /// Opens or makes it.
    ///
    /// # Errors
    /// `--cgroup` names none, or the caller may not make one.
    pub(super) fn open(container: Option<Cgroup>, args: &ExecArgs) -> Result<Self> {
        let mut home = Self { container, own: None, given: None };
        let Some(container) = &home.container else {
            return match args.cgroup.is_empty() {
                true => Ok(home),
                false => Err(Error::usage("the container has no cgroup").field("--cgroup")),
            };
        };
        if !args.cgroup.is_empty() {
            home.given = Some(container.below(&below(&args.cgroup)?).at("--cgroup")?);
        } else if !args.detach || container.is_inner()? {
            sweep(container)?;
            home.own = Some(make(container)?);
        }
        Ok(home)
    }

    /// The group that the program is born in.
    pub(super) fn cgroup(&self) -> Option<&Cgroup> {
        self.own.as_ref().or(self.given.as_ref()).or(self.container.as_ref())
    }

    /// What is the program's alone.
    pub(super) fn own(&self) -> Option<&Cgroup> {
        self.own.as_ref()
    }

    /// The program runs on without pinfold.
    pub(super) fn let_go(mut self) {
        self.own = None;
    }

    /// After a proper end: what the program started lives on.
    ///
    /// # Errors
    /// rmdir(2).
    pub(super) fn leave(mut self) -> Result<()> {
        match (self.own.take(), &self.container) {
            (Some(own), Some(container)) => container.remove_deserted(own.path().name()),
            _ => Ok(()),
        }
    }

    /// After any other: nothing does.
    ///
    /// # Errors
    /// cgroup.kill, rmdir(2).
    pub(super) fn end(mut self) -> Result<()> {
        match self.own.take() {
            Some(own) => {
                own.kill()?;
                own.remove()
            }
            None => Ok(()),
        }
    }
}

/// The name tells who made it, so that another `exec` does not take an empty one away before
/// its first process is in; and the container cannot guess it.
fn make(container: &Cgroup) -> Result<Cgroup> {
    let mut bytes = [0_u8; 4];
    sys::random::fill(&mut bytes).call("getrandom")?;
    let name = format!("{PREFIX}{}-{:08x}", std::process::id(), u32::from_ne_bytes(bytes));
    container.sub(&name).map_err(|error| {
        error.hint(
            "an `exec` that ends with its caller needs a group below the container's; `--detach` does not",
        )
    })
}

/// Removes the groups of those that have ended since.
fn sweep(container: &Cgroup) -> Result<()> {
    for name in container.subs(PREFIX)? {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let maker = maker.and_then(|pid| pid.parse::<i32>().ok()).filter(|pid| *pid > 0);
        let lives =
            maker.is_some_and(|pid| crate::state::Process::of(pid).is_ok_and(|found| found.is_some()));
        if !lives {
            container.remove_deserted(&name)?;
        }
    }
    Ok(())
}

/// runc's form: PATH, or CONTROLLER[,CONTROLLER...]:PATH once per controller.
fn below(words: &[String]) -> Result<Vec<Below>> {
    let refused = |word: &str, reason: &str| {
        Err(Error::usage(format!("invalid --cgroup argument: {word} ({reason})")).field("--cgroup"))
    };
    let mut asked: Vec<Below> = vec![];
    for word in words {
        let Some((controllers, path)) = word.split_once(':') else {
            if words.len() != 1 {
                return refused(word, "missing <controller>: prefix");
            }
            return Ok(vec![Below { controllers: vec![], path: word.clone() }]);
        };
        let controllers: Vec<String> = controllers.split(',').map(str::to_owned).collect();
        if controllers.iter().any(String::is_empty) {
            return refused(word, "empty <controller> prefix");
        }
        if asked.iter().flat_map(|below| &below.controllers).any(|known| controllers.contains(known)) {
            return refused(word, "a controller is given twice");
        }
        asked.push(Below { controllers, path: path.to_owned() });
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> std::result::Result<Vec<(Vec<String>, String)>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let below = below(&words).map_err(|error| error.to_string())?;
        Ok(below.into_iter().map(|below| (below.controllers, below.path)).collect())
    }

    #[test]
    fn a_cgroup_is_for_all_hierarchies_or_for_named_ones() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(parsed(&["/a/b"]), Ok(vec![(vec![], "/a/b".to_owned())]));
        assert_eq!(
            parsed(&["pids,cpu:/a", "memory:b"]),
            Ok(vec![(names(&["pids", "cpu"]), "/a".to_owned()), (names(&["memory"]), "b".to_owned())])
        );
        for (words, said) in [
            (&["a", "b"][..], "missing <controller>: prefix"),
            (&[":a"], "empty <controller> prefix"),
            (&["pids,:a"], "empty <controller> prefix"),
            (&["pids:a", "cpu,pids:b"], "given twice"),
        ] {
            assert!(parsed(words).unwrap_err().contains(said), "{words:?}");
        }
    }
}

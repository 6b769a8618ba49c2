//! `--regex` of `kill` and `delete`, which is crun's: the id is an expression, and every
//! container that it is found in is meant.

use std::ffi::CString;

use crate::error::{Call, Context, Error, Result};
use crate::state::StateRoot;
use crate::sys::regex::Regex;
use crate::types::ContainerId;

/// The container that is named, or all that match.
///
/// # Errors
/// No container id; not an expression.
pub fn ids(root: &StateRoot, named: &str, by_expression: bool) -> Result<Vec<String>> {
    if !by_expression {
        return Ok(vec![named.parse::<ContainerId>()?.to_string()]);
    }
    let expression = c_string(named)?;
    let expression = Regex::new(&expression).call("regcomp").on(named).at("--regex")?;
    let mut found = vec![];
    for id in root.ids()? {
        if expression.is_in(&c_string(&id)?) {
            found.push(id);
        }
    }
    Ok(found)
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|error| Error::usage(error.to_string()).object(text))
}

/// Does it to each; with an expression what fails for one does not keep the others from it,
/// and is a warning, as with crun.
///
/// # Errors
/// As `act`, for a container that was named.
pub fn each(ids: &[String], by_expression: bool, act: impl Fn(&str) -> Result<()>) -> Result<()> {
    for id in ids {
        match act(id) {
            Err(error) if by_expression => crate::error::warn(format_args!("{id}: {error}")),
            other => other?,
        }
    }
    Ok(())
}

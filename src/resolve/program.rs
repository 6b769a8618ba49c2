//! argv, environ and the candidates of execvp(3), with the *container's* PATH.

use std::ffi::{CStr, CString};

use crate::draft::Process;
use crate::error::{Error, Result};
use crate::plan::Program;
use crate::sys::exec::CStringArray;

/// What execvp(3) searches when the environment has no PATH: nothing of the host's.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Renders the program.
pub(super) fn program(process: &Process) -> Result<Program> {
    let argument = process.args.first().ok_or_else(|| Error::usage("is empty").field("/process/args"))?;
    Ok(Program {
        candidates: candidates(argument, &process.env),
        argv: CStringArray::new(process.args.clone()),
        envp: CStringArray::new(process.env.clone()),
        name: argument.to_string_lossy().into_owned(),
    })
}

fn candidates(argument: &CStr, env: &[CString]) -> Vec<CString> {
    let name = argument.to_bytes();
    if name.contains(&b'/') {
        return vec![argument.to_owned()];
    }
    let path = env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
    let directories = path.split(|byte| *byte == b':');
    // An empty entry means the working directory, which the program can write: never searched.
    let absolute = directories.filter(|directory| directory.first() == Some(&b'/'));
    absolute.filter_map(|directory| CString::new([directory, b"/", name].concat()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(argument: &str, env: &[&str]) -> Vec<String> {
        let argument = CString::new(argument).unwrap();
        let env: Vec<_> = env.iter().map(|entry| CString::new(*entry).unwrap()).collect();
        candidates(&argument, &env).into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn a_name_is_searched_in_the_containers_path() {
        assert_eq!(of("ls", &["A=1", "PATH=/a:/b"]), ["/a/ls", "/b/ls"]);
    }

    #[test]
    fn empty_and_relative_entries_are_not_searched() {
        assert_eq!(of("ls", &["PATH=:.:bin:/a:"]), ["/a/ls"]);
    }

    #[test]
    fn a_name_with_a_slash_is_taken_as_it_is() {
        assert_eq!(of("./ls", &["PATH=/a"]), ["./ls"]);
    }
}

//! argv, environ and the candidates of execvp(3), with the *container's* PATH.

use std::ffi::{CStr, CString};

use crate::draft::Process;
use crate::plan::Program;
use crate::sys::exec::CStringArray;

/// What execvp(3) searches when the environment has no PATH: nothing of the host's.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Renders the program. `home` is what HOME says where the configuration does not.
pub(super) fn program(process: &Process, home: impl FnOnce() -> CString) -> Program {
    // Of a container without a process nothing is executed: there is no candidate.
    let argument = process.args.first();
    let mut env = process.env.clone();
    // An empty one says nothing, as with runc.
    env.retain(|entry| entry.to_bytes() != b"HOME=");
    if !env.iter().any(|entry| entry.to_bytes().starts_with(b"HOME=")) {
        env.push(home());
    }
    Program {
        candidates: argument.map(|argument| candidates(argument, &env)).unwrap_or_default(),
        argv: CStringArray::new(process.args.clone()),
        envp: CStringArray::new(env),
        name: argument.map_or_else(String::new, |argument| argument.to_string_lossy().into_owned()),
    }
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
    let joined = |directory: &[u8]| {
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        CString::new([directory, b"/", name].concat()).ok()
    };
    absolute.filter_map(joined).collect()
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
    fn a_slash_at_the_end_is_not_doubled() {
        assert_eq!(of("ls", &["PATH=/:/a/"]), ["/ls", "/a/ls"]);
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

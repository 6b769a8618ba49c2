//! How a failure is told: one line with the word `error`, a hint, and an exit code.
//!
//! Callers of runc look for that word on stderr. The OCI verbs have runc's exit codes, which
//! leave the program's own code unmistakable: 255 for `exec`, and for `run` where execve(2) itself fails, 1 for
//! the rest.

use std::ffi::OsString;
use std::io::Write;

use clap::error::ErrorKind;

use crate::cli::{self, Cli, Verb};
use crate::error::{Error, ExitCode, in_a_line};
use crate::plan::Step;

/// Prints the failure of a verb to stderr and into `--log`, and gives its exit code.
pub fn of_verb(cli: &Cli, error: &Error) -> ExitCode {
    let verb = &cli.verb;
    if let Err(unlogged) = super::log::failure(&cli.global, error) {
        say(&text(verb.name(), None, &unlogged));
    }
    say(&text(verb.name(), verb.container(), error));
    exit_code(verb, error)
}

fn exit_code(verb: &Verb, error: &Error) -> ExitCode {
    match verb {
        Verb::Sandbox(_) | Verb::Explain(_) | Verb::Policy(_) => error.exit_code(),
        // runc's first process says so then, and ends with this code; what is missing it knows before.
        Verb::Run(run) if !run.detach && error.step_name() == Some(Step::Exec.name()) => ExitCode(255),
        _ => code(verb.name()),
    }
}

/// Prints what clap has to say: help and version to stdout, everything else to stderr and into the report.
pub fn of_command_line(args: &[OsString], error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match super::output::print(&error.to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode(1),
        };
    }
    say(&format!("pinfold: {error}"));
    if let Err(unwritten) = super::sandbox::report_refused(args, error) {
        say(&text("sandbox", None, &unwritten));
    }
    code_of_attempt(args)
}

/// Prints why not even the command line was looked at.
pub fn of_start(args: &[OsString], errno: nix::errno::Errno) -> ExitCode {
    let error = Error::call("open", errno).object("/dev/null in place of a closed stdin, stdout or stderr");
    say(&format!("pinfold: error: {error}\n"));
    code_of_attempt(args)
}

fn code_of_attempt(args: &[OsString]) -> ExitCode {
    cli::verb_of(args).map_or(ExitCode(1), |verb| code(&verb))
}

/// The exit code of a verb that cannot even begin.
fn code(verb: &str) -> ExitCode {
    match verb {
        "sandbox" | "explain" | "policy" | "lint" => ExitCode::USAGE,
        "exec" => ExitCode(255),
        _ => ExitCode(1),
    }
}

/// The lines for stderr.
pub fn text(verb: &str, container: Option<&str>, error: &Error) -> String {
    let subject = container.map_or(String::new(), |id| format!(" {id}"));
    let hint = error.hint_text().map_or(String::new(), |hint| format!("hint: {}\n", in_a_line(&hint)));
    format!("pinfold: {verb}{}: error: {}\n{hint}", in_a_line(&subject), in_a_line(&error.to_string()))
}

/// Nobody is left to tell if stderr is closed.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_failure_is_one_line_and_its_hint() {
        let error = Error::call("openat2", Errno::EXDEV).object("/x").field("/mounts/0/source");
        let text = text("create", Some("c"), &error);
        let mut lines = text.lines();
        let expected = "pinfold: create c: error: /mounts/0/source /x: openat2: ";
        assert!(lines.next().is_some_and(|line| line.starts_with(expected) && line.ends_with("(EXDEV)")));
        assert!(lines.next().is_some_and(|line| line.starts_with("hint: ")));
        assert_eq!(lines.next(), None);
        assert_eq!(super::text("spec", None, &Error::usage("no")), "pinfold: spec: error: no\n");
    }

    #[test]
    fn exit_codes_are_runc_s_but_for_the_sandbox() {
        let cli = |line: &str| cli::parse_from(line.split(' ')).unwrap().verb;
        let error = Error::new(Kind::PolicyRefused, "no");
        let rows =
            [("run c", 1), ("exec c true", 255), ("state c", 1), ("sandbox true", 120), ("explain", 120)];
        for (line, code) in rows {
            assert_eq!(exit_code(&cli(&format!("pinfold {line}")), &error), ExitCode(code), "{line}");
        }
        for (line, step, code) in [
            ("run c", "exec", 255),
            ("run c", "find_program", 1),
            ("run -d c", "exec", 1),
            ("start c", "exec", 1),
            ("exec c true", "exec", 255),
        ] {
            let error = Error::new(Kind::ExecNotFound, "no").step(step);
            assert_eq!(exit_code(&cli(&format!("pinfold {line}")), &error), ExitCode(code), "{line} {step}");
        }
    }

    #[test]
    fn a_bad_command_line_has_the_exit_code_of_its_verb() {
        let rows = [
            ("sandbox --nonsense", 125),
            ("--root /x sandbox", 125),
            ("explain --nonsense", 125),
            ("exec --nonsense", 255),
            ("run --nonsense", 1),
            ("nonsense", 1),
            ("", 1),
            ("--nonsense sandbox true", 125),
        ];
        for (line, code) in rows {
            let args = std::iter::once("pinfold").chain(line.split_whitespace());
            let args = args.map(OsString::from).collect::<Vec<_>>();
            assert!(cli::parse_from(args.clone()).is_err(), "{line}");
            assert_eq!(code_of_attempt(&args), ExitCode(code), "{line}");
        }
    }
}

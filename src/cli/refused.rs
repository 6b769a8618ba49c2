//! What can be said of a command line that is refused: where its report goes, and what is wrong.
//!
//! Its words may come from somebody who wants a file written. So only a line that names one report counts,
//! and only where clap gives each word up to it a place: a word that may be the value of an option in front
//! of it, an argument of the program, or one of two, writes nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Args, Command};

use super::{Global, SandboxArgs};
use crate::types::{FdNumber, FromOsStr, ReportTarget};

const OPTION: &[u8] = b"--report";

/// The report of a `sandbox` whose line is refused: where it would have gone.
///
/// What stands behind it is not looked at, for an unknown option may be one that takes a value.
pub fn report_of_refused(args: &[OsString]) -> Option<ReportTarget> {
    let end = args.iter().position(|word| word == "--").unwrap_or(args.len());
    let options = args.get(..end)?;
    let mut named = options.iter().enumerate().filter_map(|(at, word)| Some((at, last_word(at, word)?)));
    let (first, last) = named.next()?;
    if named.next().is_some() {
        return None;
    }
    let target = ReportTarget::from_os_str(&read(options.get(..=last)?)?).ok()?;
    let mut others = options.iter().enumerate().filter(|(at, _)| !(first..=last).contains(at));
    let doubled = match target {
        ReportTarget::Fd(number) => others.any(|(_, word)| names(word, number)),
        ReportTarget::File(_) => false,
    };
    (!doubled).then_some(target)
}

/// Where an option `--report` has its value, if this word is one.
fn last_word(at: usize, word: &OsStr) -> Option<usize> {
    match word.as_bytes().strip_prefix(OPTION)? {
        [] => Some(at + 1),
        [b'=', ..] => Some(at),
        _ => None,
    }
}

/// A secret of the same descriptor would be written over.
fn names(word: &OsStr, number: FdNumber) -> bool {
    let text = word.to_string_lossy();
    text.rsplit_once("fd:").and_then(|(_, digits)| digits.parse().ok()) == Some(number)
}

/// The value of the one `--report` among these words, the last of which is its own.
fn read(words: &[OsString]) -> Option<OsString> {
    let sandbox = form(SandboxArgs::augment_args(Command::new("sandbox")));
    let command = form(Global::augment_args(Command::new("pinfold"))).subcommand(sandbox);
    let matches = command.try_get_matches_from(words).ok()?;
    matches.subcommand_matches("sandbox")?.get_one::<OsString>("report").cloned()
}

/// The options as they stand on a line, whatever their values, and whatever else is there or is not.
fn form(command: Command) -> Command {
    let arguments: Vec<Arg> = command.get_arguments().map(shape).collect();
    let bare = Command::new(command.get_name().to_owned());
    bare.args(arguments).args_override_self(true).disable_help_flag(true).disable_version_flag(true)
}

fn shape(known: &Arg) -> Arg {
    let mut arg = Arg::new(known.get_id().clone())
        .allow_hyphen_values(known.is_allow_hyphen_values_set())
        .allow_negative_numbers(known.is_allow_negative_numbers_set())
        .require_equals(known.is_require_equals_set())
        .trailing_var_arg(known.is_trailing_var_arg_set());
    arg = known.get_long().map_or(arg.clone(), |long| arg.long(long.to_owned()));
    arg = known.get_short().map_or(arg.clone(), |short| arg.short(short));
    arg = known.get_num_args().map_or(arg.clone(), |count| arg.num_args(count));
    match known.get_action().takes_values() {
        true => arg.action(ArgAction::Append).value_parser(OsStringValueParser::new()),
        false => arg.action(known.get_action().clone()),
    }
}

/// What clap says, on one line and without its advice. A variable's value, which may be a secret, is left out.
pub fn usage_text(error: &clap::Error) -> String {
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && option.starts_with("--env ")
    {
        return format!("invalid value for '{option}': a variable is KEY=VALUE or KEY");
    }
    let text = error.to_string();
    let first = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    first.strip_prefix("error: ").map_or(first.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::parse_from;
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("pinfold").chain(line.split(' ')).map(OsString::from).collect()
    }

    fn target(text: &str) -> ReportTarget {
        ReportTarget::from_os_str(text.as_ref()).unwrap()
    }

    #[test]
    fn a_report_in_a_place_of_its_own_is_found() {
        let rows = [
            ("sandbox --report r --memory 0 true", "r"),
            ("sandbox --report=r --memory 0 true", "r"),
            ("sandbox --memory 0 --report r true", "r"),
            ("sandbox --memory --nonsense --report r true", "r"),
            ("sandbox -m0 -it --report fd:5 true", "fd:5"),
            ("sandbox --read-only=x --report r true", "r"),
            ("sandbox --memory 1m --memory 1m --report r true", "r"),
            ("sandbox --grace 1s --report r", "r"),
            ("sandbox --report r", "r"),
            ("sandbox --report r --nonsense -- true", "r"),
            ("sandbox --report r --name", "r"),
            ("sandbox --report r --memory 0 -- true --report x", "r"),
            ("sandbox --report fd:5 --secret x=fd:6 --memory 0 true", "fd:5"),
            ("--rootless maybe sandbox --report r true", "r"),
            ("--root /x --debug sandbox --report r", "r"),
        ];
        for (line, expected) in rows {
            assert!(parse_from(words(line)).is_err(), "{line}");
            assert_eq!(report_of_refused(&words(line)), Some(target(expected)), "{line}");
        }
    }

    #[test]
    fn a_report_that_may_be_something_else_is_not() {
        let rows = [
            // A value of the option in front of it, or one that this version does not know.
            "sandbox --env --report=/x true",
            "sandbox --ro --report /x true",
            "sandbox --memory --report=/x true",
            "sandbox --memory --report /x true",
            "sandbox --nonsense --report /x true",
            "sandbox --nonsense=1 --report /x true",
            "sandbox -Z --report=/x true",
            "--nonsense sandbox --report /x true",
            "--root sandbox --report /x sandbox --nonsense",
            "sandbox --memory 0 --spec --report=/x true",
            "sandbox -ite --report=/x true",
            // An argument of the program.
            "sandbox --memory 0 true --report /x",
            "sandbox --memory 0 -- true --report /x",
            "sandbox --memory 0 -- --report /x",
            // One of two, even where the second is the program's: only behind `--` is that beyond doubt.
            "sandbox --report r --memory 0 true --report /x",
            "sandbox --report r --report /x true",
            "sandbox --report r --nonsense --report=/x true",
            "sandbox --report r --env --report=/x true",
            // No target, or one that is for something else.
            "sandbox --report",
            "sandbox --report --memory 0 true",
            "sandbox --report -- true",
            "sandbox --report= --memory 0 true",
            "sandbox --report fd:x true",
            "sandbox --reports r true",
            "sandbox --report fd:5 --secret x=fd:5 true",
            "sandbox --secret=x=fd:05 --report fd:5 true",
            // A verb that has no report.
            "exec --report /x c true",
            "explain sandbox --nonsense --report /x true",
            "nonsense sandbox --report /x true",
        ];
        for line in rows {
            assert!(parse_from(words(line)).is_err(), "{line}");
            assert_eq!(report_of_refused(&words(line)), None, "{line}");
        }
    }

    #[test]
    fn a_good_line_is_read_as_by_clap() {
        let rows = [
            "sandbox --report r true",
            "sandbox -it -m 5m --ro /a:/b -eA=b --report=r --cap-drop ALL -- true --report x",
            "sandbox --read-only --image i --report r true",
            "--log l -- sandbox",
            "sandbox --memory 1g --cpus 1 --spec - --report r",
            "sandbox --env A --report r true",
            "sandbox --user 1:2 -w /tmp -h host --rm --report r true",
        ];
        for line in rows {
            let Ok(cli) = parse_from(words(line)) else { continue };
            let expected = cli.verb.sandbox().and_then(|args| args.life.report.clone());
            assert_eq!(report_of_refused(&words(line)), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_line_without_a_variable_s_value() {
        let text = |line: &str| usage_text(&parse_from(words(line)).unwrap_err());
        assert!(text("sandbox --memory 0 true").starts_with("invalid value '0' for '--memory <SIZE>': "));
        assert!(text("sandbox").starts_with("the following required arguments were not provided: "));
        assert!(text("sandbox --nonsense true").starts_with("unexpected argument '--nonsense'"));
        let secret = text("sandbox --env =s3cret true");
        assert!(secret.starts_with("invalid value for '--env <KEY[=VALUE]>'"), "{secret}");
        assert!(!secret.contains("s3cret"));
        assert!(!text("sandbox --nonsense=s3cret true").contains("s3cret"));
    }
}

//! What is no error, or not the only one.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::OnceLock;

use super::Result;

/// Writes one line of `--log`.
type Log = Box<dyn Fn(&str) -> Result<()> + Send + Sync>;

static LOG: OnceLock<Log> = OnceLock::new();

/// Text of others in a line: names of an image hold what moves a terminal's cursor, or begins another line.
pub fn in_a_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}

/// A line on stderr. Whoever closed it misses it: a warning ends nobody, as `eprintln!` would by its panic.
pub fn tell(line: Arguments<'_>) {
    writeln!(std::io::stderr(), "{}", in_a_line(&line.to_string())).ok();
}

/// Says once where warnings go.
pub fn warnings_to(log: Log) {
    LOG.get_or_init(|| log);
}

/// What is no failure: into `--log`, or else on stderr, as runc does.
pub fn warn(text: Arguments<'_>) {
    if !log(text) {
        tell(format_args!("pinfold: warning: {text}"));
    }
}

/// A warning for `--log` alone; false without one, or where it cannot be written, which is told.
pub fn log(text: Arguments<'_>) -> bool {
    match LOG.get().map(|log| log(&text.to_string())) {
        None => false,
        Some(Ok(())) => true,
        Some(Err(error)) => {
            tell(format_args!("pinfold: warning: {error}"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_told_is_one_line_and_moves_no_cursor() {
        let rows = [
            ("plain \"b\" ü 漢", "plain \"b\" ü 漢"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J\u{7f}", "\\u{1b}[2J\\u{7f}"),
            ("\u{9b}2J", "\\u{9b}2J"),
        ];
        for (text, wanted) in rows {
            assert_eq!(super::in_a_line(text), wanted);
        }
    }
}

//! What is no error, or not the only one.

use std::fmt::Arguments;
use std::io::Write;

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

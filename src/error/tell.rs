//! What is no error, or not the only one.

use std::fmt::Arguments;
use std::io::Write;

/// A line on stderr. Whoever closed it misses it: a warning ends nobody, as `eprintln!` would by its panic.
pub fn tell(line: Arguments<'_>) {
    writeln!(std::io::stderr(), "{line}").ok();
}

//! Parses, dispatches, prints the error and its hint, exits.

use std::ffi::OsString;
use std::process::ExitCode;

use pinfold::{cli, commands, image};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let args = std::env::args_os().collect::<Vec<OsString>>();
    if let Some(code) = image::unpack::confine::entered(&args) {
        return ExitCode::from(code.0);
    }
    let code = match cli::parse_from(&args) {
        Ok(cli) => commands::run(&cli).unwrap_or_else(|error| commands::failure::of_verb(&cli, &error)),
        Err(error) => commands::failure::of_command_line(&args, &error),
    };
    ExitCode::from(code.0)
}

//! Parses, dispatches, prints the error and its hint, exits.
#![cfg_attr(not(test), no_main)]

use std::ffi::{OsString, c_char, c_int};

use pinfold::error::ExitCode;
use pinfold::{cli, commands, image, sys, timing};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: sys::heap::Heap = sys::heap::Heap;

/// Called by libc: `sys::program` says why not by the standard library.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[expect(unsafe_code, reason = "libc calls it by its name and vouches for the vector")]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    // SAFETY: nobody else calls it, and these are libc's own arguments.
    match unsafe { sys::program::begin(count, words) } {
        Ok(()) => program(&sys::program::arguments()),
        Err(errno) => commands::failure::of_start(&sys::program::arguments(), errno),
    }
    .0
    .into()
}

fn program(args: &[OsString]) -> ExitCode {
    let begun = sys::clock::monotonic_ns();
    if let Some(code) = image::unpack::confine::entered(args) {
        return code;
    }
    // Engines call `create` for many containers at once. Where the kernel cannot, it needs more memory, no more.
    let _sparing = args.iter().any(|word| word == "create").then(sys::pages::one_by_one);
    let cli = match cli::parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return commands::failure::of_command_line(args, &error),
    };
    if cli.global.trace_timing {
        timing::begin(begun);
        timing::ended("command line");
    }
    let code = commands::run(&cli).unwrap_or_else(|error| commands::failure::of_verb(&cli, &error));
    timing::ended("end");
    timing::print();
    code
}

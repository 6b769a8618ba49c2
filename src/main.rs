//! Parses, dispatches, prints the error and its hint, exits.

fn main() {}

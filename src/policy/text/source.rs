//! The text of a policy with its name: which line a place in it is on.

use toml::de::DeTable;

use crate::error::{Error, Result};

/// The text and its name.
#[derive(Debug)]
pub struct Source<'t> {
    name: &'t str,
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'t> Source<'t> {
    /// A text under this name.
    pub fn new(name: &'t str, text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { name, text, lines: std::iter::once(0).chain(ends).collect() }
    }

    /// The TOML of it.
    pub fn table(&self) -> Result<DeTable<'t>> {
        DeTable::parse(self.text)
            .map(toml::Spanned::into_inner)
            .map_err(|error| self.wrong(error.span().map_or(0, |span| span.start), error.message()))
    }

    /// The line of an offset, from 1 on.
    pub fn line(&self, offset: usize) -> u32 {
        let before = self.lines.partition_point(|start| *start <= offset);
        u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// An error at an offset.
    pub fn wrong(&self, offset: usize, text: impl std::fmt::Display) -> Error {
        Error::usage(format!("line {}: {text}", self.line(offset))).object(self.name)
    }
}

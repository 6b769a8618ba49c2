//! One table of a policy, whose keys are taken one by one.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::source::Source;
use super::values::{Setting, Unit, bound};
use crate::error::{Error, Result};
use crate::policy::rules::{At, Bound, Key};

/// No table has many more keys.
const KEYS: usize = 16;

/// What an absent key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// Its default: the rules of the host.
    Defaults,
    /// Nothing: a profile, which narrows where it says something.
    Nothing,
}

/// A table in the course of being read.
pub struct Section<'a, 't> {
    source: &'a Source<'t>,
    /// Absent: a section that is not written down, whose keys all have their default.
    table: Option<&'a DeTable<'t>>,
    /// Where it begins.
    offset: usize,
    /// `profile.tool.`, `limits.`; empty for the whole.
    prefix: String,
    filling: Filling,
    taken: Vec<&'static str>,
}

impl<'a, 't> Section<'a, 't> {
    /// The whole text.
    pub fn whole(source: &'a Source<'t>, table: &'a DeTable<'t>, filling: Filling) -> Self {
        Self { source, table: Some(table), offset: 0, prefix: String::new(), filling, taken: vec![] }
    }

    /// The line that it begins on.
    pub fn line(&self) -> u32 {
        self.source.line(self.offset)
    }

    /// An error that names this section and the line it begins on.
    pub fn wrong(&self, text: impl std::fmt::Display) -> Error {
        match self.prefix.trim_end_matches('.') {
            "" => self.source.wrong(self.offset, text),
            name => self.source.wrong(self.offset, format!("`{name}`: {text}")),
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.taken.push(key);
        self.table?.get(key)
    }

    fn error(&self, at: &Spanned<DeValue<'t>>, key: &str, text: impl std::fmt::Display) -> Error {
        self.source.wrong(at.span().start, format!("`{}{key}` {text}", self.prefix))
    }

    fn filled<T>(&self, default: T) -> Key<T> {
        match self.filling {
            Filling::Defaults => Some(At { value: default, line: 0 }),
            Filling::Nothing => None,
        }
    }

    fn read_with<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> std::result::Result<T, String>,
    ) -> Result<Key<T>> {
        let Some(found) = self.value(key) else { return Ok(None) };
        let value = read(found.get_ref()).map_err(|text| self.error(found, key, text))?;
        Ok(Some(At { value, line: self.source.line(found.span().start) }))
    }

    /// A key whose absence means nothing in every layer.
    pub fn optional<T: Setting>(&mut self, key: &'static str) -> Result<Key<T>> {
        self.read_with(key, T::read)
    }

    /// A key with its default.
    pub fn key<T: Setting>(&mut self, key: &'static str, default: T) -> Result<Key<T>> {
        Ok(self.optional(key)?.or_else(|| self.filled(default)))
    }

    /// A key that must be there.
    pub fn required<T: Setting>(&mut self, key: &'static str) -> Result<At<T>> {
        self.optional(key)?.ok_or_else(|| self.wrong(format!("`{key}` is missing")))
    }

    /// A list of words, each of which must be one of `known`.
    pub fn choices<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        known: &[(&str, T)],
        default: Option<Vec<T>>,
    ) -> Result<Key<Vec<T>>> {
        let words = self.read_with(key, |value| {
            Vec::<String>::read(value)?.iter().map(|word| super::choice(known, word)).collect()
        })?;
        Ok(words.or_else(|| default.and_then(|default| self.filled(default))))
    }

    /// One word of `known`.
    pub fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        known: &[(&str, T)],
        default: T,
    ) -> Result<Key<T>> {
        let word = self.read_with(key, |value| super::choice(known, &String::read(value)?))?;
        Ok(word.or_else(|| self.filled(default)))
    }

    /// A bound.
    pub fn bound(&mut self, key: &'static str, unit: Unit, default: Bound) -> Result<Key<Bound>> {
        Ok(self.read_with(key, |value| bound(value, unit))?.or_else(|| self.filled(default)))
    }

    /// A table below this one; where it is not written down, all its keys are absent.
    pub fn section(&mut self, key: &'static str) -> Result<Section<'a, 't>> {
        match self.value(key) {
            None => Ok(self.below(None, self.offset, key)),
            Some(found) => match found.get_ref() {
                DeValue::Table(table) => Ok(self.below(Some(table), found.span().start, key)),
                _ => Err(self.error(found, key, "must be a table")),
            },
        }
    }

    /// The tables of an array `[[key]]`.
    pub fn tables(&mut self, key: &'static str) -> Result<Option<Vec<Section<'a, 't>>>> {
        let Some(found) = self.value(key) else { return Ok(None) };
        let DeValue::Array(list) = found.get_ref() else {
            return Err(self.error(found, key, format!("must be a list of tables, [[{key}]]")));
        };
        let one = |entry: &'a Spanned<DeValue<'t>>| match entry.get_ref() {
            DeValue::Table(table) => Ok(self.below(Some(table), entry.span().start, key)),
            _ => Err(self.error(entry, key, format!("must be a list of tables, [[{key}]]"))),
        };
        list.iter().map(one).collect::<Result<_>>().map(Some)
    }

    /// All tables below `key`, by name: `[profile.NAME]`.
    pub fn named(&mut self, key: &'static str, filling: Filling) -> Result<Vec<(String, Section<'a, 't>)>> {
        let mut all = self.section(key)?;
        let Some(table) = all.table else { return Ok(vec![]) };
        all.filling = filling;
        let one = |(name, found): (&'a Spanned<std::borrow::Cow<'t, str>>, &'a Spanned<DeValue<'t>>)| {
            let DeValue::Table(table) = found.get_ref() else {
                return Err(all.error(found, name.get_ref(), "must be a table"));
            };
            Ok((name.get_ref().to_string(), all.below(Some(table), name.span().start, name.get_ref())))
        };
        table.iter().map(one).collect()
    }

    fn below(&self, table: Option<&'a DeTable<'t>>, offset: usize, key: &str) -> Self {
        let prefix = format!("{}{key}.", self.prefix);
        Self {
            source: self.source,
            table,
            offset,
            prefix,
            filling: self.filling,
            taken: Vec::with_capacity(KEYS),
        }
    }

    /// Every pair of a table of free names.
    pub fn pairs<T>(
        &mut self,
        read: impl Fn(&str, &DeValue<'_>) -> std::result::Result<T, String>,
    ) -> Result<Vec<T>> {
        let Some(table) = self.table else { return Ok(vec![]) };
        let one = |(name, found): (&Spanned<std::borrow::Cow<'_, str>>, &'a Spanned<DeValue<'t>>)| {
            read(name.get_ref(), found.get_ref()).map_err(|text| self.error(found, name.get_ref(), text))
        };
        table.iter().map(one).collect()
    }

    /// Whether it is written down.
    pub fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<()> {
        let keys = self.table.into_iter().flat_map(|table| table.keys());
        match keys.into_iter().find(|key| !self.taken.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let text = format!("`{}{}` is no key of a policy", self.prefix, key.get_ref());
                Err(self.source.wrong(key.span().start, text).hint("docs/policy.md lists every key"))
            }
        }
    }
}

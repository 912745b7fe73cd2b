//! Reading the keys of one TOML table, each into its own validated type, without losing where it stood.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Report;
use super::keys;

/// The type of one setting: what may be written for it, and what it means.
pub(super) trait Setting: Sized {
    /// What is expected, as in `a port, such as 21`.
    const EXPECTED: &'static str;

    /// # Errors
    /// [`Fault`] if the value does not fit.
    fn read(value: &DeValue<'_>) -> Result<Self, Fault>;
}

/// A value does not fit its setting.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is of another TOML type.
    WrongType,
    /// It is of the right type, but cannot be used.
    Invalid { message: String, hint: String },
}

impl Fault {
    pub(super) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), hint: hint.into() }
    }
}

/// One table that is being read. Every key that was asked for counts as known; [`finish`](Self::finish) reports the rest.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) report: &'a Report<'a>,
    /// As in `floating_ip.health`; empty for the file itself.
    path: String,
    pub(super) span: Range<usize>,
    entries: DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn root(report: &'a Report<'a>, entries: DeTable<'a>) -> Self {
        Self { report, path: String::new(), span: 0..0, entries, known: Vec::new() }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The setting, if it is there and usable.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.take(key)?;
        let span = value.span();
        match T::read(value.get_ref()) {
            Ok(setting) => Some(Spanned::new(span, setting)),
            Err(Fault::Invalid { message, hint }) => {
                self.report.error(span, format!("`{key}`: {message}"), hint);
                None
            }
            Err(Fault::WrongType) => {
                let found = article(value.get_ref().type_str());
                self.report.error(span, format!("`{key}` may not be {found}"), format!("write {}", T::EXPECTED));
                None
            }
        }
    }

    /// The setting, which has no default.
    pub(super) fn required<T: Setting>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        if !self.has(key) {
            self.lacks(key, T::EXPECTED);
        }
        self.optional(key)
    }

    /// Puts the setting into `slot` if it is there and usable, and says where it stood.
    pub(super) fn set<T: Setting>(&mut self, key: &'static str, slot: &mut T) -> Option<Range<usize>> {
        let setting = self.optional(key)?;
        let span = setting.span();
        *slot = setting.into_inner();
        Some(span)
    }

    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        let value = self.take(key)?;
        let span = value.span();
        #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is no table is wrong")]
        match value.into_inner() {
            DeValue::Table(entries) => Some(self.inner(key, span, entries)),
            other => {
                let (path, found) = (self.path_of(key), article(other.type_str()));
                self.report.error(span, format!("`{key}` may not be {found}"), format!("write a table: [{path}]"));
                None
            }
        }
    }

    /// The tables of an array such as `[[floating_ip.node]]`; `None` if it is missing or none of them is usable.
    pub(super) fn tables(&mut self, key: &'static str) -> Option<Vec<Table<'a>>> {
        let path = self.path_of(key);
        let Some(value) = self.take(key) else {
            self.lacks(key, &format!("at least one [[{path}]]"));
            return None;
        };
        let span = value.span();
        let hint = format!("write each one as [[{path}]]");
        let DeValue::Array(values) = value.into_inner() else {
            self.report.error(span, format!("`{key}` is a list of tables"), hint);
            return None;
        };
        if values.is_empty() {
            self.report.error(span.clone(), format!("`{key}` is empty"), hint.clone());
        }
        let mut tables = Vec::new();
        for value in values {
            let span = value.span();
            #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is no table is wrong")]
            match value.into_inner() {
                DeValue::Table(entries) => tables.push(self.inner(key, span, entries)),
                other => {
                    let found = article(other.type_str());
                    self.report.error(span, format!("`{key}` may not hold {found}"), hint.clone());
                }
            }
        }
        (!tables.is_empty()).then_some(tables)
    }

    pub(super) fn lacks(&self, key: &str, expected: &str) {
        let table = self.heading();
        self.report.error(self.span.clone(), format!("{table} lacks `{key}`"), format!("add {expected}"));
    }

    /// Reports keys that belong to another kind of what this table is, as in `username` of a probe by ping.
    pub(super) fn refuse(&mut self, kind: &str, other_kind: &str, keys: &[&'static str]) {
        for key in keys {
            if let Some((key, _)) = self.entries.remove_entry(*key) {
                self.report.error(
                    key.span(),
                    format!("`{key}` is not a setting of kind \"{kind}\""),
                    format!("it belongs to kind {other_kind}: leave it out, or change `kind`"),
                );
            }
        }
    }

    /// Reports every key that nobody has asked for.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            let hint = keys::belongs_to(name, &self.path)
                .map(|home| format!("it belongs in {home}"))
                .or_else(|| closest(name, &self.known).map(|known| format!("did you mean `{known}`?")))
                .unwrap_or_else(|| format!("leave it out; known here: {}", self.known.join(", ")));
            self.report.error(key.span(), format!("unknown key `{name}` in {}", self.heading()), hint);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.entries.remove(key)
    }

    fn inner(&self, key: &str, span: Range<usize>, entries: DeTable<'a>) -> Table<'a> {
        Table { report: self.report, path: self.path_of(key), span, entries, known: Vec::new() }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn heading(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("[{}]", self.path) }
    }
}

fn article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// The candidate that `name` was probably meant to be.
pub(super) fn closest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

//! Lists of tables with keys of their own.

use std::ops::Range;

use super::{
    slot::{Wrong, quoted},
    table::read_secret,
};
use crate::policy::load::{
    hint,
    secret::Secret,
    value::{Entry, Given, Value},
};

/// One table of a list, while it is read. What is wrong with it is gathered.
pub(super) struct Row<'a> {
    span: Range<usize>,
    entries: &'a [Entry],
    wrongs: Vec<Wrong>,
}

impl Row<'_> {
    fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether `key` is there.
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The text of `key`, as `read` takes it; `None`: it is not there, or wrong.
    pub fn text<R>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<R, String>) -> Option<R> {
        let entry = self.entry(key)?;
        let read = match &entry.value.given {
            Given::Text(text) => read(text),
            other => Err(format!("`{key}` takes a string, not {}", other.kind())),
        };
        read.map_err(|message| self.wrong(key, message)).ok()
    }

    /// Where the secret `key` is to be had; `None`: it is not there, or wrong.
    pub fn secret(&mut self, key: &str) -> Option<Secret> {
        let read = read_secret(key, &self.entry(key)?.value);
        read.map_err(|found| self.wrongs.extend(found)).ok()
    }

    /// Notes that `key` is missing.
    pub fn missing(&mut self, key: &str, why: &str) {
        if !self.has(key) {
            self.wrong(key, format!("`{key}` is missing: {why}"));
        }
    }

    /// Notes what is wrong with `key`, or with the whole table where that is not in it.
    pub fn wrong(&mut self, key: &str, message: String) {
        let span = self.entry(key).map_or(self.span.clone(), |entry| entry.value.span.clone());
        self.wrongs.push(Wrong { span, message, secret: false });
    }
}

/// Reads a list of at most `most` tables with no keys but `known`. `read` gives what a good one means.
///
/// # Errors
/// What is wrong with each.
pub(super) fn read_rows<R>(
    name: &str,
    value: &Value,
    most: usize,
    known: &[&str],
    mut read: impl FnMut(&mut Row<'_>, &[R]) -> Option<R>,
) -> Result<Vec<R>, Vec<Wrong>> {
    let Given::List(items) = &value.given else {
        return Err(Wrong::new(value, format!("`{name}` is a list of tables, not {}", value.given.kind())));
    };
    if items.len() > most {
        return Err(Wrong::new(value, format!("`{name}` has {} entries, and at most {most} can be", items.len())));
    }
    let (mut rows, mut wrongs) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        let Given::Table(entries) = &item.given else {
            let message = format!("`{name}` is a list of tables, not of {}", item.given.kind());
            // It may be what should have been in one of them.
            wrongs.push(Wrong { span: item.span.clone(), message, secret: true });
            continue;
        };
        let mut row = Row { span: item.span.clone(), entries, wrongs: Vec::new() };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let hint = match hint::nearest(&entry.key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("`{name}` knows {}", known.join(", ")),
            };
            let message = format!("unknown key `{}`: {hint}", entry.key);
            // Whoever mistypes the name of a secret may have written it down.
            row.wrongs.push(Wrong { span: entry.key_span.clone(), message, secret: true });
        }
        let read = read(&mut row, &rows);
        match row.wrongs.is_empty() {
            true => rows.extend(read),
            false => wrongs.extend(row.wrongs),
        }
    }
    if wrongs.is_empty() { Ok(rows) } else { Err(wrongs) }
}

/// A table as it would be written, of the keys that have a value.
pub(super) fn show_row(entries: &[(&str, Option<String>)]) -> String {
    let set: Vec<String> =
        entries.iter().filter_map(|(key, value)| Some(format!("{key} = {}", value.as_ref()?))).collect();
    format!("{{ {} }}", set.join(", "))
}

/// A text as it would be written.
pub(super) fn text(text: &str) -> Option<String> {
    Some(quoted(text))
}

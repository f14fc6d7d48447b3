//! Goes through a table of the file: each key that the schema knows is put where it belongs, every other is an error
//! with a hint.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    hint,
    report::{Place, Report},
    schema::{Described, Setting, keys},
    value::{Entry, Given, Value},
};

/// Most names that a hint lists.
const MAX_NAMED: usize = 12;

/// Where each setting was set last, and which could not be (the empty name: something unknown).
#[derive(Debug, Default)]
pub(super) struct Places {
    set: BTreeMap<&'static str, Place>,
    failed: BTreeSet<&'static str>,
}

impl Places {
    /// Notes that `key` was set at `place`.
    pub fn note(&mut self, key: &'static str, place: Place) {
        self.set.insert(key, place);
    }

    /// Where `key` was set.
    pub fn of(&self, key: &str) -> &Place {
        self.set.get(key).unwrap_or(&Place::Nowhere)
    }

    /// Whether `key` was set.
    pub fn has(&self, key: &str) -> bool {
        self.set.contains_key(key)
    }

    /// Whether none of `keys` was given a value that cannot be: only then can they be held against each other.
    pub fn sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| !self.failed.contains(key))
    }

    /// Whether every key that was given is known, and its value can be.
    pub fn nothing_failed(&self) -> bool {
        self.failed.is_empty()
    }

    /// All that were set.
    pub fn set(&self) -> impl Iterator<Item = (&'static str, &Place)> {
        self.set.iter().map(|(key, place)| (*key, place))
    }
}

/// Puts `value` into `target`, and notes where it stands, or what is wrong with it. `place` gives the place of a part
/// of the value.
pub(super) fn put<T: Described>(
    setting: &'static Setting<T>,
    value: &Value,
    place: impl Fn(&std::ops::Range<usize>) -> Place,
    target: &mut T,
    places: &mut Places,
    report: &mut Report,
) {
    match setting.slot.set(setting.name(), value, target) {
        Ok(()) => places.note(setting.key, place(&value.span)),
        Err(wrongs) => {
            places.failed.insert(setting.key);
            for wrong in wrongs {
                let place = place(&wrong.span);
                match wrong.secret {
                    true => report.secret_error(setting.key, &place, wrong.message),
                    false => report.error(setting.key, &place, wrong.message),
                }
            }
        }
    }
}

/// Puts all `entries` of the table `prefix` (empty: the whole file) into `target`.
pub(super) fn walk<T: Described>(
    prefix: &str,
    entries: &[Entry],
    target: &mut T,
    places: &mut Places,
    report: &mut Report,
) {
    for entry in entries {
        let key = join(prefix, &entry.key);
        let in_file = |span: &std::ops::Range<usize>| Place::Source(span.clone());
        let inside = || T::settings().any(|setting| setting.key.strip_prefix(&key).is_some_and(|s| s.starts_with('.')));
        match (&entry.value.given, T::setting(&key)) {
            _ if entry.key.contains('.') => unknown::<T>(prefix, entry, places, report),
            (_, Some(setting)) => put(setting, &entry.value, in_file, target, places, report),
            (Given::Table(inner), None) if inside() => walk(&key, inner, target, places, report),
            (given, None) if inside() => match (given, T::setting(&format!("{key}.operation"))) {
                // `undo = "Refund"` is short for a table with an operation only.
                (Given::Text(_), Some(short)) => put(short, &entry.value, in_file, target, places, report),
                (_, short) => {
                    let or_string = if short.is_some() { "a string or " } else { "" };
                    let message = format!("`{}` takes {or_string}a table, not {}", entry.key, given.kind());
                    report.error(&key, &Place::Source(entry.value.span.clone()), message);
                }
            },
            (_, None) => unknown::<T>(prefix, entry, places, report),
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// The names that may stand in the table `prefix`.
fn names_in<T: Described>(prefix: &str) -> BTreeSet<&'static str> {
    let own = T::settings().filter_map(|setting| match prefix {
        "" => Some(setting.key),
        _ => setting.key.strip_prefix(prefix)?.strip_prefix('.'),
    });
    let mut names: BTreeSet<&str> = own.filter_map(|rest| rest.split('.').next()).collect();
    if prefix.is_empty() {
        names.insert("operations");
    }
    names
}

fn unknown<T: Described>(prefix: &str, entry: &Entry, places: &mut Places, report: &mut Report) {
    places.failed.insert("");
    let name = &entry.key;
    let place = Place::Source(entry.key_span.clone());
    if report.is_full() {
        return report.error(name, &place, "unknown key");
    }
    let names = names_in::<T>(prefix);
    let elsewhere = keys().find_map(|key| {
        let (table, last) = key.rsplit_once('.')?;
        (last == name && table != prefix).then_some(table)
    });
    let near = hint::nearest(name, names.iter().copied());
    let hint = match (near, elsewhere) {
        _ if name.contains('.') => "write it without quotes: a dot leads into a table".to_owned(),
        (None, Some(table)) => format!("it belongs into {}", bracketed(table)),
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, None) if names.len() > MAX_NAMED => {
            let table = if prefix.is_empty() { "--print-settings".to_owned() } else { format!("--explain {prefix}") };
            format!("`countermand check {table}` says what {} knows", bracketed(prefix))
        }
        (None, None) => format!("{} knows {}", bracketed(prefix), names.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let what = if prefix.is_empty() && matches!(entry.value.given, Given::Table(_)) { "table" } else { "key" };
    let message = format!("unknown {what} `{name}`: {hint}");
    // Whoever mistypes the name of a secret has written it down.
    match near.is_some_and(|near| T::setting(&join(prefix, near)).is_some_and(Setting::is_secret)) {
        true => report.secret_error(&join(prefix, name), &place, message),
        false => report.error(&join(prefix, name), &place, message),
    }
}

/// A table as it is written.
fn bracketed(table: &str) -> String {
    match table {
        "" => "the configuration".to_owned(),
        "operations" => "[[operations]]".to_owned(),
        _ => match table.strip_prefix("operations.") {
            Some(inner) => format!("`{inner}` of [[operations]]"),
            None => format!("[{table}]"),
        },
    }
}

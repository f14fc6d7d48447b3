//! Tables with keys of their own, and the places of secrets.

use super::slot::{MAX_ENTRIES, Wrong, quoted};
use crate::policy::load::{
    config::Property,
    properties::{PATHS, is_secret_property},
    secret::Secret,
    value::{Entry, Given, Value},
};

const HOW: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";

/// Reads a table of texts, numbers, flags and, if `secrets` says so, places of secrets.
pub(super) fn read_table(
    name: &str,
    value: &Value,
    entries: &[Entry],
    secrets: bool,
    check: fn(&str) -> Result<(), String>,
) -> Result<Vec<(String, Property)>, Vec<Wrong>> {
    let mut flat = Vec::new();
    flatten("", entries, secrets, &mut flat);
    if flat.len() > MAX_ENTRIES {
        return Err(Wrong::new(value, format!("`{name}` has more than {MAX_ENTRIES} entries")));
    }
    let mut table = Vec::with_capacity(flat.len());
    let mut wrongs = Vec::new();
    for (key, entry) in flat {
        if let Err(message) = check(&key) {
            wrongs.push(Wrong { span: entry.key_span.clone(), message, secret: is_secret_property(&key) });
            continue;
        }
        match read_property(&key, &entry.value, secrets) {
            Ok(property) => table.push((key, property)),
            Err(found) => wrongs.extend(found),
        }
    }
    if wrongs.is_empty() { Ok(table) } else { Err(wrongs) }
}

/// The entries with their whole names: `security.protocol` without quotes is a table in a table to TOML. A table that
/// says where a secret is stays whole.
fn flatten<'a>(prefix: &str, entries: &'a [Entry], secrets: bool, flat: &mut Vec<(String, &'a Entry)>) {
    for entry in entries {
        let key = if prefix.is_empty() { entry.key.clone() } else { format!("{prefix}.{}", entry.key) };
        match &entry.value.given {
            Given::Table(inner) if secrets && !is_place(&key, inner) => flatten(&key, inner, secrets, flat),
            _ => flat.push((key, entry)),
        }
    }
}

/// Whether a table is meant to say where the secret `key` is.
fn is_place(key: &str, table: &[Entry]) -> bool {
    is_secret_property(key)
        || match table {
            [] => true,
            [only] => {
                matches!(only.key.as_str(), "env" | "file") && !PATHS.contains(&format!("{key}.{}", only.key).as_str())
            }
            _ => false,
        }
}

fn read_property(key: &str, value: &Value, secrets: bool) -> Result<Property, Vec<Wrong>> {
    match &value.given {
        _ if secrets && is_secret_property(key) => read_secret(key, value).map(Property::Secret),
        Given::Table(_) if secrets => read_secret(key, value).map(Property::Secret),
        Given::Text(text) => Ok(Property::Plain(text.clone())),
        Given::Number(number) => Ok(Property::Plain(number.clone())),
        Given::Flag(flag) => Ok(Property::Plain(flag.to_string())),
        other => {
            Err(Wrong::new(value, format!("`{key}` takes a string, a number or true or false, not {}", other.kind())))
        }
    }
}

/// Reads where a secret is to be had (S8.4). A secret itself is refused, and not shown.
pub(super) fn read_secret(name: &str, value: &Value) -> Result<Secret, Vec<Wrong>> {
    let Given::Table(entries) = &value.given else {
        let message = format!("`{name}` is a secret and does not belong into the configuration: {HOW}");
        return Err(vec![Wrong { span: value.span.clone(), message, secret: true }]);
    };
    let [Entry { key, value: Value { given: Given::Text(place), .. }, .. }] = entries.as_slice() else {
        return Err(vec![Wrong {
            span: value.span.clone(),
            message: format!("`{name}` says one place where the secret is: {HOW}"),
            secret: true,
        }]);
    };
    match key.as_str() {
        _ if place.trim().is_empty() => Err(Wrong::new(value, format!("`{name}` says no place: {HOW}"))),
        "env" => Ok(Secret::Env(place.clone())),
        "file" => Ok(Secret::Path(place.clone())),
        _ => Err(vec![Wrong {
            span: entries[0].key_span.clone(),
            message: format!("`{name}` does not know `{key}`: {HOW}"),
            secret: true,
        }]),
    }
}

/// A secret's place as it would be written.
pub(super) fn show_secret(secret: &Secret) -> String {
    match secret {
        Secret::Env(name) => format!("{{ env = {} }}", quoted(name)),
        Secret::Path(path) => format!("{{ file = {} }}", quoted(path)),
    }
}

/// A table as it would be written; `None` if it is empty.
pub(super) fn show_table(table: &[(String, Property)]) -> Option<String> {
    let entries: Vec<String> = table
        .iter()
        .map(|(key, property)| {
            let value = match property {
                Property::Plain(text) => quoted(text),
                Property::Secret(secret) => show_secret(secret),
            };
            format!("{} = {value}", quoted(key))
        })
        .collect();
    (!entries.is_empty()).then(|| format!("{{ {} }}", entries.join(", ")))
}

//! What may be written for a setting, and where it goes.

use std::ops::Range;

use toml::de::DeValue;

use super::table::{read_secret, read_table, show_secret, show_table};
use crate::{
    model::Span,
    policy::load::{
        config::Property,
        hint,
        secret::Secret,
        units::{parse_bytes, parse_span, show_bytes},
        value::{Given, Value, given},
    },
};

/// Most entries of one list or table. Above a thousand names somebody wants a pattern.
pub(super) const MAX_ENTRIES: usize = 1_000;

/// A kind of value, with the way into a `T` and out of it. `get` gives `None` for what is not set.
pub(in crate::policy::load) enum Slot<T: 'static> {
    /// A length of time.
    Span { least: Span, get: fn(&T) -> Option<Span>, set: fn(&mut T, Span) },
    /// A whole number.
    Count { least: u64, most: u64, get: fn(&T) -> Option<u64>, set: fn(&mut T, u64) },
    /// An amount of memory.
    Bytes { least: u64, most: u64, get: fn(&T) -> Option<u64>, set: fn(&mut T, u64) },
    /// Yes or no.
    Flag { get: fn(&T) -> Option<bool>, set: fn(&mut T, bool) },
    /// One of some words. `set` gets none but these.
    Word { words: fn() -> Vec<&'static str>, get: fn(&T) -> Option<&'static str>, set: fn(&mut T, &str) },
    /// A text with a form of its own; `set` says what is wrong with it.
    Text { form: &'static str, get: fn(&T) -> Option<String>, set: fn(&mut T, &str) -> Result<(), String> },
    /// Texts, each of which `check` accepted. Where a list without any says something, it has one.
    Texts {
        form: &'static str,
        check: fn(&str) -> Result<(), String>,
        get: fn(&T) -> Option<Vec<String>>,
        set: fn(&mut T, Vec<String>),
    },
    /// A table with keys of its own, each of which `check` accepted. Its values are texts, numbers or flags, and where
    /// `secrets` is set also places of secrets.
    Table {
        form: &'static str,
        secrets: bool,
        check: fn(&str) -> Result<(), String>,
        get: fn(&T) -> Vec<(String, Property)>,
        set: fn(&mut T, Vec<(String, Property)>),
    },
    /// A list of tables with keys of their own; `set` says what is wrong with which part.
    Tables { form: &'static str, get: fn(&T) -> Vec<String>, set: fn(&mut T, &str, &Value) -> Result<(), Vec<Wrong>> },
    /// Where a secret is to be had.
    Secret { get: fn(&T) -> Option<Secret>, set: fn(&mut T, Secret) },
}

/// Why a value does not fit.
#[derive(Debug)]
pub(in crate::policy::load) struct Wrong {
    /// Bytes of the source that are at fault.
    pub span: Range<usize>,
    /// What is wrong and what to write.
    pub message: String,
    /// A secret may stand there.
    pub secret: bool,
}

impl Wrong {
    pub(super) fn new(value: &Value, message: impl Into<String>) -> Vec<Self> {
        vec![Self { span: value.span.clone(), message: message.into(), secret: false }]
    }
}

impl<T> Slot<T> {
    /// Puts `value` into `target`, where the setting is called `name`.
    ///
    /// # Errors
    /// What is wrong with it; then nothing was put anywhere.
    pub fn set(&self, name: &str, value: &Value, target: &mut T) -> Result<(), Vec<Wrong>> {
        let misfit = || Wrong::new(value, format!("`{name}` takes {}, not {}", self.values(), value.given.kind()));
        let in_value = |message: String| Wrong::new(value, message);
        match (self, &value.given) {
            (Self::Span { least, set, .. }, Given::Text(text)) => {
                let span = parse_span(text).map_err(in_value)?;
                bounded(name, &span, least, None, Span::to_string).map_err(in_value)?;
                set(target, span);
            }
            (Self::Span { .. }, Given::Number(number)) => {
                Err(no_unit(value, name, &format!("\"{number}ms\" or \"{number}s\"")))?;
            }
            (Self::Bytes { least, most, set, .. }, Given::Text(text)) => {
                let bytes = parse_bytes(text).map_err(in_value)?;
                bounded(name, &bytes, least, Some(most), |n| show_bytes(*n)).map_err(in_value)?;
                set(target, bytes);
            }
            (Self::Bytes { .. }, Given::Number(number)) => {
                let with_unit = number.parse().map_or_else(|_| "512KiB".to_owned(), show_bytes);
                Err(no_unit(value, name, &quoted(&with_unit)))?;
            }
            (Self::Count { least, most, set, .. }, Given::Number(number)) => {
                let misfit = |_| in_value(format!("`{name}` takes {}, not {number}", self.values()));
                let count = number.parse().map_err(misfit)?;
                bounded(name, &count, least, Some(most), u64::to_string).map_err(in_value)?;
                set(target, count);
            }
            (Self::Flag { set, .. }, Given::Flag(flag)) => set(target, *flag),
            (Self::Word { words, set, .. }, Given::Text(text)) => {
                let words = words();
                if !words.contains(&text.as_str()) {
                    let nearest = hint::nearest(text, words.iter().copied());
                    let hint = nearest.map_or(String::new(), |word| format!(": did you mean `{word}`?"));
                    Err(in_value(format!("`{name}` is one of {}, not `{text}`{hint}", words.join(", "))))?;
                }
                set(target, text);
            }
            (Self::Text { set, .. }, Given::Text(text)) => set(target, text).map_err(in_value)?,
            (Self::Texts { check, set, .. }, Given::List(_) | Given::Text(_)) => {
                set(target, read_texts(name, value, *check)?);
            }
            (Self::Table { secrets, check, set, .. }, Given::Table(entries)) => {
                set(target, read_table(name, value, entries, *secrets, *check)?);
            }
            (Self::Tables { set, .. }, _) => set(target, name, value)?,
            (Self::Secret { set, .. }, _) => set(target, read_secret(name, value)?),
            _ => Err(misfit())?,
        }
        Ok(())
    }

    /// What may be written, for people.
    pub fn values(&self) -> String {
        match self {
            Self::Span { least: Span::ZERO, .. } => "a duration".to_owned(),
            Self::Span { least, .. } => format!("a duration from {least}"),
            Self::Count { least, most, .. } => format!("a whole number, {least} to {most}"),
            Self::Bytes { least, most, .. } => {
                format!("an amount of memory, {} to {}", show_bytes(*least), show_bytes(*most))
            }
            Self::Flag { .. } => "true or false".to_owned(),
            Self::Word { words, .. } => format!("one of {}", words().join(", ")),
            Self::Text { form, .. } => (*form).to_owned(),
            Self::Texts { form, .. } => format!("a list of {form}"),
            Self::Table { form, .. } => format!("a table of {form}"),
            Self::Tables { form, .. } => format!("a list of {form}"),
            Self::Secret { .. } => "{ env = \"NAME\" } or { file = \"PATH\" }".to_owned(),
        }
    }

    /// The value in `target` as it would be written; `None`: not set.
    pub fn show(&self, target: &T) -> Option<String> {
        match self {
            Self::Span { get, .. } => get(target).map(|span| quoted(&span.to_string())),
            Self::Count { get, .. } => get(target).map(|count| count.to_string()),
            Self::Bytes { get, .. } => get(target).map(|bytes| quoted(&show_bytes(bytes))),
            Self::Flag { get, .. } => get(target).map(|flag| flag.to_string()),
            Self::Word { get, .. } => get(target).map(quoted),
            Self::Text { get, .. } => get(target).map(|text| quoted(&text)),
            Self::Texts { get, .. } => {
                let texts: Vec<String> = get(target)?.iter().map(|text| quoted(text)).collect();
                Some(format!("[{}]", texts.join(", ")))
            }
            Self::Table { get, .. } => show_table(&get(target)),
            Self::Tables { get, .. } => {
                Some(get(target)).filter(|it| !it.is_empty()).map(|it| format!("[{}]", it.join(", ")))
            }
            Self::Secret { get, .. } => get(target).map(|secret| show_secret(&secret)),
        }
    }
}

/// What the text of a variable or flag gives for `slot`: lists are split at commas, or written as in a file.
///
/// # Errors
/// What the parser says of a list or table that is written as in a file.
pub(in crate::policy::load) fn read_text<T>(slot: &Slot<T>, text: &str) -> Result<Given, String> {
    let as_in_file = || DeValue::parse(text).map(|value| given(value.get_ref())).map_err(|e| e.message().to_owned());
    match slot {
        Slot::Count { .. } if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Given::Number(text.to_owned())),
        Slot::Flag { .. } => Ok(text.parse().map_or_else(|_| Given::Text(text.to_owned()), Given::Flag)),
        Slot::Texts { .. } if text.starts_with('[') => as_in_file(),
        Slot::Texts { .. } => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let item = |item: &str| Value { span: 0..0, given: Given::Text(item.to_owned()) };
            Ok(Given::List(items.map(item).collect()))
        }
        Slot::Table { .. } | Slot::Tables { .. } => as_in_file(),
        _ => Ok(Given::Text(text.to_owned())),
    }
}

/// A list that says nothing where it is empty.
pub fn unless_empty(texts: Vec<String>) -> Option<Vec<String>> {
    Some(texts).filter(|texts| !texts.is_empty())
}

fn bounded<N: PartialOrd>(
    name: &str,
    n: &N,
    least: &N,
    most: Option<&N>,
    show: impl Fn(&N) -> String,
) -> Result<(), String> {
    if n < least {
        return Err(format!("`{name}` is at least {}, not {}", show(least), show(n)));
    }
    match most {
        Some(most) if n > most => Err(format!("`{name}` is at most {}, not {}", show(most), show(n))),
        _ => Ok(()),
    }
}

fn no_unit(value: &Value, name: &str, instead: &str) -> Vec<Wrong> {
    Wrong::new(value, format!("`{name}` has no unit: write it as a string, {instead}"))
}

/// A list of texts, or one text for a list of one.
fn read_texts(name: &str, value: &Value, check: fn(&str) -> Result<(), String>) -> Result<Vec<String>, Vec<Wrong>> {
    let items = match &value.given {
        Given::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    if items.len() > MAX_ENTRIES {
        return Err(Wrong::new(value, format!("`{name}` has more than {MAX_ENTRIES} entries: write patterns")));
    }
    let mut texts = Vec::with_capacity(items.len());
    let mut wrongs = Vec::new();
    for item in items {
        let Given::Text(text) = &item.given else {
            wrongs.extend(Wrong::new(item, format!("`{name}` is a list of strings, not of {}", item.given.kind())));
            continue;
        };
        match check(text) {
            Ok(()) if texts.contains(text) => {
                wrongs.extend(Wrong::new(item, format!("`{text}` stands twice in `{name}`")))
            }
            Ok(()) => texts.push(text.clone()),
            Err(message) => wrongs.extend(Wrong::new(item, message)),
        }
    }
    if wrongs.is_empty() { Ok(texts) } else { Err(wrongs) }
}

/// A string as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

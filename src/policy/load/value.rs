//! What a file, a variable or a flag gives for a key, before anything is known of its meaning.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A value, and which bytes of its source it covers.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Bytes of the source.
    pub span: Range<usize>,
    /// What is there.
    pub given: Given,
}

/// What can stand for a key.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A string.
    Text(String),
    /// A number, in decimal; a whole one has digits only.
    Number(String),
    /// `true` or `false`.
    Flag(bool),
    /// A date or a time: no setting takes one.
    Date,
    /// A list.
    List(Vec<Value>),
    /// A table, in the order of the source.
    Table(Vec<Entry>),
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key.
    pub key: String,
    /// Bytes of the source that the key covers.
    pub key_span: Range<usize>,
    /// Its value.
    pub value: Value,
}

impl Given {
    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// The entries of a parsed table, in the order of the source: the parser sorts them by name, and faults are to be read
/// from the top of the file to its end. Its depth is bounded by the parser.
pub(super) fn entries(table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            value: Value { span: value.span(), given: given(value.get_ref()) },
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

/// What a parsed value gives.
pub(super) fn given(value: &DeValue<'_>) -> Given {
    match value {
        DeValue::String(text) => Given::Text(text.to_string()),
        DeValue::Integer(number) => Given::Number(
            i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |n| n.to_string()),
        ),
        DeValue::Float(number) => Given::Number(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Given::Flag(*flag),
        DeValue::Datetime(_) => Given::Date,
        DeValue::Array(items) => {
            Given::List(items.iter().map(|item| Value { span: item.span(), given: given(item.get_ref()) }).collect())
        }
        DeValue::Table(table) => Given::Table(entries(table)),
    }
}

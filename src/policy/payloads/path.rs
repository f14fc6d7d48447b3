//! Where in a payload a value stands.

use serde_json::Value;

/// Most parts of a path into a payload.
const MAX_PARTS: usize = 32;

/// The parts of `order.lines.0.sku`: names of fields, and places in lists from 0. An empty text has none.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub fn parts_of(text: &str) -> Result<Vec<String>, String> {
    let parts: Vec<String> = text.split('.').filter(|_| !text.is_empty()).map(str::to_owned).collect();
    match () {
        () if parts.len() > MAX_PARTS => Err(format!("leads more than {MAX_PARTS} fields deep")),
        () if parts.iter().any(String::is_empty) => Err("has a part without a name".to_owned()),
        () => Ok(parts),
    }
}

/// The value at `path` in `value`: names of fields, and places in lists from 0. `None`: there is none.
#[must_use]
pub fn at_path<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Object(table) => table.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A value as it is held against words: a text itself, a number in decimal, a flag as `true` or `false`. `None`: it is a list,
/// a table or nothing.
#[must_use]
pub fn word_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

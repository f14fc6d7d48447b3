//! Words and lengths of time in scenario files, and what is said where they are wrong.

use crate::{
    model::Span,
    policy::{Word, load::parse_span},
};

/// Reads a length of time: a number and one of `ms`, `s`, `m`, `h`; a bare `0` needs no unit.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn span(text: &str) -> Result<Span, String> {
    if text == "0" { Ok(Span::ZERO) } else { parse_span(text) }
}

/// The value of a word, out of those that the configuration knows as well.
///
/// # Errors
/// A sentence that lists the words there are.
pub fn choose<T: Word>(key: &str, text: &str) -> Result<T, String> {
    pick(key, text, &T::WORDS.iter().map(|(value, word)| (*word, *value)).collect::<Vec<_>>())
}

/// The value of a word, out of a list.
///
/// # Errors
/// A sentence that lists the words there are.
pub fn pick<T: Copy>(key: &str, text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("`{key}: {text}` is not one of {}", words.join(", "))
    })
}

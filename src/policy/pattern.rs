//! Patterns over names: `*` stands for any run of characters, everything else for itself.

use std::fmt;

/// A pattern such as `payment/*` or `*-adapter`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Box<str>);

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// It is empty.
    Empty,
    /// It has more than 256 bytes.
    TooLong,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a pattern cannot be empty; `*` matches everything",
            Self::TooLong => "a pattern has at most 256 bytes",
        })
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] if it is empty or longer than 256 bytes.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        match text.len() {
            0 => Err(PatternError::Empty),
            1..=256 => Ok(Self(text.into())),
            _ => Err(PatternError::TooLong),
        }
    }

    /// Whether it matches `text`: greedy with one step back to the last star, so linear but for stars.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(c) if *c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match star {
                    Some((at, from)) => {
                        p = at + 1;
                        t = from + 1;
                        star = Some((at, t));
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == b'*')
    }

    /// How specific it is: more literal characters win, and a pattern without a star beats any with one.
    #[must_use]
    pub fn weight(&self) -> (bool, usize) {
        let stars = self.0.bytes().filter(|c| *c == b'*').count();
        (stars == 0, self.0.len() - stars)
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars_match_any_run() {
        let is = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().matches(text);
        assert!(is("*", ""));
        assert!(is("payment/*", "payment/Charge"));
        assert!(!is("payment/*", "payments/Charge"));
        assert!(is("*/Charge", "a/b/Charge"));
        assert!(is("a*b*c", "aXbYbZc"));
        assert!(!is("a*b*c", "aXbYbZ"));
        assert!(!is("a", "ab"));
    }
}

//! What is wrong with a configuration, where, and what to write instead.

use std::fmt;

/// Most faults that one text shows; how many more there are is said below them. A person corrects a few and looks again.
const MAX_SHOWN: usize = 100;

/// Whether a configuration can be used in spite of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but somebody should look.
    Warning,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// How bad it is.
    pub severity: Severity,
    /// The setting that it is about, such as `engine.mode`; empty: none.
    pub key: String,
    /// The file, variable or flag that it is in.
    pub source: String,
    /// Line and column in the file, both from 1, the column in characters; `None`: no place in a file.
    pub position: Option<(usize, usize)>,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The text that is at fault; `None`: nothing is written there.
    pub excerpt: Option<Excerpt>,
}

/// A line of a source with the part that is at fault. Secrets in it are already hidden (S8.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, or the part of a long one around the fault.
    pub text: String,
    /// How many characters stand before the part.
    pub before: usize,
    /// How many characters the part has, at least 1.
    pub length: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}: {}", self.severity.word(), self.message)?;
        if let Some(excerpt) = &self.excerpt {
            let gutter = self.position.map_or(String::new(), |(line, _)| format!("{line} | "));
            let indent = " ".repeat(gutter.len() + excerpt.before);
            write!(f, "\n  {gutter}{}\n  {indent}{}", excerpt.text, "^".repeat(excerpt.length))?;
        }
        Ok(())
    }
}

/// All that is wrong with one configuration: files from top to bottom, then variables and flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// The faults, at most [`Faults::LIMIT`].
    pub found: Vec<Fault>,
    /// How many there were beyond the limit.
    pub more: usize,
}

impl Faults {
    /// Most faults that are kept. A file with more is not one with slips, and each costs a look at its line.
    pub const LIMIT: usize = 1_000;
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.found.iter().take(MAX_SHOWN).enumerate() {
            write!(f, "{}{fault}", if i == 0 { "" } else { "\n" })?;
        }
        match self.found.len().saturating_sub(MAX_SHOWN) + self.more {
            0 => Ok(()),
            more => write!(f, "\n{more} more are not shown"),
        }
    }
}

impl std::error::Error for Faults {}

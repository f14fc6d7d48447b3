//! Collects faults: turns bytes of a source into line, column and the text with a caret, and hides what is secret.

use std::ops::Range;

use super::fault::{Excerpt, Fault, Faults, Severity};

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// These bytes of the file.
    Source(Range<usize>),
    /// These bytes of the n-th override.
    Override(usize, Range<usize>),
    /// Nowhere: a default, or the file as a whole.
    Nowhere,
}

/// A name and its text: the file, or a variable or flag.
pub(super) struct Text {
    /// What people call it.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// What was found so far.
pub(super) struct Report {
    file: Text,
    overrides: Vec<Text>,
    line_starts: Vec<usize>,
    found: Vec<(usize, Fault)>,
    more: usize,
    failed: bool,
}

/// Longest line of which something is shown, in bytes. To hide secrets the whole line is looked at, for each fault in it.
const LONGEST_LINE: usize = 2_000;

/// Characters of a long line that are shown; the fault stands in the first half of them.
const SHOWN: usize = 120;

/// A line in which one of these stands may hold a secret: what follows its first `=` is not shown.
const SECRET_WORDS: [&str; 9] =
    ["password", "passphrase", "secret", "token", "key.pem", "jaas", "credential", "sha256 =", "sha256="];

/// How the message of a syntax error begins.
const NOT_TOML: &str = "not TOML: ";

/// Syntax errors, as the parser begins them, after which it reads the next line rightly.
const WITHIN_A_LINE: [&str; 3] = ["string values must be quoted", "duplicate key", "invalid basic string"];

/// What is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

/// Whether something so named is a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', ".");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

impl Report {
    /// Nothing found yet in `file` and the variables and flags beside it.
    pub fn new(file: Text, overrides: Vec<Text>) -> Self {
        let newlines = file.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(i, _)| i + 1);
        let line_starts = std::iter::once(0).chain(newlines).collect();
        Self { file, overrides, line_starts, found: Vec::new(), more: 0, failed: false }
    }

    /// Notes an error.
    pub fn error(&mut self, key: &str, place: &Place, message: impl Into<String>) {
        self.note(Severity::Error, key, place, message.into(), false);
    }

    /// Notes an error where a secret may stand: what is written there is not shown.
    pub fn secret_error(&mut self, key: &str, place: &Place, message: impl Into<String>) {
        self.note(Severity::Error, key, place, message.into(), true);
    }

    /// Notes a warning.
    pub fn warning(&mut self, key: &str, place: &Place, message: impl Into<String>) {
        self.note(Severity::Warning, key, place, message.into(), false);
    }

    fn note(&mut self, severity: Severity, key: &str, place: &Place, message: String, hide: bool) {
        self.failed |= severity == Severity::Error;
        if self.is_full() {
            self.more += 1;
            return;
        }
        let (source, position, excerpt, order) = match place {
            Place::Source(span) => {
                let line = self.line_of(span.start);
                let start = self.line_starts[line];
                let text = self.file.text[start..].lines().next().unwrap_or("");
                let excerpt = excerpt(text, span.start - start..span.end.max(span.start) - start, hide);
                let column = self.file.text[start..span.start].chars().count() + 1;
                (self.file.name.clone(), Some((line + 1, column)), excerpt, span.start)
            }
            Place::Override(i, span) => {
                let source = &self.overrides[*i];
                (source.name.clone(), None, excerpt(&source.text, span.clone(), hide), usize::MAX)
            }
            Place::Nowhere => (self.file.name.clone(), None, None, usize::MAX - 1),
        };
        self.found.push((order, Fault { severity, key: key.to_owned(), source, position, message, excerpt }));
    }

    /// Whether there is an error.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Whether further faults are only counted.
    pub fn is_full(&self) -> bool {
        self.found.len() >= Faults::LIMIT
    }

    /// Drops what else was found in lines that are not TOML, what was found below a syntax error that reaches further
    /// than its line, and what was found about no place: a parser that goes on after an error guesses, and its guesses
    /// are no faults of the file.
    pub fn keep_what_syntax_errors_allow(&mut self) {
        let syntax = |fault: &Fault| fault.message.strip_prefix(NOT_TOML).map(str::to_owned);
        let line = |fault: &Fault| fault.position.map(|(line, _)| line);
        let broken: Vec<usize> =
            self.found.iter().filter(|(_, f)| syntax(f).is_some()).filter_map(|(_, f)| line(f)).collect();
        let far =
            |fault: &Fault| syntax(fault).is_some_and(|it| !WITHIN_A_LINE.iter().any(|near| it.starts_with(near)));
        let end = self.found.iter().filter(|(_, f)| far(f)).filter_map(|(_, f)| line(f)).min().unwrap_or(usize::MAX);
        let reliable = |fault: &Fault| line(fault).is_some_and(|line| line < end && !broken.contains(&line));
        self.found.retain(|(_, fault)| syntax(fault).is_some() || reliable(fault));
    }

    /// The line of the file in which byte `at` stands, from 0.
    pub fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// Notes that the file is no TOML at `span`.
    pub fn syntax_error(&mut self, span: Range<usize>, message: &str) {
        self.error("", &Place::Source(span), format!("{NOT_TOML}{message}"));
    }

    /// Where something was set, in words that lead there: `countermand.toml:3`, or the name of a variable or flag.
    pub fn origin_of(&self, place: &Place) -> String {
        match place {
            Place::Source(span) => format!("{}:{}", self.file.name, self.line_of(span.start) + 1),
            _ => self.name_of(place),
        }
    }

    /// A place in words, for a fault that is about two places: `line 3`, or the name of a variable or flag.
    pub fn name_of(&self, place: &Place) -> String {
        match place {
            Place::Source(span) => format!("line {}", self.line_of(span.start) + 1),
            Place::Override(i, _) => self.overrides[*i].name.clone(),
            Place::Nowhere => "the default".to_owned(),
        }
    }

    /// Everything found, in the order of the file; variables and flags follow.
    pub fn finish(mut self) -> Faults {
        self.found.sort_by_key(|(order, _)| *order);
        Faults { found: self.found.into_iter().map(|(_, fault)| fault).collect(), more: self.more }
    }
}

/// One line with the bytes `span` of it marked, short enough for a terminal, without control characters and secrets.
fn excerpt(line: &str, span: Range<usize>, hide: bool) -> Option<Excerpt> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let start = span.start.min(line.len());
    let (line, start, end) = match secret_start(line, hide) {
        Some(from) if from < span.end.max(start + 1) => {
            (format!("{}{HIDDEN}", &line[..from]), start.min(from), from + HIDDEN.len())
        }
        Some(from) => (format!("{}{HIDDEN}", &line[..from]), start, span.end),
        None => (line.to_owned(), start, span.end.min(line.len())),
    };
    let before = line[..start].chars().count();
    let length = line[start..end.max(start)].chars().count().max(1);
    let skipped = before.saturating_sub(SHOWN / 2);
    let shown = line.chars().skip(skipped).take(SHOWN);
    let text: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let before = before - skipped;
    Some(Excerpt { length: length.min((SHOWN - before).max(1)), text: text.trim_end().to_owned(), before })
}

/// From which byte on `line` is not to be shown: from its first `=`, since a secret may hold further ones, and a value
/// that goes over several lines has none before it.
fn secret_start(line: &str, hide: bool) -> Option<usize> {
    if !hide && !is_secret_name(line) && !has_password(line) {
        return None;
    }
    match line.find('=') {
        Some(equals) => Some(line.len() - line[equals + 1..].trim_start().len()),
        None => hide.then_some(0),
    }
}

/// Whether a URL with a password stands in a line: whatever has a colon before an `@`.
fn has_password(line: &str) -> bool {
    line.split("//").skip(1).any(|rest| {
        let authority = rest.rsplit_once('@').map_or("", |(user, _)| user);
        authority.contains(':')
    })
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn long_lines_are_cut_around_the_fault_and_secrets_are_hidden() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let cut = excerpt(&line, 500..501, false).unwrap();
        assert_eq!((cut.text.len(), cut.before, cut.length), (120, 60, 1));
        assert_eq!(&cut.text[60..61], "X");
        for (line, span, hide) in [
            ("\"sasl.password\" = \"s3same\"", 18..26, false),
            ("SASL_PASSWORD=s3same", 14..20, false),
            ("tokn = \"s3same\"", 0..4, true),
            ("tokn = \"s3same==\"", 7..17, true),
            ("s3same", 0..6, true),
            ("url = \"amqp://shop:s3same@rabbit\"", 6..33, false),
            ("RABBITMQ__URL=amqps://shop:s3/s@me@rabbit s3same", 14..20, false),
            ("x = 1 # the password = s3same", 0..1, false),
        ] {
            let shown = excerpt(line, span, hide).unwrap();
            assert!(!shown.text.contains("s3same"), "{shown:?}");
            assert!(shown.before + shown.length <= shown.text.chars().count(), "{shown:?}");
        }
    }
}

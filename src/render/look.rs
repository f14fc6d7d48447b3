//! How text is shown to people: colours, signs, widths, and names from outside made safe for a terminal.

use std::{borrow::Cow, io::IsTerminal};

/// Columns of text for people. A terminal of 100 columns shows it without breaking lines.
pub const WIDTH: usize = 100;

/// Columns below which nothing would be left of names, and above which an eye loses the line.
const NARROWEST: usize = 60;
const WIDEST: usize = 160;

/// How text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Only ASCII signs.
    pub ascii: bool,
    /// With colours.
    pub color: bool,
    /// Columns of a line.
    pub width: usize,
    /// Names are shown whole, however wide a line gets.
    pub whole: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { ascii: false, color: false, width: WIDTH, whole: false }
    }
}

/// What a piece of text means; a colour follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Wrong.
    Bad,
    /// To be looked at.
    Warn,
    /// Beside the point.
    Dim,
    /// The point.
    Strong,
    /// Nothing special.
    Plain,
}

/// Signs, with their ASCII fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It worked.
    Good,
    /// It failed.
    Bad,
    /// Nobody knows.
    Unknown,
    /// Not yet.
    Open,
    /// Points at the failing edge.
    Here,
    /// Text was left out.
    Elided,
    /// From caller to callee.
    Arrow,
    /// Between parts of a line.
    Dot,
    /// A child with siblings to come.
    Branch,
    /// The last child.
    Corner,
    /// Beside a later sibling.
    Bar,
    /// Times.
    Times,
}

impl Look {
    /// The look for stdout: colours only if it is a terminal and `NO_COLOR` is not set. A terminal's lines are as wide as
    /// it is, and long names are cut for them; what goes into a file or to another program is whole.
    #[must_use]
    pub fn of_stdout(ascii: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if !std::io::stdout().is_terminal() {
            return Self { ascii, whole: true, ..Self::default() };
        }
        let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
        Self { ascii, color: wanted, width: width.clamp(NARROWEST, WIDEST), whole: false }
    }

    /// The text of a sign; always one column wide but for [`Sign::Arrow`], [`Sign::Here`] and [`Sign::Elided`].
    #[must_use]
    pub fn sign(self, sign: Sign) -> &'static str {
        let (pretty, ascii) = match sign {
            Sign::Good => ("✓", "+"),
            Sign::Bad => ("✗", "x"),
            Sign::Unknown => ("?", "?"),
            Sign::Open => ("…", "."),
            Sign::Here => ("◀ failing edge", "<-- failing edge"),
            Sign::Elided => ("…", ".."),
            Sign::Arrow => ("→", "->"),
            Sign::Dot => ("·", "-"),
            Sign::Branch => ("├", "|"),
            Sign::Corner => ("└", "`"),
            Sign::Bar => ("│", "|"),
            Sign::Times => ("×", "x"),
        };
        if self.ascii { ascii } else { pretty }
    }

    /// `text` in its tone.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Warn => "33",
            Tone::Dim => "2",
            Tone::Strong => "1",
            Tone::Plain => "",
        };
        if self.color && !code.is_empty() && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// `text` in at most `width` columns, unless names are shown whole: the middle of longer ones is left out, since names differ at their ends.
    #[must_use]
    pub fn elide(self, text: &str, width: usize) -> String {
        let length = columns(text);
        if self.whole || length <= width {
            return text.to_owned();
        }
        let sign = self.sign(Sign::Elided);
        let kept = width.saturating_sub(columns(sign));
        let (head, tail) = (kept - kept / 2, kept / 2);
        let head: String = text.chars().take(head).collect();
        let tail: String = text.chars().skip(length - tail).collect();
        format!("{head}{sign}{tail}")
    }
}

/// Columns that `text` takes, as one a character.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Text from outside without anything that moves a terminal's cursor or turns its text around: such characters show
/// as `\u{..}`. Names are data, and some are hostile (S8.3).
#[must_use]
pub fn safe(text: &str) -> Cow<'_, str> {
    let unsafe_char = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !text.contains(unsafe_char) {
        return Cow::Borrowed(text);
    }
    let show = |c: char| if unsafe_char(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(show).collect())
}

#[cfg(test)]
mod tests {
    use super::{Look, safe};

    #[test]
    fn long_names_keep_both_ends() {
        let look = Look::default();
        assert_eq!(look.elide("short", 5), "short");
        assert_eq!(look.elide("ts-travel-service", 9), "ts-t…vice");
        assert_eq!(Look { ascii: true, ..look }.elide("ts-travel-service", 9), "ts-t..ice");
        assert_eq!(look.elide("ab", 0).chars().count(), 1);
        assert_eq!(Look { whole: true, ..look }.elide("ts-travel-service", 9), "ts-travel-service");
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        assert_eq!(safe("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(safe("naïve 名前"), "naïve 名前");
    }
}

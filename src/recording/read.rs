//! Reading a recording line by line.

use std::{
    fmt,
    io::{self, BufRead, Read},
    path::Path,
    sync::atomic::Ordering,
};

use super::{
    Entry, line,
    open::{self, Opened},
};

/// Longest line that is read, in bytes. 4 MiB: a message of 1 MiB has at most 1.4 MiB in base64, or 6 MiB where every
/// byte of its texts is escaped, which no real message has.
const LINE_BYTES: usize = 4 << 20;

/// What some editors put before UTF-8; it says nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a line turned out to be.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are entries, and one is in memory at a time")]
pub enum Line {
    /// What it says.
    Entry(Entry),
    /// It says nothing that can be understood.
    Bad(BadLine),
}

/// A line that could not be read. The lines after it are not touched by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line_number: u64,
    /// What is wrong with it.
    pub reason: BadReason,
    /// The line without its end; of one that is too long the beginning.
    pub raw: Vec<u8>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadReason {
    /// It is too long.
    TooLong {
        /// Bytes that are allowed.
        limit: usize,
    },
    /// It is no JSON, or not that of a line; what the parser says.
    Json(String),
    /// It has more than one message.
    SeveralMessages,
    /// It has neither a message nor a time.
    Nothing,
    /// The file broke off within it.
    CutOff,
}

impl BadReason {
    /// The word in the `countermand-reason` header and in metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "line_too_long",
            Self::Json(_) => "malformed_json",
            Self::SeveralMessages => "several_messages",
            Self::Nothing => "empty_entry",
            Self::CutOff => "cut_off",
        }
    }
}

impl fmt::Display for BadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "the line has more than {limit} bytes"),
            Self::Json(what) => f.write_str(what),
            Self::SeveralMessages => f.write_str("the line has more than one message"),
            Self::Nothing => f.write_str("the line has neither a message nor `at`"),
            Self::CutOff => f.write_str("the file broke off within this line"),
        }
    }
}

/// A recording could not be read any further. What came before was given out.
#[derive(Debug)]
pub struct ReadError {
    /// The file, or `-`.
    pub name: String,
    /// Lines that were read before.
    pub lines: u64,
    /// Bytes of text that were read before, decoded.
    pub bytes: u64,
    what: String,
    source: io::Error,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, lines, bytes, what, .. } = self;
        write!(f, "{name}: {what}, after {lines} lines ({bytes} bytes of text)")
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Reads one recording, line by line. Blank lines are passed over and counted.
pub struct Reader {
    name: String,
    input: Opened,
    size: Option<u64>,
    limit: usize,
    line: Vec<u8>,
    lines: u64,
    bytes: u64,
    /// An error that waits until the line before it was given out.
    failed: Option<ReadError>,
    ended: bool,
}

impl Reader {
    /// Opens a file, or standard input for `-`. Compression is found by the first bytes.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let name = path.display().to_string();
        match open::open(path) {
            Ok((input, size)) => Ok(Self { size, ..Self::over(name, input) }),
            Err(source) => Err(ReadError { name, lines: 0, bytes: 0, what: source.to_string(), source }),
        }
    }

    /// Reads any stream; `name` stands in its errors.
    ///
    /// # Errors
    /// If its first bytes cannot be read.
    pub fn new(name: &str, input: impl Read + Send + 'static) -> Result<Self, ReadError> {
        let name = name.to_owned();
        match open::decode(input) {
            Ok(input) => Ok(Self::over(name, input)),
            Err(source) => Err(ReadError { name, lines: 0, bytes: 0, what: source.to_string(), source }),
        }
    }

    fn over(name: String, input: Opened) -> Self {
        Self {
            name,
            input,
            size: None,
            limit: LINE_BYTES,
            line: Vec::new(),
            lines: 0,
            bytes: 0,
            failed: None,
            ended: false,
        }
    }

    /// Lines of more than `bytes` are bad; by default 4 MiB.
    #[must_use]
    pub fn line_limit(self, bytes: usize) -> Self {
        Self { limit: bytes, ..self }
    }

    /// The number of the line that was given out last, from 1.
    #[must_use]
    pub fn line_number(&self) -> u64 {
        self.lines
    }

    /// The bytes of that line, without its end: what belongs into the dead letters if its message is refused.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.line
    }

    /// Bytes taken from the file so far, compressed as they are there, and the size of the file if it has one: how far
    /// the reading is.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.input.taken.load(Ordering::Relaxed), self.size)
    }

    /// Reads the next line into `self.line`, without its end. `None`: there is none.
    fn read_line(&mut self) -> io::Result<Option<Result<(), BadReason>>> {
        self.line.clear();
        let input = &mut self.input.text;
        // One byte more than the limit, for the end of the line.
        let n = input.by_ref().take(self.limit as u64 + 1).read_until(b'\n', &mut self.line)?;
        self.bytes += n as u64;
        if n == 0 {
            return Ok(None);
        }
        self.lines += 1;
        if self.lines == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if n > self.limit {
            self.line.truncate(self.limit);
            let skipped = skip_line(input);
            match skipped {
                Ok(n) => self.bytes += n,
                Err(source) => self.fail(source),
            }
            return Ok(Some(Err(BadReason::TooLong { limit: self.limit })));
        }
        Ok(Some(Ok(())))
    }

    /// Ends the reading; the error is given out after the line at hand.
    fn fail(&mut self, source: io::Error) {
        let format = self.input.format.name();
        let what = match source.kind() {
            io::ErrorKind::UnexpectedEof => format!("the {format} ends in the middle"),
            _ => format!("the {format} cannot be read: {source}"),
        };
        let name = self.name.clone();
        self.failed = Some(ReadError { name, lines: self.lines, bytes: self.bytes, what, source });
        self.ended = true;
    }

    fn bad(&self, reason: BadReason) -> Line {
        Line::Bad(BadLine { line_number: self.lines, reason, raw: self.line.clone() })
    }
}

impl Iterator for Reader {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            if self.ended {
                return None;
            }
            match self.read_line() {
                Ok(None) => self.ended = true,
                Ok(Some(Err(reason))) => return Some(Ok(self.bad(reason))),
                Ok(Some(Ok(()))) if self.line.trim_ascii().is_empty() => {}
                Ok(Some(Ok(()))) => {
                    return Some(Ok(match line::read(&self.line) {
                        Ok(entry) => Line::Entry(entry),
                        Err(reason) => self.bad(reason),
                    }));
                }
                Err(source) => {
                    self.fail(source);
                    if !self.line.is_empty() {
                        // The beginning of a line is all there is of it: it is bad, but not lost.
                        self.lines += 1;
                        return Some(Ok(self.bad(BadReason::CutOff)));
                    }
                }
            }
        }
    }
}

/// Takes everything up to the end of the line, keeping nothing of it. Says how many bytes that were.
fn skip_line(input: &mut dyn BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let ready = match input.fill_buf() {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = ready.iter().position(|&byte| byte == b'\n');
        let n = end.map_or(ready.len(), |end| end + 1);
        skipped += n as u64;
        input.consume(n);
        if end.is_some() || n == 0 {
            return Ok(skipped);
        }
    }
}

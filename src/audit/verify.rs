//! Reading the whole file, and finding the first place where it is not what was written.

use std::io::{self, BufRead, Read};

use super::{Entry, NONE, log::MAX_LINE};

/// A file without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its lines.
    pub entries: u64,
    /// Hash of the newest; 64 zeros: there is none.
    pub last: String,
}

/// The first place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub why: String,
}

/// Reads a file from its beginning.
///
/// # Errors
/// The first fault; that it cannot be read is one of the line where that shows.
pub fn verify(mut file: impl BufRead) -> Result<Verified, Fault> {
    let (mut line, mut prev) = (0, NONE.to_owned());
    let mut text = Vec::new();
    loop {
        text.clear();
        let fault = |why: String| Fault { line: line + 1, why };
        let read = read_line(&mut file, &mut text).map_err(|error| fault(error.to_string()))?;
        if read == 0 {
            return Ok(Verified { entries: line, last: prev });
        }
        let Some(json) = text.strip_suffix(b"\n") else {
            return Err(fault("it does not end: it is cut off, or longer than a line can be".to_owned()));
        };
        let entry: Entry = serde_json::from_slice(json).map_err(|error| fault(format!("no entry: {error}")))?;
        let hash = entry.seal().map_err(|error| fault(error.to_string()))?;
        if entry.seq != line + 1 {
            return Err(fault(format!("it has the number {}: lines are missing or were put in", entry.seq)));
        }
        if entry.prev != prev {
            return Err(fault(
                "`prev` is not the hash of the line before: that one was changed, or another".to_owned(),
            ));
        }
        if entry.hash != hash {
            return Err(fault("its hash is another: it was changed after it was written".to_owned()));
        }
        if serde_json::to_vec(&entry).ok().as_deref() != Some(json) {
            return Err(fault("it is written otherwise than the agent writes".to_owned()));
        }
        prev = hash;
        line += 1;
    }
}

fn read_line(file: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<usize> {
    file.by_ref().take(MAX_LINE as u64).read_until(b'\n', text)
}

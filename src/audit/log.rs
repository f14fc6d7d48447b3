//! Writing the file, and reading its end.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Act, Entry, NONE, page::newest};

/// Longest line that is written or read. A reason has at most 4 KiB, and JSON may write a byte as six.
pub(super) const MAX_LINE: usize = 64 << 10;

/// The file, which is made with its first line. One process writes it: it is locked while it is open.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    seq: u64,
    prev: String,
    /// Bytes of whole lines.
    length: u64,
}

impl Log {
    /// The file at `path`; nothing is opened or made yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, open: Mutex::new(None) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it now, and makes it if it is not there, so that what is wrong with it shows before anything is to be written.
    ///
    /// # Errors
    /// As [`Log::append`]; [`io::ErrorKind::WouldBlock`]: another process writes it.
    pub fn open(&self) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            *open = Some(Open::at(&self.path)?);
        }
        Ok(())
    }

    /// Adds lines, and returns once they are on the disk. Either all are added or, as far as anybody can see, none.
    ///
    /// # Errors
    /// If the file cannot be written, is locked by another process, or is no audit file.
    pub fn append(&self, acts: Vec<Act>, at: &str) -> io::Result<()> {
        if acts.is_empty() {
            return Ok(());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match open.take() {
            Some(state) => state,
            None => Open::at(&self.path)?,
        };
        // A failed write may have left half a line: the file is looked at anew then.
        *open = Some(state.add(acts, at)?);
        Ok(())
    }

    /// Up to `limit` entries, at most [`MAX_PAGE`], with numbers below `before`, the newest first; the second value says
    /// whether there are older ones. Lines that cannot be read are left out: `countermand audit verify` names them.
    ///
    /// # Errors
    /// If the file cannot be read. That there is none is no error: nothing happened yet.
    ///
    /// [`MAX_PAGE`]: super::MAX_PAGE
    pub fn newest(&self, before: u64, limit: usize) -> io::Result<(Vec<Entry>, bool)> {
        newest(&self.path, before, limit)
    }
}

impl Open {
    /// Opens the file and goes on where it ends. Half a line at its end is what a crash left of one that was never
    /// answered for: it is cut off.
    fn at(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if let Err(error) = file.try_lock() {
            let why = format!("{}: another process writes it ({error})", path.display());
            return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
        }
        let end = file.seek(SeekFrom::End(0))?;
        let from = end.saturating_sub(2 * MAX_LINE as u64);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        Read::by_ref(&mut file).take(end - from).read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |place| place + 1);
        let strange = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
        if whole == 0 && from > 0 {
            return Err(strange("its end is no line of an audit file".to_owned()));
        }
        let length = from + whole as u64;
        if length < end {
            tracing::warn!(file = %path.display(), bytes = end - length, "half a line at the end is cut off");
            file.set_len(length)?;
        }
        let last = tail[..whole].split(|&byte| byte == b'\n').rfind(|line| !line.is_empty());
        let (seq, prev) = match last {
            None => (0, NONE.to_owned()),
            Some(line) => {
                let entry: Entry =
                    serde_json::from_slice(line).map_err(|error| strange(format!("its last line: {error}")))?;
                (entry.seq, entry.hash)
            }
        };
        Ok(Self { file, seq, prev, length })
    }

    fn add(mut self, acts: Vec<Act>, at: &str) -> io::Result<Self> {
        let mut text = String::new();
        for act in acts {
            self.seq += 1;
            let mut entry = Entry { seq: self.seq, at: at.to_owned(), act, prev: self.prev, hash: String::new() };
            entry.hash = entry.seal()?;
            let line = serde_json::to_string(&entry)?;
            if line.len() >= MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "an entry is too long"));
            }
            text.push_str(&line);
            text.push('\n');
            self.prev = entry.hash;
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What is half written must not be read as if it counted.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(self)
    }
}

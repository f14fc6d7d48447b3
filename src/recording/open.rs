//! Opening what is to be read: files and standard input, compressed or not.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

/// How a recording is compressed. Reading goes by the first bytes, and only holds the name against them: what is named
/// like compressed data and is plain is broken. Writing goes by the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Not at all.
    Plain,
    /// gzip, also several members one after the other.
    Gzip,
    /// Zstandard, also several frames one after the other.
    Zstd,
}

impl Format {
    /// The format that a file's name asks for: `.gz`, `.zst`, else none.
    #[must_use]
    pub fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The format that a stream begins with.
    fn of_magic(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// The format in an error message.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "data",
            Self::Gzip => "gzip data",
            Self::Zstd => "Zstandard data",
        }
    }
}

/// An opened stream of text.
pub(super) struct Opened {
    /// The text.
    pub(super) text: Box<dyn BufRead + Send>,
    /// What it is decoded from.
    pub(super) format: Format,
    /// Bytes taken from the file so far.
    pub(super) taken: Arc<AtomicU64>,
}

/// Finds out how `input` is compressed, and decodes it.
pub(super) fn decode(input: impl Read + Send + 'static) -> io::Result<Opened> {
    let taken = Arc::new(AtomicU64::new(0));
    let mut input = Counted { input, taken: taken.clone() };
    let mut magic = Vec::with_capacity(4);
    // A pipe may give single bytes: read until there are four or there is no more.
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let format = Format::of_magic(&magic);
    let whole = BufReader::with_capacity(BUFFER, io::Cursor::new(magic).chain(input));
    let text: Box<dyn BufRead + Send> = match format {
        Format::Plain => Box::new(whole),
        Format::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole))),
        Format::Zstd => Box::new(BufReader::with_capacity(BUFFER, zstd::Decoder::with_buffer(whole)?)),
    };
    Ok(Opened { text, format, taken })
}

/// Opens a file, or standard input for `-`. With the size of the file, if it is one.
pub(super) fn open(path: &Path) -> io::Result<(Opened, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((decode(io::stdin())?, None));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is a folder"));
    }
    let opened = decode(file)?;
    let named = Format::of_name(path);
    if opened.format == Format::Plain && named != Format::Plain {
        let what = format!("this is named like {} and is none: rename it if it is plain text", named.name());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok((opened, metadata.is_file().then_some(metadata.len())))
}

/// Enough that system calls don't count, small enough for the cache.
const BUFFER: usize = 64 << 10;

struct Counted<R> {
    input: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

//! Writing a recording.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

use super::{Entry, Format, line};

/// Writes one recording. It is whole only after [`Writer::finish`]; what was flushed before can be read all the same.
pub struct Writer {
    out: Out,
    line: Vec<u8>,
}

enum Out {
    Plain(Box<dyn Write + Send>),
    Gzip(GzEncoder<Box<dyn Write + Send>>),
    Zstd(zstd::Encoder<'static, Box<dyn Write + Send>>),
}

impl Out {
    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(out) => out,
            Self::Gzip(out) => out,
            Self::Zstd(out) => out,
        }
    }
}

impl Writer {
    /// Creates a file, or writes to standard output for `-`; compressed if the name ends in `.gz` or `.zst`. A file that
    /// is there is replaced.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::new(io::stdout(), Format::Plain);
        }
        Self::new(File::create(path)?, Format::of_name(path))
    }

    /// Writes to any stream.
    ///
    /// # Errors
    /// If the compressor cannot be set up.
    pub fn new(out: impl Write + Send + 'static, format: Format) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = Box::new(BufWriter::new(out));
        let out = match format {
            Format::Plain => Out::Plain(out),
            Format::Gzip => Out::Gzip(GzEncoder::new(out, Compression::default())),
            Format::Zstd => Out::Zstd(zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?),
        };
        Ok(Self { out, line: Vec::new() })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// If the stream fails, or if a time in the message is one that JSON cannot write ([`io::ErrorKind::InvalidData`]);
    /// nothing of the line is written then.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.line.clear();
        line::write(entry, &mut self.line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.out.as_write().write_all(&self.line)
    }

    /// Hands everything written so far on, so that a reader finds it even if the process ends now.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.as_write().flush()
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// If the stream fails: then it is not whole.
    pub fn finish(self) -> io::Result<()> {
        match self.out {
            Out::Plain(out) => Ok(out),
            Out::Gzip(out) => out.finish(),
            Out::Zstd(out) => out.finish(),
        }?
        .flush()
    }
}

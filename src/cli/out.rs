//! Data on stdout: buffered, and quiet when nobody reads any more; and what is refused, in a file.

use std::{
    fs::File,
    io::{self, BufWriter, StdoutLock, Write},
    path::Path,
    process::ExitCode,
};

/// Stdout of a command.
pub type Out = BufWriter<StdoutLock<'static>>;

/// A file for what is refused, made anew.
pub struct DeadLetters {
    /// What it is called.
    pub name: String,
    /// Its end.
    pub file: BufWriter<File>,
}

impl DeadLetters {
    /// Makes it.
    ///
    /// # Errors
    /// A sentence.
    pub fn create(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, file: BufWriter::new(file) })
    }
}

/// Runs `command` with stdout. A reader that went away (`| head`) ends it without a word; any other failure to write
/// is said, with exit code 1.
pub fn with(command: impl FnOnce(&mut Out) -> io::Result<ExitCode>) -> ExitCode {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let done = command(&mut out).and_then(|code| out.flush().map(|()| code));
    match done {
        Ok(code) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: stdout: {error}");
            ExitCode::FAILURE
        }
    }
}

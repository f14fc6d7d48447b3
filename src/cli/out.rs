//! Data on stdout: buffered, and quiet when nobody reads any more.

use std::{
    io::{self, BufWriter, StdoutLock, Write},
    process::ExitCode,
};

/// Stdout of a command.
pub type Out = BufWriter<StdoutLock<'static>>;

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

//! The process: parse the command line, run the command, exit with its code.

use std::process::ExitCode;

#[cfg(feature = "agent")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countermand::cli::main()
}

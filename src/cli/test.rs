//! `countermand test`.

use std::process::ExitCode;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `test`.
pub fn run(_args: &Args) -> ExitCode {
    ExitCode::from(super::EXIT_USAGE)
}

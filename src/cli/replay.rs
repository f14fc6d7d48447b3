//! `countermand replay`.

use std::process::ExitCode;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `replay`.
pub fn run(_args: &Args) -> ExitCode {
    ExitCode::from(super::EXIT_USAGE)
}

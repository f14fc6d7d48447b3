//! `countermand bench`.

use std::process::ExitCode;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bench`.
pub fn run(_args: &Args) -> ExitCode {
    ExitCode::from(super::EXIT_USAGE)
}

//! The command line: one file a command. Data goes to stdout, everything else to stderr; exit code 0 is good, 1 says
//! that what was checked failed, 2 is usage or configuration.

mod bench;
mod check;
pub mod config;
mod out;
#[cfg(feature = "kafka")]
mod produce;
mod replay;
#[cfg(feature = "kafka")]
mod run;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Exit code of wrong usage or configuration.
pub const EXIT_USAGE: u8 = 2;

/// How listings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// JSON Lines.
    Json,
}

/// Undoes what was half done: correlates the messages of a bus into call chains, finds the failing edge of each, and
/// publishes the commands that take its effects back.
#[derive(Debug, Parser)]
#[command(name = "countermand", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent on a bus.
    #[cfg(feature = "kafka")]
    Run(run::Args),
    /// Decide recorded traffic offline.
    Replay(replay::Args),
    /// Run scenario files: given these messages, expect this verdict and these commands.
    Test(test::Args),
    /// Check a configuration.
    Check(check::Args),
    /// Generate load and measure.
    Bench(bench::Args),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        #[cfg(feature = "kafka")]
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}

//! The command line: one file a command. Data goes to stdout, everything else to stderr; exit code 0 is good, 1 says
//! that what was checked failed, 2 is usage or configuration.

mod audit;
mod bench;
#[cfg(feature = "agent")]
mod chains;
mod check;
pub mod config;
#[cfg(feature = "agent")]
mod demo;
#[cfg(feature = "kafka")]
mod doctor;
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
mod door;
#[cfg(feature = "agent")]
mod events;
#[cfg(feature = "agent")]
mod hands;
#[cfg(feature = "agent")]
mod log;
mod out;
#[cfg(feature = "kafka")]
mod produce;
#[cfg(feature = "rabbitmq")]
mod rabbit;
#[cfg(feature = "kafka")]
mod record;
#[cfg(feature = "agent")]
mod remote;
mod replay;
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
mod run;
#[cfg(feature = "agent")]
mod stop;
#[cfg(feature = "kafka")]
mod tap;
#[cfg(all(feature = "kafka", feature = "rabbitmq"))]
mod tap_rabbit;
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
    #[cfg(any(feature = "kafka", feature = "rabbitmq"))]
    Run(run::Args),
    /// Read a sample of a bus, and say what is there and whether the agent can work on it.
    #[cfg(feature = "kafka")]
    Doctor(doctor::Args),
    /// Tap a bus into a recording.
    #[cfg(feature = "kafka")]
    Record(record::Args),
    /// See the whole thing with nothing installed: a shop, a bad release, and what is taken back.
    #[cfg(feature = "agent")]
    Demo(demo::Args),
    /// Decide recorded traffic offline.
    Replay(replay::Args),
    /// Run scenario files: given these messages, expect this verdict and these commands.
    Test(test::Args),
    /// Check a configuration.
    Check(check::Args),
    /// Generate load and measure.
    Bench(bench::Args),
    /// List the chains that a running agent keeps: those that failed, wait, or have a plan.
    #[cfg(feature = "agent")]
    Chains(chains::Chains),
    /// Show one chain of a running agent: its tree with the failing edge, and its plan.
    #[cfg(feature = "agent")]
    Chain(chains::Chain),
    /// List the commands of these chains.
    #[cfg(feature = "agent")]
    Commands(chains::Commands),
    /// Follow changes in chains' lives as they are published.
    #[cfg(feature = "agent")]
    Events(events::Args),
    /// Whether a running agent has its partitions and works.
    #[cfg(feature = "agent")]
    Ready(events::Ready),
    /// Send the plan of a chain that waits for approval.
    #[cfg(feature = "agent")]
    Approve(hands::OfChain),
    /// Don't send it; final for its revision.
    #[cfg(feature = "agent")]
    Reject(hands::OfChain),
    /// Send a stuck command again, its attempts counted anew.
    #[cfg(feature = "agent")]
    Retry(hands::OfChain),
    /// Pass over a command or a held effect; of a pivot in doubt: it did not take effect.
    #[cfg(feature = "agent")]
    Skip(hands::OfChain),
    /// It was done by hand; of a pivot in doubt: it took effect.
    #[cfg(feature = "agent")]
    MarkDone(hands::OfChain),
    /// A held effect did happen: undo it.
    #[cfg(feature = "agent")]
    Confirm(hands::OfChain),
    /// Send nothing more for a chain. Final.
    #[cfg(feature = "agent")]
    GiveUp(hands::OfChain),
    /// Send no command for any chain until resumed.
    #[cfg(feature = "agent")]
    Pause(hands::OfAgent),
    /// Send commands again.
    #[cfg(feature = "agent")]
    Resume(hands::OfAgent),
    /// Let plans go again that the storm brake holds.
    #[cfg(feature = "agent")]
    BrakeRelease(hands::OfAgent),
    /// What became of an action, a pause, a resumption or a release.
    #[cfg(feature = "agent")]
    Operation(events::Operation),
    /// What operators asked for, and what became of it.
    Audit(audit::Args),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        #[cfg(any(feature = "kafka", feature = "rabbitmq"))]
        Command::Run(args) => run::run(&args),
        #[cfg(feature = "kafka")]
        Command::Doctor(args) => doctor::run(&args),
        #[cfg(feature = "kafka")]
        Command::Record(args) => record::run(&args),
        #[cfg(feature = "agent")]
        Command::Demo(args) => demo::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Bench(args) => bench::run(&args),
        #[cfg(feature = "agent")]
        Command::Chains(args) => chains::chains(&args),
        #[cfg(feature = "agent")]
        Command::Chain(args) => chains::chain(&args),
        #[cfg(feature = "agent")]
        Command::Commands(args) => chains::commands(&args),
        #[cfg(feature = "agent")]
        Command::Events(args) => events::run(&args),
        #[cfg(feature = "agent")]
        Command::Ready(args) => events::ready(&args),
        #[cfg(feature = "agent")]
        Command::Operation(args) => events::operation(&args),
        #[cfg(feature = "agent")]
        Command::Approve(args) => hands::of_chain("approve", &args),
        #[cfg(feature = "agent")]
        Command::Reject(args) => hands::of_chain("reject", &args),
        #[cfg(feature = "agent")]
        Command::Retry(args) => hands::of_chain("retry", &args),
        #[cfg(feature = "agent")]
        Command::Skip(args) => hands::of_chain("skip", &args),
        #[cfg(feature = "agent")]
        Command::MarkDone(args) => hands::of_chain("mark_done", &args),
        #[cfg(feature = "agent")]
        Command::Confirm(args) => hands::of_chain("confirm", &args),
        #[cfg(feature = "agent")]
        Command::GiveUp(args) => hands::of_chain("give_up", &args),
        #[cfg(feature = "agent")]
        Command::Pause(args) => hands::of_agent("pause", &args),
        #[cfg(feature = "agent")]
        Command::Resume(args) => hands::of_agent("resume", &args),
        #[cfg(feature = "agent")]
        Command::BrakeRelease(args) => hands::of_agent("brake-release", &args),
        Command::Audit(args) => audit::run(&args),
    }
}

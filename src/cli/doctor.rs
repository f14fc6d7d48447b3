//! `countermand doctor`.
use super::tap::BusArgs;
use std::process::ExitCode;
/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bus: BusArgs,
}
/// Runs `doctor`
pub fn run(args: &Args) -> ExitCode {
    drop(args.bus.load(None));
    ExitCode::SUCCESS
}

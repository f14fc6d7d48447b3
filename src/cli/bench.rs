//! `countermand bench`: generated traffic, and how quickly it is decided.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::{Subcommand, ValueEnum};
use prost::Message as _;

use crate::{
    bench::{Profile, Settings, Traffic},
    engine::{Engine, Report},
    model::{HostTime, Input, Moment, Position},
    policy::Policy,
    recording::{Body, Entry, Writer},
    wire,
};

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write generated traffic as a recording.
    Generate(Generate),
    /// Decide generated traffic in this process and say how quickly.
    Run(Run),
    /// Send a recording through Kafka: every envelope to one topic, keyed by its chain.
    #[cfg(feature = "kafka")]
    Produce(super::produce::Produce),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Kind {
    /// The load profile that figures are measured with.
    #[default]
    Standard,
    /// Shapes of real systems.
    Mixed,
    /// A small shop, for people.
    Shop,
}

impl From<Kind> for Profile {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Standard => Self::Standard,
            Kind::Mixed => Self::Mixed,
            Kind::Shop => Self::Shop,
        }
    }
}

#[derive(Debug, clap::Args)]
struct Load {
    /// What kind of chains.
    #[arg(long, value_enum, default_value_t)]
    profile: Kind,
    /// How many chains, at most 100,000,000.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    chains: u64,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Chains that begin in a second of bus time [default: of the profile].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    per_second: Option<u64>,
}

impl Load {
    fn settings(&self) -> Settings {
        let mut settings = Settings::of(self.profile.into(), self.chains, self.seed);
        settings.per_second = self.per_second.unwrap_or(settings.per_second);
        settings
    }
}

#[derive(Debug, clap::Args)]
struct Generate {
    #[command(flatten)]
    load: Load,
    /// Where to: a file (compressed if its name ends in .gz or .zst), or - for standard output.
    #[arg(long, default_value = "-")]
    out: PathBuf,
    /// Where the truth goes: JSON Lines, one chain a line.
    #[arg(long)]
    truth: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Run {
    #[command(flatten)]
    load: Load,
}

/// Runs `bench`.
pub fn run(args: &Args) -> ExitCode {
    let done = match &args.what {
        What::Generate(generate) => write(generate),
        What::Run(run) => measure(run),
        #[cfg(feature = "kafka")]
        What::Produce(produce) => super::produce::run(produce),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("countermand bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(args: &Generate) -> Result<(), String> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let mut out = Writer::create(&args.out).map_err(failed(&args.out))?;
    let mut truth = match &args.truth {
        Some(path) => Some((std::fs::File::create(path).map(std::io::BufWriter::new).map_err(failed(path))?, path)),
        None => None,
    };
    let mut traffic = Traffic::new(args.load.settings());
    while let Some(timed) = traffic.next() {
        let topic = if timed.response { "responses" } else { "requests" };
        let entry = Entry {
            at: Some(timed.at),
            topic: Some(topic.to_owned()),
            partition: i32::try_from(timed.partition).ok(),
            offset: None,
            body: Some(Body::Envelope(timed.envelope)),
        };
        out.write(&entry).map_err(failed(&args.out))?;
        let truths = traffic.take_truths();
        if let Some((file, path)) = &mut truth {
            for truth in truths {
                serde_json::to_writer(&mut *file, &truth).map_err(|error| format!("{}: {error}", path.display()))?;
                file.write_all(b"\n").map_err(failed(path))?;
            }
        }
    }
    if let Some((mut file, path)) = truth {
        file.flush().map_err(failed(path))?;
    }
    out.finish().map_err(failed(&args.out))
}

/// Messages that are generated and encoded at once, outside the measured time.
const BLOCK: usize = 100_000;

fn measure(args: &Run) -> Result<(), String> {
    let mut traffic = Traffic::new(args.load.settings());
    let mut engine = Engine::new(Policy::default());
    engine.set_report(Report::Notable { sample: 100 });
    let limits = wire::WireLimits::default();
    let (mut actions, mut offset, mut messages) = (Vec::new(), 0, 0_u64);
    let mut taken = std::time::Duration::ZERO;
    loop {
        let block: Vec<_> = traffic
            .by_ref()
            .take(BLOCK)
            .map(|timed| (timed.at, timed.partition, timed.envelope.encode_to_vec()))
            .collect();
        if block.is_empty() {
            break;
        }
        traffic.take_truths();
        let begun = Instant::now();
        for (at, partition, bytes) in &block {
            let lane = engine.lane("envelopes", i32::try_from(*partition).unwrap_or(0));
            let envelope = wire::decode_envelope(&bytes[..], &limits).map_err(|error| error.to_string())?;
            let message = wire::message(&envelope, &limits).map_err(|error| error.to_string())?;
            let moment = Moment { at: *at, position: Position { lane, offset } };
            engine.apply(&Input::Message(message), moment, HostTime(at.0), &mut actions);
            actions.clear();
            offset += 1;
        }
        taken += begun.elapsed();
        messages += block.len() as u64;
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = messages as f64 / taken.as_secs_f64();
    let stats = engine.stats();
    println!("{messages} messages decoded and decided in {:.2} s: {rate:.0} a second", taken.as_secs_f64());
    println!(
        "{} chains decided, {} kept, {} bytes by the engine's account",
        stats.verdicts,
        engine.chains(),
        engine.memory()
    );
    Ok(())
}

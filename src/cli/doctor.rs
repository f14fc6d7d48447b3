//! `countermand doctor`: reads a sample of the newest messages of a bus, and says what it is and what to do about it. Joins
//! no group and commits nothing.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{
    Format, out,
    stop::on_signal,
    tap::{Bus, BusArgs, NoBus, UNFINISHED},
};
use crate::{
    agent::host_now,
    bus::{kafka::tap::KafkaSource, layout::Role},
    doctor::{Examiner, Facts, Report, lines, no_input, text, unreachable},
    policy::load::Loaded,
    render::Look,
    tap::{Lane, Source, Tap},
};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bus: BusArgs,
    /// How many of the newest messages to look at, over all partitions
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=MAX_SAMPLE))]
    sample: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Draw with ASCII signs only
    #[arg(long)]
    ascii: bool,
}

/// Largest sample: it is in memory, a few hundred bytes a message.
const MAX_SAMPLE: u64 = 1_000_000;

/// How long nothing may come before the sample is taken as it is.
const STALL: Duration = Duration::from_secs(15);

/// Runs `doctor`: exit code 1 if there is a problem, 2 if it is not said which bus.
pub fn run(args: &Args) -> ExitCode {
    let loaded = match args.bus.load(None) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let report = match examine(args, &loaded) {
        Ok(report) => report,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}");
            return ExitCode::from(super::EXIT_USAGE);
        }
        Err(Failure::Failed(message)) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    };
    let look = Look::of_stdout(args.ascii);
    out::with(|out| {
        match args.format {
            Format::Text => write!(out, "{}", text(&report, look))?,
            Format::Json => lines(&report).iter().try_for_each(|line| writeln!(out, "{line}"))?,
        }
        io::Result::Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

enum Failure {
    Usage(String),
    Failed(String),
}

fn examine(args: &Args, loaded: &Loaded) -> Result<Report, Failure> {
    let stop = on_signal(UNFINISHED).map_err(|error| Failure::Failed(format!("signals cannot be heard: {error}")))?;
    let kafka = &loaded.config.kafka;
    let place = kafka.brokers.join(",");
    let bus = match Bus::reach(kafka) {
        Ok(bus) => bus,
        Err(NoBus::Usage(message)) => return Err(Failure::Usage(message)),
        Err(NoBus::Unreachable(why)) => return Ok(Report::hopeless(&place, unreachable(&why))),
    };
    let mut topics = match bus.look() {
        Ok(topics) => topics,
        Err(why) => return Ok(Report::hopeless(&place, no_input(&why))),
    };
    topics.retain(|(topic, _)| topic.role == Role::Envelopes);
    let facts = Facts {
        place,
        names: bus.topics.clone(),
        inputs: topics.iter().map(|(topic, _)| topic.topic.to_string()).collect(),
        there: bus.there.clone(),
    };
    let spans = bus.spans(&topics).map_err(Failure::Failed)?;
    let sample = sample(&spans, args.sample);
    let begin: Vec<(Lane, u64)> = spans.iter().zip(&sample).map(|((lane, ..), from)| (lane.clone(), *from)).collect();
    let cut: Vec<(Lane, bool)> =
        spans.iter().zip(&sample).map(|((lane, first, _), from)| (lane.clone(), from > first)).collect();
    let ends: Vec<u64> = spans.iter().map(|(_, _, next)| *next).collect();
    let tap = bus.tap(&begin, loaded).map_err(Failure::Failed)?;
    let mut examiner = Examiner::new(facts, &loaded.config, &cut);
    read(tap, &ends, &mut examiner, &stop)?;
    Ok(examiner.report(host_now()))
}

/// Where to begin in each lane, so that at most `wanted` records are read: lanes have equal shares, and what one does not
/// need is for the others.
fn sample(spans: &[(Lane, u64, u64)], wanted: u64) -> Vec<u64> {
    let mut lengths: Vec<(u64, usize)> = spans.iter().zip(0..).map(|((_, first, next), n)| (next - first, n)).collect();
    lengths.sort_unstable();
    let mut from: Vec<u64> = spans.iter().map(|(_, first, _)| *first).collect();
    let (mut left, mut lanes) = (wanted, lengths.len() as u64);
    for (length, n) in lengths {
        let taken = length.min(left / lanes);
        from[n] = spans[n].2 - taken;
        left -= taken;
        lanes -= 1;
    }
    from
}

/// Reads up to where each lane ended when it was begun.
fn read(mut tap: Tap<KafkaSource>, ends: &[u64], examiner: &mut Examiner, stop: &AtomicBool) -> Result<(), Failure> {
    let mut read_at = Instant::now();
    loop {
        let came = tap.read().map_err(Failure::Failed)?;
        if came > 0 {
            read_at = Instant::now();
        }
        let behind = ends.iter().enumerate().filter(|(lane, end)| tap.source().position(*lane) < **end).count();
        let is_told = stop.load(Ordering::Acquire);
        let done = behind == 0 || read_at.elapsed() > STALL;
        if done && behind > 0 {
            let seconds = STALL.as_secs();
            eprintln!(
                "warning: {behind} partitions are not read to their ends, and nothing came for {seconds} s (a transaction that \
                 stays open, or a broker that is away?): what was read is examined"
            );
        }
        if done || is_told {
            tap.close();
        }
        while let Some(taken) = tap.take() {
            examiner.take(&taken, host_now());
        }
        if done || is_told {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sample;
    use crate::{bus::layout::Role, tap::Lane};

    #[test]
    fn what_a_short_lane_does_not_need_is_for_the_others() {
        let lane = |first, next| (Lane { topic: "in".into(), role: Role::Envelopes, partition: 0 }, first, next);
        let spans = [lane(100, 200), lane(0, 0), lane(5, 10), lane(0, 1_000)];
        assert_eq!(sample(&spans, 100), [153, 0, 5, 952]);
        assert_eq!(sample(&spans, 10_000), [100, 0, 5, 0]);
        assert_eq!(sample(&spans, 2), [199, 0, 10, 999]);
    }
}

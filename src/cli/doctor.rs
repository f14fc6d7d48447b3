//! `countermand doctor`: reads a sample of the newest messages of a bus, and says what it is and what to do about it. Joins
//! no group and commits nothing.

#[cfg(feature = "rabbitmq")]
use std::time::Duration;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use super::{
    Format, out,
    stop::on_signal,
    tap::{Bus, BusArgs, NoBus, STALL, UNFINISHED, unread},
};
#[cfg(feature = "rabbitmq")]
use super::{
    tap::Said,
    tap_rabbit::{self, Plan},
};
use crate::{
    agent::host_now,
    bus::{kafka::tap::KafkaSource, layout::Role},
    doctor::{self, Examiner, Facts, Report, lines, no_input, text, unreachable},
    policy::load::{Flag, Loaded},
    render::Look,
    tap::{Lane, Source, Tap},
};
#[cfg(feature = "rabbitmq")]
use crate::{bus::rabbit::source::topics, model::Span, policy::load::parse_span};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bus: BusArgs,
    /// How many of the newest messages to look at, over all partitions
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=MAX_SAMPLE))]
    sample: u64,
    /// RabbitMQ: queues with envelopes; what is in them is looked at, and given back
    #[arg(long, value_name = "NAME[,..]")]
    queue: Option<String>,
    /// RabbitMQ: how long to listen to what is published to an exchange
    #[cfg(feature = "rabbitmq")]
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_span)]
    listen: Span,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Draw with ASCII signs only
    #[arg(long)]
    ascii: bool,
}

/// Largest sample: it is in memory, a few hundred bytes a message.
const MAX_SAMPLE: u64 = 1_000_000;

/// Runs `doctor`: exit code 1 if there is a problem, 2 if it is not said which bus.
pub fn run(args: &Args) -> ExitCode {
    let queues = args.queue.iter().map(|queues| Flag {
        name: "--queue".to_owned(),
        key: "rabbitmq.queues".to_owned(),
        text: queues.clone(),
    });
    let said = match args.bus.load(queues.collect()) {
        Ok(said) => said,
        Err(code) => return code,
    };
    #[cfg(feature = "rabbitmq")]
    let examined = if said.on_rabbitmq { examine_rabbitmq(args, &said) } else { examine(args, &said.loaded) };
    #[cfg(not(feature = "rabbitmq"))]
    let examined = examine(args, &said.loaded);
    let report = match examined {
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
    let stop = on_signal(UNFINISHED).map_err(Failure::Failed)?;
    let kafka = &loaded.config.kafka;
    let place = kafka.brokers.join(",");
    let bus = match Bus::reach(kafka) {
        Ok(bus) => bus,
        Err(NoBus::Usage(message)) => return Err(Failure::Usage(message)),
        Err(NoBus::Unreachable(why)) => return Ok(Report::hopeless(&place, unreachable(&why))),
    };
    let mut inputs = match bus.look() {
        Ok(inputs) => inputs,
        Err(why) => return Ok(Report::hopeless(&place, no_input(&why))),
    };
    inputs.retain(|(topic, _)| topic.role == Role::Envelopes);
    let facts = Facts {
        bus: doctor::Bus::Kafka,
        place,
        names: bus.topics.clone(),
        inputs: inputs.iter().map(|(topic, _)| topic.topic.to_string()).collect(),
        there: bus.there.clone(),
    };
    let spans = bus.spans(&inputs).map_err(Failure::Failed)?;
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

#[cfg(feature = "rabbitmq")]
fn examine_rabbitmq(args: &Args, said: &Said) -> Result<Report, Failure> {
    let stop = on_signal(UNFINISHED).map_err(Failure::Failed)?;
    let rabbitmq = &said.loaded.config.rabbitmq;
    let mut plan = Plan::beside(&args.bus, rabbitmq);
    plan.look_into(&rabbitmq.inputs());
    if plan.lanes.is_empty() {
        let why = "there is nothing to look at: give --queue NAME, --stream NAME or --exchange NAME";
        return Err(Failure::Usage(why.to_owned()));
    }
    let place = rabbitmq.url.clone();
    let address = match tap_rabbit::reach(said) {
        Ok((address, _)) => address,
        Err(NoBus::Usage(message)) => return Err(Failure::Usage(message)),
        Err(NoBus::Unreachable(why)) => return Ok(Report::hopeless(&place, unreachable(&why))),
    };
    // All of it is held until it is given back.
    let held = u16::try_from(args.sample).unwrap_or(u16::MAX);
    let tap = match tap_rabbit::tap(&plan, address, said, Some(held)) {
        Ok(tap) => tap,
        Err(why) => return Ok(Report::hopeless(&place, no_input(&why))),
    };
    let facts = Facts {
        bus: doctor::Bus::RabbitMq,
        place,
        names: topics(&[], &rabbitmq.results_queue(), &rabbitmq.operations_queue()),
        inputs: plan.names(),
        there: Vec::new(),
    };
    let lanes: Vec<(Lane, bool)> = plan.lanes.iter().map(|lane| (lane.clone(), true)).collect();
    let mut examiner = Examiner::new(facts, &said.loaded.config, &lanes);
    let listen = if plan.is_live() { Duration::from_millis(args.listen.0) } else { Duration::ZERO };
    look_on(tap, lanes.len(), (args.sample, listen), &mut examiner, &stop)?;
    Ok(examiner.report(host_now()))
}

/// Reads until the sample is whole, or all is read to its end and was listened to for so long.
#[cfg(feature = "rabbitmq")]
fn look_on<S: Source>(
    mut tap: Tap<S>,
    lanes: usize,
    (sample, listen): (u64, Duration),
    examiner: &mut Examiner,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let (begun, mut left) = (Instant::now(), sample);
    let mut read_at = Instant::now();
    loop {
        if tap.read().map_err(Failure::Failed)? > 0 {
            read_at = Instant::now();
        }
        let at_end = (0..lanes).all(|lane| tap.source().is_at_end(lane));
        let heard = begun.elapsed() >= listen && (at_end || read_at.elapsed() > STALL);
        let done = heard || stop.load(Ordering::Acquire);
        if done {
            tap.close();
        }
        while let Some(taken) = tap.take() {
            examiner.take(&taken, host_now());
            left = left.saturating_sub(1);
            if left == 0 {
                return Ok(());
            }
        }
        if done {
            return Ok(());
        }
    }
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
            eprintln!("warning: {}: what was read is examined", unread(behind));
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

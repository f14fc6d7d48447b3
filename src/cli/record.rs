//! `countermand record`: taps a bus into a recording, in the order in which an engine would see it. Joins no group and
//! commits nothing.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    out::DeadLetters,
    run::{Beginning, until_idle},
    stop::on_signal,
    tap::{Bus, BusArgs, NoBus, UNFINISHED},
};
use crate::{
    bus::{Record, clock::Correction, kafka::tap::KafkaSource, layout::Role, merge::Taken},
    model::{BusTime, Span},
    policy::{
        Word,
        load::{Flag, Loaded, Start, parse_span},
    },
    recording::Writer,
    render::{grouped, instant},
    tap::{Lane, Source, Tap, entry},
    wire::WireLimits,
};

/// Arguments of `record`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bus: BusArgs,
    /// Where to begin [default: what kafka.start says, the end of the topics if it does not]
    #[arg(long, value_enum, value_name = "WHERE")]
    start: Option<Beginning>,
    /// End once nothing was read for this long; e.g. 5s
    #[arg(long, value_name = "TIME", value_parser = until_idle, group = "until")]
    until_idle: Option<Span>,
    /// End after this time; e.g. 10m
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span, group = "until")]
    span: Option<Span>,
    /// End after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), group = "until")]
    limit: Option<u64>,
    /// The recording; compressed if its name ends in .gz or .zst. A file that is there is replaced
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Write what cannot be decoded here, as JSON Lines with origin, reason, key and bytes
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
}

/// Runs `record`: exit code 1 if reading or writing fails, 2 if there is nothing to read.
pub fn run(args: &Args) -> ExitCode {
    let start = args.start.map(|start| Flag {
        name: "--start".to_owned(),
        key: "kafka.start".to_owned(),
        text: Start::from(start).word().to_owned(),
    });
    let loaded = match args.bus.load(start) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match record(args, &loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(super::EXIT_USAGE)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
        // Whoever read has seen enough (`| head`).
        Err(Failure::Unread) => ExitCode::SUCCESS,
    }
}

enum Failure {
    Usage(String),
    Failed(String),
    Unread,
}

impl From<NoBus> for Failure {
    fn from(no_bus: NoBus) -> Self {
        match no_bus {
            NoBus::Usage(message) | NoBus::Unreachable(message) => Self::Usage(message),
        }
    }
}

fn record(args: &Args, loaded: &Loaded) -> Result<(), Failure> {
    let stop = on_signal(UNFINISHED).map_err(|error| Failure::Failed(format!("signals cannot be heard: {error}")))?;
    let kafka = &loaded.config.kafka;
    let bus = Bus::reach(kafka)?;
    let topics = bus.look().map_err(Failure::Usage)?;
    let from_beginning = kafka.start == Start::Earliest;
    let spans = bus.spans(&topics).map_err(Failure::Failed)?;
    let lanes: Vec<(Lane, u64)> =
        spans.into_iter().map(|(lane, first, next)| (lane, if from_beginning { first } else { next })).collect();
    let letters = args.dead_letters.as_deref().map(DeadLetters::create).transpose().map_err(Failure::Usage)?;
    let name = args.output.display().to_string();
    let out = Writer::create(&args.output).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let tap = bus.tap(&lanes, loaded).map_err(Failure::Failed)?;
    for (role, topic) in [(Role::Results, &kafka.results), (Role::Operations, &kafka.operations)] {
        if !topics.iter().any(|(lane, _)| lane.role == role) {
            eprintln!("note: there is no topic {topic}, so nothing of it is recorded");
        }
    }
    let names: Vec<&str> = topics.iter().map(|(lane, _)| &*lane.topic).collect();
    let whence = if from_beginning { "beginning" } else { "end" };
    eprintln!("recording {} from the {whence}; Ctrl-C ends it", names.join(", "));
    let mut taping = Taping {
        out,
        letters,
        name,
        roles: lanes.iter().map(|(lane, _)| lane.role).collect(),
        limits: loaded.config.limits.clone(),
        limit: args.limit.unwrap_or(u64::MAX),
        tally: Tally::default(),
        unflushed: false,
    };
    let done = taping.run(tap, args, &stop);
    // The file is ended whatever happened: what is in it can be read.
    let finished = taping.out.finish().map_err(|error| unwritten(&taping.name, &error));
    let letters = taping.letters.map_or(Ok(()), DeadLetters::finish);
    taping.tally.say(args.dead_letters.is_some());
    done.and(finished).and(letters)
}

fn unwritten(name: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe if name == "-" => Failure::Unread,
        _ => Failure::Failed(format!("{name}: {error}")),
    }
}

/// A recording being written.
struct Taping {
    out: Writer,
    letters: Option<DeadLetters>,
    name: String,
    /// By lane.
    roles: Vec<Role>,
    limits: WireLimits,
    limit: u64,
    tally: Tally,
    unflushed: bool,
}

impl Taping {
    fn run(&mut self, mut tap: Tap<KafkaSource>, args: &Args, stop: &AtomicBool) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut read_at = Instant::now();
        let is_over = |since: Instant, span: Option<Span>| {
            span.is_some_and(|span| since.elapsed() >= Duration::from_millis(span.0))
        };
        while !stop.load(Ordering::Acquire) && !is_over(begun, args.span) && !is_over(read_at, args.until_idle) {
            let came = tap.read().map_err(Failure::Failed)?;
            if came > 0 || !tap.source().answers() {
                read_at = Instant::now();
            }
            if self.write_all(&mut tap)? {
                return Ok(());
            }
            if came == 0 && std::mem::take(&mut self.unflushed) {
                self.out.flush().map_err(|error| unwritten(&self.name, &error))?;
            }
        }
        tap.close();
        self.write_all(&mut tap).map(|_| ())
    }

    /// Writes every record whose turn it is; says whether the limit is reached.
    fn write_all(&mut self, tap: &mut Tap<KafkaSource>) -> Result<bool, Failure> {
        while self.tally.written < self.limit {
            let Some(taken) = tap.take() else { return Ok(false) };
            self.write(&taken)?;
        }
        Ok(true)
    }

    fn write(&mut self, taken: &Taken<Record>) -> Result<(), Failure> {
        let entry = match entry(taken, self.roles[taken.lane], &self.limits) {
            Ok(entry) => entry,
            Err(error) => return self.refuse(taken, error.word(), &error.to_string()),
        };
        match self.out.write(&entry) {
            Ok(()) => {}
            // A time that JSON has no word for.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return self.refuse(taken, "out_of_range", &error.to_string());
            }
            Err(error) => return Err(unwritten(&self.name, &error)),
        }
        self.unflushed = true;
        self.tally.write(self.roles[taken.lane], taken);
        Ok(())
    }

    fn refuse(&mut self, taken: &Taken<Record>, reason: &'static str, detail: &str) -> Result<(), Failure> {
        self.tally.refuse(reason, &taken.item);
        self.letters.as_mut().map_or(Ok(()), |letters| letters.write(taken, reason, detail))
    }
}

impl DeadLetters {
    fn write(&mut self, taken: &Taken<Record>, reason: &str, detail: &str) -> Result<(), Failure> {
        let record = &taken.item;
        let base64 = |part: &Option<bytes::Bytes>| part.as_ref().map(|bytes| STANDARD.encode(bytes));
        let letter = json!({
            "at": instant(taken.at), "origin": record.origin(), "reason": reason, "detail": detail,
            "key_base64": base64(&record.key), "payload_base64": base64(&record.payload),
        });
        writeln!(self.file, "{letter}").map_err(|error| unwritten(&self.name, &error))
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| unwritten(&self.name, &error))
    }
}

/// What was recorded.
#[derive(Default)]
struct Tally {
    written: u64,
    by_role: [u64; 4],
    corrected: BTreeMap<&'static str, u64>,
    /// By reason: how many, and where the first stood.
    refused: BTreeMap<&'static str, (u64, String)>,
    /// Times of the first and the last message.
    times: Option<(BusTime, BusTime)>,
}

impl Tally {
    fn write(&mut self, role: Role, taken: &Taken<Record>) {
        self.written += 1;
        self.by_role[match role {
            Role::Envelopes | Role::Carried => 0,
            Role::Results => 1,
            Role::Operations => 2,
            Role::DeadLetters(_) => 3,
        }] += 1;
        if let Some(correction) = taken.correction {
            *self.corrected.entry(Correction::word(correction)).or_default() += 1;
        }
        self.times = Some((self.times.map_or(taken.at, |(first, _)| first), taken.at));
    }

    fn refuse(&mut self, reason: &'static str, record: &Record) {
        self.refused.entry(reason).or_insert_with(|| (0, record.origin())).0 += 1;
    }

    /// Says it on stderr.
    fn say(&self, kept: bool) {
        let [envelopes, results, operations, dead] = self.by_role.map(grouped);
        let dead = if self.by_role[3] == 0 { String::new() } else { format!(", {dead} dead letters") };
        let times = self.times.map(|(first, last)| format!(", {} to {}", instant(first), instant(last)));
        let times = times.unwrap_or_default();
        let written = grouped(self.written);
        eprintln!(
            "{written} messages recorded: {envelopes} envelopes, {results} results, {operations} operations{dead}{times}"
        );
        if !self.corrected.is_empty() {
            let all = grouped(self.corrected.values().sum());
            let each: Vec<String> = self.corrected.iter().map(|(word, n)| format!("{word} {}", grouped(*n))).collect();
            eprintln!("note: the time of {all} was corrected, as the agent does it: {}", each.join(", "));
        }
        if !self.refused.is_empty() {
            let all = grouped(self.refused.values().map(|(n, _)| n).sum());
            let each = self.refused.iter().map(|(word, (n, first))| format!("{word} {} (first: {first})", grouped(*n)));
            let where_to = if kept { "they are in the dead letters" } else { "--dead-letters FILE keeps them" };
            let each: Vec<String> = each.collect();
            eprintln!(
                "warning: {all} could not be decoded and are not in the recording: {}; {where_to}",
                each.join(", ")
            );
        }
    }
}

//! `countermand record`: taps a bus into a recording, in the order in which an engine would see it. Joins no group and
//! commits nothing.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    out::DeadLetters,
    run::{Beginning, until_idle},
    stop::on_signal,
    tap::{Bus, BusArgs, NoBus, STALL, UNFINISHED, unread},
};
#[cfg(feature = "rabbitmq")]
use super::{
    tap::Said,
    tap_rabbit::{self, Plan},
};
use crate::{
    bus::{Record, clock::Correction, layout::Role, merge::Taken},
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
    /// Where to begin in topics and streams [default: what kafka.start or rabbitmq.start says, their end if it does not]
    #[arg(long, value_enum, value_name = "WHERE")]
    start: Option<Beginning>,
    /// End once all is read and nothing more came for this long; e.g. 5s
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
    let start = args.start.map(|start| Start::from(start).word().to_owned());
    let starts = start.iter().flat_map(|start| {
        ["kafka.start", "rabbitmq.start"].map(|key| Flag {
            name: "--start".to_owned(),
            key: key.to_owned(),
            text: start.clone(),
        })
    });
    let said = match args.bus.load(starts.collect()) {
        Ok(said) => said,
        Err(code) => return code,
    };
    #[cfg(feature = "rabbitmq")]
    let recorded = if said.on_rabbitmq { record_rabbitmq(args, &said) } else { record(args, &said.loaded) };
    #[cfg(not(feature = "rabbitmq"))]
    let recorded = record(args, &said.loaded);
    match recorded {
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
    let stop = stop()?;
    let kafka = &loaded.config.kafka;
    let bus = Bus::reach(kafka)?;
    let topics = bus.look().map_err(Failure::Usage)?;
    let from_beginning = kafka.start == Start::Earliest;
    let spans = bus.spans(&topics).map_err(Failure::Failed)?;
    let lanes: Vec<(Lane, u64)> =
        spans.into_iter().map(|(lane, first, next)| (lane, if from_beginning { first } else { next })).collect();
    let roles = lanes.iter().map(|(lane, _)| lane.role).collect();
    let taping = Taping::new(args, loaded, roles)?;
    let tap = bus.tap(&lanes, loaded).map_err(Failure::Failed)?;
    for (role, topic) in [(Role::Results, &kafka.results), (Role::Operations, &kafka.operations)] {
        if !topics.iter().any(|(lane, _)| lane.role == role) {
            eprintln!("note: there is no topic {topic}, so nothing of it is recorded");
        }
    }
    let names: Vec<&str> = topics.iter().map(|(lane, _)| &*lane.topic).collect();
    let whence = if from_beginning { "beginning" } else { "end" };
    eprintln!("recording {} from the {whence}; Ctrl-C ends it", names.join(", "));
    taping.tape(tap, args, &stop)
}

fn stop() -> Result<Arc<AtomicBool>, Failure> {
    on_signal(UNFINISHED).map_err(Failure::Failed)
}

#[cfg(feature = "rabbitmq")]
fn record_rabbitmq(args: &Args, said: &Said) -> Result<(), Failure> {
    let stop = stop()?;
    let rabbitmq = &said.loaded.config.rabbitmq;
    let mut plan = Plan::beside(&args.bus, rabbitmq);
    if plan.lanes.is_empty() {
        let why = "there is nothing to record: give --exchange NAME for a copy of what is published there, or --stream NAME; \
                   what is in a queue is read once only";
        return Err(Failure::Usage(why.to_owned()));
    }
    let (address, has_exchange) = tap_rabbit::reach(said)?;
    if has_exchange {
        plan.hear(&rabbitmq.exchange);
    } else {
        eprintln!("note: there is no exchange {}, so no answers to commands are recorded", rabbitmq.exchange);
    }
    let taping = Taping::new(args, &said.loaded, plan.lanes.iter().map(|lane| lane.role).collect())?;
    let tap = tap_rabbit::tap(&plan, address, said, None).map_err(Failure::Failed)?;
    eprintln!("recording {}; Ctrl-C ends it", plan.names().join(", "));
    taping.tape(tap, args, &stop)
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
    /// A recording that is begun.
    fn new(args: &Args, loaded: &Loaded, roles: Vec<Role>) -> Result<Self, Failure> {
        let letters = args.dead_letters.as_deref().map(DeadLetters::create).transpose().map_err(Failure::Usage)?;
        let name = args.output.display().to_string();
        let out = Writer::create(&args.output).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        Ok(Self {
            out,
            letters,
            name,
            roles,
            limits: loaded.config.limits.clone(),
            limit: args.limit.unwrap_or(u64::MAX),
            tally: Tally::default(),
            unflushed: false,
        })
    }

    /// Records until it is told to end, and says what it was.
    fn tape<S: Source>(mut self, tap: Tap<S>, args: &Args, stop: &AtomicBool) -> Result<(), Failure> {
        let done = self.run(tap, args, stop);
        // The file is ended whatever happened: what is in it can be read.
        let finished = self.out.finish().map_err(|error| unwritten(&self.name, &error));
        let letters = self.letters.map_or(Ok(()), DeadLetters::finish);
        self.tally.say(args.dead_letters.is_some());
        done.and(finished).and(letters)
    }

    fn run<S: Source>(&mut self, mut tap: Tap<S>, args: &Args, stop: &AtomicBool) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut quiet = Quiet::new(self.roles.len());
        let [longest, until_idle] = [args.span, args.until_idle].map(|it| it.map(|span| Duration::from_millis(span.0)));
        while !stop.load(Ordering::Acquire) && longest.is_none_or(|span| begun.elapsed() < span) {
            let came = tap.read().map_err(Failure::Failed)?;
            let is_over = until_idle.is_some_and(|span| quiet.is_over(came, span, &tap));
            if is_over {
                break;
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
    fn write_all<S: Source>(&mut self, tap: &mut Tap<S>) -> Result<bool, Failure> {
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

/// How long nothing came. A bus that is slow to hand over what it has is not idle: a recording would lack the rest of it.
struct Quiet {
    /// When something came, or the bus did not answer.
    read_at: Instant,
    /// Since when every lane is read to its end, or stands still.
    done_since: Option<Instant>,
    /// By lane: how far it is read, and since when.
    lanes: Vec<(u64, Instant)>,
}

impl Quiet {
    fn new(lanes: usize) -> Self {
        Self { read_at: Instant::now(), done_since: None, lanes: vec![(0, Instant::now()); lanes] }
    }

    /// Whether it was quiet for `span`, now that `came` records came. A lane that is not read to its end, but gives nothing either,
    /// is waited for [`STALL`] longer.
    fn is_over<S: Source>(&mut self, came: usize, span: Duration, tap: &Tap<S>) -> bool {
        let now = Instant::now();
        let answers = tap.source().answers();
        if came > 0 || !answers {
            self.read_at = now;
        }
        let (mut behind, mut moving) = (0, 0);
        for (lane, (position, since)) in self.lanes.iter_mut().enumerate() {
            let at = tap.source().position(lane);
            if at != *position || !answers {
                (*position, *since) = (at, now);
            }
            if !tap.is_idle(lane) {
                behind += 1;
                moving += usize::from(since.elapsed() < span + STALL);
            }
        }
        self.done_since = (came == 0 && moving == 0).then(|| self.done_since.unwrap_or(now));
        let is_over = self.done_since.is_some_and(|since| since.max(self.read_at).elapsed() >= span);
        if is_over && behind > 0 {
            eprintln!("warning: {}", unread(behind));
        }
        is_over
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

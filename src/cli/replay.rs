//! `countermand replay`: decides recorded traffic offline.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    Format, config,
    out::{self, DeadLetters, Out},
};
use crate::{
    model::CommandAction,
    policy::{Mode, Policy},
    recording::BadLine,
    render::{ChainLine, Look, Summary, grouped, is_notable, line, tree, wrap},
    replay::{Fed, Feed, Item, Replay, Stood},
    wire::WireLimits,
};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Recordings, plain or compressed (.gz, .zst); `-` is standard input. Several are read in the order of their times
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The policy to decide by [default: countermand.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show this chain alone: its tree with the failing edge, its times, its plan in waves
    #[arg(long, value_name = "CHAIN")]
    explain: Option<String>,
    /// How to print: for people those chains that there is something to say about and a summary, or as JSON Lines every
    /// chain
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// For people: list also the chains that plainly succeeded
    #[arg(long)]
    all: bool,
    /// Write refused lines here, as JSON Lines with file, line, reason and text
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Draw with ASCII signs only
    #[arg(long)]
    ascii: bool,
}

/// Runs `replay`: exit code 1 if a recording breaks off, outgrows the memory, or the chain to explain is not in it; 2 if
/// one cannot be opened.
pub fn run(args: &Args) -> ExitCode {
    let (policy, limits) = match config::read_or_say(args.config.as_deref(), Vec::new()) {
        Ok(loaded) => (loaded.policy(), loaded.config.limits),
        Err(code) => return code,
    };
    let usage = |message: String| {
        eprintln!("error: {message}");
        ExitCode::from(super::EXIT_USAGE)
    };
    let feed = match Feed::open(&args.files, policy.settings.max_ahead) {
        Ok(feed) => feed,
        Err(error) => return usage(error.to_string()),
    };
    let letters = match args.dead_letters.as_deref().map(DeadLetters::create).transpose() {
        Ok(letters) => letters,
        Err(message) => return usage(message),
    };
    let look = Look::of_stdout(args.ascii);
    out::with(|out| {
        Runner {
            args,
            replay: Replay::new(policy.clone(), args.explain.clone()),
            policy,
            limits,
            look,
            out,
            letters,
            summary: Summary::default(),
            progress: Progress::new(args.explain.is_some()),
            said_full: false,
            broken: false,
        }
        .run(feed)
    })
}

struct Runner<'a> {
    args: &'a Args,
    replay: Replay,
    policy: Policy,
    limits: WireLimits,
    look: Look,
    out: &'a mut Out,
    letters: Option<DeadLetters>,
    summary: Summary,
    progress: Progress,
    said_full: bool,
    /// A recording broke off, was not read to its end, or the engine did not come to rest.
    broken: bool,
}

impl Runner<'_> {
    fn run(mut self, mut feed: Feed) -> io::Result<ExitCode> {
        while let Some(fed) = feed.next() {
            match fed {
                Fed::Item(item) => self.item(&item)?,
                Fed::Bad(file, bad) => self.bad(file, &bad)?,
                Fed::Broken(error) => {
                    self.say("error", &error.to_string());
                    self.broken = true;
                }
            }
            self.print()?;
            if self.is_over() {
                break;
            }
            let chains = self.replay.chains();
            self.progress.tick(|| (feed.progress(), chains));
        }
        if self.replay.end().is_err() {
            self.restless();
        }
        self.print()?;
        self.progress.clear();
        if feed.corrected() > 0 {
            let corrected = grouped(feed.corrected());
            self.say("note", &format!("the time of {corrected} lines was corrected: they bear that of a wild clock"));
        }
        if let Some(letters) = &mut self.letters {
            letters.file.flush()?;
        }
        self.end()
    }

    /// Says once that the memory limit is passed, and whether reading ends there (S2.10).
    fn is_over(&mut self) -> bool {
        if !self.replay.is_full() {
            return false;
        }
        if !std::mem::replace(&mut self.said_full, true) {
            self.say(
                "warning",
                "the memory limit is reached by chains that are never given up; an agent would pause its input here. \
                 Reading goes on, up to twice the limit; raise engine.limits.memory",
            );
        }
        let over = self.replay.is_overfull();
        if over {
            self.say("error", "twice the memory limit is in use: the rest of the recording is not read");
            self.broken = true;
        }
        over
    }

    fn item(&mut self, item: &Item) -> io::Result<()> {
        if self.replay.pass(item.at).is_err() {
            self.restless();
        }
        let Some(body) = &item.entry.body else { return Ok(()) };
        let stood = Stood {
            at: item.at,
            topic: item.entry.topic.as_deref().unwrap_or_default(),
            partition: item.entry.partition.unwrap_or(0),
            offset: item.entry.offset,
        };
        match body.input(&self.limits) {
            Ok(input) => match self.replay.take(&input, stood) {
                Ok(()) => Ok(()),
                Err(refusal) => self.refuse(item.file, item.line, refusal.word(), refusal.word(), &item.raw),
            },
            Err(error) => self.refuse(item.file, item.line, error.word(), &error.to_string(), &item.raw),
        }
    }

    fn bad(&mut self, file: usize, bad: &BadLine) -> io::Result<()> {
        self.refuse(file, bad.line_number, bad.reason.word(), &bad.reason.to_string(), &bad.raw)
    }

    fn refuse(&mut self, file: usize, number: u64, reason: &'static str, detail: &str, raw: &[u8]) -> io::Result<()> {
        self.summary.refuse(reason);
        let Some(letters) = &mut self.letters else { return Ok(()) };
        let file = self.args.files[file].display().to_string();
        let text = String::from_utf8_lossy(raw);
        let letter = json!({"file": file, "line": number, "reason": reason, "detail": detail, "text": text});
        writeln!(letters.file, "{letter}")
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", letters.name)))
    }

    fn restless(&mut self) {
        if !self.broken {
            self.say("error", "the engine does not come to rest; what follows may be wrong");
        }
        self.broken = true;
    }

    fn say(&mut self, kind: &str, message: &str) {
        self.progress.clear();
        eprintln!("{kind}: {message}");
    }

    /// Prints the lines that came.
    fn print(&mut self) -> io::Result<()> {
        for chain in self.replay.lines() {
            self.summary.add(&chain);
            let wanted = self.args.explain.as_ref().is_none_or(|id| *id == chain.chain_id);
            match self.args.format {
                Format::Json if wanted => writeln!(self.out, "{}", as_json(&chain)?)?,
                Format::Text if self.args.explain.is_none() && (self.args.all || is_notable(&chain)) => {
                    writeln!(self.out, "{}", line(&chain, self.look))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<ExitCode> {
        match (&self.args.explain, self.args.format) {
            (Some(id), _) => {
                let Some(view) = self.replay.explained() else {
                    eprintln!("error: the chain `{id}` is not in the recording");
                    return Ok(ExitCode::FAILURE);
                };
                if self.args.format == Format::Text {
                    write!(self.out, "{}", tree(view, self.look))?;
                    let note = self.note();
                    self.out.write_all(note.as_bytes())?;
                }
            }
            (None, Format::Text) => {
                writeln!(self.out, "\n{}", self.summary.show(self.look).trim_end())?;
            }
            (None, Format::Json) => eprintln!("{}", self.summary.show(Look::default()).trim_end()),
        }
        Ok(if self.broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// What the picture of a plan shows that the policy would not have done.
    fn note(&mut self) -> String {
        let Some(view) = self.replay.explained() else { return String::new() };
        let undone = view.commands.iter().any(|item| item.sends > 0 && item.action == CommandAction::Undo);
        let simulated = undone && crate::replay::strictest(&self.policy, view) != Mode::Auto;
        if !simulated {
            return String::new();
        }
        let text = format!(
            "Under this policy the plan is only {}. It is shown as if each command had been sent and answered as recorded, \
             else `done`.",
            view.state.word()
        );
        format!("\n{}", wrap(&text, 0, self.look.width))
    }
}

fn as_json(chain: &ChainLine) -> io::Result<String> {
    serde_json::to_string(chain).map_err(io::Error::other)
}

/// How far the reading is, on a terminal that shows nothing else.
struct Progress {
    shown: bool,
    wanted: bool,
    lines: u64,
    next: Instant,
}

/// Time between two signs of life: often enough to see that it goes on.
const TICK: Duration = Duration::from_millis(500);
/// Lines between two looks at the clock.
const LINES: u64 = 1_000;

impl Progress {
    fn new(quiet_stdout: bool) -> Self {
        let free = quiet_stdout || !io::stdout().is_terminal();
        let next = Instant::now() + TICK;
        Self { shown: false, wanted: free && io::stderr().is_terminal(), lines: 0, next }
    }

    fn tick(&mut self, state: impl FnOnce() -> ((u64, Option<u64>), u64)) {
        self.lines += 1;
        if !self.wanted || !self.lines.is_multiple_of(LINES) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + TICK;
        self.shown = true;
        let ((read, size), chains) = state();
        let share = size.filter(|size| *size > 0).map(|size| format!(", {} %", read.saturating_mul(100) / size));
        let (lines, chains) = (grouped(self.lines), grouped(chains));
        eprint!("\r\u{1b}[K{lines} lines, {chains} chains{}", share.unwrap_or_default());
    }

    fn clear(&mut self) {
        if self.shown {
            eprint!("\r\u{1b}[K");
        }
        self.shown = false;
    }
}

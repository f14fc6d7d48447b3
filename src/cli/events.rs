//! `events`: changes in chains' lives, as an agent tells them.

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Format, out,
    remote::{Agent, Failure},
};
use crate::render::{Cell, Look, Table, Tone, safe};

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    agent: Agent,
    /// Begin after the event of this id, as `--format json` gives it
    #[arg(long, value_name = "ID", default_value = "")]
    after: String,
    /// How they are printed; `json` is one object a line, with `id`, `event` and `data`
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Longest line that is read. An event is far shorter.
const MAX_LINE: u64 = 4 << 20;

/// Wait before the agent is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// An event of the stream.
#[derive(Debug, Default)]
struct Told {
    id: String,
    event: String,
    data: String,
}

/// Runs `events`: on and on, until it is stopped. An agent that goes and comes back is listened to where it left off.
pub fn run(args: &Args) -> ExitCode {
    let mut after = args.after.clone();
    let mut heard_of = false;
    let mut said = String::new();
    loop {
        let stream = match args.agent.listen("/v1/events", &after) {
            Ok(stream) => stream,
            Err(failure) if heard_of => {
                // It ends, begins or has too many listeners: the same again is no news.
                let (Failure::Refused(why) | Failure::Unreachable(why)) = failure;
                if why != said {
                    eprintln!("{why}; trying again");
                }
                said = why;
                rest();
                continue;
            }
            Err(failure) => return failure.say(),
        };
        heard_of = true;
        said.clear();
        match follow(stream, &mut after, args.format) {
            Ok(()) => eprintln!("the agent ends the stream; listening again"),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(error) => eprintln!("the stream breaks off: {error}; listening again"),
        }
        rest();
    }
}

fn rest() {
    let until = Instant::now() + PAUSE;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Prints until the stream ends.
fn follow(mut stream: impl BufRead, after: &mut String, format: Format) -> io::Result<()> {
    let mut told = Told::default();
    loop {
        let mut line = String::new();
        if io::Read::take(&mut stream, MAX_LINE).read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end_matches(['\r', '\n']).split_once(':') {
            Some((name, value)) => {
                let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
                match name {
                    "id" => told.id = value,
                    "event" => told.event = value,
                    "data" => told.data = value,
                    // A comment is a sign of life.
                    _ => {}
                }
            }
            None if told.data.is_empty() => {}
            None => {
                if !told.id.is_empty() {
                    after.clone_from(&told.id);
                }
                let stdout = io::stdout().lock();
                say(stdout, &std::mem::take(&mut told), format)?;
            }
        }
    }
}

fn say(mut to: impl Write, told: &Told, format: Format) -> io::Result<()> {
    let data: Value = serde_json::from_str(&told.data).unwrap_or_default();
    match format {
        Format::Json => writeln!(to, "{}", serde_json::json!({"id": told.id, "event": told.event, "data": data}))?,
        Format::Text => {
            let text = |name: &str| safe(data[name].as_str().unwrap_or_default()).into_owned();
            let mut table = Table::default();
            let about =
                ["callId", "answer", "verb", "state", "by", "reason", "cut_because"].map(|name| plain(&text(name)));
            let about: Vec<String> = about.into_iter().filter(|part| !part.is_empty()).collect();
            table.row(vec![
                Cell::left(Tone::Dim, text("at")),
                Cell::left(Tone::Strong, safe(&told.event).into_owned()),
                Cell::left(Tone::Strong, text("chainId")),
                Cell::left(Tone::Plain, about.join("  ")),
            ]);
            to.write_all(table.lines(Look::of_stdout(false), 0).as_bytes())?;
        }
    }
    to.flush()
}

/// A value of the contract's enums as the rule book's word; any other text as it is.
fn plain(text: &str) -> String {
    let known = ["PLAN_STATE_", "RESULT_STATE_", "VERB_"];
    match known.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        Some(word) => word.to_ascii_lowercase(),
        None => text.to_owned(),
    }
}

/// Arguments of `operation`.
#[derive(Debug, clap::Args)]
pub struct Operation {
    #[command(flatten)]
    agent: Agent,
    /// Its id, as it was answered when it was asked for
    operation_id: String,
}

/// Runs `operation`: exit code 0 if it is done, 1 if it is refused or nobody has told yet.
pub fn operation(args: &Operation) -> ExitCode {
    let path = format!("/v1/operations/{}", super::remote::escaped(&args.operation_id));
    match args.agent.get(&path, &[]) {
        Ok(answer) => {
            let is_done = answer["outcome"] == "done";
            out::with(|out| {
                writeln!(out, "{answer}")?;
                Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            })
        }
        Err(failure) => failure.say(),
    }
}

/// Arguments of `ready`.
#[derive(Debug, clap::Args)]
pub struct Ready {
    #[command(flatten)]
    agent: Agent,
}

/// Runs `ready`: exit code 0 if the agent has its partitions and works, 1 if it says why it does not, 2 if none answers.
pub fn ready(args: &Ready) -> ExitCode {
    match args.agent.get("/readyz", &[]) {
        Ok(answer) => out::with(|out| {
            writeln!(out, "ready")?;
            for why in answer["unread"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                writeln!(out, "not read: {why}")?;
            }
            Ok(ExitCode::SUCCESS)
        }),
        Err(failure) => failure.say(),
    }
}

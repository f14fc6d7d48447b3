//! `chains`, `chain` and `commands`: what a running agent knows.

use std::{io::Write, process::ExitCode};

use clap::ValueEnum;
use serde_json::Value;

use super::{
    Format, out,
    remote::{Agent, Failure, escaped},
};
use crate::render::{Cell, Look, Table, Tone, safe};

/// Arguments of `chains`.
#[derive(Debug, clap::Args)]
pub struct Chains {
    #[command(flatten)]
    agent: Agent,
    #[command(flatten)]
    filter: Filter,
    /// State of the plan, such as `needs_operator` or `awaiting_approval`
    #[arg(long)]
    state: Option<String>,
    /// A service that takes part
    #[arg(long)]
    service: Option<String>,
    /// A called operation
    #[arg(long)]
    operation: Option<String>,
}

/// Arguments of `commands`.
#[derive(Debug, clap::Args)]
pub struct Commands {
    #[command(flatten)]
    agent: Agent,
    #[command(flatten)]
    filter: Filter,
    /// State of the command, such as `stuck` or `sent`
    #[arg(long)]
    state: Option<String>,
    /// The service that shall act
    #[arg(long)]
    service: Option<String>,
    /// The operation that it shall carry out
    #[arg(long)]
    operation: Option<String>,
    /// What it asks for: undo, inquire or retry
    #[arg(long)]
    action: Option<String>,
    /// Commands of this chain
    #[arg(long)]
    chain_id: Option<String>,
}

/// What both lists can be asked.
#[derive(Debug, clap::Args)]
struct Filter {
    /// How the chain ended: succeeded, failed or unknown
    #[arg(long)]
    outcome: Option<String>,
    /// Calling service of the failing edge
    #[arg(long)]
    failing_caller: Option<String>,
    /// Called service of the failing edge
    #[arg(long)]
    failing_callee: Option<String>,
    /// Why it failed: error, `no_response`, slow, undeliverable or cancelled
    #[arg(long)]
    cause: Option<String>,
    /// Decided at this time or later, RFC 3339
    #[arg(long)]
    since: Option<String>,
    /// Decided at this time or before
    #[arg(long)]
    until: Option<String>,
    /// At least this long, e.g. 2s
    #[arg(long)]
    min_duration: Option<String>,
    /// A text in ids, names, reasons or the verdict's sentence
    #[arg(long)]
    q: Option<String>,
    /// Items at most, up to 500
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Arguments of `chain`.
#[derive(Debug, clap::Args)]
pub struct Chain {
    #[command(flatten)]
    agent: Agent,
    /// How it is shown
    #[arg(long, value_enum, default_value_t)]
    format: Shape,
    /// The chain
    chain_id: String,
}

/// How a chain is shown.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Shape {
    /// Its tree with the failing edge marked, and its plan.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
    /// A trace, as a collector takes it at `/v1/traces`.
    Otlp,
}

type Query = Vec<(&'static str, String)>;

impl Filter {
    fn query(&self, more: &[(&'static str, &Option<String>)]) -> Query {
        let texts = [
            ("outcome", &self.outcome),
            ("failing_caller", &self.failing_caller),
            ("failing_callee", &self.failing_callee),
            ("cause", &self.cause),
            ("since", &self.since),
            ("until", &self.until),
            ("min_duration", &self.min_duration),
            ("q", &self.q),
            ("cursor", &self.cursor),
        ];
        let said = texts.iter().chain(more).filter_map(|(name, text)| Some((*name, text.as_ref()?.clone())));
        said.chain([("limit", self.limit.to_string())]).collect()
    }
}

/// Runs `chains`.
pub fn chains(args: &Chains) -> ExitCode {
    let more = [("state", &args.state), ("service", &args.service), ("operation", &args.operation)];
    list(&args.agent, "chains", &args.filter, &more, |table, chain| {
        let edge = &chain["failing_edge"];
        let edge = if edge.is_null() {
            String::new()
        } else {
            format!("{} -> {} {}", text(&edge["caller"]), text(&edge["callee"]), text(&edge["operation"]))
        };
        let waits: Vec<&str> = chain["waits"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        table.row(vec![
            Cell::left(Tone::Dim, text(&chain["decided_at"])),
            Cell::left(outcome_tone(chain), text(&chain["outcome"])),
            Cell::left(state_tone(chain), text(&chain["state"])),
            Cell::left(Tone::Warn, waits.join(",")),
            Cell::left(Tone::Strong, text(&chain["chain_id"])),
            Cell::left(Tone::Plain, edge),
            Cell::left(Tone::Dim, text(&chain["cause"])),
        ]);
    })
}

/// Runs `commands`.
pub fn commands(args: &Commands) -> ExitCode {
    let more = [
        ("state", &args.state),
        ("service", &args.service),
        ("operation", &args.operation),
        ("action", &args.action),
        ("chain_id", &args.chain_id),
    ];
    list(&args.agent, "commands", &args.filter, &more, |table, command| {
        table.row(vec![
            Cell::left(Tone::Strong, text(&command["chain_id"])),
            Cell::left(Tone::Plain, text(&command["call_id"])),
            Cell::right(Tone::Dim, format!("{}.{}", command["generation"], command["wave"])),
            Cell::left(Tone::Plain, text(&command["action"])),
            Cell::left(Tone::Plain, format!("{} {}", text(&command["service"]), text(&command["operation"]))),
            Cell::left(Tone::Plain, text(&command["state"])),
            Cell::left(Tone::Warn, text(&command["reason"])),
            Cell::right(Tone::Dim, format!("{}x", command["sends"])),
        ]);
    })
}

/// Runs `chain`.
pub fn chain(args: &Chain) -> ExitCode {
    let format = match args.format {
        Shape::Text => "text",
        Shape::Json => "json",
        Shape::Dot => "dot",
        Shape::Mermaid => "mermaid",
        Shape::Otlp => "otlp",
    };
    let path = format!("/v1/chains/{}", escaped(&args.chain_id));
    match args.agent.get_text(&path, &[("format", format.to_owned())]) {
        Ok(text) => out::with(|out| {
            out.write_all(text.as_bytes())?;
            if !text.ends_with('\n') {
                writeln!(out)?;
            }
            Ok(ExitCode::SUCCESS)
        }),
        Err(failure) => failure.say(),
    }
}

fn list(
    agent: &Agent,
    what: &str,
    filter: &Filter,
    more: &[(&'static str, &Option<String>)],
    row: impl Fn(&mut Table, &Value),
) -> ExitCode {
    let page: Result<Value, Failure> = agent.get(&format!("/v1/{what}"), &filter.query(more));
    let page = match page {
        Ok(page) => page,
        Err(failure) => return failure.say(),
    };
    let items: Vec<&Value> = page[what].as_array().into_iter().flatten().collect();
    let code = out::with(|out| {
        match filter.format {
            Format::Json => {
                for item in &items {
                    writeln!(out, "{item}")?;
                }
            }
            Format::Text => {
                let mut table = Table::default();
                items.iter().for_each(|item| row(&mut table, item));
                out.write_all(table.lines(Look::of_stdout(false), 0).as_bytes())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    });
    if items.is_empty() {
        eprintln!("no {what}");
    }
    if let Some(cursor) = page["cursor"].as_str() {
        eprintln!("there are more: --cursor {cursor}");
    }
    if let Some(why) = page["cut_because"].as_str() {
        eprintln!("cut: {why}");
    }
    code
}

/// A name from outside, made safe for a terminal; what is not there is empty.
fn text(value: &Value) -> String {
    safe(value.as_str().unwrap_or_default()).into_owned()
}

fn outcome_tone(chain: &Value) -> Tone {
    match chain["outcome"].as_str() {
        Some("failed") => Tone::Bad,
        Some("succeeded") => Tone::Good,
        _ => Tone::Warn,
    }
}

fn state_tone(chain: &Value) -> Tone {
    match chain["state"].as_str() {
        Some("needs_operator" | "awaiting_approval") => Tone::Warn,
        Some("compensated" | "completed") => Tone::Good,
        _ => Tone::Plain,
    }
}

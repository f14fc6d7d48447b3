//! `audit`: what operators asked for and what became of it (S7.1), and whether the file still is what was written.

use std::{fs::File, io::BufReader, io::Write, path::PathBuf, process::ExitCode};

use clap::Subcommand;

use super::out;
use crate::{audit, render::safe};

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[cfg(feature = "agent")]
    #[command(flatten)]
    list: list::Listing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a file: whether any line was changed, is missing, or was put in
    Verify {
        /// Refuse if the newest hash is another than this: then lines are missing at the end
        #[arg(long, value_name = "HASH")]
        last: Option<String>,
        /// The file
        file: PathBuf,
    },
}

/// Runs `audit`.
pub fn run(args: &Args) -> ExitCode {
    match &args.command {
        Some(Command::Verify { file, last }) => verify(file, last.as_deref()),
        #[cfg(feature = "agent")]
        None => list::run(&args.list),
        #[cfg(not(feature = "agent"))]
        None => {
            eprintln!("error: this build asks no agent; see `countermand audit verify --help`");
            ExitCode::from(super::EXIT_USAGE)
        }
    }
}

fn verify(path: &PathBuf, last: Option<&str>) -> ExitCode {
    let shown = path.display();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("error: {shown}: {error}");
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    match audit::verify(BufReader::new(file)) {
        Ok(verified) if last.is_some_and(|last| last != verified.last) => {
            eprintln!(
                "error: {shown}: {} entries, and the newest hash is {}: lines are missing at the end, or came since",
                verified.entries, verified.last
            );
            ExitCode::from(1)
        }
        Ok(verified) => out::with(|out| {
            writeln!(out, "{shown}: good: {} entries, newest hash {}", verified.entries, verified.last)?;
            Ok(ExitCode::SUCCESS)
        }),
        Err(fault) => {
            eprintln!("error: {shown}: line {}: {}", fault.line, safe(&fault.why));
            ExitCode::from(1)
        }
    }
}

#[cfg(feature = "agent")]
mod list {
    use std::{io::Write, process::ExitCode};

    use serde_json::Value;

    use crate::{
        cli::{Format, out, remote::Agent},
        render::{Cell, Look, Table, Tone, safe},
    };

    /// What is listed.
    #[derive(Debug, clap::Args)]
    pub struct Listing {
        #[command(flatten)]
        agent: Agent,
        /// Entries at most, up to 500
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Entries with smaller numbers than this
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
        /// How it is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    }

    pub fn run(args: &Listing) -> ExitCode {
        let mut query = vec![("limit", args.limit.to_string())];
        query.extend(args.before.map(|before| ("before", before.to_string())));
        let page = match args.agent.get("/v1/audit", &query) {
            Ok(page) => page,
            Err(failure) => return failure.say(),
        };
        let entries: Vec<&Value> = page["entries"].as_array().into_iter().flatten().collect();
        let text = |value: &Value| safe(value.as_str().unwrap_or_default()).into_owned();
        let code = out::with(|out| {
            let mut table = Table::default();
            for entry in &entries {
                if args.format == Format::Json {
                    writeln!(out, "{entry}")?;
                }
                table.row(vec![
                    Cell::right(Tone::Dim, entry["seq"].to_string()),
                    Cell::left(Tone::Dim, text(&entry["at"])),
                    Cell::left(Tone::Plain, text(&entry["by"])),
                    Cell::left(Tone::Strong, text(&entry["what"])),
                    Cell::left(Tone::Strong, text(&entry["verb"])),
                    Cell::left(Tone::Plain, text(&entry["chain_id"])),
                    Cell::left(Tone::Plain, text(&entry["call_id"])),
                    Cell::left(Tone::Plain, text(&entry["reason"])),
                ]);
            }
            if args.format == Format::Text {
                out.write_all(table.lines(Look::of_stdout(false), 0).as_bytes())?;
            }
            Ok(ExitCode::SUCCESS)
        });
        if let Some(before) = page["before"].as_u64() {
            eprintln!("there are older ones: --before {before}");
        }
        code
    }
}

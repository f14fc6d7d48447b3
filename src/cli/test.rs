//! `countermand test`: runs scenario files, as operators test their policies and we test the engine.

use std::{
    fs, io,
    io::{Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use super::{
    Format, config,
    out::{self, Out},
};
use crate::{
    engine::Engine,
    policy::Policy,
    render::{Cell, Look, Sign, Table, Tone, safe, tree},
    scenario::{self, Difference, Report, Scenario},
};

/// Pictures of chains that are shown of one scenario that failed.
const MAX_PICTURES: usize = 4;

/// Columns in front of what is said about a scenario.
const INDENT: usize = 6;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files, folders with such files, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only scenarios whose name holds this text, or that are about this rule
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Test this policy: a scenario's `config` overrides it [default: the engine's defaults, in `auto`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show the picture of every chain, also of scenarios that pass
    #[arg(long)]
    show: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Draw with ASCII signs only
    #[arg(long)]
    ascii: bool,
}

/// Runs `test`: exit code 1 if a scenario does not pass, 2 if one cannot be read or there is none.
pub fn run(args: &Args) -> ExitCode {
    let base = match &args.config {
        None => scenario::default_policy(),
        Some(file) => match config::read_or_say(Some(file), Vec::new()) {
            Ok(loaded) => loaded.policy(),
            Err(code) => return code,
        },
    };
    let look = Look::of_stdout(args.ascii);
    out::with(|out| {
        let mut tester = Tester { args, base, look, out, passed: 0, failed: 0, unreadable: 0 };
        for file in files_of(&args.files) {
            tester.file(file)?;
        }
        tester.end()
    })
}

/// A file to read, or why there is none.
type Found = Result<PathBuf, String>;

/// The scenario files under `paths`, in the order given, those of a folder by name.
fn files_of(paths: &[PathBuf]) -> Vec<Found> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            walk(path, &mut found);
            if found.len() == before {
                found.push(Err(format!("{}: no scenario file (.yaml) in this folder", path.display())));
            }
        } else {
            found.push(Ok(path.clone()));
        }
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<Found>) {
    let unreadable = |error: io::Error| Err(format!("{}: {error}", folder.display()));
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return found.push(unreadable(error)),
    };
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        // Links to folders are not followed: they may lead round in circles.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found);
        } else if path.is_file() && scenario::is_scenario_file(&path) {
            found.push(Ok(path));
        }
    }
}

/// Reads a file that may not be larger than a scenario file can be.
fn read(path: &Path) -> Result<String, String> {
    let limit = scenario::MAX_FILE_BYTES as u64 + 1;
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map(|_| text).map_err(|error| format!("{}: {error}", path.display()))
}

struct Tester<'a> {
    args: &'a Args,
    base: Policy,
    look: Look,
    out: &'a mut Out,
    passed: usize,
    failed: usize,
    unreadable: usize,
}

impl Tester<'_> {
    fn file(&mut self, file: Found) -> io::Result<()> {
        let (file, text) = match file.and_then(|file| read(&file).map(|text| (file, text))) {
            Ok(read) => read,
            Err(message) => {
                eprintln!("error: {message}");
                self.unreadable += 1;
                return Ok(());
            }
        };
        let name = file.display().to_string();
        for parsed in scenario::parse(&text, &self.base) {
            match parsed {
                Ok(scenario) if self.is_wanted(&scenario) => self.scenario(&name, &scenario)?,
                Ok(_) => {}
                Err(error) => {
                    self.unreadable += 1;
                    let fault = Difference {
                        at: None,
                        what: "scenario".to_owned(),
                        expected: Some("a scenario".to_owned()),
                        came: Some(error.message.clone()),
                    };
                    match self.args.format {
                        Format::Json => self.json(&name, &error.scenario, &[fault])?,
                        Format::Text => self.line(false, &name, &error.scenario)?,
                    }
                    eprintln!("error: {name}: {error}");
                }
            }
        }
        Ok(())
    }

    fn is_wanted(&self, scenario: &Scenario) -> bool {
        let Some(filter) = &self.args.filter else { return true };
        scenario.name.contains(filter.as_str()) || scenario.rules.iter().any(|rule| rule == filter)
    }

    fn scenario(&mut self, file: &str, scenario: &Scenario) -> io::Result<()> {
        // One scenario that the engine panics at is a finding; the others are still to be run.
        let run = catch_unwind(AssertUnwindSafe(|| scenario::run(scenario, &mut Engine::new(scenario.policy.clone()))));
        let (differences, report) = match run {
            Ok(report) => (report.differences.clone(), Some(report)),
            Err(_) => (vec![Difference::failure("the engine panicked")], None),
        };
        let passed = differences.is_empty();
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
        if self.args.format == Format::Json {
            return self.json(file, &scenario.name, &differences);
        }
        self.line(passed, file, &scenario.name)?;
        let text = side_by_side(&differences, self.look);
        self.out.write_all(text.as_bytes())?;
        if let Some(report) = report.filter(|_| !passed || self.args.show) {
            self.pictures(&report, passed)?;
        }
        Ok(())
    }

    fn line(&mut self, passed: bool, file: &str, name: &str) -> io::Result<()> {
        let verdict = if passed { self.look.paint(Tone::Good, "ok  ") } else { self.look.paint(Tone::Bad, "FAIL") };
        writeln!(self.out, "{verdict}  {}: {}", safe(file), safe(name))
    }

    fn json(&mut self, file: &str, name: &str, differences: &[Difference]) -> io::Result<()> {
        let list: Vec<_> = differences
            .iter()
            .map(|difference| {
                let at = difference.at.map(|at| at.to_string());
                let Difference { what, expected, came, .. } = difference;
                json!({"at": at, "what": what, "expected": expected, "came": came})
            })
            .collect();
        let passed = differences.is_empty();
        let line = json!({"file": file, "scenario": name, "passed": passed, "differences": list});
        writeln!(self.out, "{line}")
    }

    /// The chains that are not as expected; all of them if the scenario passed.
    fn pictures(&mut self, report: &Report, passed: bool) -> io::Result<()> {
        let is_about = |chain: &str| {
            let about = format!("chain {chain}: ");
            report.differences.iter().any(|difference| difference.what.starts_with(&about))
        };
        let named: Vec<&str> = report.ledger.chains().filter(|chain| is_about(chain)).collect();
        let all: Vec<&str> = report.ledger.chains().collect();
        let chains = if passed || named.is_empty() { all } else { named };
        let views: Vec<_> = chains.iter().filter_map(|chain| report.ledger.picture(chain)).collect();
        for view in views.iter().take(MAX_PICTURES) {
            writeln!(self.out)?;
            let look = Look { width: self.look.width - INDENT, ..self.look };
            for line in tree(view, look).lines() {
                writeln!(self.out, "{}", format!("{:INDENT$}{line}", "").trim_end())?;
            }
        }
        if views.len() > MAX_PICTURES {
            writeln!(self.out, "\n      {} {} more chains", self.look.sign(Sign::Elided), views.len() - MAX_PICTURES)?;
        }
        writeln!(self.out)
    }

    fn end(&mut self) -> io::Result<ExitCode> {
        if self.args.format == Format::Text {
            let mut parts = vec![format!("{} passed", self.passed)];
            for (count, what) in [(self.failed, "failed"), (self.unreadable, "unreadable")] {
                parts.extend((count > 0).then(|| self.look.paint(Tone::Bad, &format!("{count} {what}"))));
            }
            writeln!(self.out, "{}", parts.join(", "))?;
        }
        if self.passed + self.failed + self.unreadable == 0 {
            eprintln!("error: there is no scenario to run");
            return Ok(ExitCode::from(super::EXIT_USAGE));
        }
        Ok(match (self.unreadable, self.failed) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::FAILURE,
            _ => ExitCode::from(super::EXIT_USAGE),
        })
    }
}

/// What was expected beside what came, by moment.
fn side_by_side(differences: &[Difference], look: Look) -> String {
    let mut table = Table::default();
    let mut moment = None;
    for difference in differences {
        if moment != Some(difference.at) {
            moment = Some(difference.at);
            let at = difference.at.map_or_else(|| "at the end".to_owned(), |at| format!("at {at}"));
            table.row(vec![
                Cell::left(Tone::Strong, at),
                Cell::left(Tone::Strong, "expected"),
                Cell::left(Tone::Strong, "came"),
            ]);
        }
        let cell = |tone, text: &Option<String>| match text {
            Some(text) => Cell::left(tone, safe(text)),
            None => Cell::left(Tone::Dim, "nothing"),
        };
        table.row(vec![
            Cell::left(Tone::Plain, safe(&difference.what)),
            cell(Tone::Good, &difference.expected),
            cell(Tone::Bad, &difference.came),
        ]);
    }
    table.lines(look, INDENT)
}

//! `countermand check`: says each fault of a configuration with its place, and what a good one will do.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::config::{self, ReadError};
use crate::{
    model::hex,
    policy::{
        Mode, Pattern, Word,
        load::{Config, Fault, Faults, Loaded, Property, SecretText, as_toml, explain, markdown, print},
    },
    setup::{
        self, Setup,
        rabbitmq::{self, RabbitmqSetup},
    },
    trust::Trust,
};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration [default: countermand.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what a setting does, what it may be, and why its default is what it is; a table stands for all of its
    /// settings
    #[arg(long, value_name = "KEY", conflicts_with_all = ["config", "print_settings", "print_setup", "format"])]
    explain: Option<String>,
    /// Print every setting as it is in force, and where it was set
    #[arg(long)]
    print_settings: bool,
    /// Print what the configuration needs on its bus, as lines for a shell: topics with their settings or queues with their
    /// bindings, and who must be allowed what. No broker is asked
    #[arg(long, conflicts_with = "print_settings")]
    print_setup: bool,
    /// Print the SHA-256 of a token that is read from stdin, as `http.tokens` wants it
    #[arg(long, conflicts_with_all = ["config", "explain", "print_settings", "print_setup", "format"])]
    hash_token: bool,
    /// How to print; `markdown`, only with --print-settings, is the table of the documentation
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How `check` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// JSON Lines.
    Json,
    /// The table of all settings.
    Markdown,
}

/// Runs `check`.
pub fn run(args: &Args) -> ExitCode {
    if let Some(key) = &args.explain {
        return say(explain(key).map(|text| print!("{text}")));
    }
    if args.hash_token {
        return say(hash_token().map(|hash| println!("{hash}")));
    }
    match (args.format, args.print_settings) {
        (Format::Markdown, true) => {
            print!("{}", markdown());
            ExitCode::SUCCESS
        }
        (Format::Markdown, false) => say(Err("--format markdown goes with --print-settings".to_owned())),
        (format, _) => check(args, format == Format::Json),
    }
}

/// Fewest bytes of a token of which the hash may be read by others: who has it could try all shorter ones.
const ENOUGH: usize = 24;

/// The hash of a token on stdin. White space at its end is no part of it.
fn hash_token() -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_TOKEN_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| format!("stdin cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let token =
        SecretText::of(&text).ok_or("there is no token on stdin: pipe it in, such as from `openssl rand -hex 32`")?;
    let token = token.as_token()?;
    if token.reveal().len() < ENOUGH {
        eprintln!(
            "warning: a token of less than {ENOUGH} characters can be found from its hash: take `openssl rand -hex 32`"
        );
    }
    Ok(hex(&Sha256::digest(token.reveal().as_bytes())))
}

/// Longest token that is hashed, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

fn say(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(super::EXIT_USAGE)
        }
    }
}

fn check(args: &Args, json: bool) -> ExitCode {
    let (path, settings) = (args.config.as_deref(), args.print_settings || args.print_setup);
    let loaded = match config::read(path, Vec::new()) {
        Ok(loaded) => loaded,
        Err(error) => {
            match (json, error) {
                (true, ReadError::Faulty(faults)) => print_json(&faults),
                (_, error) => eprintln!("{error}"),
            }
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    if let Some(fault) = client_objects(&loaded) {
        let faults = Faults { found: vec![fault], more: 0 };
        if json {
            print_json(&faults)
        } else {
            eprintln!("{faults}")
        }
        return ExitCode::from(super::EXIT_USAGE);
    }
    let mut warnings = loaded.warnings.clone();
    warnings.found.extend(absent_secrets(&loaded));
    match (json, warnings.found.is_empty()) {
        (true, _) if !settings => print_json(&warnings),
        (_, false) => eprintln!("{warnings}"),
        _ => {}
    }
    if args.print_setup {
        if !loaded.config.rabbitmq.url.is_empty() && loaded.config.kafka.brokers.is_empty() {
            let setup = RabbitmqSetup::of(&loaded.config);
            match json {
                true => rabbitmq::lines(&setup).iter().for_each(|line| println!("{line}")),
                false => print!("{}", rabbitmq::script(&setup)),
            }
            return ExitCode::SUCCESS;
        }
        print_setup(&Setup::of(&loaded.config, &config::kafka_in_force(path, &loaded)), json);
        return ExitCode::SUCCESS;
    }
    match (settings, json) {
        (true, true) => print(&loaded).iter().for_each(|line| println!("{}", json!(line))),
        (true, false) => print!("{}", as_toml(&print(&loaded))),
        (false, true) => println!("{}", summary_json(&loaded.config)),
        (false, false) => println!("{}", summary(path, &loaded.config)),
    }
    ExitCode::SUCCESS
}

fn print_setup(setup: &Setup, json: bool) {
    match json {
        true => setup::lines(setup).iter().for_each(|line| println!("{line}")),
        false => print!("{}", setup::script(setup)),
    }
}

fn print_json(faults: &Faults) {
    for fault in &faults.found {
        let (line, column) = fault.position.unzip();
        let object = json!({
            "severity": fault.severity.word(), "key": fault.key, "source": fault.source,
            "line": line, "column": column, "message": fault.message,
        });
        println!("{object}");
    }
}

/// What the Kafka client objects to in its further settings, as far as that shows without a broker. A secret that is
/// not here is left out: what is wrong with it shows where the agent will run.
#[cfg(feature = "kafka")]
fn client_objects(loaded: &Loaded) -> Option<Fault> {
    const KEY: &str = "kafka.properties";
    let kafka = &loaded.config.kafka;
    let here = kafka.properties.iter().filter_map(|(name, property)| match property {
        Property::Plain(text) => Some((name.clone(), text.clone())),
        Property::Secret(secret) => config::fetch(secret).ok().map(|text| (name.clone(), text.reveal().to_owned())),
    });
    let here: Vec<(String, String)> = here.collect();
    // What is absent may be what another setting needs.
    let whole = here.len() == kafka.properties.len();
    let why = super::run::connection(kafka, here).check(whole).err()?;
    let origin = loaded.origins.get(KEY).map_or("environment", String::as_str);
    Some(Fault { severity: crate::policy::load::Severity::Error, ..config::warning(KEY, origin, why) })
}

/// Without the client nothing can be asked of it.
#[cfg(not(feature = "kafka"))]
fn client_objects(_: &Loaded) -> Option<Fault> {
    None
}

/// Secrets that are not where the configuration says: it may be right where the agent will run, so these are warnings.
fn absent_secrets(loaded: &Loaded) -> Vec<Fault> {
    let config = &loaded.config;
    let token = config::token(config).err().map(|problem| ("http.token", "http.token", problem));
    let properties = config.kafka.properties.iter().filter_map(|(name, property)| match property {
        Property::Secret(secret) => config::fetch(secret).err().map(|it| ("kafka.properties", name.as_str(), it)),
        Property::Plain(_) => None,
    });
    let why = Trust::new(&config.trust, config.engine.max_age, config::fetch).err();
    // What it says begins with the setting that it is about.
    let why = why.as_ref().and_then(|why| why.split_once(": "));
    let trust = why.map(|(name, problem)| {
        (if name == "trust.keys" { "trust.keys" } else { "trust.sign.secret" }, name, problem.to_owned())
    });
    token
        .into_iter()
        .chain(properties)
        .chain(trust)
        .map(|(key, name, problem)| {
            let origin = loaded.origins.get(key).map_or("environment", String::as_str);
            config::warning(key, origin, format!("`{name}`: {problem}; `run` will not start without it"))
        })
        .collect()
}

/// One sentence that says what a good configuration will do.
fn summary(path: Option<&Path>, config: &Config) -> String {
    let name = config::file_of(path).map_or("no file, all defaults".to_owned(), |file| file.display().to_string());
    let rules = match config.operations.len() {
        0 => "no rules".to_owned(),
        1 => "1 rule".to_owned(),
        n => format!("{n} rules"),
    };
    let kafka = &config.kafka;
    let bus = match kafka.brokers.as_slice() {
        [] => "no brokers are named, so `run` needs --kafka".to_owned(),
        brokers => format!("reads {} from {} as group {}", kafka.topics.join(", "), brokers.join(", "), kafka.group),
    };
    format!("{name}: good: {}, {rules}, {}; {bus}", modes(config), recipients(config))
}

fn modes(config: &Config) -> String {
    let own = config.engine.mode;
    let mut text = format!("mode {}", own.word());
    for mode in [Mode::Observe, Mode::Approve, Mode::Auto] {
        let rules = config.operations.iter().filter(|rule| rule.mode == Some(mode)).count();
        if mode != own && rules > 0 {
            text += &format!(" ({} in {rules} {})", mode.word(), if rules == 1 { "rule" } else { "rules" });
        }
    }
    text
}

fn recipients(config: &Config) -> String {
    if config.loosest_mode() == Mode::Observe {
        return "nothing is sent".to_owned();
    }
    let services = services(config);
    match services.as_slice() {
        [] => "commands may go to nobody".to_owned(),
        [some @ .., _] if services.len() > 6 => {
            format!("commands may go to {} and {} more", some[..5].join(", "), services.len() - 5)
        }
        _ => format!("commands may go to {}", services.join(", ")),
    }
}

fn services(config: &Config) -> Vec<String> {
    config.allowed_services().iter().map(Pattern::text).map(str::to_owned).collect()
}

fn summary_json(config: &Config) -> serde_json::Value {
    let kafka = &config.kafka;
    json!({
        "good": true, "mode": config.engine.mode.word(), "loosest_mode": config.loosest_mode().word(),
        "rules": config.operations.len(), "allowed": services(config), "brokers": kafka.brokers,
        "topics": kafka.topics, "group": kafka.group,
    })
}

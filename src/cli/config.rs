//! Reads the configuration for a command: the file, the process's environment, and the command's flags.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::policy::{
    Mode,
    load::{
        Config, Fault, Faults, Flag, KafkaConfig, Loaded, MAX_FILE_BYTES, Secret, SecretText, Severity, Source, load,
    },
    payloads::MAX_DESCRIPTOR_BYTES,
};

/// The file that is read where no other is named, if it is there.
pub const DEFAULT_FILE: &str = "countermand.toml";

/// Largest file with a secret, in bytes: certificates with their chains have a few thousand.
const MAX_SECRET_BYTES: usize = 64 << 10;

/// What keeps a configuration from being used.
#[derive(Debug)]
pub enum ReadError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// There is something wrong in it.
    Faulty(Faults),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "{}: error: cannot be read: {error}", path.display()),
            Self::Faulty(faults) => faults.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// The file that a command reads which was given `path`: that, else [`DEFAULT_FILE`] if it is in the working directory.
pub fn file_of(path: Option<&Path>) -> Option<PathBuf> {
    let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists());
    path.map(Path::to_path_buf).or_else(default)
}

/// Reads the configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(path: Option<&Path>, flags: Vec<Flag>) -> Result<Loaded, ReadError> {
    let source = match file_of(path) {
        Some(file) => {
            let text = read_text(&file, MAX_FILE_BYTES).map_err(|error| ReadError::Unreadable(file.clone(), error))?;
            Some(Source { name: file.display().to_string(), text })
        }
        None => None,
    };
    let mut loaded = load(source, variables(), flags).map_err(ReadError::Faulty)?;
    describe(&mut loaded).map_err(|fault| ReadError::Faulty(Faults { found: vec![*fault], more: 0 }))?;
    Ok(loaded)
}

/// Reads the types of payloads, and holds what rules say of them against them.
///
/// # Errors
/// The first thing that is wrong.
fn describe(loaded: &mut Loaded) -> Result<(), Box<Fault>> {
    const KEY: &str = "payloads.descriptors";
    let origin = loaded.origins.get(KEY).cloned().unwrap_or_default();
    let fault =
        |key: &str, origin: &str, why| Box::new(Fault { severity: Severity::Error, ..warning(key, origin, why) });
    for path in &loaded.config.payloads.descriptors.clone() {
        let set = read_bytes(Path::new(path), MAX_DESCRIPTOR_BYTES).map_err(|error| error.to_string());
        let added = set.and_then(|set| loaded.payloads.add(&set));
        added.map_err(|why| fault(KEY, &origin, format!("`{path}`: {why}")))?;
    }
    for (rule, origin) in loaded.config.operations.iter().zip(&loaded.rule_origins) {
        let message = rule.compensation.as_ref().and_then(|undo| undo.message.as_ref());
        let Some(name) = message.map(|message| &message.type_name).filter(|name| !name.is_empty()) else { continue };
        if !loaded.payloads.knows(name) {
            let why = format!("no file of `{KEY}` knows the message `{name}`");
            return Err(fault("operations.undo.type", origin, why));
        }
    }
    Ok(())
}

/// Reads the configuration, and says on stderr what is wrong with it, warnings included.
///
/// # Errors
/// The exit code, if it cannot be used.
pub fn read_or_say(path: Option<&Path>, flags: Vec<Flag>) -> Result<Loaded, ExitCode> {
    match read(path, flags) {
        Ok(loaded) => {
            if !loaded.warnings.found.is_empty() {
                eprintln!("{}", loaded.warnings);
            }
            Ok(loaded)
        }
        Err(error) => {
            eprintln!("{error}");
            Err(ExitCode::from(super::EXIT_USAGE))
        }
    }
}

/// Group of an agent that runs without a configuration: it must not take partitions from the one that acts.
const OBSERVERS: &str = "countermand-observe";

/// `[kafka]` as `run` takes it that was given the file `path`.
pub fn kafka_in_force(path: Option<&Path>, loaded: &Loaded) -> KafkaConfig {
    let mut kafka = loaded.config.kafka.clone();
    let said = |key: &str| loaded.origins.contains_key(key);
    let observes = loaded.config.loosest_mode() == Mode::Observe;
    if observes && file_of(path).is_none() && !said("kafka.group") {
        OBSERVERS.clone_into(&mut kafka.group);
    }
    // Two groups must not mix what they know.
    if !said("kafka.state") && kafka.group != KafkaConfig::default().group {
        kafka.state = format!("{}.state", kafka.group);
    }
    kafka
}

/// Fetches a secret from where the configuration says it is.
///
/// # Errors
/// A sentence that says why it is not there.
pub fn fetch(secret: &Secret) -> Result<SecretText, String> {
    secret.resolve(|name| std::env::var(name).ok(), |path| read_text(Path::new(path), MAX_SECRET_BYTES))
}

/// Fetches the token that callers of HTTP must show; `None`: there is none to show.
///
/// # Errors
/// A sentence that says why there is none although the configuration names one, or why it cannot be one.
pub fn token(config: &Config) -> Result<Option<SecretText>, String> {
    let Some(secret) = &config.http.token else { return Ok(None) };
    fetch(secret).and_then(SecretText::as_token).map(Some)
}

/// A warning about a setting whose fault shows only where the agent runs.
pub fn warning(key: &str, source: &str, message: String) -> Fault {
    Fault {
        severity: Severity::Warning,
        key: key.to_owned(),
        source: source.to_owned(),
        position: None,
        message,
        excerpt: None,
    }
}

/// The environment; what is no UTF-8 is no setting that could be right, and shows as such.
fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn read_bytes(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

fn read_text(path: &Path, limit: usize) -> io::Result<String> {
    String::from_utf8(read_bytes(path, limit)?).map_err(|error| {
        let message = format!("it is not UTF-8 at byte {}", error.utf8_error().valid_up_to());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

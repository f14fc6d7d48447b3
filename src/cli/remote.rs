//! Asking a running agent over its HTTP API.

use std::{env, io::BufRead, process::ExitCode, time::Duration};

use serde_json::Value;
use ureq::{Body, RequestBuilder};

/// Where the agent answers, unless it is said.
const AGENT: &str = "http://127.0.0.1:9470";

/// How long an answer may take. The agent itself waits up to 5 s for the outcome of a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// Largest answer that is read.
const MAX_BODY: u64 = 64 << 20;

/// Which agent is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Agent {
    /// Where the agent answers; the token, if it wants one, is taken from the environment variable COUNTERMAND_TOKEN
    #[arg(long, value_name = "URL", env = "COUNTERMAND_AGENT", default_value = AGENT)]
    agent: String,
}

/// Why there is no answer to work with.
#[derive(Debug)]
pub enum Failure {
    /// The agent refused; in words for people.
    Refused(String),
    /// It cannot be asked.
    Unreachable(String),
}

impl Failure {
    /// Says it, and gives the exit code: 1 where the agent refused, 2 where it could not be asked.
    pub fn say(&self) -> ExitCode {
        match self {
            Self::Refused(why) => {
                eprintln!("error: {why}");
                ExitCode::from(1)
            }
            Self::Unreachable(why) => {
                eprintln!("error: {why}");
                ExitCode::from(super::EXIT_USAGE)
            }
        }
    }
}

impl Agent {
    /// The answer to a question, as JSON.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let text = self.get_text(path, query)?;
        serde_json::from_str(&text).map_err(|error| self.strange(&error.to_string()))
    }

    /// The answer to a question, as it comes.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn get_text(&self, path: &str, query: &[(&str, String)]) -> Result<String, Failure> {
        let mut request = client(Some(PATIENCE)).get(self.url(path)?);
        for (name, value) in query {
            request = request.query(name, value);
        }
        self.read(authorised(request).call()).map(|(_, text)| text)
    }

    /// A stream of events, after the one of an id if that is not empty.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn listen(&self, path: &str, after: &str) -> Result<impl BufRead + use<>, Failure> {
        let mut request = client(None).get(self.url(path)?);
        if !after.is_empty() {
            request = request.header("Last-Event-ID", after);
        }
        let answer = authorised(request).call();
        if answer.as_ref().is_ok_and(|answer| answer.status() == 200) {
            let body = answer.map_err(|error| self.strange(&error.to_string()))?.into_body();
            return Ok(std::io::BufReader::new(body.into_with_config().limit(u64::MAX).reader()));
        }
        Err(match self.read(answer) {
            Ok((status, _)) => self.strange(&format!("status {status}")),
            Err(failure) => failure,
        })
    }

    /// Asks for something to be done; the status says whether it is. What is asked under one `key` is done once.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Result<(u16, Value), Failure> {
        let mut request = client(Some(PATIENCE)).post(self.url(path)?).header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let (status, text) = self.read(authorised(request).send(body.to_string()))?;
        let body = serde_json::from_str(&text).map_err(|error| self.strange(&error.to_string()))?;
        Ok((status, body))
    }

    fn url(&self, path: &str) -> Result<String, Failure> {
        let agent = self.agent.trim_end_matches('/');
        if !agent.starts_with("http://") {
            return Err(Failure::Unreachable(format!("--agent {agent}: write http://HOST:PORT")));
        }
        Ok(format!("{agent}{path}"))
    }

    fn read(&self, answer: Result<ureq::http::Response<Body>, ureq::Error>) -> Result<(u16, String), Failure> {
        let mut answer = answer.map_err(|error| {
            Failure::Unreachable(format!("no agent answers at {}: {error}; name another with --agent", self.agent))
        })?;
        let status = answer.status().as_u16();
        let read = answer.body_mut().with_config().limit(MAX_BODY).read_to_string();
        let text = read.map_err(|error| self.strange(&error.to_string()))?;
        if status < 400 {
            return Ok((status, text));
        }
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let part = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        let (detail, hint) = (part("detail"), part("hint"));
        let detail = if detail.is_empty() { format!("the agent answered with status {status}") } else { detail };
        Err(Failure::Refused(if hint.is_empty() { detail } else { format!("{detail}; {hint}") }))
    }

    fn strange(&self, why: &str) -> Failure {
        Failure::Unreachable(format!("the answer from {} cannot be read: {why}", self.agent))
    }
}

fn client(patience: Option<Duration>) -> ureq::Agent {
    // A status is an answer like any other: it comes with the reason.
    ureq::Agent::config_builder().timeout_global(patience).http_status_as_error(false).build().into()
}

/// A request that shows the token, if there is one.
fn authorised<B>(request: RequestBuilder<B>) -> RequestBuilder<B> {
    match env::var("COUNTERMAND_TOKEN") {
        Ok(token) if !token.is_empty() => request.header("Authorization", format!("Bearer {token}")),
        _ => request,
    }
}

/// A text as a part of a path.
#[must_use]
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

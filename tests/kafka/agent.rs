//! The agent's process, as an operator would run it.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{bus::until, http};

/// A running `countermand run`. Killed when it is dropped.
pub struct Agent {
    child: Child,
    port: u16,
    printed: PathBuf,
    log: PathBuf,
}

impl Agent {
    pub fn spawn(folder: &Path, name: &str, args: &[&str], port: u16) -> Self {
        let printed = folder.join(format!("{name}.stdout"));
        let log = folder.join(format!("{name}.stderr"));
        let child = Command::new(env!("CARGO_BIN_EXE_countermand"))
            .args(["run", "--http", &format!("127.0.0.1:{port}")])
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(append(&printed))
            .stderr(append(&log))
            .spawn()
            .expect("the agent");
        Self { child, port, printed, log }
    }

    /// Waits until it has its partitions and their state.
    pub fn ready(self) -> Self {
        self.once(|status, _| status == 200)
    }

    /// Waits until it is ready, or stands by for one that is.
    pub fn settled(self) -> Self {
        self.once(|status, body| status == 200 || body.contains("standing by"))
    }

    fn once(mut self, wanted: impl Fn(u16, &str) -> bool) -> Self {
        let log = self.log.clone();
        until(&format!("the agent to be ready; see {}", log.display()), || {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("the agent ended with {status}:\n{}", text(&log));
            }
            self.get("/readyz").filter(|(status, body)| wanted(*status, body))
        });
        self
    }

    /// Status and body of a resource; `None`: nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.port, path, Duration::from_secs(5))
    }

    /// Status and answer to a POST under a key, if there is one; `None`: nobody answers.
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let body = body.to_string();
        let key = if key.is_empty() { String::new() } else { format!("Idempotency-Key: {key}\r\n") };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {key}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let (status, body) = http::ask(self.port, &format!("{head}{body}"), Duration::from_secs(20))?;
        Some((status, serde_json::from_str(&body).ok()?))
    }

    /// Listens to its events, after the one of an id if it is not empty.
    pub fn listen(&self, after: &str) -> Ear {
        let mut stream = until("somebody to listen to", || TcpStream::connect(("127.0.0.1", self.port)).ok());
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        let after = if after.is_empty() { String::new() } else { format!("Last-Event-ID: {after}\r\n") };
        write!(stream, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n{after}\r\n").expect("a request");
        Ear(BufReader::new(stream))
    }

    /// Stops it where it stands, as a machine that hangs: SIGSTOP.
    pub fn freeze(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &id]).status().expect("kill").success());
    }

    /// The picture of a chain, once `wanted` takes it.
    pub fn chain(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("chain {id} over HTTP"), || {
            let (status, body) = self.get(&format!("/v1/chains/{id}"))?;
            let picture: Value = serde_json::from_str(&body).expect("JSON");
            (status == 200 && wanted(&picture)).then_some(picture)
        })
    }

    /// The value of a metric, as it stands in the exposition.
    pub fn metric(&self, line: &str) -> Option<f64> {
        let (_, body) = self.get("/metrics")?;
        let found = body.lines().find_map(|own| own.strip_prefix(line)?.strip_prefix(' '));
        found.and_then(|value| value.parse().ok())
    }

    /// Upper bound in seconds of the histogram bucket in which a quantile lies.
    pub fn quantile(&self, name: &str, q: f64) -> Option<f64> {
        let (_, body) = self.get("/metrics")?;
        let prefix = format!("{name}_bucket{{le=\"");
        let buckets: Vec<(f64, f64)> = body
            .lines()
            .filter_map(|line| {
                let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
                Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
            })
            .collect();
        let total = buckets.last()?.1;
        buckets.iter().find(|(_, count)| *count > 0.0 && *count >= q * total).map(|(bound, _)| *bound)
    }

    /// Memory that it takes, in MiB, as the kernel accounts it.
    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") / 1024
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        text(&self.printed)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an end");
    }

    /// SIGTERM; its exit code.
    pub fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        self.end()
    }

    /// Its exit code, if it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for it to end by itself.
    pub fn end(&mut self) -> ExitStatus {
        until("the agent to end", || self.has_ended())
    }
}

/// A listener to events.
pub struct Ear(BufReader<TcpStream>);

impl Ear {
    /// Id, kind and data of the next event.
    pub fn next(&mut self) -> (String, String, Value) {
        let (mut id, mut event, mut data): (String, String, String) = Default::default();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("an event in time") > 0, "the stream ended");
            // Heads, sizes of chunks and signs of life stand between the lines.
            match line.trim_end().split_once(": ") {
                Some(("id", text)) => id = text.to_owned(),
                Some(("event", text)) => event = text.to_owned(),
                Some(("data", text)) => data = text.to_owned(),
                None if line.trim_end().is_empty() && !data.is_empty() => {
                    return (id, event, serde_json::from_str(&data).expect("JSON"));
                }
                _ => {}
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else if std::thread::panicking() {
            eprintln!("--- log of the agent ---\n{}", text(&self.log));
        }
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("a file")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

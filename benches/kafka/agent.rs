//! The agent's process, and what the kernel says it took.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What a process took so far, in seconds of CPU.
pub fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let after = stat.rsplit(") ").next().expect("fields");
    let fields: Vec<f64> = after.split(' ').map(|field| field.parse().unwrap_or(0.0)).collect();
    // utime and stime, in ticks of 10 ms.
    (fields[11] + fields[12]) / 100.0
}

/// Resident memory of a process in MiB.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

pub struct Agent {
    child: Child,
    port: u16,
}

/// Names of one measurement: its topics and its group.
pub struct World {
    pub name: String,
    pub input: String,
    folder: PathBuf,
}

impl World {
    pub fn new(broker: &str, name: &str) -> Self {
        let name = format!("bench-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).expect("a folder");
        let input = format!("{name}.envelopes");
        super::load::make_topic(broker, &input);
        Self { input, name, folder }
    }

    /// Topics of commands to the services of profile `standard`.
    pub fn commands(&self) -> Vec<String> {
        (0..8).map(|n| format!("{}.commands.service-{n}", self.name)).collect()
    }

    /// Lets the group begin, so that what is sent from now on is a backlog of its own and no first catching up, which acts on
    /// nothing (S5.14).
    pub fn begin(&self, broker: &str) {
        let mut agent = self.start(broker, "");
        agent.ready();
        agent.kill();
    }

    /// Starts the agent. `engine` are further settings of `[engine]`.
    pub fn start(&self, broker: &str, engine: &str) -> Agent {
        let Self { name, input, folder } = self;
        let configuration = format!(
            r#"
            [engine]
            mode = "auto"
            max_plan_age = "24h"
            {engine}
            [routes]
            allow = ["*"]
            [kafka]
            brokers = ["{broker}"]
            topics = ["{input}"]
            group = "{name}"
            results = "{name}.results"
            operations = "{name}.operations"
            commands = "{name}.commands.{{service}}"
            events = "{name}.events"
            chains = "{name}.chains"
            dead_letters = "{name}.dead-letters"
            state = "{name}.state"
            "#
        );
        let file = folder.join("countermand.toml");
        fs::write(&file, configuration).expect("a configuration");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port").port();
        let log = fs::File::create(folder.join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_countermand"))
            .arg("run")
            .arg("--config")
            .arg(&file)
            .args(["--http", &format!("127.0.0.1:{port}")])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the agent");
        Agent { child, port }
    }
}

impl Agent {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// The sum of a metric's values.
    pub fn metric(&self, name: &str) -> f64 {
        let body = self.get("/metrics").map(|(_, body)| body).unwrap_or_default();
        let values = body.lines().filter(|line| line.starts_with(name));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until `done` is true of it; how long that took.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !done(self) {
            assert!(self.child.try_wait().expect("a child").is_none(), "the agent ended");
            assert!(begun.elapsed() < Duration::from_secs(600), "waited in vain for {what}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        begun.elapsed()
    }

    pub fn ready(&mut self) -> Duration {
        self.until("the agent to be ready", |agent| agent.get("/readyz").is_some_and(|(status, _)| status == 200))
    }

    pub fn kill(mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an end");
    }
}

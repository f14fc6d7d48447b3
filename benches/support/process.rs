//! Processes that are measured: the agent, and the bare programs beside it; and what the kernel says they took.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::http;

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

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

/// A number from the environment.
pub fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A port that nobody has.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port").port()
}

/// Runs `scripts/brokers`; what it prints.
///
/// # Panics
/// With how to get a broker, if there is none.
fn brokers(args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/brokers");
    let done = Command::new(&script).args(args).stderr(Stdio::inherit()).output();
    let done = done.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(
        done.status.success(),
        "no broker: install what it needs with scripts/setup, or set COUNTERMAND_KAFKA=HOST:PORT, COUNTERMAND_AMQP=URL"
    );
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// Something that is measured, by its name, on the broker with this address.
pub type Part = (&'static str, fn(&str));

/// Measures what is asked for, each by its name, by default all, on a broker; or is one of the bare programs that the agent is
/// measured beside, which are this program again.
pub fn run(broker: impl FnOnce() -> Broker, bare: fn(&str, &[String]), parts: &[Part]) {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [first, rest @ ..] = args.as_slice()
        && first.starts_with("--bare-")
    {
        return bare(first, rest);
    }
    let broker = broker();
    println!("broker {}", broker.address);
    for (name, measure) in parts {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            measure(&broker.address);
        }
    }
}

/// A broker, stopped at the end if it was started here.
pub struct Broker {
    address: String,
    /// What `scripts/brokers` calls its kind, and its port.
    own: Option<(&'static str, &'static str)>,
}

impl Broker {
    /// The one that the variable names, else a new one on a port.
    pub fn find(kind: &'static str, variable: &str, port: &'static str) -> Self {
        if let Ok(address) = std::env::var(variable) {
            return Self { address, own: None };
        }
        brokers(&[kind, "prepare"]);
        Self { address: brokers(&[kind, "start", "--port", port, "--fresh"]), own: Some((kind, port)) }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some((kind, port)) = self.own {
            brokers(&[kind, "stop", "--port", port]);
        }
    }
}

/// A bare program: this one again, with these arguments.
pub fn bare(args: &[&str]) -> Child {
    let this = std::env::current_exe().expect("this program");
    Command::new(this).args(args).stdout(Stdio::piped()).spawn().expect("this program again")
}

/// The next line of what a bare program prints.
pub fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    line.trim().to_owned()
}

/// What a bare consumer printed at its end: seconds of CPU, and of the clock.
pub fn seconds_of(mut child: Child) -> (f64, f64) {
    let line = first_line(&mut child);
    child.wait().expect("an end");
    let mut took = line.split(' ').map(|text| text.parse::<f64>().expect("seconds"));
    (took.next().expect("CPU"), took.next().expect("wall"))
}

/// So many in a second.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// The table of a throughput: the bare consumer before and after, and the agent between them, each in seconds of CPU and clock.
pub fn tell_throughput(messages: u64, (before, after): ((f64, f64), (f64, f64)), agent: (f64, f64), rss: u64) {
    let bare = ((before.0 + after.0) / 2.0, (before.1 + after.1) / 2.0);
    println!("| | messages a CPU-second | messages a second |\n|---|---|---|");
    println!("| bare | {:.0} | {:.0} |", per(messages, bare.0), per(messages, bare.1));
    println!("| agent ({rss} MiB) | {:.0} | {:.0} |", per(messages, agent.0), per(messages, agent.1));
    println!("| ratio | {:.2} | {:.2} |", bare.0 / agent.0, bare.1 / agent.1);
}

/// A line of a table of latencies, which are sorted and in milliseconds, of so many chains that failed.
pub fn tell_latencies(what: &str, (latencies, failed): &(Vec<f64>, usize)) {
    let at = |q: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let n = ((latencies.len() as f64 - 1.0) * q).round() as usize;
        latencies.get(n).copied().unwrap_or(f64::NAN)
    };
    println!("| {what} | {} of {failed} | {:.1} ms | {:.1} ms |", latencies.len(), at(0.5), at(0.99));
}

/// Time between two looks at a process: each costs it something.
const LOOK: Duration = Duration::from_millis(100);

/// A running agent.
pub struct Agent {
    child: Child,
    port: u16,
}

impl Agent {
    /// Starts it in a folder, on a bus. `engine` are further settings of `[engine]`.
    pub fn start(folder: &Path, engine: &str, bus: &str) -> Self {
        let configuration = format!(
            r#"
            [engine]
            mode = "auto"
            max_plan_age = "24h"
            {engine}
            [routes]
            allow = ["*"]
            {bus}
            "#
        );
        let file = folder.join("countermand.toml");
        fs::write(&file, configuration).expect("a configuration");
        let port = free_port();
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
        Self { child, port }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.port, path, Duration::from_secs(10))
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
            std::thread::park_timeout(LOOK);
        }
        begun.elapsed()
    }

    /// Waits until a metric is as high as `count`; how long that took.
    #[expect(clippy::cast_precision_loss, reason = "no count is that large")]
    pub fn reaches(&mut self, metric: &str, count: u64) -> Duration {
        self.until(metric, |agent| agent.metric(metric) >= count as f64)
    }

    pub fn ready(&mut self) -> Duration {
        self.until("the agent to be ready", |agent| agent.get("/readyz").is_some_and(|(status, _)| status == 200))
    }

    pub fn kill(mut self) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("an end");
    }
}

//! `countermand demo`: a shop on a bus inside this process, a bad release, and the agent that takes back what was half
//! done. Exit code 1 if not everything is accounted for at the end.

mod show;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
use super::remote::Failure;
use super::{Format, remote::Agent, stop::on_signal};
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
use crate::demo::there::{Street, There};
use crate::{
    agent::host_now,
    demo::{Account, Counts, Plan, here::Here, here::STEP},
    http::{self, Api},
    model::Span,
    policy::{Mode, load::parse_span},
    render::Look,
    wire::WireLimits,
};
#[cfg(feature = "rabbitmq")]
use crate::{
    bus::rabbit::address,
    demo::there::rabbit::{QUEUE, RabbitStreet},
    policy::load::RabbitmqConfig,
};
#[cfg(feature = "kafka")]
use crate::{
    demo::there::kafka::{KafkaStreet, prepare},
    policy::load::KafkaConfig,
};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What everything is drawn from: the same seed gives the same run
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// How long orders come
    #[arg(long = "for", value_name = "TIME", value_parser = length, default_value = "50s")]
    length: Span,
    /// Orders a second
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=200))]
    rate: u32,
    /// How many times faster than the clock; 0: as fast as it goes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1000))]
    speed: u32,
    /// Where HTTP listens [default: 127.0.0.1:9470, or any free port if that is taken]
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<SocketAddr>,
    /// What the agent may do: with `approve` each plan waits for you, with `observe` nothing is taken back
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    mode: Acting,
    /// How often the agent is killed meanwhile
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    kills: u32,
    /// Work over a broker instead, beside an agent that runs there: kafka://HOST:PORT or amqp://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with_all = ["speed", "http", "mode", "keep", "kills"])]
    bus: Option<String>,
    #[command(flatten)]
    agent: Agent,
    /// Stay when the shop is closed, to look at its chains over HTTP, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Draw with ASCII only
    #[arg(long)]
    ascii: bool,
    /// How the accounts at the end are printed; with `json` the story goes to stderr
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,
}

/// What the agent may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Acting {
    /// It only finds out.
    Observe,
    /// Each plan waits for an operator.
    Approve,
    /// It takes back what was half done.
    #[default]
    Auto,
}

impl From<Acting> for Mode {
    fn from(acting: Acting) -> Self {
        match acting {
            Acting::Observe => Self::Observe,
            Acting::Approve => Self::Approve,
            Acting::Auto => Self::Auto,
        }
    }
}

/// Shortest and longest time in which orders come.
const LENGTHS: (Span, Span) = (Span::secs(10), Span::hours(1));

fn length(text: &str) -> Result<Span, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    let (least, most) = LENGTHS;
    if span < least || span > most { Err("from 10s to 1h".to_owned()) } else { Ok(span) }
}

/// Port of the agent, here as in `run`.
const PORT: u16 = 9470;

/// Runs `demo`.
pub fn run(args: &Args) -> ExitCode {
    match demo(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(super::EXIT_USAGE)
        }
    }
}

fn demo(args: &Args) -> Result<bool, String> {
    // The agent's own log would speak between the lines of the story: only what is wrong is said.
    super::log::only_trouble();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let stop = on_signal("the accounts are not made")?;
    let (account, counts) = match &args.bus {
        None => here(args, &runtime, &stop)?,
        Some(bus) => elsewhere(args, bus, &stop)?,
    };
    Ok(show::is_right(&account, counts))
}

/// Prints the accounts.
fn conclude(args: &Args, run: &str, account: &Account, counts: Counts) {
    match args.format {
        Format::Text => print!("{}", show::table(account, counts, Look::of_stdout(args.ascii))),
        Format::Json => println!("{}", show::to_json(args, run, account, counts)),
    }
}

/// On the embedded bus, with an agent in this process.
fn here(args: &Args, runtime: &Runtime, is_stopped: &AtomicBool) -> Result<(Account, Counts), String> {
    let folder = Folder::new()?;
    let begun = host_now();
    let plan = plan(args, String::new());
    let mut here = Here::new(plan, args.mode.into(), &folder.0, begun).map_err(|error| error.to_string())?;
    let listener = runtime.block_on(listen(args.http))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (stop, stopped) = watch::channel(());
    let api = Api::new(
        here.shared(),
        Arc::new(OnceLock::from(here.desk())),
        here.audit(),
        WireLimits::default(),
        stopped.clone(),
    );
    let server = runtime.spawn(http::serve(listener, api, None, http::dropped(stopped)));
    let say = |text: &str| say(args.format, text);
    say(&show::intro(args, address, Look::of_stdout(args.ascii)));
    say(&here.opening());
    let started = Instant::now();
    while !here.is_over() {
        let told = here.step().map_err(|error| error.to_string())?;
        say(&told);
        if is_stopped.load(Ordering::Acquire) {
            // What is under way is brought to its end, as fast as it goes.
            say(&here.close());
        } else if args.speed > 0 {
            let passed = here.now().since(begun).0 / u64::from(args.speed);
            thread::park_timeout(Duration::from_millis(passed).saturating_sub(started.elapsed()));
        }
    }
    let (account, counts) = (here.account(), here.counts());
    conclude(args, "", &account, counts);
    if args.keep && !is_stopped.load(Ordering::Acquire) {
        say(&format!("\nHTTP answers at http://{address}/v1/chains until Ctrl-C.\n"));
        while !is_stopped.load(Ordering::Acquire) {
            say(&here.step().map_err(|error| error.to_string())?);
            thread::park_timeout(Duration::from_millis(STEP.0));
        }
    }
    drop(stop);
    let _ = runtime.block_on(server);
    Ok((account, counts))
}

fn plan(args: &Args, run: String) -> Plan {
    Plan {
        seed: args.seed,
        length: args.length,
        rate: args.rate,
        kills: args.kills,
        run,
        look: Look::of_stdout(args.ascii),
    }
}

#[cfg(not(any(feature = "kafka", feature = "rabbitmq")))]
fn elsewhere(_: &Args, bus: &str, _: &AtomicBool) -> Result<(Account, Counts), String> {
    Err(format!("--bus {bus}: this build knows no broker; build with the feature `kafka` or `rabbitmq`"))
}

/// Over a real broker, beside an agent that runs by itself.
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
fn elsewhere(args: &Args, bus: &str, is_stopped: &AtomicBool) -> Result<(Account, Counts), String> {
    let street = street(args, bus, is_stopped)?;
    let begun = host_now();
    // Chains of other runs may still be known: the ids of this one's are its own.
    let run = format!("{:x}", begun.0 / 1000);
    let mut there = There::new(street, plan(args, run.clone()), begun);
    let say = |text: &str| say(args.format, text);
    say(&there.opening());
    while !there.is_over(host_now()) {
        say(&there.step(host_now(), Duration::from_millis(STEP.0))?);
        if is_stopped.load(Ordering::Acquire) {
            say(&there.close(host_now()));
        }
    }
    say(&there.unsettled(host_now()));
    let (account, counts) = (there.account()?, there.counts());
    conclude(args, &run, &account, counts);
    Ok((account, counts))
}

/// The way to the broker, with all that an agent needs to begin; and then an agent that did.
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
fn street(args: &Args, bus: &str, is_stopped: &AtomicBool) -> Result<Box<dyn Street>, String> {
    #[cfg(feature = "kafka")]
    if let Some(brokers) = bus.strip_prefix("kafka://").filter(|brokers| !brokers.is_empty()) {
        let kafka = KafkaConfig { brokers: vec![brokers.to_owned()], ..KafkaConfig::default() };
        let connection = super::run::connection(&kafka, Vec::new());
        prepare(&connection)?;
        await_agent(args, &format!("--kafka {brokers}"), is_stopped)?;
        return Ok(Box::new(KafkaStreet::new(&connection)?));
    }
    #[cfg(feature = "rabbitmq")]
    if bus.starts_with("amqp://") || bus.starts_with("amqps://") {
        let (url, password) = address::part(bus).map_err(|why| format!("--bus: {why}"))?;
        let rabbitmq = RabbitmqConfig { url, client_name: "shop".to_owned(), ..RabbitmqConfig::default() };
        let address = super::rabbit::address(&rabbitmq, password)?;
        let street = RabbitStreet::new(&address, host_now)?;
        await_agent(args, &format!("--amqp {} --queue {QUEUE}", rabbitmq.url), is_stopped)?;
        return Ok(Box::new(street));
    }
    Err(format!("--bus {bus}: write kafka://HOST:PORT or amqp://HOST:PORT, as far as this build knows these"))
}

/// Waits until the agent has its partitions: what is said before that it would not read.
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
fn await_agent(args: &Args, bus: &str, is_stopped: &AtomicBool) -> Result<(), String> {
    let mut asked_for = false;
    loop {
        let why = match args.agent.get_text("/readyz", &[]) {
            Ok(_) => return Ok(()),
            Err(Failure::Refused(why) | Failure::Unreachable(why)) => why,
        };
        if !asked_for {
            asked_for = true;
            eprintln!(
                "waiting for the agent ({why}); start it with\n\n  countermand run --config examples/demo.toml {bus}\n"
            );
        }
        if is_stopped.load(Ordering::Acquire) {
            return Err("there is no agent".to_owned());
        }
        thread::park_timeout(Duration::from_millis(500));
    }
}

/// The story is data, unless data is asked for as JSON.
fn say(format: Format, text: &str) {
    // A closed pipe ends nothing: the accounts are still checked.
    let _ = match format {
        Format::Text => std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()),
        Format::Json => std::io::stderr().write_all(text.as_bytes()),
    };
}

async fn listen(wanted: Option<SocketAddr>) -> Result<TcpListener, String> {
    if let Some(address) = wanted {
        if !address.ip().is_loopback() {
            return Err(format!("--http {address}: the demo answers this machine only; use 127.0.0.1"));
        }
        let bound = TcpListener::bind(address).await;
        return bound.map_err(|error| format!("HTTP cannot listen on {address}: {error}; choose another --http"));
    }
    match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| format!("no free port: {error}")),
    }
}

/// A folder for the journal that goes with the demo.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("countermand-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}; set TMPDIR", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

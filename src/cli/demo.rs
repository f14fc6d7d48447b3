//! `countermand demo`: a shop on a bus inside this process, a bad release, and the agent that takes back what was half
//! done. Exit code 1 if not everything is accounted for at the end.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::ValueEnum;
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use super::Format;
use crate::{
    demo::{Account, Counts, Plan, here::Here, here::STEP},
    http::{self, Api},
    model::{HostTime, Span},
    policy::{Mode, load::parse_span},
    render::{Cell, Look, Sign, Table, Tone, grouped},
    wire::WireLimits,
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

/// Lines about what is wrong that are printed; `--format json` has all.
const MAX_WRONG: usize = 10;

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
    tracing_subscriber::fmt().with_env_filter("warn").with_writer(std::io::stderr).init();
    let look = Look::of_stdout(args.ascii);
    let folder = Folder::new()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let begun = HostTime(i64::try_from(since.as_millis()).unwrap_or(0));
    let plan = Plan { seed: args.seed, length: args.length, rate: args.rate, look };
    let mut here = Here::new(plan, args.mode.into(), &folder.0, begun).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let listener = runtime.block_on(listen(args.http))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (stop, stopped) = watch::channel(());
    let api = Api::new(here.shared(), Some(here.desk()), here.audit(), WireLimits::default(), stopped.clone());
    let server = runtime.spawn(http::serve(listener, api, None, closed(stopped)));
    let interrupts = Arc::new(AtomicU8::new(0));
    runtime.spawn(count_interrupts(interrupts.clone()));

    let say = |text: &str| say(args.format, text);
    say(&intro(args, address, look));
    say(&here.opening());
    let started = Instant::now();
    while !here.is_over() {
        let told = here.step().map_err(|error| error.to_string())?;
        say(&told);
        if interrupts.load(Ordering::Relaxed) > 0 {
            // What is under way is brought to its end, as fast as it goes.
            say(&here.close());
        } else if args.speed > 0 {
            let passed = here.now().since(begun).0 / u64::from(args.speed);
            thread::park_timeout(Duration::from_millis(passed).saturating_sub(started.elapsed()));
        }
    }
    let (account, counts) = (here.account(), here.counts());
    let is_right = is_right(&account, counts);
    match args.format {
        Format::Text => print!("{}", table(&account, counts, look)),
        Format::Json => println!("{}", to_json(args, &account, counts, is_right)),
    }
    if args.keep && interrupts.load(Ordering::Relaxed) == 0 {
        say(&format!("\nHTTP answers at http://{address}/v1/chains until Ctrl-C.\n"));
        while interrupts.load(Ordering::Relaxed) == 0 {
            let _ = here.step().map_err(|error| error.to_string())?;
            thread::park_timeout(Duration::from_millis(STEP.0));
        }
    }
    drop(stop);
    let _ = runtime.block_on(server);
    Ok(is_right)
}

/// Whether everything is accounted for, and nothing waits for anybody.
fn is_right(account: &Account, counts: Counts) -> bool {
    account.is_right() && counts.stuck + counts.waiting == 0 && counts.failed == account.failed
}

/// The story is data, unless data is asked for as JSON.
fn say(format: Format, text: &str) {
    // A closed pipe ends nothing: the accounts are still checked.
    let _ = match format {
        Format::Text => std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()),
        Format::Json => std::io::stderr().write_all(text.as_bytes()),
    };
}

fn intro(args: &Args, address: SocketAddr, look: Look) -> String {
    format!(
        "{}\nEight services sell lamps over a bus inside this process (seed {}). Nothing tells Countermand what they do: it\n\
         reads their envelopes. Look at it while it works:\n\n  \
           curl 'http://{address}/v1/chains?outcome=failed&limit=3'\n  \
           countermand chain order-0050 --agent http://{address}\n\n",
        look.paint(Tone::Strong, "Countermand demo"),
        args.seed,
    )
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

async fn closed(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// The first Ctrl-C closes the shop, the second ends the process.
async fn count_interrupts(interrupts: Arc<AtomicU8>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        if interrupts.fetch_add(1, Ordering::Relaxed) > 0 {
            std::process::exit(130);
        }
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

fn table(account: &Account, counts: Counts, look: Look) -> String {
    let mut out = String::from("\n");
    let Account { orders, delivered, failed, undone, refused, .. } = account;
    out.push_str(&format!(
        "{orders} orders: {delivered} placed, {failed} failed. {undone} effects were taken back; {refused} came after that \
         and were refused.\n\n"
    ));
    let mut rows = Table::default();
    rows.row(vec![
        Cell::left(Tone::Dim, ""),
        Cell::right(Tone::Dim, "should be"),
        Cell::right(Tone::Dim, "is"),
        Cell::left(Tone::Dim, ""),
    ]);
    for item in &account.items {
        let shown = |amount: i64| if item.is_money { euros(amount) } else { whole(amount) };
        let (sign, tone) = if item.is_right() { (Sign::Good, Tone::Good) } else { (Sign::Bad, Tone::Bad) };
        rows.row(vec![
            Cell::left(Tone::Plain, item.what.clone()),
            Cell::right(Tone::Plain, shown(item.expected)),
            Cell::right(Tone::Plain, shown(item.found)),
            Cell::left(tone, look.sign(sign)),
        ]);
    }
    out.push_str(&rows.lines(look, 2));
    out.push('\n');
    for wrong in account.wrong.iter().take(MAX_WRONG) {
        out.push_str(&format!("  {} {wrong}\n", look.paint(Tone::Bad, look.sign(Sign::Bad))));
    }
    if account.wrong.len() > MAX_WRONG {
        out.push_str(&format!("  and {} more\n", account.wrong.len() - MAX_WRONG));
    }
    if counts.waiting > 0 {
        out.push_str(&format!("{} chains wait for approval.\n", counts.waiting));
    }
    if counts.stuck > 0 {
        out.push_str(&format!("{} chains need an operator.\n", counts.stuck));
    }
    if counts.failed != *failed {
        out.push_str(&format!("The agent found {} failed chains, the shop {failed}.\n", counts.failed));
    }
    if is_right(account, counts) {
        out.push_str(&look.paint(Tone::Good, "Every unit of money and stock is accounted for."));
    } else {
        out.push_str(&look.paint(Tone::Bad, "Not everything is accounted for."));
    }
    out.push('\n');
    out
}

fn euros(cents: i64) -> String {
    format!("{}.{:02} €", whole(cents / 100), cents.rem_euclid(100))
}

fn whole(number: i64) -> String {
    let digits = grouped(number.unsigned_abs());
    if number < 0 { format!("-{digits}") } else { digits }
}

fn to_json(args: &Args, account: &Account, counts: Counts, is_right: bool) -> serde_json::Value {
    let items: Vec<_> = account
        .items
        .iter()
        .map(
            |item| json!({"what": item.what, "expected": item.expected, "found": item.found, "right": item.is_right()}),
        )
        .collect();
    json!({
        "seed": args.seed,
        "orders": account.orders,
        "placed": account.delivered,
        "failed": account.failed,
        "failed_chains": counts.failed,
        "settled_chains": counts.settled,
        "awaiting_approval": counts.waiting,
        "needs_operator": counts.stuck,
        "undone": account.undone,
        "refused_late": account.refused,
        "items": items,
        "wrong": account.wrong,
        "accounted_for": is_right,
    })
}

//! Messages of profile `standard`, for any bus.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use countermand::{
    bench::{Profile, Settings, Traffic},
    model::BusTime,
    wire::proto::{Envelope, Kind, StatusCode},
};

use crate::process::now;

/// Messages of a chain.
pub const PER_CHAIN: u64 = 16;

/// Chains that begin in a second of a backlog.
pub const BACKLOG: u64 = 2_000;

/// A generator of `chains` chains, of which so many begin in a second, from then on.
pub fn traffic(chains: u64, per_second: u64, begins: i64) -> Traffic {
    let settings = Settings::of(Profile::Standard, chains, 1);
    Traffic::new(Settings { per_second, begins: BusTime(begins), ..settings })
}

/// A backlog of `chains` chains that ended a moment ago.
pub fn backlog(chains: u64) -> Traffic {
    let begins = now() - i64::try_from(chains * 1_000 / BACKLOG).expect("a time") - 30_000;
    traffic(chains, BACKLOG, begins)
}

/// Calls `send` with each message of live traffic of `rate` messages a second when its time has come, and with its number where
/// it makes its chain fail; the ids of the failed chains, by number.
pub fn live(rate: u64, seconds: u64, mut send: impl FnMut(&Envelope, Option<usize>)) -> Vec<String> {
    let per_second = (rate / PER_CHAIN).max(1);
    let (begun, begins) = (Instant::now(), now());
    let mut failed = Vec::new();
    for timed in traffic(per_second * seconds, per_second, begins) {
        let due = u64::try_from(timed.at.0 - begins).unwrap_or(0);
        while let Some(left) = (begun + Duration::from_millis(due)).checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        let number = fails(&timed.envelope).then(|| {
            failed.push(timed.envelope.chain_id.clone());
            failed.len() - 1
        });
        send(&timed.envelope, number);
    }
    failed
}

/// How long it took from the confirm of each failed chain's last message until something of the chain was read, in milliseconds,
/// sorted, and how many chains failed. Those without an effect have no command.
pub fn latencies(
    failed: &[String],
    confirmed: &HashMap<usize, Instant>,
    read: &HashMap<String, Instant>,
) -> (Vec<f64>, usize) {
    let sent = failed.iter().enumerate().filter_map(|(n, id)| Some((id, *confirmed.get(&n)?)));
    let sent: Vec<(&String, Instant)> = sent.collect();
    let took = |(id, at): &(&String, Instant)| Some(read.get(*id)?.saturating_duration_since(*at).as_secs_f64() * 1e3);
    let mut latencies: Vec<f64> = sent.iter().filter_map(took).collect();
    latencies.sort_by(f64::total_cmp);
    (latencies, sent.len())
}

/// Whether this message is the last piece of evidence of a chain that fails: the answer of its root.
pub fn fails(envelope: &Envelope) -> bool {
    let failed = envelope.status.as_ref().is_some_and(|status| status.code() != StatusCode::Ok);
    envelope.kind() == Kind::Response
        && failed
        && envelope.source.as_ref().is_some_and(|source| source.service == "service-7")
}

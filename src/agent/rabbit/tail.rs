//! What all agents published, read from a stream that keeps the newest of it: so each of several agents that share the chains
//! shows all of them, and so does one that stands by.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    agent::{Shared, hearing::Hearing},
    bus::rabbit::{
        Rabbit, Setup, Status,
        source::{CHAINS, Kind, Source},
    },
    policy::Policy,
};

/// Longest wait for a message, and how soon a stop is seen.
const WAIT: Duration = Duration::from_millis(100);

/// The stream is one partition.
const PARTITION: i32 = 0;

/// Messages of it that are under way.
const PREFETCH: u16 = 1_000;

/// How long a stream that cannot be read is waited for before the agent hears only itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts listening to the stream, which is made if it is not there; ends with the agent. `setup` is the agent's own. Says
/// whether it is heard, or may be soon: else nobody tells the agent what becomes of requests but the agent itself.
pub(super) fn start(setup: &Setup, policy: Policy, shared: Arc<Shared>) -> io::Result<Arc<AtomicBool>> {
    let source =
        Source { topic: setup.told.as_str().into(), partition: PARTITION, queue: setup.told.clone(), kind: Kind::Told };
    let setup = Setup {
        sources: vec![source],
        prefetch: PREFETCH,
        only_looks: true,
        status: Arc::new(Status::default()),
        ..setup.clone()
    };
    let is_heard = Arc::new(AtomicBool::new(true));
    let told = is_heard.clone();
    thread::Builder::new().name("tail".into()).spawn(move || listen(setup, Hearing::new(shared, policy), &told))?;
    Ok(is_heard)
}

fn listen(setup: Setup, mut hearing: Hearing, is_heard: &AtomicBool) {
    let told = setup.sources[0].topic.clone();
    let mut rabbit = Rabbit::new(setup);
    if let Err(error) = rabbit.begin(&[]) {
        tracing::error!(%error, "what other agents tell is not heard");
        is_heard.store(false, Ordering::Relaxed);
        return;
    }
    let begun = Instant::now();
    while !hearing.shared().is_stopping() {
        for came in rabbit.take(WAIT) {
            // Each message of a stream says where it stands.
            let Some(offset) = came.next.and_then(|next| next.checked_sub(1)) else { continue };
            if hearing.heard(PARTITION).is_none() {
                hearing.begin(PARTITION, offset);
                if offset > 0 {
                    hearing.shared().live.begins_late();
                }
            }
            let bytes = came.record.payload.unwrap_or_default();
            match came.record.key.as_deref() {
                Some(key) if key == CHAINS.as_bytes() => hearing.picture(&bytes),
                _ => hearing.event(PARTITION, offset, &bytes),
            }
        }
        rabbit.acknowledge();
        if rabbit.is_at_end(&told, PARTITION) && hearing.heard(PARTITION).is_none() {
            hearing.begin(PARTITION, 0);
        }
        let status = rabbit.status();
        match status.trouble_reading() {
            // It is read from its first message on: nothing that happens from now on is missed.
            None if status.connections.load(Ordering::Relaxed) > 0 => {
                is_heard.store(true, Ordering::Relaxed);
                hearing.shared().set_unread(Vec::new());
                hearing.shared().news.stand();
            }
            Some(why) => {
                hearing.shared().set_unread(vec![format!("{told}, so that other agents are not heard: {why}")]);
                if begun.elapsed() >= PATIENCE && status.connections.load(Ordering::Relaxed) == 0 {
                    is_heard.store(false, Ordering::Relaxed);
                }
            }
            None => {}
        }
    }
}

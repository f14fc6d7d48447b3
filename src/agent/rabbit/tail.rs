//! What all agents published, read from a stream that keeps the newest of it: so each of several agents that share the chains
//! shows all of them, and so does one that stands by.

use std::{io, sync::Arc, thread, time::Duration};

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

/// Starts listening to the stream, which is made if it is not there; ends with the agent. `setup` is the agent's own.
pub(super) fn start(setup: &Setup, policy: Policy, shared: Arc<Shared>) -> io::Result<()> {
    let source =
        Source { topic: setup.told.as_str().into(), partition: PARTITION, queue: setup.told.clone(), kind: Kind::Told };
    let setup = Setup {
        sources: vec![source],
        prefetch: PREFETCH,
        only_looks: true,
        status: Arc::new(Status::default()),
        ..setup.clone()
    };
    thread::Builder::new().name("tail".into()).spawn(move || listen(setup, Hearing::new(shared, policy)))?;
    Ok(())
}

fn listen(setup: Setup, mut hearing: Hearing) {
    let told = setup.sources[0].topic.clone();
    let mut rabbit = Rabbit::new(setup);
    if let Err(error) = rabbit.begin(&[]) {
        tracing::error!(%error, "what other agents tell is not heard");
        return;
    }
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
        if rabbit.is_at_end(&told, PARTITION) {
            if hearing.heard(PARTITION).is_none() {
                hearing.begin(PARTITION, 0);
            }
            hearing.shared().news.stand();
        }
    }
}

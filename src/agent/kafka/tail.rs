//! What all instances published: events, and pictures of chains. So any instance shows any chain, and tells whoever asked
//! for something what became of it, whoever decided.

use std::{io, sync::Arc, thread, time::Duration};

use prost::Message as _;
use rdkafka::error::KafkaResult;

use crate::{
    agent::{
        Shared,
        live::MAX_VIEWS,
        news::{KEPT, KEPT_OUTCOMES},
    },
    bus::{
        TopicPartition,
        kafka::{
            connection::Connection,
            listener::{Begin, Listener},
        },
        layout::Topics,
    },
    wire::{
        self,
        proto::{ChainEvent, ChainRecord},
    },
};

/// Longest wait for a record, and how soon a stop is seen.
const WAIT: Duration = Duration::from_millis(100);

/// Wait before the brokers are asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Pictures of each partition that are read again at the start. Of chains whose last one lies further back nothing is shown
/// until something happens to them.
const PICTURES: u64 = (MAX_VIEWS / 10) as u64;

/// Events of each partition that are read again at the start, for listeners that come back and for outcomes that are asked
/// for again.
const EVENTS: u64 = (KEPT / 10) as u64;
const _: () = assert!(EVENTS as usize <= KEPT_OUTCOMES, "what is read again is kept");

/// Starts listening; ends with the agent.
pub(super) fn start(connection: Connection, topics: &Topics, shared: Arc<Shared>) -> io::Result<()> {
    let (events, chains) = (topics.events.clone(), topics.chains.clone());
    thread::Builder::new().name("tail".into()).spawn(move || {
        while !shared.is_stopping() {
            if let Err(error) = listen(&connection, &events, &chains, &shared) {
                tracing::warn!(%error, "what other instances tell is not heard; trying again");
                thread::park_timeout(PAUSE);
            }
        }
    })?;
    Ok(())
}

fn listen(connection: &Connection, events: &str, chains: &str, shared: &Shared) -> KafkaResult<()> {
    let news = &shared.news;
    // Who listens again goes on where it stopped.
    let from = |at: &TopicPartition, _first: u64, end: u64| {
        if *at.topic == *chains {
            return end.saturating_sub(PICTURES);
        }
        news.heard(stream(at.partition)).unwrap_or_else(|| end.saturating_sub(EVENTS))
    };
    let (listener, begins) = Listener::new(connection, &[events, chains], from)?;
    for Begin { at, first, from } in begins {
        if *at.topic == *events {
            news.begin(stream(at.partition), from);
        } else if from > first {
            shared.live.begins_late();
        }
    }
    news.stand();
    while !shared.is_stopping() {
        let Some(heard) = listener.next(WAIT)? else { continue };
        let Some(value) = heard.value else { continue };
        // Another program may write there too: what is not ours is passed over.
        if heard.topic == events {
            if let Ok(event) = ChainEvent::decode(&*value) {
                news.tell(stream(heard.partition), heard.offset, event);
            }
        } else if let Some(view) = ChainRecord::decode(&*value).ok().as_ref().and_then(wire::chain_view) {
            shared.live.hear(view);
        }
    }
    Ok(())
}

/// A partition of the events, as the newsroom calls it.
fn stream(partition: i32) -> u64 {
    u64::from(partition.unsigned_abs())
}

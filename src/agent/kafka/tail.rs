//! What all instances published: events, and pictures of chains. So any instance shows any chain, and tells whoever asked
//! for something what became of it, whoever decided.

use std::{io, sync::Arc, thread, time::Duration};

use prost::Message as _;

use crate::{
    agent::{Shared, live::MAX_VIEWS},
    bus::{
        kafka::{connection::Connection, listener::Listener},
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

/// Records of each partition that are read again at the start. Of chains whose last one lies further back nothing is shown
/// until something happens to them.
const BEFORE: u64 = (MAX_VIEWS / 10) as u64;

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

fn listen(
    connection: &Connection,
    events: &str,
    chains: &str,
    shared: &Shared,
) -> Result<(), rdkafka::error::KafkaError> {
    let listener = Listener::new(connection, &[(events, 0), (chains, BEFORE)])?;
    while !shared.is_stopping() {
        let Some((topic, value)) = listener.next(WAIT)? else { continue };
        // Another program may write there too: what is not ours is passed over.
        if topic == events {
            if let Ok(event) = ChainEvent::decode(&*value) {
                shared.news.tell(event);
            }
        } else if let Some(view) = ChainRecord::decode(&*value).ok().as_ref().and_then(wire::chain_view) {
            shared.live.hear(view);
        }
    }
    Ok(())
}

//! What all instances published, read from the topics of events and of chains.

use std::{io, sync::Arc, thread, time::Duration};

use rdkafka::error::KafkaResult;

use crate::{
    agent::{
        Shared,
        hearing::Hearing,
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
    policy::Policy,
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
pub(super) fn start(connection: Connection, topics: &Topics, policy: Policy, shared: Arc<Shared>) -> io::Result<()> {
    let (events, chains) = (topics.events.clone(), topics.chains.clone());
    thread::Builder::new().name("tail".into()).spawn(move || {
        let mut hearing = Hearing::new(shared, policy);
        while !hearing.shared().is_stopping() {
            if let Err(error) = listen(&connection, (&events, &chains), &mut hearing) {
                tracing::warn!(%error, "what other instances tell is not heard; trying again");
                thread::park_timeout(PAUSE);
            }
        }
    })?;
    Ok(())
}

fn listen(connection: &Connection, (events, chains): (&str, &str), hearing: &mut Hearing) -> KafkaResult<()> {
    // Who listens again goes on where it stopped, unless the topic ends before: then it was made anew.
    let from = |at: &TopicPartition, _first: u64, end: u64| {
        if *at.topic == *chains {
            return end.saturating_sub(PICTURES);
        }
        let heard = hearing.heard(at.partition).filter(|heard| *heard <= end);
        heard.unwrap_or_else(|| end.saturating_sub(EVENTS))
    };
    let (listener, begins) = Listener::new(connection, &[events, chains], from)?;
    for Begin { at, first, from } in begins {
        if *at.topic == *events {
            hearing.begin(at.partition, from);
        } else if from > first {
            hearing.shared().live.begins_late();
        }
    }
    hearing.shared().news.stand();
    while !hearing.shared().is_stopping() {
        let Some(heard) = listener.next(WAIT)? else { continue };
        let Some(value) = heard.value else { continue };
        if heard.topic == events {
            hearing.event(heard.partition, heard.offset, &value);
        } else {
            hearing.picture(&value);
        }
    }
    Ok(())
}

//! What all instances published: events, and pictures of chains. So any instance shows any chain, and tells whoever asked
//! for something what became of it, whoever decided.

use std::{collections::HashMap, io, sync::Arc, thread, time::Duration};

use prost::Message as _;
use rdkafka::error::KafkaResult;

use crate::{
    agent::{
        Shared,
        live::MAX_VIEWS,
        news::{KEPT, KEPT_OUTCOMES, Newsroom},
    },
    bus::{
        TopicPartition,
        kafka::{
            connection::Connection,
            listener::{Begin, Listener},
        },
        layout::Topics,
    },
    policy::{Policy, payloads::veil},
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
pub(super) fn start(connection: Connection, topics: &Topics, policy: Policy, shared: Arc<Shared>) -> io::Result<()> {
    let (events, chains) = (topics.events.clone(), topics.chains.clone());
    thread::Builder::new().name("tail".into()).spawn(move || {
        let mut streams = Streams::default();
        while !shared.is_stopping() {
            if let Err(error) = listen(&connection, (&events, &chains), &policy, &shared, &mut streams) {
                tracing::warn!(%error, "what other instances tell is not heard; trying again");
                thread::park_timeout(PAUSE);
            }
        }
    })?;
    Ok(())
}

fn listen(
    connection: &Connection,
    (events, chains): (&str, &str),
    policy: &Policy,
    shared: &Shared,
    streams: &mut Streams,
) -> KafkaResult<()> {
    let news = &shared.news;
    // Who listens again goes on where it stopped, unless the topic ends before: then it was made anew.
    let from = |at: &TopicPartition, _first: u64, end: u64| {
        if *at.topic == *chains {
            return end.saturating_sub(PICTURES);
        }
        let heard = news.heard(streams.of(at.partition)).filter(|heard| *heard <= end);
        heard.unwrap_or_else(|| end.saturating_sub(EVENTS))
    };
    let (listener, begins) = Listener::new(connection, &[events, chains], from)?;
    for Begin { at, first, from } in begins {
        if *at.topic == *events {
            if news.heard(streams.of(at.partition)).is_some_and(|heard| heard > from) {
                streams.anew(at.partition, news);
            }
            news.begin(streams.of(at.partition), from);
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
            if news.heard(streams.of(heard.partition)).is_some_and(|next| heard.offset < next) {
                streams.anew(heard.partition, news);
                news.begin(streams.of(heard.partition), heard.offset);
            }
            if let Ok(event) = ChainEvent::decode(&*value) {
                news.tell(streams.of(heard.partition), heard.offset, event);
            }
        } else if let Some(mut view) = ChainRecord::decode(&*value).ok().as_ref().and_then(wire::chain_view) {
            veil(&mut view, policy);
            shared.live.hear(view);
        }
    }
    Ok(())
}

/// Partitions of the events, as the newsroom calls them. Each time that the topic is made anew its offsets begin anew, and so
/// does the stream: under another name, so that nobody takes what comes for what was heard.
#[derive(Default)]
struct Streams(HashMap<i32, u64>);

impl Streams {
    fn of(&self, partition: i32) -> u64 {
        let times = self.0.get(&partition).copied().unwrap_or(0);
        u64::from(partition.unsigned_abs()) | times << 32
    }

    fn anew(&mut self, partition: i32, news: &Newsroom) {
        tracing::warn!(partition, "the topic of events was made anew");
        news.end(self.of(partition));
        *self.0.entry(partition).or_default() += 1;
    }
}

//! Taking in what all instances published: events, and pictures of chains. So any instance shows any chain, and tells whoever
//! asked for something what became of it, whoever decided. How they are read is the bus's own affair.

use std::{collections::HashMap, sync::Arc};

use prost::Message as _;

use super::{Shared, news::Newsroom};
use crate::{
    policy::{Policy, payloads::veil},
    wire::{
        self,
        proto::{ChainEvent, ChainRecord},
    },
};

/// Whoever hears them, over all its connections.
pub(super) struct Hearing {
    shared: Arc<Shared>,
    policy: Policy,
    streams: Streams,
}

impl Hearing {
    /// Nothing is heard yet. `policy` says what may be shown.
    pub fn new(shared: Arc<Shared>, policy: Policy) -> Self {
        Self { shared, policy, streams: Streams::default() }
    }

    /// Whom it tells.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Up to where a partition of the events was heard; `None`: it did not begin.
    pub fn heard(&self, partition: i32) -> Option<u64> {
        self.news().heard(self.streams.of(partition))
    }

    /// A partition of the events is read from `offset` on. One of which more was heard than that was made anew.
    pub fn begin(&mut self, partition: i32, offset: u64) {
        if self.heard(partition).is_some_and(|heard| heard > offset) {
            self.streams.anew(partition, &self.shared.news);
        }
        self.news().begin(self.streams.of(partition), offset);
    }

    /// An event. Another program may write there, too: what is none is passed over.
    pub fn event(&mut self, partition: i32, offset: u64, bytes: &[u8]) {
        if self.heard(partition).is_some_and(|next| offset < next) {
            self.begin(partition, offset);
        }
        if let Ok(event) = ChainEvent::decode(bytes) {
            self.news().tell(self.streams.of(partition), offset, event);
        }
    }

    /// A picture of a chain, likewise.
    pub fn picture(&self, bytes: &[u8]) {
        if let Some(mut view) = ChainRecord::decode(bytes).ok().as_ref().and_then(wire::chain_view) {
            veil(&mut view, &self.policy);
            self.shared.live.hear(view);
        }
    }

    fn news(&self) -> &Newsroom {
        &self.shared.news
    }
}

/// Partitions of the events, as the newsroom calls them. Each time that they are made anew their offsets begin anew, and so
/// does the stream: under another name, so that nobody takes what comes for what was heard.
#[derive(Default)]
struct Streams(HashMap<i32, u64>);

impl Streams {
    fn of(&self, partition: i32) -> u64 {
        let times = self.0.get(&partition).copied().unwrap_or(0);
        u64::from(partition.unsigned_abs()) | times << 32
    }

    fn anew(&mut self, partition: i32, news: &Newsroom) {
        tracing::warn!(partition, "the events were made anew");
        news.end(self.of(partition));
        *self.0.entry(partition).or_default() += 1;
    }
}

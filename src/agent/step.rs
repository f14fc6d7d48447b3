//! The step that is being made: everything that becomes visible with the next commit.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{desk::Share, keys::Keys};
use crate::{
    audit::Act,
    bus::{
        Outgoing,
        layout::{Layout, Topics},
    },
    model::ChainView,
    policy::payloads::Payloads,
    telemetry::metrics::{Counts, Metrics},
    trust::Trust,
    wire::WireLimits,
};

/// What shards need to know of the world around them.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub topics: Topics,
    pub layout: Layout,
    pub limits: WireLimits,
    /// Whose word is believed (S8.1).
    pub trust: Arc<Trust>,
    /// The types of payloads that are known.
    pub payloads: Payloads,
    /// Set: what is for a chain that is not here may be another agent's, which hears it, too.
    pub share: Option<Share>,
    pub metrics: Arc<Metrics>,
    /// Where chains are looked for that are split over partitions.
    pub keys: Arc<Keys>,
    /// Largest record that may be written, in bytes.
    pub largest: usize,
}

/// One of the counters of an agent.
type Counter = fn(&Metrics) -> &Counts;

/// What was decided since the last commit.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Records to write, in the order in which they were decided.
    pub records: Vec<Outgoing>,
    /// Newest view of each chain that has one.
    pub views: HashMap<String, ChainView>,
    /// Commands among the records: partition number, chain and command.
    pub published: Vec<(i32, String, String)>,
    /// What operators did in it: kept before it is committed (S7.1).
    pub acts: Vec<Act>,
    /// What is counted once it is committed.
    counted: Vec<(Counter, &'static str)>,
    /// Since when there is something to say.
    pub since: Option<Instant>,
}

impl Step {
    /// Adds a record.
    pub fn write(&mut self, record: Outgoing) {
        self.records.push(record);
        self.since.get_or_insert_with(Instant::now);
    }

    /// Adds a command.
    pub fn command(&mut self, partition: i32, record: Outgoing, chain_id: String, command_id: String) {
        self.published.push((partition, chain_id, command_id));
        self.write(record);
    }

    /// Adds the newest view of a chain.
    pub fn view(&mut self, view: ChainView) {
        self.views.insert(view.chain_id.clone(), view);
        self.since.get_or_insert_with(Instant::now);
    }

    /// Counts one more of `word` when the step is committed.
    pub fn count(&mut self, counter: Counter, word: &'static str) {
        self.counted.push((counter, word));
    }

    /// Counts what was to be counted.
    pub fn tell(&self, metrics: &Metrics) {
        for (counter, word) in &self.counted {
            counter(metrics).add(word);
        }
    }

    /// Forgets everything: it was committed, or never will be.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

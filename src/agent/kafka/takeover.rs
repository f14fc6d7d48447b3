//! Taking partitions over: where their inputs go on, and the state that was saved for them. Nothing is published
//! meanwhile (S5.4).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use rdkafka::{Offset, error::KafkaError};

use super::{Config, worker::Worker};
use crate::{
    agent::{
        AgentError, Post, host_now,
        seal::decode,
        shard::{Shard, Start},
    },
    bus::{
        TopicPartition,
        kafka::{
            assignment::Assignment,
            consumer::{Committed, Input},
            ends::offsets,
            state_reader::{ReadError, read_state},
        },
        layout::Layout,
    },
    journal::low_water::Water,
    model::Span,
};

/// Time for the cluster to say where partitions begin or end.
const PATIENCE: Duration = Duration::from_secs(10);

impl Worker {
    /// Restores the shards of what is assigned, and says where reading goes on: at their last commit. Tries until it can
    /// or is told to stop.
    ///
    /// # Errors
    /// If there can be no producer any more.
    pub(super) fn take_over(&mut self) -> Result<Vec<(TopicPartition, u64)>, AgentError> {
        self.post.set_ready(false);
        let begun = Instant::now();
        self.shards.clear();
        self.step.clear();
        loop {
            match restore(&self.config, &self.around.layout, &self.input, &self.assigned, &self.post) {
                Ok(shards) => {
                    self.shards = shards;
                    break;
                }
                // What cannot be taken over may be gone: then other topics are read.
                Err(_) if self.post.is_stopping() || self.course.is_past(self.turns) => return Ok(Vec::new()),
                Err(failure) => {
                    self.not_taken_over(&failure)?;
                    self.course.hurry();
                    self.rest();
                }
            }
        }
        let mut offsets = Vec::new();
        for shard in self.shards.values() {
            for lane in &shard.lanes {
                let at = TopicPartition { topic: lane.topic.clone(), partition: shard.partition };
                offsets.push((at, lane.next));
            }
        }
        self.ends.watch(offsets.iter().map(|(at, _)| at.clone()).collect());
        self.around.metrics.restore_seconds.record(begun.elapsed());
        self.stand();
        self.post.set_ready(self.has_begun());
        tracing::info!(partitions = self.shards.len(), elapsed = ?begun.elapsed(), "state is restored");
        Ok(offsets)
    }
}

/// Why partitions are not taken over. Nothing was changed then, and it can be tried again.
#[derive(Debug)]
pub(super) struct Failure {
    /// What could not be read, in a sentence.
    pub why: String,
    /// State partitions with transactions that outlived every timeout, and their ends.
    pub open: Vec<(i32, u64)>,
}

impl Failure {
    /// As metrics call it.
    pub fn word(&self) -> &'static str {
        if self.open.is_empty() { "unreadable" } else { "open_transaction" }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { why, open: Vec::new() }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let why = error.to_string();
        let open = if let ReadError::Open(open) = error { open } else { Vec::new() };
        Self { why, open: open.into_iter().map(|(at, end)| (at.partition, end)).collect() }
    }
}

/// The shards of an assignment, as of their last commit.
///
/// # Errors
/// [`Failure`].
pub(super) fn restore(
    config: &Config,
    layout: &Layout,
    input: &Input,
    assignment: &Assignment,
    post: &Post,
) -> Result<BTreeMap<i32, Shard>, Failure> {
    if assignment.partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    // First the offsets, then the state: both are of one transaction, and state that is newer than the offsets only
    // makes messages be read that it already holds.
    let mut starts = starts(config, layout, input, assignment)?;
    let mut state = read_state(&config.connection, &config.topics.state, &assignment.partitions, &|| {
        // However much there is to read, this is no hanging.
        post.beat();
        !post.is_stopping()
    })?;
    let mut shards = BTreeMap::new();
    for &partition in &assignment.partitions {
        let lanes = starts.remove(&partition).unwrap_or_default();
        let collected = state.remove(&partition).unwrap_or_default();
        let host = host_now();
        let (mut shard, restored) =
            Shard::restore(partition, layout, &config.policy, config.align_wait, &lanes, collected, host);
        for what in &restored.unreadable {
            tracing::error!(partition, what, "state that cannot be read is left where it is");
        }
        let fresh = lanes.iter().any(|&(_, fresh)| fresh);
        if fresh && config.from_beginning {
            shard.engine.set_catching_up();
        }
        tracing::info!(
            partition,
            records = restored.records,
            chains = restored.chains.len(),
            closed = restored.closed.len(),
            "partition taken over"
        );
        shards.insert(partition, shard);
    }
    Ok(shards)
}

/// Where each lane of each partition number begins.
fn starts(
    config: &Config,
    layout: &Layout,
    input: &Input,
    assignment: &Assignment,
) -> Result<BTreeMap<i32, Vec<Start>>, String> {
    let all = assignment.topic_partitions(layout);
    let committed = input.committed(&all).map_err(unknown_offsets)?;
    let begins = begins(config, layout, &all, &committed)?;
    let mut starts: BTreeMap<i32, Vec<Start>> = BTreeMap::new();
    for (at, start) in all.into_iter().zip(begins) {
        starts.entry(at.partition).or_default().push(start);
    }
    Ok(starts)
}

/// That the coordinator does not tell the committed offsets.
pub(super) fn unknown_offsets(error: KafkaError) -> String {
    format!("the committed offsets: {error}")
}

/// How far before the others a partition begins that was never read, while they were: more than the time between two looks at
/// which topics there are.
const MARGIN: Span = Span::mins(1);

/// Where reading of each of these partitions begins, in their order: where it was committed, else, for the first time, where
/// the configuration says. Where others of the same number were read before, one that never was begins at the time that they
/// have reached, and a topic that was made meanwhile, or whose log ends before what was committed, at its beginning.
pub(super) fn begins(
    config: &Config,
    layout: &Layout,
    all: &[TopicPartition],
    committed: &HashMap<TopicPartition, Committed>,
) -> Result<Vec<Start>, String> {
    let watcher = config.connection.watcher().map_err(|error| error.to_string())?;
    let ask = |partitions: &[TopicPartition], which| {
        offsets(&watcher, partitions, which, PATIENCE).map_err(|error| format!("where to begin: {error}"))
    };
    let ends = ask(all, Offset::End)?;
    let mut known: HashMap<&TopicPartition, Start> = HashMap::new();
    let mut cut_short: HashSet<&TopicPartition> = HashSet::new();
    for (at, committed) in committed {
        match committed.offset {
            Some(offset) if ends.get(at).is_some_and(|end| offset > *end) => drop(cut_short.insert(at)),
            Some(offset) => drop(known.insert(at, (decode(offset, &committed.metadata), false))),
            None => {}
        }
    }
    // All that begin alike are asked for together: a group that is new asks for many.
    let mut questions: Vec<(Offset, Vec<TopicPartition>)> = Vec::new();
    for at in all.iter().filter(|at| !known.contains_key(at)) {
        let clocks = |others: bool| {
            let of_number = known.iter().filter(move |(one, _)| others || one.partition == at.partition);
            of_number.filter_map(|(_, (water, _))| water.clock).min()
        };
        let first = config.from_beginning || layout.newborn.contains(&at.topic) || cut_short.contains(at);
        let which = match clocks(false).or_else(|| clocks(true)) {
            _ if first => Offset::Beginning,
            Some(clock) => Offset::Offset(clock.0.saturating_sub_unsigned(MARGIN.0).max(0)),
            None => Offset::End,
        };
        match questions.iter_mut().find(|(known, _)| *known == which) {
            Some((_, partitions)) => partitions.push(at.clone()),
            None => questions.push((which, vec![at.clone()])),
        }
    }
    let mut found: HashMap<TopicPartition, u64> = HashMap::new();
    for (which, partitions) in &questions {
        if let Offset::Offset(_) = which {
            // Where nothing is as new as that it begins at the end.
            found.extend(partitions.iter().filter_map(|at| Some((at.clone(), *ends.get(at)?))));
        }
        found.extend(ask(partitions, *which)?);
    }
    let begin = |at: &TopicPartition| {
        let fresh = || found.get(at).map(|&offset| (Water { offset, clock: None, applied: offset }, true));
        let start = known.get(at).copied().or_else(fresh);
        start.ok_or_else(|| format!("{at} does not say where it begins"))
    };
    all.iter().map(begin).collect()
}

//! The worker: read, let the shards decide, commit; over and over on one thread.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    AgentError, Config, Shared,
    dead_letters::{DETAIL, REASON},
    edges::Printer,
    host_now, outgoing,
    reading::{is_idle, mark_ends, role_word},
    seal::Sealing,
    shard::Shard,
    step::{Step, Surroundings},
    takeover,
};
use crate::{
    bus::kafka::{
        TopicPartition,
        assignment::Assignment,
        connection::MAX_RECORD_BYTES,
        consumer::{Input, Polled},
        ends::Watch,
        producer::{CommitError, Output},
        topics::{Layout, Maker},
    },
    model::{HostTime, Span},
};

/// Records read in one turn at most, so that time and commits come round.
const BATCH: usize = 2_000;

/// Longest wait for a record: how exactly command clocks run, and how soon a stop is seen.
const MAX_WAIT: Span = Span::millis(50);

/// Wait while something is due but its partition is not read to its end.
const BLOCKED_WAIT: Span = Span::millis(10);

/// Time between a commit and the next step's first record. The broker still writes the markers of the last commit before
/// that, and makes the client wait 20 ms for asking too early.
const COMMIT_GAP: Duration = Duration::from_millis(5);

/// Records of one lane that may wait here before reading of it is held back, and from which it goes on.
const HOLD_ABOVE: usize = 20_000;
const RESUME_BELOW: usize = 5_000;

/// Largest record once a topic refused one: Kafka's default limit of 1 MiB, less the batch's own bytes.
const CAREFUL_RECORD_BYTES: usize = 1_000_000;

/// How long the transaction coordinator is waited for at the start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Fencings within [`FENCE_WINDOW`] that show a second instance of the same name. One alone is a transaction that
/// outlived its timeout.
const MAX_FENCED: usize = 3;
const FENCE_WINDOW: Duration = Duration::from_secs(60);

/// Waits after failures of a kind that may come again at once: it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A worker.
pub(super) struct Worker {
    config: Config,
    around: Surroundings,
    maker: Maker,
    input: Input,
    output: Output,
    ends: Watch,
    shards: BTreeMap<i32, Shard>,
    lanes: HashMap<Arc<str>, usize>,
    assigned: Assignment,
    step: Step,
    shared: Arc<Shared>,
    printer: Option<Printer>,
    committed_at: Instant,
    fenced: Vec<Instant>,
    pause: Duration,
}

impl Worker {
    /// Connects. The producer comes first: it ends what a predecessor of this name left open.
    pub fn build(
        config: Config,
        layout: Layout,
        maker: Maker,
        shared: Arc<Shared>,
        printer: Option<Printer>,
    ) -> Result<Self, AgentError> {
        let kafka = |error: rdkafka::error::KafkaError| AgentError::Kafka(error.to_string());
        let output = connect(&config, &shared, START_PATIENCE)?;
        let ends = Watch::start(&config.connection).map_err(kafka)?;
        let topics: Vec<Arc<str>> = layout.lanes.iter().map(|lane| lane.topic.clone()).collect();
        let input = Input::new(&config.connection, &topics).map_err(kafka)?;
        let around = Surroundings {
            topics: config.topics.clone(),
            layout,
            limits: config.limits.clone(),
            metrics: shared.metrics.clone(),
            largest: MAX_RECORD_BYTES - 1024,
        };
        Ok(Self {
            config,
            around,
            maker,
            input,
            output,
            ends,
            shards: BTreeMap::new(),
            lanes: topics.into_iter().zip(0..).collect(),
            assigned: Assignment::default(),
            step: Step::default(),
            shared,
            printer,
            committed_at: Instant::now(),
            fenced: Vec::new(),
            pause: FIRST_PAUSE,
        })
    }

    /// Works until it is told to stop, and commits what it has then.
    pub fn run(mut self) -> Result<(), AgentError> {
        while !self.shared.is_stopping() {
            self.shared.beat();
            self.turn()?;
        }
        self.shared.set_ready(false);
        self.settle_up()
    }

    fn turn(&mut self) -> Result<(), AgentError> {
        self.read()?;
        let now = host_now();
        for shard in self.shards.values_mut() {
            mark_ends(shard, &self.input, &self.ends);
            shard.apply_all(now, &self.around, &mut self.step);
            mark_ends(shard, &self.input, &self.ends);
            shard.advance(now, &self.around, &mut self.step);
        }
        self.hold_back();
        if self.is_time_to_commit(now) {
            self.commit(self.config.snapshot_after)?;
        }
        Ok(())
    }

    /// Waits for the first record until something else is due, and takes what else is there.
    fn read(&mut self) -> Result<(), AgentError> {
        let mut wait = self.wait();
        for _ in 0..BATCH {
            match self.input.poll(wait) {
                Polled::Nothing => return Ok(()),
                Polled::Record(record) => self.take(record),
                Polled::Assigned(partitions) => return self.assigned(&partitions),
                Polled::Revoked => return self.revoked(),
                Polled::Fatal { fenced: true, .. } => return Err(self.same_name()),
                Polled::Fatal { why, .. } => return Err(AgentError::Kafka(why)),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn take(&mut self, record: crate::bus::Record) {
        let lane = self.lanes.get(&record.topic).copied();
        let shard = self.shards.get_mut(&record.partition);
        if let (Some(lane), Some(shard)) = (lane, shard) {
            self.around.metrics.records.add(role_word(self.around.layout.lanes[lane].role));
            shard.push(lane, record);
        }
    }

    fn wait(&mut self) -> Duration {
        let now = host_now();
        let due = self.shards.values().filter_map(|shard| shard.next_due(self.config.snapshot_after)).min();
        let wait = match due {
            Some(due) if due <= now => BLOCKED_WAIT,
            Some(due) => due.since(now).min(MAX_WAIT),
            None => MAX_WAIT,
        };
        let wait = Duration::from_millis(wait.0);
        match self.step.since {
            Some(_) => wait.min(COMMIT_GAP.saturating_sub(self.committed_at.elapsed())),
            None => wait,
        }
    }

    /// Stops and resumes reading of lanes of which much waits here.
    fn hold_back(&mut self) {
        for shard in self.shards.values_mut() {
            for n in 0..shard.lanes.len() {
                let waiting = shard.merge.waiting(n);
                let lane = &mut shard.lanes[n];
                let pause = if lane.paused { waiting > RESUME_BELOW } else { waiting > HOLD_ABOVE };
                if pause != lane.paused {
                    let at = TopicPartition { topic: lane.topic.clone(), partition: shard.partition };
                    match self.input.pause(&at, pause) {
                        Ok(()) => lane.paused = pause,
                        Err(error) => tracing::warn!(%error, %at, "holding back"),
                    }
                }
            }
        }
    }

    /// What is decided goes out soon, and together with what comes within a moment; mere progress waits longer.
    fn is_time_to_commit(&mut self, now: HostTime) -> bool {
        let since_commit = self.committed_at.elapsed();
        if since_commit < COMMIT_GAP {
            return false;
        }
        let snapshot_after = self.config.snapshot_after;
        let outputs = self.step.since.is_some() || self.shards.values().any(Shard::has_saves);
        let within = Duration::from_millis(self.config.commit_within.0);
        let quiet = Duration::from_millis(self.config.commit_quiet.0);
        match (outputs, self.step.since) {
            // Whoever reads to the end has nothing to gather any more.
            (true, Some(since)) => since.elapsed() >= within || self.shards.values().all(is_idle),
            (true, None) => true,
            (false, _) => {
                since_commit >= quiet && self.shards.values_mut().any(|shard| shard.has_progress(snapshot_after, now))
            }
        }
    }

    fn commit(&mut self, snapshot_after: Span) -> Result<(), AgentError> {
        match self.try_commit(snapshot_after) {
            Ok(()) => {
                self.pause = FIRST_PAUSE;
                Ok(())
            }
            Err(error) => self.recover(&error),
        }
    }

    /// Commits the step in one transaction, and tells what it made true.
    fn try_commit(&mut self, snapshot_after: Span) -> Result<(), CommitError> {
        let host = host_now();
        let settings = &self.config.policy.settings;
        let sealing = Sealing {
            topic: &self.around.topics.state,
            snapshot_after,
            keep_closed: Span(settings.max_age.0.saturating_add(settings.linger.0)),
            host,
        };
        let pictures = self.step.views.values().map(|view| outgoing::picture(&self.around.topics, view));
        self.step.records.extend(pictures);
        let mut progress = Vec::new();
        let mut saved = 0;
        for shard in self.shards.values_mut() {
            let (moved, chains) = shard.seal(sealing, &mut self.step.records);
            progress.extend(moved);
            saved += chains;
        }
        if self.step.records.is_empty() && progress.is_empty() {
            self.step.clear();
            return Ok(());
        }
        self.secure_topics();
        let Some(group) = self.input.group_metadata() else {
            let why = "the consumer is in no group".to_owned();
            return Err(CommitError { fenced: false, too_large: false, why });
        };
        let begun = Instant::now();
        self.output.commit(&self.step.records, &progress, &group)?;
        self.committed_at = Instant::now();
        let metrics = &self.around.metrics;
        metrics.commits.add("committed");
        metrics.commit_seconds.record(begun.elapsed());
        metrics.snapshots.fetch_add(saved, Ordering::Relaxed);
        if let Some(since) = self.step.since {
            metrics.visible_seconds.record(since.elapsed());
        }
        self.tell();
        Ok(())
    }

    /// After a commit: clocks of commands begin, views and counters become visible.
    fn tell(&mut self) {
        let step = std::mem::take(&mut self.step);
        step.tell(&self.around.metrics);
        for (partition, chain_id, command_id) in &step.published {
            if let Some(shard) = self.shards.get_mut(partition) {
                shard.published(chain_id, command_id);
            }
        }
        for view in step.views.into_values() {
            let revision = view.verdict.as_ref().map_or(0, |verdict| verdict.revision);
            let told = self.shared.live.put(view.clone());
            if let Some(printer) = self.printer.as_ref().filter(|_| revision > told) {
                printer.tell(&view);
            }
        }
        let (mut chains, mut memory) = (0, 0);
        for shard in self.shards.values_mut() {
            let (before, now) = shard.take_stats();
            self.around.metrics.engine(before, now);
            chains += shard.engine.chains();
            memory += shard.engine.memory();
        }
        self.shared.set_ready(self.has_begun());
        self.around.metrics.chains.store(chains as u64, Ordering::Relaxed);
        self.around.metrics.memory_bytes.store(memory as u64, Ordering::Relaxed);
    }

    /// Whether it is committed where every lane began: from then on no restart passes a message by.
    fn has_begun(&self) -> bool {
        let whole = self.assigned.strays.is_empty();
        whole && self.shards.values().all(|shard| shard.lanes.iter().all(|lane| lane.committed.is_some()))
    }

    /// Sees to it that every topic is there before the commit: a record for one that is not would be tried for ever
    /// (S5.15). The topic of a service is made when it gets its first command; other routes must exist.
    fn secure_topics(&mut self) {
        let topics = &self.around.topics;
        for record in &mut self.step.records {
            if self.maker.knows(&record.topic) {
                continue;
            }
            let secured = if topics.is_for_commands(&record.topic) {
                self.maker.make(&record.topic, &[])
            } else {
                self.maker.look_for(&record.topic)
            };
            if let Err(error) = secured {
                tracing::error!(topic = record.topic, %error, "a command goes to the dead letters");
                self.around.metrics.dead_letters.add("no_route");
                record.topic.clone_from(&topics.dead_letters);
                record.headers.push((REASON.to_owned(), Some(b"no_route".to_vec())));
                record.headers.push((DETAIL.to_owned(), Some(error.to_string().into_bytes())));
            }
        }
    }

    /// After a commit that failed: everything goes back to the last one that did not.
    fn recover(&mut self, error: &CommitError) -> Result<(), AgentError> {
        self.renew(error)?;
        self.rest();
        let offsets = self.take_over();
        self.input.rewind(&offsets).map_err(|error| AgentError::Kafka(error.to_string()))
    }

    /// After a commit that failed: a new producer.
    fn renew(&mut self, error: &CommitError) -> Result<(), AgentError> {
        tracing::warn!(%error, "a step is not committed and will be made again");
        self.around.metrics.commits.add(if error.fenced { "fenced" } else { "failed" });
        if error.too_large {
            self.around.largest = CAREFUL_RECORD_BYTES;
        }
        if error.fenced {
            self.fenced.retain(|at| at.elapsed() < FENCE_WINDOW);
            self.fenced.push(Instant::now());
            if self.fenced.len() >= MAX_FENCED {
                return Err(self.same_name());
            }
        }
        // However long the brokers are away.
        self.output = connect(&self.config, &self.shared, Duration::MAX)?;
        Ok(())
    }

    /// Waits a little before something that just failed is tried again. Rebalances wait with it.
    fn rest(&mut self) {
        let until = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        while Instant::now() < until && !self.shared.is_stopping() {
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()).min(FIRST_PAUSE));
        }
    }

    fn same_name(&self) -> AgentError {
        AgentError::SameName(self.config.connection.instance.clone())
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<(), AgentError> {
        self.assigned = Assignment::of(partitions, &self.around.layout);
        let offsets = self.take_over();
        self.input.assign(&offsets).map_err(|error| AgentError::Kafka(error.to_string()))?;
        if !self.assigned.strays.is_empty() {
            let strays: Vec<String> = self.assigned.strays.iter().map(ToString::to_string).collect();
            tracing::error!(?strays, "assigned in part only: do all instances of the group read the same topics?");
            // A topic that is new shows to one broker before it shows to another: the group is asked to share out anew.
            self.rest();
            self.input.rejoin().map_err(|error| AgentError::Kafka(error.to_string()))?;
        }
        Ok(())
    }

    /// Restores the shards of what is assigned, and says where reading goes on: at their last commit. Tries until it can
    /// or is told to stop.
    fn take_over(&mut self) -> Vec<(TopicPartition, u64)> {
        self.shared.set_ready(false);
        let begun = Instant::now();
        self.shards.clear();
        self.step.clear();
        loop {
            match takeover::restore(&self.config, &self.around.layout, &self.input, &self.assigned) {
                Ok(shards) => {
                    self.shards = shards;
                    break;
                }
                Err(_) if self.shared.is_stopping() => return Vec::new(),
                Err(why) => {
                    tracing::warn!(why, "taking partitions over");
                    self.shared.beat();
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
        self.around.metrics.partitions.store(self.shards.len() as u64, Ordering::Relaxed);
        self.shared.set_ready(self.has_begun());
        tracing::info!(partitions = self.shards.len(), elapsed = ?begun.elapsed(), "state is restored");
        offsets
    }

    /// Another instance gets partitions: what is decided is committed while they are still ours.
    fn revoked(&mut self) -> Result<(), AgentError> {
        self.shared.set_ready(false);
        let committed = self.try_commit(Span::ZERO);
        self.shards.clear();
        self.step.clear();
        self.assigned = Assignment::default();
        self.ends.watch(Vec::new());
        self.around.metrics.partitions.store(0, Ordering::Relaxed);
        if let Err(error) = committed {
            self.renew(&error)?;
        }
        self.input.release().map_err(|error| AgentError::Kafka(error.to_string()))
    }

    /// At the end of its life: everything is saved, so that the next one reads nothing again.
    fn settle_up(mut self) -> Result<(), AgentError> {
        match self.try_commit(Span::ZERO) {
            Ok(()) => {}
            // The next one starts from the last commit; nothing is lost.
            Err(error) => tracing::warn!(%error, "the last step is not committed"),
        }
        Ok(())
    }
}

/// A new producer, which fences a predecessor of its name and ends what that left open.
fn connect(config: &Config, shared: &Arc<Shared>, patience: Duration) -> Result<Output, AgentError> {
    let shared = shared.clone();
    let waits = Box::new(move || {
        shared.beat();
        !shared.is_stopping()
    });
    Output::new(&config.connection, 0, patience, waits).map_err(|error| AgentError::Kafka(error.to_string()))
}

//! The worker on a local journal: receive, let the shards decide, commit, acknowledge, publish. It reads no clock: the time
//! is told to it, so that the demo and the tests can let it pass as they like.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use prost::Message as _;

use super::{Arrival, Bus, Config, Place};
use crate::{
    agent::{
        Post, Shared,
        edges::Printer,
        outgoing,
        seal::{decode, seal_all},
        shard::{Shard, Start},
        step::{Step, Surroundings},
        tell,
    },
    bus::{Outgoing, Record, TopicPartition},
    journal::{
        local::{Batch, Change, Journal, JournalError, Letter},
        low_water::Water,
    },
    model::{HostTime, Span},
    wire::proto::ChainEvent,
};

/// Letters that may be on their way; while there are more nothing is received.
const MAX_ON_THE_WAY: usize = 10_000;

/// Messages of one partition number that are applied in one turn at most, so that time and commits come round.
const BATCH: usize = 2_000;

/// How often it is told what the worker has, where no commit does.
const STANDING: Span = Span::millis(250);

/// Longest time in which mere progress is not committed.
const QUIET: Span = Span::secs(1);

/// Messages that come at once from which on there is a backlog: commands wait for each other then, as everything does.
const MANY: usize = 256;

/// A worker on a bus.
pub struct Worker<B> {
    config: Config,
    around: Surroundings,
    bus: B,
    journal: Journal,
    shards: BTreeMap<i32, Shard>,
    /// The lanes of the layout by topic.
    lanes: HashMap<Arc<str>, usize>,
    step: Step,
    /// What was received since the last commit.
    received: Vec<Record>,
    /// The identities of these.
    identities: HashSet<u128>,
    /// Where inputs are read on after these, of a bus that does not know by itself.
    places: BTreeMap<TopicPartition, u64>,
    /// What was handed to the bus and is not confirmed, by number: which of it are commands.
    on_the_way: HashMap<u64, Option<(i32, String, String)>>,
    post: Post,
    printer: Option<Printer>,
    committed_at: HostTime,
    /// Many messages came at once.
    is_behind: bool,
    /// When it was last told what the worker has.
    stood_at: HostTime,
}

impl<B: Bus> Worker<B> {
    /// Opens the journal and takes back what stands in it, as of host time `now`. Failing edges are printed as they are
    /// committed, if there is a `printer`.
    ///
    /// # Errors
    /// [`JournalError`], and the bus back.
    pub fn new(
        config: Config,
        bus: B,
        shared: Arc<Shared>,
        printer: Option<Printer>,
        now: HostTime,
    ) -> Result<Self, (JournalError, B)> {
        let journal = match Journal::open(&config.journal, config.durability) {
            Ok(journal) => journal,
            Err(error) => return Err((error, bus)),
        };
        let around = Surroundings {
            topics: config.topics.clone(),
            layout: config.layout.clone(),
            limits: config.limits.clone(),
            trust: config.trust.clone(),
            payloads: config.policy.catalogue.payloads.clone(),
            share: config.share.clone(),
            metrics: shared.metrics.clone(),
            keys: Arc::default(),
            largest: config.largest,
        };
        let lanes = config.layout.topics().into_iter().zip(0..).collect();
        let mut worker = Self {
            config,
            around,
            bus,
            journal,
            shards: BTreeMap::new(),
            lanes,
            step: Step::default(),
            received: Vec::new(),
            identities: HashSet::new(),
            places: BTreeMap::new(),
            on_the_way: HashMap::new(),
            post: Post::new(shared, 0),
            printer,
            committed_at: now,
            is_behind: false,
            stood_at: now,
        };
        match worker.take_back(now) {
            Ok(()) => Ok(worker),
            Err(error) => Err((error, worker.bus)),
        }
    }

    /// The shards as they were committed, the inputs that no state holds, and what was not published.
    fn take_back(&mut self, now: HostTime) -> Result<(), JournalError> {
        let begun = Instant::now();
        let mut places = Vec::new();
        for partition in 0..self.config.layout.partitions {
            let mut starts: Vec<Start> = Vec::new();
            for lane in &self.config.layout.lanes {
                let at = TopicPartition { topic: lane.topic.clone(), partition };
                places.extend(self.journal.place(&at)?.map(|place| (at.clone(), place)));
                let start = match self.journal.mark(&at)? {
                    Some(mark) => (decode(mark.offset, &mark.metadata), false),
                    None => (Water { offset: 0, clock: None, applied: 0 }, true),
                };
                starts.push(start);
            }
            let state = self.journal.state(partition)?;
            let Config { layout, policy, align_wait, .. } = &self.config;
            let (mut shard, restored) = Shard::restore(partition, layout, policy, *align_wait, &starts, state, now);
            for what in &restored.unreadable {
                tracing::error!(partition, what, "state that cannot be read is left where it is");
            }
            for (n, lane) in layout.lanes.iter().enumerate() {
                for record in self.journal.inputs(&TopicPartition { topic: lane.topic.clone(), partition })? {
                    shard.push(n, record);
                }
            }
            // Nobody else tells of them: no bus keeps what was published before this life.
            let views = restored.chains.iter().filter_map(|(_, chain_id, _)| shard.engine.notable_view(chain_id));
            views.for_each(|view| {
                self.post.show(view);
            });
            tracing::debug!(partition, chains = restored.chains.len(), "partition taken back");
            self.shards.insert(partition, shard);
        }
        let begin = self.bus.begin(&places);
        begin.map_err(|error| JournalError::Disk(self.config.journal.clone(), format!("the bus: {error}")))?;
        for letter in self.journal.outbox()? {
            if let Some((partition, chain_id, command_id)) = &letter.command
                && let Some(shard) = self.shards.get_mut(partition)
            {
                shard.engine.is_on_its_way(chain_id, command_id);
            }
            self.bus.publish(letter.number, &letter.record, now);
            self.on_the_way.insert(letter.number, letter.command);
        }
        self.post.metrics.restore_seconds.record(begun.elapsed());
        self.stand(now);
        self.tell_readiness(now);
        Ok(())
    }

    fn tell_readiness(&self, now: HostTime) {
        if !self.bus.is_heard() {
            self.post.news.stand_alone(now);
        }
        match self.bus.trouble() {
            None if self.post.is_ready() => {}
            None => self.post.set_ready(true),
            Some(why) => {
                self.post.set_ready(false);
                self.post.set_waiting(&why);
            }
        }
    }

    /// Receives for at most `wait`, decides what is to be decided at `now`, and commits if it is time to.
    ///
    /// # Errors
    /// [`JournalError`]: nothing that was received since the last commit is acknowledged. Drop the worker and make another.
    pub fn turn(&mut self, now: HostTime, wait: Duration) -> Result<(), JournalError> {
        self.post.beat();
        self.tell_readiness(now);
        self.receive(wait);
        self.decide(now);
        if self.is_time_to_commit(now) {
            self.commit(now, self.config.snapshot_after)?;
        }
        self.settle_letters()
    }

    /// Gives the bus back, for another worker.
    #[must_use]
    pub fn into_bus(self) -> B {
        self.bus
    }

    /// Commits what there is, and saves everything: the next one reads nothing again.
    ///
    /// # Errors
    /// As [`Worker::turn`].
    pub fn settle_up(&mut self, now: HostTime) -> Result<(), JournalError> {
        self.post.set_ready(false);
        self.commit(now, Span::ZERO)?;
        self.settle_letters()
    }

    /// Whether the bus has taken all that was decided, as far as it has said so.
    ///
    /// # Errors
    /// As [`Worker::turn`].
    pub fn is_all_published(&mut self) -> Result<bool, JournalError> {
        self.settle_letters()?;
        Ok(self.on_the_way.is_empty())
    }

    /// The host time at which something falls due here although nothing comes.
    #[must_use]
    pub fn next_due(&self, now: HostTime) -> Option<HostTime> {
        self.shards.values().filter_map(|shard| shard.next_due(now, self.config.snapshot_after)).min()
    }

    fn receive(&mut self, wait: Duration) {
        if self.on_the_way.len() >= MAX_ON_THE_WAY {
            // What is held back wakes nobody, and what is confirmed need not either: this is no time to hurry.
            thread::park_timeout(wait);
            return;
        }
        let arrivals = self.bus.receive(wait);
        let came = !arrivals.is_empty();
        self.is_behind = arrivals.len() >= MANY;
        for Arrival { mut record, identity, again, place } in arrivals {
            if let Some(place) = place {
                self.places.insert(TopicPartition { topic: record.topic.clone(), partition: record.partition }, place);
            }
            if again && (self.journal.has_seen(identity) || self.identities.contains(&identity)) {
                self.around.metrics.redelivered.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let lane = self.lanes.get(&record.topic).copied();
            let shard = self.shards.get_mut(&record.partition);
            let (Some(lane), Some(shard)) = (lane, shard) else { continue };
            self.around.metrics.records.add(shard.lanes[lane].role.word());
            self.identities.insert(identity);
            record.offset = shard.lanes[lane].next;
            self.received.push(record.clone());
            shard.push(lane, record);
        }
        if came && self.received.is_empty() {
            // All of it is in the journal already, and nothing may come that would be committed.
            self.bus.acknowledge();
        }
    }

    fn decide(&mut self, now: HostTime) {
        let as_of = self.bus.as_of(now);
        if self.bus.has_lost_routes() {
            self.shards.values_mut().for_each(|shard| shard.engine.forget_routes());
        }
        for shard in self.shards.values_mut() {
            for n in 0..shard.lanes.len() {
                let held = shard.is_held(n);
                let lane = &mut shard.lanes[n];
                if held != lane.paused {
                    lane.paused = held;
                    self.bus.hold(&lane.topic, shard.partition, held);
                }
                shard.merge.set_at_end(n, self.bus.is_at_end(&shard.lanes[n].topic, shard.partition));
            }
            shard.apply_due(BATCH, now, &self.around, &mut self.step);
            shard.advance(as_of, &self.around, &mut self.step);
            let bus = &mut self.bus;
            shard.answer_seeks(&self.around, &mut self.step, |topic, anew| bus.leads(topic, anew));
        }
        if now.since(self.stood_at) >= STANDING {
            self.stand(now);
        }
    }

    fn is_time_to_commit(&mut self, now: HostTime) -> bool {
        let since = now.since(self.committed_at);
        let has_news =
            self.step.since.is_some() || !self.received.is_empty() || self.shards.values().any(Shard::has_saves);
        if has_news {
            // Somebody waits for a command; where much comes, many go out together.
            let is_behind = self.is_behind || self.shards.values().any(Shard::is_behind);
            let is_urgent = !self.step.published.is_empty() && !is_behind;
            return is_urgent || since >= self.config.commit_within || self.shards.values().all(Shard::is_idle);
        }
        let snapshot_after = self.config.snapshot_after;
        since >= QUIET && self.shards.values_mut().any(|shard| shard.has_progress(snapshot_after, now))
    }

    /// One durable batch; then the inputs are acknowledged, and what was decided is published.
    fn commit(&mut self, now: HostTime, snapshot_after: Span) -> Result<(), JournalError> {
        self.committed_at = now;
        let settings = &self.config.policy.settings;
        let (progress, saved) = seal_all(&mut self.step, &mut self.shards, &self.around, settings, snapshot_after, now);
        let records = std::mem::take(&mut self.step.records);
        if records.is_empty() && progress.is_empty() && self.received.is_empty() {
            self.step.clear();
            return Ok(());
        }
        let (state, letters) = self.sort(records);
        // Before it takes effect; should the commit fail, it is made again, and then it stands there twice.
        let acts = std::mem::take(&mut self.step.acts);
        let at = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default().to_string();
        if let Err(error) = self.config.audit.append(acts, &at) {
            return Err(JournalError::Disk(self.config.audit.path().to_owned(), error.to_string()));
        }
        let begun = Instant::now();
        let seen: Vec<u128> = self.identities.drain().collect();
        let places: Vec<Place> = std::mem::take(&mut self.places).into_iter().collect();
        let batch = Batch { inputs: &self.received, places: &places, state, progress, seen: &seen, outbox: &letters };
        self.journal.commit(batch)?;
        self.received.clear();
        self.bus.acknowledge();
        tell::measured(&self.around.metrics, begun.elapsed(), saved, self.step.since);
        // The clocks of commands begin when the bus has them.
        self.step.published.clear();
        tell::committed(std::mem::take(&mut self.step), &mut self.shards, &self.post, self.printer.as_ref());
        self.stand(now);
        for letter in letters {
            self.bus.publish(letter.number, &letter.record, now);
            if !self.bus.is_heard()
                && letter.record.topic == self.around.topics.events
                && let Some(event) = letter.record.payload.as_deref().and_then(|bytes| ChainEvent::decode(bytes).ok())
            {
                self.post.news.tell_own(event);
            }
            self.on_the_way.insert(letter.number, letter.command);
        }
        Ok(())
    }

    /// Tells what the worker has now. How much waits on the bus it does not know.
    fn stand(&mut self, now: HostTime) {
        self.stood_at = now;
        tell::standing(&self.shards, &self.post, |_, _| None);
    }

    /// Parts what is decided into state and what is to be published.
    fn sort(&mut self, records: Vec<Outgoing>) -> (Vec<Change>, Vec<Letter>) {
        let mut commands: HashMap<String, (i32, String)> = std::mem::take(&mut self.step.published)
            .into_iter()
            .map(|(partition, chain_id, command_id)| (command_id, (partition, chain_id)))
            .collect();
        let (mut kept, mut letters) = (Vec::new(), Vec::new());
        for record in records {
            if record.topic == self.around.topics.state {
                kept.push((record.partition.unwrap_or(0), record.key.unwrap_or_default(), record.payload));
                continue;
            }
            let id = record.headers.iter().find(|(name, _)| name == outgoing::COMMAND_ID);
            let id = id.and_then(|(_, value)| String::from_utf8(value.clone()?).ok());
            let command = id.and_then(|id| commands.remove(&id).map(|(partition, chain_id)| (partition, chain_id, id)));
            letters.push(Letter { number: self.journal.number(), record, command });
        }
        (kept, letters)
    }

    /// What the bus has confirmed leaves the outbox, and clocks of commands begin (S5.13).
    fn settle_letters(&mut self) -> Result<(), JournalError> {
        let confirmed = self.bus.confirmed();
        if confirmed.is_empty() {
            return Ok(());
        }
        for number in &confirmed {
            if let Some(Some((partition, chain_id, command_id))) = self.on_the_way.remove(number)
                && let Some(shard) = self.shards.get_mut(&partition)
            {
                shard.published(&chain_id, &command_id);
            }
        }
        self.journal.published(&confirmed)
    }
}

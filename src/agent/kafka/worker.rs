//! The worker: read, let the shards decide, commit; over and over on one thread.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Config,
    carrier::Carrier,
    commit::leads,
    course::Course,
    opening::Opening,
    reading::{lag, mark_ends},
};
use crate::{
    agent::{
        AgentError, Post,
        edges::Printer,
        host_now,
        keys::Keys,
        pause::Pause,
        shard::Shard,
        step::{Step, Surroundings},
        tell,
    },
    bus::{
        TopicPartition,
        kafka::{
            assignment::Assignment,
            connection::MAX_RECORD_BYTES,
            consumer::{Input, Polled},
            ends::{Carriage, Watch},
            producer::Output,
            topics::Maker,
        },
        layout::Layout,
    },
    model::Span,
};

/// Records read in one turn at most, and applied of one partition number, so that time and commits come round.
const BATCH: usize = 2_000;

/// Longest wait for a record: how exactly command clocks run, and how soon a stop is seen.
const MAX_WAIT: Span = Span::millis(50);

/// What a full batch counts as listening for a lane that shows nothing (S2.6). The client has more then, perhaps of that
/// lane; after as many batches as make up `align_wait` it would have shown it.
const FULL_BATCH: Span = Span::millis(1);

/// Wait while something is due but its partition is not known to be read to its end: about the time of an answer.
const BLOCKED_WAIT: Span = Span::millis(5);

/// Time between a commit and the next step's first record. The broker still writes the markers of the last commit before
/// that, and makes the client wait 20 ms for asking too early.
pub(super) const COMMIT_GAP: Duration = Duration::from_millis(5);

/// How often it is told what the worker has, where no commit does.
const STANDING: Duration = Duration::from_millis(250);

/// Records of one lane that may wait here before reading of it is held back, and from which it goes on.
const HOLD_ABOVE: usize = 20_000;
const RESUME_BELOW: usize = 5_000;

/// Fencings within [`FENCE_WINDOW`] that show a second instance of the same name. One or two alone are a transaction that
/// outlived its timeout, or an answer of the broker that got lost.
const MAX_FENCED: usize = 3;
const FENCE_WINDOW: Duration = Duration::from_secs(60);

/// How long the transaction coordinator is waited for at the start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Waits before the group is asked to share out anew: they double up to the longest.
const FIRST_REJOIN: Duration = Duration::from_secs(1);
pub(super) const LONGEST_REJOIN: Duration = Duration::from_secs(30);

/// Waits after failures of a kind that may come again at once: it doubles up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A worker.
pub(super) struct Worker {
    pub(super) config: Config,
    pub(super) around: Surroundings,
    pub(super) maker: Maker,
    pub(super) input: Input,
    /// `None` only while another is made.
    pub(super) output: Option<Output>,
    pub(super) ends: Watch,
    /// Runs where partition number 0 is worked on, if anything is carried.
    pub(super) carrier: Option<Carrier>,
    /// It is committed where the carrier began: from then on nothing that it has to carry is passed by.
    pub(super) carries: bool,
    pub(super) course: Arc<Course>,
    /// How often the course had changed when it was followed.
    pub(super) turns: usize,
    /// Topics of which no progress is committed any more, while that commit is made.
    pub(super) gone: BTreeSet<Arc<str>>,
    /// When the group is asked to share out anew, since partitions of some numbers only are here, and how long is waited the
    /// next time.
    pub(super) rejoin: Option<(Instant, Duration)>,
    /// Since when the group is asked for partitions, without an answer.
    pub(super) joining: Option<Instant>,
    /// Topics of which the offsets went back.
    pub(super) anew: BTreeSet<Arc<str>>,
    pub(super) shards: BTreeMap<i32, Shard>,
    pub(super) lanes: HashMap<Arc<str>, usize>,
    /// The topic and lane of the last record.
    pub(super) last: Option<(Arc<str>, usize)>,
    /// What of the records that were read is not told yet.
    counted: (&'static str, u64),
    pub(super) assigned: Assignment,
    pub(super) step: Step,
    pub(super) post: Post,
    pub(super) printer: Option<Printer>,
    pub(super) committed_at: Instant,
    /// How long the last commit took.
    pub(super) commit_took: Duration,
    /// More was there than was taken at once.
    pub(super) is_behind: bool,
    /// When it was last told what the worker has.
    stood_at: Instant,
    /// When the last batch of records was read.
    pub(super) read_at: Instant,
    pub(super) fenced: Vec<Instant>,
    pub(super) pause: Pause,
    /// By partition of the state topic, where the last record that this worker committed there ends.
    pub(super) written: HashMap<i32, u64>,
}

impl Worker {
    /// Connects. The producer comes first: it ends what a predecessor of this name left open.
    pub fn build(
        config: Config,
        Opening { layout, there, .. }: Opening,
        course: Arc<Course>,
        post: Post,
        keys: Arc<Keys>,
        printer: Option<Printer>,
    ) -> Result<Self, AgentError> {
        let maker = Maker::new(&config.connection, layout.partitions, &there)?;
        let output = connect(&config, &post, START_PATIENCE)?;
        let ends = watch(&config, &layout)?;
        let topics = layout.topics();
        let input = join(&config, &layout, &post)?;
        let around = Surroundings {
            topics: config.topics.clone(),
            layout,
            limits: config.limits.clone(),
            trust: config.trust.clone(),
            payloads: config.policy.catalogue.payloads.clone(),
            share: None,
            metrics: post.metrics.clone(),
            keys,
            largest: MAX_RECORD_BYTES - 1024,
        };
        Ok(Self {
            config,
            around,
            maker,
            input,
            output: Some(output),
            ends,
            carrier: None,
            carries: false,
            course,
            turns: 0,
            gone: BTreeSet::new(),
            rejoin: None,
            joining: Some(Instant::now()),
            anew: BTreeSet::new(),
            shards: BTreeMap::new(),
            lanes: topics.into_iter().zip(0..).collect(),
            last: None,
            counted: ("", 0),
            assigned: Assignment::default(),
            step: Step::default(),
            post,
            printer,
            committed_at: Instant::now(),
            commit_took: Duration::ZERO,
            is_behind: false,
            stood_at: Instant::now(),
            read_at: Instant::now(),
            fenced: Vec::new(),
            pause: Pause::new(FIRST_PAUSE, LONGEST_PAUSE),
            written: HashMap::new(),
        })
    }

    /// Works until it is told to stop, and commits what it has then.
    pub fn run(mut self) -> Result<(), AgentError> {
        while !self.post.is_stopping() {
            self.post.beat();
            self.follow_the_course()?;
            self.turn()?;
        }
        self.post.set_ready(false);
        self.settle_up()
    }

    fn turn(&mut self) -> Result<(), AgentError> {
        self.read()?;
        self.tell_counted();
        if !self.anew.is_empty() {
            return self.begin_anew();
        }
        let now = host_now();
        let ends = self.ends.ends();
        self.post.set_silent(ends.are_silent());
        if !self.carries && ends.are_all_carried() {
            self.carries = true;
            self.post.set_ready(self.has_begun());
        }
        // What the bus had before this instant is below the ends: time goes so far, and not to where something may
        // still be on its way to us.
        let as_of = ends.as_of();
        let mut is_awaited = false;
        for shard in self.shards.values_mut() {
            mark_ends(shard, &self.input, &ends);
            shard.apply_due(BATCH, now, &self.around, &mut self.step);
            mark_ends(shard, &self.input, &ends);
            shard.advance(as_of.unwrap_or(now), &self.around, &mut self.step);
            let (maker, topics, post) = (&mut self.maker, &self.around.topics, &self.post);
            shard.answer_seeks(&self.around, &mut self.step, |topic, anew| leads(maker, topics, post, topic, anew));
            is_awaited |= shard.engine.next_due().is_some_and(|due| due <= now && Some(due) > as_of);
        }
        if is_awaited {
            self.ends.hurry();
        }
        self.hold_back();
        if self.stood_at.elapsed() >= STANDING {
            self.stand();
        }
        if self.is_time_to_commit(now) {
            self.commit(self.config.snapshot_after)?;
        }
        self.rejoin_if_due()
    }

    /// Waits for the first record until something else is due, and takes what else is there.
    fn read(&mut self) -> Result<(), AgentError> {
        let mut wait = self.wait();
        for _ in 0..BATCH {
            match self.input.poll(wait) {
                Polled::Nothing => {
                    // The client has nothing, and had its time to fetch since the last batch. What is longer than a
                    // wait is a pause of the whole process, perhaps of the client too.
                    let span = u64::try_from(self.read_at.elapsed().as_millis()).map_or(MAX_WAIT, Span::millis);
                    self.listened(span.min(MAX_WAIT));
                    self.is_behind = false;
                    return Ok(());
                }
                Polled::Record(record) => self.take(record),
                Polled::Assigned(partitions) => return self.assigned(&partitions),
                Polled::Revoked => return self.revoked(),
                Polled::Fatal { fenced: true, why } => return self.join_again(&why),
                Polled::Fatal { why, .. } => return Err(AgentError::Bus(why)),
            }
            wait = Duration::ZERO;
        }
        self.listened(FULL_BATCH);
        self.is_behind = true;
        Ok(())
    }

    /// Tells the shards for how long was listened. What is less than a millisecond is counted with the next batch.
    fn listened(&mut self, span: Span) {
        if span == Span::ZERO {
            return;
        }
        self.read_at = Instant::now();
        for shard in self.shards.values_mut() {
            shard.merge.listened(span);
        }
    }

    /// The lane of a topic. Most records are of the topic of the one before.
    fn lane_of(&mut self, topic: &Arc<str>) -> Option<usize> {
        if let Some((known, lane)) = &self.last
            && Arc::ptr_eq(known, topic)
        {
            return Some(*lane);
        }
        let lane = self.lanes.get(topic).copied()?;
        self.last = Some((topic.clone(), lane));
        Some(lane)
    }

    /// Counts a record. What is counted is told for many at once.
    fn count(&mut self, lane: usize) {
        let word = self.around.layout.lanes[lane].role.word();
        if self.counted.0 != word {
            self.tell_counted();
            self.counted.0 = word;
        }
        self.counted.1 += 1;
    }

    fn tell_counted(&mut self) {
        let (word, count) = &mut self.counted;
        if *count > 0 {
            self.around.metrics.records.add_many(word, std::mem::take(count));
        }
    }

    fn take(&mut self, record: crate::bus::Record) {
        let lane = self.lane_of(&record.topic);
        let shard = self.shards.get_mut(&record.partition);
        if let (Some(lane), Some(shard)) = (lane, shard) {
            if record.offset < shard.lanes[lane].next {
                self.anew.insert(record.topic);
                return;
            }
            shard.push(lane, record);
            self.count(lane);
        }
    }

    fn wait(&mut self) -> Duration {
        let now = host_now();
        let due = self.shards.values().filter_map(|shard| shard.next_due(now, self.config.snapshot_after)).min();
        let wait = match due {
            _ if self.is_behind() => Span::ZERO,
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

    /// Stops and resumes reading of lanes of which much waits here, and of input for which there is no memory.
    fn hold_back(&mut self) {
        for shard in self.shards.values_mut() {
            for n in 0..shard.lanes.len() {
                let (waiting, held) = (shard.merge.waiting(n), shard.is_held(n));
                let lane = &mut shard.lanes[n];
                let pause = held || if lane.paused { waiting > RESUME_BELOW } else { waiting > HOLD_ABOVE };
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

    /// Whether it is committed where the carrier began, if anything is carried.
    pub(super) fn carries(&self) -> bool {
        self.carries || self.shards.is_empty() || self.around.layout.sources.is_empty()
    }

    /// Tells what the worker has now.
    pub(super) fn stand(&mut self) {
        self.stood_at = Instant::now();
        let ends = self.ends.ends();
        tell::standing(&self.shards, &self.post, |shard, n| lag(shard, n, &ends));
    }

    /// Waits a little before something that just failed is tried again. Rebalances wait with it.
    pub(super) fn rest(&mut self) {
        self.pause.rest(&self.post);
    }

    /// The group has another member of this name: another live instance, or this one as it was when an answer of the
    /// broker got lost. The second joins again and goes on; the first would be fenced again and again.
    fn join_again(&mut self, why: &str) -> Result<(), AgentError> {
        tracing::warn!(why, "fenced; joining the group again");
        self.note_fencing()?;
        self.drop_partitions();
        self.rest();
        self.join()
    }

    /// Counts a fencing, and gives up when there are too many.
    pub(super) fn note_fencing(&mut self) -> Result<(), AgentError> {
        self.fenced.retain(|at| at.elapsed() < FENCE_WINDOW);
        self.fenced.push(Instant::now());
        if self.fenced.len() < MAX_FENCED {
            return Ok(());
        }
        Err(AgentError::SameName(self.config.connection.instance.clone()))
    }

    /// Joins the group with a new client, under the old name.
    pub(super) fn join(&mut self) -> Result<(), AgentError> {
        self.input = join(&self.config, &self.around.layout, &self.post)?;
        self.joining = Some(Instant::now());
        Ok(())
    }

    fn drop_partitions(&mut self) {
        self.joining.get_or_insert_with(Instant::now);
        self.post.set_ready(false);
        self.post.disown();
        self.carrier = None;
        self.shards.clear();
        self.step.clear();
        self.assigned = Assignment::default();
        self.ends.watch(Vec::new());
        self.stand();
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) -> Result<(), AgentError> {
        self.joining = None;
        self.assigned = Assignment::of(partitions, &self.around.layout);
        let offsets = self.take_over()?;
        self.input.assign(&offsets).map_err(|error| AgentError::Bus(error.to_string()))?;
        let is_ours = self.shards.contains_key(&0) && !self.around.layout.sources.is_empty();
        if is_ours && self.carrier.is_none() {
            let carrier = Carrier::start(&self.config, &self.around.layout, &self.post);
            self.carrier = Some(carrier.map_err(AgentError::Thread)?);
        }
        if !self.assigned.strays.is_empty() {
            let strays: Vec<String> = self.assigned.strays.iter().map(ToString::to_string).collect();
            tracing::error!(?strays, "assigned in part only: do all instances of the group read the same topics?");
            // A topic that is new shows to one instance before it shows to another: the group is asked to share out anew.
            let wait = self.rejoin.map_or(FIRST_REJOIN, |(_, wait)| (wait * 2).min(LONGEST_REJOIN));
            self.rejoin = Some((Instant::now() + wait, wait));
        } else {
            self.rejoin = None;
        }
        Ok(())
    }

    /// Another instance gets partitions: what is decided is committed while they are still ours.
    fn revoked(&mut self) -> Result<(), AgentError> {
        self.let_go()?;
        self.input.release().map_err(|error| AgentError::Bus(error.to_string()))
    }

    /// Commits what is decided, saves everything, and has no partitions any more.
    pub(super) fn let_go(&mut self) -> Result<(), AgentError> {
        self.post.set_ready(false);
        let committed = self.try_commit(Span::ZERO);
        self.drop_partitions();
        committed.or_else(|error| self.renew(&error))
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

/// Watches the ends of what will be assigned, and how far is carried what is carried there.
pub(super) fn watch(config: &Config, layout: &Layout) -> Result<Watch, AgentError> {
    let carriage = Carriage::of(&config.connection.carrier(), layout.carried_partitions());
    let watch = carriage.and_then(|carriage| Watch::start(&config.connection, carriage, host_now));
    watch.map_err(|error| AgentError::Bus(error.to_string()))
}

/// A new consumer, which joins the group.
fn join(config: &Config, layout: &Layout, post: &Post) -> Result<Input, AgentError> {
    Input::new(&config.connection, post.worker(), &layout.topics()).map_err(|error| AgentError::Bus(error.to_string()))
}

/// A new producer, which fences a predecessor of its name and ends what that left open.
pub(super) fn connect(config: &Config, post: &Post, patience: Duration) -> Result<Output, AgentError> {
    let (post, worker) = (post.clone(), post.worker());
    let waits = Box::new(move || {
        post.beat();
        !post.is_stopping()
    });
    Output::new(&config.connection, &config.connection.name_of(worker), patience, waits)
        .map_err(|error| AgentError::Bus(error.to_string()))
}

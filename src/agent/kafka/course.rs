//! What is read while topics come and go: a lookout asks the cluster again and again, and the workers follow.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::consumer::Consumer as _;

use super::{
    Config,
    opening::{Opening, inputs},
    worker::{LONGEST_REJOIN, Worker, watch},
};
use crate::{
    agent::{AgentError, Shared},
    bus::{
        kafka::{
            connection::Client,
            inputs::follow,
            topics::{TopicError, listed},
        },
        layout::{Layout, Topics},
    },
};

/// Longest time until a change is looked at once more: a topic that is new shows to one broker before it shows to another.
const AGAIN: Duration = Duration::from_secs(2);

/// Least time that the group may take to share out. It waits for its slowest member, which may be restoring.
const LEAST_PATIENCE: Duration = Duration::from_secs(30);

/// How soon a stop is seen.
const SLICE: Duration = Duration::from_millis(100);

/// What is read now, and how often that changed.
#[derive(Debug)]
pub(super) struct Course {
    layout: Mutex<Arc<Layout>>,
    turns: AtomicUsize,
    /// Somebody has reason to think that topics went.
    hurried: AtomicBool,
}

impl Course {
    /// Reads this.
    pub fn new(layout: Layout) -> Self {
        Self { layout: Mutex::new(Arc::new(layout)), turns: AtomicUsize::new(0), hurried: AtomicBool::new(false) }
    }

    /// What is read, if that changed more than `turns` times, which then is how often it did.
    fn since(&self, turns: &mut usize) -> Option<Arc<Layout>> {
        let now = self.turns.load(Ordering::Acquire);
        let before = std::mem::replace(turns, now);
        (now != before).then(|| self.now())
    }

    /// Whether it changed more than `turns` times.
    pub fn is_past(&self, turns: usize) -> bool {
        self.turns.load(Ordering::Acquire) != turns
    }

    /// Has the lookout look now: a topic that is gone is one reason for a commit that fails.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::Release);
    }

    fn now(&self) -> Arc<Layout> {
        self.layout.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn turn(&self, layout: Layout) {
        *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(layout);
        self.turns.fetch_add(1, Ordering::Release);
    }
}

/// Begins to look; ends with the agent.
pub(super) fn look_out(
    config: &Config,
    Opening { there, unread, .. }: &Opening,
    course: Arc<Course>,
    shared: Arc<Shared>,
) -> io::Result<()> {
    shared.set_unread(unread.clone());
    let seen = there.iter().map(|(name, _)| name.clone()).collect();
    let (connection, every) = (config.connection.clone(), Duration::from_millis(config.look_every.0));
    let mut lookout = Lookout { topics: config.topics.clone(), course, shared, every, seen };
    let client = connection.watcher().map_err(io::Error::other)?;
    thread::Builder::new().name("lookout".into()).spawn(move || {
        while lookout.waits(lookout.every) {
            lookout.look(&client);
        }
    })?;
    Ok(())
}

struct Lookout {
    topics: Topics,
    course: Arc<Course>,
    shared: Arc<Shared>,
    /// Time between two looks.
    every: Duration,
    /// The topics of the last look.
    seen: BTreeSet<String>,
}

impl Lookout {
    /// Waits; whether the agent goes on.
    fn waits(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let hurried = || time == self.every && self.course.hurried.swap(false, Ordering::AcqRel);
        while Instant::now() < until && !self.shared.is_stopping() && !hurried() {
            thread::park_timeout(until.saturating_duration_since(Instant::now()).min(SLICE));
        }
        !self.shared.is_stopping()
    }

    /// Looks, and has the workers follow a change that shows twice.
    fn look(&mut self, client: &Client) {
        let Some(found) = self.find(client) else { return };
        let is_news = found.layout != *self.course.now() || found.unread != self.shared.unread();
        if is_news && (!self.waits(self.every.min(AGAIN)) || self.find(client).is_none_or(|again| !again.is(&found))) {
            return;
        }
        let Found { there, layout, unread } = found;
        if unread != self.shared.unread() {
            unread.iter().for_each(|why| tracing::error!("not read: {why}"));
            if unread.is_empty() {
                tracing::info!("every topic that should be read is read");
            }
            self.shared.set_unread(unread);
        }
        self.seen = there.into_iter().map(|(name, _)| name).collect();
        if layout != *self.course.now() {
            self.course.turn(layout);
        }
    }

    /// `None`: the brokers do not answer.
    fn find(&self, client: &Client) -> Option<Found> {
        let found = listed(client.client()).and_then(|there| {
            // A broker that has just begun may not know its topics yet.
            if there.is_empty() {
                return Err(TopicError::Unreachable("it knows no topics".to_owned()));
            }
            let (layout, unread) = follow(&self.topics, &there, &self.course.now())?;
            Ok(Found { there, layout, unread })
        });
        let mut found = found.inspect_err(|error| tracing::debug!(%error, "looking for topics")).ok()?;
        let lanes = found.layout.lanes.iter().map(|lane| &lane.topic);
        let read = lanes.chain(found.layout.sources.iter().map(|source| &source.topic));
        let born: Vec<Arc<str>> = read.filter(|topic| !self.seen.contains(&***topic)).cloned().collect();
        found.layout.newborn.extend(born);
        Some(found)
    }
}

/// What a look brought.
struct Found {
    /// All topics with their partitions.
    there: Vec<(String, i32)>,
    /// What is to be read.
    layout: Layout,
    /// What should be read and cannot, each in a sentence.
    unread: Vec<String>,
}

impl Found {
    /// Whether the other look brought the same, as far as it matters.
    fn is(&self, other: &Self) -> bool {
        self.layout == other.layout && self.unread == other.unread
    }
}

impl Worker {
    /// Reads something else from now on, if that is so. What is decided is committed first; then the group shares out anew.
    pub(super) fn follow_the_course(&mut self) -> Result<(), AgentError> {
        let Some(layout) = self.course.since(&mut self.turns) else { return Ok(()) };
        let inputs = inputs(&layout).collect::<Vec<_>>().join(",");
        tracing::info!(topics = %inputs, "other topics are read from now on");
        // Everything is saved, so nothing of a topic that is gone is read again.
        let topics = layout.topics();
        self.gone = self.around.layout.topics().into_iter().filter(|topic| !topics.contains(topic)).collect();
        let let_go = self.let_go();
        self.gone.clear();
        let_go?;
        self.config.policy.catalogue.own = self.config.topics.own(&layout);
        self.config.policy.catalogue.inputs = Topics::inputs(&layout);
        self.ends = watch(&self.config, &layout)?;
        self.carries = false;
        self.maker.forget();
        self.input.read_instead(&topics).map_err(|error| AgentError::Bus(error.to_string()))?;
        self.lanes = topics.into_iter().zip(0..).collect();
        self.last = None;
        self.around.layout = (*layout).clone();
        Ok(())
    }

    /// Has the group share out anew when it is time to. What is here whole is worked on until then.
    pub(super) fn rejoin_if_due(&mut self) -> Result<(), AgentError> {
        let patience = LEAST_PATIENCE.max(Duration::from_millis(self.config.connection.session_timeout.0) * 3);
        if self.joining.is_some_and(|since| since.elapsed() > patience) {
            // Not seen but under great load: the client asked to be let in again while it was being thrown out.
            tracing::warn!(?patience, "the group has not answered for this long; joining it anew");
            return self.join();
        }
        let due = |rejoin: &Option<(Instant, Duration)>| rejoin.is_some_and(|(at, _)| Instant::now() >= at);
        if self.assigned.strays.is_empty() || !due(&self.rejoin) {
            return Ok(());
        }
        self.rejoin = Some((Instant::now() + LONGEST_REJOIN, LONGEST_REJOIN));
        self.input.rejoin().map_err(|error| AgentError::Bus(error.to_string()))
    }

    /// Topics of which the offsets went back are read from their beginning: they were made anew between two looks, or their
    /// logs were cut short.
    pub(super) fn begin_anew(&mut self) -> Result<(), AgentError> {
        let anew = std::mem::take(&mut self.anew);
        tracing::error!(topics = ?anew, "offsets went back: made anew or cut short; read from the beginning");
        self.around.layout.newborn.extend(anew);
        let offsets = self.take_over()?;
        self.input.rewind(&offsets).map_err(|error| AgentError::Bus(error.to_string()))
    }
}

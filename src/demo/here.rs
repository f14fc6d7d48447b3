//! The shop and the agent in one process, on the embedded bus.

use std::{path::Path, sync::Arc, time::Duration};

use super::{Account, Drive, Plan, shop, speech, weather::Weather};
use crate::{
    agent::{
        Desk, Shared,
        local::{
            Config, Worker,
            embedded::{EmbeddedBus, EmbeddedDesk},
        },
    },
    audit::Log,
    bus::{
        embedded::{Embedded, Reader},
        layout::{Layout, Topics},
    },
    journal::local::{Durability, JournalError},
    model::{HostTime, Span},
    policy::{Mode, Policy},
    wire::WireLimits,
};

/// Time that passes in one step.
pub const STEP: Span = Span::millis(5);

/// Partitions of the embedded bus: each has its own engine.
const PARTITIONS: i32 = 2;

/// Longest time after the shop closed. Whatever is not settled then never will be.
const PATIENCE: Span = Span::mins(5);

/// The shop, the bus and the agent.
pub struct Here {
    bus: Embedded,
    /// `None` only while another is made.
    worker: Option<Worker<EmbeddedBus>>,
    config: Config,
    deaths: Deaths,
    drive: Drive,
    services: Reader,
    told: Reader,
    now: HostTime,
    shared: Arc<Shared>,
    audit: Arc<Log>,
    operations: String,
}

impl Here {
    /// A run that begins at `now`, with an agent in `mode`; journal and audit are in `folder`.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn new(plan: Plan, mode: Mode, folder: &Path, now: HostTime) -> Result<Self, JournalError> {
        let bus = Embedded::new(PARTITIONS);
        let topics = Topics::under("countermand.");
        let audit = Arc::new(Log::new(folder.join("countermand.audit.jsonl")));
        let shared = Arc::new(Shared::default());
        let topic_names = Drive::topics();
        let names: Vec<&str> = topic_names.iter().map(String::as_str).collect();
        let services = bus.reader("shop", &names);
        let told = bus.reader("story", &[&topics.chains, &topics.events]);
        let config = Config {
            layout: layout(&topics),
            policy: policy(mode),
            limits: WireLimits::default(),
            trust: Arc::default(),
            journal: folder.join("journal"),
            durability: Durability::Process,
            largest: 1 << 20,
            snapshot_after: Span::secs(5),
            align_wait: Span::millis(500),
            commit_within: Span::millis(10),
            share: None,
            audit: audit.clone(),
            topics,
        };
        let (events, operations) = (config.topics.events.clone(), config.topics.operations.clone());
        let worker = Some(start(&bus, &config, &shared, now)?);
        let deaths = Deaths::new(&plan, now);
        let drive = Drive::new(plan, &events, now);
        Ok(Self { bus, worker, config, deaths, drive, services, told, now, shared, audit, operations })
    }

    /// What is known of the agent.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Where operators' actions are kept.
    #[must_use]
    pub fn audit(&self) -> Arc<Log> {
        self.audit.clone()
    }

    /// Where operators' requests are handed in.
    #[must_use]
    pub fn desk(&self) -> Arc<dyn Desk> {
        Arc::new(EmbeddedDesk::new(&self.bus, &self.operations, self.config.trust.clone()))
    }

    /// What time it is in this run.
    #[must_use]
    pub fn now(&self) -> HostTime {
        self.now
    }

    /// How the run begins, in words.
    #[must_use]
    pub fn opening(&self) -> String {
        self.drive.opening()
    }

    /// Lets [`STEP`] pass, and says what there is to print.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn step(&mut self) -> Result<String, JournalError> {
        self.now = self.now.plus(STEP);
        let mut told = String::new();
        for record in self.services.take(usize::MAX) {
            told.push_str(&self.drive.hear(&record.topic, record.payload.clone().unwrap_or_default(), self.now));
        }
        self.services.acknowledge();
        let (said, more) = self.drive.work(self.now);
        told.push_str(&more);
        self.bus.publish(said, self.now);
        if let Some(worker) = &mut self.worker {
            worker.turn(self.now, Duration::ZERO)?;
        }
        if self.deaths.is_due(self.now) {
            // As a killed process does it: what is not committed is gone, and nobody is told.
            self.worker = None;
            self.worker = Some(start(&self.bus, &self.config, &self.shared, self.now)?);
            told.push_str(&self.drive.say(self.now, "the agent is killed, and started again"));
        }
        for record in self.told.take(usize::MAX) {
            told.push_str(&self.drive.hear(&record.topic, record.payload.clone().unwrap_or_default(), self.now));
        }
        self.told.acknowledge();
        Ok(told)
    }

    /// No more orders from now on; what is under way goes on.
    pub fn close(&mut self) -> String {
        self.drive.close(self.now)
    }

    /// Whether all is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.drive.is_over(self.now, PATIENCE)
    }

    /// Counts everything, and how many chains failed or need an operator.
    #[must_use]
    pub fn account(&self) -> Account {
        self.drive.account()
    }

    /// What became of the chains that failed.
    #[must_use]
    pub fn counts(&self) -> super::Counts {
        self.drive.counts()
    }
}

fn start(
    bus: &Embedded,
    config: &Config,
    shared: &Arc<Shared>,
    now: HostTime,
) -> Result<Worker<EmbeddedBus>, JournalError> {
    let agent = EmbeddedBus::new(bus, &config.layout, &config.topics);
    Worker::new(config.clone(), agent, shared.clone(), None, now).map_err(|(error, _)| error)
}

/// When the agent is killed.
struct Deaths(Vec<HostTime>);

impl Deaths {
    /// As many as the plan wants, spread over its length by its seed.
    fn new(plan: &Plan, now: HostTime) -> Self {
        let mut rng = Weather::new(plan.seed).rng("deaths");
        let mut at = || now.plus(Span::millis(rng.between(1, plan.length.0)));
        let mut times: Vec<HostTime> = (0..plan.kills).map(|_| at()).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        Self(times)
    }

    fn is_due(&mut self, now: HostTime) -> bool {
        let before = self.0.len();
        while self.0.last().is_some_and(|at| *at <= now) {
            self.0.pop();
        }
        self.0.len() < before
    }
}

/// What the agent reads: all that the services say to each other.
fn layout(topics: &Topics) -> Layout {
    let mut inputs: Vec<String> = shop::names().map(speech::topic_of).collect();
    inputs.sort_unstable();
    Layout::new(inputs.iter().map(String::as_str), topics, PARTITIONS)
}

/// The storm that the bad release is does not make the agent wait.
fn policy(mode: Mode) -> Policy {
    let mut policy = Policy::default();
    policy.settings.mode = mode;
    policy.settings.brake.per_edge = 0;
    policy.settings.brake.overall = 0;
    policy
}

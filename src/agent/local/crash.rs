//! Workers on a local journal that die anywhere: before a commit, after it was made and before anybody heard of it. What
//! became visible must be what a worker that never died makes visible.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use prost::Message as _;

use super::{Arrival, Bus, Config, Place, Worker, embedded::EmbeddedBus};
use crate::{
    agent::{
        Shared,
        crash::{BEGIN, is_visited, policy, story},
    },
    audit::Log,
    bus::{
        Outgoing,
        embedded::{Embedded, Reader},
        layout::{Layout, Topics},
    },
    journal::local::Durability,
    model::{HostTime, Span},
    wire::{
        WireLimits,
        proto::{ChainEvent, ChainEventKind, Command, CommandResult, Envelope, ResultState},
    },
};

/// What happens to the worker after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    /// It dies; what it did not commit is gone.
    Dies,
    /// In its next turn nobody hears of what it commits; then it dies.
    DiesUnheard,
}

/// A bus that a dying worker cannot reach any more.
struct Cut {
    bus: EmbeddedBus,
    cut: Arc<AtomicBool>,
}

impl Cut {
    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Bus for Cut {
    fn begin(&mut self, places: &[Place]) -> io::Result<()> {
        self.bus.begin(places)
    }

    fn receive(&mut self, wait: Duration) -> Vec<Arrival> {
        self.bus.receive(wait)
    }

    fn acknowledge(&mut self) {
        if !self.is_cut() {
            self.bus.acknowledge();
        }
    }

    fn publish(&mut self, number: u64, record: &Outgoing, now: HostTime) {
        if !self.is_cut() {
            self.bus.publish(number, record, now);
        }
    }

    fn confirmed(&mut self) -> Vec<u64> {
        self.bus.confirmed()
    }

    fn is_at_end(&self, topic: &str, partition: i32) -> bool {
        self.bus.is_at_end(topic, partition)
    }

    fn hold(&mut self, topic: &str, partition: i32, held: bool) {
        self.bus.hold(topic, partition, held);
    }

    fn leads(&mut self, topic: &str, anew: bool) -> bool {
        self.bus.leads(topic, anew)
    }
}

/// What became visible.
#[derive(Debug, Default, PartialEq, Eq)]
struct Visible {
    commands: BTreeSet<(String, u32)>,
    verdicts: BTreeSet<(String, i32, String, u32)>,
    dead_letters: BTreeSet<Vec<u8>>,
}

struct World<'a> {
    bus: Embedded,
    folder: &'a Path,
    config: Config,
    participants: Reader,
    told: Reader,
    visible: Visible,
    messages: Vec<(i64, Envelope)>,
}

impl<'a> World<'a> {
    fn new(folder: &'a Path, chains: usize) -> Self {
        let bus = Embedded::new(2);
        let topics = Topics::under("");
        let layout = Layout::new(["in"], &topics, 2);
        let config = Config {
            topics,
            layout,
            policy: policy(),
            limits: WireLimits::default(),
            journal: folder.join("journal"),
            trust: Arc::default(),
            durability: Durability::Process,
            largest: 1 << 20,
            snapshot_after: Span::secs(5),
            align_wait: Span::hours(24),
            commit_within: Span::millis(20),
            audit: Arc::new(Log::new(folder.join("audit.jsonl"))),
            share: None,
        };
        let participants = bus.reader("participants", &["commands.stock", "commands.bank", "commands.order"]);
        let told = bus.reader("told", &["events", "dead-letters"]);
        let mut messages: Vec<(i64, Envelope)> = Vec::new();
        for n in 0..chains {
            let begun = i64::try_from(n).unwrap_or(0) * 400;
            messages.extend(story(n).into_iter().map(|(after, envelope)| (BEGIN + begun + after, envelope)));
        }
        messages.sort_by_key(|(at, _)| *at);
        Self { bus, folder, config, participants, told, visible: Visible::default(), messages }
    }

    fn worker(&self, now: HostTime) -> (Worker<Cut>, Arc<AtomicBool>) {
        let cut = Arc::new(AtomicBool::new(false));
        let bus = EmbeddedBus::new(&self.bus, &self.config.layout, &self.config.topics);
        let bus = Cut { bus, cut: cut.clone() };
        let worker = Worker::new(self.config.clone(), bus, Arc::new(Shared::default()), None, now);
        (worker.map_err(|(error, _)| error).expect("a journal"), cut)
    }

    /// What the others do meanwhile: services publish, participants answer, and it is heard what is told.
    fn pass(&mut self, now: HostTime) {
        let due = self.messages.partition_point(|(at, _)| *at <= now.0);
        for (at, envelope) in self.messages.drain(..due) {
            self.bus.publish([Outgoing::keyed("in", &envelope.chain_id, envelope.encode_to_vec())], HostTime(at));
        }
        for taken in self.participants.take(1_000) {
            let command = Command::decode(taken.payload.unwrap_or_default()).expect("a command");
            self.visible.commands.insert((command.command_id.clone(), command.attempt));
            let answer = CommandResult {
                command_id: command.command_id,
                chain_id: command.chain_id.clone(),
                state: ResultState::Done.into(),
                ..CommandResult::default()
            };
            self.bus.publish([Outgoing::keyed("results", &command.chain_id, answer.encode_to_vec())], now);
        }
        self.participants.acknowledge();
        for taken in self.told.take(10_000) {
            if &*taken.topic == "dead-letters" {
                self.visible.dead_letters.insert(taken.header("countermand-origin").unwrap_or_default().to_vec());
                continue;
            }
            let event = ChainEvent::decode(taken.payload.unwrap_or_default()).expect("an event");
            if event.kind() == ChainEventKind::Decided {
                let failing = event.failing.map(|failing| failing.call_id).unwrap_or_default();
                self.visible.verdicts.insert((event.chain_id, event.outcome, failing, event.revision));
            }
        }
    }

    fn live(mut self, fates: &[(Fate, u16)]) -> Visible {
        let mut now = HostTime(BEGIN - 10);
        let (mut worker, mut cut) = self.worker(now);
        let peace = std::iter::repeat_n((Fate::Lives, 500), 600);
        for (fate, millis) in fates.iter().copied().chain(peace) {
            now = now.plus(Span::millis(u64::from(millis)));
            self.pass(now);
            if fate == Fate::DiesUnheard {
                cut.store(true, Ordering::Relaxed);
            }
            worker.turn(now, Duration::ZERO).expect("a turn");
            if fate != Fate::Lives {
                drop(worker);
                (worker, cut) = self.worker(now);
            }
        }
        worker.settle_up(now).expect("an end");
        self.pass(now);
        assert_eq!(self.bus.lost(), 0);
        self.visible
    }
}

fn fates() -> impl Strategy<Value = Vec<(Fate, u16)>> {
    let fate = prop_oneof![8 => Just(Fate::Lives), 1 => Just(Fate::Dies), 1 => Just(Fate::DiesUnheard)];
    prop::collection::vec((fate, 1u16..400), 0..100)
}

fn lived(chains: usize, fates: &[(Fate, u16)]) -> Visible {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::new(folder.path(), chains);
    assert!(world.folder.exists());
    world.live(fates)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn deaths_change_nothing_that_is_visible(fates in fates(), chains in 1usize..25) {
        let calm = lived(chains, &[]);
        let failing = (0..chains).filter(|n| n % 3 != 0).count();
        prop_assert_eq!(calm.verdicts.len(), failing);
        prop_assert_eq!(calm.dead_letters.len(), (0..chains).filter(|&n| is_visited(n)).count());
        let rough = lived(chains, &fates);
        prop_assert_eq!(rough, calm);
    }
}

/// A journal is one process's.
#[test]
fn a_second_agent_in_one_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::new(folder.path(), 1);
    let (_first, _) = world.worker(HostTime(BEGIN));
    let bus = EmbeddedBus::new(&world.bus, &world.config.layout, &world.config.topics);
    let second = Worker::new(world.config.clone(), bus, Arc::new(Shared::default()), None, HostTime(BEGIN));
    let why = second.map(|_| ()).map_err(|(error, _)| error.to_string()).expect_err("it is locked");
    assert!(why.contains("in use by another process"), "{why}");
}

/// Counts what a worker does twice, if it does.
#[test]
fn nothing_is_published_twice_where_nobody_dies() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::new(folder.path(), 12);
    let mut reader = world.bus.reader("count", &["commands.stock", "commands.bank", "commands.order"]);
    world.live(&[]);
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for record in reader.take(10_000) {
        let id = String::from_utf8(record.header("countermand-command-id").unwrap_or_default().to_vec());
        *times.entry(id.unwrap_or_default()).or_default() += 1;
    }
    assert!(!times.is_empty() && times.values().all(|times| *times == 1), "{times:?}");
}

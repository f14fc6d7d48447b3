//! Shards on a bus of paper that crash anywhere: before a commit, after sealing it, again and again. What became visible
//! must be what an agent that never crashed makes visible.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::{
    seal::Sealing,
    shard::{Shard, Start},
    step::{Step, Surroundings},
};
use crate::{
    bus::{
        Record, Stamp,
        layout::{Layout, Topics},
    },
    journal::{low_water::Water, restore::Collected, state::Key},
    model::{BusTime, HostTime, PlanState, Span, WaitReason},
    policy::{Mode, Policy, payloads::Payloads},
    telemetry::metrics::Metrics,
    wire::{
        WireLimits,
        proto::{
            self, ChainEvent, ChainEventKind, Command, CommandResult, Compensation, Duration, Effect, Envelope, Kind,
            Party, ResultState, Status, StatusCode,
        },
    },
};

/// Host time at which everything begins.
pub(super) const BEGIN: i64 = 1_700_000_000_000;
/// Index of the lane with results.
const RESULTS: usize = 2;
/// Index of the lane with what operators ask for.
const OPERATIONS: usize = 3;

/// What happens to the agent in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It decides and does not commit yet.
    Works,
    /// It commits.
    Commits,
    /// It dies with what it did not commit.
    Dies,
    /// It dies with a commit that was sealed and not made.
    DiesCommitting,
}

/// An agent that acts by itself and forgets soon, so that every chain is closed before a test ends.
pub(super) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.settings.mode = Mode::Auto;
    policy.settings.max_age = Span::mins(1);
    policy.settings.late_window = Span::mins(2);
    policy.settings.linger = Span::secs(5);
    policy.settings.brake.per_edge = 0;
    policy.settings.brake.overall = 0;
    policy
}

/// A bus of one partition number, with all that was committed.
struct Paper {
    around: Surroundings,
    policy: Policy,
    lanes: Vec<Vec<Record>>,
    committed: Vec<Option<Water>>,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Times that each command was published, by id and attempt.
    commands: BTreeMap<(String, u32), usize>,
    /// Verdicts that were told, by chain: outcome, failing call, revision.
    verdicts: BTreeMap<(String, i32, String, u32), usize>,
    /// Chains that were given up undecided (S2.10).
    lost: usize,
    dead_letters: usize,
    answers: Vec<CommandResult>,
    /// States that were told, by chain.
    states: BTreeMap<String, Vec<PlanState>>,
    /// Topics that are not there.
    missing: BTreeSet<String>,
}

fn party(service: &str) -> Option<Party> {
    Some(Party { service: service.to_owned(), ..Party::default() })
}

fn request(chain: &str, call: &str, parent: &str, to: &str, undo: bool, timeout: Option<i64>) -> Envelope {
    let compensation = Compensation { operation: "Undo".to_owned(), accepts_in_doubt: true, ..Compensation::default() };
    Envelope {
        message_id: format!("{call}:q"),
        chain_id: chain.to_owned(),
        call_id: call.to_owned(),
        parent_call_id: parent.to_owned(),
        kind: Kind::Request.into(),
        source: party("caller"),
        destination: party(to),
        operation: "Do".to_owned(),
        effect: undo.then(|| Effect { compensation: Some(compensation), ..Effect::default() }),
        timeout: timeout.map(|seconds| Duration { seconds, nanos: 0 }),
        ..Envelope::default()
    }
}

fn response(chain: &str, call: &str, code: StatusCode) -> Envelope {
    Envelope {
        message_id: format!("{call}:r"),
        chain_id: chain.to_owned(),
        call_id: call.to_owned(),
        kind: Kind::Response.into(),
        source: party("callee"),
        status: Some(Status { code: code.into(), ..Status::default() }),
        ..Envelope::default()
    }
}

/// Chain `n`, by its number in one of six ways: good, failing, hanging; each at once or with a long pause before its
/// answers. Times are milliseconds after its begin.
pub(super) fn story(n: usize) -> Vec<(i64, Envelope)> {
    let chain = format!("chain-{n}");
    let pause = if n.is_multiple_of(2) { 0 } else { 8_000 };
    let code = if n.is_multiple_of(3) { StatusCode::Ok } else { StatusCode::Failed };
    let hangs = n % 3 == 2;
    let mut messages = vec![
        (0, request(&chain, "root", "", "order", false, None)),
        (3, request(&chain, "take", "root", "stock", true, None)),
        (6, response(&chain, "take", StatusCode::Ok)),
        (9, request(&chain, "pay", "root", "bank", true, hangs.then_some(1))),
    ];
    if !hangs {
        messages.push((20 + pause, response(&chain, "pay", code)));
    }
    messages.push((1_030 + pause, response(&chain, "root", code)));
    if is_visited(n) {
        messages.push((12_000, request(&chain, "late", "root", "stock", true, None)));
    }
    messages
}

/// Whether chain `n` gets another message when it is closed, which is refused.
pub(super) fn is_visited(n: usize) -> bool {
    n.is_multiple_of(6)
}

impl Paper {
    fn new(chains: usize) -> Self {
        let topics = Topics::under("");
        let layout = Layout::new(["requests", "responses"], &topics, 1);
        let policy = policy();
        let (limits, metrics) = (WireLimits::default(), Arc::new(Metrics::default()));
        let mut paper = Self {
            around: Surroundings {
                topics,
                layout,
                limits,
                trust: Arc::default(),
                payloads: Payloads::default(),
                share: None,
                metrics,
                keys: Arc::default(),
                largest: 1 << 20,
            },
            policy,
            lanes: vec![Vec::new(); 4],
            committed: vec![None; 4],
            state: BTreeMap::new(),
            commands: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            lost: 0,
            dead_letters: 0,
            answers: Vec::new(),
            states: BTreeMap::new(),
            missing: BTreeSet::new(),
        };
        let begun = |n: usize| i64::try_from(n).unwrap_or(0) * 400;
        let mut messages: Vec<(i64, usize, Vec<u8>)> = Vec::new();
        for n in 0..chains {
            for (after, envelope) in story(n) {
                let lane = usize::from(envelope.kind() == Kind::Response);
                messages.push((begun(n) + after, lane, envelope.encode_to_vec()));
            }
            messages.push((begun(n) + 1, n % 2, b"\xff poison".to_vec()));
        }
        messages.sort();
        for (after, lane, payload) in messages {
            paper.put(lane, BEGIN + after, payload);
        }
        paper
    }

    fn put(&mut self, lane: usize, at: i64, payload: Vec<u8>) {
        let record = Record {
            topic: self.around.layout.lanes[lane].topic.clone(),
            partition: 0,
            offset: self.lanes[lane].len() as u64,
            stamp: Stamp::Sender(BusTime(at)),
            key: None,
            headers: Vec::new(),
            payload: Some(Bytes::from(payload)),
        };
        self.lanes[lane].push(record);
    }

    /// What a new process takes back.
    fn restore(&self, host: HostTime) -> Shard {
        let fresh = Water { offset: 0, clock: None, applied: 0 };
        let starts: Vec<Start> = self.committed.iter().map(|water| (water.unwrap_or(fresh), water.is_none())).collect();
        let mut collected = Collected::default();
        for (key, value) in &self.state {
            collected.record(key, Some(value));
        }
        // No lane is ever waited for in vain here: what is read does not depend on how fast it is read.
        let wait = Span::hours(24);
        let (shard, restored) = Shard::restore(0, &self.around.layout, &self.policy, wait, &starts, collected, host);
        assert_eq!(restored.unreadable, Vec::<String>::new());
        shard
    }

    /// One turn at `host`: reads what is there, at most `most` records of each lane, and applies no more.
    fn turn(&self, shard: &mut Shard, step: &mut Step, host: HostTime, most: usize) {
        for (n, lane) in self.lanes.iter().enumerate() {
            let there = lane.iter().filter(|record| record.stamp.time().is_some_and(|at| at.as_host() <= host)).count();
            let next = usize::try_from(shard.lanes[n].next).unwrap_or(usize::MAX);
            for record in &lane[next..there.min(next + most)] {
                shard.push(n, record.clone());
            }
            shard.merge.set_at_end(n, shard.lanes[n].next == there as u64);
        }
        shard.apply_due(most, host, &self.around, step);
        shard.advance(host, &self.around, step);
        shard.answer_seeks(&self.around, step, |topic, _| !self.missing.contains(topic));
    }

    fn commit(&mut self, shard: &mut Shard, step: &mut Step, host: HostTime, made: bool) {
        let settings = &self.policy.settings;
        let sealing = Sealing {
            topic: "state",
            snapshot_after: Span::secs(5),
            keep_closed: Span(settings.max_age.0 + settings.linger.0),
            host,
        };
        let (progress, _) = shard.seal(sealing, &mut step.records);
        if !made {
            return;
        }
        for progress in progress {
            let lane = self.around.layout.lanes.iter().position(|lane| lane.topic == progress.at.topic).unwrap_or(0);
            self.committed[lane] = Some(super::seal::decode(progress.offset, &progress.metadata));
        }
        let step = std::mem::take(step);
        for record in step.records {
            let payload = record.payload;
            match record.topic.as_str() {
                "state" => match (record.key, payload) {
                    (Some(key), Some(value)) => drop(self.state.insert(key, value)),
                    (Some(key), None) => drop(self.state.remove(&key)),
                    (None, _) => unreachable!("state has keys"),
                },
                "events" => self.event(&payload.unwrap_or_default()),
                "dead-letters" => self.dead_letters += 1,
                "chains" => {}
                _ => self.command(&payload.unwrap_or_default()),
            }
        }
        for (_, chain_id, command_id) in step.published {
            shard.published(&chain_id, &command_id);
        }
    }

    fn event(&mut self, payload: &[u8]) {
        let event = ChainEvent::decode(payload).expect("an event");
        if event.kind() == ChainEventKind::State {
            let word = event.state().as_str_name().trim_start_matches("PLAN_STATE_").to_lowercase();
            let state = PlanState::from_word(&word).expect("a state");
            self.states.entry(event.chain_id.clone()).or_default().push(state);
        }
        self.lost += usize::from(event.kind() == ChainEventKind::Evicted && event.reason == "undecided");
        if event.kind() == ChainEventKind::Decided {
            let failing = event.failing.map(|failing| failing.call_id).unwrap_or_default();
            *self.verdicts.entry((event.chain_id, event.outcome, failing, event.revision)).or_default() += 1;
        }
    }

    fn command(&mut self, payload: &[u8]) {
        let command = Command::decode(payload).expect("a command");
        *self.commands.entry((command.command_id.clone(), command.attempt)).or_default() += 1;
        self.answers.push(CommandResult {
            command_id: command.command_id,
            chain_id: command.chain_id,
            state: ResultState::Done.into(),
            ..CommandResult::default()
        });
    }

    /// The participants answer what they got so far.
    fn answer(&mut self, at: i64) {
        for answer in std::mem::take(&mut self.answers) {
            self.put(RESULTS, at, answer.encode_to_vec());
        }
    }

    /// Lives through `fates`, then in peace until every chain is closed.
    fn live(&mut self, fates: &[(Fate, u16, usize)]) {
        let mut host = HostTime(BEGIN - 10);
        let mut shard = self.restore(host);
        let mut step = Step::default();
        let peace = std::iter::repeat_n((Fate::Commits, 500, 1_000), 600);
        for (fate, millis, most) in fates.iter().copied().chain(peace) {
            host = host.plus(Span::millis(u64::from(millis)));
            self.answer(host.0);
            self.turn(&mut shard, &mut step, host, most);
            match fate {
                Fate::Works => {}
                Fate::Commits => self.commit(&mut shard, &mut step, host, true),
                Fate::Dies | Fate::DiesCommitting => {
                    if fate == Fate::DiesCommitting {
                        self.commit(&mut shard, &mut step, host, false);
                    }
                    step.clear();
                    shard = self.restore(host);
                }
            }
        }
        assert_eq!(shard.engine.chains(), 0, "every chain is closed in the end");
    }
}

fn fates() -> impl Strategy<Value = Vec<(Fate, u16, usize)>> {
    let fate = prop_oneof![
        5 => Just(Fate::Works),
        4 => Just(Fate::Commits),
        1 => Just(Fate::Dies),
        1 => Just(Fate::DiesCommitting),
    ];
    prop::collection::vec((fate, 1u16..400, 1usize..30), 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn crashes_change_nothing_that_is_visible(fates in fates(), chains in 1usize..25) {
        let mut calm = Paper::new(chains);
        calm.live(&[]);
        let mut rough = Paper::new(chains);
        rough.live(&fates);
        for (what, times) in rough.commands.iter().map(|(key, times)| (format!("{key:?}"), times))
            .chain(rough.verdicts.iter().map(|(key, times)| (format!("{key:?}"), times))) {
            prop_assert_eq!(*times, 1, "told more than once: {}", what);
        }
        let ids = |paper: &Paper| paper.commands.keys().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(ids(&rough), ids(&calm));
        prop_assert_eq!(&rough.verdicts, &calm.verdicts);
        let refused = chains + (0..chains).filter(|&n| is_visited(n)).count();
        prop_assert_eq!((rough.dead_letters, calm.dead_letters), (refused, refused));
        let left = rough.state.keys().map(|key| Key::decode(key).unwrap());
        let chains_left: Vec<Key> = left.filter(|key| matches!(key, Key::Chain { .. })).collect();
        prop_assert_eq!(chains_left, vec![], "snapshots of closed chains");
        let failing = (0..chains).filter(|n| n % 3 != 0).count();
        prop_assert_eq!(calm.verdicts.len(), failing);
    }
}

/// S5.15: what has nowhere to go needs an operator from the moment of planning, also after a crash, and nothing of it is
/// written anywhere.
#[test]
fn a_route_that_is_not_there_is_no_route_before_and_after_a_crash() {
    let mut paper = Paper::new(2);
    paper.missing.insert("commands.stock".to_owned());
    let mut host = HostTime(BEGIN - 10);
    let mut shard = paper.restore(host);
    let mut step = Step::default();
    for _ in 0..40 {
        host = host.plus(Span::millis(500));
        paper.turn(&mut shard, &mut step, host, 1_000);
        paper.commit(&mut shard, &mut step, host, true);
    }
    let view = |shard: &Shard| shard.engine.view("chain-1").expect("a chain that needs an operator is kept");
    assert_eq!((view(&shard).state, view(&shard).waits), (PlanState::NeedsOperator, vec![WaitReason::NoRoute]));
    let said: Vec<&[PlanState]> = paper.states.get("chain-1").map(Vec::as_slice).into_iter().collect();
    assert_eq!(said, [[PlanState::NeedsOperator]], "never anything else in between");
    assert_eq!((paper.commands.len(), paper.dead_letters), (0, 2 + 1), "poison and a late message only");
    let mut again = paper.restore(host);
    assert_eq!((view(&again).state, view(&again).waits), (PlanState::NeedsOperator, vec![WaitReason::NoRoute]));
    // The topic was made, and an operator says so.
    paper.missing.clear();
    let retry = proto::Operation {
        chain_id: "chain-1".to_owned(),
        call_id: "take".to_owned(),
        verb: proto::Verb::Retry.into(),
        ..proto::Operation::default()
    };
    paper.put(OPERATIONS, host.0, retry.encode_to_vec());
    for _ in 0..4 {
        host = host.plus(Span::millis(500));
        paper.turn(&mut again, &mut step, host, 1_000);
        paper.commit(&mut again, &mut step, host, true);
    }
    assert_eq!(paper.commands.len(), 1);
}

/// S2.10: chains with a command out fill the memory. Envelopes wait, and results are read, until these have let enough
/// chains end, and what is not answered is sent again meanwhile (S5.13); then everything is decided that would have been,
/// but for what went first, undecided without a failure.
#[test]
fn envelopes_wait_while_the_memory_is_full_and_results_are_read() {
    const CHAINS: usize = 500;
    let mut paper = Paper::new(0);
    paper.policy.settings.limits.memory = 200_000;
    for n in 0..CHAINS {
        let (chain, at) = (format!("chain-{n}"), BEGIN + i64::try_from(n).unwrap_or(0) * 10);
        paper.put(0, at, request(&chain, "root", "", "order", false, None).encode_to_vec());
        paper.put(0, at + 1, request(&chain, "pay", "root", "bank", true, None).encode_to_vec());
        paper.put(1, at + 2, response(&chain, "pay", StatusCode::Ok).encode_to_vec());
        paper.put(1, at + 3, response(&chain, "root", StatusCode::Failed).encode_to_vec());
    }
    let mut host = HostTime(BEGIN);
    let mut shard = paper.restore(host);
    let mut step = Step::default();
    let mut turn = |paper: &mut Paper, answered: bool| {
        host = host.plus(Span::millis(100));
        if answered {
            paper.answer(host.0);
        }
        paper.turn(&mut shard, &mut step, host, 1_000);
        paper.commit(&mut shard, &mut step, host, true);
        assert!(shard.engine.memory() < 215_000, "{} bytes", shard.engine.memory());
        (shard.engine.is_full(), shard.merge.waiting(0))
    };
    let sent = |paper: &Paper, attempt: u32| paper.commands.keys().filter(|key| key.1 == attempt).count();
    for _ in 0..100 {
        turn(&mut paper, false);
    }
    let (full, waiting) = turn(&mut paper, false);
    assert!(full && waiting > 100, "full: {full}, {waiting} wait");
    assert!((10..CHAINS - 100).contains(&sent(&paper, 1)), "{} commands", sent(&paper, 1));
    for _ in 0..300 {
        turn(&mut paper, false);
    }
    assert_eq!(sent(&paper, 2), sent(&paper, 1), "30 s later");
    for _ in 0..300 {
        turn(&mut paper, true);
    }
    assert_eq!(turn(&mut paper, true), (false, 0));
    // Of a chain whose failure was read nothing is lost.
    assert_eq!((paper.verdicts.len() + paper.lost, sent(&paper, 1)), (CHAINS, paper.verdicts.len()));
    assert!(paper.lost < CHAINS / 5, "{} were given up before there was anything to wait for", paper.lost);
}

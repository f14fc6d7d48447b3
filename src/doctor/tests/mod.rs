//! A healthy bus, and what one sickness at a time changes in what is said of it.

mod sick;

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;

use super::{Examiner, Facts, MAX_OPERATIONS, Report, Severity, lines, text};
use crate::{
    bus::{
        Record, Stamp,
        clock::Correction,
        layout::{Role, Topics},
        merge::Taken,
        partitioner::partition_of,
    },
    model::{BusTime, HostTime},
    policy::load::{Config, KafkaConfig, Loaded, Source, load},
    render::Look,
    tap::Lane,
    wire::{
        proto::{Compensation, Duration, Effect, EffectKind, Envelope, Kind, Party, Status, StatusCode},
        time::timestamp_of,
    },
};

const PARTITIONS: i32 = 4;
const BASE: i64 = 1_767_225_600_000;
const CHAINS: i64 = 1_200;

/// A message before it is a record.
struct Sent {
    topic: &'static str,
    partition: i32,
    key: Option<String>,
    at: i64,
    stamp: Stamp,
    correction: Option<Correction>,
    envelope: Envelope,
    /// In place of the envelope.
    bytes: Option<&'static [u8]>,
}

/// A bus, and what the examiner is told of it.
struct World {
    facts: Facts,
    config: Config,
    sent: Vec<Sent>,
    cut: bool,
}

fn party(service: &str) -> Option<Party> {
    Some(Party { service: service.into(), version: "v1".into(), instance: String::new() })
}

fn request(chain: &str, call: &str, parent: &str, to: &str, operation: &str) -> Envelope {
    let effect = (to == "stock").then(|| Effect {
        kind: EffectKind::Compensatable.into(),
        idempotency_key: String::new(),
        compensation: Some(Compensation {
            operation: "Release".into(),
            inquire_operation: "Find".into(),
            ..Compensation::default()
        }),
    });
    Envelope {
        message_id: format!("{call}-q"),
        chain_id: chain.into(),
        call_id: call.into(),
        parent_call_id: parent.into(),
        kind: Kind::Request.into(),
        source: party(if parent.is_empty() { "shop" } else { "order" }),
        destination: party(to),
        operation: operation.into(),
        timeout: Some(Duration { seconds: 2, nanos: 0 }),
        effect,
        ..Envelope::default()
    }
}

fn response(chain: &str, call: &str, by: &str) -> Envelope {
    Envelope {
        message_id: format!("{call}-r"),
        chain_id: chain.into(),
        call_id: call.into(),
        kind: Kind::Response.into(),
        source: party(by),
        status: Some(Status { code: StatusCode::Ok.into(), ..Status::default() }),
        ..Envelope::default()
    }
}

impl World {
    /// Everything as it should be: two topics, keyed by chain with murmur2, stamped by the brokers, with timeouts, effects
    /// and what undoes them; one chain after the other.
    fn healthy() -> Self {
        let config = Config::default();
        let names = Topics::from(&KafkaConfig { topics: vec!["asks".into(), "tells".into()], ..config.kafka.clone() });
        let inputs = ["asks", "tells"].map(str::to_owned).to_vec();
        let own = [
            &names.results,
            &names.operations,
            &names.state,
            &names.events,
            &names.chains,
            &names.dead_letters,
            &names.commands_of("stock"),
        ];
        let there = inputs.iter().chain(own.iter().copied()).map(|name| (name.clone(), PARTITIONS)).collect();
        let mut sent = Vec::new();
        for n in 0..CHAINS {
            let (chain, at) = (format!("chain-{n}"), BASE + n * 100);
            for (after, topic, envelope) in [
                (0, "asks", request(&chain, "place", "", "order", "Place")),
                (10, "asks", request(&chain, "reserve", "place", "stock", "Reserve")),
                (40, "tells", response(&chain, "reserve", "stock")),
                (50, "tells", response(&chain, "place", "order")),
            ] {
                let (at, partition) = (at + after, partition_of(chain.as_bytes(), PARTITIONS));
                let envelope = Envelope { sent_at: Some(timestamp_of(at - 1)), ..envelope };
                let stamp = Stamp::Bus(BusTime(at));
                let key = Some(chain.clone());
                sent.push(Sent { topic, partition, key, at, stamp, correction: None, envelope, bytes: None });
            }
        }
        let facts = Facts { bus: crate::doctor::Bus::Kafka, place: "host:9092".into(), names, inputs, there };
        Self { facts, config, sent, cut: false }
    }

    fn report(self) -> Report {
        let mut lanes = Vec::new();
        for topic in &self.facts.inputs {
            for partition in 0..self.facts.partitions(topic) {
                let lane = Lane { topic: topic.as_str().into(), role: Role::Envelopes, partition };
                lanes.push((lane, self.cut));
            }
        }
        let mut examiner = Examiner::new(self.facts, &self.config, &lanes);
        let host = HostTime(BASE + CHAINS * 100);
        let mut before = vec![None; lanes.len()];
        for (offset, sent) in self.sent.into_iter().enumerate() {
            let lane =
                lanes.iter().position(|(lane, _)| *lane.topic == *sent.topic && lane.partition == sent.partition);
            let lane = lane.expect("a lane");
            let at = BusTime(sent.at);
            let payload = sent.bytes.map_or_else(|| sent.envelope.encode_to_vec().into(), Bytes::from_static);
            let item = Record {
                topic: sent.topic.into(),
                partition: sent.partition,
                offset: offset as u64,
                stamp: sent.stamp,
                key: sent.key.map(Bytes::from),
                headers: Vec::new(),
                payload: Some(payload),
            };
            let correction = sent.correction;
            examiner.take(&Taken { lane, at, before: before[lane].replace(at), correction, item }, host);
        }
        examiner.report(host)
    }
}

/// What a configuration says, which must pass without a word.
fn read(toml: &str) -> Loaded {
    let source = Source { name: "proposed.toml".into(), text: toml.to_owned() };
    let loaded = load(Some(source), [], Vec::new()).unwrap_or_else(|faults| panic!("{faults}\n{toml}"));
    assert!(loaded.warnings.found.is_empty(), "{}\n{toml}", loaded.warnings);
    loaded
}

fn severities(report: &Report) -> BTreeMap<&'static str, Severity> {
    report.findings.iter().map(|finding| (finding.about, finding.severity)).collect()
}

#[test]
fn of_a_healthy_bus_there_is_nothing_to_say_but_that_it_is_good() {
    let report = World::healthy().report();
    let all = [
        "bus",
        "topics",
        "partitions",
        "own_topics",
        "decodable",
        "keyed",
        "partitioner",
        "placed",
        "clock",
        "sender_clocks",
        "answers",
        "timeouts",
        "effects",
        "commands",
    ];
    assert_eq!(
        severities(&report),
        all.map(|about| (about, Severity::Ok)).into(),
        "{}",
        text(&report, Look::default())
    );
    assert!(report.is_good());
    let sample = &report.sample;
    assert_eq!((sample.records, sample.chains, sample.whole), (4_800, 1_200, 1_200));
    let operations: Vec<_> = report
        .operations
        .iter()
        .map(|it| {
            (
                it.operation.as_str(),
                it.calls,
                it.with_effect,
                it.latency.map(|all| all[2].0),
                it.proposed.map(|it| it.0),
            )
        })
        .collect();
    assert_eq!(operations, [("Place", 1_200, 0, Some(50), Some(100)), ("Reserve", 1_200, 1_200, Some(30), Some(100))]);
    let services: Vec<_> = report.services.iter().map(|it| (it.service.as_str(), it.sent, it.called)).collect();
    assert_eq!(services, [("order", 2_400, 1_200), ("shop", 1_200, 0), ("stock", 1_200, 1_200)]);

    let proposed = read(&report.configuration).config;
    let rule = &proposed.operations[..];
    assert!(matches!(rule, [one] if one.pattern.text() == "stock/Reserve" && one.timeout.is_none()), "{rule:?}");
    let undo = rule[0].compensation.as_ref().expect("an undo");
    assert_eq!((undo.operation.as_str(), undo.inquire_operation.as_str()), ("Release", "Find"));
    assert!(lines(&report).iter().all(|line| line["kind"].is_string()));
}

/// What began before the sample is not called incomplete.
#[test]
fn chains_that_begin_before_the_sample_are_not_judged() {
    let mut world = World::healthy();
    world.cut = true;
    // The sample of one lane reaches further back than those of all others.
    let late = |sent: &Sent| sent.at >= BASE + 60_000;
    world.sent.retain(|sent| late(sent) || (sent.topic == "tells" && sent.partition == 0));
    let report = world.report();
    let answers = report.findings.iter().find(|it| it.about == "answers").expect("answers");
    assert_eq!(answers.severity, Severity::Ok, "{}", answers.sentence);
    assert!((500..600).contains(&report.sample.whole), "{}", report.sample.whole);
    assert!(report.sample.chains > report.sample.whole);
}

/// Whatever services call their operations, the configuration can be read, and its rules are about what they say.
#[test]
fn odd_names_make_no_faulty_configuration() {
    let names = ["/*", "a\"b", "a'b", "ü", " x ", "\u{7}", "a/b", "a#b", "a\nb", "[[operations]]", &"n".repeat(200)];
    let mut world = World::healthy();
    for (n, sent) in world.sent.iter_mut().enumerate() {
        if sent.envelope.operation == "Reserve" {
            sent.envelope.operation = names[(n / 4) % names.len()].to_owned();
        }
    }
    world.sent.retain(|sent| sent.topic == "asks");
    let report = world.report();
    let rules = read(&report.configuration).config.operations;
    let ruled: Vec<&str> = rules.iter().filter_map(|rule| rule.pattern.text().strip_prefix("stock/")).collect();
    for name in ["a\"b", "a'b", "ü", "a/b", "a#b", "[[operations]]"] {
        assert!(ruled.contains(&name), "no rule for {name:?} in\n{}", report.configuration);
    }
    assert!(!ruled.contains(&"/*"), "a star would match more");
    assert!(report.configuration.contains("# stock//*: its name cannot stand in a rule for it alone"));
}

/// Rules that are there stay, without their modes, and get what they do not say.
#[test]
fn a_configuration_is_gone_on_with() {
    let given = "engine.mode = \"auto\"\n[kafka]\nbrokers = [\"h:1\"]\nresults = \"r\"\n[kafka.properties]\n\
                 sasl.password = { env = \"SECRET\" }\n[[operations]]\nmatch = \"stock/Reserve\"\nmax_age = \"10m\"\n\
                 [[operations]]\nmatch = \"order/*\"\nmode = \"auto\"\ntimeout = \"4s\"\n[[operations]]\n\
                 match = \"mail/*\"\nmode = \"approve\"\n";
    let config = load(Some(Source { name: "x".into(), text: given.into() }), [], Vec::new()).expect("good").config;
    let mut world = World::healthy();
    world.config = config;
    world.sent.iter_mut().for_each(|sent| sent.envelope.timeout = None);
    let report = world.report();
    let proposed = read(&report.configuration).config;
    assert_eq!(proposed.loosest_mode(), crate::policy::Mode::Observe);
    assert_eq!((proposed.kafka.results.as_str(), proposed.kafka.properties.len()), ("r", 1));
    assert!(report.configuration.contains("{ env = \"SECRET\" }"), "{}", report.configuration);
    let rules: Vec<_> = proposed
        .operations
        .iter()
        .map(|rule| {
            (rule.pattern.text(), rule.timeout.map(|it| it.0), rule.max_age.map(|it| it.0), rule.compensation.is_some())
        })
        .collect();
    let expected = [("stock/Reserve", Some(100), Some(600_000), true), ("order/*", Some(4_000), None, false)];
    assert_eq!(rules, expected);
}

#[test]
fn operations_with_ids_in_their_names_are_not_all_kept() {
    let mut world = World::healthy();
    for (n, sent) in world.sent.iter_mut().enumerate() {
        if sent.envelope.operation == "Reserve" {
            sent.envelope.operation = format!("Reserve-{n}");
        }
    }
    let report = world.report();
    assert_eq!(report.operations.len(), MAX_OPERATIONS);
    // `Place` is one of those that are kept, and has the rest of the calls.
    assert_eq!(report.more_calls, CHAINS as u64 - (MAX_OPERATIONS as u64 - 1));
    read(&report.configuration);
}

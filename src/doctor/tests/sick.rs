//! One sickness at a time.

use super::{PARTITIONS, Sent, World, read, severities};
use crate::{
    bus::{Stamp, clock::Correction, partitioner::partition_of},
    doctor::{Severity, text},
    model::BusTime,
    render::Look,
    wire::time::timestamp_of,
};

/// One sickness: what is done to the bus, and what is said otherwise than of a healthy one, with a part of each sentence.
type Sickness = (&'static str, fn(&mut World), &'static [(&'static str, Severity, &'static str)]);

const SICKNESSES: &[Sickness] = &[
    (
        "JSON among the envelopes",
        |world| world.sent[5].bytes = Some(b"{\"order\": 1}"),
        // The request of a call that was answered.
        &[
            ("decodable", Severity::Warning, "malformed 1 (such as asks/"),
            ("answers", Severity::Warning, "1 of 2,400 responses (0.1 %) are without their request"),
        ],
    ),
    (
        "nothing but JSON",
        |world| world.sent.iter_mut().for_each(|sent| sent.bytes = Some(b"{\"order\": 1}")),
        &[("decodable", Severity::Problem, "4,800 of 4,800 messages (100 %)")],
    ),
    (
        "an input of another width",
        |world| {
            world.facts.there[1].1 = 8;
            for sent in world.sent.iter_mut().filter(|sent| sent.topic == "tells") {
                sent.partition = partition_of(sent.envelope.chain_id.as_bytes(), 8);
            }
        },
        &[("partitions", Severity::Problem, "tells (8)"), ("keyed", Severity::Problem, "are split")],
    ),
    (
        "results of another width",
        |world| world.facts.there[2].1 = 3,
        &[("partitions", Severity::Problem, "countermand.results (3)")],
    ),
    (
        "no topic for dead letters",
        |world| world.facts.there.retain(|(name, _)| name != "countermand.dead-letters"),
        &[("own_topics", Severity::Note, "1 are not there yet: countermand.dead-letters")],
    ),
    (
        "no topic for commands",
        |world| world.facts.there.retain(|(name, _)| name != "countermand.commands.stock"),
        &[("commands", Severity::Note, "1 of 1 topics for commands are not there yet: countermand.commands.stock")],
    ),
    (
        "responses keyed by their call",
        |world| {
            for sent in world.sent.iter_mut().filter(|sent| sent.topic == "tells") {
                let key = format!("{}{}", sent.envelope.call_id, sent.envelope.chain_id);
                sent.partition = partition_of(key.as_bytes(), PARTITIONS);
                sent.key = Some(key);
            }
        },
        &[("keyed", Severity::Problem, "chains"), ("placed", Severity::Problem, "do not stand on the partition")],
    ),
    (
        "no keys, all on one partition",
        |world| {
            for sent in &mut world.sent {
                (sent.key, sent.partition) = (None, 0);
            }
        },
        &[
            ("keyed", Severity::Warning, "in 0 % of the messages only, and 100 % have none"),
            ("placed", Severity::Problem, "do not stand"),
        ],
    ),
    (
        "one sender with librdkafka's own partitioner",
        |world| {
            for sent in &mut world.sent {
                if sent.envelope.source.as_ref().is_some_and(|it| it.service == "stock") {
                    let mut crc = flate2::Crc::new();
                    crc.update(sent.envelope.chain_id.as_bytes());
                    sent.partition = (crc.sum() % 4) as i32;
                }
            }
        },
        &[
            ("keyed", Severity::Problem, "are split"),
            ("partitioner", Severity::Warning, "CRC32, the default of librdkafka: stock"),
            ("placed", Severity::Problem, "do not stand"),
        ],
    ),
    (
        "senders' stamps, some wrong",
        |world| {
            for (n, sent) in world.sent.iter_mut().enumerate() {
                sent.stamp = Stamp::Sender(BusTime(sent.at));
                if n % 50 == 49 {
                    sent.stamp = Stamp::Sender(BusTime(sent.at - 5_000));
                    sent.correction = Some(Correction::Backwards);
                }
            }
        },
        &[("clock", Severity::Warning, "96 (2.0 %) are corrected")],
    ),
    (
        "a sender whose clock is ahead",
        |world| {
            for sent in &mut world.sent {
                if sent.envelope.source.as_ref().is_some_and(|it| it.service == "stock") {
                    sent.envelope.sent_at = Some(timestamp_of(sent.at + 3_000));
                }
            }
        },
        &[("sender_clocks", Severity::Note, "stock 3.00s ahead")],
    ),
    (
        "requests are elsewhere",
        |world| world.sent.retain(|sent| sent.topic == "tells"),
        &[("answers", Severity::Problem, "there are responses, but no requests")],
    ),
    (
        "responses are elsewhere",
        |world| world.sent.retain(|sent| sent.topic == "asks"),
        &[("answers", Severity::Problem, "there are requests, but no responses")],
    ),
    (
        "callees that hang",
        |world| {
            let hangs = |sent: &Sent| sent.topic == "tells" && sent.envelope.chain_id.ends_with('7');
            world.sent.retain(|sent| !hangs(sent));
        },
        &[("answers", Severity::Note, "that are older than a minute are without a response")],
    ),
    (
        "one service without timeouts",
        |world| {
            for sent in &mut world.sent {
                if sent.envelope.operation == "Reserve" {
                    sent.envelope.timeout = None;
                }
            }
        },
        &[("timeouts", Severity::Warning, "1,200 of 2,400 calls (50.0 %) of 1 operations")],
    ),
    (
        "effects that nothing undoes",
        |world| {
            for effect in world.sent.iter_mut().filter_map(|sent| sent.envelope.effect.as_mut()) {
                effect.compensation = None;
            }
        },
        &[("effects", Severity::Warning, "nothing undoes some calls of stock/Reserve")],
    ),
    (
        "no effects at all",
        |world| world.sent.iter_mut().for_each(|sent| sent.envelope.effect = None),
        &[("effects", Severity::Warning, "there is nothing to undo")],
    ),
];

#[test]
fn each_sickness_shows_where_it_belongs_and_nowhere_else() {
    let healthy = severities(&World::healthy().report());
    for (name, sicken, expected) in SICKNESSES {
        let mut world = World::healthy();
        sicken(&mut world);
        let report = world.report();
        let shown = text(&report, Look::default());
        for (about, severity, part) in *expected {
            let finding = report.findings.iter().find(|finding| finding.about == *about);
            let finding = finding.unwrap_or_else(|| panic!("{name}: nothing about {about} in\n{shown}"));
            assert_eq!(finding.severity, *severity, "{name}: {about}: {}", finding.sentence);
            assert!(finding.sentence.contains(part), "{name}: no {part:?} in: {}", finding.sentence);
            assert!(!finding.advice.is_empty(), "{name}: {about} does not say what to do");
        }
        for (about, severity) in severities(&report) {
            let is_expected = expected.iter().any(|(other, ..)| *other == about);
            assert!(
                is_expected || healthy.get(about) == Some(&severity),
                "{name}: {about} is {severity:?} in\n{shown}"
            );
        }
        read(&report.configuration);
    }
}

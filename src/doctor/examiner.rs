//! Takes records in, one after the other, and says in the end what was found.

use super::{
    Bus, Facts, Finding, Report, Sample, Severity, calls::Calls, clock::Clocks, decoded::Decoded, effects, keys::Keys,
    propose, responses, timeouts, topics,
};
use crate::{
    bus::{Record, layout::Role, merge::Taken},
    model::{BusTime, HostTime},
    policy::load::Config,
    tap::Lane,
    wire,
};

/// Where the sample of one lane begins.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    /// It is not where the lane begins: what came before is not in the sample.
    cut: bool,
    /// Bus time of its first record.
    first: Option<BusTime>,
}

/// Examines the records of a sample.
pub struct Examiner {
    facts: Facts,
    config: Config,
    lanes: Vec<Lane>,
    beginnings: Vec<Beginning>,
    sample: Sample,
    decoded: Decoded,
    keys: Keys,
    clocks: Clocks,
    calls: Calls,
}

impl Examiner {
    /// An examiner of `lanes`, each with whether something before its sample is left out. `config` says what is accepted,
    /// and what is known of operations already.
    #[must_use]
    pub fn new(facts: Facts, config: &Config, lanes: &[(Lane, bool)]) -> Self {
        Self {
            facts,
            config: config.clone(),
            lanes: lanes.iter().map(|(lane, _)| lane.clone()).collect(),
            beginnings: lanes.iter().map(|(_, cut)| Beginning { cut: *cut, first: None }).collect(),
            sample: Sample::default(),
            decoded: Decoded::default(),
            keys: Keys::default(),
            clocks: Clocks::default(),
            calls: Calls::default(),
        }
    }

    /// Takes in the next record. `host` is the host clock when it was read.
    pub fn take(&mut self, taken: &Taken<Record>, host: HostTime) {
        if self.lanes[taken.lane].role != Role::Envelopes {
            return;
        }
        self.beginnings[taken.lane].first.get_or_insert(taken.at);
        self.sample.records += 1;
        self.sample.times = Some((self.sample.times.map_or(taken.at, |(first, _)| first), taken.at));
        let record = &taken.item;
        let bytes = record.payload.clone().unwrap_or_default();
        let envelope = match wire::decode_envelope(bytes, &self.config.limits) {
            Ok(envelope) => envelope,
            Err(error) => return self.decoded.refuse(record, &error),
        };
        let message = match wire::message(&envelope, &self.config.limits) {
            Ok(message) => message,
            Err(error) => return self.decoded.refuse(record, &error),
        };
        self.decoded.accept();
        let source = envelope.source.as_ref().map_or("", |source| source.service.as_str());
        self.keys.take(record, message.chain_id, source, self.facts.partitions(&record.topic));
        self.clocks.take(taken, source, envelope.sent_at.as_ref(), host);
        self.calls.take(&message, taken.at);
    }

    /// What was found. `host` is the host clock now.
    #[must_use]
    pub fn report(mut self, host: HostTime) -> Report {
        let cut = self.beginnings.iter().filter(|it| it.cut).filter_map(|it| it.first).max();
        let end = self.sample.times.map(|(_, last)| last);
        self.calls.finish(cut, end);
        self.sample.chains = self.calls.chains();
        self.sample.whole = self.calls.whole_chains();
        let seen = self.calls.operations(&self.config);
        let mut findings = vec![Finding::new("bus", Severity::Ok, format!("{} answers", self.facts.place))];
        let on_kafka = self.facts.bus == Bus::Kafka;
        if on_kafka {
            topics::findings(&self.facts, &mut findings);
        } else {
            let inputs = format!("read was {}", self.facts.inputs.join(", "));
            let finding = Finding::new("inputs", Severity::Ok, inputs);
            findings.push(match self.config.rabbitmq.queues.is_empty() && self.config.rabbitmq.streams.is_empty() {
                true => finding.advise(
                    "the agent needs a queue of its own, or a stream: bind one to this exchange, and name it in rabbitmq.queues",
                ),
                false => finding,
            });
        }
        if self.sample.records == 0 {
            findings.push(
                Finding::new("sample", Severity::Warning, "nothing is there: nothing can be said of messages")
                    .advise("try again once services have sent something"),
            );
        } else {
            self.decoded.findings(&mut findings);
        }
        if self.decoded.accepted() > 0 {
            if on_kafka {
                self.keys.findings(&mut findings);
                self.clocks.findings(host, end, &self.config, &mut findings);
            } else {
                findings.push(self.clocks.on_rabbitmq());
            }
            responses::findings(&self.calls, &mut findings);
            timeouts::findings(&seen.operations, &self.config, &mut findings);
            effects::findings(&seen.operations, &self.config, &mut findings);
            if on_kafka {
                topics::command_topics(&self.facts, &seen.operations, &mut findings);
            }
        }
        let configuration = propose::configuration(&self.config, &seen.operations, &seen.declared);
        Report {
            place: self.facts.place.clone(),
            sample: self.sample,
            findings,
            operations: seen.operations,
            more_calls: seen.more_calls,
            services: self.calls.services(),
            configuration,
        }
    }
}

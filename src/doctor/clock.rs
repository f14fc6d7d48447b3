//! Who stamps messages, and how well (S0).

use std::collections::BTreeMap;

use serde_json::json;

use super::{Finding, MAX_SERVICES, Severity, percent, some_of};
use crate::{
    bus::{Record, Stamp, merge::Taken},
    model::{BusTime, HostTime, Span},
    policy::load::Config,
    render::{grouped, instant, safe, short},
    wire::{proto::Timestamp, time::millis_of},
};

/// Age of the newest message from which it is said that nothing comes.
const QUIET: Span = Span::hours(1);

/// How far a sender's clock may be behind its stamp before that is said: what it measures is also the way to the bus.
const BEHIND: i64 = 10_000;

/// What was seen of times.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    missing: u64,
    sender: u64,
    bus: u64,
    corrected: u64,
    /// The most that a time was ahead of the host clock, and behind the one before it, in milliseconds.
    ahead: i64,
    backwards: i64,
    /// By service: corrected messages, and by how much its own `sent_at` was ahead of the brokers' stamps.
    services: BTreeMap<String, (u64, Vec<i64>)>,
}

impl Clocks {
    pub(super) fn take(&mut self, taken: &Taken<Record>, source: &str, sent_at: Option<&Timestamp>, host: HostTime) {
        match taken.item.stamp {
            Stamp::Missing => self.missing += 1,
            Stamp::Sender(_) => self.sender += 1,
            Stamp::Bus(_) => self.bus += 1,
        }
        if let Some(raw) = taken.item.stamp.time() {
            self.ahead = self.ahead.max(raw.0.saturating_sub(host.0));
            let before = taken.before.map_or(0, |before| before.0.saturating_sub(raw.0));
            self.backwards = self.backwards.max(before);
        }
        self.corrected += u64::from(taken.correction.is_some());
        if self.services.len() >= MAX_SERVICES && !self.services.contains_key(source) {
            return;
        }
        let own = self.services.entry(source.to_owned()).or_default();
        own.0 += u64::from(taken.correction.is_some());
        if let (Stamp::Bus(at), Some(sent)) = (taken.item.stamp, sent_at) {
            own.1.push(millis_of(sent).saturating_sub(at.0));
        }
    }

    pub(super) fn findings(
        &mut self,
        host: HostTime,
        newest: Option<BusTime>,
        config: &Config,
        findings: &mut Vec<Finding>,
    ) {
        findings.push(self.stamped());
        findings.extend(self.senders(config));
        findings.extend(newest.and_then(|newest| age(newest, host, config)));
    }

    /// Whether messages say when the broker had them, or their senders sent them.
    pub(super) fn on_rabbitmq(&self) -> Finding {
        let (all, timed) = (self.missing + self.sender + self.bus, self.sender);
        let numbers = json!({"timestamp_in_ms": timed, "without": all - timed});
        if timed == all {
            let sentence = "every message says when it was sent, in the header timestamp_in_ms";
            return Finding::new("clock", Severity::Ok, sentence).numbers(numbers);
        }
        let sentence = format!(
            "{} of the messages say by no header timestamp_in_ms when they were sent: they count as of their arrival at the \
             agent, so that what waited while none was there may look late",
            percent(all - timed, all)
        );
        let advice = "let RabbitMQ 4 set it (message_interceptors.incoming.set_header_timestamp.overwrite = true), or the services";
        Finding::new("clock", Severity::Warning, sentence).advise(advice).numbers(numbers)
    }

    fn stamped(&self) -> Finding {
        let all = self.missing + self.sender + self.bus;
        let span = |ms: i64| short(Span(u64::try_from(ms).unwrap_or(0)));
        let corrected: Vec<String> = {
            let mut wrong: Vec<(&String, u64)> =
                self.services.iter().filter(|(_, own)| own.0 > 0).map(|(name, own)| (name, own.0)).collect();
            wrong.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            wrong.into_iter().map(|(name, count)| format!("{} {}", safe(name), grouped(count))).collect()
        };
        let numbers = json!({
            "log_append_time": self.bus, "create_time": self.sender, "missing": self.missing,
            "corrected": self.corrected, "ahead_ms": self.ahead.max(0), "backwards_ms": self.backwards,
        });
        let by = match (self.bus, self.sender) {
            (bus, _) if bus == all => "all messages are stamped by the brokers (LogAppendTime)".to_owned(),
            (0, sender) if sender == all => "all messages are stamped by their senders' clocks (CreateTime)".to_owned(),
            _ => format!(
                "{} of the messages are stamped by the brokers (LogAppendTime), {} by their senders (CreateTime), {} not \
                 at all",
                percent(self.bus, all),
                percent(self.sender, all),
                percent(self.missing, all)
            ),
        };
        if self.corrected == 0 {
            let severity = if self.bus == all { Severity::Ok } else { Severity::Note };
            let finding = Finding::new("clock", severity, format!("{by}; none is wrong by itself")).numbers(numbers);
            return if self.bus == all { finding } else { finding.advise(ADVICE) };
        }
        let sentence = format!(
            "{by}; {} ({}) are corrected: up to {} ahead of this host, up to {} behind the one before them ({})",
            grouped(self.corrected),
            percent(self.corrected, all),
            span(self.ahead),
            span(self.backwards),
            some_of(&corrected)
        );
        let severity = if self.corrected * 100 > all { Severity::Warning } else { Severity::Note };
        Finding::new("clock", severity, sentence).advise(ADVICE).numbers(numbers)
    }

    /// Senders whose own clocks differ from the brokers', where these stamp.
    fn senders(&mut self, config: &Config) -> Option<Finding> {
        let skew = i64::try_from(config.engine.clock_skew.0).unwrap_or(i64::MAX);
        let mut wrong = Vec::new();
        let mut numbers = serde_json::Map::new();
        for (name, (_, ahead)) in &mut self.services {
            ahead.sort_unstable();
            let Some(&median) = ahead.get(ahead.len() / 2) else { continue };
            numbers.insert(name.clone(), json!(median));
            let far = short(Span(median.unsigned_abs()));
            if median > skew {
                wrong.push(format!("{} {far} ahead", safe(name)));
            } else if median < -BEHIND {
                wrong.push(format!("{} {far} behind", safe(name)));
            }
        }
        if numbers.is_empty() {
            return None;
        }
        let numbers = json!({"sent_at_ahead_ms": numbers});
        if wrong.is_empty() {
            let sentence = "the senders' own clocks (sent_at) agree with the brokers'";
            return Some(Finding::new("sender_clocks", Severity::Ok, sentence).numbers(numbers));
        }
        let sentence = format!("the clocks of some senders differ from the brokers': {}", some_of(&wrong));
        let advice =
            "the agent goes by the brokers' stamps, so this changes no verdict; have these hosts' time synchronised";
        Some(Finding::new("sender_clocks", Severity::Note, sentence).advise(advice).numbers(numbers))
    }
}

const ADVICE: &str = "set message.timestamp.type=LogAppendTime on the inputs (`countermand check --print-setup` has the \
    line): the order of calls then rests on one clock";

/// How old the newest message is by this host's clock.
fn age(newest: BusTime, host: HostTime, config: &Config) -> Option<Finding> {
    let numbers = json!({"newest": instant(newest)});
    let old = host.as_bus().since(newest);
    if old > QUIET {
        let sentence = format!("the newest message is {} old: this is no live traffic, or it has stopped", short(old));
        return Some(Finding::new("age", Severity::Note, sentence).numbers(numbers));
    }
    let ahead = newest.since(host.as_bus());
    (ahead >= config.engine.max_ahead && ahead > Span::ZERO).then(|| {
        let sentence = format!("the newest message is {} ahead of this host's clock", short(ahead));
        let advice = "the agent holds such times back; synchronise this host's clock with the brokers'";
        Finding::new("age", Severity::Warning, sentence).advise(advice).numbers(numbers)
    })
}

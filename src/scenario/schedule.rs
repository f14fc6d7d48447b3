//! When each step is read, which bus time its message has and where it stands in its partition (S0, S2.8).

use std::collections::BTreeMap;

use super::language::Step;
use crate::model::{BusTime, HostTime, Span};

/// The start of every scenario: 2026-01-01T00:00:00Z. Which one it is changes nothing.
pub const EPOCH: BusTime = BusTime(1_767_225_600_000);

/// When a step is read, and what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bus time of the message, corrected.
    pub at: BusTime,
    /// What the host clock shows when it is read.
    pub host: HostTime,
    /// Offset in its partition; zero for a step without a message.
    pub offset: u64,
}

/// The place of every step.
#[must_use]
pub fn schedule(steps: &[Step], max_ahead: Span) -> Vec<Place> {
    let hosts = host_clock(steps);
    let times = bus_times(steps, &hosts, max_ahead);
    let mut places: Vec<Place> = times.iter().zip(&hosts).map(|(&at, &host)| Place { at, host, offset: 0 }).collect();
    let mut partitions: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (n, step) in steps.iter().enumerate().filter(|(_, step)| step.is_message()) {
        partitions.entry(step.partition).or_default().push(n);
    }
    for mut messages in partitions.into_values() {
        // Stable: equal bus times keep the order of the file.
        messages.sort_by_key(|&n| times[n]);
        for (offset, n) in (0..).zip(messages) {
            places[n].offset = offset;
        }
    }
    places
}

/// The host clock at each step: its own `at`; while the agent lags, the `at` of the next step at which it does not (of
/// the last step, if it lags to the end). It never goes back.
fn host_clock(steps: &[Step]) -> Vec<HostTime> {
    let mut next = steps.last().map_or(Span::ZERO, |step| step.at);
    let mut hosts: Vec<HostTime> = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        if !step.lagging {
            next = step.at;
        }
        hosts.push(EPOCH.plus(next).as_host());
    }
    hosts.reverse();
    for n in 1..hosts.len() {
        hosts[n] = hosts[n].max(hosts[n - 1]);
    }
    hosts
}

/// Bus times, those of wild clocks corrected as on intake (S0): a message more than `max_ahead` above the host clock
/// takes the time of the one read before it in its partition if one that is read after it there lies more than
/// `max_ahead` below it, else the host clock plus `max_ahead`. Others that are as wild are no measure for it; if it is
/// the first of its partition, it takes the time of the one behind it, so that it lifts nobody.
fn bus_times(steps: &[Step], hosts: &[HostTime], max_ahead: Span) -> Vec<BusTime> {
    let raw: Vec<BusTime> = steps.iter().map(|step| EPOCH.plus(step.at)).collect();
    let limit = |n: usize| hosts[n].as_bus().plus(max_ahead);
    let mut times = raw.clone();
    let mut before: BTreeMap<u16, BusTime> = BTreeMap::new();
    for (n, step) in steps.iter().enumerate().filter(|(_, step)| step.is_message()) {
        if raw[n] > limit(n) {
            let behind = (n + 1..steps.len())
                .find(|&m| steps[m].is_message() && steps[m].partition == step.partition && raw[m] <= limit(m));
            times[n] = match (behind, before.get(&step.partition)) {
                (Some(m), before) if raw[m].plus(max_ahead) < raw[n] => before.copied().unwrap_or(raw[m]),
                _ => limit(n),
            };
        }
        before.insert(step.partition, times[n]);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::{EPOCH, schedule};
    use crate::model::Verb;
    use crate::{
        model::Span,
        scenario::language::{Act, Step},
    };

    fn step(at: Span, lagging: bool, partition: u16) -> Step {
        let act = Act::Operator { verb: Verb::Approve, call: String::new() };
        Step { at, lagging, partition, chain: "c".into(), id: "m".into(), refused: None, act }
    }

    fn shape(steps: &[Step]) -> Vec<(i64, i64, u64)> {
        let places = schedule(steps, Span::secs(1));
        places.iter().map(|place| (place.at.0 - EPOCH.0, place.host.0 - EPOCH.0, place.offset)).collect()
    }

    #[test]
    fn a_wild_clock_takes_the_time_before_it_and_lifts_nobody() {
        let wild = Span::hours(720);
        let steps = [
            step(Span::ZERO, false, 0),
            step(Span(20), true, 0),
            step(wild, true, 0),
            step(wild, true, 0),
            step(Span(300), true, 0),
            step(wild, true, 1),
            step(Span::secs(10), false, 0),
        ];
        assert_eq!(
            shape(&steps),
            [
                (0, 0, 0),
                (20, 10_000, 1),
                (20, 10_000, 2),
                (20, 10_000, 3),
                (300, 10_000, 4),
                (11_000, 10_000, 0),
                (10_000, 10_000, 5)
            ]
        );
    }

    #[test]
    fn positions_follow_the_clock_and_then_the_file() {
        let steps =
            [step(Span(9), false, 0), step(Span(7), false, 0), step(Span(7), false, 1), step(Span(7), false, 0)];
        assert_eq!(shape(&steps), [(9, 9, 2), (7, 9, 0), (7, 9, 0), (7, 9, 1)]);
    }
}

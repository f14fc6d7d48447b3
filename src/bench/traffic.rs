//! Many chains in the order of a bus, interleaved, with what befalls messages on the way: duplicates, disorder, loss.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{
    envelope::{self, Size},
    mixed,
    rng::Rng,
    shop, standard,
    story::simulate,
    truth::Truth,
};
use crate::{
    model::{BusTime, Span},
    wire::proto::{Envelope, Kind},
};

/// What kind of chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The load profile that figures are measured with.
    #[default]
    Standard,
    /// Shapes of real systems.
    Mixed,
    /// A small shop, for people.
    Shop,
}

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What kind of chains.
    pub profile: Profile,
    /// How many.
    pub chains: u64,
    /// Chains that begin in a second of bus time.
    pub per_second: u64,
    /// Partitions that they are keyed to.
    pub partitions: u32,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// Bus time of the first message.
    pub begins: BusTime,
    /// Of a thousand messages, how many come twice.
    pub duplicates: u64,
    /// Of a thousand chains, how many lose one message.
    pub losses: u64,
    /// Up to how much later a response is given than the bus had it. Below a second.
    pub disorder: Span,
}

impl Settings {
    /// Settings of a profile; without duplicates, loss and disorder for `standard`.
    #[must_use]
    pub fn of(profile: Profile, chains: u64, seed: u64) -> Self {
        let troubles = profile == Profile::Mixed;
        Self {
            profile,
            chains,
            per_second: if profile == Profile::Shop { 4 } else { 1_000 },
            partitions: 4,
            seed,
            // 2026-01-01T09:00:00Z
            begins: BusTime(1_767_258_000_000),
            duplicates: if troubles { 20 } else { 0 },
            losses: match profile {
                Profile::Standard => 0,
                Profile::Mixed => 5,
                Profile::Shop => 10,
            },
            disorder: if troubles { Span::millis(60) } else { Span::ZERO },
        }
    }
}

/// A message as the bus gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Bus time.
    pub at: BusTime,
    /// Partition of its chain.
    pub partition: u32,
    /// It stands in the topic of responses, which keeps its own order.
    pub response: bool,
    /// The message.
    pub envelope: Envelope,
}

/// Generated messages in the order in which they are given.
#[derive(Debug)]
pub struct Traffic {
    settings: Settings,
    rng: Rng,
    begun: u64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    order: u64,
    truths: Vec<Truth>,
}

#[derive(Debug)]
struct Waiting {
    given: BusTime,
    at: BusTime,
    order: u64,
    timed: Timed,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == std::cmp::Ordering::Equal
    }
}

impl Eq for Waiting {}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.given, self.at, self.order).cmp(&(other.given, other.at, other.order))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Traffic {
    /// Traffic of these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let rng = Rng::new(settings.seed);
        Self { settings, rng, begun: 0, waiting: BinaryHeap::new(), order: 0, truths: Vec::new() }
    }

    /// The truth about the chains that have begun since the last call.
    pub fn take_truths(&mut self) -> Vec<Truth> {
        std::mem::take(&mut self.truths)
    }

    fn next_begins(&self) -> BusTime {
        let ms = self.begun.saturating_mul(1000) / self.settings.per_second.max(1);
        self.settings.begins.plus(Span(ms))
    }

    fn begin_chain(&mut self) {
        let began = self.next_begins();
        self.begun += 1;
        let rng = &mut self.rng;
        let (spec, client, size): (_, _, Size) = match self.settings.profile {
            Profile::Standard => (standard::chain(rng), "gateway", Some(standard::ENVELOPE_BYTES)),
            Profile::Mixed => (mixed::chain(rng), "gateway", None),
            Profile::Shop => (shop::chain(rng), "web-shop", None),
        };
        let mut story = simulate(&spec, client, rng);
        let partition = u32::try_from(rng.below(u64::from(self.settings.partitions.max(1)))).unwrap_or(0);
        let mut messages = envelope::messages(&story, began, size, rng);
        if rng.chance(self.settings.losses) {
            lose_one(&mut messages, &mut story.truth, rng);
        }
        for (at, envelope) in messages {
            let response = envelope.kind == i32::from(Kind::Response);
            let timed = Timed { at, partition, response, envelope };
            if self.rng.chance(self.settings.duplicates) {
                // Sent again by its sender: a record of its own, with the same message id.
                let again = at.plus(Span(self.rng.below(100)));
                self.give(Timed { at: again, ..timed.clone() });
            }
            self.give(timed);
        }
        self.truths.push(story.truth);
    }

    fn give(&mut self, timed: Timed) {
        let given = if timed.response { timed.at.plus(self.lag(&timed)) } else { timed.at };
        self.order += 1;
        self.waiting.push(Reverse(Waiting { given, at: timed.at, order: self.order, timed }));
    }

    /// How far the topic of responses lags at this time. It rises and falls more slowly than time goes, so that each
    /// partition keeps its own order.
    fn lag(&self, timed: &Timed) -> Span {
        const PERIOD: u64 = 2_000;
        let phase = timed.at.0.unsigned_abs().wrapping_add(u64::from(timed.partition) * 500) % PERIOD;
        let height = phase.min(PERIOD - phase);
        Span(self.settings.disorder.0 * height / (PERIOD / 2))
    }
}

/// Loses the request of a call that nobody else names: its answer is an orphan, and nothing else changes.
fn lose_one(messages: &mut Vec<(BusTime, Envelope)>, truth: &mut Truth, rng: &mut Rng) {
    let named = |id: &str, of: &[(BusTime, Envelope)]| {
        truth.undo.iter().any(|undone| undone == id)
            || truth.failing.as_deref() == Some(id)
            || of.iter().any(|(_, other)| other.parent_call_id == id || other.retry_of == id)
    };
    let leaves: Vec<usize> = (0..messages.len())
        .filter(|&n| {
            let envelope = &messages[n].1;
            let plain = envelope.kind == i32::from(Kind::Request) && envelope.retry_of.is_empty();
            let answered = messages
                .iter()
                .any(|(_, other)| other.call_id == envelope.call_id && other.kind == i32::from(Kind::Response));
            plain && answered && !envelope.parent_call_id.is_empty() && !named(&envelope.call_id, messages)
        })
        .collect();
    if !leaves.is_empty() {
        messages.remove(*rng.pick(&leaves));
        truth.incomplete = true;
    }
}

impl Iterator for Traffic {
    type Item = Timed;

    fn next(&mut self) -> Option<Timed> {
        while self.begun < self.settings.chains {
            let begins = self.next_begins();
            if self.waiting.peek().is_some_and(|first| first.0.given < begins) {
                break;
            }
            self.begin_chain();
        }
        self.waiting.pop().map(|waiting| waiting.0.timed)
    }
}

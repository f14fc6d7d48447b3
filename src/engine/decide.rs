//! S2.1 to S2.4: when a chain is decided, as a function of what is known of it. It moves with every message; until then
//! nothing else has to be timed.

use super::{
    call::{Begun, Call},
    chain::Chain,
    decided::{CallKey, Decided},
    judge::{Picture, Standing, State, Times, call_clock},
    lanes::Lanes,
    policies::Policies,
};
use crate::{
    engine::chain::Wake,
    model::{BusTime, Names, Span},
    policy::{InFlight, Settings},
};

/// When a chain is to be decided if nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub at: BusTime,
    /// Not because all is answered, but because the chain is too old (S2.2).
    pub expired: bool,
}

/// What the calls of a chain add up to.
#[derive(Debug)]
struct Tally<'s> {
    settings: &'s Settings,
    /// Since when all has held still, with `decide_grace` added.
    due: BusTime,
    /// When the last call with a timeout was answered or timed out.
    timed: BusTime,
    untimed_open: bool,
    roots: usize,
}

/// When `chain` is to be decided.
pub(super) fn due(chain: &Chain, names: &Names, policies: &Policies, lanes: &Lanes) -> Due {
    let settings = &policies.policy().settings;
    if let (Some(since), InFlight::Wait) = (chain.is_fine_since(), settings.in_flight) {
        return Due { at: since.plus(settings.decide_grace), expired: false };
    }
    let min = BusTime::MIN;
    let mut tally = Tally { settings, due: min, timed: min, untimed_open: false, roots: 0 };
    if chain.has_events || chain.links_suspect {
        let picture = Picture::draw(chain, names, policies, lanes);
        for seen in picture.calls.iter().filter(|seen| seen.standing != Standing::Refused) {
            if let Some(begun) = seen.begun {
                let published = begun.event && seen.key.consumer.is_none() && seen.times.answered.is_none();
                tally.add(begun, seen.times, seen.is_root(), published);
            }
        }
    } else {
        for call in chain.graph.node_weights() {
            let Some(begun) = &call.begun else { continue };
            let times = quick_clock(begun, call, settings);
            let undoes = begun.more.as_ref().is_some_and(|more| more.compensates.is_some() || more.during);
            tally.add(begun, times, !begun.has_parent && !undoes, false);
        }
    }
    if tally.roots > 0 && !tally.untimed_open {
        return Due { at: tally.due, expired: false };
    }
    let old = chain.first_at.plus(max_age(chain, names, policies));
    Due { at: old.max(tally.timed.plus(settings.decide_grace)), expired: true }
}

/// [`call_clock`] without a walk over answers where there is at most one.
fn quick_clock(begun: &Begun, call: &Call, settings: &Settings) -> Times {
    let only = call.only_answer();
    if call.answer_count() > 1 || only.is_some_and(|answer| !answer.code.is_final()) {
        return call_clock(begun.stamp.at, begun.timeout(), settings.timeout_grace, call.answers());
    }
    let deadline = begun.timeout().map(|timeout| begun.stamp.at.plus(timeout));
    let limit = deadline.map(|deadline| deadline.plus(settings.timeout_grace));
    let in_time = |at: BusTime| limit.is_none_or(|limit| at <= limit);
    Times { deadline, limit, answered: only.map(|answer| answer.stamp).filter(|stamp| in_time(stamp.at)) }
}

impl Tally<'_> {
    fn add(&mut self, begun: &Begun, times: Times, is_root: bool, published: bool) {
        self.roots += usize::from(is_root);
        let waited_for = is_root || self.settings.in_flight == InFlight::Wait;
        let ended = match (times.answered, times.limit) {
            (Some(stamp), _) => Some((stamp.at, self.settings.decide_grace)),
            // The last instant of the grace still answers in time: without a grace, decide an instant later.
            (None, Some(limit)) => Some((limit, self.settings.decide_grace.max(Span::millis(1)))),
            (None, None) if published => Some((begun.stamp.at, self.settings.decide_grace)),
            (None, None) => None,
        };
        if let (Some((at, _)), true) = (ended, times.limit.is_some()) {
            self.timed = self.timed.max(at);
        }
        if !waited_for {
            return;
        }
        self.due = self.due.max(begun.stamp.at.plus(self.settings.decide_grace));
        match ended {
            Some((at, grace)) => self.due = self.due.max(at.plus(grace)),
            None => self.untimed_open = true,
        }
    }
}

/// The age at which the chain is decided in any case: the longest of its roots' (S2.2).
pub(super) fn max_age(chain: &Chain, names: &Names, policies: &Policies) -> Span {
    let roots = chain.graph.node_weights().filter_map(|call| call.begun.as_ref()).filter(|begun| !begun.has_parent);
    let ages = roots.map(|begun| policies.look_up(names, begun.service, begun.operation).max_age);
    ages.max().unwrap_or(policies.policy().settings.max_age)
}

/// Open calls without a limit, which nobody has given up.
fn untimed<'p>(picture: &'p Picture<'_>, decided: &'p Decided) -> impl Iterator<Item = (CallKey, &'p Begun)> {
    let open = picture.calls.iter().filter(|seen| seen.state == State::Open && seen.standing != Standing::Refused);
    let untimed = open.filter(|seen| seen.times.deadline.is_none() && !decided.given_up.contains(&seen.key));
    untimed.filter_map(|seen| Some((seen.key, seen.begun?)))
}

/// Gives up open calls without a limit (S2.2): all that are known when the chain is decided at `max_age`; and where a
/// void call is waited for, all once the last of them is that old, since nobody would ever hear of them again.
pub(super) fn give_up(picture: &Picture<'_>, decided: &mut Decided, max_age: Span, now: Now<'_>, first: bool) {
    let patience_is_over = || patience_ends(picture, decided, max_age).is_some_and(|end| now.has_passed(end));
    if first && decided.expired || !first && decided.open_voided && patience_is_over() {
        let given_up: Vec<CallKey> = untimed(picture, decided).map(|(key, _)| key).collect();
        if first {
            decided.unanswered.clone_from(&given_up);
        }
        decided.given_up.extend(given_up);
    }
}

/// When the last of the open calls without a limit that are still waited for grows old, and on which lane.
fn patience_ends(picture: &Picture<'_>, decided: &Decided, max_age: Span) -> Option<Wake> {
    let ends = untimed(picture, decided).map(|(_, begun)| (begun.stamp.at.plus(max_age), begun.stamp.lane())).max();
    ends.map(|(at, lane)| Wake { at, lane })
}

/// The instant as of which a chain is judged: a lane may have passed it, in a backlog, or not have come to it yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'l> {
    pub lanes: &'l Lanes,
    pub as_of: BusTime,
}

impl Now<'_> {
    pub fn has_passed(self, limit: Wake) -> bool {
        limit.at <= self.lanes.stream(limit.lane).min(self.as_of)
    }
}

/// What comes by itself while nothing more is heard, the first on each lane: an open call times out; an own undo without
/// a limit is waited for no longer (S4.8); and where a void call is open, all without a limit are given up.
pub(super) fn limits(picture: &Picture<'_>, decided: &Decided, max_age: Span, now: Now<'_>) -> Vec<Wake> {
    let open = picture.calls.iter().filter(|seen| seen.state == State::Open);
    let of_calls = open.filter_map(|seen| {
        let begun = seen.begun?;
        let own_undo = begun.more.as_ref().is_some_and(|more| more.compensates.is_some());
        let old = own_undo.then(|| begun.stamp.at.plus(max_age));
        Some(Wake { at: seen.times.limit.or(old)?, lane: begun.stamp.lane() })
    });
    let to_come = of_calls.filter(|&limit| !now.has_passed(limit));
    // This one may have passed: then it is seen at once.
    let patience = patience_ends(picture, decided, max_age).filter(|_| decided.open_voided);
    let mut limits: Vec<Wake> = to_come.chain(patience).collect();
    limits.sort_unstable_by_key(|limit| (limit.lane, limit.at));
    limits.dedup_by_key(|limit| limit.lane);
    limits
}

//! S2.3, S3.8, S5.6: deciding a chain, and judging it again when there is news.

use super::{
    Engine, Report,
    chain::Chain,
    change,
    command::{GateInput, gate},
    decide::{self, Due},
    decided::{Decided, Gate},
    judge::{self, Finding, Picture, State},
    plan::{self, Effects, Replanned},
};
use crate::{
    engine::{call::AnswerCode, chain::Wake, timers::Timer},
    model::{Action, BusTime, ChainChange, LaneId, Name, Outcome, PlanItemState, Slot, VerdictView, WaitReason},
    policy::Settings,
};

impl Engine {
    /// After news about a chain: decides it if it is time, judges it again if it was decided, or sets its timer.
    pub(super) fn settle(&mut self, slot: Slot, at: BusTime, actions: &mut Vec<Action>) {
        let Some(chain) = self.table.get(slot) else { return };
        if chain.is_decided() {
            self.rejudge(slot, at, actions);
            return self.go_on(slot, at, actions);
        }
        let due = decide::due(chain, &self.names, &self.policies, &self.lanes);
        let (_, stream) = chain.slowest(&self.lanes);
        if stream >= due.at {
            self.decide(slot, due, actions);
        } else {
            self.schedule(slot, due.at);
        }
    }

    /// Sets a chain's timer on its slowest lane, unless one fires before.
    pub(super) fn schedule(&mut self, slot: Slot, at: BusTime) {
        let Some(mut chain) = self.table.take(slot) else { return };
        let (lane, stream) = chain.slowest(&self.lanes);
        // A time that the slowest lane has passed is due at its next move.
        let at = at.max(stream);
        if chain.wake.is_none_or(|wake| wake.at > at) {
            chain.wake = Some(Wake { at, lane });
            self.lanes.lane_mut(lane).timers.push(Timer { at: at.0, key: chain.key, slot: slot.0 });
        }
        self.table.put(slot, chain);
        self.prune_timers(lane);
    }

    /// Keeps overtaken timers from outgrowing the chains: there are at most four times as many.
    fn prune_timers(&mut self, lane: LaneId) {
        let timers = &mut self.lanes.lane_mut(lane).timers;
        if timers.len() > 4 * self.table.len() + MANY_TIMERS {
            let table = &self.table;
            timers.retain(|timer| {
                let wake = Some(Wake { at: BusTime(timer.at), lane });
                table.get(Slot(timer.slot)).is_some_and(|chain| chain.key == timer.key && chain.wake == wake)
            });
        }
    }

    fn decide(&mut self, slot: Slot, due: Due, actions: &mut Vec<Action>) {
        let Some(mut chain) = self.table.take(slot) else { return };
        self.stats.verdicts += 1;
        let settings = &self.policies.policy().settings;
        if !due.expired && is_healthy(&chain, settings) {
            let closes = due.at.plus(settings.linger);
            chain.settled_at = Some(due.at);
            if self.wants_view(&chain) {
                actions.push(Action::View(Box::new(self.view_of(&chain))));
            }
            self.remember_closed(&chain, closes);
            self.table.put(slot, chain);
            actions.push(Action::Settled(slot));
            return self.schedule(slot, closes);
        }
        let mut decided = Decided::new(due.at);
        decided.expired = due.expired;
        chain.decided = Some(Box::new(decided));
        let undo_only = chain
            .graph
            .node_weights()
            .filter_map(|call| call.begun.as_ref())
            .all(|begun| begun.more.as_ref().is_some_and(|more| more.compensates.is_some() || more.during));
        if undo_only && chain.graph.node_weights().any(|call| call.begun.is_some()) {
            // Undos never start a chain (S1.8): theirs is closed, or never came.
            return self.close(slot, chain, due.at, actions);
        }
        self.judge(&mut chain, due.at, true, actions);
        self.table.put(slot, chain);
        actions.push(Action::Save(slot));
        self.go_on(slot, due.at, actions);
    }

    /// Judges a decided chain again after news.
    pub(super) fn rejudge(&mut self, slot: Slot, at: BusTime, actions: &mut Vec<Action>) {
        let Some(mut chain) = self.table.take(slot) else { return };
        if let Some(at) = chain.settled_at.take() {
            chain.decided = Some(Box::new(Decided::new(at)));
        }
        if let Some(decided) = chain.decided.as_mut() {
            decided.settled = false;
            decided.changed_at = decided.changed_at.max(at);
        }
        self.judge(&mut chain, at, false, actions);
        self.table.put(slot, chain);
        actions.push(Action::Save(slot));
    }

    /// Verdict and plan of a chain as it is known now.
    fn judge(&mut self, chain: &mut Chain, at: BusTime, first: bool, actions: &mut Vec<Action>) {
        let Some(mut decided) = chain.decided.take() else { return };
        let (_, stream) = chain.slowest(&self.lanes);
        decided.judged_at = decided.judged_at.max(stream);
        let picture = Picture::draw(chain, &self.names, &self.policies, &self.lanes);
        let finding = judge::find(&picture, decided.expired);
        if finding.root_open && !first && !decided.expired {
            // A root is open again: what was said stands until it is answered.
            chain.decided = Some(decided);
            return;
        }
        let was = decided.verdict.as_ref().map_or(Outcome::Succeeded, |verdict| verdict.outcome);
        if !first && was == Outcome::Failed && finding.outcome != Outcome::Failed && decided.undoing() {
            decided.too_early = true;
        }
        let effects = Effects::of(&picture, &self.policies, finding.outcome, decided.expired);
        let replanned = plan::replan(&picture, &effects, &self.policies, &mut decided);
        let revised = revise(&picture, &finding, &replanned, &mut decided, at, first);
        self.route(&picture, &mut decided);
        let mut braked = None;
        if replanned.new_generation || (revised && !decided.undoing() && regates(&decided)) {
            let mut brake = std::mem::take(&mut self.brake);
            let input = self.gate_input(&picture, &finding, &decided, at);
            let new = gate(&mut decided, &input, &mut brake);
            let alert = std::mem::take(&mut brake.alert);
            if let Some(last) = decided.gates.last_mut() {
                *last = new;
            }
            braked = Some((brake, alert));
        }
        if first {
            self.open_window(&picture, &mut decided, at);
        }
        let chain_id = if revised || first { chain.id.text().into_owned() } else { String::new() };
        if !chain_id.is_empty() {
            actions.push(change(chain_id, at, ChainChange::Decided));
        }
        chain.decided = Some(decided);
        if let Some((brake, alert)) = braked {
            self.brake = brake;
            actions.extend(alert.then(|| change("", at, ChainChange::BrakeEngaged)));
        }
    }

    /// S5.15: what has no route is stuck from the moment of planning.
    pub(super) fn route(&self, picture: &Picture<'_>, decided: &mut Decided) {
        for item in decided.items.iter_mut().filter(|item| item.state == PlanItemState::Waiting && !item.was_sent()) {
            let Some(n) = picture.find(item.call) else { continue };
            let seen = &picture.calls[n];
            let operation = seen.begun.map_or(Name::NONE, |begun| begun.operation);
            if !self.policies.look_up(&self.names, seen.service(), operation).routed {
                item.state = PlanItemState::Stuck;
                item.reason = Some(WaitReason::NoRoute);
            }
        }
    }

    fn gate_input<'a>(
        &'a self,
        picture: &Picture<'_>,
        finding: &Finding,
        decided: &Decided,
        at: BusTime,
    ) -> GateInput<'a> {
        let generation = decided.generation();
        let own = decided.items.iter().filter(|item| item.generation == generation && !item.superseded);
        let modes = own.filter_map(|item| picture.find(item.call)).map(|n| {
            let seen = &picture.calls[n];
            let operation = seen.begun.map_or(Name::NONE, |begun| begun.operation);
            self.policies.look_up(&self.names, seen.service(), operation).mode
        });
        let edge = finding.walks.first().map(|walk| &picture.calls[walk.edge]);
        let passed = |seen: &&judge::Seen<'_>| seen.state == State::TimedOut;
        let deadlines = picture.calls.iter().filter(passed).filter_map(|seen| seen.times.limit);
        let expiry = decided.expired.then_some(decided.at);
        GateInput {
            settings: &self.policies.policy().settings,
            modes: modes.collect(),
            incomplete: finding.incomplete,
            catching_up: self.catching_up,
            newest: deadlines.chain(expiry).chain([picture.chain.newest_at]).max().unwrap_or(at),
            host: self.lanes.host,
            edge: edge.map_or((Name::NONE, Name::NONE), |seen| {
                (seen.begun.map_or(Name::NONE, |begun| begun.source), seen.service())
            }),
            at,
        }
    }

    /// S4.9: services that undo by themselves are given time, by their root operation or by the callee of an effect.
    fn open_window(&self, picture: &Picture<'_>, decided: &mut Decided, at: BusTime) {
        let of = |n: usize| {
            let seen = &picture.calls[n];
            let operation = seen.begun.map_or(Name::NONE, |begun| begun.operation);
            self.policies.look_up(&self.names, seen.service(), operation).own_undo_window
        };
        let roots = (0..picture.calls.len()).filter(|&n| picture.calls[n].is_root());
        let planned = decided.items.iter().filter_map(|item| picture.find(item.call));
        let window = roots.chain(planned).map(of).max().unwrap_or_default();
        if window.0 > 0 && !decided.items.is_empty() {
            decided.window_until = at.plus(window);
        }
    }

    /// Whether a view of this chain is wanted.
    pub(super) fn wants_view(&self, chain: &Chain) -> bool {
        match self.report {
            Report::All => true,
            Report::Notable { sample } => {
                let notable = chain.decided.as_ref().is_some_and(|decided| {
                    decided.verdict.is_some() || !decided.items.is_empty() || !decided.duplicates.is_empty()
                });
                notable || chain.key % 10_000 < u64::from(sample)
            }
        }
    }
}

/// Timers of one lane that are never worth pruning: about a megabyte.
const MANY_TIMERS: usize = 50_000;

/// The fast way: every call is known, inside calls that came before it, and was answered `OK` once and in time.
fn is_healthy(chain: &Chain, settings: &Settings) -> bool {
    let grace = settings.timeout_grace;
    let fine = |call: &super::call::Call| {
        let (Some(begun), Some(answer)) = (&call.begun, call.only_answer()) else { return false };
        let limit = begun.timeout().map_or(BusTime::MAX, |timeout| begun.stamp.at.plus(timeout).plus(grace));
        answer.code == AnswerCode::Ok && answer.stamp.at <= limit
    };
    let plain = chain.plain && !chain.links_suspect && chain.noted.bits() == 0;
    // With fewer calls than the depth limit no call is too deep.
    plain && chain.graph.node_count() <= settings.limits.depth && chain.graph.node_weights().all(fine)
}

/// A gate that more evidence may open: what waited since it was incomplete, old or rejected is looked at again.
fn regates(decided: &Decided) -> bool {
    use WaitReason::{CatchingUp, Incomplete, Stale};
    match decided.gates.last() {
        Some(Gate::Rejected(revision)) => *revision != decided.revision,
        Some(Gate::Await(Incomplete | Stale | CatchingUp)) => true,
        _ => false,
    }
}

/// Sets the verdict; a change of any part makes a new revision (S3.8).
fn revise(
    picture: &Picture<'_>,
    finding: &Finding,
    replanned: &Replanned,
    decided: &mut Decided,
    at: BusTime,
    first: bool,
) -> bool {
    let mut verdict = finding.verdict(picture, at);
    verdict.anomalies.extend(&replanned.anomalies);
    let old = decided.verdict.take();
    let plain = is_plain(&verdict);
    let same = match &old {
        Some(old) => says_the_same(old, &verdict),
        None => !first && plain,
    };
    if same {
        decided.verdict = old;
        return false;
    }
    decided.revision = if first { 1 } else { decided.revision.saturating_add(1) };
    verdict.revision = decided.revision;
    let kept = !plain || decided.revision > 1;
    decided.verdict = kept.then(|| Box::new(verdict));
    true
}

fn is_plain(verdict: &VerdictView) -> bool {
    verdict.outcome == Outcome::Succeeded
        && verdict.tolerated.is_empty()
        && verdict.anomalies.is_empty()
        && !verdict.incomplete
}

fn says_the_same(a: &VerdictView, b: &VerdictView) -> bool {
    let aside = |verdict: &VerdictView| VerdictView {
        sentence: String::new(),
        revision: 0,
        decided_at: BusTime::MIN,
        ..verdict.clone()
    };
    aside(a) == aside(b)
}

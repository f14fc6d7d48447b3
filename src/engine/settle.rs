//! S2.3, S3.8, S5.6: deciding a chain, and judging it again when there is news.

use std::sync::Arc;

use super::{
    Engine, Report,
    chain::Chain,
    change,
    command::{Brake, GateInput, gate},
    decide::{self, Due, Now},
    decided::{Decided, Gate},
    judge::{self, Finding, Picture, State},
    plan::{self, Effects, Replanned},
};
use crate::{
    engine::{call::AnswerCode, chain::Wake},
    model::{
        Action, BusTime, ChainChange, FailureView, LaneId, Name, Outcome, PlanItemState, Slot, VerdictView, WaitReason,
    },
    policy::{Mode, OperationPolicy, Settings},
};

/// When and why a chain is judged.
#[derive(Debug, Clone, Copy)]
struct Judging {
    /// Bus time that is said of it.
    at: BusTime,
    /// What times out later is open.
    as_of: BusTime,
    first: bool,
}

/// What a judgement changed, for the gate.
#[derive(Debug, Clone, Copy)]
struct News {
    gate_before: Option<Gate>,
    /// A generation began, or the plan was made anew.
    new_generation: bool,
    /// The verdict has a new revision.
    revised: bool,
    at: BusTime,
}

impl Engine {
    /// After news about a chain: decides it if it is time, judges it again if it was decided, or sets its timer.
    pub(super) fn settle(&mut self, slot: Slot, at: BusTime, actions: &mut Vec<Action>) {
        let Some(chain) = self.table.get(slot) else { return };
        if chain.is_decided() {
            self.rejudge(slot, at, self.lanes.newest(), actions);
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
        let (lane, _) = chain.slowest(&self.lanes);
        // On a lane that none of its calls is on any more it might never fire.
        if chain.wake.is_none_or(|wake| wake.at > at || wake.lane != lane) {
            chain.wake = Some(Wake { at, lane });
            self.lanes.set_timer(Wake { at, lane }, chain.key, slot);
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
                let wake = Wake { at: BusTime(timer.at), lane };
                table.get(Slot(timer.slot)).is_some_and(|chain| chain.key == timer.key && chain.waits_for(wake))
            });
        }
    }

    fn decide(&mut self, slot: Slot, due: Due, actions: &mut Vec<Action>) {
        let Some(mut chain) = self.table.take(slot) else { return };
        self.stats.verdicts += 1;
        if due.expired || !is_healthy(&chain, &self.policies.policy().settings) {
            if !chain.plain && self.is_undo_only(&chain) {
                // Undos never start a chain (S1.8): theirs is closed, or never came.
                return self.close(slot, chain, due.at, actions);
            }
            let mut decided = Decided::new(due.at);
            decided.expired = due.expired;
            chain.decided = Some(Box::new(decided));
            self.judge(slot, &mut chain, &Judging { at: due.at, as_of: due.at, first: true }, actions);
            if chain.decided.as_ref().is_none_or(|decided| !decided.is_over(&chain)) {
                self.table.put(slot, chain);
                actions.push(Action::Save(slot));
                return self.go_on(slot, due.at, actions);
            }
            chain.decided = None;
        }
        let closes = due.at.plus(self.policies.policy().settings.linger);
        chain.settled_at = Some(due.at);
        if self.wants_view(&chain) {
            actions.push(Action::View(Box::new(self.view_of(&chain))));
        }
        self.remember_closed(&chain, closes);
        self.table.put(slot, chain);
        actions.push(Action::Settled(slot));
        self.schedule(slot, closes);
    }

    /// Whether all that is known of a chain are undos and what is inside them, and no answer to anything else.
    fn is_undo_only(&self, chain: &Chain) -> bool {
        let picture = Picture::draw(chain, &self.names, &self.policies, &self.lanes);
        let mut known = picture.calls.iter().filter(|seen| seen.begun.is_some() || !seen.answers.is_empty()).peekable();
        known.peek().is_some() && known.all(|seen| seen.begun.is_some() && seen.undoes)
    }

    /// Judges a decided chain again: after news, or as of the instant at which a limit passed.
    pub(super) fn rejudge(&mut self, slot: Slot, at: BusTime, as_of: BusTime, actions: &mut Vec<Action>) {
        let Some(mut chain) = self.table.take(slot) else { return };
        if let Some(at) = chain.settled_at.take() {
            chain.decided = Some(Box::new(Decided::new(at)));
        }
        if let Some(decided) = chain.decided.as_mut() {
            decided.settled = false;
            decided.changed_at = decided.changed_at.max(at);
        }
        self.judge(slot, &mut chain, &Judging { at, as_of, first: false }, actions);
        self.table.put(slot, chain);
        actions.push(Action::Save(slot));
    }

    /// Verdict and plan of a chain as it is known now.
    fn judge(&mut self, slot: Slot, chain: &mut Chain, judging: &Judging, actions: &mut Vec<Action>) {
        let Some(mut decided) = chain.decided.take() else { return };
        let &Judging { at, first, .. } = judging;
        decided.as_of = decided.as_of.max(judging.as_of);
        let mut brake = std::mem::take(&mut self.brake);
        let now = Now { lanes: &self.lanes, as_of: decided.as_of };
        let picture = Picture::draw_as_of(chain, &self.names, &self.policies, now, &decided.items);
        let max_age = decide::max_age(chain, &self.names, &self.policies);
        decide::give_up(&picture, &mut decided, max_age, now, first);
        let finding = judge::find(&picture, &decided.unanswered, &decided.given_up);
        let was = decided.verdict.as_ref().map_or(Outcome::Succeeded, |verdict| verdict.outcome);
        let mut revised = false;
        // Where a root is open again, what was said stands until it is answered.
        if first || !finding.root_open || was == Outcome::Unknown {
            let unmade = was == Outcome::Failed && finding.outcome != Outcome::Failed;
            decided.too_early |= !first && unmade && decided.undoing();
            let effects = Effects::of(&picture, &self.policies, finding.outcome, &decided.given_up);
            let gate_before = decided.gates.last().copied();
            let replanned = plan::replan(&picture, &effects, &self.policies, &mut decided);
            revised = revise(&picture, &finding, &replanned, &mut decided, at, first);
            self.route(&picture, &mut decided);
            self.hold_window(&picture, &mut decided);
            let news = News { gate_before, new_generation: replanned.new_generation, revised, at };
            self.set_gate(&picture, &finding, &mut decided, &news, &mut brake);
        }
        let limits = decide::limits(&picture, &decided, max_age, now);
        drop(picture);
        self.set_limits(slot, chain.key, &mut decided, limits);
        if revised || first && !decided.is_over(chain) {
            actions.push(change(chain.id.text().into_owned(), at, ChainChange::Decided));
        }
        actions.extend(std::mem::take(&mut brake.alert).then(|| change("", at, ChainChange::BrakeEngaged)));
        self.brake = brake;
        chain.decided = Some(decided);
    }

    /// Notes what comes by itself, with a timer for each that is new.
    fn set_limits(&mut self, slot: Slot, key: u64, decided: &mut Decided, limits: Vec<Wake>) {
        for limit in limits.iter().filter(|limit| !decided.limits.contains(limit)) {
            self.lanes.set_timer(*limit, key, slot);
        }
        decided.limits = limits;
    }

    /// Sets the gate of a plan that is new, or that the news may open or shut (S5.7, S5.8).
    fn set_gate(
        &self,
        picture: &Picture<'_>,
        finding: &Finding,
        decided: &mut Decided,
        news: &News,
        brake: &mut Brake,
    ) {
        // What was rejected stays so in its revision, also if the same is planned otherwise.
        let rejected = matches!(news.gate_before, Some(Gate::Rejected(revision)) if revision == decided.revision);
        let mode_before = decided.mode;
        let new = if news.new_generation && rejected && !decided.undoing() {
            Gate::Rejected(decided.revision)
        } else if news.new_generation || news.revised && self.regates(finding, decided) {
            decided.approved &= !news.new_generation;
            let input = self.gate_input(picture, finding, decided, news.at);
            gate(decided, &input, brake)
        } else {
            return;
        };
        let strict = mode_before == Mode::Auto && decided.mode == Mode::Approve;
        if let Some((last, before)) = decided.gates.split_last_mut() {
            *last = new;
            // The strictest mode holds for the whole plan: also for what waits of the generations before.
            for gate in before.iter_mut().filter(|gate| strict && **gate == Gate::Open) {
                *gate = Gate::Await(WaitReason::Mode);
            }
        }
    }

    /// A gate that more evidence may open: what waited since it was incomplete, old or rejected is looked at again. Or
    /// shut: of what nobody approved, nothing goes out on an incomplete verdict.
    fn regates(&self, finding: &Finding, decided: &Decided) -> bool {
        use WaitReason::{CatchingUp, Incomplete, Stale};
        match decided.gates.last() {
            Some(Gate::Rejected(revision)) => *revision != decided.revision,
            _ if decided.undoing() => false,
            Some(Gate::Await(Incomplete | Stale | CatchingUp)) => true,
            Some(Gate::Open) => {
                finding.incomplete && !self.policies.policy().settings.act_on_incomplete && !decided.approved
            }
            _ => false,
        }
    }

    /// What the catalogue says of the service and operation of a call.
    fn rule_of(&self, picture: &Picture<'_>, n: usize) -> Arc<OperationPolicy> {
        let seen = &picture.calls[n];
        let operation = seen.begun.map_or(Name::NONE, |begun| begun.operation);
        self.policies.look_up(&self.names, seen.service(), operation)
    }

    /// S5.15: what has no route, or cannot be written, is stuck from the moment of planning.
    pub(super) fn route(&self, picture: &Picture<'_>, decided: &mut Decided) {
        for item in decided.items.iter_mut().filter(|item| item.state == PlanItemState::Waiting && !item.was_sent()) {
            let Some(n) = picture.find(item.call) else { continue };
            let route = self.destination(picture, item).map_or_else(String::new, |to| to.route);
            let is_envelope = || self.rule_of_message(picture, item).is_some_and(|rule| rule.envelope);
            if !self.rule_of(picture, n).routed || !self.policies.policy().catalogue.leads(&route, is_envelope) {
                item.has_no_route();
            } else if !item.is_writable {
                match self.unwritable(picture, item) {
                    Some(_) => item.cannot_be_written(),
                    None => item.is_writable = true,
                }
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
        // A plan is one over all its generations. What is only named has no command.
        let live = decided.items.iter().filter(|item| item.state != PlanItemState::Withdrawn || item.was_sent());
        let modes = live.filter_map(|item| {
            let n = picture.find(item.call)?;
            Some((item.has_no_command(), self.rule_of(picture, n).mode))
        });
        let modes: Vec<(bool, Mode)> = modes.collect();
        let strictest = |named: bool| modes.iter().filter(|mode| mode.0 == named).map(|mode| mode.1).max();
        let mode = strictest(false).or_else(|| strictest(true)).unwrap_or(Mode::Auto);
        let edge = finding.walks.first().map(|walk| &picture.calls[walk.edge]);
        let passed = |seen: &&judge::Seen<'_>| seen.state == State::TimedOut;
        let deadlines = picture.calls.iter().filter(passed).filter_map(|seen| seen.times.limit);
        let expiry = decided.expired.then_some(decided.at);
        GateInput {
            settings: &self.policies.policy().settings,
            mode,
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

    /// S4.9: services that undo by themselves are given time from the verdict, by their root operation or by the callee
    /// of an effect.
    fn hold_window(&self, picture: &Picture<'_>, decided: &mut Decided) {
        let of = |n: usize| self.rule_of(picture, n).own_undo_window;
        let roots = (0..picture.calls.len()).filter(|&n| picture.calls[n].is_root());
        let planned = decided.items.iter().filter_map(|item| picture.find(item.call));
        let window = roots.chain(planned).map(of).max().unwrap_or_default();
        if window.0 > 0 && !decided.items.is_empty() {
            decided.window_until = decided.at.plus(window);
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
        answer.code == AnswerCode::Ok && answer.stamp.at <= begun.limit(grace)
    };
    let plain = chain.plain && !chain.links_suspect && chain.noted.bits() == 0;
    // With fewer calls than the depth limit no call is too deep.
    plain
        && chain.graph.node_count() <= settings.limits.depth
        && (chain.is_fine_since().is_some() || chain.graph.node_weights().all(fine))
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
    // In which order failures are named is no part of it.
    let sorted = |failures: &[FailureView]| {
        let mut failures = failures.to_vec();
        failures.sort_by(|a, b| a.call_id.cmp(&b.call_id));
        failures
    };
    let aside = |verdict: &VerdictView| VerdictView {
        sentence: String::new(),
        revision: 0,
        decided_at: BusTime::MIN,
        contributing: sorted(&verdict.contributing),
        runners_up: sorted(&verdict.runners_up),
        tolerated: sorted(&verdict.tolerated),
        ..verdict.clone()
    };
    aside(a) == aside(b)
}

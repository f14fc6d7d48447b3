//! S2.3, S3.8, S5.6: one chain: its letters, its verdict and the revisions of it, its plan.

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    model::{AnomalyKind, BusTime, Certainty, CommandAction, HostTime, LaneId, Outcome, PlanItemState, WaitReason},
    policy::{InFlight, Mode, Policy},
};

use super::{
    effects::{self, Settled},
    ends::{End, Fate, fate},
    graph::Graph,
    letters::Letter,
    plan::{self, Item},
    scene::Scene,
    verdict::{self, Judgement},
    works::{Begun, Work, Works},
};

/// 021, 023: the engine judges a chain that was decided for its age by its open calls ever after. To go once it does not.
const AGE_STICKS: bool = true;

/// What time it is, and by which rules.
pub struct Now<'a> {
    pub policy: &'a Policy,
    pub streams: &'a [BusTime],
    pub host: HostTime,
    /// The command clock (S5.13), in milliseconds that it ran.
    pub clock: u64,
}

/// Why a generation waits for an operator, and whether he let it go.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    pub wait: Option<WaitReason>,
    pub approved: bool,
}

/// One chain.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    pub id: String,
    pub letters: Vec<Letter>,
    pub graph: Graph,
    pub verdict: Option<(Judgement, u32)>,
    pub decided_at: Option<BusTime>,
    pub items: Vec<Item>,
    pub generation: u32,
    pub gates: BTreeMap<u32, Gate>,
    pub settled: Settled,
    pub lasting: BTreeSet<AnomalyKind>,
    pub finish_as_planned: bool,
    pub works: Works,
    pub rejected: Option<u32>,
    pub abandoned: bool,
    pub operations: BTreeSet<String>,
    pub open: BTreeSet<String>,
    pub roots_given_up: BTreeSet<String>,
    pub ever_in_doubt: bool,
    /// A call was open at the last look that would have to be undone (S5.6).
    pub in_flight: bool,
    /// When `max_age` decided it (S5.14).
    pub given_up_at: Option<BusTime>,
    pub closed: bool,
    pub shown: Option<countermand::model::ChainView>,
    /// The time for its services to undo themselves is over (S4.9).
    pub window_over: bool,
}

impl Now<'_> {
    pub fn stream(&self, lane: LaneId) -> BusTime {
        self.streams[usize::from(lane.0)]
    }
}

impl Chain {
    pub fn hear(&mut self, letter: Letter, policy: &Policy) {
        self.letters.push(letter);
        self.graph = Graph::draw(&self.letters, policy);
    }

    pub fn scene(&self, now: &Now<'_>) -> Scene {
        Scene::look(&self.graph, now.policy.settings.timeout_grace, |lane| now.stream(lane))
    }

    /// S5.6: an inquiry alone does not bind the plan.
    pub fn anything_sent(&self) -> bool {
        self.items.iter().any(|item| item.sends > 0 && item.action != CommandAction::Inquire)
    }

    /// S2.3: verdict and plan are made at this instant, on what is known.
    pub fn decide(&mut self, at: BusTime, now: &Now<'_>) {
        let scene = self.scene(now);
        self.decided_at = Some(at);
        if now.policy.settings.in_flight == InFlight::Wait {
            let open = scene.open_holding().into_iter().map(|call| scene.id(call).to_owned());
            self.settled.doubtful = open.collect();
        }
        let roots = (0..scene.calls().len()).filter(|call| scene.calls()[*call].root && scene.open(*call));
        self.roots_given_up = roots.map(|call| scene.id(call).to_owned()).collect();
        let waits = now.policy.settings.in_flight == InFlight::Wait;
        let unanswered = waits && !scene.open_holding().is_empty() || !self.roots_given_up.is_empty();
        self.given_up_at = (unanswered || scene.root_groups().is_empty()).then_some(at);
        let wait_for_all = self.waits_for_all(&scene, now);
        self.judge(&scene, wait_for_all, now, true);
    }

    /// S3.8, S5.6: after the verdict, new evidence makes a new revision and amends the plan; not while a root is open
    /// again. `remake`: it is evidence, by which a plan of which nothing was sent is made anew.
    pub fn review(&mut self, now: &Now<'_>, remake: bool) {
        let Some((before, _)) = &self.verdict else { return };
        let scene = self.scene(now);
        self.open = open_calls(&scene);
        let reopened = (0..scene.calls().len()).any(|call| {
            let worked = scene.group_succeeded(scene.group[call]);
            let given_up = self.roots_given_up.contains(scene.id(call));
            scene.calls()[call].root && scene.open(call) && !worked && !given_up
        });
        let waits = now.policy.settings.in_flight == InFlight::Wait;
        let unknown = before.outcome == Outcome::Unknown || AGE_STICKS && waits && self.given_up_at.is_some();
        if AGE_STICKS && self.given_up_at.is_some() && now.policy.settings.in_flight == InFlight::Wait {
            let forever =
                |id: &&String| self.graph.find(id).is_some_and(|call| self.graph.calls[call].timeout.is_none());
            self.settled.doubtful.extend(self.open.iter().filter(forever).cloned());
        }
        if !reopened || unknown {
            self.judge(&scene, unknown && self.waits_for_all(&scene, now), now, remake);
        }
    }

    /// S2.2, S2.4: whether a call that is open makes an old chain `unknown`; with `plan_now` only a root does.
    fn waits_for_all(&self, scene: &Scene, now: &Now<'_>) -> bool {
        let roots = (0..scene.calls().len()).filter(|call| scene.calls()[*call].root);
        now.policy.settings.in_flight == InFlight::Wait || roots.into_iter().any(|call| scene.open(call))
    }

    fn judge(&mut self, scene: &Scene, wait_for_all: bool, now: &Now<'_>, remake: bool) {
        let outcome = verdict::outcome(scene, wait_for_all);
        let failed_before = self.verdict.as_ref().is_some_and(|(before, _)| before.outcome == Outcome::Failed);
        if failed_before && outcome != Outcome::Failed && self.anything_sent() {
            self.lasting.insert(AnomalyKind::DecidedTooEarly);
            self.finish_as_planned = true;
        }
        let works = Works::plan(scene, now.policy, &self.settled, &self.begun(), outcome);
        let (new, fresh) = self.amend(scene, &works, now, remake);
        let mut anomalies = self.graph.anomalies.clone();
        anomalies.extend(works.anomalies.iter().copied());
        anomalies.extend(self.lasting.iter().copied());
        self.works = works;
        let judgement = verdict::judge(scene, &now.policy.settings, wait_for_all, anomalies);
        let revision = match &self.verdict {
            Some((before, revision)) if *before == judgement => *revision,
            Some((_, revision)) => revision + 1,
            None => 1,
        };
        let news = self.verdict.as_ref().is_none_or(|(_, before)| *before != revision);
        self.verdict = Some((judgement, revision));
        self.in_flight = outcome != Outcome::Unknown && self.still_in_flight(scene, now.policy);
        if let Some(generation) = new.filter(|_| news || fresh) {
            self.set_gate(scene, generation, now);
        }
        self.remember(scene, now.policy);
    }

    /// S5.6: makes the plan anew before anything was sent; else says what is new in the next generation. Returns the
    /// generation that was made, and whether it asks for something else than before.
    fn amend(&mut self, scene: &Scene, works: &Works, now: &Now<'_>, remake: bool) -> (Option<u32>, bool) {
        if remake && !self.anything_sent() {
            let all: Vec<&Work> = works.works.iter().collect();
            let mut items = plan::items(scene, now.policy, &all, 1);
            plan::take_over(&mut items, &self.items);
            items.iter_mut().for_each(|item| item.after.clear());
            plan::order_new(scene, &mut items, &|_| true);
            let same = same_plan(&items, &self.items);
            self.items = items;
            self.generation = 1;
            if !same {
                self.gates.clear();
            }
            return (Some(1), !same);
        }
        let amended = plan::amend(scene, &mut self.items, &works.works, self.finish_as_planned);
        if amended.ran_after_undo {
            self.lasting.insert(AnomalyKind::RanAfterUndo);
        }
        let new: Vec<&Work> = works.works.iter().filter(|work| amended.new.contains(&work.effect)).collect();
        if new.is_empty() {
            return (None, false);
        }
        self.generation += 1;
        self.items.extend(plan::items(scene, now.policy, &new, self.generation));
        let generation = self.generation;
        plan::order_new(scene, &mut self.items, &|item| item.generation == generation);
        (Some(self.generation), true)
    }

    /// S5.7, S5.8, S5.14: whether a generation waits, as it is made.
    fn set_gate(&mut self, scene: &Scene, generation: u32, now: &Now<'_>) {
        let settings = &now.policy.settings;
        let incomplete = self.verdict.as_ref().is_some_and(|(verdict, _)| verdict.incomplete);
        let deadlines = scene.ends.iter().filter_map(|end| match end {
            End::TimedOut(deadline) => Some(deadline.plus(settings.timeout_grace)),
            _ => None,
        });
        let newest = deadlines.chain(self.graph.newest_at).chain(self.given_up_at).max().unwrap_or(BusTime::MIN);
        let wait = match () {
            () if incomplete && !settings.act_on_incomplete => Some(WaitReason::Incomplete),
            () if now.host.as_bus().since(newest) > settings.max_plan_age => Some(WaitReason::Stale),
            () => None,
        };
        let something_to_send =
            self.items.iter().any(|item| item.generation == generation && item.state == PlanItemState::Waiting);
        let gate = self.gates.entry(generation).or_default();
        gate.wait = wait;
        // S5.7: a plan with nothing to send waits for no approval; what an operator then confirms is sent.
        gate.approved |= !something_to_send;
    }

    /// S4.5, S4.7: what later plans have to respect of this one.
    fn begun(&self) -> Begun {
        let undo = |item: &&Item| item.action == CommandAction::Undo;
        let sent = self.anything_sent();
        let named = self.items.iter().filter(|item| sent && item.state != PlanItemState::Withdrawn);
        Begun {
            names: named.map(|item| (item.effect.clone(), item.call.clone())).collect(),
            undone: self
                .items
                .iter()
                .filter(undo)
                .filter(|item| item.sends > 0)
                .map(|item| item.call.clone())
                .collect(),
        }
    }

    fn remember(&mut self, scene: &Scene, policy: &Policy) {
        self.open = open_calls(scene);
        let undeclared = policy.settings.undeclared;
        let in_doubt = scene.judged().into_iter().any(|call| {
            effects::state(scene, call, undeclared, &self.settled) == countermand::model::EffectState::InDoubt
        });
        self.ever_in_doubt |= in_doubt || self.items.iter().any(|item| item.certainty == Certainty::InDoubt);
    }

    /// S1.8: an undo never starts a chain: nothing else is known of it.
    pub fn only_undos(&self) -> bool {
        let known = self.graph.calls.iter().filter(|call| call.ask.is_some());
        known.clone().count() > 0 && known.clone().all(|call| call.undo)
    }

    /// S2.1: when calls that were open at the last look time out, with the partition whose time tells.
    pub fn time_outs(&self, policy: &Policy) -> Vec<(LaneId, BusTime)> {
        let open = self.graph.calls.iter().filter(|call| self.open.contains(&call.id));
        open.filter_map(|call| match (fate(call, policy.settings.timeout_grace), call.begin()) {
            (Fate::Deadline { due, .. }, Some(begin)) => Some((begin.position.lane, due)),
            _ => None,
        })
        .collect()
    }

    /// S5.7: the strictest mode among a plan's commands.
    pub fn mode(&self) -> Mode {
        let live = self.items.iter().filter(|item| item.state != PlanItemState::Withdrawn);
        live.map(|item| item.mode).max().unwrap_or(Mode::Auto)
    }

    /// S4.9: how long the first command is held back.
    pub fn held_back_until(&self) -> Option<BusTime> {
        let rule = |call: &str| self.graph.find(call).and_then(|call| self.graph.calls[call].rule.as_ref());
        let roots = self.graph.calls.iter().filter(|call| call.root).filter_map(|call| call.rule.as_ref());
        let below = self.items.iter().filter_map(|item| rule(&item.call));
        let window = roots.chain(below).map(|rule| rule.own_undo_window).max()?;
        let until = self.decided_at?.plus(window);
        (window.0 > 0 && !self.anything_sent()).then_some(until)
    }
}

/// Whether a plan made anew asks for the same.
fn same_plan(new: &[Item], old: &[Item]) -> bool {
    let what = |items: &[Item]| -> BTreeSet<(String, &'static str, String, u32, bool)> {
        let waits = |item: &Item| item.state == PlanItemState::Waiting;
        let all = items.iter();
        all.map(|item| (item.effect.clone(), item.action.word(), item.operation.clone(), item.wave, waits(item)))
            .collect()
    };
    what(new) == what(old)
}

fn open_calls(scene: &Scene) -> BTreeSet<String> {
    (0..scene.calls().len()).filter(|call| scene.open(*call)).map(|call| scene.id(call).to_owned()).collect()
}

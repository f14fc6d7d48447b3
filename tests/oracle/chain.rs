//! S2.3, S3.8, S5.6: one chain: its letters, its verdict and the revisions of it, its plan.

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    model::{
        AnomalyKind, BusTime, Certainty, CommandAction, EffectState, HostTime, LaneId, Outcome, PlanItemState,
        WaitReason,
    },
    policy::{InFlight, Mode, Policy},
};

use super::{
    decide,
    effects::{self, Settled},
    ends::{End, Fate, fate},
    graph::{Call, Graph},
    letters::Letter,
    plan::{self, Item},
    scene::Scene,
    verdict::{self, Judgement},
    works::{Begun, How, Work, Works},
};

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
    /// Open when it was decided for its age (S2.2).
    pub unanswered: BTreeSet<String>,
    pub ever_in_doubt: bool,
    /// A call was open at the last look that would have to be undone (S5.6).
    pub in_flight: bool,
    /// An operator just said of an effect in doubt whether it is there: by that too a plan is made anew.
    pub by_word: bool,
    /// Own undos without a limit that are not let finish any longer (S4.8).
    pub undos_given_up: BTreeSet<String>,
    /// Bus time of the last change.
    pub changed_at: Option<BusTime>,
    /// As of when it was last judged.
    pub as_of: Option<BusTime>,
    /// When `max_age` decided it (S5.14).
    pub given_up_at: Option<BusTime>,
    pub closed: bool,
    /// When one that is only undos was closed (S1.8).
    pub closed_at: Option<BusTime>,
    pub shown: Option<countermand::model::ChainView>,
    /// The partitions on which the time for its services to undo themselves is over (S4.9).
    pub window_over: BTreeSet<LaneId>,
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
        let waits = now.policy.settings.in_flight == InFlight::Wait;
        let roots_open = (0..scene.calls().len()).any(|call| scene.calls()[call].root && scene.open(call));
        let unanswered = waits && !scene.open_holding().is_empty() || roots_open;
        if unanswered || scene.root_groups().is_empty() {
            self.given_up_at = Some(at);
            self.settled.doubtful = self.untimed(&scene);
            self.unanswered.clone_from(&self.settled.doubtful);
        }
        self.judge(&scene, now, true);
    }

    /// S2.2: open calls without a limit.
    fn untimed(&self, scene: &Scene) -> BTreeSet<String> {
        let open = scene.open_holding().into_iter().filter(|call| scene.calls()[*call].timeout.is_none());
        open.map(|call| scene.id(call).to_owned()).collect()
    }

    /// S2.2: where an open call would have to be undone, nobody hears of those without a limit once the last of them is
    /// as old as a chain may be: their effects are in doubt then.
    pub fn patience_ends(&self, policy: &Policy) -> Option<(BusTime, LaneId)> {
        let open = self.graph.calls.iter().filter(|call| self.open.contains(&call.id) && call.timeout.is_none());
        let waited_for = open.filter(|call| self.graph.find(&call.id).is_some_and(|at| self.graph.holds(at)));
        let begun = waited_for.filter(|call| !self.settled.doubtful.contains(&call.id)).filter_map(Call::begin);
        let age = decide::oldest(&self.graph, policy);
        let end = begun.map(|begin| (begin.at.plus(age), begin.position.lane)).max();
        end.filter(|_| self.in_flight)
    }

    /// S3.8, S5.6: after the verdict, new evidence makes a new revision and amends the plan; not while a root is open
    /// again. `remake`: it is evidence, by which a plan of which nothing was sent is made anew.
    pub fn review(&mut self, now: &Now<'_>, remake: bool) {
        let Some((before, _)) = &self.verdict else { return };
        let unknown = before.outcome == Outcome::Unknown;
        let scene = self.scene(now);
        if self.patience_ends(now.policy).is_some_and(|(end, lane)| now.stream(lane) >= end) {
            self.settled.doubtful.extend(self.untimed(&scene));
        }
        let passed = self.own_undos_end(now.policy).into_iter().filter(|(_, lane, end)| now.stream(*lane) >= *end);
        self.undos_given_up.extend(passed.map(|(id, _, _)| id).collect::<Vec<_>>());
        self.open = open_calls(&scene);
        let reopened = (0..scene.calls().len()).any(|call| {
            let worked = scene.group_succeeded(scene.group[call]);
            let given_up = self.settled.doubtful.contains(scene.id(call));
            scene.calls()[call].root && scene.open(call) && !worked && !given_up
        });
        if !reopened || unknown {
            self.judge(&scene, now, remake);
        }
    }

    /// S4.8: until when own undos without a limit are let finish: as long as a chain may be old.
    pub fn own_undos_end(&self, policy: &Policy) -> Vec<(String, LaneId, BusTime)> {
        let age = decide::oldest(&self.graph, policy);
        let undo = |call: &&Call| call.ask.as_ref().is_some_and(|(ask, _)| !ask.compensates.is_empty());
        let open = self.graph.calls.iter().filter(undo).filter(|call| call.timeout.is_none());
        let open = open.filter(|call| fate(call, policy.settings.timeout_grace) == Fate::Forever);
        let left = open.filter(|call| !self.undos_given_up.contains(&call.id));
        left.filter_map(|call| Some((call.id.clone(), call.begin()?.position.lane, call.begin()?.at.plus(age))))
            .collect()
    }

    fn judge(&mut self, scene: &Scene, now: &Now<'_>, remake: bool) {
        let outcome = verdict::outcome(scene, &self.unanswered);
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
        let judgement = verdict::judge(scene, &now.policy.settings, &self.unanswered, anomalies);
        let revision = match &self.verdict {
            Some((before, revision)) if *before == judgement => *revision,
            Some((_, revision)) => revision + 1,
            None => 1,
        };
        let news = self.verdict.as_ref().is_none_or(|(_, before)| *before != revision);
        self.verdict = Some((judgement, revision));
        self.in_flight = outcome != Outcome::Unknown && self.still_in_flight(scene, now.policy);
        if let Some(generation) = new.filter(|_| news || fresh) {
            self.set_gate(scene, generation, now, fresh);
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
        // S5.6: a late FAILED withdraws what is not sent in any case.
        let gone = |item: &Item| {
            let members = super::void::members(scene, &item.effect);
            let state = |call: &usize| effects::state(scene, *call, now.policy.settings.undeclared, &self.settled);
            let states: Vec<EffectState> = members.iter().map(state).collect();
            states.contains(&EffectState::Undone) || states.iter().all(|state| *state == EffectState::None)
        };
        let finish = self.finish_as_planned;
        let amended = plan::amend(scene, &mut self.items, &works.works, finish, &gone);
        if amended.ran_after_undo {
            self.lasting.insert(AnomalyKind::RanAfterUndo);
        }
        let new: Vec<&Work> = works.works.iter().filter(|work| amended.new.contains(&work.effect)).collect();
        if new.is_empty() {
            return (None, false);
        }
        // What is only named begins none.
        let begins = new.iter().any(|work| !matches!(work.how, How::Uncompensatable | How::Keep));
        self.generation += u32::from(begins);
        self.items.extend(plan::items(scene, now.policy, &new, self.generation));
        let generation = self.generation;
        plan::order_new(scene, &mut self.items, &|item| item.generation == generation);
        (begins.then_some(self.generation), begins)
    }

    /// S5.7, S5.8, S5.14: whether a generation waits, as it is made.
    fn set_gate(&mut self, scene: &Scene, generation: u32, now: &Now<'_>, fresh: bool) {
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
        // A plan that is the same was made when it was made.
        let was_open = !fresh && gate.wait.is_none();
        gate.wait = wait.filter(|wait| !was_open || *wait == WaitReason::Incomplete);
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
        let known: Vec<&Call> =
            self.graph.calls.iter().filter(|call| call.ask.is_some() || !call.said.is_empty()).collect();
        !known.is_empty() && known.iter().all(|call| call.ask.is_some() && call.undo)
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
        let live = || self.items.iter().filter(|item| item.state != PlanItemState::Withdrawn || item.sends > 0);
        let by_hand = |item: &Item| matches!(item.state, PlanItemState::Skipped | PlanItemState::MarkedDone);
        let nothing = |item: &Item| item.only_named() || by_hand(item) && item.undo_operation.is_empty();
        let none = |item: &Item| item.sends == 0 && nothing(item);
        let commands = live().filter(|item| !none(item)).map(|item| item.mode).max();
        commands.or(live().map(|item| item.mode).max()).unwrap_or(Mode::Auto)
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
    let what = |items: &[Item]| -> BTreeSet<(String, &'static str, String, u32, bool, Certainty)> {
        let waits = |item: &Item| item.state == PlanItemState::Waiting;
        let asked = |item: &Item| {
            let (effect, operation) = (item.effect.clone(), item.operation.clone());
            (effect, item.action.word(), operation, item.wave, waits(item), item.certainty)
        };
        items.iter().map(asked).collect()
    };
    what(new) == what(old)
}

fn open_calls(scene: &Scene) -> BTreeSet<String> {
    (0..scene.calls().len()).filter(|call| scene.open(*call)).map(|call| scene.id(call).to_owned()).collect()
}

//! S5.12: the state of a chain's plan, and its picture.

use std::collections::BTreeSet;

use countermand::{
    model::{
        AnomalyKind, BusTime, ChainView, CommandAction, CommandView, FailureView, PlanItemState, PlanState,
        VerdictView, WaitReason,
    },
    policy::{Mode, Policy},
};

use super::{
    chain::{Chain, Now},
    plan::Item,
    scene::Scene,
    void,
};

impl Chain {
    /// S5.12.
    pub fn state(&self) -> PlanState {
        let Some((verdict, revision)) = &self.verdict else { return PlanState::None };
        let live: Vec<&Item> =
            self.items.iter().filter(|item| item.state != PlanItemState::Withdrawn || item.sends > 0).collect();
        let duplicate = verdict.anomalies.contains(&AnomalyKind::DuplicateEffect);
        if self.abandoned {
            return PlanState::Abandoned;
        }
        if live.is_empty() {
            return match () {
                () if duplicate => PlanState::NeedsOperator,
                () if self.in_flight && (self.works.nothing_to_retry || self.works.pivot_in_doubt) => {
                    PlanState::NeedsOperator
                }
                () if self.in_flight => PlanState::Compensating,
                () => PlanState::None,
            };
        }
        let waits = |item: &&&Item| item.state == PlanItemState::Waiting && self.waits_for_approval(item.generation);
        let waiting = live.iter().any(|item| waits(&item));
        if self.mode() == Mode::Observe || waiting && self.rejected == Some(*revision) {
            return PlanState::Observed;
        }
        if waiting {
            return PlanState::AwaitingApproval;
        }
        let human = |item: &&&Item| {
            matches!(item.state, PlanItemState::Held | PlanItemState::Stuck | PlanItemState::Uncompensatable)
        };
        if live.iter().any(|item| human(&item)) || duplicate || self.works.nothing_to_retry || self.works.pivot_in_doubt
        {
            return PlanState::NeedsOperator;
        }
        let forward = |item: &&Item| item.action == CommandAction::Retry || item.state == PlanItemState::Kept;
        let finished = live.iter().all(|item| item.finished() || item.state == PlanItemState::Kept);
        match () {
            () if !finished || self.in_flight => PlanState::Compensating,
            () if self.works.forward || live.iter().any(forward) => PlanState::Completed,
            () => PlanState::Compensated,
        }
    }

    /// S5.6: the chain is compensating while a call is open that would have to be undone.
    pub fn still_in_flight(&self, scene: &Scene, policy: &Policy) -> bool {
        let open = |call: &usize| scene.open(*call) && !self.settled.doubtful.contains(scene.id(*call));
        let calls = void::to_undo(scene, policy, &BTreeSet::new());
        calls.iter().filter(|call| open(call)).any(|call| !void::compensates_itself(scene, *call))
    }

    /// S2.7, S2.9: from when on nothing is taken for this chain any more; `None`: it is waited for.
    pub fn closes_at(&self, now: &Now<'_>) -> Option<BusTime> {
        let (verdict, _) = self.verdict.as_ref()?;
        let settings = &now.policy.settings;
        let pending = [PlanState::AwaitingApproval, PlanState::Compensating, PlanState::NeedsOperator];
        if pending.contains(&self.state()) {
            return None;
        }
        let window = match verdict.outcome {
            _ if self.ever_in_doubt => settings.late_window,
            countermand::model::Outcome::Unknown => settings.late_window,
            countermand::model::Outcome::Failed => settings.max_age,
            countermand::model::Outcome::Succeeded if self.graph.events || !self.items.is_empty() => settings.max_age,
            countermand::model::Outcome::Succeeded => settings.linger,
        };
        let changed = self.changed_at.unwrap_or(BusTime::MIN);
        Some(self.decided_at?.plus(window).max(changed.plus(settings.linger)))
    }

    pub fn view(&self) -> ChainView {
        let mut commands: Vec<CommandView> = self.items.iter().map(|item| command(&self.id, item)).collect();
        commands.sort_by_key(|item| (item.generation, item.wave, item.call_id.clone(), item.action));
        ChainView {
            chain_id: self.id.clone(),
            started_at: self.graph.first_at.unwrap_or(BusTime::MIN),
            verdict: self.verdict_view(),
            state: self.state(),
            waits: self.items.iter().filter_map(|item| item.reason).collect::<Vec<WaitReason>>(),
            calls: Vec::new(),
            commands,
        }
    }

    fn verdict_view(&self) -> Option<VerdictView> {
        let (verdict, revision) = self.verdict.as_ref()?;
        let failures = |ids: &std::collections::BTreeSet<String>| ids.iter().map(|id| failure(id)).collect();
        Some(VerdictView {
            outcome: verdict.outcome,
            failing: verdict.failing.as_ref().map(|id| failure(id)),
            failing_version: String::new(),
            cause: verdict.cause,
            callee_active: verdict.callee_active,
            path: verdict.path.clone(),
            contributing: failures(&verdict.contributing),
            runners_up: failures(&verdict.runners_up),
            tolerated: failures(&verdict.tolerated),
            anomalies: verdict.anomalies.clone(),
            ambiguous: verdict.ambiguous,
            incomplete: verdict.incomplete,
            missing: Vec::new(),
            sentence: String::new(),
            revision: *revision,
            decided_at: self.decided_at.unwrap_or(BusTime::MIN),
        })
    }
}

/// Only the call is told: the oracle's views name calls, not services.
fn failure(id: &str) -> FailureView {
    FailureView {
        call_id: id.into(),
        caller: String::new(),
        callee: String::new(),
        operation: String::new(),
        reason: String::new(),
    }
}

fn command(chain: &str, item: &Item) -> CommandView {
    CommandView {
        command_id: item.id(chain),
        action: item.action,
        call_id: item.call.clone(),
        service: item.service.clone(),
        operation: item.operation.clone(),
        certainty: item.certainty,
        wave: item.wave,
        generation: item.generation,
        state: item.state,
        reason: item.reason,
        sends: item.sends,
        detail: String::new(),
    }
}

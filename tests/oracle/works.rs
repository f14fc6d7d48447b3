//! S4.3, S4.5 to S4.7: what there is to do about the void effects of a chain.

use std::collections::{BTreeMap, BTreeSet};

use countermand::{
    model::{AnomalyKind, Certainty, EffectClass, EffectState, Outcome, WaitReason},
    policy::Policy,
};

use super::{
    effects::{self, Doubt, Settled},
    scene::Scene,
    void,
};

/// How one effect is dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    Undo,
    Inquire(String),
    Hold(WaitReason),
    /// S4.6: applied, and nobody knows how to undo it.
    Uncompensatable,
    /// S4.7: the chain goes forward.
    Keep,
    /// S4.7: done again.
    Retry,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub struct Work {
    pub effect: String,
    pub call: usize,
    pub how: How,
    pub certainty: Certainty,
    pub operation: String,
    /// A pivot in doubt (S4.7).
    pub pivot: bool,
}

/// All that is to be done about a chain.
#[derive(Debug, Clone, Default)]
pub struct Works {
    pub works: Vec<Work>,
    pub anomalies: BTreeSet<AnomalyKind>,
    /// S4.7: some part of the chain goes forward.
    pub forward: bool,
    /// S4.7: a part goes forward in which nothing can be retried.
    pub nothing_to_retry: bool,
    /// S4.7: a part waits for the state of a pivot.
    pub pivot_in_doubt: bool,
}

/// What was already begun, which later evidence has to respect.
#[derive(Debug, Clone, Default)]
pub struct Begun {
    /// S4.5: the call that the command of an effect names, once there is one.
    pub names: BTreeMap<String, String>,
    /// S4.7: calls whose undo was sent.
    pub undone: BTreeSet<String>,
}

impl Works {
    pub fn plan(scene: &Scene, policy: &Policy, settled: &Settled, begun: &Begun, outcome: Outcome) -> Self {
        let (left_alone, anomalies) = void::superseded(scene, policy, settled);
        let mut all = Self { anomalies, ..Self::default() };
        if outcome == Outcome::Unknown {
            return all;
        }
        let calls = void::to_undo(scene, policy, &left_alone);
        let effects: BTreeSet<String> = calls.iter().map(|call| void::effect_of(scene, *call)).collect();
        for effect in effects {
            all.works.extend(work(scene, policy, settled, begun, effect));
        }
        let regions: BTreeSet<String> = calls.iter().filter_map(|call| void::region(scene, *call)).collect();
        for region in regions {
            all.look_for_pivot(scene, begun, &region);
        }
        all.works.retain(|work| work.how == How::Retry || !void::compensates_itself(scene, work.call));
        all
    }

    /// S4.7: once a pivot under a failed call is applied, what lies under that call goes forward; while one is in doubt,
    /// nothing is sent but an inquiry. Once undoing has begun there, neither.
    fn look_for_pivot(&mut self, scene: &Scene, begun: &Begun, region: &str) {
        let here = |call: usize| void::region(scene, call).as_deref() == Some(region);
        let is_pivot = |call: usize| effects::class(scene, call) == Some(EffectClass::Pivot);
        let pivots: Vec<(usize, Certainty)> = self
            .works
            .iter()
            .filter(|work| here(work.call) && is_pivot(work.call))
            .map(|work| (work.call, work.certainty))
            .collect();
        let in_doubt: Vec<usize> =
            pivots.iter().filter(|(_, it)| *it == Certainty::InDoubt).map(|(call, _)| *call).collect();
        let applied = pivots.iter().any(|(_, it)| *it == Certainty::Applied);
        let pivots: Vec<usize> = pivots.into_iter().map(|(call, _)| call).collect();
        // Of an event whose consumers have taken its place it counts where that was.
        let is_it = |call: usize, id: &str| {
            let own = scene.id(call).strip_prefix(id);
            own.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let undoing = begun.undone.iter().any(|id| (0..scene.calls().len()).any(|call| is_it(call, id) && here(call)));
        if undoing {
            self.wait_for(&in_doubt, false);
        } else if applied {
            self.go_forward(scene, &here);
        } else if !pivots.is_empty() {
            self.pivot_in_doubt |= pivots.iter().any(|call| !void::compensates_itself(scene, *call));
            self.works.retain(|work| !here(work.call) || pivots.contains(&work.call));
            self.wait_for(&pivots, true);
        }
    }

    /// S4.7: nothing but an inquiry is sent for a pivot in doubt. `decides`: by it the others go forward or back.
    fn wait_for(&mut self, pivots: &[usize], decides: bool) {
        for work in self.works.iter_mut().filter(|work| pivots.contains(&work.call)) {
            work.pivot = decides;
            if !matches!(work.how, How::Inquire(_)) {
                work.how = How::Hold(if decides { WaitReason::Pivot } else { WaitReason::Held });
            }
        }
    }

    /// S4.7: the other effects are kept, and the failed retriable groups are done again.
    fn go_forward(&mut self, scene: &Scene, here: &dyn Fn(usize) -> bool) {
        self.forward = true;
        for work in self.works.iter_mut().filter(|work| here(work.call)) {
            work.how = How::Keep;
        }
        let judged: Vec<usize> = scene.judged().into_iter().filter(|call| here(*call)).collect();
        let retriable = |call: usize| effects::class(scene, call) == Some(EffectClass::Retriable);
        let undone = |call: usize| effects::undone_by_service(scene, call);
        let groups = scene.groups_of(&judged).into_iter().filter(|group| scene.group_failed(*group));
        let edges: Vec<usize> = groups
            .map(|group| scene.edge(group))
            .filter(|edge| here(*edge) && retriable(*edge) && !undone(*edge))
            .collect();
        self.nothing_to_retry |= edges.is_empty();
        for call in edges {
            self.works.retain(|work| work.call != call);
            self.works.push(Work {
                effect: format!("{}\nretry", scene.id(call)),
                call,
                how: How::Retry,
                certainty: Certainty::Applied,
                operation: scene.calls()[call].operation().to_owned(),
                pivot: false,
            });
        }
    }
}

/// S4.3, S4.5, S4.6: one effect: undone once, and not at all if a committed call bears its key or it is undone.
fn work(scene: &Scene, policy: &Policy, settled: &Settled, begun: &Begun, effect: String) -> Option<Work> {
    let members = void::members(scene, &effect);
    let state = |call: &usize| effects::state(scene, *call, policy.settings.undeclared, settled);
    let states: Vec<EffectState> = members.iter().map(state).collect();
    let committed = members.iter().any(|call| void::committed(scene, *call));
    if committed || states.contains(&EffectState::Undone) {
        return None;
    }
    let certainty = match () {
        () if states.contains(&EffectState::Applied) => Certainty::Applied,
        () if !states.contains(&EffectState::InDoubt) => return None,
        // What an inquiry or an operator said is of the effect, whichever call it named.
        () if members.iter().any(|call| settled.applied.contains(scene.id(*call))) => Certainty::Applied,
        () if members.iter().any(|call| settled.absent.contains(scene.id(*call))) => return None,
        () => Certainty::InDoubt,
    };
    let kept = begun.names.get(&effect).and_then(|id| scene.graph.find(id));
    let call = kept.or_else(|| first_ok_or_requested(scene, &members))?;
    let undoing = effects::undoing(scene, call);
    let how = match (&undoing, certainty) {
        (Some(_), Certainty::Applied) | (Some((_, Doubt::Undo)), _) => How::Undo,
        (None, Certainty::Applied) => How::Uncompensatable,
        (Some((_, Doubt::Inquire(operation))), _) => How::Inquire(operation.clone()),
        (Some((_, Doubt::Hold)) | None, _) => How::Hold(WaitReason::Held),
    };
    let operation = undoing.map(|(operation, _)| operation).unwrap_or_default();
    Some(Work { effect, call, how, certainty, operation, pivot: false })
}

/// S4.5: the command names the first answered `OK`, else the first requested.
fn first_ok_or_requested(scene: &Scene, members: &[usize]) -> Option<usize> {
    let answered = members.iter().copied().filter(|call| scene.first_ok(*call).is_some());
    let first = answered.min_by_key(|call| scene.first_ok(*call));
    first.or_else(|| members.iter().copied().min_by_key(|call| scene.before.begin[*call]))
}

//! S4.1, S4.4, S4.5: which effects are void, which of them are one, and which must be left alone.

use std::collections::BTreeSet;

use countermand::{
    model::{AnomalyKind, EffectState},
    policy::{Policy, Tolerated},
};

use super::{
    effects::{self, Settled},
    scene::Scene,
};

/// S4.1, S1.7: the topmost failed call at or above `call`, as the ids of all calls that are void with it; under an event
/// that began the chain one consumer's failure is the event's.
pub fn region(scene: &Scene, call: usize) -> Option<String> {
    if !scene.graph.rooted(call) || scene.calls()[call].undo {
        return None;
    }
    let up = scene.graph.up(call);
    let top = &scene.calls()[up[up.len() - 1]];
    if let Some(event) = &top.event {
        let parts = (0..scene.calls().len()).filter(|part| scene.calls()[*part].event.as_ref() == Some(event));
        if top.root && parts.into_iter().any(|part| scene.failed(part)) {
            return Some(event.clone());
        }
    }
    up.into_iter().rev().find(|at| scene.failed(*at)).map(|at| scene.id(at).to_owned())
}

/// S4.1: void is every effect at or below a failed call, and nothing else.
pub fn voided(scene: &Scene, call: usize) -> bool {
    region(scene, call).is_some()
}

/// S4.5: a call that its caller could build on: answered `OK` and not void.
pub fn committed(scene: &Scene, call: usize) -> bool {
    scene.graph.rooted(call) && !scene.calls()[call].undo && scene.succeeded(call) && !voided(scene, call)
}

/// S4.5: the name of the effect of a call: its own, unless it shares a key.
pub fn effect_of(scene: &Scene, call: usize) -> String {
    let it = &scene.calls()[call];
    match effects::key(it) {
        "" => it.id.clone(),
        key => format!("{}\n{}\n{key}", it.service(), it.operation()),
    }
}

/// S4.5: the calls that make one effect.
pub fn members(scene: &Scene, effect: &str) -> Vec<usize> {
    (0..scene.calls().len())
        .filter(|call| scene.graph.rooted(*call) && !scene.calls()[*call].undo)
        .filter(|call| effect_of(scene, *call) == effect)
        .collect()
}

/// S4.4: what is left alone beside the attempt that succeeded and is committed: those attempts, and what is wrong.
pub fn superseded(scene: &Scene, policy: &Policy, settled: &Settled) -> (BTreeSet<usize>, BTreeSet<AnomalyKind>) {
    let mut left_alone = BTreeSet::new();
    let mut anomalies = BTreeSet::new();
    for group in scene.groups_of(&scene.judged()) {
        let attempts = scene.attempts(group);
        let won = attempts.iter().copied().filter(|call| committed(scene, *call));
        let Some(winner) = won.min_by_key(|call| scene.before.end[*call]) else { continue };
        for other in attempts.iter().copied().filter(|call| *call != winner) {
            left_alone.insert(other);
            // The effect of another call that stands is no duplicate (S4.5).
            let stands = members(scene, &effect_of(scene, other)).into_iter();
            let stands = stands.filter(|call| !attempts.contains(call)).any(|call| committed(scene, call));
            if stands || effect_of(scene, other) == effect_of(scene, winner) {
                continue;
            }
            match effects::state(scene, other, policy.settings.undeclared, settled) {
                EffectState::Applied => anomalies.insert(AnomalyKind::DuplicateEffect),
                EffectState::InDoubt => anomalies.insert(AnomalyKind::SupersededInDoubt),
                EffectState::None | EffectState::Undone => false,
            };
        }
    }
    (left_alone, anomalies)
}

/// S4.1, S4.4, S4.9: the void calls whose own effects are to be undone.
pub fn to_undo(scene: &Scene, policy: &Policy, left_alone: &BTreeSet<usize>) -> Vec<usize> {
    let reported = |call: usize| policy.settings.tolerated == Tolerated::Report && !under_failed_root(scene, call);
    scene
        .judged()
        .into_iter()
        .filter(|call| voided(scene, *call) && !left_alone.contains(call) && !reported(*call))
        .collect()
}

/// S4.9: at or below a call to a service that compensates itself: only reported.
pub fn compensates_itself(scene: &Scene, call: usize) -> bool {
    let up = scene.graph.up(call);
    up.into_iter().any(|at| scene.calls()[at].rule.as_ref().is_some_and(|rule| rule.compensates_itself))
}

/// S4.1: under a root whose group failed.
fn under_failed_root(scene: &Scene, call: usize) -> bool {
    let up = scene.graph.up(call);
    let top = up[up.len() - 1];
    scene.group_failed(scene.group[top])
        || scene.calls()[top].event.is_some() && region(scene, call) == scene.calls()[top].event
}

//! S4.7: points of no return.

use super::{
    doubt::named,
    effects::{Effects, policy_of},
};
use crate::{
    engine::{
        decided::{CallKey, Decided, Item},
        judge::{EventScope, Picture},
        policies::Policies,
    },
    model::{CommandAction, EffectClass, EffectState, PlanItemState},
};

/// Where the effects below one topmost failed call go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// They are undone.
    Back,
    /// A pivot is applied: they are kept, and failed retriable steps are done again.
    Forward,
    /// A pivot is in doubt: nothing is sent but an inquiry. Where undoing has begun they go back whatever it is.
    Unknown,
}

/// The topmost failed call above each void call, and which way its subtree goes.
#[derive(Debug)]
pub(super) struct Scopes {
    /// By call: the index of its scope; `None`: not void.
    pub of: Vec<Option<usize>>,
    /// By call, where it is the first void one of those that share an effect which nobody committed: the call that names
    /// the effect (S4.5).
    pub names: Vec<Option<usize>>,
    /// The topmost failed call of each scope; of an event, one of its parts.
    pub top: Vec<usize>,
    pub direction: Vec<Direction>,
}

/// Finds the scopes and their directions.
pub(super) fn scopes(picture: &Picture<'_>, effects: &Effects, policies: &Policies, decided: &Decided) -> Scopes {
    let n = picture.calls.len();
    let mut scopes = Scopes { of: vec![None; n], names: vec![None; n], top: Vec::new(), direction: Vec::new() };
    let mut events: Vec<(EventScope, usize)> = Vec::new();
    let mut order: Vec<usize> = (0..picture.calls.len()).filter(|&n| effects.voided[n]).collect();
    order.sort_by_key(|&n| picture.calls[n].depth);
    for n in order {
        let above = picture.calls[n].parent.and_then(|parent| scopes.of[parent]);
        let event = picture.calls[n].scope;
        let known = above.or_else(|| events.iter().find(|(scope, _)| event == Some(*scope)).map(|&(_, index)| index));
        let index = known.unwrap_or_else(|| {
            scopes.top.push(n);
            events.extend(event.map(|event| (event, scopes.top.len() - 1)));
            scopes.top.len() - 1
        });
        scopes.of[n] = Some(index);
    }
    let planned = planned(picture, decided);
    for n in (0..n).filter(|&n| effects.has[n] && effects.voided[n]) {
        let sharing = &effects.sharing[n];
        let void = |&m: &usize| effects.voided[m] && !effects.superseded[m];
        let committed = sharing.iter().any(|&m| effects.is_committed(m));
        let first = sharing.iter().copied().find(void) == Some(n);
        // Once there is a name in a plan that is being carried out it is kept (S4.5).
        let kept = || sharing.iter().filter_map(|&m| Some((planned[m]?, m))).min().map(|(_, m)| m);
        scopes.names[n] = (first && !committed).then(|| kept().unwrap_or_else(|| named(picture, effects, sharing)));
    }
    scopes.direction = directions(picture, effects, policies, decided, &scopes);
    scopes
}

/// By call, the first item that undoes it in a plan that is being carried out.
fn planned(picture: &Picture<'_>, decided: &Decided) -> Vec<Option<usize>> {
    let mut planned = vec![None; picture.calls.len()];
    if decided.undoing() {
        for (place, item) in decided.items.iter().enumerate() {
            if let (true, Some(n)) = (is_undo(item), picture.find(item.call)) {
                planned[n].get_or_insert(place);
            }
        }
    }
    planned
}

fn is_undo(item: &Item) -> bool {
    item.action == CommandAction::Undo && item.state != PlanItemState::Withdrawn
}

impl Scopes {
    /// The effect that `n` stands for, by the call that names it, and the scope that it belongs to: that of this call.
    pub fn effect(&self, n: usize) -> Option<(usize, usize)> {
        let name = self.names[n]?;
        Some((name, self.of[name].or(self.of[n])?))
    }
}

/// Which way each scope goes: an applied pivot sends it forward, and one in doubt nowhere yet, unless undoing has begun.
fn directions(
    picture: &Picture<'_>,
    effects: &Effects,
    policies: &Policies,
    decided: &Decided,
    scopes: &Scopes,
) -> Vec<Direction> {
    let mut undoing = vec![false; scopes.top.len()];
    for item in decided.items.iter().filter(|item| item.action == CommandAction::Undo && item.sending.sends > 0) {
        // Of an event whose consumers have taken its place it counts where that was.
        let at = picture
            .find(item.call)
            .and_then(|n| if picture.calls[n].replaced { picture.calls[n].parent } else { Some(n) });
        if let Some(scope) = at.and_then(|n| scopes.of[n]) {
            undoing[scope] = true;
        }
    }
    let mut directions = vec![Direction::Back; scopes.top.len()];
    for (n, scope) in (0..picture.calls.len()).filter_map(|n| scopes.effect(n)).filter(|&(_, scope)| !undoing[scope]) {
        if !is_class(picture, effects, policies, n, EffectClass::Pivot) {
            continue;
        }
        match pivot_state(picture, effects, decided, n) {
            EffectState::Applied => directions[scope] = Direction::Forward,
            EffectState::InDoubt if directions[scope] == Direction::Back => directions[scope] = Direction::Unknown,
            _ => {}
        }
    }
    directions
}

/// State of a pivot, by evidence, else by what an operator or its participant said.
pub(super) fn pivot_state(picture: &Picture<'_>, effects: &Effects, decided: &Decided, n: usize) -> EffectState {
    let state = effects.shared_state(n);
    if state != EffectState::InDoubt {
        return state;
    }
    let is_it = |key: &CallKey| effects.sharing[n].iter().any(|&m| picture.calls[m].key == *key);
    match decided.pivots.iter().rev().find(|(key, _)| is_it(key)) {
        Some((_, true)) => EffectState::Applied,
        Some((_, false)) => EffectState::None,
        None => state,
    }
}

/// Whether a call's effect is of a class, by its messages or those of a call that shares it, or by the catalogue.
pub(super) fn is_class(
    picture: &Picture<'_>,
    effects: &Effects,
    policies: &Policies,
    n: usize,
    class: EffectClass,
) -> bool {
    effects.sharing[n].iter().any(|&m| picture.calls[m].declares_class(class))
        || policy_of(picture, policies, &picture.calls[n]).effect == Some(class)
}

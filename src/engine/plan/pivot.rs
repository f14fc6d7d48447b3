//! S4.7: points of no return.

use super::effects::{Effects, policy_of};
use crate::{
    engine::{
        decided::Decided,
        judge::{EventScope, Picture},
        policies::Policies,
    },
    model::{CommandAction, EffectClass, EffectState},
};

/// Where the effects below one topmost failed call go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// They are undone.
    Back,
    /// A pivot is applied: they are kept, and failed retriable steps are done again.
    Forward,
    /// A pivot is in doubt: nothing is sent but an inquiry.
    Unknown,
}

/// The topmost failed call above each void call, and which way its subtree goes.
#[derive(Debug)]
pub(super) struct Scopes {
    /// By call: the index of its scope; `None`: not void.
    pub of: Vec<Option<usize>>,
    /// The topmost failed call of each scope; of an event, one of its parts.
    pub top: Vec<usize>,
    pub direction: Vec<Direction>,
}

/// Finds the scopes and their directions.
pub(super) fn scopes(picture: &Picture<'_>, effects: &Effects, policies: &Policies, decided: &Decided) -> Scopes {
    let mut scopes = Scopes { of: vec![None; picture.calls.len()], top: Vec::new(), direction: Vec::new() };
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
    scopes.direction =
        (0..scopes.top.len()).map(|s| direction(picture, effects, policies, decided, &scopes, s)).collect();
    scopes
}

fn direction(
    picture: &Picture<'_>,
    effects: &Effects,
    policies: &Policies,
    decided: &Decided,
    scopes: &Scopes,
    scope: usize,
) -> Direction {
    let inside = |n: &usize| scopes.of[*n] == Some(scope);
    let undoing = decided.items.iter().any(|item| {
        let sent = item.action == CommandAction::Undo && item.sending.sends > 0;
        sent && picture.find(item.call).as_ref().is_some_and(inside)
    });
    let mut direction = Direction::Back;
    for n in (0..picture.calls.len()).filter(inside) {
        let is_pivot = effects.has[n] && !effects.superseded[n] && is_class(picture, policies, n, EffectClass::Pivot);
        match is_pivot.then(|| pivot_state(picture, effects, decided, n)) {
            Some(EffectState::Applied) => return if undoing { Direction::Back } else { Direction::Forward },
            Some(EffectState::InDoubt) => direction = Direction::Unknown,
            _ => {}
        }
    }
    direction
}

/// State of a pivot, by evidence, else by what an operator or its participant said.
pub(super) fn pivot_state(picture: &Picture<'_>, effects: &Effects, decided: &Decided, n: usize) -> EffectState {
    let state = effects.shared_state(n);
    if state != EffectState::InDoubt {
        return state;
    }
    match decided.pivots.iter().rev().find(|(key, _)| *key == picture.calls[n].key) {
        Some((_, true)) => EffectState::Applied,
        Some((_, false)) => EffectState::None,
        None => state,
    }
}

/// Whether a call's effect is of a class, by its messages or by the catalogue.
pub(super) fn is_class(picture: &Picture<'_>, policies: &Policies, n: usize, class: EffectClass) -> bool {
    let seen = &picture.calls[n];
    seen.declares_class(class) || policy_of(picture, policies, seen).effect == Some(class)
}

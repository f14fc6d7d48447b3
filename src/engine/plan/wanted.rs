//! S4.1, S4.4 to S4.7, S4.9: everything that is wanted of a chain, as if nothing had been done yet.

use std::collections::BTreeSet;

use super::{
    doubt::{Want, want},
    effects::{Effects, policy_of},
    pivot::{self, Direction, Scopes},
};
use crate::{
    engine::{
        decided::Decided,
        judge::{Picture, State},
        policies::Policies,
    },
    model::{AnomalyKind, Certainty, EffectClass, EffectState, PlanItemState, WaitReason},
    policy::Tolerated,
};

/// One wanted thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub call: usize,
    pub want: Want,
    /// Why it is held, where that is not plain doubt.
    pub reason: Option<WaitReason>,
}

/// All that is wanted.
#[derive(Debug, Default)]
pub(super) struct AllWanted {
    pub wants: Vec<Wanted>,
    /// Applied beside the attempt that worked (S4.4).
    pub duplicates: Vec<usize>,
    pub anomalies: BTreeSet<AnomalyKind>,
    /// A pivot is in doubt, or nothing can be retried behind one.
    pub pivot_waits: bool,
    /// A void call is open.
    pub open_voided: bool,
    /// An effect is in doubt.
    pub in_doubt: bool,
}

/// Lists all that is wanted.
pub(super) fn wanted(picture: &Picture<'_>, effects: &Effects, policies: &Policies, decided: &Decided) -> AllWanted {
    let mut all = AllWanted::default();
    let scopes = pivot::scopes(picture, effects, policies, decided);
    for n in 0..picture.calls.len() {
        all.in_doubt |= effects.has[n] && effects.state[n] == EffectState::InDoubt;
        if effects.superseded[n] {
            superseded(picture, effects, decided, n, &mut all);
        } else if scopes.of[n].is_some_and(|scope| !only_reported(picture, policies, &scopes, scope, n)) {
            all.open_voided |= effects.open[n];
            if let Some((call, scope)) = scopes.effect(n) {
                void_effect(picture, effects, policies, decided, &scopes, (call, scope), &mut all);
            }
        }
    }
    forward(picture, effects, policies, &scopes, &mut all);
    all
}

/// S4.4: what is beside the attempt that worked is for an operator.
fn superseded(picture: &Picture<'_>, effects: &Effects, decided: &Decided, n: usize, all: &mut AllWanted) {
    let shares = effects.sharing[n].iter().any(|&m| effects.is_committed(m));
    if !effects.has[n] || shares || effects.shared_state(n) == EffectState::Undone {
        return;
    }
    match effects.state[n] {
        EffectState::InDoubt => {
            all.anomalies.insert(AnomalyKind::SupersededInDoubt);
        }
        EffectState::Applied => {
            all.anomalies.insert(AnomalyKind::DuplicateEffect);
            if !decided.duplicates_settled.contains(&picture.calls[n].key) {
                all.duplicates.push(n);
            }
        }
        EffectState::None | EffectState::Undone => {}
    }
}

/// S4.1 `tolerated = "report"`, S4.9 `compensates_itself`.
fn only_reported(picture: &Picture<'_>, policies: &Policies, scopes: &Scopes, scope: usize, n: usize) -> bool {
    reports(picture, scopes, scope) || compensates_itself(picture, policies, n)
}

/// At or below a call to a service that compensates itself (S4.9).
fn compensates_itself(picture: &Picture<'_>, policies: &Policies, n: usize) -> bool {
    let mut up = std::iter::successors(Some(n), |&n| picture.calls[n].parent);
    up.any(|n| policy_of(picture, policies, &picture.calls[n]).compensates_itself)
}

/// What is void without a failed root above it is reported, if that is all that is wanted (S4.1).
fn reports(picture: &Picture<'_>, scopes: &Scopes, scope: usize) -> bool {
    let top = &picture.calls[scopes.top[scope]];
    let failed_root = top.is_root() && picture.groups[top.group].attempts.iter().all(|&n| !picture.calls[n].is_ok());
    let failed_event = top.is_root() && top.scope.is_some();
    picture.settings.tolerated == Tolerated::Report && !failed_root && !failed_event
}

fn void_effect(
    picture: &Picture<'_>,
    effects: &Effects,
    policies: &Policies,
    decided: &Decided,
    scopes: &Scopes,
    (call, scope): (usize, usize),
    all: &mut AllWanted,
) {
    let (sharing, state) = (&effects.sharing[call], effects.shared_state(call));
    let is_pivot = pivot::is_class(picture, effects, policies, call, EffectClass::Pivot);
    if state == EffectState::InDoubt && is_absent(picture, decided, sharing) {
        return;
    }
    // What an operator confirmed stands, whatever else is found (S5.2).
    let confirmed = sharing.iter().any(|&m| decided.confirmed.contains(&picture.calls[m].key));
    let state = if state == EffectState::InDoubt && confirmed { EffectState::Applied } else { state };
    let state = if is_pivot { pivot::pivot_state(picture, effects, decided, call) } else { state };
    match scopes.direction[scope] {
        Direction::Back | Direction::Unknown if is_pivot && state == EffectState::InDoubt => {
            let asked = want(picture, policies, call, state) == Some(Want::Inquire);
            let want = if asked { Want::Inquire } else { Want::Hold };
            let decides = scopes.direction[scope] == Direction::Unknown;
            all.pivot_waits |= decides;
            all.wants.push(Wanted { call, want, reason: decides.then_some(WaitReason::Pivot) });
        }
        Direction::Unknown => {}
        Direction::Back => {
            all.wants.extend(want(picture, policies, call, state).map(|want| Wanted { call, want, reason: None }));
        }
        Direction::Forward => {
            if matches!(state, EffectState::Applied | EffectState::InDoubt) {
                let certainty = if state == EffectState::InDoubt { Certainty::InDoubt } else { Certainty::Applied };
                all.wants.push(Wanted { call, want: Want::Keep(certainty), reason: None });
            }
        }
    }
}

/// Its participant was asked, and said that nothing is there (S4.3).
fn is_absent(picture: &Picture<'_>, decided: &Decided, sharing: &[usize]) -> bool {
    decided.items.iter().any(|item| {
        let absent = item.state == PlanItemState::NotNeeded && item.sending.sends == 0 && !item.superseded;
        absent && sharing.iter().any(|&m| picture.calls[m].key == item.call)
    })
}

/// S4.7: past an applied pivot, failed retriable groups are done again, by their last attempts.
fn forward(picture: &Picture<'_>, effects: &Effects, policies: &Policies, scopes: &Scopes, all: &mut AllWanted) {
    for scope in (0..scopes.top.len()).filter(|&scope| scopes.direction[scope] == Direction::Forward) {
        let mut retried = false;
        for group in &picture.groups {
            let edge = group.edge();
            let failed = group.attempts.iter().all(|&n| picture.calls[n].state.is_failed());
            let retriable = scopes.of[edge] == Some(scope)
                && !reports(picture, scopes, scope)
                && failed
                && effects.state[edge] != EffectState::Undone
                && pivot::is_class(picture, effects, policies, edge, EffectClass::Retriable);
            if retriable {
                retried = true;
                all.wants.retain(|wanted| wanted.call != edge);
                all.wants.push(Wanted { call: edge, want: Want::Retry, reason: None });
            }
        }
        all.pivot_waits |= !retried && !reports(picture, scopes, scope);
    }
}

impl crate::engine::judge::Seen<'_> {
    fn is_ok(&self) -> bool {
        self.state == State::Ok
    }
}

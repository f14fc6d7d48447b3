//! S4.1, S4.2, S4.4 to S4.6: which effects there are, which are void, and which calls share one.

use std::{collections::HashMap, sync::Arc};

use crate::{
    engine::{
        call::{AnswerCode, Declared},
        decided::CallKey,
        judge::{EventScope, Picture, Seen, State},
        policies::Policies,
    },
    model::{BusTime, EffectClass, EffectState, Name, Outcome},
    policy::{CompensationRule, InDoubt, OperationPolicy, Undeclared},
};

/// A compensation, from whichever of the three sources declared it (S4.6).
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) enum CompensationOf<'a> {
    Declared(&'a Declared),
    Rule(&'a CompensationRule),
}

impl CompensationOf<'_> {
    pub fn operation(&self) -> &str {
        match self {
            Self::Declared(declared) => &declared.operation,
            Self::Rule(rule) => &rule.operation,
        }
    }

    /// Whether an envelope goes out in the command's place.
    pub fn is_envelope(&self) -> bool {
        matches!(self, Self::Rule(rule) if rule.message.as_ref().is_some_and(|message| message.envelope))
    }

    /// The operation that asks for the effect; empty: none does.
    pub fn inquire_operation(&self) -> &str {
        match self {
            Self::Declared(declared) => declared.inquire_operation(),
            Self::Rule(rule) => &rule.inquire_operation,
        }
    }

    /// What may be said of the effect in doubt: what the compensation declares, else the catalogue (S4.3).
    pub fn in_doubt(&self, policy: &OperationPolicy) -> InDoubt {
        match self {
            Self::Declared(declared) if declared.accepts_in_doubt => InDoubt::Undo,
            Self::Declared(declared) if !declared.inquire_operation().is_empty() => InDoubt::Inquire,
            _ => policy.in_doubt,
        }
    }
}

/// What undoes the effect of a call: as its response says (an `OK` first: it knows what was made), else its request, else
/// a call that shares the effect (S4.5), else the catalogue.
pub(in crate::engine) fn compensation_of<'a>(
    picture: &'a Picture<'_>,
    n: usize,
    policy: &'a OperationPolicy,
) -> Option<CompensationOf<'a>> {
    compensation_sent(picture, n, policy, None)
}

/// The one of operation `sent`, if a command of that operation was sent: the same command again is the same whatever was
/// declared since (S5.2).
pub(in crate::engine) fn compensation_sent<'a>(
    picture: &'a Picture<'_>,
    n: usize,
    policy: &'a OperationPolicy,
    sent: Option<&str>,
) -> Option<CompensationOf<'a>> {
    let own = declared(&picture.calls[n]);
    let shared = std::iter::once(()).flat_map(|()| sharing(picture, n)).flat_map(|n| declared(&picture.calls[n]));
    let rule = policy.compensation.as_ref().map(CompensationOf::Rule);
    let mut all = own.chain(shared).map(CompensationOf::Declared).chain(rule);
    all.find(|compensation| sent.is_none_or(|sent| compensation.operation() == sent))
}

/// What the messages of a call declare, the best first.
fn declared<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = &'a Declared> {
    let of = |ok: bool| seen.answers.iter().filter(move |answer| (answer.code == AnswerCode::Ok) == ok);
    let answers = of(true).chain(of(false)).filter_map(|answer| answer.more.as_ref()?.effect.compensation.as_deref());
    let asked = seen.begun.and_then(|begun| begun.more.as_ref()?.effect.compensation.as_deref());
    answers.chain(asked)
}

/// The other calls that share the effect of a call by their key (S4.5).
pub(in crate::engine) fn sharing<'a>(picture: &'a Picture<'_>, n: usize) -> impl Iterator<Item = usize> + 'a {
    let identity = identity_of(&picture.calls[n]);
    let others = picture.calls.iter().enumerate().filter(move |&(other, seen)| {
        other != n && seen.is_forward() && identity.is_some() && identity_of(seen) == identity
    });
    others.map(|(other, _)| other)
}

/// What the calls that share an effect have in common; an empty key is none.
fn identity_of<'a>(seen: &'a Seen<'_>) -> Option<(Name, Name, &'a str)> {
    let begun = seen.begun?;
    let key = key_of(seen);
    (!key.is_empty()).then(|| (seen.service(), begun.operation, key))
}

/// Whether a call has an effect (S4.6), by its own messages and the catalogue.
fn has_effect(seen: &Seen<'_>, policy: &OperationPolicy, undeclared: Undeclared) -> bool {
    let ruled = policy.compensation.as_ref().is_some_and(|rule| !rule.operation.is_empty());
    if declared(seen).next().map_or(ruled, |declared| !declared.operation.is_empty()) {
        return true;
    }
    let classes = [EffectClass::Compensatable, EffectClass::Pivot, EffectClass::Retriable];
    if classes.iter().any(|&class| seen.declares_class(class) || policy.effect == Some(class)) {
        return true;
    }
    let read_only = seen.declares_class(EffectClass::ReadOnly) || policy.effect == Some(EffectClass::ReadOnly);
    undeclared == Undeclared::Effect && !read_only
}

/// State of the effect of a call that has one (S4.2), own undo aside.
pub(in crate::engine) fn state_of(seen: &Seen<'_>) -> EffectState {
    let has = |code| seen.answers.iter().any(|answer| answer.code == code);
    match () {
        () if has(AnswerCode::Ok) => EffectState::Applied,
        () if has(AnswerCode::Failed) => EffectState::None,
        () if has(AnswerCode::Unknown) || has(AnswerCode::Cancelled) || has(AnswerCode::DeadMaybe) => {
            EffectState::InDoubt
        }
        () if has(AnswerCode::DeadUnhandled) => EffectState::None,
        () if seen.state == State::Open || seen.state == State::HalfKnown => EffectState::None,
        // Timed out; or an event that nobody reported on (S1.7).
        () => EffectState::InDoubt,
    }
}

/// The effects of a picture, by call.
#[derive(Debug)]
pub(in crate::engine) struct Effects {
    pub has: Vec<bool>,
    pub state: Vec<EffectState>,
    pub voided: Vec<bool>,
    /// An earlier attempt of a committed group: nothing of its own is undone by itself (S4.4).
    pub superseded: Vec<bool>,
    /// Open, so that nothing is known of its effect yet (S2.4).
    pub open: Vec<bool>,
    /// An own undo of it is under way (S4.8).
    pub being_undone: Vec<bool>,
    /// Calls that share its effect by their key, itself included (S4.5), in the order of their requests.
    pub sharing: Vec<Vec<usize>>,
    /// When it was first answered `OK`.
    pub applied_at: Vec<Option<BusTime>>,
}

impl Effects {
    /// Looks at all effects of a chain with this outcome. `given_up`: open calls that are no longer waited for.
    pub fn of(picture: &Picture<'_>, policies: &Policies, outcome: Outcome, given_up: &[CallKey]) -> Self {
        let settings = picture.settings;
        let n = picture.calls.len();
        let policy = |seen: &Seen<'_>| policy_of(picture, policies, seen);
        let has: Vec<bool> = picture
            .calls
            .iter()
            .map(|seen| seen.is_forward() && has_effect(seen, &policy(seen), settings.undeclared))
            .collect();
        let mut effects = Self {
            state: vec![EffectState::None; n],
            voided: void(picture),
            superseded: vec![false; n],
            open: vec![false; n],
            being_undone: vec![false; n],
            sharing: (0..n).map(|n| vec![n]).collect(),
            applied_at: vec![None; n],
            has,
        };
        effects.share(picture);
        for (n, seen) in picture.calls.iter().enumerate() {
            let given_up = given_up.contains(&seen.key);
            effects.open[n] = seen.state == State::Open && !given_up;
            let ok = seen.answers.iter().find(|answer| answer.code == AnswerCode::Ok);
            effects.applied_at[n] = ok.map(|answer| answer.stamp.at);
            if effects.has[n] {
                let unanswered = seen.state == State::Open && given_up && seen.decisive().is_none();
                effects.state[n] = if unanswered { EffectState::InDoubt } else { state_of(seen) };
            }
        }
        effects.own_undo(picture);
        effects.supersede(picture);
        if outcome == Outcome::Unknown {
            // Absence of evidence undoes nothing (S2.2).
            effects.voided.fill(false);
        }
        effects
    }

    /// S4.2, S4.8: what the services undid, or are undoing.
    fn own_undo(&mut self, picture: &Picture<'_>) {
        for seen in &picture.calls {
            let Some(more) = seen.begun.and_then(|begun| begun.more.as_ref()) else { continue };
            let target = more.compensates.as_ref().and_then(|id| picture.find_id(&id.text()));
            let Some(target) = target else { continue };
            if seen.answers.iter().any(|answer| answer.code == AnswerCode::Ok) {
                self.state[target] = EffectState::Undone;
            } else if seen.state == State::Open {
                self.being_undone[target] = true;
            }
        }
    }

    /// S4.4: attempts beside the one that a committed group succeeded by.
    fn supersede(&mut self, picture: &Picture<'_>) {
        for group in &picture.groups {
            let above = picture.calls[group.attempts[0]].parent;
            let committed = group.attempts.iter().copied().filter(|&n| picture.calls[n].state == State::Ok);
            let Some(winner) = committed.min_by_key(|&n| picture.calls[n].end_rank) else { continue };
            if above.is_some_and(|parent| self.voided[parent]) {
                continue;
            }
            for &n in group.attempts.iter().filter(|&&n| n != winner) {
                self.superseded[n] = true;
            }
        }
    }

    /// S4.5: calls to one service and operation with one key make one effect, which one of them may declare for all.
    fn share(&mut self, picture: &Picture<'_>) {
        let mut sharing: HashMap<_, Vec<usize>> = HashMap::new();
        for (n, seen) in picture.calls.iter().enumerate().filter(|(_, seen)| seen.is_forward()) {
            if let Some(identity) = identity_of(seen) {
                sharing.entry(identity).or_default().push(n);
            }
        }
        for mut calls in sharing.into_values() {
            if !calls.iter().any(|&n| self.has[n]) {
                continue;
            }
            calls.sort_by_key(|&n| picture.calls[n].begin_rank);
            for &n in &calls {
                self.has[n] = true;
                self.sharing[n].clone_from(&calls);
            }
        }
    }

    /// A call whose effect stands: answered `OK` and not void.
    pub fn is_committed(&self, n: usize) -> bool {
        !self.voided[n] && !self.superseded[n] && self.state[n] == EffectState::Applied
    }

    /// State of an effect that several calls share: applied if any is, else in doubt if any is; undone if one is.
    pub fn shared_state(&self, n: usize) -> EffectState {
        let any = |state| self.sharing[n].iter().any(|&m| self.state[m] == state);
        [EffectState::Undone, EffectState::Applied, EffectState::InDoubt]
            .into_iter()
            .find(|&state| any(state))
            .unwrap_or(EffectState::None)
    }
}

/// What the catalogue says of a call. A consumer's part in an event is under the consumer's own entry; of its effect
/// the event's entry says what that leaves open.
pub(in crate::engine) fn policy_of(
    picture: &Picture<'_>,
    policies: &Policies,
    seen: &Seen<'_>,
) -> Arc<OperationPolicy> {
    let Some(begun) = seen.begun else { return policies.look_up(picture.names, Name::NONE, Name::NONE) };
    let own = policies.look_up(picture.names, seen.service(), begun.operation);
    if seen.key.consumer.is_none() || own.compensation.is_some() {
        return own;
    }
    let event = policies.look_up(picture.names, begun.service, begun.operation);
    Arc::new(OperationPolicy {
        effect: own.effect.or(event.effect),
        compensation: event.compensation.clone(),
        in_doubt: event.in_doubt,
        ..(*own).clone()
    })
}

/// The idempotency key of a call: the request's, else its response's.
pub(in crate::engine) fn key_of<'a>(seen: &'a Seen<'_>) -> &'a str {
    let asked = seen.begun.and_then(|begun| begun.more.as_ref()).map_or("", |more| &more.effect.key);
    if !asked.is_empty() {
        return asked;
    }
    seen.answers
        .iter()
        .filter_map(|answer| answer.more.as_ref())
        .map(|more| &*more.effect.key)
        .find(|k| !k.is_empty())
        .unwrap_or("")
}

/// S4.1: void is every effect at or below a failed call.
fn void(picture: &Picture<'_>) -> Vec<bool> {
    let mut voided = vec![false; picture.calls.len()];
    let failed_events: Vec<EventScope> =
        picture.calls.iter().filter(|seen| seen.state.is_failed()).filter_map(|seen| seen.scope).collect();
    let mut order: Vec<usize> = (0..picture.calls.len()).collect();
    order.sort_by_key(|&n| picture.calls[n].depth);
    for n in order {
        let seen = &picture.calls[n];
        let above = seen.parent.is_some_and(|parent| voided[parent]);
        // Under an event that began the chain, one consumer's failure is the event's (S1.7).
        let by_event = seen.scope.is_some_and(|scope| failed_events.contains(&scope));
        voided[n] = seen.is_forward() && (seen.state.is_failed() || above || by_event);
    }
    voided
}

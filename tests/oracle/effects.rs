//! S4.2, S4.6, S4.8: what a call changed, what undoes it, and whether it is there.

use std::collections::BTreeSet;

use countermand::{
    model::{EffectClass, EffectState, Handled, StatusCode},
    policy::{InDoubt, Undeclared},
};

use super::{graph::Call, letters::Declared, scene::Scene, void};

/// What can be said to the participant about an effect in doubt (S4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    Undo,
    Inquire(String),
    Hold,
}

/// What an operator or an inquiry settled about effects in doubt, and calls open when the chain was given up (S2.2).
#[derive(Debug, Clone, Default)]
pub struct Settled {
    pub applied: BTreeSet<String>,
    pub absent: BTreeSet<String>,
    pub doubtful: BTreeSet<String>,
}

/// S4.6: declared by the response, else by the request; else by a call that shares the effect (S4.5).
fn declarations(scene: &Scene, call: usize) -> Vec<&Declared> {
    let others = void::members(scene, &void::effect_of(scene, call)).into_iter().filter(|other| *other != call);
    let all = [call].into_iter().chain(others);
    all.flat_map(|call| own_declarations(&scene.calls()[call])).collect()
}

fn own_declarations(call: &Call) -> Vec<&Declared> {
    let mut said: Vec<_> = call.said.iter().filter(|said| said.declared.is_some()).collect();
    said.sort_by_key(|said| (said.code != Some(StatusCode::Ok), said.moment));
    let said = said.into_iter().filter_map(|said| said.declared.as_ref());
    said.chain(call.ask.iter().map(|(ask, _)| &ask.declared)).collect()
}

/// S4.6: the class of an effect, if anybody declares one.
pub fn class(scene: &Scene, call: usize) -> Option<EffectClass> {
    let declared = declarations(scene, call).into_iter().find_map(|declared| declared.class);
    declared.or(scene.calls()[call].rule.as_ref().and_then(|rule| rule.effect))
}

/// S4.6: the operation that undoes an effect and what it says about doubt (S4.3).
pub fn undoing(scene: &Scene, call: usize) -> Option<(String, Doubt)> {
    let rule = scene.calls()[call].rule.as_ref()?;
    let configured = rule.compensation.as_ref();
    let inquire = configured.map_or("", |rule| rule.inquire_operation.as_str());
    let by_catalogue = match rule.in_doubt {
        InDoubt::Undo => Doubt::Undo,
        InDoubt::Inquire if !inquire.is_empty() => Doubt::Inquire(inquire.into()),
        InDoubt::Inquire | InDoubt::Hold => Doubt::Hold,
    };
    let Some(undoing) = declarations(scene, call).into_iter().find_map(|declared| declared.undoing.as_ref()) else {
        return configured.map(|rule| (rule.operation.clone(), by_catalogue));
    };
    let doubt = match () {
        () if undoing.accepts_in_doubt => Doubt::Undo,
        () if !undoing.inquire.is_empty() => Doubt::Inquire(undoing.inquire.clone()),
        () => by_catalogue,
    };
    Some((undoing.operation.clone(), doubt))
}

/// S4.6: a call has an effect if envelope, response or catalogue declares a compensation or a class other than
/// read-only, or if nobody declares anything and `undeclared = "effect"`.
pub fn has_effect(scene: &Scene, call: usize, undeclared: Undeclared) -> bool {
    if undoing(scene, call).is_some() {
        return true;
    }
    match class(scene, call) {
        Some(class) => class != EffectClass::ReadOnly,
        None => undeclared == Undeclared::Effect,
    }
}

/// S4.5: the idempotency key; an empty one is none.
pub fn key(call: &Call) -> &str {
    let asked = call.ask.as_ref().map_or("", |(ask, _)| ask.declared.key.as_str());
    let said = call.said.iter().filter_map(|said| said.declared.as_ref()).map(|declared| declared.key.as_str());
    if asked.is_empty() { said.filter(|key| !key.is_empty()).min().unwrap_or("") } else { asked }
}

/// S4.2: the state of one call's effect by what was heard.
pub fn state(scene: &Scene, call: usize, undeclared: Undeclared, settled: &Settled) -> EffectState {
    let it = &scene.calls()[call];
    let heard = |code: StatusCode| it.said.iter().any(|said| said.code == Some(code));
    let dead = |handled: Handled| it.said.iter().any(|said| said.code.is_none() && said.handled == handled);
    if !has_effect(scene, call, undeclared) {
        return EffectState::None;
    }
    if undone_by_service(scene, call) {
        return EffectState::Undone;
    }
    // Evidence before what an operator or an inquiry said.
    if heard(StatusCode::Ok) {
        return EffectState::Applied;
    }
    if heard(StatusCode::Failed) {
        return EffectState::None;
    }
    if settled.applied.contains(&it.id) {
        return EffectState::Applied;
    }
    if settled.absent.contains(&it.id) {
        return EffectState::None;
    }
    if heard(StatusCode::Unknown) || heard(StatusCode::Cancelled) || dead(Handled::Maybe) {
        return EffectState::InDoubt;
    }
    if dead(Handled::No) {
        return EffectState::None;
    }
    let published = scene.ends[call] == super::ends::End::Published;
    let in_doubt = published || scene.timed_out(call) || settled.doubtful.contains(&it.id);
    if in_doubt { EffectState::InDoubt } else { EffectState::None }
}

/// S4.2, S4.8: a call with `compensates` naming it was answered `OK`; an own undo in doubt leaves it as it is.
pub fn undone_by_service(scene: &Scene, call: usize) -> bool {
    own_undos(scene, call).into_iter().any(|undo| scene.first_ok(undo).is_some())
}

/// S4.8: whether the service is undoing it itself right now.
pub fn being_undone_by_service(scene: &Scene, call: usize, given_up: &BTreeSet<String>) -> bool {
    own_undos(scene, call).into_iter().any(|undo| scene.open(undo) && !given_up.contains(scene.id(undo)))
}

fn own_undos(scene: &Scene, call: usize) -> Vec<usize> {
    let names = |undo: &Call| undo.ask.as_ref().is_some_and(|(ask, _)| ask.compensates == scene.id(call));
    (0..scene.calls().len()).filter(|undo| *undo != call && names(&scene.calls()[*undo])).collect()
}

//! S4.3: what is done about one void effect, by what is known of it.

use super::effects::{Effects, compensation_of, policy_of};
use crate::{
    engine::{judge::Picture, policies::Policies},
    model::{Certainty, EffectState},
    policy::InDoubt,
};

/// What is wanted for one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Undo it.
    Undo(Certainty),
    /// Ask first.
    Inquire,
    /// Nobody can be told or asked.
    Hold,
    /// Nothing undoes it (S4.6).
    Uncompensatable,
    /// It stays, past a pivot (S4.7).
    Keep(Certainty),
    /// Do it again (S4.7).
    Retry,
}

/// What is wanted for a void effect in this state; `None`: nothing.
pub(super) fn want(picture: &Picture<'_>, policies: &Policies, n: usize, state: EffectState) -> Option<Want> {
    let seen = &picture.calls[n];
    let policy = policy_of(picture, policies, seen);
    let compensation = compensation_of(picture, n, &policy).filter(|compensation| !compensation.operation().is_empty());
    match (state, compensation) {
        (EffectState::None | EffectState::Undone, _) => None,
        (EffectState::Applied, Some(_)) => Some(Want::Undo(Certainty::Applied)),
        (EffectState::Applied, None) => Some(Want::Uncompensatable),
        (EffectState::InDoubt, None) => Some(Want::Hold),
        (EffectState::InDoubt, Some(compensation)) => Some(match compensation.in_doubt(&policy) {
            InDoubt::Undo => Want::Undo(Certainty::InDoubt),
            InDoubt::Inquire => Want::Inquire,
            InDoubt::Hold => Want::Hold,
        }),
    }
}

/// The call that a command for an effect names (S4.5): the first answered `OK`, else the first requested.
pub(super) fn named(picture: &Picture<'_>, effects: &Effects, sharing: &[usize]) -> usize {
    let applied = sharing.iter().copied().filter(|&n| effects.applied_at[n].is_some());
    let first =
        applied.min_by_key(|&n| (effects.applied_at[n], picture.calls[n].end_rank, picture.calls[n].begin_rank));
    first.unwrap_or(sharing[0])
}

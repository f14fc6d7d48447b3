//! S4, S5.1, S5.6: which effects are undone, in which order, and how new evidence changes that.

mod amend;
mod doubt;
mod effects;
mod order;
mod pivot;
mod wanted;

pub(super) use amend::{Replanned, replan};
pub(super) use effects::{CompensationOf, Effects, compensation_of, compensation_sent, key_of, policy_of, sharing};

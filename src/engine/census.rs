//! How many chains and commands stand where (S5.12): kept up as chains come, change and go, since nobody could walk over
//! a million of them for each look.

use super::chain::Chain;
use crate::model::{PlanItemState, PlanState};

/// States of a plan's items that something is still to come of.
const PENDING: [PlanItemState; 5] =
    [PlanItemState::Waiting, PlanItemState::Sent, PlanItemState::Backoff, PlanItemState::Held, PlanItemState::Stuck];

/// How many chains and commands of one engine, or of several together, stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Chains that are not decided.
    open: usize,
    /// Decided chains, by the place of their plan's state in [`PlanState::ALL`].
    plans: [usize; PlanState::ALL.len()],
    /// Items of plans, by the place of their state in [`PENDING`].
    items: [usize; PENDING.len()],
}

impl Census {
    /// Chains that are not decided.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Decided chains that are kept, by the state of their plan.
    pub fn plans(&self) -> impl Iterator<Item = (PlanState, usize)> {
        PlanState::ALL.iter().copied().zip(self.plans)
    }

    /// Commands of which something is still to come, by their state.
    pub fn commands(&self) -> impl Iterator<Item = (PlanItemState, usize)> {
        PENDING.into_iter().zip(self.items)
    }

    /// Adds what others counted.
    pub fn add(&mut self, other: &Self) {
        self.open += other.open;
        self.plans.iter_mut().zip(other.plans).for_each(|(own, other)| *own += other);
        self.items.iter_mut().zip(other.items).for_each(|(own, other)| *own += other);
    }

    /// A chain came, as it is.
    pub(super) fn came(&mut self, chain: &Chain) {
        self.change(chain, |count| *count += 1);
    }

    /// A chain goes, as it was when it came.
    pub(super) fn went(&mut self, chain: &Chain) {
        self.change(chain, |count| *count -= 1);
    }

    fn change(&mut self, chain: &Chain, change: impl Fn(&mut usize)) {
        let Some(decided) = &chain.decided else {
            // A plain success has nothing but the time of its verdict.
            return change(if chain.settled_at.is_some() {
                &mut self.plans[PlanState::None as usize]
            } else {
                &mut self.open
            });
        };
        if let Some(at) = PlanState::ALL.iter().position(|state| *state == decided.state) {
            change(&mut self.plans[at]);
        }
        for item in decided.items.iter().filter(|item| !item.superseded) {
            if let Some(at) = PENDING.iter().position(|state| *state == item.state) {
                change(&mut self.items[at]);
            }
        }
    }
}

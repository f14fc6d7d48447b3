//! S5: commands on their way: when one may go, how often, what answers and operators do to it, and what state that
//! leaves the chain in.

mod answer;
mod brake;
mod gate;
mod life;
mod operator;
mod state;

pub(super) use answer::{Answered, answer};
pub(super) use brake::{Brake, Minute};
pub(super) use gate::{GateInput, gate};
pub(super) use life::{Clocks, Dispatch, Fired, answer_within, fire, next_due, published, pump};
pub(super) use operator::operate;
pub(super) use state::state_of;

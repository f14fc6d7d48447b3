//! What is written down so that a restart goes on as if nothing had happened (S5.4): which input is not yet saved
//! ([`low_water`]), how state stands in the state topic ([`state`]), and how it is taken back ([`restore`]).

pub mod low_water;
pub mod restore;
pub mod state;

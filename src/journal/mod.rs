//! What is written down so that a restart goes on as if nothing had happened (S5.4): which input is not yet saved
//! ([`low_water`]), how state is laid out ([`state`]), how it is taken back ([`restore`]), and where all of it stands on a
//! bus that keeps nothing for the agent (`local`).

#[cfg(feature = "agent")]
mod kept;
#[cfg(feature = "agent")]
pub mod local;
pub mod low_water;
pub mod restore;
pub mod state;
#[cfg(feature = "agent")]
mod witness;

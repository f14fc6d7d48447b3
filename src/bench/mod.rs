//! The load generator: synthetic traffic of which the truth is known before anybody looks at it.
//!
//! A [`Spec`] is a tree of services and what befalls them; [`simulate`] plays it and gives the calls
//! with their times, and by construction the [`Truth`]; [`Traffic`] interleaves many of them in the order of a bus. The
//! same seed gives the same bytes.

mod envelope;
mod mixed;
mod rng;
mod shop;
mod spec;
mod standard;
mod story;
mod traffic;
mod truth;

pub use rng::Rng;
pub use spec::{Fate, Spec};
pub use standard::{CALLS as STANDARD_CALLS, ENVELOPE_BYTES};
pub use story::{Answer, Call, Story, simulate};
pub use traffic::{Profile, Settings, Timed, Traffic};
pub use truth::Truth;

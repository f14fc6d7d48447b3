//! Recorded traffic, decided offline: what would have happened under a policy.
//!
//! [`Feed`] reads recordings as one stream, [`Replay`] runs it through one engine with a lane for each topic partition.
//! How time and answers go where there is neither a clock nor a participant:
//!
//! - **Time.** The host clock shows the latest time read so far. At each line everything before it counts as read to
//!   its end; a line that is earlier than the time reached is read late and keeps its own time. A line without `at`
//!   has its envelope's `sent_at`, else the time of the line before. Where no `offset` is given, lines of a partition
//!   stand in the order of their times, then of reading.
//! - **Answers.** Answers that the recording has are taken as they are. A command that it says nothing about is
//!   answered `done` (an inquiry: `absent`) when it is due to be published for the second time, and at the end of the
//!   recording at once.
//! - **Mode.** Plans are run as in `auto`, without the storm brake and however old their evidence is, so that every
//!   wave shows. The state of a chain is then that of the policy's own mode: `observed` or `awaiting_approval` where
//!   the strictest mode among a plan's commands says so, unless the recording's operator approved or rejected it. What
//!   makes a plan wait in `auto` too (an incomplete picture) makes it wait here.
//! - **Lines.** Every chain gets one: when the engine closes or evicts it, or at the end, where those that are left
//!   follow in the order of their first message. So memory is bounded by what the engine keeps. A chain whose id is
//!   used again by a new root after it was closed gets one more.

mod answers;
mod book;
mod chains;
mod decide;
mod feed;
mod mode;

pub use decide::{NotTaken, Replay, Stood};
pub use feed::{Fed, Feed, Item};
pub use mode::strictest;

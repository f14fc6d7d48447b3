//! Scenarios: "given these messages, expect this verdict and these commands", as YAML that operators can write.
//!
//! [`parse`] reads a file, [`run`] drives an engine (or anything else that is a [`Subject`]) with one scenario and
//! compares what came with what was expected. There is no I/O and no clock here: same file, same report.
//!
//! Where the language leaves room:
//! - A moment `at: TIME` is looked at when every step at or before TIME was read and every timer due by TIME has
//!   fired, and before the first step after TIME; while the agent lags, no timer fires for it.
//! - A step that is read late (its `at` is smaller than that of one before) keeps its time; the host clock stays.
//! - A dead letter carries the request that was sent, under its message id.
//! - `state: applied | absent | unknown` answers an inquiry, also without `action`.
//! - An inquiry goes to the operation of the compensation, since the language has no other name for it.

mod clock;
mod compare;
mod config;
mod drive;
mod expect;
mod inputs;
mod language;
mod ledger;
mod names;
mod parse;
mod raw;
mod schedule;
mod steps;
mod subject;
mod words;

pub use clock::{Restless, run_until};
pub use compare::Difference;
pub use config::default_policy;
pub use drive::{Report, run};
pub use inputs::input;
pub use language::{
    Act, Block, EffectStep, ExpectedCommand, Fact, Key, PartyText, RequestStep, ResponseStep, Scenario, Step,
};
pub use ledger::{Ledger, Sent};
pub use parse::{MAX_FILE_BYTES, ParseError, is_scenario_file, parse};
pub use schedule::EPOCH;
pub use subject::Subject;

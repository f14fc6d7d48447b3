//! What the operator decides beforehand: settings of the engine, and the catalogue of operations (S4.6, S5.7, S5.15).

mod catalogue;
pub mod load;
mod pattern;
pub mod payloads;
mod settings;
pub mod undo;
mod wire;
mod words;

pub use catalogue::{Catalogue, CompensationRule, Consumers, OperationPolicy, OperationRule};
pub use pattern::{Pattern, PatternError};
pub use settings::{
    BrakeSettings, InDoubt, InFlight, Limits, Mode, OnUndoFailure, Ordering, Settings, Tolerated, Undeclared,
};
pub use wire::WireLimits;
pub use words::Word;

/// Everything that the engine decides by.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Settings that hold for all chains.
    pub settings: Settings,
    /// What is known of services and operations.
    pub catalogue: Catalogue,
}

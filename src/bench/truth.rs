//! What is true of a generated chain, by construction.

use serde::Serialize;

/// The truth about one chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Truth {
    /// The chain.
    pub chain_id: String,
    /// `succeeded` or `failed`.
    pub outcome: &'static str,
    /// The call in which the failure began; `None`: none did, or it was tolerated.
    pub failing: Option<String>,
    /// `error` or `no_response`.
    pub cause: Option<&'static str>,
    /// Calls whose effects have to be undone, in the order of their begins.
    pub undo: Vec<String>,
    /// A message was lost, so that the picture has a hole.
    pub incomplete: bool,
}

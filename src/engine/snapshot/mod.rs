//! S5.4: a chain as bytes and back: a restored engine goes on exactly as the one before.

use std::collections::HashMap;

use crate::model::{LaneId, Position};

/// Up to where restored state holds: what is read again below it is known already.
#[derive(Debug, Default)]
pub(super) struct Reread {
    chains: HashMap<u64, Vec<(LaneId, u64)>>,
}

impl Reread {
    /// Whether the snapshot of this chain holds the message at this position.
    pub fn holds(&self, key: u64, position: Position) -> bool {
        !self.chains.is_empty()
            && self
                .chains
                .get(&key)
                .is_some_and(|lanes| lanes.iter().any(|&(lane, next)| lane == position.lane && position.offset < next))
    }
}

//! What HTTP and the terminal see of live chains: committed views of the chains that matter, within a bound.
//!
//! Only a worker puts views in, and only after the commit that made them true.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use dashmap::DashMap;

use crate::model::ChainView;

/// Chains that are kept; the one that was put in first goes first. A view of 20 calls takes about 10 KB: 100 MB.
pub const MAX_VIEWS: usize = 10_000;

/// Committed views by chain id.
#[derive(Debug)]
pub struct Live {
    views: DashMap<String, Arc<ChainView>>,
    order: Mutex<VecDeque<String>>,
    limit: usize,
}

impl Default for Live {
    fn default() -> Self {
        Self::new(MAX_VIEWS)
    }
}

impl Live {
    /// Room for `limit` chains.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { views: DashMap::new(), order: Mutex::default(), limit }
    }

    /// Keeps a committed view, and says which revision of the chain's verdict was known before; zero for none.
    pub fn put(&self, view: ChainView) -> u32 {
        let id = view.chain_id.clone();
        if let Some(before) = self.views.insert(id.clone(), Arc::new(view)) {
            return before.verdict.as_ref().map_or(0, |verdict| verdict.revision);
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back(id);
        while order.len() > self.limit {
            if let Some(oldest) = order.pop_front() {
                self.views.remove(&oldest);
            }
        }
        0
    }

    /// The newest committed view of a chain, if it is one that matters.
    #[must_use]
    pub fn get(&self, chain_id: &str) -> Option<Arc<ChainView>> {
        self.views.get(chain_id).map(|view| view.clone())
    }

    /// How many chains are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Live;
    use crate::model::{BusTime, ChainView, PlanState};

    fn view(id: &str, started_at: i64) -> ChainView {
        ChainView {
            chain_id: id.to_owned(),
            started_at: BusTime(started_at),
            verdict: None,
            state: PlanState::None,
            waits: Vec::new(),
            calls: Vec::new(),
            commands: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_goes_first_and_a_new_view_replaces_the_one_before() {
        let live = Live::new(2);
        for (id, at) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            live.put(view(id, at));
        }
        assert_eq!((live.len(), live.get("a"), live.get("b").unwrap().started_at), (2, None, BusTime(2)));
    }
}

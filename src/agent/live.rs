//! What HTTP and the terminal see of live chains: committed views of the chains that matter, within a bound.
//!
//! The worker puts in views of its own chains, after the commit that made them true; what other instances published of
//! theirs comes from the bus ([`super::tail`]). So any instance can show any chain.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use dashmap::DashMap;

use crate::model::ChainView;

/// Chains that are kept; the one that was put in first goes first. A view of 20 calls takes about 10 KB: 100 MB; what
/// `operations.show` has shown of payloads is 16 KB of a view at most.
pub const MAX_VIEWS: usize = 10_000;

/// Committed views by chain id.
#[derive(Debug)]
pub struct Live {
    views: DashMap<String, Kept>,
    /// Chains whose views are being committed, and by which worker: what the bus tells of them meanwhile is its own commit.
    claimed: DashMap<String, usize>,
    order: Mutex<VecDeque<String>>,
    limit: usize,
    dropped: AtomicU64,
    begun_late: AtomicBool,
}

#[derive(Debug)]
struct Kept {
    view: Arc<ChainView>,
    /// The worker here whose it is: what the bus tells of it is not newer.
    owner: Option<usize>,
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
        Self {
            views: DashMap::new(),
            claimed: DashMap::new(),
            order: Mutex::default(),
            limit,
            dropped: AtomicU64::new(0),
            begun_late: AtomicBool::new(false),
        }
    }

    /// Keeps a view that this worker has committed, and says which revision of the chain's verdict was known before; zero for
    /// none.
    pub fn put(&self, view: ChainView, worker: usize) -> u32 {
        let id = view.chain_id.clone();
        let known = self.keep(view, Some(worker));
        self.claimed.remove(&id);
        known
    }

    /// This worker is about to commit a view of a chain. Until it has put it in, the bus is not listened to about it: it may
    /// tell of the commit before the worker gets to.
    #[cfg(feature = "kafka")]
    pub fn claim(&self, chain_id: &str, worker: usize) {
        self.claimed.insert(chain_id.to_owned(), worker);
    }

    /// Keeps a view that was read from the bus, unless a worker here knows the chain better.
    pub fn hear(&self, view: ChainView) {
        let is_ours = self.claimed.contains_key(&view.chain_id);
        if !is_ours && self.views.get(&view.chain_id).is_none_or(|kept| kept.owner.is_none()) {
            self.keep(view, None);
        }
    }

    /// This worker no longer has the partitions that it had: from now on the bus tells of their chains.
    pub fn disown(&self, worker: usize) {
        self.claimed.retain(|_, claimed| *claimed != worker);
        self.views.iter_mut().filter(|kept| kept.owner == Some(worker)).for_each(|mut kept| kept.owner = None);
    }

    fn keep(&self, view: ChainView, owner: Option<usize>) -> u32 {
        let id = view.chain_id.clone();
        let before = self.views.insert(id.clone(), Kept { view: Arc::new(view), owner });
        if let Some(Kept { view: before, .. }) = before {
            return before.verdict.as_ref().map_or(0, |verdict| verdict.revision);
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back(id);
        while order.len() > self.limit {
            if let Some(oldest) = order.pop_front() {
                self.views.remove(&oldest);
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        0
    }

    /// The newest committed view of a chain, if it is one that matters.
    #[must_use]
    pub fn get(&self, chain_id: &str) -> Option<Arc<ChainView>> {
        self.views.get(chain_id).map(|kept| kept.view.clone())
    }

    /// All that are kept, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ChainView>> {
        self.views.iter().map(|kept| kept.view.clone()).collect()
    }

    /// Pictures that were published before this process began were not all read.
    pub fn begins_late(&self) {
        self.begun_late.store(true, Ordering::Relaxed);
    }

    /// Why older chains than those that are kept may be missing; `None`: none are.
    #[must_use]
    pub fn cut(&self) -> Option<String> {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            let limit = self.limit;
            return Some(format!("the newest {limit} chains are kept; {dropped} older ones have gone from this list"));
        }
        let late = self.begun_late.load(Ordering::Relaxed);
        late.then(|| {
            "of what was published before this instance began, the newest pictures were read again; an older chain shows \
             again once something happens to it"
                .to_owned()
        })
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
            live.put(view(id, at), 0);
        }
        assert_eq!((live.len(), live.get("a"), live.get("b").unwrap().started_at), (2, None, BusTime(2)));
        assert!(live.cut().is_some_and(|why| why.contains("; 1 older")));
    }

    #[test]
    fn the_bus_tells_only_of_chains_that_nobody_here_decides() {
        let live = Live::new(2);
        live.put(view("a", 1), 1);
        live.hear(view("a", 2));
        live.hear(view("b", 3));
        live.hear(view("b", 4));
        let started = |id| live.get(id).unwrap().started_at;
        // What the bus tells of a commit before its own worker does is no news to it.
        #[cfg(feature = "kafka")]
        {
            let live = Live::new(2);
            live.claim("c", 1);
            live.hear(view("c", 1));
            assert_eq!((live.get("c"), live.put(view("c", 2), 1)), (None, 0));
            live.claim("d", 1);
            live.disown(1);
            live.hear(view("d", 1));
            assert!(live.get("d").is_some());
        }
        assert_eq!((started("a"), started("b")), (BusTime(1), BusTime(4)));
        live.disown(0);
        live.hear(view("a", 4));
        assert_eq!(started("a"), BusTime(1), "another worker's");
        live.disown(1);
        live.hear(view("a", 5));
        assert_eq!(started("a"), BusTime(5));
    }
}

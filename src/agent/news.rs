//! What is heard on the bus of changes in chains' lives: for whoever listens, and for whoever waits for the outcome of what
//! he asked for.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use dashmap::DashMap;
use tokio::sync::{broadcast, oneshot};

use crate::wire::proto::{ChainEvent, ChainEventKind};

/// Events that are kept for listeners that come back.
const KEPT: usize = 1_000;

/// Events that a slow listener may be behind; then it is told that it missed some.
const BEHIND: usize = 1_000;

/// Outcomes that may be waited for at once. Each belongs to one request, and these are limited too.
const MAX_WAITING: usize = 1_000;

/// An event and its number, which counts from 1 in the life of this process.
#[derive(Debug, Clone)]
pub struct News {
    /// Its number.
    pub number: u64,
    /// The event.
    pub event: Arc<ChainEvent>,
}

/// Hears events and passes them on.
#[derive(Debug)]
pub struct Newsroom {
    feed: broadcast::Sender<News>,
    kept: Mutex<VecDeque<News>>,
    waiting: DashMap<String, oneshot::Sender<Arc<ChainEvent>>>,
}

impl Default for Newsroom {
    fn default() -> Self {
        Self { feed: broadcast::channel(BEHIND).0, kept: Mutex::default(), waiting: DashMap::new() }
    }
}

impl Newsroom {
    /// An event was read from the bus.
    pub fn tell(&self, event: ChainEvent) {
        let event = Arc::new(event);
        let is_outcome = matches!(event.kind(), ChainEventKind::Operator | ChainEventKind::OperatorRefused);
        if is_outcome && let Some((_, waiting)) = self.waiting.remove(&event.operation_id) {
            // Whoever asked may have gone.
            let _ = waiting.send(event.clone());
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let news = News { number: kept.back().map_or(1, |last| last.number + 1), event };
        kept.push_back(news.clone());
        if kept.len() > KEPT {
            kept.pop_front();
        }
        // Within the lock, so that nobody who begins to listen misses one or hears it twice. Nobody may be listening.
        let _ = self.feed.send(news);
    }

    /// What came after number `after` and is kept, and what will come.
    pub fn listen(&self, after: Option<u64>) -> (Vec<News>, broadcast::Receiver<News>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = kept.iter().filter(|news| after.is_some_and(|after| news.number > after)).cloned().collect();
        (missed, self.feed.subscribe())
    }

    /// Waits for the outcome of an operation; ask before it is sent. `None`: too many wait already.
    pub fn outcome_of(&self, operation_id: &str) -> Option<oneshot::Receiver<Arc<ChainEvent>>> {
        if self.waiting.len() >= MAX_WAITING {
            return None;
        }
        let (tell, told) = oneshot::channel();
        self.waiting.insert(operation_id.to_owned(), tell);
        Some(told)
    }

    /// Waits for it no longer.
    pub fn forget(&self, operation_id: &str) {
        self.waiting.remove(operation_id);
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Newsroom};
    use crate::wire::proto::{ChainEvent, ChainEventKind};

    fn event(kind: ChainEventKind, operation_id: &str) -> ChainEvent {
        ChainEvent { kind: kind.into(), operation_id: operation_id.to_owned(), ..ChainEvent::default() }
    }

    #[test]
    fn whoever_comes_back_hears_what_he_missed_once() {
        let room = Newsroom::default();
        for _ in 0..KEPT + 5 {
            room.tell(event(ChainEventKind::Decided, ""));
        }
        let (missed, mut feed) = room.listen(Some(1_002));
        assert_eq!(missed.iter().map(|news| news.number).collect::<Vec<_>>(), [1_003, 1_004, 1_005]);
        assert_eq!(room.listen(Some(0)).0.len(), KEPT);
        assert_eq!(room.listen(None).0.len(), 0);
        room.tell(event(ChainEventKind::Closed, ""));
        assert_eq!(feed.try_recv().map(|news| news.number).ok(), Some(1_006));
    }

    #[test]
    fn an_outcome_reaches_the_one_who_waits_for_it() {
        let room = Newsroom::default();
        let (mut a, mut b) = (room.outcome_of("a").unwrap(), room.outcome_of("b").unwrap());
        room.tell(event(ChainEventKind::Operator, "other"));
        room.tell(event(ChainEventKind::State, "a"));
        assert!(a.try_recv().is_err());
        room.tell(event(ChainEventKind::OperatorRefused, "a"));
        assert_eq!(a.try_recv().map(|event| event.kind()).ok(), Some(ChainEventKind::OperatorRefused));
        room.forget("b");
        assert!(b.try_recv().is_err());
    }
}

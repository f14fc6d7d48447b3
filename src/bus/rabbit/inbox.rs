//! What came out of the queues and is not handed on yet, and what of it is to be acknowledged. Readers put in, each for its
//! queue; the agent's worker takes out, on a thread of its own.
//!
//! Deliveries belong to a channel: when that is gone they come again on the next one, so what waits here is dropped then,
//! and acknowledgements of an old channel go nowhere. Of what was handed on already the agent knows by itself that it came.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::source::Source;
use crate::bus::Record;

/// Messages of each queue that are handed on at once at most.
const BATCH: usize = 1_000;

/// A look at a queue says for so long that it is read to its end (S0).
const FRESH: Duration = Duration::from_secs(1);

/// Looks in a row between which nothing came that make an end. Two, since a delivery that was under way at the first is here
/// before the answer to the second.
const LOOKS: u8 = 2;

/// Time between two looks at a queue that is read to its end: how exactly command clocks and time-outs run while nothing
/// comes. One costs the broker some microseconds.
const LOOK: Duration = Duration::from_millis(50);

/// Time between two looks at one that is not, although nothing of it waits here: deliveries are under way.
const SOON: Duration = Duration::from_millis(10);

/// A message that came.
#[derive(Debug)]
pub struct Came {
    /// The message.
    pub record: Record,
    /// What tells it from others.
    pub identity: u128,
    /// It may have come before.
    pub again: bool,
    /// Where a stream is read on after it.
    pub next: Option<u64>,
    tag: u64,
}

/// What a reader is to do for its queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Acknowledge all up to this delivery.
    pub acknowledge: Option<u64>,
    /// Look whether the queue is read to its end, after this time.
    pub look: Option<Duration>,
}

/// All queues, by their number.
#[derive(Debug)]
pub(super) struct Inbox {
    queues: Mutex<Vec<Queue>>,
    changed: Condvar,
    wakers: Vec<Notify>,
}

#[derive(Debug)]
struct Queue {
    is_stream: bool,
    prefetch: u64,
    waiting: VecDeque<Came>,
    /// Whether a channel is open.
    open: bool,
    /// Deliveries of this channel so far: their tags count from 1.
    came: u64,
    /// The last delivery of this channel that may have come before although the broker does not say so: one that was killed
    /// may have forgotten acknowledgements, and that it delivered at all. What comes later was published later.
    suspect: u64,
    /// The last delivery of this channel that was handed on, that is safe, and that the broker knows to be.
    handed: u64,
    safe: u64,
    acknowledged: u64,
    /// Where a stream is read on; `None`: where a new reader begins.
    next: Option<u64>,
    held: bool,
    looks: u8,
    looked_at: Option<Instant>,
    /// Something changed that the agent may wait for.
    news: bool,
}

impl Inbox {
    /// For these queues, none of which is open.
    pub fn new(sources: &[Source], prefetch: u16) -> Self {
        let queue = |source: &Source| Queue {
            is_stream: source.is_stream(),
            prefetch: prefetch.into(),
            waiting: VecDeque::new(),
            open: false,
            came: 0,
            suspect: 0,
            handed: 0,
            safe: 0,
            acknowledged: 0,
            next: None,
            held: false,
            looks: 0,
            looked_at: None,
            news: false,
        };
        let queues = Mutex::new(sources.iter().map(queue).collect());
        Self { queues, changed: Condvar::new(), wakers: sources.iter().map(|_| Notify::new()).collect() }
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel for queue `n` is about to be opened, in which so many messages are ready; tells where a stream is read on.
    pub fn open(&self, n: usize, ready: u32) -> Option<u64> {
        let mut queues = self.queues();
        let queue = &mut queues[n];
        queue.close();
        queue.open = true;
        queue.suspect = ready.into();
        queue.next
    }

    /// No channel is open any more.
    pub fn close(&self) {
        self.queues().iter_mut().for_each(Queue::close);
    }

    /// Streams are read on from here, whatever was handed on.
    pub fn begin_at(&self, places: impl IntoIterator<Item = (usize, Option<u64>)>) {
        let mut queues = self.queues();
        queues.iter_mut().for_each(Queue::close);
        for (n, next) in places {
            queues[n].next = next;
        }
    }

    /// A delivery came, as number `tag` of its channel. `next` is where a stream is read on after it.
    pub fn push(&self, n: usize, record: Record, identity: u128, redelivered: bool, tag: u64, next: Option<u64>) {
        let mut queues = self.queues();
        let queue = &mut queues[n];
        if !queue.open {
            return; // it comes again
        }
        queue.came = tag;
        queue.looks = 0;
        let again = !queue.is_stream && (redelivered || tag <= queue.suspect);
        queue.waiting.push_back(Came { record, identity, again, next, tag });
        queue.news = true;
        self.changed.notify_one();
    }

    /// Takes what came, waiting for at most `wait` for anything to come or to change.
    pub fn take(&self, wait: Duration) -> Vec<Came> {
        let until = Instant::now() + wait;
        let mut queues = self.queues();
        loop {
            let mut taken = Vec::new();
            let mut changed = false;
            for (queue, waker) in queues.iter_mut().zip(&self.wakers) {
                changed |= std::mem::take(&mut queue.news);
                if queue.held || queue.waiting.is_empty() {
                    continue;
                }
                let many = queue.waiting.len().min(BATCH);
                let before = taken.len();
                taken.extend(queue.waiting.drain(..many));
                let last: Option<&Came> = taken[before..].last();
                queue.handed = last.map_or(queue.handed, |last| last.tag);
                queue.next = last.and_then(|last| last.next).or(queue.next);
                if queue.waiting.is_empty() {
                    waker.notify_one();
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if !taken.is_empty() || changed || left.is_zero() {
                return taken;
            }
            queues = self.changed.wait_timeout(queues, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All that was handed on is safe.
    pub fn acknowledge(&self) {
        for (queue, waker) in self.queues().iter_mut().zip(&self.wakers) {
            if queue.safe < queue.handed {
                queue.safe = queue.handed;
                waker.notify_one();
            }
        }
    }

    /// Hands on nothing of queue `n` until it is let go.
    pub fn hold(&self, n: usize, held: bool) {
        self.queues()[n].held = held;
    }

    /// Whether queue `n` is read to its end: it shows nothing ready, and nothing of it waits here (S0).
    pub fn is_at_end(&self, n: usize) -> bool {
        self.queues()[n].end().is_some()
    }

    /// How long ago it was that all queues that are read to their end were so.
    pub fn age(&self) -> Duration {
        self.queues().iter().filter_map(Queue::end).max().unwrap_or_default()
    }

    /// A look that was begun at `begun` showed so many messages ready in queue `n`. Of a stream that number says nothing: it
    /// is read to its end if nothing comes although there is room.
    pub fn looked(&self, n: usize, ready: u32, begun: Instant) {
        let mut queues = self.queues();
        let queue = &mut queues[n];
        let has_room = queue.came - queue.acknowledged < queue.prefetch.div_ceil(2);
        let nothing = if queue.is_stream { has_room } else { ready == 0 };
        queue.looked_at = Some(begun);
        if queue.open && nothing && queue.waiting.is_empty() {
            queue.looks = (queue.looks + 1).min(LOOKS);
            queue.news |= queue.looks == LOOKS;
            self.changed.notify_one();
        } else {
            queue.looks = 0;
        }
    }

    /// What the reader of queue `n` is to do. What it is told to acknowledge it does, or its channel is gone.
    pub fn wanted(&self, n: usize) -> Wanted {
        let mut queues = self.queues();
        let queue = &mut queues[n];
        let acknowledge = (queue.acknowledged < queue.safe).then_some(queue.safe);
        queue.acknowledged = queue.safe;
        let since = queue.looked_at.map_or(LOOK, |looked_at| looked_at.elapsed());
        let look = match (queue.waiting.is_empty(), queue.looks < LOOKS) {
            (false, _) => None,
            // One that showed something is looked at again soon, not at once.
            (true, true) if queue.looks == 0 && queue.looked_at.is_some() && since < SOON => Some(SOON - since),
            (true, true) => Some(Duration::ZERO),
            (true, false) => Some(LOOK.saturating_sub(since)),
        };
        Wanted { acknowledge, look }
    }

    /// Waits until there may be something else to do for queue `n`.
    pub async fn changed(&self, n: usize) {
        self.wakers[n].notified().await;
    }

    /// Whether all that is safe is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.queues().iter().all(|queue| !queue.open || queue.acknowledged >= queue.safe)
    }
}

impl Queue {
    /// How long ago it was that this one was read to its end, if it is.
    fn end(&self) -> Option<Duration> {
        let age = self.looked_at?.elapsed();
        (self.waiting.is_empty() && self.looks >= LOOKS && age < FRESH).then_some(age)
    }

    fn close(&mut self) {
        self.waiting.clear();
        self.open = false;
        (self.came, self.handed, self.safe, self.acknowledged) = (0, 0, 0, 0);
        (self.looks, self.looked_at) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Inbox, Wanted};
    use crate::bus::{
        Record, Stamp,
        rabbit::source::{Kind, Source},
    };

    fn inbox() -> Inbox {
        let source = |queue: &str, kind| Source { topic: queue.into(), partition: 0, queue: queue.to_owned(), kind };
        Inbox::new(&[source("a", Kind::Queue), source("s", Kind::Stream { from_beginning: true })], 10)
    }

    fn push(inbox: &Inbox, n: usize, tag: u64, next: Option<u64>) {
        let record = Record {
            topic: "a".into(),
            partition: 0,
            offset: 0,
            stamp: Stamp::Missing,
            key: None,
            headers: Vec::new(),
            payload: None,
        };
        inbox.push(n, record, tag.into(), false, tag, next);
    }

    fn take(inbox: &Inbox) -> Vec<u64> {
        inbox.take(Duration::ZERO).iter().map(|came| came.tag).collect()
    }

    #[test]
    fn only_what_was_handed_on_is_acknowledged_and_only_on_its_channel() {
        let inbox = inbox();
        inbox.open(0, 0);
        push(&inbox, 0, 1, None);
        push(&inbox, 0, 2, None);
        assert_eq!(take(&inbox), [1, 2]);
        push(&inbox, 0, 3, None);
        assert_eq!(inbox.wanted(0).acknowledge, None, "nothing is safe yet");
        inbox.acknowledge();
        assert!(!inbox.is_settled());
        assert_eq!(inbox.wanted(0), Wanted { acknowledge: Some(2), look: None });
        assert!(inbox.is_settled() && inbox.wanted(0).acknowledge.is_none());
        assert_eq!(take(&inbox), [3]);
        inbox.open(0, 0);
        inbox.acknowledge();
        assert_eq!(inbox.wanted(0).acknowledge, None, "that channel is gone");
        push(&inbox, 0, 1, None);
        assert_eq!(take(&inbox), [1]);
        inbox.acknowledge();
        assert_eq!(inbox.wanted(0).acknowledge, Some(1));
    }

    #[test]
    fn an_end_is_two_looks_between_which_nothing_came() {
        let inbox = inbox();
        inbox.open(0, 0);
        assert!(!inbox.is_at_end(0));
        inbox.looked(0, 0, Instant::now());
        assert!(!inbox.is_at_end(0));
        push(&inbox, 0, 1, None);
        take(&inbox);
        inbox.looked(0, 0, Instant::now());
        assert!(!inbox.is_at_end(0), "something came between the two");
        assert_eq!(inbox.wanted(0).look, Some(Duration::ZERO));
        inbox.looked(0, 0, Instant::now());
        assert!(inbox.is_at_end(0) && inbox.age() < Duration::from_secs(1));
        inbox.looked(0, 3, Instant::now());
        assert!(!inbox.is_at_end(0), "three are ready");
        for _ in 0..2 {
            inbox.looked(0, 0, Instant::now().checked_sub(Duration::from_secs(2)).unwrap());
        }
        assert!(!inbox.is_at_end(0), "it is too long ago");
    }

    #[test]
    fn a_stream_is_read_on_after_what_was_handed_on() {
        let inbox = inbox();
        inbox.begin_at([(1, Some(7))]);
        assert_eq!(inbox.open(1, 0), Some(7));
        push(&inbox, 1, 1, Some(8));
        push(&inbox, 1, 2, Some(9));
        assert_eq!(take(&inbox), [1, 2]);
        push(&inbox, 1, 3, Some(10));
        assert_eq!(inbox.open(1, 0), Some(9), "what was not handed on comes again");
        inbox.begin_at([(1, Some(8))]);
        assert_eq!(inbox.open(1, 0), Some(8), "what was lost comes again, too");
        for tag in 1..=6 {
            push(&inbox, 1, tag, Some(8 + tag));
        }
        take(&inbox);
        for _ in 0..2 {
            inbox.looked(1, 0, Instant::now());
        }
        assert!(!inbox.is_at_end(1), "there may be no room for more");
        inbox.acknowledge();
        inbox.wanted(1);
        for _ in 0..2 {
            inbox.looked(1, 0, Instant::now());
        }
        assert!(inbox.is_at_end(1));
    }

    /// A participant may give the same answer twice, word for word; what came before the channel may have come before.
    #[test]
    fn what_was_published_later_is_new() {
        let inbox = inbox();
        inbox.open(0, 2);
        for tag in 1..=3 {
            push(&inbox, 0, tag, None);
        }
        let again: Vec<bool> = inbox.take(Duration::ZERO).iter().map(|came| came.again).collect();
        assert_eq!(again, [true, true, false]);
    }

    #[test]
    fn what_is_held_is_not_handed_on() {
        let inbox = inbox();
        inbox.open(0, 0);
        inbox.hold(0, true);
        push(&inbox, 0, 1, None);
        assert_eq!(take(&inbox), [] as [u64; 0]);
        inbox.hold(0, false);
        assert_eq!(take(&inbox), [1]);
    }
}

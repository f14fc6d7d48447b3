//! What is heard on the bus of changes in chains' lives: for whoever listens, and for whoever waits for the outcome of what
//! he asked for.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{broadcast, oneshot, watch};

use super::desk::request_of;
use crate::{
    model::HostTime,
    wire::proto::{ChainEvent, ChainEventKind},
};

/// Events that are kept for listeners that come back: about half a KB each.
pub const KEPT: usize = 10_000;

/// Events that a slow listener may be behind; then it is told that it missed some.
const BEHIND: usize = 1_000;

/// Outcomes that are kept for whoever asks for the same again, and requests whose key is remembered.
pub const KEPT_OUTCOMES: usize = 10_000;

/// Outcomes that may be waited for at once. Each belongs to one request, and these are limited too.
const MAX_WAITING: usize = 1_000;

/// An event, and where it stands.
#[derive(Debug, Clone)]
pub struct News {
    /// What it is one of: a partition of the bus, or the life of a process that hears only itself.
    pub stream: u64,
    /// Its number there, which grows.
    pub number: u64,
    /// The event.
    pub event: Arc<ChainEvent>,
}

/// How far somebody has heard: of each stream, the number after the last one. It means the same to every instance and
/// after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard(BTreeMap<u64, u64>);

impl Heard {
    /// Reads what [`Heard`] writes; `None`: it did not write that.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let pair = |pair: &str| {
            let (stream, number) = pair.split_once('.')?;
            Some((stream.parse().ok()?, number.parse().ok()?))
        };
        text.split('-').map(pair).collect::<Option<_>>().map(Self)
    }

    /// Notes an event; `false`: it was heard before.
    pub fn note(&mut self, news: &News) -> bool {
        let next = self.0.entry(news.stream).or_default();
        let is_new = news.number >= *next;
        *next = (*next).max(news.number + 1);
        is_new
    }

    /// The number after the last one of a stream; `None`: nothing is known of it.
    #[must_use]
    pub fn of(&self, stream: u64) -> Option<u64> {
        self.0.get(&stream).copied()
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, (stream, number)) in self.0.iter().enumerate() {
            let apart = if n == 0 { "" } else { "-" };
            write!(f, "{apart}{stream}.{number}")?;
        }
        Ok(())
    }
}

/// What a listener gets.
pub struct Listening {
    /// Between where he was and what follows events are lost to him.
    pub cut: bool,
    /// How far he has heard with that.
    pub heard: Heard,
    /// What came since and is kept.
    pub missed: Vec<News>,
    /// What will come.
    pub feed: broadcast::Receiver<News>,
}

/// The outcome of an operation.
pub enum Outcome {
    /// It is known: it was asked for before.
    Known(Arc<ChainEvent>),
    /// It will be told.
    Comes {
        /// Here.
        told: oneshot::Receiver<Arc<ChainEvent>>,
        /// Nobody else waits for it.
        is_first: bool,
    },
    /// Too many wait already.
    TooMany,
}

/// Hears events and passes them on.
#[derive(Debug)]
pub struct Newsroom {
    feed: broadcast::Sender<News>,
    stands: watch::Sender<bool>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    heard: Heard,
    /// Of each stream, the number from which on everything is kept.
    since: BTreeMap<u64, u64>,
    kept: VecDeque<News>,
    outcomes: Recent<Arc<ChainEvent>>,
    /// By key, the request that was made under it.
    requests: Recent<String>,
    waiting: HashMap<String, Vec<oneshot::Sender<Arc<ChainEvent>>>>,
    waiters: usize,
}

/// The newest entries of a table.
#[derive(Debug)]
struct Recent<T> {
    entries: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    /// Keeps an entry, unless there is one of that name: the first stands.
    fn put(&mut self, name: &str, entry: T) {
        if self.entries.contains_key(name) {
            return;
        }
        self.entries.insert(name.to_owned(), entry);
        self.order.push_back(name.to_owned());
        if self.order.len() > KEPT_OUTCOMES
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

impl Default for Newsroom {
    fn default() -> Self {
        Self { feed: broadcast::channel(BEHIND).0, stands: watch::Sender::new(false), told: Mutex::default() }
    }
}

impl Newsroom {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream is heard from `number` on.
    pub fn begin(&self, stream: u64, number: u64) {
        let mut told = self.told();
        let heard = told.heard.0.entry(stream).or_default();
        let gap = *heard < number;
        *heard = (*heard).max(number);
        if gap || !told.since.contains_key(&stream) {
            told.since.insert(stream, number);
            told.kept.retain(|news| news.stream != stream);
        }
    }

    /// A stream that began anew under another name: nothing of the old one comes any more.
    pub fn end(&self, stream: u64) {
        let mut told = self.told();
        told.heard.0.remove(&stream);
        told.since.remove(&stream);
        told.kept.retain(|news| news.stream != stream);
    }

    /// How far was heard of a stream; `None`: it did not begin.
    #[must_use]
    pub fn heard(&self, stream: u64) -> Option<u64> {
        self.told().heard.of(stream)
    }

    /// From now on nothing that happens is missed.
    pub fn stand(&self) {
        self.stands.send_replace(true);
    }

    /// This process hears only itself: its life is the stream.
    pub fn stand_alone(&self, now: HostTime) {
        if !*self.stands.borrow() {
            self.begin(u64::try_from(now.0).unwrap_or(0), 0);
            self.stand();
        }
    }

    /// Completes once nothing that happens is missed.
    pub async fn standing(&self) {
        // The sender is ours: it does not go before us.
        let _ = self.stands.subscribe().wait_for(|stands| *stands).await;
    }

    /// An event of the process itself.
    pub fn tell_own(&self, event: ChainEvent) {
        let place = self.told().heard.0.iter().next().map(|(&stream, &number)| (stream, number));
        if let Some((stream, number)) = place {
            self.tell(stream, number, event);
        }
    }

    /// An event was read from the bus.
    pub fn tell(&self, stream: u64, number: u64, event: ChainEvent) {
        let mut told = self.told();
        let news = News { stream, number, event: Arc::new(event) };
        if !told.heard.note(&news) {
            return;
        }
        let event = &news.event;
        let is_outcome = matches!(event.kind(), ChainEventKind::Operator | ChainEventKind::OperatorRefused);
        if is_outcome && !event.operation_id.is_empty() {
            told.outcome(event);
        }
        told.kept.push_back(news.clone());
        if told.kept.len() > KEPT
            && let Some(gone) = told.kept.pop_front()
        {
            told.since.insert(gone.stream, gone.number + 1);
        }
        // Within the lock, so that nobody who begins to listen misses one or hears it twice. Nobody may be listening.
        let _ = self.feed.send(news);
    }

    /// What came after what was heard, if something was, and what will come.
    #[must_use]
    pub fn listen(&self, after: Option<&Heard>) -> Listening {
        let told = self.told();
        let feed = self.feed.subscribe();
        let Some(after) = after else {
            return Listening { cut: false, heard: told.heard.clone(), missed: Vec::new(), feed };
        };
        let strange = after.0.keys().any(|stream| told.heard.of(*stream).is_none());
        let lost = told.since.iter().any(|(stream, since)| after.of(*stream).unwrap_or(0) < *since);
        // An instance may lag a little behind the one that was listened to before, but not by more than it keeps.
        let ahead = |(stream, next): (&u64, &u64)| *next > told.heard.of(*stream).unwrap_or(0) + KEPT as u64;
        let wild = after.0.iter().any(ahead);
        let mut heard = if strange || wild { Heard::default() } else { after.clone() };
        let missed: Vec<News> = told
            .kept
            .iter()
            .filter(|news| heard.of(news.stream).is_none_or(|next| news.number >= next))
            .cloned()
            .collect();
        // What is lost is said once.
        for (stream, since) in &told.since {
            let next = heard.0.entry(*stream).or_default();
            *next = (*next).max(*since);
        }
        Listening { cut: strange || lost || wild, heard, missed, feed }
    }

    /// Whether a request may be made under a key: no other one was, as far as it is remembered.
    #[must_use]
    pub fn claim(&self, operation_id: &str) -> bool {
        let (name, key) = request_of(operation_id);
        let mut told = self.told();
        told.requests.put(key, name.to_owned());
        told.requests.entries.get(key).is_none_or(|known| known == name)
    }

    /// Whether a request of this name is remembered.
    #[must_use]
    pub fn knows(&self, operation_id: &str) -> bool {
        let (name, key) = request_of(operation_id);
        self.told().requests.entries.get(key).is_some_and(|known| known == name)
    }

    /// The outcome of an operation, if it is known already.
    #[must_use]
    pub fn known_outcome(&self, operation_id: &str) -> Option<Arc<ChainEvent>> {
        self.told().outcomes.entries.get(operation_id).cloned()
    }

    /// The outcome of an operation, known or to be waited for; ask before it is sent.
    #[must_use]
    pub fn outcome_of(&self, operation_id: &str) -> Outcome {
        let mut told = self.told();
        if let Some(known) = told.outcomes.entries.get(operation_id) {
            return Outcome::Known(known.clone());
        }
        if told.waiters >= MAX_WAITING {
            told.forget_who_left();
        }
        if told.waiters >= MAX_WAITING {
            return Outcome::TooMany;
        }
        let (tell, comes) = oneshot::channel();
        let waiting = told.waiting.entry(operation_id.to_owned()).or_default();
        let is_first = waiting.iter().all(oneshot::Sender::is_closed);
        waiting.push(tell);
        told.waiters += 1;
        Outcome::Comes { told: comes, is_first }
    }
}

impl Told {
    fn outcome(&mut self, event: &Arc<ChainEvent>) {
        let id = &event.operation_id;
        let (name, key) = request_of(id);
        self.requests.put(key, name.to_owned());
        self.outcomes.put(id, event.clone());
        for waiting in self.waiting.remove(id).unwrap_or_default() {
            self.waiters -= 1;
            // Whoever asked may have gone.
            let _ = waiting.send(event.clone());
        }
    }

    fn forget_who_left(&mut self) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|waiting| !waiting.is_closed());
            !waiting.is_empty()
        });
        self.waiters = self.waiting.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, KEPT, MAX_WAITING, Newsroom, Outcome};
    use crate::{
        agent::desk::{keyed, of_engine},
        wire::proto::{ChainEvent, ChainEventKind},
    };

    fn event(kind: ChainEventKind, operation_id: &str) -> ChainEvent {
        ChainEvent { kind: kind.into(), operation_id: operation_id.to_owned(), ..ChainEvent::default() }
    }

    fn decided() -> ChainEvent {
        event(ChainEventKind::Decided, "")
    }

    /// What is heard from here on, as its places.
    fn missed(room: &Newsroom, after: &str) -> (bool, Vec<(u64, u64)>) {
        let heard = Heard::read(after).expect(after);
        let listening = room.listen(Some(&heard));
        (listening.cut, listening.missed.iter().map(|news| (news.stream, news.number)).collect())
    }

    #[test]
    fn whoever_comes_back_hears_what_he_missed_once() {
        let room = Newsroom::default();
        room.begin(0, 100);
        room.begin(1, 7);
        for (stream, number) in [(0, 100), (1, 7), (0, 102), (0, 102), (1, 8)] {
            room.tell(stream, number, decided());
        }
        assert_eq!(room.listen(None).heard.to_string(), "0.103-1.9");
        assert_eq!(missed(&room, "0.103-1.8"), (false, vec![(1, 8)]));
        assert_eq!(missed(&room, "0.100-1.7"), (false, vec![(0, 100), (1, 7), (0, 102), (1, 8)]));
        assert_eq!(missed(&room, "0.99-1.9"), (true, vec![(0, 100), (0, 102)]), "it began after that");
        assert_eq!(missed(&room, "0.103"), (true, vec![(1, 7), (1, 8)]), "of a partition he knew nothing");
        assert!(missed(&room, "0.103-1.9-2.1").0, "of another bus");
        assert!(missed(&room, "0.103-1.90000").0, "of another bus");
        // He heard more than this instance: what it reads of that is not new to him.
        let mut ahead = room.listen(Some(&Heard::read("0.110-1.9").expect("a place")));
        assert!(!ahead.cut && ahead.missed.is_empty());
        room.tell(0, 109, decided());
        room.tell(0, 110, decided());
        let mut fresh = Vec::new();
        while let Ok(news) = ahead.feed.try_recv() {
            fresh.extend(ahead.heard.note(&news).then_some(news.number));
        }
        assert_eq!(fresh, [110]);
        for text in ["", "x", "1", "1.x", "1.2-", "-1.2"] {
            assert_eq!(Heard::read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_longer_kept_is_said() {
        let room = Newsroom::default();
        room.begin(0, 0);
        for number in 0..KEPT as u64 + 5 {
            room.tell(0, number, decided());
        }
        assert!(!missed(&room, "0.5").0);
        let (cut, kept) = missed(&room, "0.4");
        assert_eq!((cut, kept.len(), kept.first()), (true, KEPT, Some(&(0, 5))));
    }

    #[test]
    fn an_outcome_reaches_all_who_wait_for_it_and_whoever_asks_again() {
        let room = Newsroom::default();
        let Outcome::Comes { told: mut first, is_first: true } = room.outcome_of("a") else { panic!("the first") };
        let Outcome::Comes { told: mut second, is_first: false } = room.outcome_of("a") else { panic!("the second") };
        room.tell(0, 0, event(ChainEventKind::Operator, "other"));
        room.tell(0, 1, event(ChainEventKind::State, "a"));
        assert!(first.try_recv().is_err());
        room.tell(0, 2, event(ChainEventKind::OperatorRefused, "a"));
        room.tell(0, 3, event(ChainEventKind::Operator, "a"));
        for told in [&mut first, &mut second] {
            assert_eq!(told.try_recv().map(|event| event.kind()).ok(), Some(ChainEventKind::OperatorRefused));
        }
        let Outcome::Known(known) = room.outcome_of("a") else { panic!("it was told") };
        assert_eq!(known.kind(), ChainEventKind::OperatorRefused, "the first stands");
    }

    #[test]
    fn one_key_is_for_one_request() {
        let room = Newsroom::default();
        assert!(room.claim(&keyed("k", "1")) && room.claim(&keyed("k", "1")));
        assert!(!room.claim(&keyed("k", "2")));
        // Heard of another instance.
        room.tell(0, 0, event(ChainEventKind::Operator, &of_engine(&keyed("l", "1"), 3)));
        assert!(room.claim(&keyed("l", "1")) && !room.claim(&keyed("l", "2")));
        assert!(room.knows(&keyed("l", "1")) && !room.knows(&keyed("l", "2")) && !room.knows("m"));
    }

    #[test]
    fn those_who_left_make_room() {
        let room = Newsroom::default();
        let waiting: Vec<Outcome> = (0..MAX_WAITING).map(|n| room.outcome_of(&n.to_string())).collect();
        assert!(matches!(room.outcome_of("more"), Outcome::TooMany));
        drop(waiting);
        assert!(matches!(room.outcome_of("more"), Outcome::Comes { .. }));
    }
}

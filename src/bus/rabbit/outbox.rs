//! What is to be published: it waits until there is a connection, then for its confirm. What the broker gives back or refuses
//! is published again later, under the number and id that it has; nothing goes until the broker has it. What stands in line
//! behind it ([`Letter::line`]) waits, or the older of two things that are said of a chain would be the last that is heard.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, oneshot};

use super::message::Letter;

/// Time until what was given back or refused is published again; it doubles up to the longest.
const AGAIN: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);

/// Requests that may wait for their way to the bus at once.
const MAX_ASKED: usize = 1_000;

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The broker has it.
    Confirmed,
    /// No queue takes it.
    Returned,
    /// The broker did not take it: a queue is full, or has no leader.
    Refused,
    /// The connection went first.
    Lost,
}

/// A letter under way.
#[derive(Debug)]
pub(super) struct Ticket {
    pub letter: Letter,
    whose: Whose,
    tries: u32,
}

#[derive(Debug)]
enum Whose {
    /// The agent's, of this generation and number.
    Agent(u64, u64),
    /// Of somebody who waits.
    Asked(oneshot::Sender<Result<(), String>>),
}

/// Everything that is to be published.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Counts how often the agent began anew.
    generation: u64,
    /// By number: what was published before comes first.
    waiting: BTreeMap<u64, Waiting>,
    /// Which of them can go at once.
    ready: BTreeSet<u64>,
    /// What stands in line behind one that goes, under way or not: numbers by line.
    lines: HashMap<u64, BTreeSet<u64>>,
    /// When which is to be published again.
    later: BTreeSet<(Instant, u64)>,
    /// Numbers under way.
    under_way: BTreeSet<u64>,
    asked: VecDeque<Ticket>,
    confirmed: Vec<u64>,
    /// Topics that no queue took something for, with how many letters wait for one.
    unroutable: BTreeMap<String, BTreeSet<u64>>,
    /// One of them became so since this was last asked.
    is_news: bool,
}

#[derive(Debug)]
struct Waiting {
    letter: Letter,
    tries: u32,
}

impl State {
    /// The broker has what was the first in a line.
    fn advance(&mut self, line: u64) {
        match self.lines.get_mut(&line).and_then(BTreeSet::pop_first) {
            Some(next) => {
                self.ready.insert(next);
            }
            None => {
                self.lines.remove(&line);
            }
        }
    }
}

impl Outbox {
    /// Whether somebody publishes what waits here: since the agent began for the first time.
    pub fn is_open(&self) -> bool {
        self.state().generation > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent begins anew: it will say again what is to be published.
    pub fn clear(&self) {
        let mut state = self.state();
        let (generation, asked) = (state.generation + 1, mem::take(&mut state.asked));
        *state = State { generation, asked, ..State::default() };
    }

    /// A letter is to be published.
    pub fn put(&self, number: u64, letter: Letter) {
        let mut state = self.state();
        let line = letter.line;
        state.waiting.insert(number, Waiting { letter, tries: 0 });
        match line.and_then(|line| state.lines.get_mut(&line)) {
            Some(behind) => {
                behind.insert(number);
            }
            None => {
                state.lines.extend(line.map(|line| (line, BTreeSet::new())));
                state.ready.insert(number);
            }
        }
        drop(state);
        self.more.notify_one();
    }

    /// Somebody's letter is to be published, once; the answer says whether the broker has it.
    pub fn ask(&self, letter: Letter) -> oneshot::Receiver<Result<(), String>> {
        let (tell, told) = oneshot::channel();
        let mut state = self.state();
        if state.asked.len() < MAX_ASKED {
            state.asked.push_back(Ticket { letter, whose: Whose::Asked(tell), tries: 0 });
        } else {
            let _ = tell.send(Err("too many requests wait for the broker".to_owned()));
        }
        self.more.notify_one();
        told
    }

    /// The next letter whose time has come.
    pub fn next(&self, now: Instant) -> Option<Ticket> {
        let mut state = self.state();
        while let Some(ticket) = state.asked.pop_front() {
            if let Whose::Asked(tell) = &ticket.whose
                && !tell.is_closed()
            {
                return Some(ticket);
            }
        }
        while let Some(&(due, number)) = state.later.first().filter(|(due, _)| *due <= now) {
            state.later.remove(&(due, number));
            state.ready.insert(number);
        }
        let number = state.ready.pop_first()?;
        let Waiting { letter, tries } = state.waiting.remove(&number)?;
        state.under_way.insert(number);
        Some(Ticket { letter, whose: Whose::Agent(state.generation, number), tries })
    }

    /// When the next letter's time comes, if it is not now.
    pub fn next_due(&self) -> Option<Instant> {
        self.state().later.first().map(|(due, _)| *due)
    }

    /// Waits until there may be something to publish.
    pub async fn more(&self) {
        self.more.notified().await;
    }

    /// A publication ended. What is not confirmed waits, or its sender is told.
    pub fn settle(&self, ticket: Ticket, outcome: Outcome, now: Instant) {
        let Ticket { letter, whose, tries } = ticket;
        let (generation, number) = match whose {
            Whose::Agent(generation, number) => (generation, number),
            Whose::Asked(tell) => {
                let answer = match outcome {
                    Outcome::Confirmed => Ok(()),
                    Outcome::Returned => Err(format!("no queue is bound for {:?}", letter.way.routing_key)),
                    Outcome::Refused => Err("the broker did not take it".to_owned()),
                    Outcome::Lost => Err("the connection went, and whether the broker has it is not known".to_owned()),
                };
                // Whoever asked may have gone.
                let _ = tell.send(answer);
                return;
            }
        };
        let mut state = self.state();
        if generation != state.generation {
            return;
        }
        state.under_way.remove(&number);
        if outcome == Outcome::Returned {
            state.is_news |= !state.unroutable.contains_key(&letter.topic);
            state.unroutable.entry(letter.topic.clone()).or_default().insert(number);
        } else if let Some(numbers) = state.unroutable.get_mut(&letter.topic)
            && outcome == Outcome::Confirmed
        {
            numbers.remove(&number);
            if numbers.is_empty() {
                state.unroutable.remove(&letter.topic);
            }
        }
        match outcome {
            Outcome::Confirmed => {
                state.confirmed.push(number);
                if let Some(line) = letter.line {
                    state.advance(line);
                }
            }
            Outcome::Lost => {
                state.waiting.insert(number, Waiting { letter, tries });
                state.ready.insert(number);
            }
            Outcome::Returned | Outcome::Refused => {
                let due = now + AGAIN.saturating_mul(1 << tries.min(5)).min(LONGEST);
                state.waiting.insert(number, Waiting { letter, tries: tries + 1 });
                state.later.insert((due, number));
            }
        }
    }

    /// Numbers that were confirmed since this was last asked.
    pub fn confirmed(&self) -> Vec<u64> {
        mem::take(&mut self.state().confirmed)
    }

    /// Whether something for `topic` waits for a queue that takes it.
    pub fn is_unroutable(&self, topic: &str) -> bool {
        self.state().unroutable.contains_key(topic)
    }

    /// Whether another topic became unroutable since this was last asked.
    pub fn has_news(&self) -> bool {
        mem::take(&mut self.state().is_news)
    }

    /// Letters that wait for a queue that takes them.
    pub fn unroutable(&self) -> usize {
        self.state().unroutable.values().map(BTreeSet::len).sum()
    }

    /// Letters of the agent that the broker does not have.
    #[cfg(test)]
    fn left(&self) -> usize {
        let state = self.state();
        state.waiting.len() + state.under_way.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use lapin::BasicProperties;

    use super::{Outbox, Outcome};
    use crate::bus::rabbit::{message::Letter, source::Way};

    fn letter(topic: &str) -> Letter {
        let way = Way { exchange: String::new(), routing_key: topic.to_owned(), mandatory: true };
        Letter { way, topic: topic.to_owned(), line: None, properties: BasicProperties::default(), body: Vec::new() }
    }

    #[test]
    fn what_is_said_of_a_chain_goes_one_after_the_other() {
        let outbox = Outbox::default();
        let mut now = Instant::now();
        for (number, line) in [(1, 7), (2, 7), (3, 7), (4, 8)] {
            outbox.put(number, Letter { line: Some(line), ..letter("chains") });
        }
        let under_way = [outbox.next(now).unwrap(), outbox.next(now).unwrap()];
        assert!(outbox.next(now).is_none(), "one of each line");
        for (ticket, outcome) in under_way.into_iter().zip([Outcome::Refused, Outcome::Confirmed]) {
            outbox.settle(ticket, outcome, now);
        }
        assert!(outbox.next(now).is_none() && outbox.confirmed() == [4], "what was refused is waited for");
        for number in [1, 2, 3] {
            now += Duration::from_secs(1);
            let ticket = outbox.next(now).unwrap();
            outbox.settle(ticket, Outcome::Lost, now);
            let again = outbox.next(now).unwrap();
            assert!(outbox.next(now).is_none());
            outbox.settle(again, Outcome::Confirmed, now);
            assert_eq!(outbox.confirmed(), [number]);
        }
        assert!(outbox.next(now).is_none() && outbox.left() == 0 && outbox.state().lines.is_empty());
    }

    #[test]
    fn what_was_under_way_when_the_connection_went_is_first_again() {
        let outbox = Outbox::default();
        let now = Instant::now();
        for number in [4, 5, 6] {
            outbox.put(number, letter("a"));
        }
        let (first, second) = (outbox.next(now).unwrap(), outbox.next(now).unwrap());
        outbox.settle(second, Outcome::Confirmed, now);
        outbox.settle(first, Outcome::Lost, now);
        let again = outbox.next(now).unwrap();
        outbox.settle(again, Outcome::Confirmed, now);
        assert_eq!(outbox.confirmed(), [5, 4]);
        assert_eq!(outbox.left(), 1);
    }

    #[test]
    fn what_no_queue_takes_is_published_again_until_one_does() {
        let outbox = Outbox::default();
        let now = Instant::now();
        outbox.put(1, letter("commands.stock"));
        let ticket = outbox.next(now).unwrap();
        outbox.settle(ticket, Outcome::Returned, now);
        assert!(outbox.is_unroutable("commands.stock") && outbox.next(now).is_none());
        assert!(outbox.has_news() && !outbox.has_news());
        let due = outbox.next_due().unwrap();
        let ticket = outbox.next(due).unwrap();
        outbox.settle(ticket, Outcome::Returned, due);
        assert!(outbox.next_due().unwrap() > due + Duration::from_millis(600), "it waits longer each time");
        let ticket = outbox.next(due + Duration::from_secs(60)).unwrap();
        assert_eq!((outbox.unroutable(), outbox.left()), (1, 1));
        outbox.settle(ticket, Outcome::Confirmed, due);
        assert!(!outbox.is_unroutable("commands.stock"));
        assert_eq!((outbox.confirmed(), outbox.left()), (vec![1], 0));
    }

    #[test]
    fn an_agent_that_begins_anew_hears_nothing_of_what_was_before() {
        let outbox = Outbox::default();
        let now = Instant::now();
        outbox.put(1, letter("a"));
        let before = outbox.next(now).unwrap();
        outbox.clear();
        outbox.put(1, letter("b"));
        outbox.settle(before, Outcome::Confirmed, now);
        assert_eq!(outbox.confirmed(), [] as [u64; 0], "that was another letter");
        assert_eq!(outbox.next(now).unwrap().letter.topic, "b");
    }

    #[test]
    fn whoever_asks_is_told_once() {
        let outbox = Outbox::default();
        let now = Instant::now();
        let mut told = outbox.ask(letter("operations"));
        let ticket = outbox.next(now).unwrap();
        outbox.settle(ticket, Outcome::Lost, now);
        assert!(told.try_recv().unwrap().is_err() && outbox.next(now).is_none());
    }
}

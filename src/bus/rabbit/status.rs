//! How it goes with the broker, for whoever asks: `/readyz`, `/metrics` and the log.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{message::Letter, outbox::Outcome};

/// Topics of which it is remembered that it was said that nobody takes them; with more it is said again.
const MAX_SAID: usize = 1_000;

/// How it goes.
#[derive(Debug)]
pub struct Status {
    /// Letters that wait for a queue that takes them.
    pub unroutable: AtomicU64,
    /// Publications that the broker gave back or refused so far.
    pub given_back: AtomicU64,
    /// Connections that were made so far.
    pub connections: AtomicU64,
    /// One while the broker takes nothing, since it is short of memory or disk.
    pub is_blocked: AtomicU64,
    reads: Mutex<String>,
    publishes: Mutex<String>,
    said: Mutex<BTreeSet<String>>,
}

impl Default for Status {
    /// Nothing is connected yet, and nobody works before it is.
    fn default() -> Self {
        let waiting = || Mutex::new("waiting for the broker".to_owned());
        Self {
            unroutable: AtomicU64::default(),
            given_back: AtomicU64::default(),
            connections: AtomicU64::default(),
            is_blocked: AtomicU64::default(),
            reads: waiting(),
            publishes: waiting(),
            said: Mutex::default(),
        }
    }
}

/// One of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Reads,
    Publishes,
}

impl Status {
    /// What keeps the agent from working; `None`: nothing.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        [Link::Reads, Link::Publishes].into_iter().find_map(|link| self.trouble_of(link))
    }

    /// What keeps it from reading; `None`: nothing.
    #[must_use]
    pub fn trouble_reading(&self) -> Option<String> {
        self.trouble_of(Link::Reads)
    }

    /// What keeps one connection from serving; `None`: nothing.
    fn trouble_of(&self, link: Link) -> Option<String> {
        let text = self.text(link).lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!text.is_empty()).then_some(text)
    }

    /// A connection cannot be used, for this reason. Says so, unless that is known.
    pub(super) fn down(&self, link: Link, why: &str, is_standby: bool) {
        let mut known = self.text(link).lock().unwrap_or_else(PoisonError::into_inner);
        if *known != why {
            why.clone_into(&mut known);
            if is_standby {
                tracing::info!("{why}");
            } else {
                tracing::warn!("{why}; trying again");
            }
        }
    }

    /// A connection serves.
    pub(super) fn up(&self, link: Link) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let mut known = self.text(link).lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_empty() {
            known.clear();
            tracing::info!(?link, "the broker serves");
        }
    }

    fn text(&self, link: Link) -> &Mutex<String> {
        match link {
            Link::Reads => &self.reads,
            Link::Publishes => &self.publishes,
        }
    }

    /// The broker takes nothing for this reason, or takes again.
    pub(super) fn blocked(&self, why: Option<&str>) {
        let before = self.is_blocked.swap(u64::from(why.is_some()), Ordering::Relaxed);
        match why {
            Some(why) => tracing::warn!(why, "the broker takes nothing: what is to be published waits"),
            None if before > 0 => tracing::info!("the broker takes again what is published"),
            None => {}
        }
    }

    /// How a publication ended: what came back is said once for its topic.
    pub(super) fn told(&self, letter: &Letter, outcome: Outcome) {
        if !matches!(outcome, Outcome::Returned | Outcome::Refused) {
            return;
        }
        self.given_back.fetch_add(1, Ordering::Relaxed);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MAX_SAID {
            said.clear();
        }
        let key = letter.way.routing_key.as_str();
        if said.insert(format!("{outcome:?} {key}")) {
            let why = if outcome == Outcome::Returned { "no queue is bound for it" } else { "its queue refuses it" };
            tracing::warn!(routing_key = key, exchange = letter.way.exchange, why, "published again until it arrives");
        }
    }
}

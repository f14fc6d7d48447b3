//! The chains of a recording until each has its line.

use std::collections::{HashMap, HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::answers::Answers;
use crate::{
    model::{Outcome, ResultState},
    render::ChainLine,
};

/// Chains of which it is remembered that they have their line: 16 MB. The oldest are forgotten first.
const MAX_PRINTED: usize = 1_000_000;

/// A chain without its line.
#[derive(Debug, Default)]
pub struct Open {
    /// Its place among the chains by first message.
    pub number: u64,
    /// What would be its line now.
    pub line: Option<ChainLine>,
    /// There is a verdict, and no plan under way.
    settled: bool,
    /// Commands that wait for an answer.
    pub answers: Answers,
    /// The recording's operator approved (or rejected: `false`) a plan that the policy holds back.
    pub approved: Option<bool>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Chains {
    open: HashMap<String, Open>,
    count: u64,
    /// Open chains that have no verdict or whose plan is under way.
    unsettled: usize,
    printed: Printed,
}

impl Chains {
    /// A message of this chain was taken.
    pub fn begin(&mut self, chain: &str) {
        if !self.open.contains_key(chain) {
            self.count += 1;
            self.unsettled += 1;
            self.open.insert(chain.to_owned(), Open { number: self.count, ..Open::default() });
        }
    }

    /// An open chain.
    pub fn get_mut(&mut self, chain: &str) -> Option<&mut Open> {
        self.open.get_mut(chain)
    }

    /// Chains so far, those included that have their line.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether every chain has its verdict and no plan is under way.
    #[must_use]
    pub fn are_settled(&self) -> bool {
        self.unsettled == 0
    }

    /// What a chain's line would be now, and whether its plan is under way.
    pub fn set_line(&mut self, line: ChainLine, under_way: bool) {
        self.begin(&line.chain_id);
        let Some(open) = self.open.get_mut(&line.chain_id) else { return };
        self.unsettled -= usize::from(!open.settled);
        self.unsettled += usize::from(under_way);
        open.settled = !under_way;
        open.line = Some(line);
    }

    /// The chain is closed: its line, unless it had one and nothing is known of it now but what came too late for that.
    pub fn close(&mut self, chain: &str) -> Option<ChainLine> {
        let open = self.open.remove(chain)?;
        self.unsettled -= usize::from(!open.settled);
        let line = open.line.unwrap_or_else(|| ChainLine::undecided(chain.to_owned()));
        let repeated = !self.printed.insert(chain);
        (!repeated || line.outcome != Outcome::Unknown.word()).then_some(line)
    }

    /// Open chains, in the order of their first message.
    #[must_use]
    pub fn in_order(&self) -> Vec<String> {
        let mut chains: Vec<(u64, &String)> = self.open.iter().map(|(chain, open)| (open.number, chain)).collect();
        chains.sort_unstable();
        chains.into_iter().map(|(_, chain)| chain.clone()).collect()
    }

    /// Answers that the recording owes, by chain in the order of first messages, with command ids.
    #[must_use]
    pub fn owed(&self) -> Vec<(String, String, ResultState)> {
        let mut owed: Vec<_> = self
            .open
            .iter()
            .flat_map(|(chain, open)| open.answers.owed().into_iter().map(move |owed| (open.number, chain, owed)))
            .collect();
        owed.sort_unstable_by(|a, b| (a.0, &a.2.0).cmp(&(b.0, &b.2.0)));
        owed.into_iter().map(|(_, chain, (id, state))| (chain.clone(), id, state)).collect()
    }
}

/// Ids of chains that have their line, by hash and within a bound.
#[derive(Debug, Default)]
struct Printed {
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Printed {
    /// Whether it is new.
    fn insert(&mut self, chain: &str) -> bool {
        let hash = xxh3_64(chain.as_bytes());
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > MAX_PRINTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

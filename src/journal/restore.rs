//! Taking an engine's state back from the records of its state partition.
//!
//! Records come in the order in which they were written; the last of a key counts. They are collected first and given
//! to the engine at the end, so that a chain that was saved a hundred times is read back once.

use std::collections::{BTreeMap, HashMap};

use super::state::{ClosedKey, Key, StateError, body, chain_piece};
use crate::{engine::Engine, model::Slot};

/// State records of one partition, the last of each key.
#[derive(Debug, Default)]
pub struct Collected {
    chains: HashMap<String, BTreeMap<u16, Vec<u8>>>,
    closed: BTreeMap<ClosedKey, Vec<u8>>,
    engine: Option<Vec<u8>>,
    unreadable: Vec<String>,
    records: u64,
}

/// What stands in the state partition for an engine that was taken back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The saved chains: where they are now, and how many parts their snapshot has.
    pub chains: Vec<(Slot, String, u16)>,
    /// The records of closed ids.
    pub closed: Vec<ClosedKey>,
    /// Records that were read.
    pub records: u64,
    /// What could not be read, in words. These records stay where they are.
    pub unreadable: Vec<String>,
}

impl Collected {
    /// Takes in one record; `None` is a tombstone.
    pub fn record(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.records += 1;
        let key = match Key::decode(key) {
            Ok(key) => key,
            Err(error) => return self.unreadable.push(format!("state record with key {key:?}: {error}")),
        };
        match (key, value) {
            (Key::Chain { chain_id, part }, Some(value)) => {
                self.chains.entry(chain_id).or_default().insert(part, value.to_vec());
            }
            (Key::Chain { chain_id, part }, None) => {
                if let Some(parts) = self.chains.get_mut(&chain_id) {
                    parts.remove(&part);
                    if parts.is_empty() {
                        self.chains.remove(&chain_id);
                    }
                }
            }
            (Key::Engine, value) => self.engine = value.map(<[u8]>::to_vec),
            (Key::Closed(key), Some(value)) => drop(self.closed.insert(key, value.to_vec())),
            (Key::Closed(key), None) => drop(self.closed.remove(&key)),
        }
    }

    /// Gives everything to an engine that has its lanes and nothing else.
    pub fn restore(self, engine: &mut Engine) -> Restored {
        let mut restored = Restored { records: self.records, unreadable: self.unreadable, ..Restored::default() };
        if let Some(value) = self.engine {
            let taken = body(&value).map_err(text).and_then(|bytes| engine.restore_engine(bytes));
            restored.note(taken, || "engine state".to_owned());
        }
        for (key, value) in self.closed {
            let taken = body(&value).map_err(text).and_then(|bytes| engine.restore_closed(bytes));
            if restored.note(taken, || format!("closed ids {key:?}")).is_some() {
                restored.closed.push(key);
            }
        }
        let mut chains: Vec<_> = self.chains.into_iter().collect();
        chains.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (chain_id, parts) in chains {
            let taken = join(&parts).map_err(text).and_then(|bytes| engine.restore_chain(&bytes));
            if let Some(slot) = restored.note(taken, || format!("chain {chain_id:?}")) {
                let parts = u16::try_from(parts.len()).unwrap_or(u16::MAX);
                restored.chains.push((slot, chain_id, parts));
            }
        }
        restored
    }
}

impl Restored {
    fn note<T>(&mut self, taken: Result<T, String>, what: impl FnOnce() -> String) -> Option<T> {
        taken.map_err(|error| self.unreadable.push(format!("{}: {error}", what()))).ok()
    }
}

/// Puts the parts of a snapshot together. Parts beyond the number that the first one names are of an older snapshot.
fn join(parts: &BTreeMap<u16, Vec<u8>>) -> Result<Vec<u8>, StateError> {
    let (total, _) = chain_piece(parts.get(&0).ok_or(StateError::Truncated)?)?;
    let mut whole = Vec::new();
    for part in 0..total {
        let (_, piece) = chain_piece(parts.get(&part).ok_or(StateError::Truncated)?)?;
        whole.extend_from_slice(piece);
    }
    Ok(whole)
}

fn text(error: StateError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Collected, join};
    use crate::journal::state::{Key, chain_values};

    #[test]
    fn the_last_record_of_a_key_counts() {
        let key = |part| Key::Chain { chain_id: "a".to_owned(), part }.encode();
        let mut collected = Collected::default();
        collected.record(&key(0), Some(&chain_values(b"old")[0]));
        collected.record(&key(0), Some(&chain_values(b"new")[0]));
        collected.record(&Key::Chain { chain_id: "b".to_owned(), part: 0 }.encode(), Some(&chain_values(b"b")[0]));
        collected.record(&Key::Chain { chain_id: "b".to_owned(), part: 0 }.encode(), None);
        collected.record(b"?", None);
        assert_eq!(join(&collected.chains["a"]).unwrap(), b"new");
        assert_eq!((collected.chains.len(), collected.records, collected.unreadable.len()), (1, 5, 1));
    }
}

//! A store in memory, with real transactions (S4.3): for tests, demonstrations, and services whose state is lost with their
//! process anyway.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use super::{
    record::{EffectKey, Record, State},
    store::{Store, Transaction},
};

/// How much is remembered, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimits {
    /// How long a row is kept after its last change. 72 h: a day for an original or a late answer (the agent's
    /// `late_window` is 24 h), and a weekend for an operator. **An original that arrives later than this after its undo is
    /// carried out**; a command for something older is answered `FORGOTTEN`, never `not_needed`.
    pub retention: Duration,
    /// Bytes of the barrier, by the store's own account; the service's rows are not counted. 256 MiB: about 300,000 calls.
    /// At seven eighths no new original is taken ([`MemoryError::Full`]), so that commands still are.
    pub bytes: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { retention: Duration::from_secs(72 * 3600), bytes: 256 << 20 }
    }
}

/// Why the store in memory refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryError {
    /// Nothing can be forgotten yet, and there is no room. Nothing was changed.
    Full {
        /// Bytes in use.
        bytes: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Full { bytes, limit } = self;
        write!(
            f,
            "the barrier has {bytes} of {limit} bytes, and nothing in it is old enough to be forgotten: raise \
             `MemoryLimits::bytes`, or keep it in a database"
        )
    }
}

impl std::error::Error for MemoryError {}

/// Rows of the service (`K` to `V`) and the barrier, in one process. Cheap to clone; clones share what is in it. Transactions
/// run one after the other: a handler that opens a second one waits for itself for ever.
#[derive(Debug)]
pub struct MemoryStore<K, V> {
    shared: Arc<Mutex<Inner<K, V>>>,
}

impl<K, V> Clone for MemoryStore<K, V> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K: Ord, V> Default for MemoryStore<K, V> {
    fn default() -> Self {
        Self::new(MemoryLimits::default())
    }
}

#[derive(Debug)]
struct Inner<K, V> {
    limits: MemoryLimits,
    rows: BTreeMap<K, V>,
    effects: HashMap<EffectKey, Record>,
    answers: HashMap<String, (Bytes, i64)>,
    /// What was written when, in the order of writing. What was written again has a younger entry.
    written: VecDeque<(i64, Written)>,
    bytes: usize,
    /// The latest time that was written.
    clock: i64,
    forgotten_before: Option<i64>,
}

#[derive(Debug)]
enum Written {
    Effect(EffectKey),
    Answer(String),
}

/// What a row takes beside its texts: map, queue, allocator.
const OVERHEAD: usize = 256;

fn effect_bytes(key: &EffectKey, record: &Record) -> usize {
    // The key stands in the map and in the queue.
    OVERHEAD + 2 * (key.chain_id.len() + key.effect.len()) + record.answer.len()
}

fn answer_bytes(command_id: &str, answer: &[u8]) -> usize {
    OVERHEAD + 2 * command_id.len() + answer.len()
}

impl<K: Ord, V> MemoryStore<K, V> {
    /// An empty store.
    #[must_use]
    pub fn new(limits: MemoryLimits) -> Self {
        let inner = Inner {
            limits,
            rows: BTreeMap::new(),
            effects: HashMap::new(),
            answers: HashMap::new(),
            written: VecDeque::new(),
            bytes: 0,
            clock: i64::MIN,
            forgotten_before: None,
        };
        Self { shared: Arc::new(Mutex::new(inner)) }
    }

    /// One with the usual limits that begins with these rows of the service.
    #[must_use]
    pub fn holding(rows: impl IntoIterator<Item = (K, V)>) -> Self {
        let store = Self::default();
        store.lock().rows.extend(rows);
        store
    }

    /// Looks at the service's rows as they are committed.
    pub fn read<R>(&self, look: impl FnOnce(&BTreeMap<K, V>) -> R) -> R {
        look(&self.lock().rows)
    }

    /// What became of an effect.
    #[must_use]
    pub fn state(&self, key: &EffectKey) -> Option<State> {
        self.lock().effects.get(key).map(|record| record.state)
    }

    /// Bytes that the barrier takes, by its own account.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// A handler that panicked has changed nothing: changes are made on commit, which does not panic.
    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + 'static, V: 'static> Store for MemoryStore<K, V> {
    type Error = MemoryError;
    type Tx<'s> = MemoryTx<'s, K, V>;

    fn begin(&mut self) -> Result<Self::Tx<'_>, MemoryError> {
        Ok(MemoryTx { inner: self.lock(), rows: BTreeMap::new(), effects: HashMap::new(), answers: HashMap::new() })
    }
}

/// A transaction of a [`MemoryStore`]: the service's rows are read and written through it.
#[derive(Debug)]
pub struct MemoryTx<'s, K, V> {
    inner: MutexGuard<'s, Inner<K, V>>,
    rows: BTreeMap<K, Option<V>>,
    effects: HashMap<EffectKey, Record>,
    answers: HashMap<String, (Bytes, i64)>,
}

impl<K: Ord, V> MemoryTx<'_, K, V> {
    /// A row, as this transaction sees it.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        match self.rows.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.inner.rows.get(key),
        }
    }

    /// Writes a row.
    pub fn put(&mut self, key: K, value: V) {
        self.rows.insert(key, Some(value));
    }

    /// Deletes a row.
    pub fn remove(&mut self, key: K) {
        self.rows.insert(key, None);
    }

    fn room(&self, more: usize, limit: usize) -> Result<(), MemoryError> {
        let effects = self.effects.iter().map(|(key, record)| effect_bytes(key, record));
        let answers = self.answers.iter().map(|(id, (answer, _))| answer_bytes(id, answer));
        let bytes = self.inner.bytes + effects.chain(answers).sum::<usize>() + more;
        if bytes > limit { Err(MemoryError::Full { bytes, limit }) } else { Ok(()) }
    }
}

impl<K: Ord, V> Transaction for MemoryTx<'_, K, V> {
    type Error = MemoryError;

    fn claim(&mut self, key: &EffectKey, fresh: &Record) -> Result<Option<Record>, MemoryError> {
        if let Some(found) = self.effects.get(key).or_else(|| self.inner.effects.get(key)) {
            return Ok(Some(found.clone()));
        }
        self.inner.forget(fresh.at);
        let limit = self.inner.limits.bytes;
        // Commands are let in to the last: they are what an operator waits for.
        let limit = if fresh.state == State::Barred { limit } else { limit - limit / 8 };
        self.room(effect_bytes(key, fresh), limit)?;
        self.effects.insert(key.clone(), fresh.clone());
        Ok(None)
    }

    fn update(&mut self, key: &EffectKey, record: &Record) -> Result<(), MemoryError> {
        self.effects.remove(key);
        self.room(effect_bytes(key, record), self.inner.limits.bytes)?;
        self.effects.insert(key.clone(), record.clone());
        Ok(())
    }

    fn answer(&mut self, command_id: &str) -> Result<Option<Bytes>, MemoryError> {
        let found = self.answers.get(command_id).or_else(|| self.inner.answers.get(command_id));
        Ok(found.map(|(answer, _)| answer.clone()))
    }

    fn remember(&mut self, command_id: &str, answer: &[u8], at: i64) -> Result<(), MemoryError> {
        self.room(answer_bytes(command_id, answer), self.inner.limits.bytes)?;
        self.answers.insert(command_id.to_owned(), (Bytes::copy_from_slice(answer), at));
        Ok(())
    }

    fn forgotten_before(&mut self) -> Result<Option<i64>, MemoryError> {
        Ok(self.inner.forgotten_before)
    }

    fn commit(mut self) -> Result<(), MemoryError> {
        let inner = &mut *self.inner;
        for (key, value) in std::mem::take(&mut self.rows) {
            match value {
                Some(value) => inner.rows.insert(key, value),
                None => inner.rows.remove(&key),
            };
        }
        for (key, record) in std::mem::take(&mut self.effects) {
            inner.write_effect(key, record);
        }
        for (id, (answer, at)) in std::mem::take(&mut self.answers) {
            inner.clock = inner.clock.max(at);
            inner.bytes += answer_bytes(&id, &answer);
            inner.written.push_back((at, Written::Answer(id.clone())));
            if let Some((before, _)) = inner.answers.insert(id.clone(), (answer, at)) {
                inner.bytes -= answer_bytes(&id, &before);
            }
        }
        Ok(())
    }
}

impl<K, V> Inner<K, V> {
    fn write_effect(&mut self, key: EffectKey, record: Record) {
        self.clock = self.clock.max(record.at);
        self.bytes += effect_bytes(&key, &record);
        self.written.push_back((record.at, Written::Effect(key.clone())));
        if let Some(before) = self.effects.insert(key.clone(), record) {
            self.bytes -= effect_bytes(&key, &before);
        }
    }

    /// Forgets what was last written longer than the retention before `now`.
    fn forget(&mut self, now: i64) {
        let retention = i64::try_from(self.limits.retention.as_millis()).unwrap_or(i64::MAX);
        let before = self.clock.max(now).saturating_sub(retention);
        while let Some((at, _)) = self.written.front()
            && *at < before
        {
            let Some((at, written)) = self.written.pop_front() else { return };
            match written {
                Written::Effect(key) => {
                    if self.effects.get(&key).is_some_and(|record| record.at == at)
                        && let Some(record) = self.effects.remove(&key)
                    {
                        self.bytes -= effect_bytes(&key, &record);
                        self.forgotten_before = Some(before);
                    }
                }
                Written::Answer(id) => {
                    if self.answers.get(&id).is_some_and(|(_, written)| *written == at)
                        && let Some((answer, _)) = self.answers.remove(&id)
                    {
                        self.bytes -= answer_bytes(&id, &answer);
                    }
                }
            }
        }
    }
}

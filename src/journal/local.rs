//! The local journal: on a bus without transactions a step is one durable batch in a folder of the agent's own (S5.4).
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | `format` | the version of all of this, a byte |
//! | `meta` | `steps` | how many batches were made true, u64 |
//! | `inputs` | partition (u32), topic, 0, sequence (u64) | records that were acknowledged and may be read again, from that one on (`kept`) |
//! | `marks` | partition (u32), topic | how far an input is saved, and the text beside it |
//! | `state` | partition (u32), key of the state (`journal::state`) | its value |
//! | `outbox` | number (u64) | a record that is to be published |
//! | `places` | partition (u32), topic | where the bus is read on (u64), for one that does not know by itself |
//! | `seen` | number (u64) | the identities of messages that were taken in together, from that one on, 16 bytes each |
//!
//! Numbers are big-endian. Inputs get their sequence numbers here, at their first intake: their positions (S0). Those that came
//! together are kept until the last of them is saved in some state; a restart reads what is kept and not saved again, so the bus
//! can be acknowledged as soon as the batch is durable. The folder is locked: two agents in one would each know half.
//!
//! The store under this takes a log that ends in something unreadable for one that a power cut ended there, which may be
//! damage to what was durable long ago. So the number of the last durable batch stands in a [`super::witness`] beside it, too.

use std::{
    any::Any,
    collections::{HashMap, HashSet, VecDeque},
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use serde::{Deserialize, Serialize};

use super::{kept, restore::Collected, witness::Witness};
use crate::bus::{Outgoing, Progress, Record, TopicPartition};

/// The version of what is written here. A fixture of each version is kept as a test.
const FORMAT: u8 = 2;

/// The version in which inputs and identities had an entry each. It is lifted to this one where it is found.
const SINGLES: u8 = 1;

/// Where the version stands.
const FORMAT_KEY: &[u8] = b"format";

/// Where the number of batches stands.
const STEPS_KEY: &[u8] = b"steps";

/// Memory for blocks that were read. Little: it is read from at the start only.
const CACHE_BYTES: u64 = 16 << 20;

/// Bytes of a keyspace that are not sorted into files yet. A restart reads them again: some hundredths of a second for all.
const MEMTABLE_BYTES: u64 = 8 << 20;

/// Identities that are remembered. What was taken in and not acknowledged comes again after a restart: never more than a bus
/// has on its way to one agent.
const MAX_SEEN: usize = 65_536;

/// How safe a batch is once it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut. For every bus whose messages are acknowledged after it.
    Disk,
    /// It survives the process. For a bus that is inside of it.
    Process,
}

/// Why the journal cannot be used. What was committed before is still there.
#[derive(Debug)]
pub enum JournalError {
    /// Another process has it.
    Locked(PathBuf),
    /// It was written by a version that this one does not know.
    Format(PathBuf, u8),
    /// The disk does not take or give what it must.
    Disk(PathBuf, String),
    /// What stands there cannot be read.
    Damaged(PathBuf, String),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => {
                write!(f, "the journal {} is in use by another process: give each agent its own", path.display())
            }
            Self::Format(path, version) => write!(
                f,
                "the journal {} is of format {version}, this agent knows {FORMAT}: use the version that wrote it, or begin \
                 anew with another folder",
                path.display()
            ),
            Self::Disk(path, why) => write!(
                f,
                "the journal {} cannot be written or read: {why}; see to the disk, nothing is acknowledged meanwhile",
                path.display()
            ),
            Self::Damaged(path, why) => write!(
                f,
                "the journal {} is damaged: {why}; restore it from a copy, or move it away to begin anew (then chains \
                 that were open and commands that were out are not known any more)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for JournalError {}

/// A record that is to be published, with its number in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its number. It stays until it is published.
    pub number: u64,
    /// The record.
    pub record: Outgoing,
    /// The partition number, chain and command, if it is one: its clock begins when it is published (S5.13).
    pub command: Option<(i32, String, String)>,
}

/// A change of the state: partition number, key, and value; `None` deletes.
pub type Change = (i32, Vec<u8>, Option<Vec<u8>>);

/// What becomes true together.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// Inputs that came, with their sequence numbers as offsets.
    pub inputs: &'a [Record],
    /// Where inputs are read on after these, of a bus that does not know by itself.
    pub places: &'a [(TopicPartition, u64)],
    /// Changes of the state, in the words of `journal::state`.
    pub state: Vec<Change>,
    /// How far inputs are saved with this.
    pub progress: Vec<Progress>,
    /// Identities of messages that were taken in.
    pub seen: &'a [u128],
    /// What is to be published, numbered by [`Journal::number`].
    pub outbox: &'a [Letter],
}

/// An open journal.
pub struct Journal {
    folder: PathBuf,
    db: Database,
    meta: Keyspace,
    inputs: Keyspace,
    marks: Keyspace,
    state: Keyspace,
    outbox: Keyspace,
    places: Keyspace,
    seen: Keyspace,
    durability: Durability,
    /// The next number in the outbox.
    next: u64,
    /// What is in `inputs`, by lane: of each entry the sequence number of its first and the one after its last.
    kept: HashMap<Vec<u8>, VecDeque<(u64, u64)>>,
    /// The identities in `seen`, by their numbers, which end before `next_seen`, and how many each entry has.
    remembered: VecDeque<u128>,
    together: VecDeque<usize>,
    known: HashSet<u128>,
    next_seen: u64,
    /// How many batches were made true.
    steps: u64,
    witness: Witness,
}

impl Journal {
    /// Opens the journal in `folder`, or makes a new one there.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(folder: &Path, durability: Durability) -> Result<Self, JournalError> {
        // The store panics at some kinds of damage, and this is the only place where it has much to find.
        catch_unwind(AssertUnwindSafe(|| Self::open_unless_damaged(folder, durability)))
            .unwrap_or_else(|panic| Err(JournalError::Damaged(folder.to_owned(), text(&*panic).to_owned())))
    }

    fn open_unless_damaged(folder: &Path, durability: Durability) -> Result<Self, JournalError> {
        let failed = |error: fjall::Error| failure(folder, error);
        let db = Database::builder(folder).cache_size(CACHE_BYTES).worker_threads(1).open().map_err(failed)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let keyspace = |name: &str| db.keyspace(name, options).map_err(failed);
        let meta = keyspace("meta")?;
        match meta.get(FORMAT_KEY).map_err(failed)?.as_deref() {
            None => meta.insert(FORMAT_KEY, [FORMAT]).map_err(failed)?,
            Some([FORMAT]) => {}
            Some([SINGLES]) => lift(&db, &meta, &keyspace("inputs")?, folder)?,
            Some(other) => return Err(JournalError::Format(folder.to_owned(), other.first().copied().unwrap_or(0))),
        }
        let steps = meta.get(STEPS_KEY).map_err(failed)?.and_then(|value| number(&value)).unwrap_or(0);
        let witness = Witness::open(folder, steps)?;
        let (inputs, marks) = (keyspace("inputs")?, keyspace("marks")?);
        let (state, outbox) = (keyspace("state")?, keyspace("outbox")?);
        let last = outbox.last_key_value().map(fjall::Guard::key).transpose().map_err(failed)?;
        let next = last.and_then(|key| number(&key)).map_or(0, |last| last + 1);
        let (places, seen) = (keyspace("places")?, keyspace("seen")?);
        let (mut remembered, mut together, mut next_seen) = (VecDeque::new(), VecDeque::new(), 0);
        for entry in seen.iter() {
            let (key, value) = entry.into_inner().map_err(failed)?;
            let (identities, _) = value.as_chunks();
            next_seen = number(&key).unwrap_or(0) + identities.len() as u64;
            together.push_back(identities.len());
            remembered.extend(identities.iter().map(|bytes| u128::from_be_bytes(*bytes)));
        }
        let known = remembered.iter().copied().collect();
        let mut kept: HashMap<Vec<u8>, VecDeque<_>> = HashMap::new();
        for entry in inputs.iter() {
            let (key, value) = entry.into_inner().map_err(failed)?;
            let Some((lane, first)) = parted(&key) else { continue };
            let next = kept::next(&value).map_err(|error| damaged(folder, "inputs", &error))?;
            kept.entry(lane.to_vec()).or_default().push_back((first, next));
        }
        let folder = folder.to_owned();
        Ok(Self {
            folder,
            db,
            meta,
            inputs,
            marks,
            state,
            outbox,
            places,
            seen,
            durability,
            next,
            kept,
            remembered,
            together,
            known,
            next_seen,
            steps,
            witness,
        })
    }

    /// Whether a message of this identity was taken in a while ago.
    #[must_use]
    pub fn has_seen(&self, identity: u128) -> bool {
        self.known.contains(&identity)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The next number in the outbox.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Makes a batch true, whole or not at all.
    ///
    /// # Errors
    /// [`JournalError::Disk`]: whether the batch is there is not known. Open the journal anew.
    pub fn commit(&mut self, batch: Batch<'_>) -> Result<(), JournalError> {
        let mode = match self.durability {
            Durability::Disk => PersistMode::SyncData,
            Durability::Process => PersistMode::Buffer,
        };
        let mut write = self.db.batch().durability(Some(mode));
        let mut saved = Vec::with_capacity(batch.progress.len());
        for progress in batch.progress {
            let lane = lane_key(&progress.at);
            if let Some(kept) = self.kept.get_mut(&lane) {
                while let Some((first, _)) = kept.pop_front_if(|(_, next)| *next <= progress.offset) {
                    write.remove(&self.inputs, input_key(&lane, first));
                }
            }
            let mark = Mark { offset: progress.offset, metadata: progress.metadata };
            write.insert(&self.marks, lane, encoded(&mark));
            saved.push((progress.at, progress.offset));
        }
        // What is saved in the very batch that it came in is never written.
        let is_saved = |record: &&Record| saved.iter().any(|(at, offset)| is_of(record, at) && record.offset < *offset);
        for entry in kept::entries(batch.inputs.iter().filter(|record| !is_saved(record))) {
            let lane = lane_key(&entry.at);
            write.insert(&self.inputs, input_key(&lane, entry.first()), entry.encoded());
            self.kept.entry(lane).or_default().push_back((entry.first(), entry.next()));
        }
        for (at, place) in batch.places {
            write.insert(&self.places, lane_key(at), place.to_be_bytes());
        }
        for (partition, key, value) in batch.state {
            let key = state_key(partition, &key);
            match value {
                Some(value) => write.insert(&self.state, key, value),
                None => write.remove(&self.state, key),
            }
        }
        for letter in batch.outbox {
            write.insert(&self.outbox, letter.number.to_be_bytes(), encoded(&(&letter.record, &letter.command)));
        }
        self.remember(batch.seen, &mut write);
        self.steps += 1;
        write.insert(&self.meta, STEPS_KEY, self.steps.to_be_bytes());
        write.commit().map_err(|error| failure(&self.folder, error))?;
        self.witness.saw(self.steps)
    }

    /// Remembers identities of what came together, and forgets the oldest that need not be remembered any more.
    fn remember(&mut self, identities: &[u128], write: &mut OwnedWriteBatch) {
        if identities.is_empty() {
            return;
        }
        let bytes: Vec<u8> = identities.iter().flat_map(|identity| identity.to_be_bytes()).collect();
        write.insert(&self.seen, self.next_seen.to_be_bytes(), bytes);
        self.next_seen += identities.len() as u64;
        self.known.extend(identities);
        self.remembered.extend(identities);
        self.together.push_back(identities.len());
        while let Some(count) = self.together.pop_front_if(|count| self.remembered.len() - *count >= MAX_SEEN) {
            let oldest = self.next_seen - self.remembered.len() as u64;
            write.remove(&self.seen, oldest.to_be_bytes());
            for gone in self.remembered.drain(..count) {
                self.known.remove(&gone);
            }
        }
    }

    /// These letters are published. Should that be forgotten by a crash, they are published again under their ids.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub fn published(&mut self, numbers: &[u64]) -> Result<(), JournalError> {
        let mut write = self.db.batch();
        for number in numbers {
            write.remove(&self.outbox, number.to_be_bytes());
        }
        write.commit().map_err(|error| failure(&self.folder, error))
    }

    /// How far an input is saved, and the text beside it; `None`: it was never read.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn mark(&self, at: &TopicPartition) -> Result<Option<Mark>, JournalError> {
        let value = self.marks.get(lane_key(at)).map_err(|error| failure(&self.folder, error))?;
        value.map(|value| self.decoded(&value, "a mark")).transpose()
    }

    /// Where an input is read on, if that was ever said.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn place(&self, at: &TopicPartition) -> Result<Option<u64>, JournalError> {
        let value = self.places.get(lane_key(at)).map_err(|error| failure(&self.folder, error))?;
        Ok(value.and_then(|value| number(&value)))
    }

    /// The inputs of a lane that are not saved in any state, in their order.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn inputs(&self, at: &TopicPartition) -> Result<Vec<Record>, JournalError> {
        let saved = self.mark(at)?.map_or(0, |mark| mark.offset);
        let mut records = Vec::new();
        for entry in self.inputs.prefix([&lane_key(at)[..], &[0]].concat()) {
            let value = entry.value().map_err(|error| failure(&self.folder, error))?;
            let kept = kept::records(&value, at).map_err(|error| damaged(&self.folder, "inputs", &error))?;
            records.extend(kept.into_iter().filter(|record| record.offset >= saved));
        }
        Ok(records)
    }

    /// The state of a partition number.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn state(&self, partition: i32) -> Result<Collected, JournalError> {
        let mut state = Collected::default();
        for entry in self.state.prefix(partition.to_be_bytes()) {
            let (key, value) = entry.into_inner().map_err(|error| failure(&self.folder, error))?;
            state.record(key.get(4..).unwrap_or_default(), Some(&value));
        }
        Ok(state)
    }

    /// What is to be published, in its order.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn outbox(&self) -> Result<Vec<Letter>, JournalError> {
        let mut letters = Vec::new();
        for entry in self.outbox.iter() {
            let (key, value) = entry.into_inner().map_err(|error| failure(&self.folder, error))?;
            let (record, command) = self.decoded(&value, "a letter")?;
            letters.push(Letter { number: number(&key).unwrap_or(0), record, command });
        }
        Ok(letters)
    }

    fn decoded<'a, T: Deserialize<'a>>(&self, bytes: &'a [u8], what: &str) -> Result<T, JournalError> {
        postcard::from_bytes(bytes).map_err(|error| damaged(&self.folder, what, &error))
    }
}

fn damaged(folder: &Path, what: &str, error: &postcard::Error) -> JournalError {
    JournalError::Damaged(folder.to_owned(), format!("{what}: {error}"))
}

/// Writes what is of the format [`SINGLES`] as it is now. Identities are as they would be if each had come alone.
fn lift(db: &Database, meta: &Keyspace, inputs: &Keyspace, folder: &Path) -> Result<(), JournalError> {
    let failed = |error: fjall::Error| failure(folder, error);
    let mut write = db.batch().durability(Some(PersistMode::SyncData));
    for entry in inputs.iter() {
        let (key, value) = entry.into_inner().map_err(failed)?;
        let Some((_, offset)) = parted(&key) else { continue };
        write.insert(inputs, key, kept::lifted(&value, offset).map_err(|error| damaged(folder, "an input", &error))?);
    }
    write.insert(meta, FORMAT_KEY, [FORMAT]);
    write.commit().map_err(failed)
}

/// How far an input is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The sequence number of the first input that is not.
    pub offset: u64,
    /// The text beside it.
    pub metadata: String,
}

fn is_of(record: &Record, at: &TopicPartition) -> bool {
    record.partition == at.partition && record.topic == at.topic
}

fn lane_key(at: &TopicPartition) -> Vec<u8> {
    [&at.partition.to_be_bytes()[..], at.topic.as_bytes()].concat()
}

/// No topic's name holds a zero byte, so no lane's key begins with another's.
fn input_key(lane: &[u8], sequence: u64) -> Vec<u8> {
    [lane, &[0], &sequence.to_be_bytes()].concat()
}

/// The lane of the key of an input, and its sequence number.
fn parted(key: &[u8]) -> Option<(&[u8], u64)> {
    let (lane, sequence) = key.split_last_chunk::<8>()?;
    Some((lane.strip_suffix(&[0])?, u64::from_be_bytes(*sequence)))
}

fn state_key(partition: i32, key: &[u8]) -> Vec<u8> {
    [&partition.to_be_bytes()[..], key].concat()
}

fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain values without maps of unknown length are written to memory")
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the store cannot read it")
}

fn failure(folder: &Path, error: fjall::Error) -> JournalError {
    let folder = folder.to_owned();
    match error {
        fjall::Error::Locked => JournalError::Locked(folder),
        fjall::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
            JournalError::Disk(folder, error.to_string())
        }
        fjall::Error::Poisoned => JournalError::Disk(folder, "an earlier write failed".to_owned()),
        other => JournalError::Damaged(folder, other.to_string()),
    }
}

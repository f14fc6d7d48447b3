//! Recordings as one stream: several files side by side, in the order of their times.
//!
//! A recording is in bus order, so of several the one whose next line is earliest goes on; equal times go by the order
//! of the files. A clock gone wild is corrected on intake as on a bus (S0): a line more than `max_ahead` above
//! everything before it, with the next line of its topic partition more than `max_ahead` below it, takes the time of the
//! line before it in its partition.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
};

use crate::{
    model::{BusTime, Span},
    recording::{BadLine, Body, Entry, Line, ReadError, Reader},
    wire::time::millis_of,
};

/// Lines that are looked at for the next one of a partition: enough for the partitions of one recording, and little
/// enough to hold. Only a line that jumps ahead is looked behind.
const LOOK_AHEAD: usize = 256;

/// Topic partitions of one file whose times are remembered; wild clocks in further ones are not corrected.
const MAX_LANES: usize = 10_000;

/// A line with a message, or of passing time.
#[derive(Debug)]
pub struct Item {
    /// Index of its file among those given.
    pub file: usize,
    /// Its number there, from 1.
    pub line: u64,
    /// The line as it stands there.
    pub raw: Vec<u8>,
    /// When the bus had it.
    pub at: BusTime,
    /// What it says.
    pub entry: Entry,
}

/// What comes next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are items, and few are in memory at a time")]
pub enum Fed {
    /// A line.
    Item(Item),
    /// One that cannot be read, with the index of its file.
    Bad(usize, BadLine),
    /// The rest of a file cannot be read.
    Broken(ReadError),
}

/// The files.
pub struct Feed {
    sources: Vec<Source>,
    /// Lines whose time was corrected.
    corrected: u64,
}

struct Source {
    file: usize,
    reader: Reader,
    ahead: VecDeque<Fed>,
    ended: bool,
    /// The latest time so far.
    reached: Option<BusTime>,
    /// By topic and partition: the time of the line before.
    before: HashMap<(Option<String>, Option<i32>), BusTime>,
    max_ahead: Span,
}

impl Feed {
    /// Opens the files; `-` is standard input.
    ///
    /// # Errors
    /// Of the first that cannot be opened.
    pub fn open(files: &[PathBuf], max_ahead: Span) -> Result<Self, ReadError> {
        let open =
            |(file, path): (usize, &PathBuf)| Reader::open(path).map(|reader| Source::new(file, reader, max_ahead));
        Ok(Self { sources: files.iter().enumerate().map(open).collect::<Result<_, _>>()?, corrected: 0 })
    }

    /// Reads streams that are open.
    #[must_use]
    pub fn over(readers: Vec<Reader>, max_ahead: Span) -> Self {
        let sources = readers.into_iter().enumerate().map(|(file, reader)| Source::new(file, reader, max_ahead));
        Self { sources: sources.collect(), corrected: 0 }
    }

    /// Lines whose time was corrected so far.
    #[must_use]
    pub fn corrected(&self) -> u64 {
        self.corrected
    }

    /// Bytes read of all files, and their size if each has one.
    #[must_use]
    pub fn progress(&self) -> (u64, Option<u64>) {
        let (read, sizes): (Vec<u64>, Vec<Option<u64>>) = self.sources.iter().map(|one| one.reader.progress()).unzip();
        (read.iter().sum(), sizes.into_iter().sum())
    }
}

impl Iterator for Feed {
    type Item = Fed;

    fn next(&mut self) -> Option<Fed> {
        let mut earliest: Option<(BusTime, usize)> = None;
        for (index, source) in self.sources.iter_mut().enumerate() {
            let reached = source.reached;
            match source.peek() {
                Some(Fed::Item(item)) => {
                    // A line that is read late goes with those around it.
                    let time = reached.map_or(item.at, |reached| reached.max(item.at));
                    if earliest.is_none_or(|(first, _)| time < first) {
                        earliest = Some((time, index));
                    }
                }
                Some(_) => return source.ahead.pop_front(),
                None => {}
            }
        }
        let source = &mut self.sources[earliest?.1];
        let Some(Fed::Item(mut item)) = source.ahead.pop_front() else { return None };
        self.corrected += u64::from(source.steady(&mut item));
        Some(Fed::Item(item))
    }
}

impl Source {
    fn new(file: usize, reader: Reader, max_ahead: Span) -> Self {
        let (ahead, before) = (VecDeque::new(), HashMap::new());
        Self { file, reader, ahead, ended: false, reached: None, before, max_ahead }
    }

    /// Reads one line more.
    fn read(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let fed = match self.reader.next() {
            None => {
                self.ended = true;
                return false;
            }
            Some(Err(error)) => {
                self.ended = true;
                Fed::Broken(error)
            }
            Some(Ok(Line::Bad(bad))) => Fed::Bad(self.file, bad),
            Some(Ok(Line::Entry(entry))) => Fed::Item(Item {
                file: self.file,
                line: self.reader.line_number(),
                raw: self.reader.raw().to_vec(),
                at: time_of(&entry).or(self.reached).unwrap_or(BusTime(0)),
                entry,
            }),
        };
        self.ahead.push_back(fed);
        true
    }

    fn peek(&mut self) -> Option<&Fed> {
        if self.ahead.is_empty() {
            self.read();
        }
        self.ahead.front()
    }

    /// Corrects the time of the line that was just taken; says whether it had to.
    fn steady(&mut self, item: &mut Item) -> bool {
        let lane = (item.entry.topic.clone(), item.entry.partition);
        let jumps = self.reached.is_none_or(|reached| item.at > reached.plus(self.max_ahead));
        let behind = if jumps { self.behind(&lane) } else { None };
        let wild = behind.filter(|behind| behind.plus(self.max_ahead) < item.at);
        if let Some(behind) = wild {
            item.at = self.before.get(&lane).copied().unwrap_or(behind);
        }
        self.reached = Some(self.reached.map_or(item.at, |reached| reached.max(item.at)));
        if self.before.len() < MAX_LANES || self.before.contains_key(&lane) {
            self.before.insert(lane, item.at);
        }
        wild.is_some()
    }

    /// The time of the next line of a partition, if it is not far.
    fn behind(&mut self, lane: &(Option<String>, Option<i32>)) -> Option<BusTime> {
        let mut index = 0;
        while index < LOOK_AHEAD {
            if index == self.ahead.len() && !self.read() {
                return None;
            }
            if let Some(Fed::Item(next)) = self.ahead.get(index)
                && next.entry.topic == lane.0
                && next.entry.partition == lane.1
                && next.entry.at.is_some()
            {
                return Some(next.at);
            }
            index += 1;
        }
        None
    }
}

/// When the bus had a line; where it does not say, when its sender says that it was sent.
fn time_of(entry: &Entry) -> Option<BusTime> {
    let sent = || match &entry.body {
        Some(Body::Envelope(envelope) | Body::DeadLetter { envelope, .. }) => envelope.sent_at.as_ref(),
        _ => None,
    };
    entry.at.or_else(|| sent().map(|at| BusTime(millis_of(at))))
}

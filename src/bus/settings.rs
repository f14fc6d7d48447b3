//! What the agent's own topics are made with on Kafka: by the agent itself, or by whoever follows `check --print-setup`.

/// Largest record that is sent, in bytes: topics made by the agent take it, and dead letters of any sane input fit.
pub const MAX_RECORD_BYTES: usize = 10 << 20;

/// What is kept of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All records, for as long as the cluster keeps them.
    All,
    /// The same, and the brokers' clock stamps them: the agent reads them.
    Stamped,
    /// The newest record of each key, for ever: the agent's state.
    Newest,
}

/// Compacted, in small segments: what was overwritten goes soon, and a restart reads little that is no longer true.
const NEWEST: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "67108864"),
    ("segment.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.3"),
];

/// The settings of such a topic, by Kafka's names.
#[must_use]
pub fn settings(kept: Kept) -> Vec<(&'static str, String)> {
    let largest = ("max.message.bytes", MAX_RECORD_BYTES.to_string());
    let newest = NEWEST.iter().filter(|_| kept == Kept::Newest).map(|&(name, value)| (name, value.to_owned()));
    let stamped = (kept == Kept::Stamped).then(|| ("message.timestamp.type", "LogAppendTime".to_owned()));
    std::iter::once(largest).chain(newest).chain(stamped).collect()
}

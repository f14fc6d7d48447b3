//! All metrics, by name. Labels come from closed sets, so that no input can make more series than stand here; sources of
//! corrected clocks are names from outside and are bounded ([`MAX_SOURCES`]).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    gauges::{self, Gauges},
    histogram::Histogram,
};
use crate::{bus::clock::Correction, engine::Stats};

/// Sources whose clock corrections are counted one by one; those that come later count as `other`.
pub const MAX_SOURCES: usize = 100;

/// Words of one label, each with its count. The set is closed: words are `'static`.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    /// Counts one more of `word`.
    pub fn add(&self, word: &'static str) {
        self.add_many(word, 1);
    }

    /// Counts so many more of `word`.
    pub fn add_many(&self, word: &'static str, count: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += count;
    }

    /// How many of `word` were counted.
    #[must_use]
    pub fn get(&self, word: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(word).copied().unwrap_or(0)
    }

    /// How many were counted in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn all(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(&word, &count)| (word, count)).collect()
    }
}

/// What one agent counts, from its start.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Records read from the inputs, by what is in them.
    pub records: Counts,
    /// Records sent to the dead letters, by reason.
    pub dead_letters: Counts,
    /// Commands published, by action.
    pub commands: Counts,
    /// Routes that a plan needed and that were not there (S5.15).
    pub no_routes: Counts,
    /// Headers that services asked for and commands do not bear, since they are the agent's to set.
    pub dropped_headers: Counts,
    /// Verdicts with something to say and their revisions, by outcome.
    pub verdicts: Counts,
    /// Of these, the failed ones by cause (S3.6).
    pub causes: Counts,
    /// Of these, the incomplete ones by what is missing.
    pub incomplete: Counts,
    /// Times that the storm brake began to hold plans (S5.8).
    pub brakes: Counts,
    /// Answers to commands, by what they say.
    pub answers: Counts,
    /// What operators asked for, by verb, as far as it was carried out.
    pub operations: Counts,
    /// Steps, by how their commit ended: `committed`, `failed`, `fenced`.
    pub commits: Counts,
    /// What engines said of their inputs: applied, duplicate, reread, refused, answer ignored, evicted.
    pub inputs: Counts,
    /// Time that commits took.
    pub commit_seconds: Histogram,
    /// Time from the first output of a step to its commit.
    pub visible_seconds: Histogram,
    /// Messages carried to their chains' partitions, and attempts to that failed.
    pub carried: Counts,
    /// Messages of chains, among a sample of one in 64, of which others lay on another partition.
    pub split: Counts,
    /// Attempts to take partitions over that failed: `open_transaction`, `unreadable`.
    pub failed_restores: Counts,
    /// Time that taking partitions over took, state included.
    pub restore_seconds: Histogram,
    /// Snapshots written.
    pub snapshots: AtomicU64,
    /// Failing edges that were not printed, since the terminal did not keep up.
    pub unprinted: AtomicU64,
    /// Messages that the bus gave again although they were taken in.
    pub redelivered: AtomicU64,
    /// Topics that should be read and are not (Kafka).
    pub unread: AtomicU64,
    /// Records that wait for a queue that takes them (RabbitMQ).
    pub unroutable: AtomicU64,
    /// Publications that the broker gave back or refused; each is made again (RabbitMQ).
    pub given_back: AtomicU64,
    /// One while the broker takes nothing, since it is short of memory or disk (RabbitMQ).
    pub blocked: AtomicU64,
    /// Connections that were made (RabbitMQ).
    pub connections: AtomicU64,
    corrections: Mutex<BTreeMap<(Correction, String), u64>>,
    /// What each worker has now.
    gauges: Mutex<BTreeMap<usize, Gauges>>,
}

impl Metrics {
    /// Counts a correction of the bus time of a record from `source` (S0).
    pub fn corrected(&self, correction: Correction, source: &str) {
        let mut corrections = self.corrections.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (correction, source.to_owned());
        let known = corrections.contains_key(&key) || corrections.len() < MAX_SOURCES;
        let key = if known { key } else { (correction, "other".to_owned()) };
        *corrections.entry(key).or_default() += 1;
    }

    /// Tells what a worker has now. Returns of how many partition numbers the memory was full before.
    pub fn set(&self, worker: usize, gauges: Gauges) -> usize {
        let mut all = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(worker, gauges).map_or(0, |before| before.full)
    }

    /// Whether the input of some partition number pauses since its memory is full (S2.10).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).values().any(|gauges| gauges.full > 0)
    }

    /// Counts what an engine counted since `before`.
    pub fn engine(&self, before: Stats, now: Stats) {
        let mut counts = self.inputs.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (word, before, now) in [
            ("applied", before.applied, now.applied),
            ("duplicate", before.duplicates, now.duplicates),
            ("reread", before.reread, now.reread),
            ("refused", before.refused, now.refused),
            ("answer_ignored", before.answers_ignored, now.answers_ignored),
            ("decided", before.verdicts, now.verdicts),
            ("evicted", before.evicted, now.evicted),
        ] {
            *counts.entry(word).or_default() += now.saturating_sub(before);
        }
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(8 << 10);
        counts(&mut out, "countermand_records_total", "Records read, by what is in them.", "kind", &self.records);
        counts(&mut out, "countermand_inputs_total", "What engines made of their inputs.", "result", &self.inputs);
        counts(&mut out, "countermand_dead_letters_total", "Refused input, by reason.", "reason", &self.dead_letters);
        counts(&mut out, "countermand_verdicts_total", "Verdicts and revisions.", "outcome", &self.verdicts);
        counts(&mut out, "countermand_failures_total", "Failed chains, by cause.", "cause", &self.causes);
        let incomplete = "Verdicts that lack something, by what it is.";
        counts(&mut out, "countermand_incomplete_verdicts_total", incomplete, "missing", &self.incomplete);
        counts(&mut out, "countermand_commands_total", "Commands published, by action.", "action", &self.commands);
        counts(&mut out, "countermand_answers_total", "Answers to commands.", "answer", &self.answers);
        counts(&mut out, "countermand_operations_total", "Operators' requests carried out.", "verb", &self.operations);
        counts(&mut out, "countermand_brake_total", "The storm brake engaged.", "reason", &self.brakes);
        counts(&mut out, "countermand_no_routes_total", "Routes that were not there.", "reason", &self.no_routes);
        let dropped = "Headers that services asked for and commands do not bear.";
        counts(&mut out, "countermand_dropped_headers_total", dropped, "reason", &self.dropped_headers);
        counts(&mut out, "countermand_commits_total", "Steps, by how their commit ended.", "result", &self.commits);
        let carried = "Messages carried to their chains' partitions, and attempts that failed.";
        counts(&mut out, "countermand_carried_total", carried, "result", &self.carried);
        let split = "Messages, in a sample of 1 in 64, of chains that lie on several partitions.";
        counts(&mut out, "countermand_split_chains_total", split, "reason", &self.split);
        let restores = "Attempts to take partitions over that failed.";
        counts(&mut out, "countermand_failed_restores_total", restores, "reason", &self.failed_restores);
        for (name, help, value) in [
            ("countermand_snapshots_total", "Snapshots of chains written.", &self.snapshots),
            ("countermand_unprinted_total", "Failing edges that were not printed.", &self.unprinted),
            ("countermand_redelivered_total", "Messages that came again and were dropped.", &self.redelivered),
            ("countermand_given_back_total", "Publications that the broker gave back or refused.", &self.given_back),
            ("countermand_connections_total", "Connections made to a RabbitMQ.", &self.connections),
        ] {
            head(&mut out, name, help, "counter");
            let _ = writeln!(out, "{name} {}", value.load(Ordering::Relaxed));
        }
        for (name, help, value) in [
            ("countermand_unread_topics", "Topics that should be read and are not.", &self.unread),
            ("countermand_unroutable", "Records that wait for a queue that takes them.", &self.unroutable),
            ("countermand_blocked", "1 while the broker takes nothing.", &self.blocked),
        ] {
            head(&mut out, name, help, "gauge");
            let _ = writeln!(out, "{name} {}", value.load(Ordering::Relaxed));
        }
        gauges::write(&mut out, &self.gauges.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, help, histogram) in [
            ("countermand_commit_seconds", "Time that commits take.", &self.commit_seconds),
            ("countermand_visible_seconds", "From the first output of a step to its commit.", &self.visible_seconds),
            ("countermand_restore_seconds", "Time that taking partitions over takes.", &self.restore_seconds),
        ] {
            head(&mut out, name, help, "histogram");
            histogram.write(name, &mut out);
        }
        self.write_corrections(&mut out);
        out
    }

    fn write_corrections(&self, out: &mut String) {
        let name = "countermand_clock_corrections_total";
        head(out, name, "Bus times that were corrected, by source.", "counter");
        for ((correction, source), count) in &*self.corrections.lock().unwrap_or_else(PoisonError::into_inner) {
            let source = escape(source);
            let _ = writeln!(out, "{name}{{kind=\"{}\",source=\"{source}\"}} {count}", correction.word());
        }
    }
}

pub(super) fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn counts(out: &mut String, name: &str, help: &str, label: &str, counts: &Counts) {
    head(out, name, help, "counter");
    for (word, count) in counts.all() {
        let _ = writeln!(out, "{name}{{{label}=\"{word}\"}} {count}");
    }
}

/// A label's value: names from outside may hold anything.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{MAX_SOURCES, Metrics};
    use crate::bus::clock::Correction;

    #[test]
    fn names_from_outside_are_bounded_and_escaped() {
        let metrics = Metrics::default();
        metrics.corrected(Correction::Wild, "a\"b\n");
        for n in 0..3 * MAX_SOURCES {
            metrics.corrected(Correction::Ahead, &format!("source-{n}"));
        }
        let text = metrics.text();
        assert!(text.contains(r#"{kind="wild",source="a\"b\n"} 1"#), "{text}");
        assert!(text.contains(r#"{kind="ahead",source="other"} 201"#), "{text}");
        let series = text.lines().filter(|line| line.starts_with("countermand_clock_corrections_total{"));
        assert_eq!(series.count(), MAX_SOURCES + 1);
    }
}

//! How messages are keyed and spread over partitions. The agent follows a chain on one partition number, and writes what
//! concerns it to the partition of its id by murmur2.

use std::collections::{BTreeMap, HashMap};

use flate2::Crc;
use serde_json::json;

use super::{Finding, MAX_SERVICES, Severity, percent, some_of};
use crate::{
    bus::{Record, partitioner::partition_of},
    render::{grouped, safe},
};

/// What was seen of keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    all: u64,
    none: u64,
    chain_id: u64,
    /// Messages on topics of more than one partition.
    spread: u64,
    /// Of them, where the chain's id belongs by murmur2.
    at_home: u64,
    /// By chain: the partition number that it was first seen on, and whether it was seen on others.
    chains: HashMap<String, (i32, bool)>,
    /// By service: how its keyed messages were partitioned.
    partitioners: BTreeMap<String, Partitioned>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Partitioned {
    murmur2: u64,
    crc32: u64,
    other: u64,
}

impl Partitioned {
    /// What it is in most cases. Some keys belong to one partition by every partitioner, so a few are no sign.
    fn word(self) -> &'static str {
        let all = self.murmur2 + self.crc32 + self.other;
        match () {
            () if self.murmur2 * 100 >= all * 95 => "murmur2",
            () if (self.crc32 + self.murmur2) * 100 >= all * 95 => "crc32",
            () => "other",
        }
    }
}

impl Keys {
    pub(super) fn take(&mut self, record: &Record, chain_id: &str, source: &str, partitions: i32) {
        self.all += 1;
        match &record.key {
            None => self.none += 1,
            Some(key) => self.chain_id += u64::from(**key == *chain_id.as_bytes()),
        }
        let partition = record.partition;
        match self.chains.get_mut(chain_id) {
            Some((first, split)) => *split |= *first != partition,
            None => drop(self.chains.insert(chain_id.to_owned(), (partition, false))),
        }
        if partitions < 2 {
            return;
        }
        self.spread += 1;
        self.at_home += u64::from(partition_of(chain_id.as_bytes(), partitions) == partition);
        if let Some(key) = &record.key
            && (self.partitioners.len() < MAX_SERVICES || self.partitioners.contains_key(source))
        {
            let by = self.partitioners.entry(source.to_owned()).or_default();
            match () {
                () if partition_of(key, partitions) == partition => by.murmur2 += 1,
                () if by_crc32(key, partitions) == partition => by.crc32 += 1,
                () => by.other += 1,
            }
        }
    }

    pub(super) fn findings(&self, findings: &mut Vec<Finding>) {
        findings.push(self.keyed());
        findings.extend(self.partitioned());
        findings.extend(self.placed());
    }

    fn split(&self) -> u64 {
        self.chains.values().filter(|(_, split)| *split).count() as u64
    }

    fn keyed(&self) -> Finding {
        let (chains, split) = (self.chains.len() as u64, self.split());
        let numbers = json!({
            "messages": self.all, "without_key": self.none, "key_is_chain_id": self.chain_id, "chains": chains,
            "split_chains": split, "repartition_needed": split > 0,
        });
        let keyed = percent(self.chain_id, self.all);
        if split > 0 {
            let sentence = format!(
                "{} of {} chains ({}) are split over partitions; the key is the chain's id in {keyed} of the messages, and \
                 {} have none: the agent sees parts of such chains and judges them wrongly",
                grouped(split),
                grouped(chains),
                percent(split, chains),
                percent(self.none, self.all)
            );
            let advice = match self.chain_id == self.all {
                true => {
                    "keys are right: what differs is the partitioner of some sender, or the number of partitions of some \
                         topic (see there)"
                }
                false => {
                    "let every producer key its envelopes by chain_id, all with the same partitioner; a topic that \
                          cannot be changed has to be copied into one that is keyed so (the agent does not re-key by \
                          itself yet)"
                }
            };
            return Finding::new("keyed", Severity::Problem, sentence).advise(advice).numbers(numbers);
        }
        if self.chain_id == self.all {
            let sentence = "every message is keyed by its chain, and no chain is split: nothing needs to be re-keyed";
            return Finding::new("keyed", Severity::Ok, sentence).numbers(numbers);
        }
        let sentence = format!(
            "no chain is split over partitions, but the key is the chain's id in {keyed} of the messages only, and {} have \
             none",
            percent(self.none, self.all)
        );
        let advice = "what decides the partition may change without notice: key envelopes by chain_id";
        // With one partition nothing can be split.
        let severity = if self.spread == 0 { Severity::Note } else { Severity::Warning };
        Finding::new("keyed", severity, sentence).advise(advice).numbers(numbers)
    }

    fn partitioned(&self) -> Option<Finding> {
        if self.partitioners.is_empty() {
            return None;
        }
        let services = |word: &str| -> Vec<String> {
            let of = self.partitioners.iter().filter(|(_, by)| by.word() == word);
            of.map(|(service, _)| match service.as_str() {
                "" => "(no source)".to_owned(),
                name => safe(name).into_owned(),
            })
            .collect()
        };
        let [murmur2, crc32, other] = ["murmur2", "crc32", "other"].map(services);
        let numbers = json!({"murmur2": murmur2, "crc32": crc32, "other": other});
        if crc32.is_empty() && other.is_empty() {
            let sentence = "every sender partitions its keys by murmur2, as Java's clients and the agent do";
            return Some(Finding::new("partitioner", Severity::Ok, sentence).numbers(numbers));
        }
        let mut parts = Vec::new();
        for (word, services) in
            [("murmur2", &murmur2), ("CRC32, the default of librdkafka", &crc32), ("neither", &other)]
        {
            if !services.is_empty() {
                parts.push(format!("{word}: {}", some_of(services)));
            }
        }
        let kinds = [&murmur2, &crc32, &other].iter().filter(|services| !services.is_empty()).count();
        let mixed = if kinds > 1 { "senders partition their keys differently" } else { "no sender uses murmur2" };
        let advice = "set `partitioner=murmur2_random` in clients made with librdkafka (C, Go, Python, .NET, Rust), and no \
                      partitions by hand: one key then belongs to one partition, whoever sends it";
        let finding = Finding::new("partitioner", Severity::Warning, format!("{mixed} ({})", parts.join("; ")));
        Some(finding.advise(advice).numbers(numbers))
    }

    /// Whether answers and operators' requests, which are keyed by the chain's id, come to where the chain is.
    fn placed(&self) -> Option<Finding> {
        let away = self.spread - self.at_home;
        if self.spread == 0 {
            return None;
        }
        let numbers = json!({"messages": self.spread, "elsewhere": away});
        if away == 0 {
            let sentence = "every chain stands where its id belongs, so answers to commands find it";
            return Some(Finding::new("placed", Severity::Ok, sentence).numbers(numbers));
        }
        let sentence = format!(
            "{} of the messages do not stand on the partition where their chain's id belongs by murmur2: answers to commands \
             and operators' requests, which are keyed by it, do not find these chains",
            percent(away, self.spread)
        );
        let advice = "key envelopes by chain_id with murmur2 before anything but `observe` is switched on";
        Some(Finding::new("placed", Severity::Problem, sentence).advise(advice).numbers(numbers))
    }
}

/// The partition of a key by librdkafka's default partitioner.
fn by_crc32(key: &[u8], partitions: i32) -> i32 {
    let mut crc = Crc::new();
    crc.update(key);
    i32::try_from(crc.sum() % partitions.unsigned_abs()).unwrap_or(0)
}

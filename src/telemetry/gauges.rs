//! What workers have at this moment, in Prometheus' text format.

use std::{collections::BTreeMap, fmt::Write as _};

use super::metrics::head;
use crate::{engine::Census, model::BusTime};

/// What one worker has. It is told as a whole, so that nothing of a partition that went stays behind.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Partition numbers of which the input pauses since their memory is full (S2.10).
    pub full: usize,
    /// Bytes that chains take by the engines' account.
    pub memory: usize,
    /// How many chains and commands stand where.
    pub census: Census,
    /// Its partition numbers.
    pub partitions: Vec<PartitionGauges>,
}

/// What one partition number has.
#[derive(Debug, Clone)]
pub struct PartitionGauges {
    /// The number.
    pub partition: i32,
    /// Up to where time has passed on its inputs, the slowest of them.
    pub watermark: BusTime,
    /// Records that the bus has and that are not decided upon, by what is in them; none where the end is not known.
    pub lag: Vec<(&'static str, u64)>,
}

/// Appends what all workers have.
pub(super) fn write(out: &mut String, workers: &BTreeMap<usize, Gauges>) {
    let mut census = Census::default();
    workers.values().for_each(|gauges| census.add(&gauges.census));
    let sum = |value: fn(&Gauges) -> usize| workers.values().map(value).sum::<usize>();
    let chains = census.open() + census.plans().map(|(_, count)| count).sum::<usize>();
    for (name, help, value) in [
        ("countermand_chains", "Chains kept now.", chains),
        ("countermand_open_chains", "Chains that are not decided.", census.open()),
        ("countermand_memory_bytes", "Bytes that chains take.", sum(|gauges| gauges.memory)),
        (
            "countermand_memory_full",
            "Partition numbers whose input pauses at the memory limit.",
            sum(|gauges| gauges.full),
        ),
        ("countermand_partitions", "Partition numbers worked on now.", sum(|gauges| gauges.partitions.len())),
    ] {
        head(out, name, help, "gauge");
        let _ = writeln!(out, "{name} {value}");
    }
    head(out, "countermand_plans", "Decided chains that are kept, by the state of their plan.", "gauge");
    for (state, count) in census.plans() {
        let _ = writeln!(out, "countermand_plans{{state=\"{state}\"}} {count}");
    }
    head(out, "countermand_pending_commands", "Commands of which something is still to come, by state.", "gauge");
    for (state, count) in census.commands() {
        let _ = writeln!(out, "countermand_pending_commands{{state=\"{state}\"}} {count}");
    }
    let partitions = || workers.values().flat_map(|gauges| &gauges.partitions);
    head(out, "countermand_lag_records", "Records that the bus has and that are not decided upon.", "gauge");
    for gauges in partitions() {
        for (kind, lag) in &gauges.lag {
            let _ =
                writeln!(out, "countermand_lag_records{{partition=\"{}\",kind=\"{kind}\"}} {lag}", gauges.partition);
        }
    }
    let help = "Up to where time has passed on the slowest input, as seconds since 1970.";
    head(out, "countermand_watermark_seconds", help, "gauge");
    for PartitionGauges { partition, watermark, .. } in partitions().filter(|gauges| gauges.watermark.0 > 0) {
        let (seconds, millis) = (watermark.0 / 1_000, watermark.0 % 1_000);
        let _ = writeln!(out, "countermand_watermark_seconds{{partition=\"{partition}\"}} {seconds}.{millis:03}");
    }
}

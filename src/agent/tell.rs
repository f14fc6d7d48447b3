//! What is told of the agent once a step is committed, and not before.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{MEMORY_FULL, Post, edges::Printer, shard::Shard, step::Step};
use crate::telemetry::{
    gauges::{Gauges, PartitionGauges},
    metrics::Metrics,
};

/// After a commit: clocks of the commands that were published with it begin (S5.13), views and counters become visible.
pub(super) fn committed(step: Step, shards: &mut BTreeMap<i32, Shard>, post: &Post, printer: Option<&Printer>) {
    step.tell(&post.metrics);
    for (partition, chain_id, command_id) in &step.published {
        if let Some(shard) = shards.get_mut(partition) {
            shard.published(chain_id, command_id);
        }
    }
    for view in step.views.into_values() {
        let revision = view.verdict.as_ref().map_or(0, |verdict| verdict.revision);
        let told = post.show(view.clone());
        if let Some(printer) = printer.filter(|_| revision > told) {
            printer.tell(&view);
        }
    }
    for shard in shards.values_mut() {
        let (before, now) = shard.take_stats();
        post.metrics.engine(before, now);
    }
}

/// What a commit took: time, chains that were saved, and how long the first of its news had waited.
pub(super) fn measured(metrics: &Metrics, took: Duration, saved: u64, since: Option<Instant>) {
    metrics.commits.add("committed");
    metrics.commit_seconds.record(took);
    metrics.snapshots.fetch_add(saved, Ordering::Relaxed);
    if let Some(since) = since {
        metrics.visible_seconds.record(since.elapsed());
    }
}

/// Tells what a worker has now, and when its memory becomes full or is so no longer. `lag` says how many records of a lane
/// the bus has that a shard has not decided upon, if that is known.
pub(super) fn standing(shards: &BTreeMap<i32, Shard>, post: &Post, mut lag: impl FnMut(&Shard, usize) -> Option<u64>) {
    let mut gauges = Gauges::default();
    for shard in shards.values() {
        gauges.full += usize::from(shard.engine.is_full());
        gauges.memory += shard.engine.memory();
        gauges.census.add(&shard.engine.census());
        let mut by_kind: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (n, lane) in shard.lanes.iter().enumerate() {
            if let Some(lag) = lag(shard, n) {
                *by_kind.entry(lane.role.word()).or_default() += lag;
            }
        }
        let lag = by_kind.into_iter().collect();
        gauges.partitions.push(PartitionGauges { partition: shard.partition, watermark: shard.watermark(), lag });
    }
    let full = gauges.full;
    match (post.metrics.set(post.worker(), gauges), full) {
        (0, 1..) => tracing::error!(partitions = full, "{MEMORY_FULL}"),
        (1.., 0) => tracing::info!("there is memory again: input is read on"),
        _ => {}
    }
}

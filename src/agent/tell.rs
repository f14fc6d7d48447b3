//! What is told of the agent once a step is committed, and not before.

use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{MEMORY_FULL, Shared, edges::Printer, shard::Shard, step::Step};
use crate::telemetry::metrics::Metrics;

/// After a commit: clocks of the commands that were published with it begin (S5.13), views and counters become visible.
pub(super) fn committed(step: Step, shards: &mut BTreeMap<i32, Shard>, shared: &Shared, printer: Option<&Printer>) {
    step.tell(&shared.metrics);
    for (partition, chain_id, command_id) in &step.published {
        if let Some(shard) = shards.get_mut(partition) {
            shard.published(chain_id, command_id);
        }
    }
    for view in step.views.into_values() {
        let revision = view.verdict.as_ref().map_or(0, |verdict| verdict.revision);
        let told = shared.live.put(view.clone());
        if let Some(printer) = printer.filter(|_| revision > told) {
            printer.tell(&view);
        }
    }
    let (mut chains, mut memory) = (0, 0);
    for shard in shards.values_mut() {
        let (before, now) = shard.take_stats();
        shared.metrics.engine(before, now);
        chains += shard.engine.chains();
        memory += shard.engine.memory();
    }
    shared.metrics.chains.store(chains as u64, Ordering::Relaxed);
    shared.metrics.memory_bytes.store(memory as u64, Ordering::Relaxed);
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

/// Says of how many partition numbers the input pauses since their memory is full (S2.10).
pub(super) fn full(shards: &BTreeMap<i32, Shard>, metrics: &Metrics) {
    let full = shards.values().filter(|shard| shard.engine.is_full()).count() as u64;
    let before = metrics.memory_full.swap(full, Ordering::Relaxed);
    match (before, full) {
        (0, 1..) => tracing::error!(partitions = full, "{MEMORY_FULL}"),
        (1.., 0) => tracing::info!("there is memory again: input is read on"),
        _ => {}
    }
}

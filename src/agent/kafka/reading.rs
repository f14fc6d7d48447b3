//! How far the lanes of a shard are read (S0, S2.5).

use crate::{
    agent::shard::Shard,
    bus::{
        TopicPartition,
        kafka::{consumer::Input, ends::Ends},
        layout::Role,
    },
};

/// Says of each lane whether it is read to its end (S0): up to the high watermark, as asked for less than 1 s ago.
pub(super) fn mark_ends(shard: &mut Shard, input: &Input, ends: &Ends) {
    let fresh = ends.as_of().is_some();
    for n in 0..shard.lanes.len() {
        let lane = &shard.lanes[n];
        let at = TopicPartition { topic: lane.topic.clone(), partition: shard.partition };
        // Of what pauses the client's position may lie ahead of what came here.
        let ahead = |end| !lane.paused && input.position(&at).is_some_and(|read| read >= end);
        // Of what was carried there the end is reached when nothing more is on its way.
        let whole = lane.role != Role::Carried || ends.are_all_carried();
        let at_end = fresh && whole && ends.of(&at).is_some_and(|end| lane.next >= end || ahead(end));
        shard.merge.set_at_end(n, at_end);
    }
}

/// How many records of a lane the bus has that were not decided upon; `None`: its end is not known.
pub(super) fn lag(shard: &Shard, n: usize, ends: &Ends) -> Option<u64> {
    let lane = &shard.lanes[n];
    let end = ends.of(&TopicPartition { topic: lane.topic.clone(), partition: shard.partition })?;
    let waiting = shard.merge.waiting(n) as u64;
    // Markers of transactions take offsets but are no records: of a lane at its end nothing is left but what waits here.
    Some(if shard.merge.is_read_up(n) { waiting } else { end.saturating_sub(lane.next) + waiting })
}

//! How far the lanes of a shard are read (S0, S2.5).

use crate::{
    agent::shard::Shard,
    bus::{
        TopicPartition,
        kafka::{consumer::Input, ends::Ends},
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
        let at_end = fresh && ends.of(&at).is_some_and(|end| lane.next >= end || ahead(end));
        shard.merge.set_at_end(n, at_end);
    }
}

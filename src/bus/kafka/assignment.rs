//! Which partition numbers this instance reads: an engine needs the same partition number of every input, of the results
//! and of the operations.

use std::collections::BTreeMap;

use crate::bus::{TopicPartition, layout::Layout};

/// The partition numbers of an assignment, each with its topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// Partition numbers that are assigned whole.
    pub partitions: Vec<i32>,
    /// Partitions whose number is not assigned whole, which no engine can work on.
    pub strays: Vec<TopicPartition>,
}

impl Assignment {
    /// Sorts what was assigned by partition number. With `range` and equal partition counts there are no strays; they
    /// show that instances of one group read different topics.
    #[must_use]
    pub fn of(assigned: &[TopicPartition], layout: &Layout) -> Self {
        let mut by_number: BTreeMap<i32, Vec<&TopicPartition>> = BTreeMap::new();
        for partition in assigned {
            by_number.entry(partition.partition).or_default().push(partition);
        }
        let mut assignment = Self::default();
        for (number, partitions) in by_number {
            let is_assigned = |topic: &str| partitions.iter().any(|partition| *partition.topic == *topic);
            if layout.lanes.iter().all(|lane| is_assigned(&lane.topic)) {
                assignment.partitions.push(number);
            } else {
                assignment.strays.extend(partitions.into_iter().cloned());
            }
        }
        assignment
    }

    /// Every topic partition of the numbers that are assigned whole, lanes in the layout's order.
    #[must_use]
    pub fn topic_partitions(&self, layout: &Layout) -> Vec<TopicPartition> {
        let lanes = |&partition: &i32| {
            layout.lanes.iter().map(move |lane| TopicPartition { topic: lane.topic.clone(), partition })
        };
        self.partitions.iter().flat_map(lanes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Assignment;
    use crate::bus::{
        TopicPartition,
        layout::{Lane, Layout, Role},
    };

    #[test]
    fn a_number_that_is_not_assigned_whole_is_a_stray() {
        let lane = |topic: &str, role| Lane { topic: topic.into(), role };
        let layout = Layout {
            lanes: vec![lane("in", Role::Envelopes), lane("results", Role::Results)],
            partitions: 3,
            sources: Vec::new(),
            newborn: std::collections::BTreeSet::new(),
        };
        let at = |topic: &str, partition| TopicPartition { topic: topic.into(), partition };
        let assigned = [at("in", 0), at("in", 1), at("results", 1)];
        let assignment = Assignment::of(&assigned, &layout);
        assert_eq!((assignment.partitions.as_slice(), assignment.strays.as_slice()), (&[1][..], &[at("in", 0)][..]));
        assert_eq!(assignment.topic_partitions(&layout), [at("in", 1), at("results", 1)]);
    }
}

//! What a transaction leaves open although the cluster holds it for ended.
//!
//! A commit is decided once the coordinator has logged it, and answered then; the markers that show it to readers are
//! written after. A coordinator that is killed in between sends them when it is back, but gives up those for partitions
//! that have no leader at that moment ("likely deleted already") and still calls the transaction complete. (KAFKA-20734,
//! in Kafka 4.3.0 to 4.4.0; seen with one broker and `kill -9`.) Its records then stay undecided for every `read_committed` reader: no timeout
//! ends that, and neither does making the producer anew. The next marker of the same producer id does, in each partition
//! on its own; so topics with traffic mend themselves with the next commit, and the state, which must be read before
//! there can be a next commit, is mended here.

use super::{takeover::Failure, worker::Worker};
use crate::{agent::AgentError, bus::Outgoing, journal::state::Key};

impl Worker {
    /// Says why partitions are not taken over, and ends what it may of what stays open in them.
    ///
    /// # Errors
    /// If there can be no producer any more.
    pub(super) fn not_taken_over(&mut self, failure: &Failure) -> Result<(), AgentError> {
        tracing::warn!(why = failure.why, "taking partitions over");
        self.around.metrics.failed_restores.add(failure.word());
        self.post.set_waiting(&failure.why);
        self.post.beat();
        let filler: Vec<Outgoing> = failure
            .open
            .iter()
            .filter(|&&at| self.is_committed(at))
            .map(|&(partition, _)| self.filler(partition))
            .collect();
        let (false, Some(output)) = (filler.is_empty(), &self.output) else { return Ok(()) };
        match output.finish(&filler) {
            Ok(()) => {
                tracing::warn!(
                    partitions = filler.len(),
                    "a committed transaction had no marker there; it has one now"
                );
                Ok(())
            }
            Err(error) => self.renew(&error),
        }
    }

    /// Whether what is open in a partition is known to be committed: it ends with the last record of a commit that was
    /// answered, so there is neither a marker behind that nor anything of a later step. Otherwise the outcome is unknown,
    /// and either guess could lose or double a command: an operator has to look.
    fn is_committed(&self, (partition, end): (i32, u64)) -> bool {
        self.written.get(&partition) == Some(&end)
    }

    /// Removes a chain that no message can name: a record that changes nothing.
    fn filler(&self, partition: i32) -> Outgoing {
        let key = Key::Chain { chain_id: String::new(), part: 0 }.encode();
        Outgoing {
            topic: self.config.topics.state.clone(),
            partition: Some(partition),
            key: Some(key),
            payload: None,
            headers: Vec::new(),
        }
    }
}

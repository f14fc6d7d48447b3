//! The end of a step: when it is committed, what becomes true with it, and what happens if it fails.

use std::time::{Duration, Instant};

use super::worker::{COMMIT_GAP, FIRST_PAUSE, LONGEST_PAUSE, Worker, connect};
use crate::{
    agent::{
        AgentError, Post,
        dead_letters::{DETAIL, REASON},
        host_now,
        outgoing::COMMAND_ID,
        pause::Pause,
        seal::seal_all,
        shard::Shard,
        tell,
    },
    bus::{
        kafka::{
            producer::{CAREFUL_RECORD_BYTES, CommitError},
            topics::{Maker, TopicError},
        },
        layout::Topics,
    },
    model::{HostTime, Span},
};

/// For how many times the length of the last commit a step is gathered in a backlog, and at most for how long.
const GATHER_FOR: u32 = 10;
const LONGEST_GATHER: Duration = Duration::from_millis(250);

/// Records above which a step is committed in any case.
const MOST_RECORDS: usize = 20_000;

impl Worker {
    /// What is decided goes out soon, and together with what comes within a moment; mere progress waits longer.
    pub(super) fn is_time_to_commit(&mut self, now: HostTime) -> bool {
        let since_commit = self.committed_at.elapsed();
        if since_commit < COMMIT_GAP {
            return false;
        }
        let snapshot_after = self.config.snapshot_after;
        let outputs = self.step.since.is_some() || self.shards.values().any(Shard::has_saves);
        // While more is there than is taken at once, a commit holds up what waits behind it: it is made when it is a small part
        // of the time.
        let patience =
            if self.is_behind() { (self.commit_took * GATHER_FOR).min(LONGEST_GATHER) } else { Duration::ZERO };
        if since_commit < patience && self.step.records.len() < MOST_RECORDS {
            return false;
        }
        let within = Duration::from_millis(self.config.commit_within.0);
        let quiet = Duration::from_millis(self.config.commit_quiet.0);
        match (outputs, self.step.since) {
            // Whoever reads to the end has nothing to gather any more.
            (true, Some(since)) => since.elapsed() >= within || self.shards.values().all(Shard::is_idle),
            (true, None) => true,
            (false, _) => {
                since_commit >= quiet && self.shards.values_mut().any(|shard| shard.has_progress(snapshot_after, now))
            }
        }
    }

    /// Whether more is there than was taken at once, by the client or by a shard.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind || self.shards.values().any(Shard::is_behind)
    }

    pub(super) fn commit(&mut self, snapshot_after: Span) -> Result<(), AgentError> {
        match self.try_commit(snapshot_after) {
            Ok(()) => {
                self.pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
                Ok(())
            }
            Err(error) => self.recover(&error),
        }
    }

    /// Commits the step in one transaction, and tells what it made true.
    pub(super) fn try_commit(&mut self, snapshot_after: Span) -> Result<(), CommitError> {
        let secured = self.secure_topics(0)?;
        let host = host_now();
        let settings = &self.config.policy.settings;
        let (mut progress, saved) =
            seal_all(&mut self.step, &mut self.shards, &self.around, settings, snapshot_after, host);
        // The cluster knows nothing of these any more, and would refuse the whole commit.
        progress.retain(|progress| !self.gone.contains(&progress.at.topic));
        if self.step.records.is_empty() && progress.is_empty() {
            self.step.clear();
            return Ok(());
        }
        self.secure_topics(secured)?;
        let Some(group) = self.input.group_metadata() else {
            return Err(CommitError::before("the consumer is in no group"));
        };
        let Some(output) = &self.output else {
            return Err(CommitError::before("there is no producer"));
        };
        // Before it takes effect; a commit that fails now is made again, and then it stands there twice.
        let acts = std::mem::take(&mut self.step.acts);
        if let Err(error) = self.config.audit.append(acts, &jiff::Timestamp::now().to_string()) {
            let file = self.config.audit.path().display();
            return Err(CommitError::before(format!("the audit file {file}: {error}")));
        }
        self.post.claim(self.step.views.keys());
        let begun = Instant::now();
        let written = output.commit(&self.step.records, &progress, &group, &self.around.topics.state)?;
        self.written.extend(written);
        self.committed_at = Instant::now();
        self.commit_took = begun.elapsed();
        tell::measured(&self.around.metrics, begun.elapsed(), saved, self.step.since);
        tell::committed(std::mem::take(&mut self.step), &mut self.shards, &self.post, self.printer.as_ref());
        self.stand();
        self.post.set_ready(self.has_begun());
        Ok(())
    }

    /// Whether it is committed where every lane began: from then on no restart passes a message by.
    pub(super) fn has_begun(&self) -> bool {
        // Other instances may read other topics for a while, as in a rollout: what is assigned whole is worked on.
        let whole = self.assigned.strays.is_empty() || !self.shards.is_empty();
        whole
            && self.carries()
            && self.shards.values().all(|shard| shard.lanes.iter().all(|lane| lane.committed.is_some()))
    }

    /// Sees to it that every topic is there before the commit, of the records from the one of this number on: one for a topic
    /// that is not would be tried for ever. Says how many records there are then. When a plan was made there was a route;
    /// should it be gone since, the command is kept in the dead letters and is stuck, and whatever else has nowhere to go is
    /// kept there, too (S5.15).
    ///
    /// # Errors
    /// If the cluster does not answer, or the state or the dead letters themselves have nowhere to go: then nothing is
    /// committed.
    fn secure_topics(&mut self, from: usize) -> Result<usize, CommitError> {
        let mut n = from;
        // What is stuck may let others go, which come behind.
        while n < self.step.records.len() {
            if let Some(command_id) = self.secure_topic(n)? {
                self.strand(&command_id);
            }
            n += 1;
        }
        Ok(n)
    }

    /// Secures the topic of a record, or diverts the record; the command that it is, if it was.
    fn secure_topic(&mut self, n: usize) -> Result<Option<String>, CommitError> {
        let topics = &self.around.topics;
        let record = &mut self.step.records[n];
        let fails = |error: TopicError| CommitError::before(error.to_string());
        let secured = self.maker.secure(&record.topic, topics.may_be_made(&record.topic), false);
        let Err(error) = secured else { return Ok(None) };
        if matches!(error, TopicError::Unreachable(_)) || record.topic == topics.dead_letters {
            return Err(fails(error));
        }
        if record.topic == topics.state {
            return Err(fails(TopicError::StateGone(record.topic.clone())));
        }
        self.maker.secure(&topics.dead_letters, true, false).map_err(fails)?;
        tracing::error!(topic = record.topic, %error, "a record goes to the dead letters");
        let command = record.headers.iter().find(|(name, _)| name == COMMAND_ID);
        let command = command.map(|(_, id)| String::from_utf8_lossy(id.as_deref().unwrap_or_default()).into_owned());
        let reason = if command.is_some() { "no_route" } else { "no_topic" };
        self.around.metrics.dead_letters.add(reason);
        record.topic.clone_from(&topics.dead_letters);
        record.headers.push((REASON.to_owned(), Some(reason.into())));
        record.headers.push((DETAIL.to_owned(), Some(error.to_string().into_bytes())));
        Ok(command)
    }

    /// A command is not published after all: no answer is waited for, and no silence either.
    fn strand(&mut self, command_id: &str) {
        let Some(n) = self.step.published.iter().position(|(_, _, id)| id == command_id) else { return };
        let (partition, chain_id, command_id) = self.step.published.remove(n);
        if let Some(shard) = self.shards.get_mut(&partition) {
            shard.unrouted(&chain_id, &command_id, &self.around, &mut self.step);
        }
    }

    /// After a commit that failed: everything goes back to the last one that did not.
    fn recover(&mut self, error: &CommitError) -> Result<(), AgentError> {
        self.renew(error)?;
        self.rest();
        let offsets = self.take_over()?;
        self.input.rewind(&offsets).map_err(|error| AgentError::Bus(error.to_string()))
    }

    /// After a commit that failed: a new producer.
    pub(super) fn renew(&mut self, error: &CommitError) -> Result<(), AgentError> {
        tracing::warn!(%error, "a step is not committed and will be made again");
        self.around.metrics.commits.add(if error.fenced { "fenced" } else { "failed" });
        if error.too_large {
            self.around.largest = CAREFUL_RECORD_BYTES;
        }
        if error.fenced {
            self.note_fencing()?;
        }
        // A topic that was deleted is one reason why a commit fails.
        self.maker.forget();
        self.course.hurry();
        self.post.set_ready(false);
        self.post.set_waiting(&format!("a step is not committed: {error}"));
        // However long the brokers are away. The one before goes first: it tries again what it has not got through, and
        // the two would fence each other once the brokers are back.
        self.output = None;
        self.output = Some(connect(&self.config, &self.post, Duration::MAX)?);
        Ok(())
    }
}

/// Whether commands can be written to `topic` (S5.15), as it was known a moment ago or as it is found `anew`. While the
/// cluster does not answer nobody knows: it is asked again until it does, as a commit would be.
pub(super) fn leads(maker: &mut Maker, topics: &Topics, post: &Post, topic: &str, anew: bool) -> bool {
    loop {
        post.beat();
        match maker.secure(topic, topics.is_for_commands(topic), anew) {
            Ok(()) => return true,
            // What is not committed any more is planned again by whoever comes next.
            Err(TopicError::Unreachable(_)) if post.is_stopping() => return true,
            Err(TopicError::Unreachable(why)) => {
                tracing::warn!(topic, why, "a plan waits for the brokers");
                std::thread::park_timeout(FIRST_PAUSE);
            }
            Err(error) => {
                tracing::error!(topic, %error, "no route: a plan needs an operator; `retry` looks for the topic again");
                return false;
            }
        }
    }
}

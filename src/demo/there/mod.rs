//! The shop over a real broker, beside an agent that runs by itself. Time is the clock's.

#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "rabbitmq")]
pub mod rabbit;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Account, Counts, Drive, Plan};
use crate::{
    bus::Outgoing,
    model::{HostTime, Span},
};

/// Longest time in which a closed shop hears nothing. Whatever is not settled then never will be: a broker that is killed on a
/// busy machine has been seen to need more than two minutes.
const PATIENCE: Span = Span::mins(5);

/// The way between the shop and a broker.
pub trait Street {
    /// What the agent's topic of events is called.
    fn events(&self) -> &'static str;

    /// The next message within `wait`: its topic and its bytes.
    ///
    /// # Errors
    /// What cannot be overcome.
    fn next(&mut self, wait: Duration) -> Result<Option<(String, Bytes)>, String>;

    /// Sends a record.
    ///
    /// # Errors
    /// What cannot be overcome.
    fn send(&mut self, record: &Outgoing, now: HostTime) -> Result<(), String>;

    /// Waits until all that was sent is on the bus.
    ///
    /// # Errors
    /// If it is not.
    fn finish(&mut self) -> Result<(), String>;
}

/// The shop, and its way to the bus.
pub struct There {
    street: Box<dyn Street>,
    drive: Drive,
}

impl There {
    /// A run that begins at `now`. The agent must have started: what it tells is listened to.
    #[must_use]
    pub fn new(street: Box<dyn Street>, plan: Plan, now: HostTime) -> Self {
        let drive = Drive::new(plan, street.events(), now);
        Self { street, drive }
    }

    /// How the run begins, in words.
    #[must_use]
    pub fn opening(&self) -> String {
        self.drive.opening()
    }

    /// Takes what came, waiting for at most `wait`, lets the shop work, and says what there is to print.
    ///
    /// # Errors
    /// What the way to the bus cannot overcome.
    pub fn step(&mut self, now: HostTime, wait: Duration) -> Result<String, String> {
        let mut told = String::new();
        let until = Instant::now() + wait;
        while let Some((topic, payload)) = self.street.next(until.saturating_duration_since(Instant::now()))? {
            told.push_str(&self.drive.hear(&topic, payload, now));
            if Instant::now() >= until {
                break;
            }
        }
        let (said, more) = self.drive.work(now);
        told.push_str(&more);
        for record in &said {
            self.street.send(record, now)?;
        }
        Ok(told)
    }

    /// No more orders from now on; what is under way goes on.
    pub fn close(&mut self, now: HostTime) -> String {
        self.drive.close(now)
    }

    /// Whether all is over.
    #[must_use]
    pub fn is_over(&self, now: HostTime) -> bool {
        self.drive.is_over(now, PATIENCE)
    }

    /// What keeps the shop from being settled, in lines of the story. Empty: nothing does.
    #[must_use]
    pub fn unsettled(&self, now: HostTime) -> String {
        self.drive.unsettled(now)
    }

    /// Counts everything.
    ///
    /// # Errors
    /// If what the shop said did not all reach the bus.
    pub fn account(&mut self) -> Result<Account, String> {
        self.street.finish().map_err(|error| format!("not all that the shop said is on the bus: {error}"))?;
        Ok(self.drive.account())
    }

    /// What became of the chains that failed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.drive.counts()
    }
}

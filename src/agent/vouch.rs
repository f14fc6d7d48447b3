//! S8.1 where records are decoded, whatever the bus: what has to be signed and is not, or lies where it does not belong,
//! never reaches an engine.

use std::fmt;

use super::{desk::engine_of, step::Surroundings};
use crate::{
    bus::{Outgoing, Record, headers::SIGNATURE, partitioner::partition_of},
    model::{BusTime, Operation},
    trust::{Claim, Distrust, Kind, Trust},
    wire::{
        WireError,
        proto::{CommandResult, Envelope},
        time::millis_of,
    },
};

/// Why a record is not taken.
#[derive(Debug)]
pub(super) enum Rejected {
    /// It cannot be read.
    Wire(WireError),
    /// It is not believed.
    Distrust(Distrust),
}

impl Rejected {
    /// The reason in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.word(),
            Self::Distrust(why) => why.word(),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Distrust(why) => why.fmt(f),
        }
    }
}

impl From<WireError> for Rejected {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Distrust> for Rejected {
    fn from(why: Distrust) -> Self {
        Self::Distrust(why)
    }
}

fn claim(record: &Record, at: BusTime) -> Claim<'_> {
    Claim { payload: record.payload.as_deref().unwrap_or_default(), signature: record.header(SIGNATURE), at }
}

/// An envelope, also one that is a dead letter. It lies on its chain's partition, under its chain's id: a part of a chain
/// that somebody copies to another partition would be a chain of its own there, and fail for want of the rest.
pub(super) fn envelope(
    around: &Surroundings,
    record: &Record,
    envelope: &Envelope,
    at: BusTime,
) -> Result<(), Distrust> {
    let source = envelope.source.as_ref().map_or("", |source| &source.service);
    if !around.trust.wants_envelope(source) {
        return Ok(());
    }
    let sent = envelope.sent_at.as_ref().map(|sent| BusTime(millis_of(sent)));
    around.trust.envelope(source, sent, claim(record, at))?;
    lies_under(around, record, &envelope.chain_id)?;
    let home = partition_of(envelope.chain_id.as_bytes(), around.layout.partitions);
    if around.trust.is_keyed && record.partition != home { Err(Distrust::Misplaced) } else { Ok(()) }
}

/// An answer. `target` knows for which service a command is; of one that is not known here nothing changes, and it has to
/// be signed by whom it says it is from.
pub(super) fn result<'a>(
    around: &Surroundings,
    record: &Record,
    result: &'a CommandResult,
    at: BusTime,
    target: impl Fn(&str, &str) -> Option<&'a str>,
) -> Result<(), Distrust> {
    if !around.trust.wants_results() {
        return Ok(());
    }
    let by = || result.by.as_ref().map_or("", |by| by.service.as_str());
    let service = target(&result.chain_id, &result.command_id).unwrap_or_else(by);
    if !around.trust.wants_result(service) {
        return Ok(());
    }
    around.trust.result(service, claim(record, at))?;
    lies_under(around, record, &result.chain_id)
}

/// What an operator asks for. What is asked of a whole engine says in its id of which, so that it acts in no other.
pub(super) fn operation(
    around: &Surroundings,
    record: &Record,
    operation: &Operation<'_>,
    at: BusTime,
) -> Result<(), Distrust> {
    if !around.trust.wants_operations() {
        return Ok(());
    }
    around.trust.operation(operation.by, claim(record, at))?;
    if operation.operation_id.is_empty() {
        return Err(Distrust::Unnamed);
    }
    match operation.verb.is_for_all() {
        true if engine_of(operation.operation_id) == Some(record.partition) => Ok(()),
        true => Err(Distrust::Misplaced),
        false => lies_under(around, record, operation.chain_id),
    }
}

fn lies_under(around: &Surroundings, record: &Record, chain_id: &str) -> Result<(), Distrust> {
    let key = record.key.as_deref().unwrap_or_default();
    if around.trust.is_keyed && key != chain_id.as_bytes() { Err(Distrust::Misplaced) } else { Ok(()) }
}

/// Signs what the agent publishes, if it has a key.
pub(super) fn sign(trust: &Trust, kind: Kind, record: &mut Outgoing) {
    let signature = trust.sign(kind, record.payload.as_deref().unwrap_or_default());
    record.headers.extend(signature.map(|signature| (SIGNATURE.to_owned(), Some(signature.into_bytes()))));
}

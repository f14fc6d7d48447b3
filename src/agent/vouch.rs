//! S8.1 where records are decoded, whatever the bus: what has to be signed and is not, or lies where it does not belong,
//! never reaches an engine.

use std::fmt;

use prost::Message as _;

use super::{desk::engine_of, reply::Unclear, step::Surroundings};
use crate::{
    bus::{
        Outgoing, Record,
        headers::{CHAIN_ID, COMMAND_ID, CORRELATION, SIGNATURE},
        partitioner::partition_of,
    },
    model::{BusTime, Correlation, Operation},
    trust::{Claim, Distrust, Kind, Trust},
    wire::{
        EnvelopeRef, WireError,
        proto::{self, CommandResult},
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
    /// It is a reply that says nothing that is known.
    Unclear,
}

impl Rejected {
    /// The reason in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.word(),
            Self::Distrust(why) => why.word(),
            Self::Unclear => "unknown_reply",
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Distrust(why) => why.fmt(f),
            Self::Unclear => f.write_str("no word of `undo.reply` is in it"),
        }
    }
}

impl From<WireError> for Rejected {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Unclear> for Rejected {
    fn from(_: Unclear) -> Self {
        Self::Unclear
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
    envelope: &EnvelopeRef<'_>,
    at: BusTime,
) -> Result<(), Distrust> {
    let source = envelope.source_service();
    if !around.trust.wants_envelope(source) {
        return Ok(());
    }
    let sent = envelope.sent_at().map(|sent| BusTime(millis_of(sent)));
    around.trust.envelope(source, sent, claim(record, at))?;
    lies_under(around, record, envelope.chain_id())?;
    let home = partition_of(envelope.chain_id().as_bytes(), around.layout.partitions);
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
        true => {
            let is_for = |number| around.share.as_ref().map_or(number == record.partition, |share| number < share.all);
            let number = engine_of(operation.operation_id);
            if number.is_some_and(is_for) { Ok(()) } else { Err(Distrust::Misplaced) }
        }
        false => lies_under(around, record, operation.chain_id),
    }
}

fn lies_under(around: &Surroundings, record: &Record, chain_id: &str) -> Result<(), Distrust> {
    let key = record.key.as_deref().unwrap_or_default();
    if around.trust.is_keyed && key != chain_id.as_bytes() { Err(Distrust::Misplaced) } else { Ok(()) }
}

/// Whether a command that died, or what went out in its place, is the agent's own, and the very one that its marks say, by its
/// signature; `None`: it signs none.
pub(super) fn is_own(around: &Surroundings, record: &Record) -> Option<bool> {
    let payload = record.payload.as_deref().unwrap_or_default();
    let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
    let signature = signature_of_command(&around.trust, text(CORRELATION), payload)?;
    let names_itself = || {
        let marks = (text(CHAIN_ID)?, text(COMMAND_ID)?);
        match text(CORRELATION) {
            Some(correlation) => Some(correlation == Correlation::of(marks.0, marks.1).to_string()),
            None => {
                proto::Command::decode(payload).ok().map(|it| marks == (it.chain_id.as_str(), it.command_id.as_str()))
            }
        }
    };
    Some(record.header(SIGNATURE) == Some(signature.as_bytes()) && names_itself() == Some(true))
}

/// Signs what the agent publishes, if it has a key.
pub(super) fn sign(trust: &Trust, kind: Kind, record: &mut Outgoing) {
    let signature = trust.sign(kind, record.payload.as_deref().unwrap_or_default());
    bear(record, signature);
}

/// Signs a command, or what goes out in its place.
pub(super) fn sign_command(trust: &Trust, record: &mut Outgoing) {
    let correlation = record.headers.iter().find(|(name, _)| name == CORRELATION);
    let correlation = correlation.and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok());
    let signature = signature_of_command(trust, correlation, record.payload.as_deref().unwrap_or_default());
    bear(record, signature);
}

fn bear(record: &mut Outgoing, signature: Option<String>) {
    record.headers.extend(signature.map(|signature| (SIGNATURE.to_owned(), Some(signature.into_bytes()))));
}

/// A command says itself which it is; of what goes out in its place the correlation that says it is signed, too.
fn signature_of_command(trust: &Trust, correlation: Option<&str>, payload: &[u8]) -> Option<String> {
    let Some(correlation) = correlation else { return trust.sign(Kind::Command, payload) };
    let length = correlation.len().to_string();
    trust.sign(Kind::Message, &[length.as_bytes(), b"\n", correlation.as_bytes(), b"\n", payload].concat())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use prost::Message as _;

    use super::{envelope, is_own, sign, sign_command};
    use crate::{
        agent::step::Surroundings,
        bus::{
            Outgoing, Record, Stamp,
            carried::carried,
            headers::{CHAIN_ID, COMMAND_ID, CORRELATION, SIGNATURE},
            layout::{Layout, Role, Topics},
            partitioner::partition_of,
        },
        model::{BusTime, Correlation, Span},
        policy::{
            Pattern,
            load::{KeyConfig, Owner, Proof, Secret, SecretText, SignConfig, TrustConfig},
        },
        trust::{Distrust, Kind, Signer, Trust},
        wire::{
            EnvelopeRef,
            proto::{self, Envelope, Party, Timestamp},
        },
    };

    const SECRET: &str = "a secret of more than thirty-two bytes";

    fn around(sign: SignConfig) -> Surroundings {
        let key = KeyConfig {
            id: "stock-1".into(),
            owner: Owner::Service("stock".into()),
            proof: Proof::Hmac(Secret::Env("K".into())),
            not_before: None,
            not_after: None,
        };
        let require_signature = vec![Pattern::new("*").unwrap()];
        let config = TrustConfig { keys: vec![key], require_signature, sign, ..TrustConfig::default() };
        let trust = Trust::new(&config, Span::hours(1), |_| Ok(SecretText::of(SECRET).unwrap())).unwrap();
        let topics = Topics::under("");
        Surroundings {
            layout: Layout::new(["in"], &topics, 8),
            topics,
            limits: crate::wire::WireLimits::default(),
            trust: Arc::new(trust.keyed()),
            payloads: crate::policy::payloads::Payloads::default(),
            share: None,
            metrics: Arc::default(),
            keys: Arc::default(),
            largest: 1 << 20,
        }
    }

    /// A record as it comes back from where it was written.
    fn read(written: Outgoing, partition: i32) -> Record {
        Record {
            topic: written.topic.as_str().into(),
            partition,
            offset: 0,
            stamp: Stamp::Bus(BusTime(5_000)),
            key: written.key.map(Bytes::from),
            headers: written.headers.into_iter().map(|(name, value)| (name, value.map(Bytes::from))).collect(),
            payload: written.payload.map(Bytes::from),
        }
    }

    #[test]
    fn what_is_carried_to_its_chain_is_signed_as_it_was() {
        let around = around(SignConfig::default());
        let message = Envelope {
            chain_id: "chain-1".into(),
            source: Some(Party { service: "stock".into(), ..Party::default() }),
            sent_at: Some(Timestamp { seconds: 5, nanos: 0 }),
            ..Envelope::default()
        };
        let payload = message.encode_to_vec();
        let signature = Signer::hmac("stock-1", SECRET.as_bytes()).unwrap().sign(Kind::Envelope, &payload);
        let mut written = Outgoing::keyed("orders", "customer-7", payload);
        written.headers.push((SIGNATURE.to_owned(), Some(signature.into_bytes())));
        let record = read(written, 3);
        let home = |key: &[u8]| partition_of(key, around.layout.partitions);
        let believed = |record: &Record| envelope(&around, record, &EnvelopeRef::from(&message), BusTime(5_000));
        assert_eq!(believed(&record), Err(Distrust::Misplaced), "it lies under a customer's id");
        let there = carried("rekeyed", Role::Envelopes, &record, BusTime(5_000), home);
        let partition = there.partition.unwrap();
        assert_eq!(believed(&read(there.clone(), partition)), Ok(()));
        assert_eq!(believed(&read(there, (partition + 1) % 8)), Err(Distrust::Misplaced));
    }

    fn own_key() -> SignConfig {
        SignConfig {
            key: "agent".into(),
            algorithm: crate::policy::load::Algorithm::HmacSha256,
            secret: Some(Secret::Env("A".into())),
        }
    }

    #[test]
    fn what_died_is_the_command_that_was_signed_and_no_other() {
        let around = around(own_key());
        let marks = |chain: &str| {
            let marks = [(COMMAND_ID, "7"), (CHAIN_ID, chain)];
            marks.map(|(name, value)| (name.to_owned(), Some(value.as_bytes().to_vec())))
        };
        let correlation = |chain: &str| {
            let correlation = Correlation::of(chain, "7").to_string();
            (CORRELATION.to_owned(), Some(correlation.into_bytes()))
        };
        let command = proto::Command { chain_id: "c".into(), command_id: "7".into(), ..proto::Command::default() };
        for (payload, mut headers) in
            [(command.encode_to_vec(), Vec::new()), (b"CANCEL o-7".to_vec(), vec![correlation("c")])]
        {
            headers.extend(marks("c"));
            let mut record = Outgoing { headers, ..Outgoing::keyed("orders.commands", "c", payload) };
            sign_command(&around.trust, &mut record);
            assert_eq!(is_own(&around, &read(record.clone(), 0)), Some(true));
            // Under the marks of another, all of them or some, it says nothing.
            let mut others = record.clone();
            others.headers.retain(|(name, _)| name == SIGNATURE || name == CORRELATION);
            others.headers.extend(marks("d"));
            assert_eq!(is_own(&around, &read(others.clone(), 0)), Some(false));
            others.headers.retain(|(name, _)| name != CORRELATION);
            assert_eq!(is_own(&around, &read(others.clone(), 0)), Some(false));
            others.headers.push(correlation("d"));
            assert_eq!(is_own(&around, &read(others, 0)), Some(false));
        }
    }

    #[test]
    fn the_agent_signs_if_it_has_a_key() {
        let has_signed = |around: &Surroundings| {
            let mut record = Outgoing::keyed("commands", "chain-1", b"bytes".to_vec());
            sign(&around.trust, Kind::Command, &mut record);
            record.headers.pop().map(|(name, value)| (name, String::from_utf8(value.unwrap()).unwrap()))
        };
        assert_eq!(has_signed(&around(SignConfig::default())), None);
        let expected = Signer::hmac("agent", SECRET.as_bytes()).unwrap().sign(Kind::Command, b"bytes");
        assert_eq!(has_signed(&around(own_key())), Some((SIGNATURE.to_owned(), expected)));
    }
}

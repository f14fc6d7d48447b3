//! An envelope without anything of its own: texts and payloads stay where they were read. Both ways of reading end here, so
//! that what is checked is checked once ([`super::message`]).

use std::collections::BTreeMap;

use super::proto::{self, Duration, Timestamp};

/// `Party`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartyRef<'a> {
    pub(super) service: &'a str,
    pub(super) version: &'a str,
    pub(super) instance: &'a str,
}

/// `Any`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnyRef<'a> {
    pub(super) type_url: &'a str,
    pub(super) value: &'a [u8],
}

/// `Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusRef<'a> {
    pub(super) code: i32,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    pub(super) caused_by_call_id: &'a str,
    pub(super) fault: i32,
}

/// `Compensation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompensationRef<'a> {
    pub(super) operation: &'a str,
    pub(super) payload: Option<AnyRef<'a>>,
    pub(super) accepts_in_doubt: bool,
    pub(super) inquire_operation: &'a str,
    pub(super) route: &'a str,
    /// `None`: there are none.
    pub(super) headers: Option<&'a BTreeMap<String, String>>,
}

/// `Effect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EffectRef<'a> {
    pub(super) kind: i32,
    pub(super) idempotency_key: &'a str,
    pub(super) compensation: Option<CompensationRef<'a>>,
}

/// `Envelope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EnvelopeRef<'a> {
    pub(super) message_id: &'a str,
    pub(super) chain_id: &'a str,
    pub(super) call_id: &'a str,
    pub(super) parent_call_id: &'a str,
    pub(super) kind: i32,
    pub(super) source: Option<PartyRef<'a>>,
    pub(super) destination: Option<PartyRef<'a>>,
    pub(super) operation: &'a str,
    pub(super) payload: Option<AnyRef<'a>>,
    pub(super) timeout: Option<Duration>,
    pub(super) sent_at: Option<Timestamp>,
    pub(super) status: Option<StatusRef<'a>>,
    pub(super) effect: Option<EffectRef<'a>>,
    pub(super) retry_of: &'a str,
    pub(super) compensates: &'a str,
    pub(super) during_command_id: &'a str,
    /// `None`: there are none.
    pub(super) attributes: Option<&'a BTreeMap<String, String>>,
}

impl<'a> EnvelopeRef<'a> {
    /// The chain that it says it belongs to; not checked.
    #[must_use]
    pub fn chain_id(&self) -> &'a str {
        self.chain_id
    }

    /// The service that it says it is from; empty: it does not.
    #[must_use]
    pub fn source_service(&self) -> &'a str {
        self.source.map_or("", |source| source.service)
    }

    /// When it says it was sent; not checked.
    #[must_use]
    pub fn sent_at(&self) -> Option<&Timestamp> {
        self.sent_at.as_ref()
    }
}

impl<'a> From<&'a proto::Party> for PartyRef<'a> {
    fn from(party: &'a proto::Party) -> Self {
        Self { service: &party.service, version: &party.version, instance: &party.instance }
    }
}

impl<'a> From<&'a proto::Any> for AnyRef<'a> {
    fn from(any: &'a proto::Any) -> Self {
        Self { type_url: &any.type_url, value: &any.value }
    }
}

impl<'a> From<&'a proto::Status> for StatusRef<'a> {
    fn from(status: &'a proto::Status) -> Self {
        Self {
            code: status.code,
            reason: &status.reason,
            message: &status.message,
            caused_by_call_id: &status.caused_by_call_id,
            fault: status.fault,
        }
    }
}

impl<'a> From<&'a proto::Compensation> for CompensationRef<'a> {
    fn from(compensation: &'a proto::Compensation) -> Self {
        Self {
            operation: &compensation.operation,
            payload: compensation.payload.as_ref().map(AnyRef::from),
            accepts_in_doubt: compensation.accepts_in_doubt,
            inquire_operation: &compensation.inquire_operation,
            route: &compensation.route,
            headers: some(&compensation.headers),
        }
    }
}

impl<'a> From<&'a proto::Effect> for EffectRef<'a> {
    fn from(effect: &'a proto::Effect) -> Self {
        Self {
            kind: effect.kind,
            idempotency_key: &effect.idempotency_key,
            compensation: effect.compensation.as_ref().map(CompensationRef::from),
        }
    }
}

impl<'a> From<&'a proto::Envelope> for EnvelopeRef<'a> {
    fn from(envelope: &'a proto::Envelope) -> Self {
        Self {
            message_id: &envelope.message_id,
            chain_id: &envelope.chain_id,
            call_id: &envelope.call_id,
            parent_call_id: &envelope.parent_call_id,
            kind: envelope.kind,
            source: envelope.source.as_ref().map(PartyRef::from),
            destination: envelope.destination.as_ref().map(PartyRef::from),
            operation: &envelope.operation,
            payload: envelope.payload.as_ref().map(AnyRef::from),
            timeout: envelope.timeout,
            sent_at: envelope.sent_at,
            status: envelope.status.as_ref().map(StatusRef::from),
            effect: envelope.effect.as_ref().map(EffectRef::from),
            retry_of: &envelope.retry_of,
            compensates: &envelope.compensates,
            during_command_id: &envelope.during_command_id,
            attributes: some(&envelope.attributes),
        }
    }
}

fn some(map: &BTreeMap<String, String>) -> Option<&BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

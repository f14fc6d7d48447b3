//! What a call changes and what undoes it, as an envelope declares it (S4.3, S4.5, S4.6).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::wire::proto::{self, Any, Compensation, EffectKind};

/// The effect of a call. A request declares what the caller knows; the response may say it better, and then counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    kind: EffectKind,
    key: String,
    compensation: Option<Compensation>,
}

impl Effect {
    fn of(kind: EffectKind) -> Self {
        Self { kind, key: String::new(), compensation: None }
    }

    /// Nothing changes.
    #[must_use]
    pub fn read_only() -> Self {
        Self::of(EffectKind::ReadOnly)
    }

    /// Something that `operation` of the same service takes back.
    #[must_use]
    pub fn undone_by(operation: impl Into<String>) -> Self {
        let compensation = Compensation { operation: operation.into(), ..Compensation::default() };
        Self { compensation: Some(compensation), ..Self::of(EffectKind::Compensatable) }
    }

    /// A point of no return: once it is applied the chain goes forward, not back (S4.7).
    #[must_use]
    pub fn pivot() -> Self {
        Self::of(EffectKind::Pivot)
    }

    /// Something that may be asked for again until it works (S4.7).
    #[must_use]
    pub fn retriable() -> Self {
        Self::of(EffectKind::Retriable)
    }

    /// The key under which the service makes one effect of several calls of one chain and operation (S4.5), such as all
    /// attempts of a retry: the first that is not answered `FAILED` is the last that is carried out, and its answer is that
    /// of the others. Only a request can give it; in a response it is passed over. At most 256 bytes.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// The handler takes an undo of what perhaps never happened: it undoes what is there, and else remembers the call and
    /// refuses it should it still arrive (S4.3). A [`super::Participant`] does so.
    #[must_use]
    pub fn accepts_in_doubt(mut self) -> Self {
        self.compensation_mut().accepts_in_doubt = true;
        self
    }

    /// `operation` says whether the effect is there (S4.3).
    #[must_use]
    pub fn inquired_by(mut self, operation: impl Into<String>) -> Self {
        self.compensation_mut().inquire_operation = operation.into();
        self
    }

    /// What the undo needs to know, if it is known already. The command carries request and response anyway.
    #[must_use]
    pub fn undo_payload(mut self, type_url: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.compensation_mut().payload = Some(Any { type_url: type_url.into(), value: value.into() });
        self
    }

    /// Topic or routing key for the undo, of a service that reads none of ours. The agent follows it only where its
    /// configuration allows (S5.15).
    #[must_use]
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.compensation_mut().route = route.into();
        self
    }

    /// A header for that route. At most 64, and 16 KiB in all; names of the agent's own are left out.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let headers: &mut BTreeMap<_, _> = &mut self.compensation_mut().headers;
        headers.insert(name.into(), value.into());
        self
    }

    /// One without an operation is found on building the envelope.
    fn compensation_mut(&mut self) -> &mut Compensation {
        self.compensation.get_or_insert_default()
    }
}

impl From<Effect> for proto::Effect {
    fn from(effect: Effect) -> Self {
        Self { kind: effect.kind.into(), idempotency_key: effect.key, compensation: effect.compensation }
    }
}

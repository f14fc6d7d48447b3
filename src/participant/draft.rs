//! Envelopes on their way: what may be said of a request, an event and a response before it is sent.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use prost::Message as _;

use super::time::millis;
use crate::wire::{
    self, WireError, WireLimits,
    proto::{self, Any, Envelope, Fault, Status},
    time::timestamp_of,
};

/// An envelope on its way.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub envelope: Envelope,
    pub limits: Arc<WireLimits>,
}

impl Draft {
    fn sent(mut self, now: SystemTime) -> Result<Envelope, WireError> {
        self.envelope.sent_at = Some(timestamp_of(millis(now)));
        checked(&self.envelope, &self.limits)?;
        Ok(self.envelope)
    }
}

/// Whether the agent takes an envelope.
pub(super) fn checked(envelope: &Envelope, limits: &WireLimits) -> Result<(), WireError> {
    wire::message(envelope, limits)?;
    let bytes = envelope.encoded_len();
    if bytes > limits.message_bytes {
        return Err(WireError::TooLarge { bytes, limit: limits.message_bytes });
    }
    Ok(())
}

/// What all three kinds have.
macro_rules! draft {
    ($name:ident, |$draft:ident| $at:expr) => {
        impl $name {
            /// The payload of the application. With all else at most 1 MiB.
            pub fn payload(mut self, type_url: impl Into<String>, value: impl Into<Bytes>) -> Self {
                let $draft = &mut self;
                $at.envelope.payload = Some(Any { type_url: type_url.into(), value: value.into() });
                self
            }
        }
    };
}

draft!(Request, |draft| draft.0);
draft!(Event, |draft| draft.0);
draft!(Response, |draft| draft.draft);

/// What requests and events have.
macro_rules! asked {
    ($name:ident) => {
        impl $name {
            /// The effect that the call will have, as far as the sender knows it.
            pub fn effect(mut self, effect: impl Into<proto::Effect>) -> Self {
                self.0.envelope.effect = Some(effect.into());
                self
            }

            /// An attribute beside those that are carried. At most 64, and 16 KiB in all.
            pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.0.envelope.attributes.insert(name.into(), value.into());
                self
            }

            /// Carries this attribute no further.
            pub fn without_attribute(mut self, name: &str) -> Self {
                self.0.envelope.attributes.remove(name);
                self
            }

            /// The id of the call, to know its response by.
            #[must_use]
            pub fn call_id(&self) -> &str {
                &self.0.envelope.call_id
            }

            /// The envelope, sent at `now` by the sender's clock.
            ///
            /// # Errors
            /// What the agent would refuse it for.
            pub fn sent(self, now: SystemTime) -> Result<Envelope, WireError> {
                self.0.sent(now)
            }
        }
    };
}

/// A request that is being written.
#[derive(Debug, Clone)]
#[must_use = "a request is nothing before it is sent"]
pub struct Request(pub(super) Draft);

/// An event that is being written.
#[derive(Debug, Clone)]
#[must_use = "an event is nothing before it is sent"]
pub struct Event(pub(super) Draft);

/// A response that is being written.
#[derive(Debug, Clone)]
#[must_use = "a response is nothing before it is sent"]
pub struct Response {
    pub(super) draft: Draft,
    pub(super) key: String,
}

asked!(Request);
asked!(Event);

impl Request {
    /// How long the caller waits. Without one a missing response never fails a chain (S2.2). At most 30 days.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.envelope.timeout = Some(proto::Duration {
            seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            nanos: timeout.subsec_nanos().cast_signed(),
        });
        self
    }

    /// This is another attempt of the call `call_id`, which has the same parent (S3.1). [`super::Scope::retry`] does it all.
    pub fn retry_of(mut self, call_id: impl Into<String>) -> Self {
        self.0.envelope.retry_of = call_id.into();
        self
    }

    /// This undoes the call `call_id`: what a service takes back by itself the agent does not (S4.8).
    pub fn compensates(mut self, call_id: impl Into<String>) -> Self {
        self.0.envelope.compensates = call_id.into();
        self
    }

    /// The version that is meant, if the caller chose one.
    pub fn to_version(mut self, version: impl Into<String>) -> Self {
        self.0.envelope.destination.get_or_insert_default().version = version.into();
        self
    }
}

impl Response {
    /// The effect that was made: the callee knows it best (S4.6). Its key is always that of the request.
    pub fn effect(mut self, effect: impl Into<proto::Effect>) -> Self {
        self.draft.envelope.effect = Some(proto::Effect { idempotency_key: self.key.clone(), ..effect.into() });
        self
    }

    /// Text for people. Not kept by the agent.
    pub fn message(mut self, text: impl Into<String>) -> Self {
        self.status().message = text.into();
        self
    }

    /// The call that is to blame: one made inside, or one further down (S3.3).
    pub fn caused_by(mut self, call_id: impl Into<String>) -> Self {
        self.status().caused_by_call_id = call_id.into();
        self
    }

    /// Whose fault a failure was: the callee's own, if nothing is said.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.status().fault = fault.into();
        self
    }

    /// It is a business answer, such as a declined card: nobody's fault.
    pub fn business(self) -> Self {
        self.fault(Fault::Business)
    }

    fn status(&mut self) -> &mut Status {
        self.draft.envelope.status.get_or_insert_default()
    }

    /// The envelope, sent at `now` by the sender's clock.
    ///
    /// # Errors
    /// What the agent would refuse it for.
    pub fn sent(self, now: SystemTime) -> Result<Envelope, WireError> {
        self.draft.sent(now)
    }
}

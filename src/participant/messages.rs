//! Envelopes of one service: requests, events and responses, checked as the agent checks them (S1, S8.2, S8.3).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use prost::Message as _;

use super::{
    ids::{DerivedIds, Ids},
    time::{millis, timestamp},
};
use crate::wire::{
    self, WireError, WireLimits,
    proto::{self, Any, Command, Envelope, Fault, Kind, Party, Status, StatusCode},
};

/// Makes the messages of one service. Cheap to clone.
#[derive(Clone)]
pub struct Messages {
    party: Party,
    limits: Arc<WireLimits>,
    ids: Arc<dyn Ids>,
    carried: Option<Arc<BTreeSet<String>>>,
}

impl Messages {
    /// Messages of the service of that name. At most 256 bytes.
    #[must_use]
    pub fn of(service: impl Into<String>) -> Self {
        let party = Party { service: service.into(), ..Party::default() };
        Self { party, limits: Arc::default(), ids: Arc::new(DerivedIds::default()), carried: None }
    }

    /// The version that runs: without it nothing can be said for or against a version (S6). At most 256 bytes.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.party.version = version.into();
        self
    }

    /// The instance. At most 256 bytes.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.party.instance = instance.into();
        self
    }

    /// Another source of ids than [`DerivedIds`].
    #[must_use]
    pub fn ids(mut self, ids: impl Ids + 'static) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// The limits that the agent is configured with, if they are not the defaults.
    #[must_use]
    pub fn limits(mut self, limits: WireLimits) -> Self {
        self.limits = Arc::new(limits);
        self
    }

    /// Carries only these attributes from call to call. Without it all are carried, such as those of a security context.
    #[must_use]
    pub fn carry_only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.carried = Some(Arc::new(names.into_iter().map(Into::into).collect()));
        self
    }

    /// Who sends.
    #[must_use]
    pub fn party(&self) -> &Party {
        &self.party
    }

    pub(super) fn wire_limits(&self) -> &WireLimits {
        &self.limits
    }

    /// The request that begins a chain. `chain_id` is unique to the cause, such as an order's number or a UUID. `label`
    /// tells several beginnings of one chain apart.
    #[must_use]
    pub fn begin(&self, chain_id: &str, label: &str, service: &str, operation: &str) -> Request {
        self.root(chain_id).request(label, service, operation)
    }

    /// The event that begins a chain.
    #[must_use]
    pub fn begin_event(&self, chain_id: &str, label: &str, operation: &str) -> Event {
        self.root(chain_id).event(label, operation)
    }

    fn root(&self, chain_id: &str) -> Scope {
        Scope {
            messages: self.clone(),
            chain_id: chain_id.to_owned(),
            call_id: String::new(),
            during: String::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// What is sent while `request`, which is a request or an event, is handled, and the answers to it.
    ///
    /// # Errors
    /// If the agent would not take the request, or it is a response.
    pub fn within(&self, request: &Envelope) -> Result<Handling, WireError> {
        checked(request, &self.limits)?;
        if request.kind() == Kind::Response {
            return Err(WireError::UnknownValue { field: "kind", number: request.kind });
        }
        let scope = Scope {
            messages: self.clone(),
            chain_id: request.chain_id.clone(),
            call_id: request.call_id.clone(),
            during: request.during_command_id.clone(),
            attributes: self.carried(&request.attributes),
        };
        let key = request.effect.as_ref().map(|effect| effect.idempotency_key.clone()).unwrap_or_default();
        Ok(Handling {
            scope,
            parent: request.parent_call_id.clone(),
            caller: request.source.clone(),
            operation: request.operation.clone(),
            key,
        })
    }

    /// What is sent while a command is handled: marked so that the agent never undoes it (S1.8).
    #[must_use]
    pub fn during(&self, command: &Command) -> Scope {
        Scope {
            messages: self.clone(),
            chain_id: command.chain_id.clone(),
            call_id: command.call_id.clone(),
            during: command.command_id.clone(),
            attributes: self.carried(&command.attributes),
        }
    }

    /// Answers to a call of which only a command tells.
    pub(super) fn answering(&self, command: &Command) -> Handling {
        Handling {
            scope: self.during(command),
            parent: String::new(),
            caller: None,
            operation: command.call_operation.clone(),
            key: command.idempotency_key.clone(),
        }
    }

    fn carried(&self, attributes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        match &self.carried {
            None => attributes.clone(),
            Some(names) => {
                let kept = attributes.iter().filter(|(name, _)| names.contains(*name));
                kept.map(|(name, value)| (name.clone(), value.clone())).collect()
            }
        }
    }
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").field("party", &self.party).finish_non_exhaustive()
    }
}

/// Where calls are made: inside a call, inside the handling of a command, or at the beginning of a chain.
#[derive(Debug, Clone)]
pub struct Scope {
    messages: Messages,
    chain_id: String,
    call_id: String,
    during: String,
    attributes: BTreeMap<String, String>,
}

impl Scope {
    /// A call to `operation` of `service`. `label` names it among the calls of this scope: the same label is the same
    /// call, with the same ids, also when the handler runs again.
    #[must_use]
    pub fn request(&self, label: &str, service: &str, operation: &str) -> Request {
        let destination = Party { service: service.to_owned(), ..Party::default() };
        Request(self.draft(Kind::Request, label, Some(destination), operation))
    }

    /// Another attempt of `request`, which was sent from this scope: the same, under a call id of its own. `attempt`
    /// counts from 2.
    #[must_use]
    pub fn retry(&self, request: &Envelope, attempt: u32) -> Request {
        let ids = &self.messages.ids;
        let call_id = ids.id(&["call", &self.chain_id, &request.call_id, "attempt", &attempt.to_string()]);
        let message_id = ids.id(&["message", &self.chain_id, &call_id, "request"]);
        let envelope = Envelope { call_id, message_id, retry_of: request.call_id.clone(), ..request.clone() };
        Request(Draft { envelope, limits: self.messages.limits.clone() })
    }

    /// Something told one-way (S1.7). `label` as of a request.
    #[must_use]
    pub fn event(&self, label: &str, operation: &str) -> Event {
        Event(self.draft(Kind::Event, label, None, operation))
    }

    fn draft(&self, kind: Kind, label: &str, destination: Option<Party>, operation: &str) -> Draft {
        let ids = &self.messages.ids;
        let call_id = ids.id(&["call", &self.chain_id, &self.call_id, &self.during, label]);
        let message_id = ids.id(&["message", &self.chain_id, &call_id, "request"]);
        let envelope = Envelope {
            message_id,
            chain_id: self.chain_id.clone(),
            call_id,
            parent_call_id: self.call_id.clone(),
            kind: kind.into(),
            source: Some(self.messages.party.clone()),
            destination,
            operation: operation.to_owned(),
            during_command_id: self.during.clone(),
            attributes: self.attributes.clone(),
            ..Envelope::default()
        };
        Draft { envelope, limits: self.messages.limits.clone() }
    }
}

/// The handling of a request or an event: a [`Scope`], and what can be answered.
#[derive(Debug, Clone)]
pub struct Handling {
    scope: Scope,
    parent: String,
    caller: Option<Party>,
    operation: String,
    key: String,
}

impl Handling {
    /// A call made inside; see [`Scope::request`].
    #[must_use]
    pub fn request(&self, label: &str, service: &str, operation: &str) -> Request {
        self.scope.request(label, service, operation)
    }

    /// Another attempt; see [`Scope::retry`].
    #[must_use]
    pub fn retry(&self, request: &Envelope, attempt: u32) -> Request {
        self.scope.retry(request, attempt)
    }

    /// An event told inside; see [`Scope::event`].
    #[must_use]
    pub fn event(&self, label: &str, operation: &str) -> Event {
        self.scope.event(label, operation)
    }

    pub(super) fn limits(&self) -> &WireLimits {
        self.scope.messages.wire_limits()
    }

    /// It worked, and its effect is there.
    #[must_use]
    pub fn ok(&self) -> Response {
        self.response(StatusCode::Ok, "", "")
    }

    /// It did not work, **and nothing of it remains here**. Whoever is not sure says [`Handling::unknown`]. `reason` is
    /// short and machine-readable, such as `CARD_DECLINED`.
    #[must_use]
    pub fn failed(&self, reason: impl Into<String>) -> Response {
        self.response(StatusCode::Failed, reason, "")
    }

    /// It may have taken effect.
    #[must_use]
    pub fn unknown(&self, reason: impl Into<String>) -> Response {
        self.response(StatusCode::Unknown, reason, "")
    }

    /// It was given up because of another failure; it may have taken effect.
    #[must_use]
    pub fn cancelled(&self, reason: impl Into<String>) -> Response {
        self.response(StatusCode::Cancelled, reason, "")
    }

    /// No outcome yet: the caller's clock starts anew (S2.1). `nth` counts these answers from 1: one that is said twice
    /// counts once.
    #[must_use]
    pub fn ongoing(&self, nth: u32) -> Response {
        self.response(StatusCode::Ongoing, "", &nth.to_string())
    }

    pub(super) fn response(&self, code: StatusCode, reason: impl Into<String>, nth: &str) -> Response {
        let messages = &self.scope.messages;
        let Scope { chain_id, call_id, .. } = &self.scope;
        let message_id = self.response_id(code, nth);
        let envelope = Envelope {
            message_id,
            chain_id: chain_id.clone(),
            call_id: call_id.clone(),
            parent_call_id: self.parent.clone(),
            kind: Kind::Response.into(),
            source: Some(messages.party.clone()),
            destination: self.caller.clone(),
            operation: self.operation.clone(),
            status: Some(Status { code: code.into(), reason: reason.into(), ..Status::default() }),
            ..Envelope::default()
        };
        let draft = Draft { envelope, limits: messages.limits.clone() };
        Response { draft, key: self.key.clone() }
    }

    /// What `answer`, given to another call that shares its effect (S4.5), says as an answer to this one.
    pub(super) fn readdressed(&self, answer: Envelope) -> Envelope {
        if answer.call_id == self.scope.call_id {
            return answer;
        }
        let code = answer.status.as_ref().map_or(StatusCode::Unknown, Status::code);
        Envelope {
            message_id: self.response_id(code, "shared"),
            call_id: self.scope.call_id.clone(),
            parent_call_id: self.parent.clone(),
            destination: self.caller.clone(),
            ..answer
        }
    }

    /// The service is named since several consumers report on one event.
    fn response_id(&self, code: StatusCode, nth: &str) -> String {
        let Scope { messages, chain_id, call_id, .. } = &self.scope;
        let service = &messages.party.service;
        messages.ids.id(&["message", chain_id, call_id, "response", service, code.as_str_name(), nth])
    }
}

/// An envelope on its way.
#[derive(Debug, Clone)]
struct Draft {
    envelope: Envelope,
    limits: Arc<WireLimits>,
}

impl Draft {
    fn sent(mut self, now: SystemTime) -> Result<Envelope, WireError> {
        self.envelope.sent_at = Some(timestamp(millis(now)));
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
            #[must_use]
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
            #[must_use]
            pub fn effect(mut self, effect: impl Into<proto::Effect>) -> Self {
                self.0.envelope.effect = Some(effect.into());
                self
            }

            /// An attribute beside those that are carried. At most 64, and 16 KiB in all.
            #[must_use]
            pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.0.envelope.attributes.insert(name.into(), value.into());
                self
            }

            /// Carries this attribute no further.
            #[must_use]
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
pub struct Request(Draft);

/// An event that is being written.
#[derive(Debug, Clone)]
#[must_use = "an event is nothing before it is sent"]
pub struct Event(Draft);

/// A response that is being written.
#[derive(Debug, Clone)]
#[must_use = "a response is nothing before it is sent"]
pub struct Response {
    draft: Draft,
    key: String,
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

    /// This is another attempt of the call `call_id`, which has the same parent (S3.1). [`Scope::retry`] does it all.
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

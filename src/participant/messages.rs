//! Envelopes of one service: requests, events and responses, checked as the agent checks them (S1, S8.2, S8.3).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    draft::{Draft, Event, Request, Response, checked},
    ids::{DerivedIds, Ids},
};
use crate::wire::{
    WireError, WireLimits,
    proto::{Command, Envelope, Kind, Party, Status, StatusCode},
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
    pub fn begin(&self, chain_id: &str, label: &str, service: &str, operation: &str) -> Request {
        self.root(chain_id).request(label, service, operation)
    }

    /// The event that begins a chain.
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
            again: 0,
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

    /// Answers to a call of which only a command tells, and which it does for the `again`th time anew.
    pub(super) fn answering(&self, command: &Command, again: u32) -> Handling {
        Handling {
            scope: self.during(command),
            parent: String::new(),
            caller: None,
            operation: command.call_operation.clone(),
            key: command.idempotency_key.clone(),
            again,
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
    pub fn request(&self, label: &str, service: &str, operation: &str) -> Request {
        let destination = Party { service: service.to_owned(), ..Party::default() };
        Request(self.draft(Kind::Request, label, Some(destination), operation))
    }

    /// Another attempt of `request`, which was sent from this scope: the same, under a call id of its own. `attempt`
    /// counts from 2.
    pub fn retry(&self, request: &Envelope, attempt: u32) -> Request {
        let ids = &self.messages.ids;
        let call_id = ids.id(&["call", &self.chain_id, &request.call_id, "attempt", &attempt.to_string()]);
        let message_id = ids.id(&["message", &self.chain_id, &call_id, "request"]);
        let envelope = Envelope { call_id, message_id, retry_of: request.call_id.clone(), ..request.clone() };
        Request(Draft { envelope, limits: self.messages.limits.clone() })
    }

    /// Something told one-way (S1.7). `label` as of a request.
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
    /// How often the call was done again: each time the answer is another one.
    again: u32,
}

impl Handling {
    pub(super) fn call_id(&self) -> &str {
        &self.scope.call_id
    }

    /// The handling of a call that was done again `again` times by now.
    pub(super) fn again(self, again: u32) -> Self {
        Self { again, ..self }
    }

    /// A call made inside; see [`Scope::request`].
    pub fn request(&self, label: &str, service: &str, operation: &str) -> Request {
        self.scope.request(label, service, operation)
    }

    /// Another attempt; see [`Scope::retry`].
    pub fn retry(&self, request: &Envelope, attempt: u32) -> Request {
        self.scope.retry(request, attempt)
    }

    /// An event told inside; see [`Scope::event`].
    pub fn event(&self, label: &str, operation: &str) -> Event {
        self.scope.event(label, operation)
    }

    pub(super) fn limits(&self) -> &WireLimits {
        self.scope.messages.wire_limits()
    }

    /// It worked, and its effect is there.
    pub fn ok(&self) -> Response {
        self.response(StatusCode::Ok, "", "")
    }

    /// It did not work, **and nothing of it remains here**. Whoever is not sure says [`Handling::unknown`]. `reason` is
    /// short and machine-readable, such as `CARD_DECLINED`.
    pub fn failed(&self, reason: impl Into<String>) -> Response {
        self.response(StatusCode::Failed, reason, "")
    }

    /// It may have taken effect.
    pub fn unknown(&self, reason: impl Into<String>) -> Response {
        self.response(StatusCode::Unknown, reason, "")
    }

    /// It was given up because of another failure; it may have taken effect.
    pub fn cancelled(&self, reason: impl Into<String>) -> Response {
        self.response(StatusCode::Cancelled, reason, "")
    }

    /// No outcome yet: the caller's clock starts anew (S2.1). `nth` counts these answers from 1: one that is said twice
    /// counts once.
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

    /// What `answer` says as an answer to this call: one that was given to another call which shares its effect (S4.5), or
    /// for a command, which does not say who called.
    pub(super) fn readdressed(&self, answer: Envelope) -> Envelope {
        if answer.call_id == self.scope.call_id {
            let (parent_call_id, destination) = (self.parent.clone(), self.caller.clone());
            return match answer.destination {
                None => Envelope { parent_call_id, destination, ..answer },
                Some(_) => answer,
            };
        }
        // Named by the answer, since the other call may be answered otherwise once more.
        let Scope { messages, chain_id, call_id, .. } = &self.scope;
        let words = ["message", chain_id, call_id, "response", &messages.party.service, "shared", &answer.message_id];
        Envelope {
            message_id: messages.ids.id(&words),
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
        let again = self.again.to_string();
        let words = ["message", chain_id, call_id, "response", service, code.as_str_name(), nth, &again];
        let words = if self.again == 0 { &words[..words.len() - 1] } else { &words[..] };
        messages.ids.id(words)
    }
}

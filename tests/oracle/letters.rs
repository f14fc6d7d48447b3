//! S0: messages as they were heard, owned and never changed. Everything else is worked out from them anew each time.

use std::collections::BTreeMap;

use countermand::model::{
    Compensation, DeadLetter, EffectClass, EffectDeclaration, Fault, Handled, Message, MessageKind, Moment, Payload,
    Request, Response, Span, StatusCode,
};

/// A service, its version and its instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    pub service: String,
    pub version: String,
    pub instance: String,
}

/// A payload.
pub type Bytes = Option<(String, Vec<u8>)>;

/// What undoes an effect, as a message declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undoing {
    pub operation: String,
    pub accepts_in_doubt: bool,
    pub inquire: String,
    pub route: String,
    pub headers: BTreeMap<String, String>,
    pub payload: Bytes,
}

/// What a message declares about an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub class: Option<EffectClass>,
    pub key: String,
    pub undoing: Option<Undoing>,
}

/// A request or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub event: bool,
    pub parent: String,
    pub from: Party,
    pub to: Party,
    pub operation: String,
    pub timeout: Option<Span>,
    pub retry_of: String,
    pub compensates: String,
    pub during: String,
    pub declared: Declared,
    pub attributes: BTreeMap<String, String>,
    pub payload: Bytes,
}

/// A response or a consumer's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub by: Party,
    pub code: StatusCode,
    pub reason: String,
    pub caused_by: String,
    pub fault: Fault,
    pub declared: Declared,
    pub payload: Bytes,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Ask(Ask),
    Answer(Answer),
    /// The request turned up dead (S1.9).
    Dead(Handled),
}

/// One message at its place on the bus.
#[derive(Debug, Clone)]
pub struct Letter {
    pub moment: Moment,
    pub message_id: String,
    pub call: String,
    pub body: Body,
}

impl Letter {
    pub fn message(message: &Message<'_>, moment: Moment) -> Self {
        let body = match &message.kind {
            MessageKind::Request(request) => Body::Ask(ask(request, false)),
            MessageKind::Event(request) => Body::Ask(ask(request, true)),
            MessageKind::Response(response) => Body::Answer(answer(response)),
        };
        Self { moment, message_id: message.message_id.into(), call: message.call_id.into(), body }
    }

    pub fn dead(letter: &DeadLetter<'_>, moment: Moment) -> Self {
        let message = &letter.message;
        Self { moment, message_id: String::new(), call: message.call_id.into(), body: Body::Dead(letter.handled) }
    }

    /// S1.2: the same content, wherever and whenever the bus had it.
    pub fn same_content(&self, other: &Self) -> bool {
        self.call == other.call && self.body == other.body
    }
}

fn party(from: countermand::model::Party<'_>) -> Party {
    Party { service: from.service.into(), version: from.version.into(), instance: from.instance.into() }
}

fn bytes(payload: Option<Payload<'_>>) -> Bytes {
    payload.map(|payload| (payload.type_url.into(), payload.value.into()))
}

fn undoing(compensation: &Compensation<'_>) -> Undoing {
    Undoing {
        operation: compensation.operation.into(),
        accepts_in_doubt: compensation.accepts_in_doubt,
        inquire: compensation.inquire_operation.into(),
        route: compensation.route.into(),
        headers: compensation.headers.cloned().unwrap_or_default(),
        payload: bytes(compensation.payload),
    }
}

fn declared(effect: &EffectDeclaration<'_>) -> Declared {
    Declared { class: effect.class, key: effect.key.into(), undoing: effect.compensation.as_ref().map(undoing) }
}

fn ask(request: &Request<'_>, event: bool) -> Ask {
    Ask {
        event,
        parent: request.parent.into(),
        from: party(request.source),
        to: party(request.destination),
        operation: request.operation.into(),
        timeout: request.timeout,
        retry_of: request.retry_of.into(),
        compensates: request.compensates.into(),
        during: request.during.into(),
        declared: declared(&request.effect),
        attributes: request.attributes.cloned().unwrap_or_default(),
        payload: bytes(request.payload),
    }
}

fn answer(response: &Response<'_>) -> Answer {
    Answer {
        by: party(response.by),
        code: response.status.code,
        reason: response.status.reason.into(),
        caused_by: response.status.caused_by.into(),
        fault: response.status.fault,
        declared: declared(&response.effect),
        payload: bytes(response.payload),
    }
}

//! S1.2 to S1.5, S1.9: one message finds its place in its chain. What the messages mean is judged later; here only the
//! set of them grows, so that the order of arrival leaves no trace (S1.1).

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    call::{Answer, AnswerCode, AnswerMore, Begun, Call, Content, Declaration, RequestMore, Stamp},
    chain::{Chain, Node},
    parts::has_room_for,
    policies::Policies,
};
use crate::{
    model::{
        AnomalyKind, DeadLetter, EffectClass, EffectDeclaration, Handled, Id, Message, MessageKind, Name, Names, Party,
        Payload, Refusal, Request, Response,
    },
    policy::{Limits, Undeclared},
};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Seen before: dropped.
    Duplicate,
    /// Kept.
    Kept,
    /// Kept, and the chain, which is waiting already, is not due sooner for it: a call began and is open, or one was
    /// answered while the only root is open.
    Opened,
    /// Not kept.
    Refused(Refusal),
}

/// What taking a message needs beside its chain.
pub(super) struct Intake<'a> {
    pub names: &'a mut Names,
    pub policies: &'a mut Policies,
}

impl Intake<'_> {
    /// Takes a request, a response or an event.
    pub fn message(&mut self, chain: &mut Chain, message: &Message<'_>, stamp: Stamp) -> Taken {
        let content = content_of(message.call_id, &message.kind);
        if let Some(taken) = self.recognise(chain, message.message_id, content, 0) {
            return self.copy(chain, message, content, stamp).unwrap_or(taken);
        }
        if self.is_one_too_many(chain, message) {
            chain.noted.add(AnomalyKind::LimitExceeded);
            return Taken::Refused(Refusal::LimitExceeded);
        }
        let taken = match &message.kind {
            MessageKind::Request(request) => self.request(chain, message.call_id, request, false, content, stamp),
            MessageKind::Event(request) => self.request(chain, message.call_id, request, true, content, stamp),
            MessageKind::Response(response) => self.response(chain, message.call_id, response, stamp),
        };
        self.remember(chain, message.message_id, content, 0, taken, stamp)
    }

    /// Of two copies of one message the earlier in bus time stands, whichever is read first (S1.1): where this copy is the
    /// earlier one, what the other said moves there. `None`: it is not.
    fn copy(&mut self, chain: &mut Chain, message: &Message<'_>, content: u64, stamp: Stamp) -> Option<Taken> {
        let node = chain.find(message.call_id)?;
        let moved = match &message.kind {
            MessageKind::Request(request) | MessageKind::Event(request) => {
                let known = chain.graph[node].begun.as_ref()?;
                let is_it = stamp < known.stamp;
                let event = matches!(message.kind, MessageKind::Event(_));
                is_it.then(|| self.request(chain, message.call_id, request, event, content, stamp))?
            }
            MessageKind::Response(response) => {
                let answer = self.answer_of(chain, message.call_id, response, stamp).ok()?;
                chain.move_answer(node, &answer).then_some(Taken::Kept)?
            }
        };
        chain.first_at = chain.first_at.min(stamp.at);
        Some(moved)
    }

    /// Takes a dead letter: an answer to the call whose request died (S1.9).
    pub fn dead_letter(&mut self, chain: &mut Chain, letter: &DeadLetter<'_>, stamp: Stamp) -> Taken {
        const SALT: u64 = 0x6465_6164;
        let message = &letter.message;
        let code = match letter.handled {
            Handled::Maybe => AnswerCode::DeadMaybe,
            Handled::No => AnswerCode::DeadUnhandled,
        };
        let answer = Answer { stamp, reason: Name::NONE, service: Name::NONE, version: Name::NONE, code, more: None };
        let content = xxh3_64_with_seed(message.call_id.as_bytes(), SALT ^ letter.handled as u64);
        if let Some(taken) = self.recognise(chain, message.message_id, content, SALT) {
            let node = chain.find(message.call_id);
            let moved = node.is_some_and(|node| chain.move_answer(node, &answer));
            return if moved { Taken::Kept } else { taken };
        }
        let taken = self.answer(chain, message.call_id, answer);
        self.remember(chain, message.message_id, content, SALT, taken, stamp)
    }

    /// Whether the message was seen before (S1.2).
    fn recognise(&self, chain: &mut Chain, message_id: &str, content: u64, salt: u64) -> Option<Taken> {
        if message_id.is_empty() {
            return None;
        }
        let mark = seen_mark(message_id, content, salt);
        let same_id = chain.seen.iter().find(|&&seen| (seen ^ mark) >> CONTENT_BITS == 0)?;
        if *same_id == mark || chain.seen.contains(&mark) {
            return Some(Taken::Duplicate);
        }
        chain.noted.add(AnomalyKind::MessageIdReused);
        None
    }

    fn remember(
        &self,
        chain: &mut Chain,
        message_id: &str,
        content: u64,
        salt: u64,
        taken: Taken,
        stamp: Stamp,
    ) -> Taken {
        if matches!(taken, Taken::Kept | Taken::Opened) {
            if !message_id.is_empty() {
                chain.seen.push(seen_mark(message_id, content, salt));
            }
            chain.first_at = chain.first_at.min(stamp.at);
            chain.newest_at = chain.newest_at.max(stamp.at);
        }
        taken
    }

    fn limits(&self) -> &Limits {
        &self.policies.policy().settings.limits
    }

    /// The node of a call, made half-known if it is new.
    fn node(&self, chain: &mut Chain, call_id: &str) -> Result<Node, Refusal> {
        if let Some(node) = chain.find(call_id) {
            return Ok(node);
        }
        if chain.graph.node_count() >= self.limits().calls_per_chain.min(60_000) {
            chain.noted.add(AnomalyKind::LimitExceeded);
            return Err(Refusal::LimitExceeded);
        }
        Ok(chain.add(call_id, Call::half_known(Id::new(call_id))))
    }

    fn request(
        &mut self,
        chain: &mut Chain,
        call_id: &str,
        request: &Request<'_>,
        event: bool,
        content: u64,
        stamp: Stamp,
    ) -> Taken {
        let place = |intake: &mut Self, chain: &mut Chain| {
            intake.try_request(chain, call_id, request, event, content, stamp).unwrap_or_else(Taken::Refused)
        };
        if event || chain.has_events { self.within_limit(chain, place) } else { place(self, chain) }
    }

    fn try_request(
        &mut self,
        chain: &mut Chain,
        call_id: &str,
        request: &Request<'_>,
        event: bool,
        content: u64,
        stamp: Stamp,
    ) -> Result<Taken, Refusal> {
        let begun = self.begun(request, event, content, stamp)?;
        let has_root = chain.has_root;
        let node = self.node(chain, call_id)?;
        let parent = match request.parent {
            "" => None,
            parent => Some(self.node(chain, parent)?),
        };
        let call = &mut chain.graph[node];
        let heap_before = call.heap_bytes();
        let opened = has_root && call.begun.is_none() && call.answer_count() == 0 && stamp.at >= chain.first_at;
        match &mut call.begun {
            None => {
                chain.sum.is_simple &= call.answer_count() == 0;
                chain.sum.newest = chain.sum.newest.max(stamp.at);
                call.begun = Some(begun);
                chain.link(parent, node);
            }
            // The same request again under another message id: the first in bus time stands.
            Some(known) if known.content == begun.content => {
                chain.sum.is_simple = false;
                known.stamp = known.stamp.min(stamp);
            }
            Some(known) => {
                chain.noted.add(AnomalyKind::ConflictingRequest);
                chain.plain = false;
                if stamp < known.stamp {
                    *known = begun;
                    chain.link(parent, node);
                }
            }
        }
        chain.has_events |= event;
        chain.add_lane(stamp.lane());
        let call = &chain.graph[node];
        chain.plain &= !event && call.begun.as_ref().is_some_and(|begun| begun.more.is_none() || is_simple(begun));
        chain.call_heap = chain.call_heap + call.heap_bytes() - heap_before;
        if call.begun.as_ref().is_some_and(|begun| !begun.has_parent) {
            let settings = &self.policies.policy().settings;
            let timeout = call.begun.as_ref().and_then(Begun::timeout).filter(|_| !event);
            let limit = timeout.map(|timeout| stamp.at.plus(timeout).plus(settings.timeout_grace));
            let limit = limit.map(|limit| limit.plus(settings.decide_grace));
            chain.add_root(node, limit);
        }
        Ok(if opened && chain.plain { Taken::Opened } else { Taken::Kept })
    }

    fn begun(&mut self, request: &Request<'_>, event: bool, content: u64, stamp: Stamp) -> Result<Begun, Refusal> {
        let mut begun = Begun::blank(stamp);
        begun.source = self.name(request.source.service)?;
        begun.service = self.name(request.destination.service)?;
        begun.version = self.name(request.destination.version)?;
        begun.instance = self.name(request.destination.instance)?;
        begun.operation = self.name(request.operation)?;
        let policy = self.policies.of(self.names, begun.service, begun.operation);
        begun.set_timeout(request.timeout.or(policy.timeout));
        begun.content = content_half(content);
        begun.event = event;
        begun.has_parent = !request.parent.is_empty();
        let consumers = policy.consumers.as_ref().filter(|_| event).cloned();
        let (ruled, mut shows) = (policy.has_effect(), !policy.show.is_empty());
        let has_effect = declares_effect(&request.effect)
            || ruled
            || (self.policies.policy().settings.undeclared == Undeclared::Effect
                && request.effect.class != Some(EffectClass::ReadOnly));
        for service in consumers.iter().flat_map(|consumers| &consumers.services) {
            let consumer = self.name(service)?;
            shows |= self.policies.shows(self.names, consumer, begun.operation);
        }
        begun.more = self.request_more(request, has_effect, shows).map(Box::new);
        Ok(begun)
    }

    /// Payload and attributes are kept only of calls that have an effect: nobody else will need them. But for payloads of which
    /// something is shown.
    fn request_more(&self, request: &Request<'_>, has_effect: bool, shows: bool) -> Option<RequestMore> {
        let is_undo = !request.compensates.is_empty() || !request.during.is_empty();
        let says_more = is_undo || !request.retry_of.is_empty() || Declaration::is_said(&request.effect);
        let payload = request.payload.filter(|_| has_effect || shows);
        let wanted = &self.policies.policy().settings.attributes;
        let attributes = if has_effect { carried(request.attributes, wanted) } else { BTreeMap::new() };
        if !says_more && payload.is_none() && attributes.is_empty() {
            return None;
        }
        let id = |text: &str| (!text.is_empty()).then(|| Box::new(Id::new(text)));
        Some(RequestMore {
            retry_of: id(request.retry_of),
            compensates: id(request.compensates),
            during: !request.during.is_empty(),
            effect: Declaration::new(&request.effect),
            attributes,
            payload: payload.map(|payload| Box::new(Content::new(payload))),
        })
    }

    fn response(&mut self, chain: &mut Chain, call_id: &str, response: &Response<'_>, stamp: Stamp) -> Taken {
        let answer = match self.answer_of(chain, call_id, response, stamp) {
            Ok(answer) => answer,
            Err(refusal) => return Taken::Refused(refusal),
        };
        self.answer(chain, call_id, answer)
    }

    fn answer_of(
        &mut self,
        chain: &Chain,
        call_id: &str,
        response: &Response<'_>,
        stamp: Stamp,
    ) -> Result<Answer, Refusal> {
        let service = self.name(response.by.service)?;
        let call = chain.find(call_id).map(|node| &chain.graph[node]);
        let is_wanted = declares_effect(&response.effect)
            || call.and_then(|call| call.begun.as_ref()).is_none_or(|begun| {
                let said = begun.more.as_ref().is_some_and(|more| more.payload.is_some() || !more.effect.is_empty());
                said || self.policies.has_effect(self.names, begun.service, begun.operation)
                    || self.policies.shown(self.names, (service, begun.service), begun.operation).is_some()
            });
        let payload = response.payload.filter(|_| is_wanted);
        let caused_by = response.status.caused_by;
        let says_more = !caused_by.is_empty() || Declaration::is_said(&response.effect) || payload.is_some();
        let more = says_more.then(|| {
            Box::new(AnswerMore {
                caused_by: (!caused_by.is_empty()).then(|| Id::new(caused_by)),
                effect: Declaration::new(&response.effect),
                payload: payload.map(|payload| Box::new(Content::new(payload))),
            })
        });
        Ok(Answer {
            stamp,
            reason: self.name(response.status.reason)?,
            service,
            version: self.name(response.by.version)?,
            code: AnswerCode::of(response.status.code),
            more,
        })
    }

    fn answer(&mut self, chain: &mut Chain, call_id: &str, answer: Answer) -> Taken {
        let place = |intake: &mut Self, chain: &mut Chain| {
            intake.try_answer(chain, call_id, answer).unwrap_or_else(Taken::Refused)
        };
        if chain.has_events { self.within_limit(chain, place) } else { place(self, chain) }
    }

    fn try_answer(&self, chain: &mut Chain, call_id: &str, answer: Answer) -> Result<Taken, Refusal> {
        let node = self.node(chain, call_id)?;
        if chain.graph[node].answer_count() >= self.limits().answers_per_call
            || !has_room_for(chain, node, answer.service, self.names, self.policies)
        {
            chain.noted.add(AnomalyKind::LimitExceeded);
            return Err(Refusal::LimitExceeded);
        }
        chain.add_answer(node, answer, self.policies.policy().settings.timeout_grace);
        let known = chain.graph[node].begun.is_some();
        Ok(if known && chain.plain && chain.still_waits(node) { Taken::Opened } else { Taken::Kept })
    }

    fn name(&mut self, text: &str) -> Result<Name, Refusal> {
        self.names.intern(text).map_err(|_| Refusal::NamesFull)
    }
}

/// A request whose extras are only what a healthy chain never looks at: effect, payload, attributes.
fn is_simple(begun: &Begun) -> bool {
    begun.more.as_ref().is_none_or(|more| more.retry_of.is_none() && more.compensates.is_none() && !more.during)
}

fn declares_effect(effect: &EffectDeclaration<'_>) -> bool {
    effect.compensation.is_some() || effect.class.is_some_and(|class| class != EffectClass::ReadOnly)
}

fn carried(attributes: Option<&BTreeMap<String, String>>, wanted: &BTreeSet<String>) -> BTreeMap<String, String> {
    let Some(attributes) = attributes else { return BTreeMap::new() };
    wanted.iter().filter_map(|name| attributes.get_key_value(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// As much of a content's hash as a request keeps.
fn content_half(content: u64) -> u32 {
    u32::try_from(content >> 32).unwrap_or(0)
}

/// Bits of a mark that are the content's.
const CONTENT_BITS: u32 = 24;

fn seen_mark(message_id: &str, content: u64, salt: u64) -> u64 {
    let id = xxh3_64_with_seed(message_id.as_bytes(), salt);
    (id & !((1 << CONTENT_BITS) - 1)) | (content & ((1 << CONTENT_BITS) - 1))
}

/// A hash of everything that a message says but its ids and times; the same in every run and on every machine, since
/// snapshots carry it on. Empty fields are passed over: each field brings its own number.
fn content_of(call_id: &str, kind: &MessageKind<'_>) -> u64 {
    let mut hash = ContentHash(0x636f_6e74_656e_7400);
    hash.text(1, call_id);
    match kind {
        MessageKind::Request(request) => hash.request(2, request),
        MessageKind::Event(request) => hash.request(3, request),
        MessageKind::Response(response) => hash.response(response),
    }
    hash.0
}

struct ContentHash(u64);

impl ContentHash {
    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0 = xxh3_64_with_seed(bytes, self.0 ^ field);
        }
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn number(&mut self, field: u64, number: u64) {
        let mixed = (self.0 ^ field).wrapping_add(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 31);
    }

    fn request(&mut self, kind: u64, request: &Request<'_>) {
        self.number(2, kind);
        self.text(3, request.parent);
        self.party(4, request.source);
        self.party(7, request.destination);
        self.text(10, request.operation);
        self.number(11, request.timeout.map_or(0, |timeout| timeout.0.wrapping_add(1)));
        self.text(12, request.retry_of);
        self.text(13, request.compensates);
        self.text(14, request.during);
        self.effect(&request.effect);
        for (key, value) in request.attributes.into_iter().flatten() {
            self.text(15, key);
            self.text(16, value);
        }
        self.payload(17, request.payload);
    }

    fn response(&mut self, response: &Response<'_>) {
        self.number(2, 4);
        self.party(4, response.by);
        self.number(18, response.status.code as u64);
        self.text(19, response.status.reason);
        self.text(20, response.status.caused_by);
        self.number(21, response.status.fault as u64);
        self.effect(&response.effect);
        self.payload(17, response.payload);
    }

    fn party(&mut self, field: u64, party: Party<'_>) {
        self.text(field, party.service);
        self.text(field + 1, party.version);
        self.text(field + 2, party.instance);
    }

    fn payload(&mut self, field: u64, payload: Option<Payload<'_>>) {
        if let Some(payload) = payload {
            self.text(field + 10, payload.type_url);
            self.bytes(field + 20, payload.value);
            self.number(field, payload.value.len() as u64);
        }
    }

    fn effect(&mut self, effect: &EffectDeclaration<'_>) {
        if let Some(class) = effect.class {
            self.number(22, class as u64);
        }
        self.text(23, effect.key);
        let Some(compensation) = &effect.compensation else { return };
        self.text(24, compensation.operation);
        self.number(25, u64::from(compensation.accepts_in_doubt));
        self.text(26, compensation.inquire_operation);
        self.text(28, compensation.route);
        for (key, value) in compensation.headers.into_iter().flatten() {
            self.text(29, key);
            self.text(30, value);
        }
        self.payload(40, compensation.payload);
    }
}

//! S1, S2.1: what is kept of a call, compactly: a chain of 8 calls without payloads has to fit into 1.5 KB.

use std::collections::BTreeMap;

use crate::model::{
    BusTime, EffectClass, EffectDeclaration, Id, LaneId, Moment, Name, Payload, Position, Span, StatusCode,
};

/// A moment in 16 bytes: offsets have 48 bits, as 280 million million messages a partition are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub at: BusTime,
    place: u64,
}

const OFFSET_BITS: u32 = 48;

impl Stamp {
    pub fn new(moment: Moment) -> Self {
        let offset = moment.position.offset & ((1 << OFFSET_BITS) - 1);
        Self { at: moment.at, place: (u64::from(moment.position.lane.0) << OFFSET_BITS) | offset }
    }

    pub fn lane(self) -> LaneId {
        LaneId(u16::try_from(self.place >> OFFSET_BITS).unwrap_or(u16::MAX))
    }

    pub fn offset(self) -> u64 {
        self.place & ((1 << OFFSET_BITS) - 1)
    }

    pub fn moment(self) -> Moment {
        Moment { at: self.at, position: Position { lane: self.lane(), offset: self.offset() } }
    }
}

/// An owned payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub type_url: Box<str>,
    pub value: Box<[u8]>,
}

impl Content {
    pub fn new(payload: Payload<'_>) -> Self {
        Self { type_url: payload.type_url.into(), value: payload.value.into() }
    }

    pub fn heap_bytes(&self) -> usize {
        self.type_url.len() + self.value.len()
    }
}

/// A compensation as a message declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub operation: Box<str>,
    pub accepts_in_doubt: bool,
    more: Option<Box<DeclaredMore>>,
}

/// What most compensations do without.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DeclaredMore {
    pub payload: Option<Content>,
    pub inquire_operation: Box<str>,
    pub route: Box<str>,
    pub headers: BTreeMap<String, String>,
}

impl Declared {
    pub fn new(operation: Box<str>, accepts_in_doubt: bool, more: DeclaredMore) -> Self {
        let more = (more != DeclaredMore::default()).then(|| Box::new(more));
        Self { operation, accepts_in_doubt, more }
    }

    pub fn inquire_operation(&self) -> &str {
        self.more.as_ref().map_or("", |more| &more.inquire_operation)
    }

    pub fn route(&self) -> &str {
        self.more.as_ref().map_or("", |more| &more.route)
    }

    pub fn headers(&self) -> BTreeMap<String, String> {
        self.more.as_ref().map(|more| more.headers.clone()).unwrap_or_default()
    }

    pub fn payload(&self) -> Option<&Content> {
        self.more.as_ref()?.payload.as_ref()
    }

    fn heap_bytes(&self) -> usize {
        let more = self.more.as_ref().map_or(0, |more| {
            size_of::<DeclaredMore>()
                + more.inquire_operation.len()
                + more.route.len()
                + more.payload.as_ref().map_or(0, Content::heap_bytes)
                + pairs_bytes(&more.headers)
        });
        self.operation.len() + more
    }
}

fn pairs_bytes(pairs: &BTreeMap<String, String>) -> usize {
    pairs.iter().map(|(key, value)| key.len() + value.len() + 48).sum()
}

/// What a message declared of its call's effect (S4.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Declaration {
    pub class: Option<EffectClass>,
    pub key: Box<str>,
    pub compensation: Option<Box<Declared>>,
}

impl Declaration {
    /// Whether a message declares anything at all; most do not.
    pub fn is_said(effect: &EffectDeclaration<'_>) -> bool {
        effect.class.is_some() || !effect.key.is_empty() || effect.compensation.is_some()
    }

    /// Whether this says nothing.
    pub fn is_empty(&self) -> bool {
        self.class.is_none() && self.key.is_empty() && self.compensation.is_none()
    }

    pub fn new(effect: &EffectDeclaration<'_>) -> Self {
        let compensation = effect.compensation.map(|compensation| {
            let more = DeclaredMore {
                payload: compensation.payload.map(Content::new),
                inquire_operation: compensation.inquire_operation.into(),
                route: compensation.route.into(),
                headers: compensation.headers.cloned().unwrap_or_default(),
            };
            Box::new(Declared::new(compensation.operation.into(), compensation.accepts_in_doubt, more))
        });
        Self { class: effect.class, key: effect.key.into(), compensation }
    }

    fn heap_bytes(&self) -> usize {
        let declared = |declared: &Declared| size_of::<Declared>() + declared.heap_bytes();
        let compensation = self.compensation.as_deref().map_or(0, declared);
        self.key.len() + compensation
    }
}

/// What most requests do not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RequestMore {
    pub retry_of: Option<Box<Id>>,
    pub compensates: Option<Box<Id>>,
    /// Made while a command was handled (S1.8).
    pub during: bool,
    pub effect: Declaration,
    pub attributes: BTreeMap<String, String>,
    pub payload: Option<Box<Content>>,
}

impl RequestMore {
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.effect.heap_bytes()
            + self.retry_of.iter().chain(&self.compensates).map(|id| size_of::<Id>() + id.heap_bytes()).sum::<usize>()
            + pairs_bytes(&self.attributes)
            + self.payload.as_ref().map_or(0, |payload| size_of::<Content>() + payload.heap_bytes())
    }
}

/// The request of a call, or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub stamp: Stamp,
    pub source: Name,
    pub service: Name,
    pub version: Name,
    pub instance: Name,
    pub operation: Name,
    /// In milliseconds; `u32::MAX`: none given.
    timeout: u32,
    /// Hash of everything but message id and times: tells a conflicting request (S1.4).
    pub content: u32,
    pub event: bool,
    /// It names a parent; the parent itself is an edge of the chain's graph.
    pub has_parent: bool,
    pub more: Option<Box<RequestMore>>,
}

impl Begun {
    pub fn timeout(&self) -> Option<Span> {
        (self.timeout != u32::MAX).then_some(Span(u64::from(self.timeout)))
    }

    /// The last instant at which an answer is in time (S2.1).
    pub fn limit(&self, grace: Span) -> BusTime {
        self.timeout().map_or(BusTime::MAX, |timeout| self.stamp.at.plus(timeout).plus(grace))
    }

    pub fn set_timeout(&mut self, timeout: Option<Span>) {
        self.timeout = timeout.map_or(u32::MAX, |span| u32::try_from(span.0).unwrap_or(u32::MAX - 1));
    }

    pub fn blank(stamp: Stamp) -> Self {
        Self {
            stamp,
            source: Name::NONE,
            service: Name::NONE,
            version: Name::NONE,
            instance: Name::NONE,
            operation: Name::NONE,
            timeout: u32::MAX,
            content: 0,
            event: false,
            has_parent: false,
            more: None,
        }
    }
}

/// What an answer says, and through which door it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AnswerCode {
    Ok,
    Failed,
    Unknown,
    Cancelled,
    Ongoing,
    /// A dead letter that may have been handled (S1.9).
    DeadMaybe,
    /// A dead letter that was never handed to a consumer.
    DeadUnhandled,
}

impl AnswerCode {
    pub fn of(code: StatusCode) -> Self {
        match code {
            StatusCode::Ok => Self::Ok,
            StatusCode::Failed => Self::Failed,
            StatusCode::Unknown => Self::Unknown,
            StatusCode::Cancelled => Self::Cancelled,
            StatusCode::Ongoing => Self::Ongoing,
        }
    }

    pub fn is_final(self) -> bool {
        self != Self::Ongoing
    }

    /// A failed call's (S3.1).
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::Ongoing)
    }

    pub fn is_dead_letter(self) -> bool {
        matches!(self, Self::DeadMaybe | Self::DeadUnhandled)
    }

    /// The status that people are shown; a dead letter leaves everything open, so it shows as `UNKNOWN`.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::Ok,
            Self::Failed => StatusCode::Failed,
            Self::Cancelled => StatusCode::Cancelled,
            Self::Ongoing => StatusCode::Ongoing,
            Self::Unknown | Self::DeadMaybe | Self::DeadUnhandled => StatusCode::Unknown,
        }
    }
}

/// What most answers do not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AnswerMore {
    pub caused_by: Option<Id>,
    pub effect: Declaration,
    pub payload: Option<Box<Content>>,
}

/// One answer: a response, a consumer's report, or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub stamp: Stamp,
    pub reason: Name,
    /// Who answered; of an event: the consumer that reports.
    pub service: Name,
    pub version: Name,
    pub code: AnswerCode,
    pub more: Option<Box<AnswerMore>>,
}

impl Answer {
    /// All but the time and the payload, of which it depends on what else is known whether it is kept.
    fn says_the_same(&self, other: &Self) -> bool {
        let none = AnswerMore::default();
        let (own, others) = (self.more.as_deref().unwrap_or(&none), other.more.as_deref().unwrap_or(&none));
        (self.reason, self.service, self.version, self.code) == (other.reason, other.service, other.version, other.code)
            && (&own.caused_by, &own.effect) == (&others.caused_by, &others.effect)
    }

    pub fn heap_bytes(&self) -> usize {
        self.more.as_ref().map_or(0, |more| {
            let payload = more.payload.as_ref().map_or(0, |payload| size_of::<Content>() + payload.heap_bytes());
            size_of::<AnswerMore>() + more.effect.heap_bytes() + payload
        })
    }
}

/// A call: a node of its chain's graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub id: Id,
    /// `None`: half-known (S1.3).
    pub begun: Option<Begun>,
    /// The earliest answer of any code, and the others: nearly every call has at most one. Boxed, since of a chain that is
    /// open most calls have none yet.
    first: Option<Box<Answer>>,
    #[expect(clippy::box_collection, reason = "8 bytes instead of 24 in every call, for what hardly any has")]
    rest: Option<Box<Vec<Answer>>>,
}

impl Call {
    pub fn half_known(id: Id) -> Self {
        Self { id, begun: None, first: None, rest: None }
    }

    /// All answers in bus time.
    pub fn answers(&self) -> impl Iterator<Item = &Answer> + Clone {
        self.first.as_deref().into_iter().chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    pub fn answers_mut(&mut self) -> impl Iterator<Item = &mut Answer> {
        self.first.as_deref_mut().into_iter().chain(self.rest.iter_mut().flat_map(|rest| rest.iter_mut()))
    }

    pub fn answer_count(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    /// The only answer, if there is one and no more: the fast way past healthy calls.
    pub fn only_answer(&self) -> Option<&Answer> {
        if self.rest.is_none() { self.first.as_deref() } else { None }
    }

    /// Whether that service answered: of an event, whether that consumer reported (S1.7).
    pub fn is_answered_by(&self, service: Name) -> bool {
        self.answers().any(|answer| answer.service == service)
    }

    /// Keeps an answer in its place by bus time (then lane, then offset).
    pub fn add_answer(&mut self, answer: Answer) {
        let Some(first) = &mut self.first else {
            self.first = Some(Box::new(answer));
            return;
        };
        let later = if answer.stamp < first.stamp { std::mem::replace(&mut **first, answer) } else { answer };
        let rest = self.rest.get_or_insert_default();
        let place = rest.partition_point(|other| other.stamp <= later.stamp);
        rest.insert(place, later);
    }

    /// Moves the answer that says the same as `copy` to the earlier time of that; `false`: there is none, or it is earlier.
    pub fn move_answer(&mut self, copy: &Answer) -> bool {
        let is_it = |answer: &Answer| answer.stamp > copy.stamp && answer.says_the_same(copy);
        let mut all: Vec<Answer> = self.first.take().map(|first| *first).into_iter().collect();
        all.extend(self.rest.take().into_iter().flat_map(|rest| *rest));
        let moved = all.iter_mut().find(|answer| is_it(answer)).map(|answer| answer.stamp = copy.stamp);
        all.into_iter().for_each(|answer| self.add_answer(answer));
        moved.is_some()
    }

    pub fn heap_bytes(&self) -> usize {
        let begun = self.begun.as_ref().and_then(|begun| begun.more.as_ref()).map_or(0, |more| more.heap_bytes());
        let rest = self.rest.as_ref().map_or(0, |rest| 24 + rest.capacity() * size_of::<Answer>());
        let first = if self.first.is_some() { size_of::<Answer>() } else { 0 };
        self.id.heap_bytes() + begun + first + rest + self.answers().map(Answer::heap_bytes).sum::<usize>()
    }

    /// Drops what late evidence does not need (S2.7).
    pub fn shrink(&mut self) {
        if let Some(more) = self.begun.as_mut().and_then(|begun| begun.more.as_mut()) {
            more.payload = None;
            more.attributes = BTreeMap::new();
        }
        for answer in self.answers_mut() {
            if let Some(more) = &mut answer.more {
                more.payload = None;
            }
        }
    }
}

//! S5.4: from an image back to what is kept. Bytes come from a topic that others can write to: nothing in them is
//! believed that would break the engine.

use super::image::{
    AnswerCodeImage, AnswerImage, BegunImage, CallImage, ChainImage, ContentImage, DecidedImage, DeclarationImage,
    FlightImage, GateImage, ItemImage, KeyImage, ModeImage, RequestMoreImage, SendingImage, StampImage,
};
use crate::{
    engine::{
        call::{
            Answer, AnswerCode, AnswerMore, Begun, Call, Content, Declaration, Declared, DeclaredMore, RequestMore,
            Stamp,
        },
        chain::{Chain, Node, Noted, Wake},
        decided::{CallKey, Decided, Flight, Gate, Item, Sending},
        policies::Policies,
        table::{key_of, new_chain},
    },
    model::{AnomalyKind, BusTime, CommandAction, Id, LaneId, Moment, Name, Names, Position, Span},
    policy::Mode,
};

/// What reading looks things up in.
pub(super) struct Reader<'a> {
    pub names: &'a mut Names,
    pub policies: &'a Policies,
    pub clock: i64,
    /// Lanes of this engine, by their place in the image's table.
    pub lanes: Vec<LaneId>,
    pub calls: usize,
}

type Read<T> = Result<T, String>;

impl Reader<'_> {
    pub fn chain(&mut self, image: &ChainImage) -> Read<Box<Chain>> {
        if image.id.is_empty() || image.calls.len() > 60_000 {
            return Err(format!("a chain needs an id and at most 60,000 calls, not {}", image.calls.len()));
        }
        self.calls = image.calls.len();
        let mut chain = new_chain(&image.id, key_of(&image.id), BusTime(image.first_at));
        chain.newest_at = BusTime(image.newest_at);
        chain.seen = image.seen.iter().copied().collect();
        chain.sum.is_simple = false;
        chain.noted = Noted::from_bits(image.noted);
        for call in &image.calls {
            let id = call.id.as_str();
            let call = self.call(call)?;
            if let Some(begun) = &call.begun {
                chain.add_lane(begun.stamp.lane());
                chain.has_events |= begun.event;
                chain.has_root |= !begun.has_parent;
                let more = begun.more.as_deref();
                chain.plain &=
                    !begun.event && more.is_none_or(|m| m.retry_of.is_none() && m.compensates.is_none() && !m.during);
            }
            chain.has_failure |= call.answers().any(|answer| answer.code.is_failure());
            chain.call_heap += call.heap_bytes();
            chain.add(id, call);
        }
        for (n, call) in image.calls.iter().enumerate() {
            if let Some(parent) = call.parent {
                chain.link(Some(self.node(parent)?), Node::new(n));
            }
        }
        chain.plain &= !chain.noted.has(AnomalyKind::ConflictingRequest);
        if !chain.graph.node_weights().any(|call| call.begun.is_some() || call.answers().next().is_some()) {
            // It would belong to no lane, so that its timers could never come true.
            return Err("a chain needs at least one message".to_owned());
        }
        chain.decided = image.decided.as_ref().map(|decided| self.decided(decided)).transpose()?.map(Box::new);
        if let Some(decided) = chain.decided.take_if(|decided| decided.settled) {
            chain.settled_at = Some(decided.at);
        }
        Ok(chain)
    }

    fn node(&self, index: u16) -> Read<Node> {
        if usize::from(index) < self.calls {
            Ok(Node::new(usize::from(index)))
        } else {
            Err(format!("call {index} of {} is named", self.calls))
        }
    }

    fn name(&mut self, text: &str) -> Read<Name> {
        self.names.intern(text).map_err(|_| format!("no room for the name `{text}`: raise limits.names"))
    }

    fn stamp(&self, image: StampImage) -> Read<Stamp> {
        let StampImage(at, lane, offset) = image;
        let lane = self.lane(lane)?;
        Ok(Stamp::new(Moment { at: BusTime(at), position: Position { lane, offset } }))
    }

    fn lane(&self, lane: u16) -> Read<LaneId> {
        self.lanes.get(usize::from(lane)).copied().ok_or_else(|| format!("lane {lane} is not in the table"))
    }

    fn limits(&self, images: &[(i64, u16)]) -> Read<Vec<Wake>> {
        images.iter().map(|&(at, lane)| Ok(Wake { at: BusTime(at), lane: self.lane(lane)? })).collect()
    }

    fn call(&mut self, image: &CallImage) -> Read<Call> {
        let mut call = Call::half_known(Id::new(&image.id));
        call.begun = image.begun.as_ref().map(|begun| self.begun(begun)).transpose()?;
        for answer in &image.answers {
            let answer = self.answer(answer)?;
            call.add_answer(answer);
        }
        Ok(call)
    }

    fn begun(&mut self, image: &BegunImage) -> Read<Begun> {
        let mut begun = Begun::blank(self.stamp(image.stamp)?);
        begun.source = self.name(&image.source)?;
        begun.service = self.name(&image.service)?;
        begun.version = self.name(&image.version)?;
        begun.instance = self.name(&image.instance)?;
        begun.operation = self.name(&image.operation)?;
        begun.set_timeout(image.timeout_ms.map(Span));
        begun.content = image.content;
        begun.event = image.event;
        begun.has_parent = image.has_parent;
        begun.more = image.more.as_ref().map(|more| Box::new(request_more(more)));
        if begun.event {
            // The catalogue's consumers are calls of the event (S1.7): a name that is not known here finds none.
            let policy = self.policies.look_up(self.names, begun.service, begun.operation);
            for service in policy.consumers.iter().flat_map(|known| &known.services) {
                self.name(service)?;
            }
        }
        Ok(begun)
    }

    fn answer(&mut self, image: &AnswerImage) -> Read<Answer> {
        let more = AnswerMore {
            caused_by: image.caused_by.as_deref().map(Id::new),
            effect: declaration(&image.effect),
            payload: image.payload.as_ref().map(content).map(Box::new),
        };
        Ok(Answer {
            stamp: self.stamp(image.stamp)?,
            reason: self.name(&image.reason)?,
            service: self.name(&image.service)?,
            version: self.name(&image.version)?,
            code: code(image.code),
            more: (more != AnswerMore::default()).then(|| Box::new(more)),
        })
    }

    fn key(&mut self, image: &KeyImage) -> Read<CallKey> {
        Ok(CallKey { node: self.node(image.0)?, consumer: self.name(&image.1)? })
    }

    fn keys(&mut self, images: &[KeyImage]) -> Read<Vec<CallKey>> {
        images.iter().map(|image| self.key(image)).collect()
    }

    fn decided(&mut self, image: &DecidedImage) -> Read<Decided> {
        let mut pivots = Vec::with_capacity(image.pivots.len());
        for (key, applied) in &image.pivots {
            pivots.push((self.key(key)?, *applied));
        }
        let mut items = Vec::with_capacity(image.items.len());
        for item in &image.items {
            items.push(self.item(item, image.items.len())?);
        }
        Ok(Decided {
            verdict: image.verdict.clone().map(Box::new),
            revision: image.revision,
            at: BusTime(image.at),
            expired: image.expired,
            as_of: BusTime(image.as_of),
            items,
            gates: image.gates.iter().map(|&gate| gate_of(gate)).collect(),
            mode: match image.mode {
                ModeImage::Auto => Mode::Auto,
                ModeImage::Approve => Mode::Approve,
                ModeImage::Observe => Mode::Observe,
            },
            abandoned: image.abandoned,
            too_early: image.too_early,
            ran_after_undo: image.ran_after_undo,
            was_in_doubt: image.was_in_doubt,
            pivots,
            duplicates_settled: self.keys(&image.duplicates_settled)?,
            duplicates: self.keys(&image.duplicates)?,
            pivot_waits: image.pivot_waits,
            window_until: BusTime(image.window_until),
            open_voided: image.open_voided,
            state: image.state,
            waits: image.waits.clone(),
            operations: image.operations.clone(),
            changed_at: BusTime(image.changed_at),
            limits: self.limits(&image.limits)?,
            command_wake: None,
            unanswered: self.keys(&image.unanswered)?,
            given_up: self.keys(&image.given_up)?,
            confirmed: self.keys(&image.confirmed)?,
            approved: image.approved,
            settled: image.settled,
            braked_generation: image.braked_generation,
            seeks: false,
        })
    }

    fn item(&mut self, image: &ItemImage, items: usize) -> Read<Item> {
        if image.after.iter().any(|&after| usize::from(after) >= items) {
            return Err(format!("an item waits for one that is not among the {items}"));
        }
        if image.action == CommandAction::Inquire {
            // An inquiry is a step inside an undo: as an item it would fall due for ever and never be sent.
            return Err("an item asks, and neither undoes nor retries".to_owned());
        }
        Ok(Item {
            call: self.key(&image.call)?,
            action: image.action,
            certainty: image.certainty,
            generation: image.generation,
            wave: image.wave,
            after: image.after.clone(),
            state: image.state,
            reason: image.reason,
            sending: self.sending(image.sending),
            inquiry: image.inquiry.map(|inquiry| self.sending(inquiry)),
            settled_at: image.settled_at.map(BusTime),
            superseded: image.superseded,
            operation: image.operation.as_deref().map(Into::into),
            asks: image.asks.as_deref().map(Into::into),
            pivot: image.pivot,
            is_writable: false,
        })
    }

    /// A command that was departing went out with the commit that wrote this: its clock begins anew.
    fn sending(&self, image: SendingImage) -> Sending {
        let mut sending = Sending { sends: image.sends, tries: image.tries, flight: Flight::Ashore };
        let at = |left: i64| self.clock.saturating_add(left);
        sending.flight = match image.flight {
            FlightImage::Ashore => Flight::Ashore,
            FlightImage::Departing => {
                let wait = sending.wait(self.policies.policy().settings.answer_timeout);
                Flight::Out { due: at(i64::try_from(wait.0).unwrap_or(i64::MAX)) }
            }
            FlightImage::DepartingQuietly(silence) => {
                Flight::Quiet { due: at(i64::try_from(silence).unwrap_or(i64::MAX)), silence: Span(silence) }
            }
            FlightImage::Quiet { left, silence } => Flight::Quiet { due: at(left), silence: Span(silence) },
            FlightImage::Out(left) => Flight::Out { due: at(left) },
            FlightImage::Backoff(left) => Flight::Backoff { due: at(left) },
            FlightImage::Landed => Flight::Landed,
        };
        sending
    }
}

fn content(image: &ContentImage) -> Content {
    Content { type_url: image.type_url.as_str().into(), value: image.value.as_slice().into() }
}

fn declaration(image: &DeclarationImage) -> Declaration {
    Declaration {
        class: image.class,
        key: image.key.as_str().into(),
        compensation: image.compensation.as_ref().map(|declared| {
            let more = DeclaredMore {
                payload: declared.payload.as_ref().map(content),
                inquire_operation: declared.inquire_operation.as_str().into(),
                route: declared.route.as_str().into(),
                headers: declared.headers.clone(),
            };
            Box::new(Declared::new(declared.operation.as_str().into(), declared.accepts_in_doubt, more))
        }),
    }
}

fn request_more(image: &RequestMoreImage) -> RequestMore {
    RequestMore {
        retry_of: image.retry_of.as_deref().map(Id::new).map(Box::new),
        compensates: image.compensates.as_deref().map(Id::new).map(Box::new),
        during: image.during,
        effect: declaration(&image.effect),
        attributes: image.attributes.clone(),
        payload: image.payload.as_ref().map(content).map(Box::new),
    }
}

fn code(image: AnswerCodeImage) -> AnswerCode {
    match image {
        AnswerCodeImage::Ok => AnswerCode::Ok,
        AnswerCodeImage::Failed => AnswerCode::Failed,
        AnswerCodeImage::Unknown => AnswerCode::Unknown,
        AnswerCodeImage::Cancelled => AnswerCode::Cancelled,
        AnswerCodeImage::Ongoing => AnswerCode::Ongoing,
        AnswerCodeImage::DeadMaybe => AnswerCode::DeadMaybe,
        AnswerCodeImage::DeadUnhandled => AnswerCode::DeadUnhandled,
    }
}

fn gate_of(image: GateImage) -> Gate {
    match image {
        GateImage::Open => Gate::Open,
        GateImage::Observe => Gate::Observe,
        GateImage::Await(reason) => Gate::Await(reason),
        GateImage::Rejected(revision) => Gate::Rejected(revision),
    }
}

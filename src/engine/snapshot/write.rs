//! S5.4: from what is kept to its image.

use super::image::{
    AnswerCodeImage, AnswerImage, BegunImage, CallImage, ChainImage, CompensationImage, ContentImage, DecidedImage,
    DeclarationImage, FlightImage, GateImage, ItemImage, KeyImage, LaneImage, ModeImage, RequestMoreImage,
    SendingImage, StampImage,
};
use crate::{
    engine::{
        call::{Answer, AnswerCode, Begun, Call, Content, Declaration, RequestMore, Stamp},
        chain::{Chain, Node},
        decided::{CallKey, Decided, Flight, Gate, Item, Sending},
        lanes::Lanes,
    },
    model::{Id, Name, Names},
    policy::Mode,
};

/// What writing looks things up in.
pub(super) struct Writer<'a> {
    pub names: &'a Names,
    pub lanes: &'a Lanes,
}

pub(super) fn lanes(lanes: &Lanes) -> Vec<LaneImage> {
    lanes
        .all()
        .map(|(_, lane)| LaneImage {
            topic: lane.topic.clone(),
            partition: lane.partition,
            next_offset: lane.next_offset,
            stream: lane.stream.0,
        })
        .collect()
}

impl Writer<'_> {
    pub fn chain(&self, chain: &Chain) -> ChainImage {
        ChainImage {
            id: chain.id.text().into_owned(),
            lanes: lanes(self.lanes),
            first_at: chain.first_at.0,
            newest_at: chain.newest_at.0,
            seen: chain.seen.to_vec(),
            noted: chain.noted.bits(),
            calls: chain.graph.node_indices().map(|node| self.call(chain, node)).collect(),
            decided: match (&chain.decided, chain.settled_at) {
                (Some(decided), _) => Some(self.decided(decided)),
                (None, Some(at)) => Some(self.decided(&Decided { settled: true, ..Decided::new(at) })),
                (None, None) => None,
            },
        }
    }

    fn text(&self, name: Name) -> String {
        self.names.text(name).to_owned()
    }

    fn call(&self, chain: &Chain, node: Node) -> CallImage {
        let call: &Call = &chain.graph[node];
        CallImage {
            id: call.id.text().into_owned(),
            parent: chain.parent(node).map(index),
            begun: call.begun.as_ref().map(|begun| self.begun(begun)),
            answers: call.answers().map(|answer| self.answer(answer)).collect(),
        }
    }

    fn begun(&self, begun: &Begun) -> BegunImage {
        BegunImage {
            stamp: stamp(begun.stamp),
            source: self.text(begun.source),
            service: self.text(begun.service),
            version: self.text(begun.version),
            instance: self.text(begun.instance),
            operation: self.text(begun.operation),
            timeout_ms: begun.timeout().map(|timeout| timeout.0),
            content: begun.content,
            event: begun.event,
            has_parent: begun.has_parent,
            more: begun.more.as_deref().map(request_more),
        }
    }

    fn answer(&self, answer: &Answer) -> AnswerImage {
        let more = answer.more.as_deref();
        AnswerImage {
            stamp: stamp(answer.stamp),
            code: code(answer.code),
            reason: self.text(answer.reason),
            service: self.text(answer.service),
            version: self.text(answer.version),
            caused_by: more.and_then(|more| more.caused_by.as_ref()).map(text_of),
            effect: more.map(|more| declaration(&more.effect)).unwrap_or_default(),
            payload: more.and_then(|more| more.payload.as_deref()).map(content),
        }
    }

    fn key(&self, key: CallKey) -> KeyImage {
        KeyImage(index(key.node), self.text(key.consumer))
    }

    fn decided(&self, decided: &Decided) -> DecidedImage {
        let keys = |keys: &[CallKey]| keys.iter().map(|&key| self.key(key)).collect();
        DecidedImage {
            verdict: decided.verdict.as_deref().cloned(),
            revision: decided.revision,
            at: decided.at.0,
            expired: decided.expired,
            as_of: decided.as_of.0,
            items: decided.items.iter().map(|item| self.item(item)).collect(),
            gates: decided.gates.iter().map(|&gate| gate_image(gate)).collect(),
            mode: match decided.mode {
                Mode::Auto => ModeImage::Auto,
                Mode::Approve => ModeImage::Approve,
                Mode::Observe => ModeImage::Observe,
            },
            abandoned: decided.abandoned,
            too_early: decided.too_early,
            ran_after_undo: decided.ran_after_undo,
            was_in_doubt: decided.was_in_doubt,
            pivots: decided.pivots.iter().map(|&(key, applied)| (self.key(key), applied)).collect(),
            duplicates_settled: keys(&decided.duplicates_settled),
            duplicates: keys(&decided.duplicates),
            pivot_waits: decided.pivot_waits,
            window_until: decided.window_until.0,
            open_voided: decided.open_voided,
            state: decided.state,
            waits: decided.waits.clone(),
            operations: decided.operations.clone(),
            changed_at: decided.changed_at.0,
            limits: decided.limits.iter().map(|limit| (limit.at.0, limit.lane.0)).collect(),
            unanswered: keys(&decided.unanswered),
            given_up: keys(&decided.given_up),
            confirmed: keys(&decided.confirmed),
            approved: decided.approved,
            settled: decided.settled,
            braked_generation: decided.braked_generation,
        }
    }

    fn item(&self, item: &Item) -> ItemImage {
        ItemImage {
            call: self.key(item.call),
            action: item.action,
            certainty: item.certainty,
            generation: item.generation,
            wave: item.wave,
            after: item.after.clone(),
            state: item.state,
            reason: item.reason,
            sending: self.sending(item.sending),
            inquiry: item.inquiry.map(|inquiry| self.sending(inquiry)),
            settled_at: item.settled_at.map(|at| at.0),
            superseded: item.superseded,
            operation: item.operation.as_deref().map(str::to_owned),
            asks: item.asks.as_deref().map(str::to_owned),
            pivot: item.pivot,
        }
    }

    fn sending(&self, sending: Sending) -> SendingImage {
        let clock = self.lanes.command_clock;
        SendingImage {
            sends: sending.sends,
            tries: sending.tries,
            flight: match sending.flight {
                Flight::Ashore => FlightImage::Ashore,
                Flight::Departing { silence: None } => FlightImage::Departing,
                Flight::Departing { silence: Some(silence) } => FlightImage::DepartingQuietly(silence.0),
                Flight::Quiet { due, silence } => FlightImage::Quiet { left: due - clock, silence: silence.0 },
                Flight::Out { due } => FlightImage::Out(due - clock),
                Flight::Backoff { due } => FlightImage::Backoff(due - clock),
                Flight::Landed => FlightImage::Landed,
            },
        }
    }
}

fn index(node: Node) -> u16 {
    u16::try_from(node.index()).unwrap_or(u16::MAX)
}

fn stamp(stamp: Stamp) -> StampImage {
    StampImage(stamp.at.0, stamp.lane().0, stamp.offset())
}

fn text_of(id: &Id) -> String {
    id.text().into_owned()
}

fn content(content: &Content) -> ContentImage {
    ContentImage { type_url: content.type_url.to_string(), value: content.value.to_vec() }
}

fn declaration(declaration: &Declaration) -> DeclarationImage {
    DeclarationImage {
        class: declaration.class,
        key: declaration.key.to_string(),
        compensation: declaration.compensation.as_deref().map(|declared| CompensationImage {
            operation: declared.operation.to_string(),
            payload: declared.payload().map(content),
            accepts_in_doubt: declared.accepts_in_doubt,
            inquire_operation: declared.inquire_operation().to_owned(),
            route: declared.route().to_owned(),
            headers: declared.headers(),
        }),
    }
}

fn request_more(more: &RequestMore) -> RequestMoreImage {
    RequestMoreImage {
        retry_of: more.retry_of.as_deref().map(text_of),
        compensates: more.compensates.as_deref().map(text_of),
        during: more.during,
        effect: declaration(&more.effect),
        attributes: more.attributes.clone(),
        payload: more.payload.as_deref().map(content),
    }
}

fn code(code: AnswerCode) -> AnswerCodeImage {
    match code {
        AnswerCode::Ok => AnswerCodeImage::Ok,
        AnswerCode::Failed => AnswerCodeImage::Failed,
        AnswerCode::Unknown => AnswerCodeImage::Unknown,
        AnswerCode::Cancelled => AnswerCodeImage::Cancelled,
        AnswerCode::Ongoing => AnswerCodeImage::Ongoing,
        AnswerCode::DeadMaybe => AnswerCodeImage::DeadMaybe,
        AnswerCode::DeadUnhandled => AnswerCodeImage::DeadUnhandled,
    }
}

fn gate_image(gate: Gate) -> GateImage {
    match gate {
        Gate::Open => GateImage::Open,
        Gate::Observe => GateImage::Observe,
        Gate::Await(reason) => GateImage::Await(reason),
        Gate::Rejected(revision) => GateImage::Rejected(revision),
    }
}

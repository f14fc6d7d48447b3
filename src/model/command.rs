//! What an engine says: commands, changes in a chain's life, refusals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use sha2::{Digest, Sha256};

use super::{
    hash::hex,
    input::Certainty,
    time::{BusTime, HostTime, Moment},
    view::{ChainView, PlanState},
};

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CommandAction {
    /// Undo an effect.
    Undo,
    /// Do a retriable step again (S4.7).
    Retry,
    /// Say whether an effect is there (S4.3).
    Inquire,
}

impl CommandAction {
    /// The lower-case word of command line, HTTP and scenarios.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Undo => "undo",
            Self::Retry => "retry",
            Self::Inquire => "inquire",
        }
    }
}

/// The id of a command (S5.3): 32 hexadecimal digits that depend on nothing but what it is about, so that the same
/// decision taken twice has the same id. Every part is preceded by its length: no two decisions share their text.
#[must_use]
pub fn command_id(chain: &str, call: &str, action: CommandAction, generation: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(b"countermand.command.v1");
    for part in [chain, call, action.word()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(generation.to_be_bytes());
    hex(&hash.finalize()[..16])
}

/// An owned payload, or where to find it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// The payload itself.
    Whole {
        /// `Any.type_url`.
        type_url: String,
        /// `Any.value`.
        value: Vec<u8>,
    },
    /// It was too large, or not kept: the message that has it.
    Reference(Moment),
}

/// What a service that does not know our commands is sent in a command's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceMessage {
    /// Key of the record.
    pub key: String,
    /// Headers, beside the agent's own.
    pub headers: BTreeMap<String, String>,
    /// How the payload is written.
    pub content_type: String,
    /// The protobuf message that it is; empty: none.
    pub type_name: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// It is the payload of an envelope.
    pub envelope: bool,
    /// See [`super::Correlation`].
    pub correlation: String,
}

/// A command for a participant (S5.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// See [`command_id`].
    pub command_id: String,
    /// The chain.
    pub chain_id: String,
    /// The call that it is about.
    pub call_id: String,
    /// What is asked for.
    pub action: CommandAction,
    /// Service that shall act.
    pub service: String,
    /// The version that made the effect; empty: unknown.
    pub version: String,
    /// The instance that made the effect; empty: unknown.
    pub instance: String,
    /// Operation that undoes, asks, or is done again.
    pub operation: String,
    /// The operation of the call that it is about.
    pub call_operation: String,
    /// Its idempotency key (S4.5); empty: none.
    pub key: String,
    /// When the bus had its request; `None`: unknown.
    pub requested_at: Option<BusTime>,
    /// Whether the effect is known to be there.
    pub certainty: Certainty,
    /// Wave, from 1 in its generation.
    pub wave: u32,
    /// Generation, from 1.
    pub generation: u32,
    /// Publication of this command, from 1.
    pub attempt: u32,
    /// Host time of the decision to publish.
    pub issued_at: HostTime,
    /// Host time by which an answer is expected.
    pub answer_by: HostTime,
    /// The request of the call, if it had a payload.
    pub request: Option<Content>,
    /// Its response, if it had a payload.
    pub response: Option<Content>,
    /// The payload that the service gave for its compensation.
    pub compensation: Option<Content>,
    /// Where it goes if not to the service's own topic; empty: there.
    pub route: String,
    /// Headers for that route.
    pub headers: BTreeMap<String, String>,
    /// What goes out in its place, to a service that does not know commands.
    pub message: Option<Box<ServiceMessage>>,
    /// The attributes of the request that the configuration names.
    pub attributes: BTreeMap<String, String>,
    /// Revision of the verdict behind it.
    pub revision: u32,
    /// The verdict's sentence.
    pub verdict: String,
}

/// Why an input was refused: it goes to the dead letters with this reason (S2.9, S2.10, S8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Its chain is decided and closed.
    ChainClosed,
    /// A limit on calls, answers or names of a chain was reached.
    LimitExceeded,
    /// The table of names is full.
    NamesFull,
    /// No memory is left, and nothing can be given up.
    MemoryFull,
    /// The operation cannot be carried out in the state that the chain is in.
    OperationRefused,
}

impl Refusal {
    /// The word in the `countermand-reason` header and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ChainClosed => "chain_closed",
            Self::LimitExceeded => "limit_exceeded",
            Self::NamesFull => "names_full",
            Self::MemoryFull => "memory_full",
            Self::OperationRefused => "operation_refused",
        }
    }
}

words! {
    /// Why an operator's action is not carried out (S5.2, S5.7). It is carried out or refused whole.
    Refused {
        /// No chain of that id is kept.
        UnknownChain = "unknown_chain",
        /// The chain has no verdict yet.
        NotDecided = "not_decided",
        /// The verdict has another revision than the one that it was decided on.
        RevisionChanged = "revision_changed",
        /// The chain was given up: nothing more is done for it.
        Abandoned = "abandoned",
        /// No plan waits for a word.
        NothingWaits = "nothing_waits",
        /// The call is not one of the chain's plan, or none was named where one is needed.
        UnknownCall = "unknown_call",
        /// The command, or the chain, is not in a state in which that can be done.
        NotInState = "not_in_state",
    }
}

impl Refused {
    /// What an operator can do about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::UnknownChain => "only decided chains that are still kept can be acted on; look at the chain again",
            Self::NotDecided => "wait for its verdict",
            Self::RevisionChanged => "new evidence came: look at the chain again, and decide on its newest revision",
            Self::Abandoned => "it was given up, which is final",
            Self::NothingWaits => "no plan of this chain waits for approval; look at its state and its commands",
            Self::UnknownCall => "name a call that the chain's plan has a command for",
            Self::NotInState => {
                "look at the state of the command: only what is stuck can be retried, only what is held \
                                 be confirmed, and only what is not finished be skipped or marked done"
            }
        }
    }
}

/// One change in a chain's life, also published so that services can hook in (S5.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainChange {
    /// Verdict reached, or a new revision of it.
    Decided,
    /// The plan's state changed.
    State(PlanState),
    /// A command goes out for the first time.
    UndoStarted {
        /// The call that is undone, asked about or retried.
        call_id: String,
        /// The command.
        command_id: String,
    },
    /// A command was answered.
    Answered {
        /// The call that it is about.
        call_id: String,
        /// The command.
        command_id: String,
        /// The answer in a word.
        state: &'static str,
    },
    /// An answer to an unknown, finished or superseded command, which changed nothing (S5.5).
    AnswerIgnored {
        /// The call that it is about; empty: the command is unknown.
        call_id: String,
        /// The command as it was named.
        command_id: String,
        /// The answer in a word.
        state: &'static str,
    },
    /// An operator acted.
    Operator {
        /// The operation; empty: it has no name.
        operation_id: String,
        /// What was asked.
        verb: &'static str,
        /// The call, if it was about one.
        call_id: String,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// What an operator asked for cannot be done, and nothing changed.
    OperatorRefused {
        /// The operation; empty: it has no name.
        operation_id: String,
        /// What was asked.
        verb: &'static str,
        /// The call, if it was about one.
        call_id: String,
        /// Who.
        by: String,
        /// Why it cannot be done.
        why: Refused,
    },
    /// Given up at the memory limit (S2.10), with what was lost by it.
    Evicted(&'static str),
    /// A new root request with the id of a closed chain (S2.9).
    IdReused,
    /// The storm brake began to hold plans (S5.8).
    BrakeEngaged,
    /// The chain needs nothing more and only its id is remembered.
    Closed,
}

/// Where commands go. A service may have several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The service.
    pub service: String,
    /// The route; empty: the service's usual one.
    pub route: String,
}

/// What an engine wants done. Everything of one step becomes visible in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Publish this command. The shell answers with [`super::Published`] once it is committed.
    Command(Box<Command>),
    /// Whether commands can be written to these destinations, before anything is said or sent of a plan that needs them.
    /// The shell answers all with one [`super::RouteAnswer`], in the same step. Asked only by an engine that was told to
    /// ([`crate::engine::Engine::ask_for_routes`]).
    Seek {
        /// The chain that asks.
        chain_id: String,
        /// When, in bus time.
        at: super::time::BusTime,
        /// Where its commands would go, each once.
        destinations: Vec<Destination>,
        /// An operator has asked for the command again: what the shell found a moment ago is not good enough.
        anew: bool,
    },
    /// Something changed in a chain's life.
    Change {
        /// The chain; empty for the agent's own affairs.
        chain_id: String,
        /// When, in bus time.
        at: super::time::BusTime,
        /// What.
        change: ChainChange,
    },
    /// The chain's picture after a verdict, a new revision, or a change of its plan's state.
    View(Box<ChainView>),
    /// The input of this step is refused and belongs to the dead letters.
    Refused(Refusal),
    /// A result for a chain that is not here: to be forwarded to where its key belongs.
    Unclaimed,
    /// Something of this chain becomes visible with this step: its snapshot belongs into the same commit.
    Save(Slot),
    /// The chain is decided and nothing of it has to be saved but its id ([`crate::engine::Engine::take_closed`]).
    /// It lingers in memory for stragglers (S2.9).
    Settled(Slot),
    /// The chain is no longer kept: what was saved of it can be deleted. The slot will be used again.
    Closed {
        /// Where it was.
        slot: Slot,
        /// Its id.
        chain_id: String,
    },
}

/// Index of a chain in its engine, stable while the chain is kept. Reused after it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

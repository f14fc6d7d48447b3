//! Version 1 of a snapshot: what is written down, self-contained: names are texts, lanes are a table of their own.
//!
//! Bytes: one version byte, then the image as postcard writes it (fields in order, integers as varints). Fields and
//! variants of a released version never change; another layout is another version byte and another file beside this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Certainty, CommandAction, EffectClass, PlanItemState, PlanState, VerdictView, WaitReason};

/// A lane, and one more than the highest offset of it that the snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LaneImage {
    pub topic: String,
    pub partition: i32,
    pub next_offset: u64,
    pub stream: i64,
}

/// A moment: bus time, place in the table of lanes, offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StampImage(pub i64, pub u16, pub u64);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContentImage {
    pub type_url: String,
    pub value: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CompensationImage {
    pub operation: String,
    pub payload: Option<ContentImage>,
    pub accepts_in_doubt: bool,
    pub inquire_operation: String,
    pub route: String,
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct DeclarationImage {
    pub class: Option<EffectClass>,
    pub key: String,
    pub compensation: Option<CompensationImage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestMoreImage {
    pub retry_of: Option<String>,
    pub compensates: Option<String>,
    pub during: bool,
    pub effect: DeclarationImage,
    pub attributes: BTreeMap<String, String>,
    pub payload: Option<ContentImage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BegunImage {
    pub stamp: StampImage,
    pub source: String,
    pub service: String,
    pub version: String,
    pub instance: String,
    pub operation: String,
    pub timeout_ms: Option<u64>,
    pub content: u32,
    pub event: bool,
    pub has_parent: bool,
    pub more: Option<RequestMoreImage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AnswerImage {
    pub stamp: StampImage,
    pub code: AnswerCodeImage,
    pub reason: String,
    pub service: String,
    pub version: String,
    pub caused_by: Option<String>,
    pub effect: DeclarationImage,
    pub payload: Option<ContentImage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum AnswerCodeImage {
    Ok,
    Failed,
    Unknown,
    Cancelled,
    Ongoing,
    DeadMaybe,
    DeadUnhandled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CallImage {
    pub id: String,
    /// Place of its parent among the calls.
    pub parent: Option<u16>,
    pub begun: Option<BegunImage>,
    pub answers: Vec<AnswerImage>,
}

/// A call as the plan names it: its place, and the consumer if it is a part of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyImage(pub u16, pub String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FlightImage {
    Ashore,
    Departing,
    /// Milliseconds that are left on the command clock.
    Out(i64),
    Backoff(i64),
    Landed,
    /// As `Departing` and `Out`, of what is done if nothing is said against it for so many milliseconds. Last, since older
    /// snapshots know the others by their places.
    DepartingQuietly(u64),
    Quiet {
        left: i64,
        silence: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SendingImage {
    pub sends: u32,
    pub tries: u32,
    pub flight: FlightImage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ItemImage {
    pub call: KeyImage,
    pub action: CommandAction,
    pub certainty: Certainty,
    pub generation: u32,
    pub wave: u32,
    pub after: Vec<u16>,
    pub state: PlanItemState,
    pub reason: Option<WaitReason>,
    pub sending: SendingImage,
    pub inquiry: Option<SendingImage>,
    pub settled_at: Option<i64>,
    pub superseded: bool,
    pub operation: Option<String>,
    pub asks: Option<String>,
    pub pivot: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum GateImage {
    Open,
    Observe,
    Await(WaitReason),
    Rejected(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ModeImage {
    Auto,
    Approve,
    Observe,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DecidedImage {
    pub verdict: Option<VerdictView>,
    pub revision: u32,
    pub at: i64,
    pub expired: bool,
    pub as_of: i64,
    pub items: Vec<ItemImage>,
    pub gates: Vec<GateImage>,
    pub mode: ModeImage,
    pub abandoned: bool,
    pub too_early: bool,
    pub ran_after_undo: bool,
    pub was_in_doubt: bool,
    pub pivots: Vec<(KeyImage, bool)>,
    pub duplicates_settled: Vec<KeyImage>,
    pub duplicates: Vec<KeyImage>,
    pub pivot_waits: bool,
    pub window_until: i64,
    pub open_voided: bool,
    pub state: PlanState,
    pub waits: Vec<WaitReason>,
    pub operations: Vec<u64>,
    pub changed_at: i64,
    /// Bus times, each with a place in the table of lanes.
    pub limits: Vec<(i64, u16)>,
    pub unanswered: Vec<KeyImage>,
    pub given_up: Vec<KeyImage>,
    pub confirmed: Vec<KeyImage>,
    pub approved: bool,
    pub settled: bool,
    pub braked_generation: u32,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChainImage {
    pub id: String,
    pub lanes: Vec<LaneImage>,
    pub first_at: i64,
    pub newest_at: i64,
    pub seen: Vec<u64>,
    pub noted: u16,
    pub calls: Vec<CallImage>,
    pub decided: Option<DecidedImage>,
}

/// One counted minute of the storm brake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MinuteImage(pub i64, pub u32, pub bool);

/// What is of no single chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EngineImage {
    pub lanes: Vec<LaneImage>,
    pub host: i64,
    pub paused: bool,
    pub catching_up: bool,
    pub brake: MinuteImage,
    pub brake_edges: Vec<(String, String, MinuteImage)>,
}

/// Chains that are closed: hashes of their ids, with the bus times until which they are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClosedImage {
    pub lanes: Vec<LaneImage>,
    pub chains: Vec<(u64, i64)>,
}

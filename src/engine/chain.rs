//! S1: a chain is a petgraph graph with small indices: nodes are calls, edges lead from a call to those inside it.

use petgraph::{
    Direction, Graph,
    graph::{EdgeIndex, NodeIndex},
};

use smallvec::SmallVec;

use super::{
    call::{Answer, AnswerCode, Call},
    decided::Decided,
    lanes::Lanes,
};
use crate::model::{AnomalyKind, BusTime, Id, LaneId, Span};

/// Index of a call in its chain.
pub(super) type Node = NodeIndex<u16>;
/// The graph of a chain.
pub(super) type CallGraph = Graph<Call, (), petgraph::Directed, u16>;

/// A small set of lanes or anomalies would be a vector elsewhere; here it is two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Noted(u16);

impl Noted {
    pub fn add(&mut self, kind: AnomalyKind) {
        self.0 |= 1 << (kind as u16);
    }

    pub fn has(self, kind: AnomalyKind) -> bool {
        self.0 & (1 << (kind as u16)) != 0
    }

    pub fn bits(self) -> u16 {
        self.0
    }

    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }
}

/// What the calls of a chain add up to, kept with each message so that nobody has to look at each of them, which are cold
/// in memory, when a healthy chain ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    /// Every call that is answered had begun before that, and was answered `OK`, once and in time. Once it is false it
    /// stays so, as after a restore: then the calls are looked at.
    pub is_simple: bool,
    /// Calls that are not answered, half-known ones included.
    pub open: u16,
    /// Bus time of the newest begin or answer.
    pub newest: BusTime,
}

impl Default for Sum {
    fn default() -> Self {
        Self { is_simple: true, open: 0, newest: BusTime::MIN }
    }
}

/// The timer that a chain waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wake {
    pub at: BusTime,
    pub lane: LaneId,
}

/// A chain.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub id: Id,
    /// Hash of the id: where it stands in the table, and the order of equal timers.
    pub key: u64,
    pub graph: CallGraph,
    /// A few bits of each call's id, by node: a call is found without touching the others, which are cold in memory.
    tags: SmallVec<[u16; 8]>,
    /// What was seen (S1.2): 40 bits of the message id's hash, 24 of the content's. A content that differs in a
    /// chain of 2,000 messages is taken for the same once in some ten million chains.
    pub seen: SmallVec<[u64; 16]>,
    /// Bus time of its first message, and of its newest.
    pub first_at: BusTime,
    pub newest_at: BusTime,
    pub wake: Option<Wake>,
    /// Anomalies found on intake; the others are found on judging.
    pub noted: Noted,
    /// A link was made that may close a cycle or be too deep: the slow way of judging has to look.
    pub links_suspect: bool,
    /// It has an event (S1.7).
    pub has_events: bool,
    /// No attempt, undo or event: nothing that the fast way past healthy chains can't judge.
    pub plain: bool,
    /// A call was answered otherwise than `OK`: undecided, it is never given up (S2.10).
    pub has_failure: bool,
    /// A request without a parent is known.
    pub has_root: bool,
    /// The newest root, whether it has no answer, and its limit with the decision's grace, if it is the only one and has
    /// one.
    root: Option<Node>,
    root_open: bool,
    /// [`BusTime::MAX`]: it has none.
    root_limit: BusTime,
    /// What its calls add up to, if that is simple.
    pub sum: Sum,
    /// Decided as healthy at this bus time: nothing more is kept of that until there is news.
    pub settled_at: Option<BusTime>,
    /// The table has it among those that are settled.
    pub lingers: bool,
    /// The lane of its requests, if it is one.
    lane: Option<LaneId>,
    several_lanes: bool,
    /// Heap bytes of its calls, kept up with each change.
    pub call_heap: usize,
    pub decided: Option<Box<Decided>>,
}

impl Chain {
    pub fn new(id: Id, key: u64, at: BusTime) -> Self {
        Self {
            id,
            key,
            graph: CallGraph::with_capacity(4, 4),
            tags: SmallVec::new(),
            seen: SmallVec::new(),
            first_at: at,
            newest_at: at,
            wake: None,
            noted: Noted::default(),
            links_suspect: false,
            has_events: false,
            plain: true,
            has_failure: false,
            has_root: false,
            root: None,
            root_open: false,
            root_limit: BusTime::MAX,
            sum: Sum::default(),
            settled_at: None,
            lingers: false,
            lane: None,
            several_lanes: false,
            call_heap: 0,
            decided: None,
        }
    }

    /// The call of an id. Newest calls first: an answer mostly is to one of those.
    pub fn find(&self, call_id: &str) -> Option<Node> {
        let tag = tag_of(call_id);
        let same = (0..self.tags.len()).rev().filter(|&n| self.tags[n] == tag);
        same.map(Node::new).find(|&node| self.graph[node].id.is(call_id))
    }

    /// Adds a call.
    pub fn add(&mut self, call_id: &str, call: Call) -> Node {
        self.tags.push(tag_of(call_id));
        self.sum.open = self.sum.open.saturating_add(1);
        self.graph.add_node(call)
    }

    /// Notes a root. While the only one is open and has a time limit, the chain is not due before that. Of a root that
    /// was requested twice nothing is taken for granted.
    pub fn add_root(&mut self, node: Node, limit: Option<BusTime>) {
        self.root_limit = limit.filter(|_| !self.has_root).unwrap_or(BusTime::MAX);
        self.root = Some(node);
        self.root_open = self.graph[node].answer_count() == 0;
        self.has_root = true;
    }

    /// Keeps an answer of a call.
    pub fn add_answer(&mut self, node: Node, answer: Answer, grace: Span) {
        self.root_open &= self.root != Some(node);
        self.has_failure |= answer.code.is_failure();
        let call = &mut self.graph[node];
        let is_first = call.answer_count() == 0;
        let limit = call.begun.as_ref().map(|begun| begun.limit(grace));
        let fine = is_first && answer.code == AnswerCode::Ok && limit.is_some_and(|limit| answer.stamp.at <= limit);
        if fine {
            self.sum.open = self.sum.open.saturating_sub(1);
            self.sum.newest = self.sum.newest.max(answer.stamp.at);
        }
        self.sum.is_simple &= fine;
        let heap_before = call.heap_bytes();
        call.add_answer(answer);
        self.call_heap = self.call_heap + call.heap_bytes() - heap_before;
    }

    /// Moves an answer of a call to an earlier time, as [`Call::move_answer`].
    pub fn move_answer(&mut self, node: Node, copy: &Answer) -> bool {
        let moved = self.graph[node].move_answer(copy);
        self.sum.is_simple &= !moved;
        moved
    }

    /// Whether an answer to `node` cannot bring the decision forward: the chain waits for its only root, and its timer
    /// fires no later than that one's limit.
    pub fn still_waits(&self, node: Node) -> bool {
        let open = self.root_open && self.root != Some(node);
        open && self.root_limit < BusTime::MAX && self.wake.is_some_and(|wake| wake.at <= self.root_limit)
    }

    /// The node that this one's handling issued, as its edge says; `None`: a root, or half-known.
    pub fn parent(&self, node: Node) -> Option<Node> {
        self.graph.neighbors_directed(node, Direction::Incoming).next()
    }

    /// Puts `node` inside `parent`, in place of what it was inside before.
    pub fn link(&mut self, parent: Option<Node>, node: Node) {
        let old: Option<EdgeIndex<u16>> = self.graph.first_edge(node, Direction::Incoming);
        if let Some(edge) = old {
            self.graph.remove_edge(edge);
        }
        if let Some(parent) = parent {
            self.graph.add_edge(parent, node, ());
            self.links_suspect |= parent >= node;
        }
    }

    /// Notes the lane of a request.
    pub fn add_lane(&mut self, lane: LaneId) {
        self.several_lanes |= self.lane.is_some_and(|known| known != lane);
        self.lane = Some(lane);
    }

    /// The slowest of the lanes of its requests (of its answers if no request is known), which its grace runs on (S2.1).
    pub fn slowest(&self, lanes: &Lanes) -> (LaneId, BusTime) {
        if let (Some(lane), false) = (self.lane, self.several_lanes) {
            return (lane, lanes.stream(lane));
        }
        let begun = self.graph.node_weights().filter_map(|call| call.begun.as_ref()).map(|begun| begun.stamp.lane());
        let answered = self.graph.node_weights().flat_map(Call::answers).map(|answer| answer.stamp.lane());
        let slowest = |of: &mut dyn Iterator<Item = LaneId>| of.map(|lane| (lanes.stream(lane), lane)).min();
        let found = slowest(&mut { begun }).or_else(|| slowest(&mut { answered }));
        found.map_or((LaneId(0), BusTime::MIN), |(stream, lane)| (lane, stream))
    }

    /// Whether a timer of this instant is still meant.
    pub fn waits_for(&self, wake: Wake) -> bool {
        self.wake == Some(wake) || self.decided.as_ref().is_some_and(|decided| decided.limits.contains(&wake))
    }

    /// A timer of it fired: time has come as far as that.
    pub fn pass(&mut self, at: BusTime) {
        if let Some(decided) = &mut self.decided {
            decided.as_of = decided.as_of.max(at);
        }
    }

    /// Since when every call is answered `OK`, once and in time, as far as that can be told without looking at them.
    pub fn is_fine_since(&self) -> Option<BusTime> {
        let simple = self.sum.is_simple && self.sum.open == 0 && self.plain && !self.links_suspect && self.has_root;
        simple.then_some(self.sum.newest)
    }

    /// It has a verdict.
    pub fn is_decided(&self) -> bool {
        self.settled_at.is_some() || self.decided.is_some()
    }

    /// Bytes that the chain takes (S2.10).
    pub fn bytes(&self) -> usize {
        let (nodes, edges) = self.graph.capacity();
        size_of::<Self>()
            + TABLE_BYTES
            + self.id.heap_bytes()
            + nodes * (size_of::<Call>() + 8)
            + edges * 8
            + spilled(&self.seen)
            + spilled(&self.tags)
            + self.call_heap
            + self.decided.as_ref().map_or(0, |decided| decided.bytes())
    }
}

/// Bytes of what has outgrown its place in the chain.
fn spilled<A: smallvec::Array>(vec: &SmallVec<A>) -> usize {
    if vec.spilled() { vec.capacity() * size_of::<A::Item>() } else { 0 }
}

/// From the last bytes, where ids that are counted or drawn at random differ. Any other choice would be as right.
fn tag_of(call_id: &str) -> u16 {
    let bytes = call_id.as_bytes();
    let bits = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(start), Some(end)) => u64::from_le_bytes(*start).rotate_left(29) ^ u64::from_le_bytes(*end),
        _ => bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    u16::try_from(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48).unwrap_or(0)
}

/// Share of a chain in the table of chains and in the timers.
const TABLE_BYTES: usize = 48;

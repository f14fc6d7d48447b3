//! S3.1: what is known of a chain at one moment: calls, ends, their order, retry groups.

use countermand::model::{BusTime, LaneId, Moment, Span, StatusCode};

use super::{
    before::Before,
    ends::{End, end},
    graph::{Call, Graph, Said},
};

/// A chain at one moment.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    pub graph: Graph,
    pub ends: Vec<End>,
    pub before: Before,
    /// Group of each call.
    pub group: Vec<usize>,
}

impl Scene {
    pub fn look(graph: &Graph, grace: Span, stream: impl Fn(LaneId) -> BusTime) -> Self {
        let time = |call: &Call| call.begin().map_or(BusTime::MIN, |begin| stream(begin.position.lane));
        let ends: Vec<End> = graph.calls.iter().map(|call| end(call, grace, time(call))).collect();
        let before = Before::order(graph, &ends);
        Self { graph: graph.clone(), before, group: groups(graph), ends }
    }

    pub fn calls(&self) -> &[Call] {
        &self.graph.calls
    }

    pub fn id(&self, call: usize) -> &str {
        &self.graph.calls[call].id
    }

    pub fn failed(&self, call: usize) -> bool {
        self.ends[call].failed(&self.graph.calls[call])
    }

    pub fn succeeded(&self, call: usize) -> bool {
        self.ends[call].succeeded(&self.graph.calls[call])
    }

    pub fn open(&self, call: usize) -> bool {
        self.ends[call] == End::Open
    }

    pub fn timed_out(&self, call: usize) -> bool {
        matches!(self.ends[call], End::TimedOut(_))
    }

    /// The answer that its caller acted on (S1.2).
    pub fn decisive(&self, call: usize) -> Option<&Said> {
        match self.ends[call] {
            End::Answered(index) => Some(&self.graph.calls[call].said[index]),
            _ => None,
        }
    }

    /// What it said in the end: the answer that its caller acted on, else the first that came late (S2.7).
    pub fn last_word(&self, call: usize) -> Option<&Said> {
        self.decisive(call).or_else(|| self.first_final(call))
    }

    /// The reason that it gave, in time or late: a late answer is evidence (S2.7).
    pub fn reason(&self, call: usize) -> &str {
        self.last_word(call).map_or("", |said| said.reason.as_str())
    }

    /// The first final answer in bus time, in time or late.
    pub fn first_final(&self, call: usize) -> Option<&Said> {
        self.graph.calls[call].said.iter().filter(|said| said.is_final()).min_by_key(|said| said.moment)
    }

    /// The first answer `OK` in bus time, in time or late.
    pub fn first_ok(&self, call: usize) -> Option<Moment> {
        let said = self.graph.calls[call].said.iter();
        said.filter(|said| said.code == Some(StatusCode::Ok)).map(|said| said.moment).min()
    }

    /// When it ended.
    pub fn ended_at(&self, call: usize) -> Option<BusTime> {
        match self.ends[call] {
            End::Half | End::Open => None,
            End::Published => self.graph.calls[call].begin().map(|begin| begin.at),
            End::TimedOut(deadline) => Some(deadline),
            End::Answered(index) => Some(self.graph.calls[call].said[index].moment.at),
        }
    }

    /// The calls right inside `call` that are judged (S1.8: no undo is).
    pub fn children(&self, call: usize) -> Vec<usize> {
        (0..self.calls().len())
            .filter(|child| self.graph.calls[*child].parent == Some(call))
            .filter(|child| !self.graph.calls[*child].undo && self.graph.calls[*child].ask.is_some())
            .collect()
    }

    /// All judged calls: below a root by known links, and no undo.
    pub fn judged(&self) -> Vec<usize> {
        (0..self.calls().len()).filter(|call| self.graph.rooted(*call) && !self.graph.calls[*call].undo).collect()
    }

    /// The attempts of a group.
    pub fn attempts(&self, group: usize) -> Vec<usize> {
        (0..self.calls().len())
            .filter(|call| self.group[*call] == group && self.graph.calls[*call].ask.is_some())
            .collect()
    }

    /// The groups of these calls, each once.
    pub fn groups_of(&self, calls: &[usize]) -> Vec<usize> {
        let mut groups: Vec<usize> = calls.iter().map(|call| self.group[*call]).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// S3.1: an attempt was answered `OK` in time.
    pub fn group_succeeded(&self, group: usize) -> bool {
        self.attempts(group).iter().any(|call| self.succeeded(*call))
    }

    /// S3.1: a failed attempt of a group that succeeded: tolerated, so it fails nobody.
    pub fn superseded(&self, call: usize) -> bool {
        self.failed(call) && self.group_succeeded(self.group[call])
    }

    /// S3.1: no attempt was answered `OK` and none is open.
    pub fn group_failed(&self, group: usize) -> bool {
        let attempts = self.attempts(group);
        !self.group_succeeded(group) && attempts.iter().all(|call| self.failed(*call))
    }

    /// S3.1: the attempt begun last in bus time.
    pub fn edge(&self, group: usize) -> usize {
        let attempts = self.attempts(group).into_iter();
        attempts.max_by_key(|call| self.before.begin[*call]).expect("a group has an attempt")
    }

    /// The groups of the roots that are judged.
    pub fn root_groups(&self) -> Vec<usize> {
        let roots: Vec<usize> = (0..self.calls().len()).filter(|call| self.graph.calls[*call].root).collect();
        self.groups_of(&roots)
    }

    /// Whether a call holds the verdict open (S2.3).
    pub fn open_holding(&self) -> Vec<usize> {
        (0..self.calls().len()).filter(|call| self.open(*call) && self.graph.holds(*call)).collect()
    }
}

/// S3.1: `retry_of` may name any attempt; only calls of one parent are attempts of one logical call.
fn groups(graph: &Graph) -> Vec<usize> {
    let mut group: Vec<usize> = (0..graph.calls.len()).collect();
    for (index, call) in graph.calls.iter().enumerate() {
        let Some((ask, _)) = &call.ask else { continue };
        let Some(other) = graph.find(&ask.retry_of) else { continue };
        let call = |at: usize| &graph.calls[at];
        let alike = |at: usize| (call(at).parent, call(at).undo, call(at).refused);
        if graph.calls[other].ask.is_none() || alike(other) != alike(index) {
            continue;
        }
        let (from, to) = (group[index], group[other]);
        for entry in &mut group {
            if *entry == from {
                *entry = to;
            }
        }
    }
    group
}

//! S3: the verdict of a picture, still in terms of its calls.

use std::collections::BTreeSet;

use super::{
    explain,
    groups::GroupState,
    picture::{Picture, State},
    roots,
    suspects::Walk,
    tolerate,
};
use crate::{
    engine::{call::AnswerCode, decided::CallKey},
    model::{AnomalyKind, BusTime, Cause, FailureView, Outcome, VerdictView},
};

/// What judging found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Finding {
    pub outcome: Outcome,
    /// The chain's own walk first.
    pub walks: Vec<Walk>,
    pub tolerated: Vec<usize>,
    pub anomalies: BTreeSet<AnomalyKind>,
    pub missing: Vec<String>,
    pub incomplete: bool,
    /// A root is open, so that nothing can be said yet.
    pub root_open: bool,
}

/// Judges a picture. `given_up`: open calls that nobody waits for any more; `unanswered`: those of them by which a chain
/// that was decided at `max_age` is `unknown` (S2.2).
pub(in crate::engine) fn find(picture: &Picture<'_>, unanswered: &[CallKey], given_up: &[CallKey]) -> Finding {
    let roots = roots::root_groups(picture);
    let state_of = |&g: &usize| picture.groups[g].state;
    let walks = roots::walks(picture, &roots);
    let is_open = |n: usize| picture.calls[n].state == State::Open;
    let is_given_up = |n: usize| given_up.contains(&picture.calls[n].key);
    let unanswered = unanswered.iter().any(|&key| picture.find(key).is_some_and(is_open));
    let root_open = roots.iter().any(|g| {
        let waits = |&n: &usize| is_open(n) && !is_given_up(n);
        state_of(g) == GroupState::Open && picture.groups[*g].attempts.iter().any(waits)
    });
    let outcome = match () {
        () if !walks.is_empty() => Outcome::Failed,
        () if roots.is_empty() || unanswered || roots.iter().any(|g| state_of(g) == GroupState::Open) => {
            Outcome::Unknown
        }
        () => Outcome::Succeeded,
    };
    let mut missing = half_known(picture);
    let mut incomplete = !missing.is_empty();
    if outcome == Outcome::Unknown {
        incomplete = true;
        missing.extend(unanswered_calls(picture));
    }
    Finding {
        outcome,
        walks,
        tolerated: tolerate::tolerated(picture),
        anomalies: anomalies(picture),
        missing,
        incomplete,
        root_open,
    }
}

/// Requests that never came (S1.3), each named once: by id, so that two readers of the same messages say the same
/// sentence (S1.1), and further evidence changes no order.
fn half_known(picture: &Picture<'_>) -> Vec<String> {
    let half = (0..picture.calls.len()).filter(|&n| picture.calls[n].begun.is_none());
    let mut named: Vec<(String, String)> = half
        .filter_map(|n| {
            let (seen, id) = (&picture.calls[n], picture.id(n));
            let missing = match (seen.answers.is_empty(), seen.children.first()) {
                (false, _) => format!("the request of {id}, which was answered"),
                (true, Some(&child)) => format!("the request of {id}, the parent of {}", picture.id(child)),
                (true, None) => return None,
            };
            Some((id, missing))
        })
        .collect();
    named.sort_unstable();
    named.into_iter().map(|(_, missing)| missing).collect()
}

fn unanswered_calls(picture: &Picture<'_>) -> impl Iterator<Item = String> {
    let mut open: Vec<usize> = (0..picture.calls.len()).filter(|&n| picture.calls[n].state == State::Open).collect();
    open.sort_by_key(|&n| picture.calls[n].begin_rank);
    open.into_iter().map(|n| format!("the answer to {}", picture.id(n)))
}

fn anomalies(picture: &Picture<'_>) -> BTreeSet<AnomalyKind> {
    let mut found: BTreeSet<AnomalyKind> =
        AnomalyKind::ALL.iter().copied().filter(|&kind| picture.chain.noted.has(kind)).collect();
    if picture.cyclic {
        found.insert(AnomalyKind::CyclicParent);
    }
    if picture.too_deep {
        found.insert(AnomalyKind::LimitExceeded);
    }
    for seen in &picture.calls {
        if seen.begun.is_none() && !seen.answers.is_empty() {
            found.insert(AnomalyKind::OrphanResponse);
        }
        if seen.begun.is_none() && !seen.children.is_empty() {
            found.insert(AnomalyKind::MissingParent);
        }
        let firm = |code: &AnswerCode| matches!(code, AnswerCode::Ok | AnswerCode::Failed | AnswerCode::Cancelled);
        let firm: BTreeSet<AnswerCode> = seen.answers.iter().map(|answer| answer.code).filter(firm).collect();
        if firm.len() > 1 {
            found.insert(AnomalyKind::ConflictingResponse);
        }
    }
    found
}

impl Finding {
    /// The verdict in words, without its revision.
    pub fn verdict(&self, picture: &Picture<'_>, at: BusTime) -> VerdictView {
        let walk = self.walks.first();
        let failure = |&n: &usize| failure_of(picture, n);
        let others = self.walks.iter().skip(1).map(|walk| &walk.edge);
        // The walk of every failed root has its choices; the others' edges stand beside the chain's own (S3.7).
        let mut contributing: Vec<usize> =
            self.walks.iter().flat_map(|walk| &walk.contributing).chain(others).copied().collect();
        contributing.sort_by_key(|&n| picture.calls[n].begin_rank);
        contributing.dedup();
        let mut verdict = VerdictView {
            outcome: self.outcome,
            failing: walk.map(|walk| failure_of(picture, walk.edge)),
            failing_version: walk.map_or("", |walk| picture.names.text(picture.calls[walk.edge].version())).to_owned(),
            cause: walk.map(|walk| walk.cause),
            callee_active: walk
                .is_some_and(|walk| walk.cause == Cause::NoResponse && !picture.calls[walk.edge].children.is_empty()),
            path: walk.iter().flat_map(|walk| &walk.path).map(|&n| picture.id(n)).collect(),
            contributing: contributing.iter().map(failure).collect(),
            runners_up: self.walks.iter().flat_map(|walk| &walk.runners_up).map(failure).collect(),
            tolerated: self.tolerated.iter().map(failure).collect(),
            anomalies: self.anomalies.clone(),
            ambiguous: walk.is_some_and(|walk| walk.ambiguous),
            incomplete: self.incomplete,
            missing: self.missing.clone(),
            sentence: String::new(),
            revision: 1,
            decided_at: at,
        };
        verdict.sentence = explain::sentence(picture, self, &verdict);
        verdict
    }
}

/// A failed call in words.
pub(super) fn failure_of(picture: &Picture<'_>, n: usize) -> FailureView {
    let seen = &picture.calls[n];
    let begun = seen.begun;
    let text = |name| picture.names.text(name).to_owned();
    FailureView {
        call_id: picture.id(n),
        caller: begun.map(|begun| text(begun.source)).unwrap_or_default(),
        callee: text(seen.service()),
        operation: begun.map(|begun| text(begun.operation)).unwrap_or_default(),
        reason: seen.decisive().map(|answer| text(answer.reason)).unwrap_or_default(),
    }
}

//! S3.2, S3.3: from a failed root down to the call in which the failure began.

use super::{
    groups::GroupState,
    hang,
    picture::{Picture, State},
};
use crate::{
    engine::call::AnswerCode,
    model::{Cause, Name},
};

/// The way from a failed root to its failing edge. All are calls of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Walk {
    /// From the root's attempt to the edge.
    pub path: Vec<usize>,
    pub edge: usize,
    pub cause: Cause,
    /// Other suspects on the way.
    pub contributing: Vec<usize>,
    /// Suspects of a later class below a call that timed out (S3.4).
    pub runners_up: Vec<usize>,
    /// Only the time of failing told suspects apart.
    pub ambiguous: bool,
    /// The rule that chose at the last choice, for the sentence.
    pub chosen_by: Option<Rule>,
}

/// What decided between suspects (S3.3, S3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Rule {
    Named,
    NotCancelled,
    SameReason,
    NothingAfter,
    Earliest,
}

/// What is found below one failed call.
pub(super) enum Step {
    /// The failure began here.
    Here,
    /// It goes on in this child.
    Into(usize),
    /// This child is the edge, since it was slow.
    SlowIn(usize),
}

/// Walks down from a failed attempt of a root. Every step goes to a child, so it ends.
pub(super) fn walk(picture: &Picture<'_>, root: usize) -> Walk {
    let mut walk = Walk {
        path: vec![root],
        edge: root,
        cause: Cause::Error,
        contributing: Vec::new(),
        runners_up: Vec::new(),
        ambiguous: false,
        chosen_by: None,
    };
    loop {
        let at = walk.edge;
        let step = match picture.calls[at].state {
            State::TimedOut | State::Open => hang::step(picture, at, &mut walk),
            State::Failed(_) => step(picture, at, &mut walk),
            State::Ok | State::HalfKnown => Step::Here,
        };
        match step {
            Step::Here => {
                walk.cause = cause(picture, at);
                return walk;
            }
            Step::Into(child) => {
                walk.path.push(child);
                walk.edge = child;
            }
            Step::SlowIn(child) => {
                walk.path.push(child);
                walk.edge = child;
                walk.cause = Cause::Slow;
                return walk;
            }
        }
    }
}

/// S3.2 at a call that was answered with a failure.
fn step(picture: &Picture<'_>, at: usize, walk: &mut Walk) -> Step {
    let suspects: Vec<usize> = forward_groups(picture, at)
        .filter(|&g| picture.groups[g].state == GroupState::Failed)
        .map(|g| picture.groups[g].edge())
        .filter(|&child| failed_before(picture, child, at))
        .collect();
    if suspects.is_empty() {
        return slow_child(picture, at).map_or(Step::Here, Step::SlowIn);
    }
    Step::Into(choose(picture, at, suspects, walk))
}

/// Retry groups of the forward calls directly inside `at`.
pub(super) fn forward_groups<'p>(picture: &'p Picture<'_>, at: usize) -> impl Iterator<Item = usize> + 'p {
    let children = picture.calls[at].children.iter().copied().filter(|&n| picture.calls[n].is_forward());
    let mut groups: Vec<usize> = children.map(|n| picture.calls[n].group).collect();
    let mut known = std::collections::HashSet::new();
    groups.retain(|&g| known.insert(g));
    groups.into_iter()
}

/// Whether `child` failed before `parent` ended, or, on another lane, no more than `clock_skew` after (not for a
/// deadline).
fn failed_before(picture: &Picture<'_>, child: usize, parent: usize) -> bool {
    let (child, parent) = (&picture.calls[child], &picture.calls[parent]);
    let (Some(child_end), Some(parent_end)) = (child.end_rank, parent.end_rank) else { return false };
    if child_end < parent_end {
        return true;
    }
    match (child.state, child.times.answered, parent.times.answered) {
        (State::Failed(_), Some(a), Some(b)) => a.lane() != b.lane() && a.at <= b.at.plus(picture.settings.clock_skew),
        _ => false,
    }
}

/// The earliest child that was past its own timeout when `at` failed, or was open then and was answered only after it.
fn slow_child(picture: &Picture<'_>, at: usize) -> Option<usize> {
    let failed = picture.calls[at].times.answered?;
    let slow = |&n: &usize| {
        let child = &picture.calls[n];
        // A failed attempt of a call that worked at last is tolerated (S3.1).
        let counts = child.is_forward() && !is_tolerated(picture, n);
        let Some(deadline) = child.times.deadline.filter(|_| counts) else { return false };
        let answered = child.decisive().map(|answer| answer.stamp.at);
        let late = answered.is_none_or(|at| at > deadline);
        let past_then = deadline < failed.at;
        let open_then = answered.is_some_and(|at| at > failed.at);
        let begun_then = picture.calls[at].end_rank.is_some_and(|end| child.begin_rank < end);
        begun_then && late && (past_then || open_then)
    };
    let slow = picture.calls[at].children.iter().copied().filter(slow);
    slow.min_by_key(|&n| (picture.calls[n].times.deadline, picture.calls[n].begin_rank))
}

/// A failed attempt of a group that succeeded: it fails nobody (S3.1).
pub(super) fn is_tolerated(picture: &Picture<'_>, n: usize) -> bool {
    let seen = &picture.calls[n];
    seen.state.is_failed() && picture.groups[seen.group].state == GroupState::Succeeded
}

/// S3.3: prefers among suspects until one is left; the others are contributing.
pub(super) fn choose(picture: &Picture<'_>, at: usize, suspects: Vec<usize>, walk: &mut Walk) -> usize {
    if let [only] = suspects[..] {
        return only;
    }
    let mut left = suspects.clone();
    let mut chosen_by = Rule::Earliest;
    type Prefer = fn(&Picture<'_>, usize, usize) -> bool;
    let rules: [(Rule, Prefer); 4] = [
        (Rule::Named, is_named),
        (Rule::NotCancelled, |picture, _, n| picture.calls[n].state != State::Failed(AnswerCode::Cancelled)),
        (Rule::SameReason, has_parents_reason),
        (Rule::NothingAfter, nothing_after),
    ];
    for (rule, prefer) in rules {
        let preferred: Vec<usize> = left.iter().copied().filter(|&n| prefer(picture, at, n)).collect();
        if !preferred.is_empty() {
            left = preferred;
        }
        if left.len() == 1 {
            chosen_by = rule;
            break;
        }
    }
    if left.len() > 1 {
        walk.ambiguous = true;
    }
    walk.chosen_by = Some(chosen_by);
    let chosen = left.into_iter().min_by_key(|&n| end_order(picture, n)).unwrap_or(suspects[0]);
    walk.contributing.extend(suspects.into_iter().filter(|&n| n != chosen));
    chosen
}

fn end_order(picture: &Picture<'_>, n: usize) -> (u32, u32) {
    (picture.calls[n].end_rank.unwrap_or(u32::MAX), picture.calls[n].begin_rank)
}

/// (a) The response names it, or a call below it.
fn is_named(picture: &Picture<'_>, at: usize, suspect: usize) -> bool {
    let answer = picture.calls[at].decisive().and_then(|answer| answer.more.as_ref());
    let Some(named) = answer.and_then(|more| more.caused_by.as_ref()) else { return false };
    let Some(named) = picture.find_id(&named.text()) else { return false };
    let group = &picture.groups[picture.calls[suspect].group];
    group.attempts.iter().any(|&attempt| picture.is_within(named, attempt))
}

/// (c) Its reason is its parent's. As in (a), a late answer is evidence (S2.7).
fn has_parents_reason(picture: &Picture<'_>, at: usize, suspect: usize) -> bool {
    let reason = |n: usize| picture.calls[n].decisive().map_or(Name::NONE, |answer| answer.reason);
    !reason(at).is_none() && reason(at) == reason(suspect)
}

/// (d) The parent began no further forward call after it had failed; an attempt to do the same again is none.
fn nothing_after(picture: &Picture<'_>, at: usize, suspect: usize) -> bool {
    let suspect = &picture.calls[suspect];
    let Some(end) = suspect.end_rank else { return true };
    let further = |&n: &usize| picture.calls[n].is_forward() && picture.calls[n].group != suspect.group;
    !picture.calls[at].children.iter().filter(|n| further(n)).any(|&n| picture.calls[n].begin_rank > end)
}

/// S3.6: the cause at the failing edge.
fn cause(picture: &Picture<'_>, edge: usize) -> Cause {
    let seen = &picture.calls[edge];
    match seen.state {
        State::Failed(AnswerCode::DeadMaybe | AnswerCode::DeadUnhandled) => Cause::Undeliverable,
        State::Failed(AnswerCode::Cancelled) => Cause::Cancelled,
        State::Failed(_) => Cause::Error,
        State::Ok => Cause::Slow,
        State::TimedOut | State::Open | State::HalfKnown => {
            let late = seen.answers.iter().any(|answer| answer.code.is_final() && !answer.code.is_dead_letter());
            if late { Cause::Slow } else { Cause::NoResponse }
        }
    }
}

//! S3.1: attempts and retry groups.

use super::picture::{Picture, State};

/// All attempts of one logical call; most have one.
#[derive(Debug)]
pub(in crate::engine) struct Group {
    /// In the order of their begins.
    pub attempts: Vec<usize>,
    pub state: GroupState,
}

/// State of a retry group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum GroupState {
    /// An attempt was answered `OK` in time.
    Succeeded,
    /// None was yet, and one is open.
    Open,
    /// None was.
    Failed,
}

impl Group {
    /// The attempt begun last: the edge of a group that failed.
    pub fn edge(&self) -> usize {
        self.attempts[self.attempts.len() - 1]
    }
}

/// Gathers the groups. `retry_of` may name any attempt; it must have the same parent, else it is another's call.
pub(super) fn gather(picture: &mut Picture<'_>) {
    let mut head: Vec<usize> = (0..picture.calls.len()).collect();
    for n in 0..picture.calls.len() {
        let retry_of = picture.calls[n].begun.and_then(|begun| begun.more.as_ref()).and_then(|m| m.retry_of.as_ref());
        let Some(retry_of) = retry_of else { continue };
        let Some(other) = picture.find_id(&retry_of.text()) else { continue };
        let (a, b) = (&picture.calls[n], &picture.calls[other]);
        let siblings = a.parent == b.parent && a.standing == b.standing && a.undoes == b.undoes;
        if siblings && b.begun.is_some() {
            let (x, y) = (root_of(&mut head, n), root_of(&mut head, other));
            head[x.max(y)] = x.min(y);
        }
    }
    let mut place = vec![usize::MAX; picture.calls.len()];
    for n in 0..picture.calls.len() {
        let top = root_of(&mut head, n);
        if place[top] == usize::MAX {
            place[top] = picture.groups.len();
            picture.groups.push(Group { attempts: Vec::with_capacity(1), state: GroupState::Failed });
        }
        picture.groups[place[top]].attempts.push(n);
        picture.calls[n].group = place[top];
    }
    for group in &mut picture.groups {
        group.attempts.sort_by_key(|&n| picture.calls[n].begin_rank);
        let any = |state| group.attempts.iter().any(|&n| picture.calls[n].state == state);
        group.state = match () {
            () if any(State::Ok) => GroupState::Succeeded,
            () if any(State::Open) => GroupState::Open,
            () => GroupState::Failed,
        };
    }
}

fn root_of(head: &mut [usize], n: usize) -> usize {
    let mut at = n;
    while head[at] != at {
        head[at] = head[head[at]];
        at = head[at];
    }
    at
}

//! S3.4: where a call that timed out hangs.

use super::{
    groups::GroupState,
    picture::{Picture, State},
    suspects::{Step, Walk, choose, forward_groups, is_tolerated},
};

/// One step down from a call that was not answered in time: through its open or timed-out children, else through its
/// failed ones, else through those answered after its deadline and grace. A child of a later class is a runner-up.
pub(super) fn step(picture: &Picture<'_>, at: usize, walk: &mut Walk) -> Step {
    let mut classes: [Vec<usize>; 3] = Default::default();
    for g in forward_groups(picture, at) {
        if let Some((class, attempt)) = class_of(picture, at, g) {
            classes[class].push(attempt);
        }
    }
    let Some(first) = classes.iter().position(|class| !class.is_empty()) else { return Step::Here };
    walk.runners_up.extend(classes[first + 1..].iter().flatten());
    let chosen = choose(picture, at, std::mem::take(&mut classes[first]), walk);
    // Answered well by its own lights, but after its caller's deadline: the walk ends in it.
    if picture.calls[chosen].state == State::Ok { Step::SlowIn(chosen) } else { Step::Into(chosen) }
}

/// The class of a retry group below `at`, and the attempt that stands for it.
fn class_of(picture: &Picture<'_>, at: usize, g: usize) -> Option<(usize, usize)> {
    let group = &picture.groups[g];
    let edge = group.edge();
    let after_limit = |&&n: &&usize| {
        let answered = picture.calls[n].times.answered;
        picture.calls[at].times.limit.is_some_and(|limit| answered.is_some_and(|stamp| stamp.at > limit))
    };
    let late = group.attempts.iter().rev().filter(|&&n| !is_tolerated(picture, n)).find(after_limit).copied();
    match (group.state, picture.calls[edge].state) {
        (GroupState::Open, _) => {
            let open = group.attempts.iter().rev().find(|&&n| picture.calls[n].state == State::Open);
            Some((0, *open.unwrap_or(&edge)))
        }
        (GroupState::Failed, State::TimedOut | State::Open) => Some((0, edge)),
        (GroupState::Failed, _) if late != Some(edge) => Some((1, edge)),
        _ => late.map(|attempt| (2, attempt)),
    }
}

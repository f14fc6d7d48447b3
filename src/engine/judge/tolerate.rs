//! S3.1, S3.5: failures that did not fail their caller.

use super::{
    groups::GroupState,
    picture::{Picture, State},
    suspects::forward_groups,
};

/// Failed attempts of groups that succeeded, and the failed calls directly inside a call that was answered `OK`, if they
/// had failed before it ended.
pub(super) fn tolerated(picture: &Picture<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    for group in &picture.groups {
        if group.state == GroupState::Succeeded {
            let failed = group.attempts.iter().filter(|&&n| picture.calls[n].state.is_failed());
            found.extend(failed.filter(|&&n| picture.calls[n].is_forward()));
        }
    }
    for (at, seen) in picture.calls.iter().enumerate() {
        if seen.state != State::Ok || !seen.is_forward() {
            continue;
        }
        let failed = forward_groups(picture, at).map(|g| &picture.groups[g]);
        let failed = failed.filter(|group| group.state == GroupState::Failed).map(super::groups::Group::edge);
        found.extend(failed.filter(|&n| match (picture.calls[n].end_rank, seen.end_rank) {
            (Some(child), Some(parent)) => child < parent,
            _ => false,
        }));
    }
    found.sort_by_key(|&n| picture.calls[n].begin_rank);
    found.dedup();
    found
}

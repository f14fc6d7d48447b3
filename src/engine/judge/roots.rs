//! S3.2, S3.7: whether a root failed, and which of several failing edges is the chain's.

use super::{
    groups::GroupState,
    picture::Picture,
    suspects::{Walk, walk},
};

/// Groups of the chain's roots.
pub(super) fn root_groups(picture: &Picture<'_>) -> Vec<usize> {
    let mut groups: Vec<usize> =
        picture.calls.iter().filter(|seen| seen.is_root() && seen.is_forward()).map(|seen| seen.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// The walks from all failed roots, the chain's own first (S3.7): earliest by when its edge failed, then its root, then
/// by position.
pub(super) fn walks(picture: &Picture<'_>, roots: &[usize]) -> Vec<Walk> {
    let failed = roots.iter().map(|&g| &picture.groups[g]).filter(|group| group.state == GroupState::Failed);
    let mut walks: Vec<Walk> = failed.map(|group| walk(picture, group.edge())).collect();
    let ended = |n: usize| picture.calls[n].end_rank.unwrap_or(u32::MAX);
    walks.sort_by_key(|walk| (ended(walk.edge), ended(walk.path[0]), picture.calls[walk.path[0]].begin_rank));
    walks
}

//! S1.3, S1.5 to S1.8: who is inside whom: parents, refused links, depth, and what all of that makes of a call. Only
//! calls can close a cycle; that services call each other to and fro is normal (S1.6).

use super::picture::{EventScope, Index, Picture, Standing};
use crate::engine::chain::Node;

/// Sets parents, standings, depths, and which calls undo.
pub(super) fn resolve(picture: &mut Picture<'_>, index: &Index) {
    for n in 0..picture.calls.len() {
        picture.calls[n].parent = parent_of(picture, index, n);
        let seen = &mut picture.calls[n];
        if seen.begun.is_some_and(|begun| begun.event && !begun.has_parent) {
            seen.scope = Some(EventScope(seen.key.node));
        }
    }
    refuse_cycles(picture);
    for n in 0..picture.calls.len() {
        if !picture.calls[n].replaced {
            settle(picture, n);
        }
    }
}

fn parent_of(picture: &Picture<'_>, index: &Index, n: usize) -> Option<usize> {
    let seen = &picture.calls[n];
    let begun = seen.begun?;
    let parent: Node = picture.chain.parent(seen.key.node)?;
    index
        .alias
        .get(&parent)
        .or_else(|| index.consumers.get(&(parent, begun.source)))
        .or_else(|| index.own.get(&parent))
        .copied()
}

/// Of a cycle, the link of the call whose request is latest is refused (S1.5). Every call has one parent at most, so a
/// cycle is found by walking up with the walk's number as colour.
fn refuse_cycles(picture: &mut Picture<'_>) {
    let mut colour = vec![0_usize; picture.calls.len()];
    for start in 0..picture.calls.len() {
        let mut at = start;
        while colour[at] == 0 {
            colour[at] = start + 1;
            match picture.calls[at].parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        if colour[at] == start + 1 && picture.calls[at].parent.is_some() {
            break_cycle(picture, at);
        }
    }
}

fn break_cycle(picture: &mut Picture<'_>, first: usize) {
    let mut members = vec![first];
    let mut at = picture.calls[first].parent;
    while let Some(n) = at.filter(|&n| n != first) {
        members.push(n);
        at = picture.calls[n].parent;
    }
    if at.is_none() {
        return;
    }
    let latest = members.into_iter().max_by_key(|&n| {
        let seen = &picture.calls[n];
        (seen.begun.map(|begun| begun.stamp), picture.id(n))
    });
    if let Some(n) = latest {
        picture.calls[n].parent = None;
        picture.calls[n].refused = true;
        picture.cyclic = true;
    }
}

/// Settles a call after all that it is inside of, without recursion: the way up is remembered and walked down.
fn settle(picture: &mut Picture<'_>, n: usize) {
    let mut way = Vec::new();
    let mut at = Some(n);
    while let Some(n) = at.filter(|&n| picture.calls[n].depth == 0) {
        way.push(n);
        at = picture.calls[n].parent;
    }
    for n in way.into_iter().rev() {
        settle_one(picture, n);
    }
}

fn settle_one(picture: &mut Picture<'_>, n: usize) {
    let limit = u32::try_from(picture.settings.limits.depth).unwrap_or(u32::MAX);
    let above = picture.calls[n].parent.map(|parent| {
        let parent = &picture.calls[parent];
        (parent.standing, parent.undoes, parent.depth)
    });
    let seen = &mut picture.calls[n];
    let own_undo =
        seen.begun.and_then(|begun| begun.more.as_ref()).is_some_and(|m| m.compensates.is_some() || m.during);
    seen.undoes = own_undo || above.is_some_and(|(_, undoes, _)| undoes);
    seen.depth = above.map_or(1, |(_, _, depth)| depth.saturating_add(1));
    seen.standing = match (seen.begun, above) {
        _ if seen.refused => Standing::Refused,
        (None, _) => Standing::Orphaned,
        (Some(_), Some((standing, _, _))) => standing,
        (Some(begun), None) if begun.has_parent => Standing::Orphaned,
        (Some(_), None) => Standing::Judged,
    };
    if seen.depth > limit {
        seen.refused = true;
        seen.parent = None;
        seen.standing = Standing::Refused;
        picture.too_deep = true;
    }
}

//! S3.2 to S3.4: the walk from a failed root down to the failing edge.

use std::collections::BTreeSet;

use countermand::{
    model::{BusTime, StatusCode},
    policy::Settings,
};

use super::{
    ends::{End, Fate, fate},
    scene::Scene,
};

/// What a walk found.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    pub path: Vec<usize>,
    /// It ended at a call that was too slow for its caller.
    pub slow: bool,
    pub contributing: BTreeSet<usize>,
    pub runners_up: BTreeSet<usize>,
    pub ambiguous: bool,
}

impl Walk {
    pub fn edge(&self) -> usize {
        self.path[self.path.len() - 1]
    }
}

/// S3.2: from the edge of a failed root group down.
pub fn walk(scene: &Scene, settings: &Settings, root: usize) -> Walk {
    let mut walk = Walk { path: vec![root], ..Walk::default() };
    loop {
        let here = walk.edge();
        let next = match scene.ends[here] {
            End::TimedOut(_) | End::Open => down_from_silence(scene, settings, here, &mut walk),
            _ => down_from_failure(scene, settings, here, &mut walk),
        };
        let Some((next, slow)) = next else { return walk };
        walk.path.push(next);
        if slow {
            walk.slow = true;
            return walk;
        }
    }
}

/// S3.2: at a call that was answered as failed.
fn down_from_failure(scene: &Scene, settings: &Settings, here: usize, walk: &mut Walk) -> Option<(usize, bool)> {
    let children = scene.children(here);
    let suspects: Vec<usize> = scene
        .groups_of(&children)
        .into_iter()
        .filter(|group| scene.group_failed(*group) && ended_before(scene, settings, scene.edge(*group), here))
        .collect();
    if suspects.is_empty() {
        return slow_child(scene, settings, here, &children).map(|child| (child, true));
    }
    let chosen = choose(scene, here, &suspects, &|group| scene.edge(group), walk);
    let others = suspects.iter().filter(|group| **group != chosen);
    walk.contributing.extend(others.map(|group| scene.edge(*group)));
    Some((scene.edge(chosen), false))
}

/// S3.2: ended before its caller did, or, in another topic partition, no more than `clock_skew` after it (which does
/// not apply to a deadline).
fn ended_before(scene: &Scene, settings: &Settings, child: usize, parent: usize) -> bool {
    if scene.before.end[child] < scene.before.end[parent] {
        return true;
    }
    match (scene.decisive(child), scene.decisive(parent)) {
        (Some(child), Some(parent)) => {
            child.moment.position.lane != parent.moment.position.lane
                && child.moment.at <= parent.moment.at.plus(settings.clock_skew)
        }
        _ => false,
    }
}

/// S3.2: a child that was past its own timeout when this call failed, or was still open then and was answered only after
/// its own timeout: the earliest such child.
fn slow_child(scene: &Scene, settings: &Settings, here: usize, children: &[usize]) -> Option<usize> {
    let failed_at = scene.ended_at(here)?;
    let is_slow = |child: &usize| {
        let call = &scene.calls()[*child];
        let began = scene.before.begin[*child] < scene.before.end[here];
        let Some(deadline) = own_deadline(scene, settings, *child) else { return false };
        let answered = call.said.iter().filter(|said| said.is_final()).map(|said| said.moment.at).min();
        let late = answered.is_some_and(|at| at > deadline);
        let silent = answered.is_none() && deadline < failed_at;
        began && !scene.superseded(*child) && (late || silent)
    };
    let slow = children.iter().copied().filter(is_slow);
    slow.min_by_key(|child| (own_deadline(scene, settings, *child), scene.before.begin[*child]))
}

/// The end of the patience that its caller had: its own timeout, without the grace.
fn own_deadline(scene: &Scene, settings: &Settings, call: usize) -> Option<BusTime> {
    let call = &scene.calls()[call];
    let mut without_answer = call.clone();
    let first = call.said.iter().filter(|said| said.is_final()).map(|said| said.moment).min();
    without_answer.said.retain(|said| !said.is_final() && first.is_none_or(|first| said.moment < first));
    match fate(&without_answer, settings.timeout_grace) {
        Fate::Deadline { deadline, .. } => Some(deadline),
        _ => None,
    }
}

/// S3.4: at a call that timed out or is open: first its open or timed-out children, then its failed ones, then those
/// answered after its deadline and grace; a child of a later class is a runner-up.
fn down_from_silence(scene: &Scene, settings: &Settings, here: usize, walk: &mut Walk) -> Option<(usize, bool)> {
    let limit = own_deadline(scene, settings, here).map(|deadline| deadline.plus(settings.timeout_grace));
    let late = |call: usize| {
        let said = scene.decisive(call);
        said.is_some_and(|said| limit.is_some_and(|limit| said.moment.at > limit))
    };
    let mut classes: [Vec<usize>; 3] = Default::default();
    for group in scene.groups_of(&scene.children(here)) {
        let edge = scene.edge(group);
        if !scene.group_succeeded(group) && (open_attempt(scene, group).is_some() || scene.timed_out(edge)) {
            classes[0].push(group);
        } else if scene.group_failed(group) && !late(edge) {
            classes[1].push(group);
        } else if scene.attempts(group).iter().any(|call| late(*call) && !scene.superseded(*call)) {
            classes[2].push(group);
        }
    }
    let class = classes.iter().position(|class| !class.is_empty())?;
    let answered_late = |group: usize| {
        let attempts = scene.attempts(group).into_iter();
        let late = attempts.filter(|call| late(*call) && !scene.superseded(*call));
        late.max_by_key(|call| scene.before.begin[*call]).expect("a group of this class has such an attempt")
    };
    let named = |class: usize, group: usize| match class {
        0 => open_attempt(scene, group).unwrap_or_else(|| scene.edge(group)),
        1 => scene.edge(group),
        _ => answered_late(group),
    };
    let chosen = choose(scene, here, &classes[class], &|group| named(class, group), walk);
    let others = classes[class].iter().filter(|group| **group != chosen);
    walk.contributing.extend(others.map(|group| named(class, *group)));
    for (later, groups) in classes.iter().enumerate().skip(class + 1) {
        walk.runners_up.extend(groups.iter().map(|group| named(later, *group)));
    }
    let next = named(class, chosen);
    let worked = scene.first_final(next).is_some_and(|said| said.code == Some(StatusCode::Ok));
    Some((next, class == 2 && worked))
}

/// The attempt begun last that is still open.
fn open_attempt(scene: &Scene, group: usize) -> Option<usize> {
    let open = scene.attempts(group).into_iter().filter(|call| scene.open(*call));
    open.max_by_key(|call| scene.before.begin[*call])
}

/// S3.3: prefer, each applied to what the one before left, skipping one that would leave none.
/// `stands`: the attempt that stands for a group.
fn choose(scene: &Scene, here: usize, suspects: &[usize], stands: &dyn Fn(usize) -> usize, walk: &mut Walk) -> usize {
    let mut left = suspects.to_vec();
    let blamed = scene.last_word(here).map_or("", |said| said.caused_by.as_str());
    let edge = |group: &usize| stands(*group);
    let steps: [&dyn Fn(&usize) -> bool; 4] = [
        &|group| scene.graph.find(blamed).is_some_and(|call| below(scene, *group, call)),
        &|group| scene.decisive(edge(group)).is_none_or(|said| said.code != Some(StatusCode::Cancelled)),
        &|group| !scene.reason(here).is_empty() && scene.reason(edge(group)) == scene.reason(here),
        &|group| !went_on(scene, here, *group, edge(group)),
    ];
    for step in steps {
        let kept: Vec<usize> = left.iter().copied().filter(|group| step(group)).collect();
        if !kept.is_empty() && left.len() > 1 {
            left = kept;
        }
    }
    if left.len() > 1 {
        walk.ambiguous = true;
    }
    let failed_at = |group: &usize| {
        let edge = edge(group);
        (scene.before.end[edge].unwrap_or(usize::MAX), scene.before.begin[edge])
    };
    left.into_iter().min_by_key(failed_at).expect("there is a suspect")
}

/// S3.3 (a): the call itself or one below it.
fn below(scene: &Scene, group: usize, call: usize) -> bool {
    scene.attempts(group).iter().any(|attempt| scene.graph.within(call, *attempt))
}

/// S3.3 (d): after its failure the parent began a further forward call, not just another attempt.
fn went_on(scene: &Scene, here: usize, group: usize, edge: usize) -> bool {
    let Some(end) = scene.before.end[edge] else { return false };
    let children = scene.children(here).into_iter().filter(|child| scene.group[*child] != group);
    children.into_iter().any(|child| scene.before.begin[child] > Some(end))
}

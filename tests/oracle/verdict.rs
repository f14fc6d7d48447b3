//! S3.5 to S3.8: outcome, failing edge, cause, and what is named beside it.

use std::collections::BTreeSet;

use countermand::{
    model::{AnomalyKind, Cause, Outcome, StatusCode},
    policy::Settings,
};

use super::{
    ends::End,
    scene::Scene,
    suspects::{Walk, walk},
};

/// All parts of a verdict that can change, but for its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub outcome: Outcome,
    pub failing: Option<String>,
    pub cause: Option<Cause>,
    pub callee_active: bool,
    pub path: Vec<String>,
    pub contributing: BTreeSet<String>,
    pub runners_up: BTreeSet<String>,
    pub tolerated: BTreeSet<String>,
    pub anomalies: BTreeSet<AnomalyKind>,
    pub ambiguous: bool,
    pub incomplete: bool,
    pub missing: BTreeSet<String>,
    /// The reasons of all calls that are named, late ones too.
    pub reasons: BTreeSet<(String, String)>,
}

/// S2.2, S3.2, S3.7: a chain failed if a root's group failed; it is `unknown` if a root is open or none is known, or
/// if it was decided for its age with calls unanswered.
pub fn outcome(scene: &Scene, given_up: &BTreeSet<String>) -> Outcome {
    let roots = scene.root_groups();
    if roots.iter().any(|group| scene.group_failed(*group)) {
        return Outcome::Failed;
    }
    let all_worked = roots.iter().all(|group| scene.group_succeeded(*group));
    let something_open = scene.open_holding().into_iter().any(|call| given_up.contains(scene.id(call)));
    if roots.is_empty() || !all_worked || something_open { Outcome::Unknown } else { Outcome::Succeeded }
}

/// S3: the verdict on a scene.
pub fn judge(
    scene: &Scene,
    settings: &Settings,
    given_up: &BTreeSet<String>,
    anomalies: BTreeSet<AnomalyKind>,
) -> Judgement {
    let outcome = outcome(scene, given_up);
    let name = |call: usize| scene.id(call).to_owned();
    let names = |calls: BTreeSet<usize>| calls.into_iter().map(name).collect::<BTreeSet<String>>();
    let mut walks: Vec<Walk> = scene
        .root_groups()
        .into_iter()
        .filter(|group| outcome == Outcome::Failed && scene.group_failed(*group))
        .map(|group| walk(scene, settings, scene.edge(group)))
        .collect();
    walks.sort_by_key(|walk| failed_when(scene, walk));
    let first = walks.first();
    let mut contributing: BTreeSet<usize> = walks.iter().skip(1).map(Walk::edge).collect();
    contributing.extend(walks.iter().flat_map(|walk| walk.contributing.clone()));
    let tolerated = tolerated(scene);
    let runners_up: BTreeSet<usize> = walks.iter().flat_map(|walk| walk.runners_up.clone()).collect();
    let holes = [AnomalyKind::OrphanResponse, AnomalyKind::MissingParent];
    let cause = first.map(|walk| cause(scene, walk));
    Judgement {
        outcome,
        failing: first.map(|walk| name(walk.edge())),
        callee_active: cause == Some(Cause::NoResponse) && first.is_some_and(|walk| began_calls(scene, walk.edge())),
        cause,
        path: first.map(|walk| walk.path.iter().copied().map(name).collect()).unwrap_or_default(),
        contributing: names(contributing.clone()),
        runners_up: names(runners_up.clone()),
        tolerated: names(tolerated.clone()),
        ambiguous: walks.first().is_some_and(|walk| walk.ambiguous),
        incomplete: outcome == Outcome::Unknown || holes.iter().any(|kind| anomalies.contains(kind)),
        missing: missing(scene, outcome),
        reasons: reasons(scene, first, &contributing, &runners_up, &tolerated),
        anomalies,
    }
}

fn reasons(
    scene: &Scene,
    first: Option<&Walk>,
    contributing: &BTreeSet<usize>,
    runners_up: &BTreeSet<usize>,
    tolerated: &BTreeSet<usize>,
) -> BTreeSet<(String, String)> {
    let reason = |call: usize| {
        let said = scene.last_word(call).map_or("", |said| said.reason.as_str());
        (scene.id(call).to_owned(), said.to_owned())
    };
    let named = first.map(Walk::edge).into_iter().chain(contributing.iter().copied());
    named.chain(runners_up.iter().copied()).chain(tolerated.iter().copied()).map(reason).collect()
}

/// S3.6: whether the callee had begun calls of its own, undos included.
fn began_calls(scene: &Scene, call: usize) -> bool {
    scene.calls().iter().any(|inner| inner.parent == Some(call) && inner.ask.is_some())
}

/// S1.3, S2.2, S3.8: what is named as missing: requests and parents that never came; answers, if that made it `unknown`.
fn missing(scene: &Scene, outcome: Outcome) -> BTreeSet<String> {
    let calls = 0..scene.calls().len();
    let half = calls.clone().filter(|call| scene.calls()[*call].ask.is_none());
    let mut missing: BTreeSet<String> = BTreeSet::new();
    for call in half {
        let id = scene.id(call);
        if !scene.calls()[call].said.is_empty() {
            missing.insert(format!("the request of {id}, which was answered"));
            continue;
        }
        let inside = scene.calls().iter().filter(|inner| inner.parent == Some(call));
        let first = inside.min_by_key(|inner| (inner.begin(), inner.id.clone()));
        missing.extend(first.map(|inner| format!("the request of {id}, the parent of {}", inner.id)));
    }
    if outcome == Outcome::Unknown {
        let open = calls.filter(|call| scene.open(*call));
        missing.extend(open.map(|call| format!("the answer of {}", scene.id(call))));
    }
    missing
}

/// S3.7: the earliest: when the edge failed, then its root, then position.
fn failed_when(scene: &Scene, walk: &Walk) -> (usize, usize, usize) {
    let end = |call: usize| scene.before.end[call].unwrap_or(usize::MAX);
    (end(walk.edge()), end(walk.path[0]), scene.before.begin[walk.path[0]].unwrap_or(usize::MAX))
}

/// S3.6.
fn cause(scene: &Scene, walk: &Walk) -> Cause {
    let edge = walk.edge();
    if walk.slow {
        return Cause::Slow;
    }
    match (scene.ends[edge], scene.decisive(edge).map(|said| said.code)) {
        (End::TimedOut(_) | End::Open, _)
            if scene.calls()[edge].said.iter().any(|said| said.is_final() && said.code.is_some()) =>
        {
            Cause::Slow
        }
        (_, Some(Some(StatusCode::Cancelled))) => Cause::Cancelled,
        (_, Some(Some(_))) => Cause::Error,
        (_, Some(None)) => Cause::Undeliverable,
        (_, None) => Cause::NoResponse,
    }
}

/// S3.1, S3.5: the failed children of every judged call answered `OK` that ended before it did, and the failed attempts
/// of groups that succeeded.
fn tolerated(scene: &Scene) -> BTreeSet<usize> {
    let mut tolerated = BTreeSet::new();
    let judged = scene.judged();
    for call in &judged {
        if !scene.succeeded(*call) {
            continue;
        }
        for group in scene.groups_of(&scene.children(*call)) {
            let edge = scene.edge(group);
            if scene.group_failed(group) && scene.before.end[edge] < scene.before.end[*call] {
                tolerated.insert(edge);
            }
        }
    }
    for call in judged {
        if scene.superseded(call) {
            tolerated.insert(call);
        }
    }
    tolerated
}

//! S5.1: which effect must be undone before which, and in which wave.

use std::collections::BTreeMap;

use super::scene::Scene;

/// S5.1: effect `later` comes after effect `earlier`: its call began after the other had ended, or it is an ancestor's
/// that began no forward call after its own end.
pub fn comes_after(scene: &Scene, later: usize, earlier: usize) -> bool {
    if later == earlier {
        return false;
    }
    let began_after = scene.before.begin[later].is_some_and(|begin| begin > ended(scene, earlier));
    began_after || (scene.graph.within(earlier, later) && !worked_on_after_its_answer(scene, later))
}

/// S5.1: a call of unknown end counts as ended right after the last begin inside it, else after its own.
fn ended(scene: &Scene, call: usize) -> usize {
    let inside = (0..scene.calls().len()).filter(|inner| scene.graph.within(*inner, call));
    let last_begin = inside.filter_map(|inner| scene.before.begin[inner]).max();
    scene.before.end[call].or(last_begin).unwrap_or(0)
}

fn worked_on_after_its_answer(scene: &Scene, call: usize) -> bool {
    let end = ended(scene, call);
    (0..scene.calls().len())
        .filter(|inner| *inner != call && scene.graph.within(*inner, call) && !scene.calls()[*inner].undo)
        .any(|inner| scene.before.begin[inner].is_some_and(|begin| begin > end))
}

/// S5.1: one more than the highest wave of those that must be undone before it, 1 if there are none.
///
/// # Panics
/// If the order has a cycle.
pub fn waves(scene: &Scene, calls: &[usize], forward: bool) -> BTreeMap<usize, u32> {
    let must_be_first = |first: usize, then: usize| {
        if forward { comes_after(scene, then, first) } else { comes_after(scene, first, then) }
    };
    let mut waves: BTreeMap<usize, u32> = BTreeMap::new();
    while waves.len() < calls.len() {
        let placed = waves.len();
        for call in calls {
            let first: Vec<usize> = calls.iter().copied().filter(|other| must_be_first(*other, *call)).collect();
            if !waves.contains_key(call) && first.iter().all(|other| waves.contains_key(other)) {
                let highest = first.iter().map(|other| waves[other]).max().unwrap_or(0);
                waves.insert(*call, highest + 1);
            }
        }
        assert!(waves.len() > placed, "the undo order has a cycle (S5.1)");
    }
    waves
}

/// S5.1, `ordering = "strict"`: of the effects that wait for nothing more, the last ended goes next.
pub fn strict_waves(scene: &Scene, calls: &[usize]) -> BTreeMap<usize, u32> {
    let mut waves: BTreeMap<usize, u32> = BTreeMap::new();
    while waves.len() < calls.len() {
        let left: Vec<usize> = calls.iter().copied().filter(|call| !waves.contains_key(call)).collect();
        let free = left.iter().filter(|call| !left.iter().any(|other| comes_after(scene, *other, **call)));
        let next = free.max_by_key(|call| (ended(scene, **call), scene.before.begin[**call]));
        let wave = u32::try_from(waves.len()).expect("few calls") + 1;
        waves.insert(*next.expect("the undo order has a cycle (S5.1)"), wave);
    }
    waves
}

//! Load profile `mixed`: the shapes of real systems: depth 2 to 8, fan-out to 12, retries, fallbacks, time-outs, events.

use super::{
    rng::Rng,
    spec::{Fate, Spec},
};

/// Most calls of a chain: larger ones are rare, and say nothing new.
const MOST_CALLS: usize = 60;

/// One chain.
pub(super) fn chain(rng: &mut Rng) -> Spec {
    let depth = rng.between(2, 8);
    let mut left = MOST_CALLS;
    let mut root = call(rng, depth, &mut left);
    root.timeout = Some(60_000);
    root.undo = None;
    root.event = false;
    if matches!(root.fate, Fate::Hangs | Fate::WorksOnRetry(_)) {
        root.fate = Fate::Works;
    }
    root
}

fn call(rng: &mut Rng, depth: u64, left: &mut usize) -> Spec {
    *left -= 1;
    let service = rng.between(1, 40);
    let mut spec = Spec::new(&format!("service-{service}"), &format!("{}.{}", rng.between(1, 4), rng.below(9)), "");
    spec.operation = format!("Operation{}", rng.below(6));
    spec.work = rng.between(1, 20);
    spec.accepts_in_doubt = true;
    spec.parallel = rng.chance(300);
    spec.tolerates = rng.chance(150);
    if rng.chance(250) {
        spec.undo = Some(format!("Undo{}", spec.operation));
    }
    if rng.chance(700) {
        spec.timeout = Some(rng.between(20_000, 40_000));
    }
    // Wide calls are shallow, as they are in real traces.
    let wide = if rng.chance(30) { rng.between(4, 12) } else { rng.between(0, 3) };
    for _ in 0..wide {
        if depth > 1 && *left > 0 {
            let below = depth - 1 - rng.below(2).min(depth - 2);
            spec.inside.push(call(rng, below, left));
        }
    }
    spec.fate = match rng.below(200) {
        0..=2 => Fate::Fails("OUT_OF_STOCK"),
        3 => Fate::Hangs,
        4..=6 => Fate::WorksOnRetry("CONNECTION_RESET"),
        _ => Fate::Works,
    };
    // A call that shrugs failures off and then fails by itself could be taken for one that died of them.
    spec.tolerates &= spec.fate == Fate::Works;
    // Side by side the others would have begun all the same: keep what is undone plain to see.
    spec.parallel &= spec.inside.iter().all(|inner| inner.fate == Fate::Works);
    spec.event = spec.inside.is_empty() && spec.undo.is_none() && spec.fate == Fate::Works && rng.chance(50);
    spec
}

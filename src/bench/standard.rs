//! Load profile `standard`: chains of 8 calls, depth 4, 490-byte envelopes with 36-byte ids, chain time median 50 ms and
//! p99 2 s, 1 % failing, 20 % of calls with an effect.

use super::{
    rng::Rng,
    spec::{Fate, Spec},
};

/// Calls of a chain.
pub const CALLS: usize = 8;

/// Size of an envelope, reached by its payload.
pub const ENVELOPE_BYTES: usize = 490;

/// Of a thousand chains, how many fail; of a thousand calls, how many have an effect.
const FAILING: u64 = 10;
const EFFECTS: u64 = 200;

/// Spread of the chain time's logarithm: p99 is forty times the median.
const SIGMA: f64 = 1.586;
const MEDIAN_MS: f64 = 50.0;
/// One chain in some hundred thousand would take minutes; the tail ends here.
const LONGEST_MS: f64 = 20_000.0;

/// One chain. The tree is always the same: a root with two branches, four levels deep.
pub(super) fn chain(rng: &mut Rng) -> Spec {
    let total = (MEDIAN_MS * (SIGMA * rng.normal()).exp()).min(LONGEST_MS);
    // Each call's own work adds to the chain's time, as the calls follow one another.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 20,000")]
    let work = (total / CALLS as f64) as u64;
    let failing = rng.chance(FAILING).then(|| rng.between(1, CALLS as u64 - 1));
    let mut number = 0;
    let mut call = |rng: &mut Rng, inside: Vec<Spec>| {
        let mut spec = Spec::new(&format!("service-{number}"), "1.4.2", &format!("Operation{number}")).taking(work);
        spec.timeout = Some(30_000);
        if number > 0 && rng.chance(EFFECTS) {
            spec.undo = Some(format!("UndoOperation{number}"));
        }
        if failing == Some(number) {
            spec.fate = Fate::Fails("REFUSED");
        }
        number += 1;
        spec.calling(inside)
    };
    // Numbered from the leaves up, so the root comes last.
    let leaves = (call(rng, Vec::new()), call(rng, Vec::new()));
    let third = call(rng, vec![leaves.0, leaves.1]);
    let fourth = call(rng, Vec::new());
    let left = call(rng, vec![third, fourth]);
    let inner = call(rng, Vec::new());
    let right = call(rng, vec![inner]);
    let mut root = call(rng, vec![left, right]);
    root.fate = Fate::Works;
    root.undo = None;
    root
}

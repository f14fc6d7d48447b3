//! Time offline: a host clock that moves from one due instant to the next, so that whatever is published at one has
//! its own clocks begin there.

use super::Subject;
use crate::model::{Action, HostTime, LaneId};

/// Moves of the clock in one go, at most. An engine that wants more goes round in circles.
const MAX_MOVES: usize = 10_000_000;

/// The engine always has something more to do at one and the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restless;

/// Moves the host clock to `target`, with `lanes` (all there are) read to their end. What comes of each move goes to
/// `settle`, which tells the subject what came of that, such as publications. A clock that is past `target` stays.
///
/// # Errors
/// [`Restless`] after ten million moves.
pub fn run_until<S: Subject>(
    subject: &mut S,
    host: &mut HostTime,
    target: HostTime,
    lanes: &[LaneId],
    mut settle: impl FnMut(&mut S, HostTime, Vec<Action>),
) -> Result<(), Restless> {
    let target = target.max(*host);
    let mut stalled = false;
    for _ in 0..MAX_MOVES {
        let due = subject.next_due().filter(|_| !stalled).unwrap_or(target).clamp(*host, target);
        let moved = due > *host;
        *host = due;
        let mut actions = Vec::new();
        subject.advance(*host, lanes, &mut actions);
        let quiet = actions.is_empty();
        settle(subject, *host, actions);
        if quiet && *host == target {
            return Ok(());
        }
        stalled = quiet && !moved;
    }
    Err(Restless)
}

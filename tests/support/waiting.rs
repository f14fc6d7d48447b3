//! Waiting for what happens in other processes.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Generous: the machine may be busy with builds.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// Waits until `look` finds something.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_for(PATIENCE, what, look)
}

/// Waits until `look` finds something, for as long as is said.
pub fn until_for<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Lets time pass: the life of what is killed after it.
pub fn pass(span: Duration) {
    let until = Instant::now() + span;
    while let Some(wait) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(wait);
    }
}

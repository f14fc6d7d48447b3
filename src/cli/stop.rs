//! What tells a command that works on a thread of its own to come to its end: SIGINT (Ctrl-C) and SIGTERM.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a command that was told twice.
const EXIT_AT_ONCE: i32 = 1;

/// A flag that is set by the first signal; the second ends the process at once, and says what is `lost` by that.
///
/// # Errors
/// If signals cannot be heard.
pub fn on_signal(lost: &'static str) -> Result<Arc<AtomicBool>, String> {
    listen(lost).map_err(|error| format!("signals cannot be heard: {error}"))
}

fn listen(lost: &'static str) -> io::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    drop(guard);
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if told.swap(true, Ordering::AcqRel) {
                    eprintln!("error: ended at once; {lost}");
                    std::process::exit(EXIT_AT_ONCE);
                }
            }
        });
    })?;
    Ok(stop)
}

//! A hundred thousand random histories: engine and oracle must say the same of each (S0 to S5).
//!
//! `COUNTERMAND_SEED` is the first seed (default 1), `COUNTERMAND_HISTORIES` how many (default 100,000). A history on
//! which they differ is shrunk and written as a scenario, with what the oracle expects, under `target/failing`.

mod compare;
mod grow;
#[path = "../oracle/mod.rs"]
mod oracle;
mod order;
mod pair;
mod rng;
mod rules;
mod shape;
mod shrink;
mod write;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Failures after which a run stops: each is shrunk, which takes its time.
const ENOUGH: u64 = 5;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn engine_and_oracle_agree_on_random_histories() {
    let first = number("COUNTERMAND_SEED", 1);
    let count = number("COUNTERMAND_HISTORIES", 100_000);
    let enough = number("COUNTERMAND_FAILURES", ENOUGH);
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().expect("no panic").len() as u64 >= enough {
                        return;
                    }
                    let history = grow::history(seed);
                    if history.failure.is_some() {
                        let text = shrink::report(history);
                        println!("{text}");
                        failures.lock().expect("no panic").push(text);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} histories on which engine and oracle differ", failures.len());
}

//! A failing history made small: steps are dropped greedily while it still fails, then settings go back to defaults.

use std::{fs, path::PathBuf};

use countermand::{
    model::HostTime,
    policy::Policy,
    scenario::{EPOCH, default_policy},
};

use crate::{
    grow::History,
    pair::{Pair, Told},
    write,
};

/// Runs these steps; says what failed and after how many.
pub fn run(policy: &Policy, lanes: u16, told: &[Told], look: bool) -> Option<(usize, String, Pair)> {
    let mut pair = Pair::new(policy, lanes);
    let (hosts, all) = (hosts(told), told.len());
    for (n, (told, host)) in told.iter().zip(hosts).enumerate() {
        if let Err(text) = pair.read(told, host, look || n + 1 == all) {
            return Some((n + 1, text, pair));
        }
    }
    None
}

/// The host clock at each step, as in a scenario: while the agent lags, the time of the next step at which it does not.
fn hosts(told: &[Told]) -> Vec<HostTime> {
    let mut next = told.last().map_or(EPOCH, |told| EPOCH.plus(told.step.at));
    let mut hosts = Vec::new();
    for told in told.iter().rev() {
        if !told.step.lagging {
            next = EPOCH.plus(told.step.at);
        }
        hosts.push(next.as_host());
    }
    hosts.reverse();
    hosts
}

/// Shrinks a failing history, writes it as a scenario, and says where and why.
pub fn report(history: History) -> String {
    let first = history.failure.clone().unwrap_or_default();
    let (mut policy, lanes, mut told) = (history.policy, history.lanes, history.told);
    let kind = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    // Another difference may come and go before this one: then only the end is looked at.
    let same = |found: &(usize, String, Pair)| kind(&found.1) == kind(&first);
    let look = run(&policy, lanes, &told, true).is_some_and(|found| same(&found));
    let fails = |policy: &Policy, told: &[Told]| {
        run(policy, lanes, told, look).filter(|(_, text, _)| kind(text) == kind(&first)).map(|(steps, _, _)| steps)
    };
    let Some(steps) = fails(&policy, &told) else {
        return format!("seed {}: {first}\n  (does not fail when it is run again)", history.seed);
    };
    told.truncate(steps);
    loop {
        let before = told.len();
        let mut n = told.len();
        while n > 0 {
            n -= 1;
            let mut fewer = told.clone();
            fewer.remove(n);
            if let Some(steps) = fails(&policy, &fewer) {
                fewer.truncate(steps);
                told = fewer;
                n = n.min(told.len());
            }
        }
        for n in 0..told.len() {
            let mut plain = told.clone();
            plain[n].restore = false;
            if plain[n].restore != told[n].restore && fails(&policy, &plain).is_some() {
                told = plain;
            }
        }
        if told.len() == before {
            break;
        }
    }
    for simpler in simpler_policies(&policy) {
        let candidate = simpler(&policy);
        if fails(&candidate, &told).is_some() {
            policy = candidate;
        }
    }
    let Some((steps, text, pair)) = run(&policy, lanes, &told, look) else { return first };
    told.truncate(steps);
    let scenario = write::scenario(history.seed, &policy, &told, &pair, &text);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("target/failing/{}.yaml", history.seed));
    let written = fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(&path, &scenario));
    format!("seed {}: {text}\n  {written:?} {}\n{scenario}", history.seed, path.display())
}

type Simpler = Box<dyn Fn(&Policy) -> Policy>;

/// One setting after the other back to its default.
fn simpler_policies(_: &Policy) -> Vec<Simpler> {
    macro_rules! back {
        ($($field:ident),+) => {
            vec![$(Box::new(|policy: &Policy| {
                let mut policy = policy.clone();
                policy.settings.$field = default_policy().settings.$field;
                policy
            })),+]
        };
    }
    let mut all: Vec<Simpler> = back!(
        mode,
        act_on_incomplete,
        timeout_grace,
        decide_grace,
        max_attempts,
        answer_timeout,
        backoff,
        clock_skew,
        in_flight,
        tolerated,
        undeclared,
        ordering,
        on_undo_failure,
        timeout,
        max_age,
        max_plan_age,
        own_undo_window
    );
    all.push(Box::new(|policy| {
        let mut policy = policy.clone();
        policy.catalogue.rules.clear();
        policy
    }));
    all.push(Box::new(|policy| {
        let mut policy = policy.clone();
        policy.catalogue.routes = None;
        policy
    }));
    all
}

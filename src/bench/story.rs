//! Plays a [`Spec`]: who called whom when, what was answered, and what is true because of that.

use super::{
    rng::Rng,
    spec::{Fate, Spec},
    truth::Truth,
};

/// How a call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `OK`.
    Ok,
    /// `FAILED` with a reason.
    Failed(&'static str),
}

/// One call as it happened. Times are milliseconds since the chain began.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The call that it is inside, by index.
    pub parent: Option<usize>,
    /// The attempt that it retries, by index.
    pub retry_of: Option<usize>,
    /// Calling service.
    pub caller: String,
    /// What was called: its own fate and inside are not looked at any more.
    pub spec: Spec,
    /// When it began.
    pub began: u64,
    /// When and how it was answered; `None`: never.
    pub ended: Option<(u64, Answer)>,
}

/// A chain as it happened.
#[derive(Debug, Clone)]
pub struct Story {
    /// Its id.
    pub chain_id: String,
    /// Its calls, parents before children.
    pub calls: Vec<Call>,
    /// What is true of it.
    pub truth: Truth,
}

/// Time that a caller needs to notice that a call has timed out, beyond the limit: more than the agent's own grace.
const NOTICES_AFTER: u64 = 1_100;

/// Plays `spec` with a root called by `client`.
#[must_use]
pub fn simulate(spec: &Spec, client: &str, rng: &mut Rng) -> Story {
    let mut play = Play { calls: Vec::with_capacity(spec.size()), began_to_fail: Vec::new() };
    play.call(spec, client, None, 0, rng);
    let mut truth = Truth { chain_id: rng.uuid(), outcome: "succeeded", ..Truth::default() };
    let root_works = play.calls[0].ended.is_some_and(|(_, answer)| answer == Answer::Ok);
    if !root_works {
        let failing = play.failing_edge();
        truth.outcome = "failed";
        truth.cause = Some(if play.calls[failing].ended.is_none() { "no_response" } else { "error" });
        truth.failing = Some(play.calls[failing].id.clone());
    }
    truth.undo = play.to_undo();
    Story { chain_id: truth.chain_id.clone(), calls: play.calls, truth }
}

struct Play {
    calls: Vec<Call>,
    /// Calls that failed by themselves, in that order.
    began_to_fail: Vec<usize>,
}

impl Play {
    /// Plays one logical call from `at` on; says when its caller went on, and whether it had worked.
    fn call(&mut self, spec: &Spec, caller: &str, parent: Option<usize>, at: u64, rng: &mut Rng) -> (u64, bool) {
        if let Fate::WorksOnRetry(reason) = spec.fate {
            let mut first = spec.clone();
            first.inside.clear();
            let n = self.begin(&first, caller, parent, None, at, rng);
            let failed = at + 1 + spec.work / 2;
            self.calls[n].ended = Some((failed, Answer::Failed(reason)));
            let again = Spec { fate: Fate::Works, ..spec.clone() };
            return self.attempt(&again, caller, parent, Some(n), failed + 10, rng);
        }
        self.attempt(spec, caller, parent, None, at, rng)
    }

    fn begin(
        &mut self,
        spec: &Spec,
        caller: &str,
        parent: Option<usize>,
        retry_of: Option<usize>,
        at: u64,
        rng: &mut Rng,
    ) -> usize {
        let mut own = spec.clone();
        own.inside = Vec::new();
        self.calls.push(Call {
            id: rng.uuid(),
            parent,
            retry_of,
            caller: caller.to_owned(),
            spec: own,
            began: at,
            ended: None,
        });
        self.calls.len() - 1
    }

    fn attempt(
        &mut self,
        spec: &Spec,
        caller: &str,
        parent: Option<usize>,
        retry_of: Option<usize>,
        at: u64,
        rng: &mut Rng,
    ) -> (u64, bool) {
        let n = self.begin(spec, caller, parent, retry_of, at, rng);
        if spec.event {
            return (at + 1, true);
        }
        let pause = 1 + spec.work / (spec.inside.len() as u64 + 1);
        let (mut now, mut works) = (at + pause, true);
        let mut reason = None;
        for inner in &spec.inside {
            let from = if spec.parallel { at + pause } else { now };
            let (then, worked) = self.call(inner, &spec.service, Some(n), from, rng);
            now = now.max(then + pause);
            if !worked && !spec.tolerates {
                works = false;
                reason = Some("DEPENDENCY_FAILED");
                break;
            }
        }
        match spec.fate {
            Fate::Hangs if works => {
                self.began_to_fail.push(n);
                // Its caller gave it time for its work and a little more: those above have more patience.
                let limit = (now - at + 200).max(500);
                self.calls[n].spec.timeout = Some(limit);
                return (at + limit + NOTICES_AFTER, false);
            }
            Fate::Fails(own) if works => {
                self.began_to_fail.push(n);
                (works, reason) = (false, Some(own));
            }
            _ => {}
        }
        let answer = if works { Answer::Ok } else { Answer::Failed(reason.unwrap_or("FAILED")) };
        self.calls[n].ended = Some((now, answer));
        (now + 1, works)
    }

    /// The call that failed by itself and has only failed calls above it.
    fn failing_edge(&self) -> usize {
        let risen = |&n: &usize| {
            let mut at = self.calls[n].parent;
            while let Some(above) = at {
                if self.calls[above].ended.is_some_and(|(_, answer)| answer == Answer::Ok) {
                    return false;
                }
                at = self.calls[above].parent;
            }
            true
        };
        self.began_to_fail.iter().copied().find(risen).unwrap_or(0)
    }

    /// Effects at or below a failed call: those that worked, and those that nobody answered for. A failed attempt of a
    /// call that worked at last has none of its own.
    fn to_undo(&self) -> Vec<String> {
        let failed = |n: usize| !self.calls[n].spec.event && self.calls[n].ended.is_none_or(|(_, a)| a != Answer::Ok);
        let void = |n: usize| {
            let mut at = Some(n);
            while let Some(call) = at {
                if failed(call) {
                    return true;
                }
                at = self.calls[call].parent;
            }
            false
        };
        let remains = |call: &Call| match call.ended {
            Some((_, Answer::Ok)) => true,
            Some((_, Answer::Failed(_))) => false,
            None => call.spec.accepts_in_doubt,
        };
        let mut undo: Vec<(u64, String)> = Vec::new();
        for (n, call) in self.calls.iter().enumerate() {
            if call.spec.undo.is_some() && remains(call) && void(n) {
                undo.push((call.began, call.id.clone()));
            }
        }
        undo.sort();
        undo.into_iter().map(|(_, id)| id).collect()
    }
}
